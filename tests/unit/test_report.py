"""Reports: where the work checks whether it is stopped, and how a wait is told."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from PIL import Image
from support.maps import write_ome
from support.rasters import smooth

from cartloader_image.action_params import GeoreferenceParams, Ome2PngParams, OutputPrefix, Png2PmtilesParams
from cartloader_image.errors import StoppedError
from cartloader_image.recipe import actions
from cartloader_image.report import Quiet, Report, Stage, quiet, waiting
from cartloader_image.system.files import workspace


class Course(Quiet):
    """Remembers what it is told and asked, and stops the run when it is asked for the ``last`` time."""

    def __init__(self, last: int = 0) -> None:
        self.course: list[Stage | str] = []
        self.ends: list[tuple[Stage, int, int]] = []
        self._last = last

    def check(self) -> None:
        self.course.append("check")
        if self.checks == self._last:
            raise StoppedError("interrupted")

    def progress(self, stage: Stage, done: int, total: int) -> None:
        self.course.append(stage)
        self.ends.append((stage, done, total))

    @property
    def checks(self) -> int:
        return self.course.count("check")


def test_nobody_stops_what_nobody_watches() -> None:
    quiet.check()


Action = Callable[[Report], object]


def a_plane(folder: Path) -> Action:
    image = write_ome(folder / "a.ome.tif", smooth(900, 1200, 1), 0.2, tile=(256, 256))
    out = OutputPrefix(out_dir=folder / "map", img_id="a")
    return partial(actions.ome2png, Ome2PngParams(in_img=image, out=out, upper_thres_quantile=0.9))


def a_picture(folder: Path) -> Action:
    Image.fromarray(smooth(900, 3000, 1)).save(folder / "a.png")
    out = OutputPrefix(out_dir=folder / "map", img_id="a")
    return partial(
        actions.georeference, GeoreferenceParams(in_img=folder / "a.png", out=out, georef_bounds="0,0,3000,900")
    )


def tiles(folder: Path) -> Action:
    a_plane(folder)(quiet)
    return partial(actions.png2pmtiles, Png2PmtilesParams(out=OutputPrefix(out_dir=folder / "map", img_id="a")))


@pytest.mark.parametrize(
    ("prepare", "stages"),
    [
        (a_plane, {Stage.INTENSITY, Stage.OME2PNG, Stage.PNG}),
        (a_picture, {Stage.GEOREFERENCE}),
        (tiles, {Stage.PNG2PMTILES}),
    ],
)
def test_every_loop_checks_whether_it_is_stopped(
    tmp_path: Path, prepare: Callable[[Path], Action], stages: set[Stage]
) -> None:
    action = prepare(tmp_path)
    there = sorted(tmp_path.glob("map/*"))
    for last in (1, 2):
        course = Course(last)
        with pytest.raises(StoppedError):
            action(course)
        assert course.checks == last
        assert sorted(tmp_path.glob("map/*")) == there
    course = Course()
    action(course)
    assert set(course.course) == {"check", *stages}
    assert course.course[::2] == ["check"] * (len(course.course) // 2), "each step is told of after a check"
    assert min(course.course.count(stage) for stage in stages) > 1


def test_a_wait_begins_once_and_ends() -> None:
    report = Course()
    with waiting(report) as wait:
        assert report.ends == []
        for _ in range(3):
            wait()
        assert report.ends == [(Stage.WAITING, 0, 1)]
    assert report.ends == [(Stage.WAITING, 0, 1), (Stage.WAITING, 1, 1)]
    assert report.checks == 3


def test_a_wait_for_nobody_is_not_told() -> None:
    report = Course()
    with waiting(report):
        pass
    assert report.course == []


def test_a_wait_that_is_stopped_is_over(tmp_path: Path) -> None:
    report, out = Course(last=2), OutputPrefix(out_dir=tmp_path, img_id="a")
    with ThreadPoolExecutor() as threads, workspace(out):
        second = threads.submit(lambda: workspace(out, waiting(report, "the first")).__enter__())
        with pytest.raises(StoppedError):
            second.result(60)
    assert report.ends == [(Stage.WAITING, 0, 1), (Stage.WAITING, 1, 1)]
