"""What a person sees of a run at work and at its end: lines, bars, sizes and times."""

from io import StringIO

import pytest
from rich.console import Console

from cartloader_flows.cli.bars import Bars
from cartloader_flows.cli.display import Lines, Watch
from cartloader_flows.cli.summary import duration, note_lines, size
from cartloader_image.errors import StoppedError
from cartloader_image.report import Stage


def test_lines_tell_each_stage_once_and_every_note() -> None:
    stream = StringIO()
    lines = Lines(stream)
    lines.describe("a", "small")
    for done in (1, 2, 2):
        lines.progress("a", Stage.OME2PNG, done, 2)
    lines.progress("b", Stage.WAITING, 0, 1)
    lines.progress("b", Stage.WAITING, 1, 1)
    lines.progress("b", Stage.OME2PNG, 1, 2)
    lines.note("b", "pixels are not square")
    assert stream.getvalue() == "a  ome2png  0.0 s\nb  pixels are not square\n"


def test_bars_have_a_header_for_each_image() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=100, height=30, color_system=None)
    bars = Bars({"a": "a.tif", "b": "b.tif"}, console, passing_notes=True)
    bars.describe("a", "8 × 8 uint8")
    bars.progress("a", Stage.OME2PNG, 1, 4)
    bars.progress("b", Stage.GEOREFERENCE, 4, 4)
    with console.capture() as captured:
        console.print(bars.picture())
    lines = captured.get().splitlines()
    assert lines[0].rstrip() == "a  a.tif  8 × 8 uint8"
    assert "ome2png" in lines[1]
    assert "25%" in lines[1]
    assert lines[2].rstrip() == "b  b.tif"
    assert "100%" in lines[3]


def test_notes_go_with_the_bars_where_a_summary_follows() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=60, height=30, color_system=None)
    display = Bars({"a": "a.tif"}, console, passing_notes=True)
    for number in range(5):
        display.note("a", f"number {number} is a note that is rather long for such a terminal")
    assert console.file.getvalue() == ""
    with console.capture() as captured:
        console.print(display.picture())
    lines = [line.rstrip() for line in captured.get().splitlines()]
    assert lines[1:3] == ["  note: number 2 is a note that is rather long for such a", "        terminal"]
    assert len(lines) == 7
    with console.capture() as captured:
        display.keep_notes(["a", "b"])
    assert captured.get().count("\n") == 5


def test_notes_stay_where_no_summary_follows() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=60, color_system=None)
    with console.capture() as captured:
        Bars({}, console, passing_notes=False).note("a", "pixels are not square")
    assert captured.get() == "a  pixels are not square\n"


def test_a_wait_that_is_over_has_no_bar() -> None:
    console = Console(file=StringIO(), force_terminal=True, width=60, color_system=None)
    display = Bars({}, console, passing_notes=True)
    display.progress("a", Stage.OME2PNG, 1, 2)

    def shown() -> str:
        with console.capture() as captured:
            console.print(display.picture())
        return captured.get()

    for _ in range(2):
        display.progress("a", Stage.WAITING, 0, 1)
        assert "waiting" in shown()
        display.progress("a", Stage.WAITING, 1, 1)
        assert "waiting" not in shown()
    assert "ome2png" in shown()


def test_a_run_that_is_stopped_ends_where_it_checks() -> None:
    watch = Watch(Lines(StringIO()))
    reports = [watch.report(img_id) for img_id in "ab"]
    for report in reports:
        report.check()
    watch.stop()
    for report in reports:
        report.progress(Stage.OME2PNG, 1, 1)
        with pytest.raises(StoppedError, match="interrupted"):
            report.check()


def test_long_notes_are_wrapped_below_their_head_on_a_terminal_alone() -> None:
    notes = ["one two three four five six seven eight nine ten", "eleven"]
    assert note_lines("  note: ", notes, 40) == [
        "  note: one two three four five six",
        "        seven eight nine ten",
        "  note: eleven",
    ]
    assert note_lines("  note: ", notes, None) == [f"  note: {note}" for note in notes]


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
