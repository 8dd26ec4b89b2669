"""What a person sees of a run at work and at its end: lines, bars, sizes and times."""

from io import StringIO

import pytest
from rich.console import Console

from cartloader_flows.bars import Bars
from cartloader_flows.summary import duration, size
from cartloader_flows.watch import Lines


def test_lines_tell_each_stage_once_and_every_note() -> None:
    stream = StringIO()
    lines = Lines(stream)
    lines.describe("a", "small")
    for done in (1, 2, 2):
        lines.progress("a", "ome2png", done, 2)
    lines.progress("b", "ome2png", 1, 2)
    lines.note("b", "pixels are not square")
    assert stream.getvalue() == "a  ome2png  0.0 s\nb  pixels are not square\n"


def test_bars_have_a_header_for_each_image() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=100, height=30, color_system=None)
    bars = Bars({"a": "a.tif", "b": "b.tif"}, console)
    bars.describe("a", "8 × 8 uint8")
    bars.progress("a", "ome2png", 1, 4)
    bars.progress("b", "georeference", 4, 4)
    with console.capture() as captured:
        console.print(bars.picture())
    lines = captured.get().splitlines()
    assert lines[0].rstrip() == "a  a.tif  8 × 8 uint8"
    assert "ome2png" in lines[1]
    assert "25%" in lines[1]
    assert lines[2].rstrip() == "b  b.tif"
    assert "100%" in lines[3]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (861_000_000, "861 MB"),
        (999_600, "1.0 MB"),
        (12e9, "12 GB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (59.94, "59.9 s"), (59.96, "1:00"), (92, "1:32"), (7510, "2:05:10")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
