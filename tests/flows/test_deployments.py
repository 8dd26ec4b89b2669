"""The deployments as an operator uses them: a process worker, runs from the command line, on a real server."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import get_client
from support.rasters import Raster
from support.runs import run, states

pytestmark = pytest.mark.slow


def test_an_image_twice(worker: dict[str, str], slide: Path, tmp_path: Path) -> None:
    asked = {"in_img": slide, "img_id": "a", "out_dir": tmp_path / "map", "options": {"png2pmtiles": True}}
    first = run(worker, "import-image/import-image", **asked)
    assert states(first) == {"ome2png a": "Completed", "png2pmtiles a": "Completed"}
    second = run(worker, "import-image/import-image", **asked)
    assert states(second) == {"ome2png a": "Cached", "png2pmtiles a": "Cached"}
    assert second.total_run_time.total_seconds() < 5


def test_a_mapping_of_which_one_image_changes(worker: dict[str, str], raster: Raster, tmp_path: Path) -> None:
    for name in "ab":
        raster(f"{name}.ome.tif")
    (tmp_path / "many.yaml").write_text("a: a.ome.tif\nb: b.ome.tif\nc: c.ome.tif\n")
    options = {"png2pmtiles": True, "update_catalog": True}
    asked = {"in_json": tmp_path / "many.yaml", "out_dir": tmp_path / "map", "options": options, "n_jobs": 2}
    first = run(worker, "import-images/import-images", **asked)
    assert first.state
    assert (first.state.name, first.state.message) == ("Failed", "1 of 3 images failed: c")
    raster("b.ome.tif", 60, 81)
    raster("c.ome.tif", 60, 82)
    second = run(worker, "import-images/import-images", **asked)
    became = states(second)
    assert {name: state for name, state in became.items() if " " in name and "catalog" not in name} == {
        "ome2png a": "Cached", "png2pmtiles a": "Cached", "ome2png b": "Completed", "png2pmtiles b": "Completed",
        "ome2png c": "Completed", "png2pmtiles c": "Completed",
    }  # fmt: skip
    catalog = yaml.safe_load((tmp_path / "map" / "catalog.yaml").read_text())
    assert list(catalog["assets"]["basemap"]) == ["a", "b", "c"]


def test_a_relative_path_is_refused(worker: dict[str, str]) -> None:
    asked = {"in_img": "slide.tif", "img_id": "a", "out_dir": "/tmp/map", "options": {"png2pmtiles": True}}
    failed = run(worker, "import-image/import-image", **asked)
    assert failed.state
    assert "a relative path means another file to each worker" in str(failed.state.message)


def test_a_worker_that_does_not_see_the_files_says_so(worker: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "many.yaml").write_text("a: none.ome.tif\n")
    asked = {"out_dir": tmp_path / "map", "options": {"png2pmtiles": True}}
    for name, words in (("many.yaml", "none.ome.tif"), ("none.yaml", "none.yaml")):
        failed = run(worker, "import-images/import-images", in_json=tmp_path / name, **asked)
        assert failed.state
        assert f"{tmp_path}/{words}: not seen on {socket.gethostname()}; all machines need" in str(failed.state.message)


def test_the_schedule_waits_to_be_switched_on(worker: dict[str, str]) -> None:
    with get_client(sync_client=True) as client:
        (schedule,) = client.read_deployment_by_name("import-images/import-images").schedules
    assert not schedule.active
