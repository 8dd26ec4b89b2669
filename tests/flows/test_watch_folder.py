"""Importing what is new: images that come one after the other, on a real Prefect server."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from support.maps import write_ome
from support.rasters import smooth

from cartloader.jobs import RunError, mapped_jobs, new_images
from cartloader.params import ImportOptions
from cartloader.results import RunResult
from cartloader_flows.import_new import import_new

ALL = ImportOptions(png2pmtiles=True, update_catalog=True)


def image(path: Path, age: float) -> None:
    write_ome(path, smooth(80, 60, 1), 0.2)
    os.utime(path, (time.time() - age, time.time() - age))


def new(mapping: Path, out: Path, settled: float = 60) -> list[str]:
    return new_images(mapping, mapped_jobs(mapping, out, ALL, None), settled)


def test_images_that_have_come_or_changed_and_are_complete_are_new(tmp_path: Path) -> None:
    mapping, out = tmp_path / "many.yaml", tmp_path / "map"
    mapping.write_text("a: a.ome.tif\nb: b.ome.tif\n")
    hour_ago = time.time() - 3600
    os.utime(mapping, (hour_ago, hour_ago))
    assert new(mapping, out) == []
    image(tmp_path / "a.ome.tif", age=30)
    image(tmp_path / "b.ome.tif", age=90)
    assert new(mapping, out) == ["b"]
    assert new(mapping, out, settled=20) == ["a", "b"]
    out.mkdir()
    (out / "b.pmtiles").touch()
    assert new(mapping, out, settled=20) == ["a"]
    os.utime(out / "b.pmtiles", (hour_ago, hour_ago + 1))
    assert new(mapping, out) == ["b"]  # the image is newer
    os.utime(out / "b.pmtiles")
    os.utime(mapping, (time.time() + 1, time.time() + 1))
    assert new(mapping, out) == ["b"]  # the mapping is


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_a_look_imports_what_is_new_and_nothing_else(tmp_path: Path) -> None:
    mapping, out = tmp_path / "many.yaml", tmp_path / "map"
    mapping.write_text("a: a.ome.tif\nb: b.ome.tif\n")
    image(tmp_path / "a.ome.tif", age=90)
    first = import_new(mapping, out, ALL)
    assert isinstance(first, RunResult)
    assert [found.img_id for found in first.images] == ["a"]
    idle = import_new(mapping, out, ALL, return_state=True)
    assert (idle.type.value, idle.message) == ("COMPLETED", "nothing new among 2 images")
    image(tmp_path / "b.ome.tif", age=90)
    second = import_new(mapping, out, ALL)
    assert isinstance(second, RunResult)
    assert [found.img_id for found in second.images] == ["b"]
    assert second.catalogs[0].added == ("b",)
    (tmp_path / "b.ome.tif").write_bytes(b"no image")
    with pytest.raises(RunError, match=r"b\.ome\.tif"):
        import_new(mapping, out, ALL, settled=0)
