"""Importing what is new: images that come one after the other, on a real Prefect server."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint
from support import spotted
from support.overlays import nuclei
from support.rasters import write_raster

from cartloader_flows.watch_folder import watch_folder
from cartloader_image.params import ImportOptions, SharedOptions
from cartloader_image.recipe.mapping import mapped_jobs, settled_images
from cartloader_image.results import RunError, RunResult
from cartloader_image.scan.folder import scan
from cartloader_image.scan.text import mapping_text

ALL = ImportOptions(png2pmtiles=True, update_catalog=True)


def image(path: Path, age: float) -> None:
    write_raster(path)
    os.utime(path, (time.time() - age, time.time() - age))


def test_images_that_are_there_and_complete_are_found(tmp_path: Path) -> None:
    mapping, out = tmp_path / "many.yaml", tmp_path / "map"
    mapping.write_text("a: a.ome.tif\nb: b.ome.tif\n")

    def found(settled: float) -> dict[str, str]:
        return settled_images(mapped_jobs(mapping, out, ALL).jobs, settled)

    assert found(60) == {}
    image(tmp_path / "a.ome.tif", age=30)
    image(tmp_path / "b.ome.tif", age=90)
    assert [*found(60)] == ["b"]
    first = found(20)
    assert [*first] == ["a", "b"]
    assert found(20) == first
    image(tmp_path / "b.ome.tif", age=90)
    second = found(20)
    assert (second["a"] == first["a"], second["b"] == first["b"]) == (True, False)
    mapping.write_text("a: {path: a.ome.tif, rotate: 90}\nb: b.ome.tif\n")
    third = found(20)
    assert (third["a"] == second["a"], third["b"] == second["b"]) == (False, True)


def test_the_deployments_find_their_flows_by_the_names_that_they_have_always_had() -> None:
    file = Path(__file__).parents[2] / "deployments" / "prefect.yaml"
    deployments = yaml.safe_load(file.read_text(encoding="utf-8"))["deployments"]
    found = {one["name"]: load_flow_from_entrypoint(one["entrypoint"]).name for one in deployments}
    assert found == {"import-image": "import-image", "import-images": "import-images", "watch-folder": "import-new"}


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_a_look_imports_what_is_new_and_nothing_else(tmp_path: Path) -> None:
    mapping, out = tmp_path / "many.yaml", tmp_path / "map"
    mapping.write_text("a: a.ome.tif\nb: b.ome.tif\n")
    image(tmp_path / "a.ome.tif", age=90)

    def idle() -> bool:
        state = watch_folder(mapping, out, ALL, return_state=True)
        return (state.type.value, state.message) == ("COMPLETED", "nothing new among 2 images")

    first = watch_folder(mapping, out, ALL)
    assert isinstance(first, RunResult)
    assert [found.img_id for found in first.images] == ["a"]
    assert idle()
    image(tmp_path / "b.ome.tif", age=90)
    second = watch_folder(mapping, out, ALL)
    assert isinstance(second, RunResult)
    assert [found.img_id for found in second.images] == ["b"]
    assert second.catalogs[0].added == ("b",)
    (tmp_path / "b.ome.tif").write_bytes(b"no image")
    assert [*failed(mapping, out)] == ["b"]
    assert [*failed(mapping, out)] == ["b"]  # tried each time
    image(tmp_path / "b.ome.tif", age=90)
    mapping.write_text("b: b.ome.tif\na: {path: a.ome.tif}\n")
    os.utime(tmp_path / "a.ome.tif", (1, 1))
    assert len(watch_folder(mapping, out, ALL).images) == 2
    assert idle()  # although no archive of a was written
    (out / "a.pmtiles").unlink()
    assert [found.img_id for found in watch_folder(mapping, out, ALL).images] == ["a"]


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_points_that_were_exchanged_are_looked_at_again_and_nothing_is_cut(tmp_path: Path) -> None:
    mapping, out = tmp_path / "many.yaml", tmp_path / "map"
    mapping.write_text("a: {path: picture.png, pixel_size: 1, check_points: points.csv}\n")
    nuclei(tmp_path)

    def look() -> tuple[bool, str]:
        result = watch_folder(mapping, out, ALL, settled=0)
        assert isinstance(result, RunResult)
        (found,) = result.images
        assert found.tiles
        assert found.overlay
        return found.tiles.cached, found.overlay.lies

    assert look() == (False, "right")
    assert watch_folder(mapping, out, ALL, settled=0).images == ()
    nuclei(tmp_path, shift=(30, 0))
    assert look() == (True, "wrong")


@pytest.mark.usefixtures("server")
def test_what_cannot_be_looked_at_fails_alone_and_each_time(tmp_path: Path) -> None:
    mapping, out = tmp_path / "many.json", tmp_path / "map"
    (tmp_path / "loop").symlink_to("loop")
    bad = {"below": "many.json/x.tif", "long": "x" * 300, "loop": "loop", "nul": "a\0b"}
    mapping.write_text(json.dumps({"a": "a.ome.tif", "gone": "gone.ome.tif", **bad}))
    image(tmp_path / "a.ome.tif", age=90)
    with pytest.raises(RunError) as caught:
        watch_folder(mapping, out, ALL)
    assert [one.img_id for one in caught.value.result.images] == ["a"]
    assert set(caught.value.failures) == set(bad)
    for words in ("Not a directory", "File name too long", "symbolic link", r"'a\x00b' holds a NUL"):
        assert words in caught.value.table()
    state = watch_folder(mapping, out, ALL, return_state=True)
    assert state.type.value == "FAILED"
    assert "4 of 4 images failed" in str(state.message), "a is remembered, the others are tried each time"
    assert all(name in str(state.message) for name in bad)


def failed(mapping: Path, out: Path) -> dict[str, Exception]:
    with pytest.raises(RunError) as caught:
        watch_folder(mapping, out, ALL, settled=0)
    return caught.value.failures


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_the_mapping_of_a_scanned_run_needs_nothing_more(tmp_path: Path) -> None:
    spotted.xenium(tmp_path / "run")
    (tmp_path / "run" / "images.yaml").write_text(
        mapping_text(scan(tmp_path / "run"), tmp_path / "run" / "images.yaml"), encoding="utf-8"
    )
    result = watch_folder(tmp_path / "run" / "images.yaml", tmp_path / "map", SharedOptions(), settled=0)
    assert isinstance(result, RunResult)
    assert [found.img_id for found in result.images] == ["DAPI", "ATP1A1-CD45-E-Cadherin", "morphology"]
    assert len(result.catalogs) == 1
