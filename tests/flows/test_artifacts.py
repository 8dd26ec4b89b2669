"""What a run leaves in the Prefect UI, read back from its server."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tifffile
from PIL import Image
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import FlowRunSort
from support.archives import read_archive
from support.maps import psnr
from support.overlays import nuclei
from support.rasters import noise

from cartloader_flows.import_image import import_image
from cartloader_flows.import_images import import_images
from cartloader_image.drawing import draw_caption
from cartloader_image.params import ImportOptions
from cartloader_image.report import Stage
from cartloader_image.results import RunError, RunResult
from cartloader_tasks.artifacts import _key, image_progress, run_progress

ALL = ImportOptions(ome2png=True, png2pmtiles=True, update_catalog=True)


def artifacts(server: str) -> dict[str, Any]:
    """The artifacts of the latest flow run, by key."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)[0]
    wanted = {"artifacts": {"flow_run_id": {"any_": [str(run.id)]}}}
    found = httpx.post(f"{server}/artifacts/filter", json=wanted).json()
    # The keys end with the directory and some letters of a digest of its path.
    return {re.sub("-map-[0-9a-f]{4}$", "", one["key"]): one["data"] for one in found}


def pictures(markdown: str) -> list[Image.Image]:
    return [Image.open(BytesIO(b64decode(data))) for data in re.findall(r"data:image/webp;base64,([^)]*)", markdown)]


def test_an_image_has_its_page(server: str, slide: Path, tmp_path: Path) -> None:
    import_image(slide, "Dapi_1", tmp_path / "map", ALL)
    found = artifacts(server)
    page = found["image-dapi-1"]
    preview, histogram = pictures(page)
    expected = draw_caption(tmp_path / "map" / "Dapi_1.pmtiles", "Dapi_1", 640)
    assert preview.size == expected.size
    seen = np.asarray(expected)[..., 3] == 255
    assert psnr(np.asarray(preview.convert("RGBA"))[seen], np.asarray(expected)[seen]) > 30
    assert np.asarray(histogram.convert("L")).min() < 100
    assert len(page) < 70_000
    assert "| size | 80 × 60 pixels |" in page
    assert "| µm per pixel | 0.25 × 0.25 |" in page
    assert "| bounds (µm) | 0,15,20,0 |" in page
    assert "| placed by | ome |\n| affine (column, row → x, y) | 0.25, 0, 0, 0, 0.25, 0 |" in page
    assert "shown" not in page.splitlines()[0]
    asset = json.loads(page.partition("```json\n")[2].partition("```")[0])
    assert asset == {"Dapi_1": str(tmp_path / "map" / "Dapi_1.pmtiles")}
    (row,) = json.loads(found["images"])
    assert (row["image"], row["state"]) == ("Dapi_1", "done")
    assert "+    Dapi_1: Dapi_1.pmtiles" in found["catalog-catalog"].replace("+      ", "+    ")
    assert float(found["progress"]) == 100

    import_image(slide, "Dapi_1", tmp_path / "map", ALL)
    again = artifacts(server)
    assert "image-dapi-1" not in again, "its page is there already"
    assert json.loads(again["images"])[0]["state"] == "as made before"
    assert "Nothing to change" in again["catalog-catalog"]


def test_the_page_of_an_image_by_landmarks(server: str, slide: Path, tmp_path: Path) -> None:
    points = tmp_path / "points.csv"
    points.write_text("col,row,x,y\n0,0,0,0\n40,0,20,0\n0,20,0,10\n40,20,20,10.4\n")
    import_image(slide, "a", tmp_path / "map", ImportOptions(png2pmtiles=True, georef_landmarks=points))
    page = artifacts(server)["image-a"]
    assert f"| SHA-256 of `points.csv` | `{sha256(points.read_bytes()).hexdigest()}` |" in page
    assert "| landmarks | affine, RMS 0.1 µm, worst 0.1 µm; of each point: 0.1, 0.1, 0.1, 0.1 µm |" in page


def test_what_was_found_out_about_points_is_told_wherever_somebody_looks(server: str, tmp_path: Path) -> None:
    picture, points = nuclei(tmp_path, shift=(30, 0)), tmp_path / "points.csv"
    asked = {"png2pmtiles": True, "update_catalog": True, "pixel_size": "1", "check_points": points}
    import_image(picture, "a", tmp_path / "map", ImportOptions(**asked))
    found = artifacts(server)
    line = "under points.csv: it would lie right moved, by +30.0 µm in x and +0.0 µm in y ("
    assert f"| held against points | {line}" in found["image-a"]
    assert "- it does not lie under points.csv: " in found["image-a"]
    plain, with_points, _ = (np.asarray(one.convert("RGB")).astype(int) for one in pictures(found["image-a"]))
    assert plain.shape[1] == with_points.shape[1] == 640
    yellow = [(one[:-28, :, 0] - one[:-28, :, 2] > 60).mean() for one in (plain, with_points)]
    assert yellow[0] == 0 < yellow[1]
    assert "import it again with --georef-offset-x 30.0" in found["image-a"]
    assert f"| a | {line}" in found["catalog-catalog"]
    assert json.loads(found["images"])[0]["lies"] == "wrong"
    with pytest.raises(RunError, match=r"a\.pmtiles: does not lie under points\.csv: it would"):
        import_image(picture, "a", tmp_path / "map", ImportOptions(**asked | {"overlay_strict": True}))
    assert json.loads(artifacts(server)["images"])[0]["state"] == "failed"


def test_a_run_of_many_has_its_table(server: str, slide: Path, tmp_path: Path) -> None:
    (tmp_path / "many.yaml").write_text(f"a: {slide.name}\nb: none.tif\nc: {slide.name}\n")
    with pytest.raises(RunError):
        import_images(tmp_path / "many.yaml", tmp_path / "map", ALL, n_jobs=2)
    found = artifacts(server)
    rows = {row["image"]: row for row in json.loads(found["images"])}
    assert list(rows) == ["b", "a", "c"], "what failed is first"
    assert {name: row["state"] for name, row in rows.items()} == {"a": "done", "b": "failed", "c": "done"}
    assert "none.tif: cannot be read" in rows["b"]["why"]
    assert {"image-a", "image-c", "progress", "catalog-catalog"} <= found.keys()
    assert "image-b" not in found


def test_notes_are_told_of_also_of_what_was_made_before(server: str, tmp_path: Path) -> None:
    path = tmp_path / "more.tif"
    tifffile.imwrite(path, noise((60, 80, 5)), photometric="rgb", planarconfig="contig")
    options = ImportOptions(png2pmtiles=True, pixel_size="0.5", catalog_yaml=tmp_path / "c.yaml")
    for again in (False, True):
        result = import_image(path, "a", tmp_path / "map", options)
        found = artifacts(server)
        page = json.loads(found["images"])[0]["why"] if again else found["image-a"]
        assert "its 2 further samples of a pixel, which the file does not call alpha, are left out" in page
        assert "--catalog-yaml does nothing without --update-catalog" in page
        assert isinstance(result, RunResult)
    assert result.images[0].cached
    notes = read_archive(tmp_path / "map" / "a.pmtiles").metadata["cartloader"]["notes"]
    assert notes == ["its 2 further samples of a pixel, which the file does not call alpha, are left out"]


def test_a_run_comes_further_by_the_stages_of_its_images(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cartloader_tasks.artifacts._EVERY", 0)
    percents = []

    @flow
    def run() -> None:
        with run_progress(2, Path("map")):
            for img_id, stage, done, total in (
                ("a", Stage.WAITING, 1, 1),
                ("a", Stage.INTENSITY, 1, 2),
                ("a", Stage.OME2PNG, 4, 4),
                ("a", Stage.OVERVIEWS, 0, 100),
                ("a", Stage.PNG2PMTILES, 2, 2),
                ("b", Stage.ON_THE_CLUSTER, 0, 1),
                ("b", Stage.ON_THE_CLUSTER, 1, 1),
            ):
                image_progress(img_id)(stage, done, total)
                percents.append(float(artifacts(server)["progress"]))

    run()
    assert percents == pytest.approx([0, 10, 20, 20, 47.5, 47.5, 95])


def test_two_directories_of_one_name_have_artifacts_of_their_own(tmp_path: Path) -> None:
    keys = {_key("images", tmp_path / run / "map") for run in "ab"}
    assert len(keys) == 2
    assert all(re.fullmatch("images-map-[0-9a-f]{4}", key) for key in keys)


def test_a_run_is_named_after_what_it_does_and_tagged(server: str, slide: Path, tmp_path: Path) -> None:
    (tmp_path / "many.yaml").write_text(f"a: {slide.name}\nb: {slide.name}\n")
    import_images(tmp_path / "many.yaml", tmp_path / "map", ALL)
    import_image(slide, "c", tmp_path / "map", ALL)
    with get_client(sync_client=True) as client:
        latest = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=2)
    assert [run.name for run in latest] == ["c → map", "many.yaml → map, 2 images"]
    assert [run.tags for run in latest] == [["cartloader"]] * 2
