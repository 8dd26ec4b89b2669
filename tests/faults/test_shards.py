"""Processes that share the tiles of one picture: the same bytes however many there are, and whatever becomes of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from support.rasters import write_raster
from support.reports import Notes
from support.tools import working_in

from cartloader_image import library
from cartloader_image.action_params import OutputPrefix, Png2PmtilesParams
from cartloader_image.engines import shards
from cartloader_image.engines.shards import Shards, count_of
from cartloader_image.errors import StoppedError, ToolError
from cartloader_image.params import ImportOptions
from cartloader_image.report import Stage
from cartloader_image.results import TilesResult
from cartloader_image.system import tools
from cartloader_image.system.tools import Retries, ToolCall
from cartloader_image.tiles.box import MapBox
from cartloader_image.tiles.grid import plan_pyramid

TURN = "0.24,0.05,3\n-0.05,0.24,8\n"
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "rgb": ({"bands": 3, "dtype": np.uint8}, {}),
    "uint16": ({}, {"transparent_below": 60, "colorize": "cyan", "lower_thres_quantile": 0.1}),
    "turned": ({"bands": 3, "dtype": np.uint8}, {"georef_affine": "turn.csv"}),
}


def imported(folder: Path, img_id: str, **options: Any) -> TilesResult:
    """Of a picture of six chunks or more at its finest zoom."""
    result = library.import_image(
        folder / "slide.ome.tif", out_dir=folder / "map", img_id=img_id, max_zoom=21, **options
    ).tiles
    assert result
    return result


def archive(folder: Path, img_id: str) -> bytes:
    return (folder / "map" / f"{img_id}.pmtiles").read_bytes()


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    write_raster(tmp_path / "slide.ome.tif", 480, 512, bands=3, dtype=np.uint8)
    return tmp_path


class Killer(Notes):
    """Kills a shard as soon as something is done."""

    def __init__(self) -> None:
        super().__init__()
        self.killed: list[list[str]] = []

    def progress(self, stage: Stage, done: int, total: int) -> None:  # noqa: ARG002
        if stage is Stage.PNG2PMTILES and not self.killed:
            for child in psutil.Process().children():
                if (line := child.cmdline())[-2:] == ["1", "3"]:
                    self.killed.append(line)
                    child.kill()


class Stopper(Notes):
    """Stops the run as soon as something is done."""

    def progress(self, stage: Stage, done: int, total: int) -> None:  # noqa: ARG002
        if stage is Stage.PNG2PMTILES and done:
            self.stopped.set()


@pytest.mark.parametrize(
    ("kind", "counts"),
    [("rgb", (3,)), *(pytest.param(kind, (2, 3, 7), marks=pytest.mark.slow) for kind in KINDS)],
)
def test_the_bytes_are_those_of_one_process(tmp_path: Path, kind: str, counts: tuple[int, ...]) -> None:
    """Seven are more than some pictures have chunks."""
    picture, options = KINDS[kind]
    write_raster(tmp_path / "slide.ome.tif", 480, 512, **picture)
    (tmp_path / "turn.csv").write_text(TURN)
    if "georef_affine" in options:
        options = options | {"georef_affine": tmp_path / "turn.csv"}
    imported(tmp_path, "one", **options)
    whole = archive(tmp_path, "one")
    for count in counts:
        result = imported(tmp_path, "one", shards=count, **options)
        assert [use.stage for use in result.tools] == [f"shard {number + 1} of {count}" for number in range(count)]
        assert archive(tmp_path, "one") == whole
    assert not (tmp_path / "map" / ".cartloader").exists()


def test_one_that_dies_is_made_again_alone(slide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported(slide, "one")
    whole, report = archive(slide, "one"), Killer()
    monkeypatch.setattr(tools, "RETRIES", Retries(first_delay=0.05))
    imported(slide, "one", shards=3, report=report)
    assert len(report.killed) == 1
    assert len(report.notes) == 1
    assert "was killed (signal 9)" in report.notes[0]
    assert archive(slide, "one") == whole


def test_one_that_fails_ends_the_others(slide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = Shards._call

    def call(self: Shards, number: int) -> ToolCall:
        made = usual(self, number)
        return made.model_copy(update={"program": Path("/bin/false"), "arguments": ()}) if number == 2 else made

    monkeypatch.setattr(Shards, "_call", call)
    with pytest.raises(ToolError, match=r"false failed \(exit code 1\)"):
        imported(slide, "one", shards=3)
    assert not working_in(slide)
    assert [path.name for path in (slide / "map").iterdir()] == ["one.geotif.tif"]


def test_a_stopped_run_leaves_none_of_them(slide: Path) -> None:
    with pytest.raises(StoppedError):
        imported(slide, "one", shards=2, report=Stopper())
    assert not working_in(slide)
    assert not list((slide / "map").glob("*.pmtiles"))


@pytest.mark.parametrize(
    ("asked", "side", "cores", "count"),
    [(None, 1 << 20, 64, 1), (5, 100, 2, 5), ("auto", 40_000, 64, 1), ("auto", 50_000, 64, 9), ("auto", 99_999, 8, 8)],
)
def test_auto_takes_as_many_as_are_worth_it(
    asked: Any, side: int, cores: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 2 gigapixels and more, one for each core and each 268 million pixels."""
    monkeypatch.setattr(shards, "cores", lambda: cores)
    size = 0.149291
    params = Png2PmtilesParams(out=OutputPrefix(out_dir=Path("map"), img_id="a"), shards=asked)
    pyramid = plan_pyramid(MapBox(0, 0, side * size, side * size), size, 512, None, None, "a")
    assert count_of(params, pyramid) == count


def test_a_word_or_none_at_all_is_refused() -> None:
    for wrong in (0, 1000, "many"):
        with pytest.raises(ValueError, match="shards"):
            ImportOptions(png2pmtiles=True, shards=wrong)
