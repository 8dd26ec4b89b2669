"""By what an image was placed: told by its archive and the summary, with the digests of the files that said it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from affine import Affine
from support.affines import write_affine
from support.archives import read_archive
from support.maps import import_picture
from support.places import placed
from support.rasters import Raster, noise, params_for

from cartloader_flows.cli.main import main
from cartloader_image.recipe import actions

MATRIX = Affine(0.5, -0.25, 100.5, 0.125, 0.75, -7)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("options", "text", "origin"),
    [
        ({"georef_bounds": "0,0,40,20"}, None, "bounds"),
        ({"georef_bounds_tsv": "f"}, "0,0,40,20", "bounds"),
        ({"georef_pixel_tsv": "f"}, "#OFFSET_X=0;OFFSET_Y=0;SIZE_X=39;SIZE_Y=19", "pixel tsv"),
        ({"micron2pixel_csv": "f"}, "2 0 0\n0 2 0\n0 0 1", "vizgen"),
        ({"micron2pixel_csv": "f"}, "2 1 0\n0 2 0\n0 0 1", "vizgen"),
        ({"georef_affine": "f"}, "2 1 0\n0 2 0", "affine"),
        ({"xenium_alignment": "f"}, "2,1,0\n0,2,0\n0,0,1", "xenium alignment"),
        ({"georef_landmarks": "f"}, "col,row,x,y\n0,0,0,0\n9,0,5,1\n0,9,-1,5", "landmarks"),
        ({"pixel_size": "0.5"}, None, "pixel size"),
    ],
)
def test_the_origin_of_a_place(
    raster: Raster, tmp_path: Path, options: dict[str, Any], text: str | None, origin: str
) -> None:
    picture = raster("a.png", 20, 40, dtype=np.uint8)
    if text:
        (tmp_path / "f").write_text(text)
    options = {name: tmp_path / "f" if value == "f" else value for name, value in options.items()}
    receipt = placed(picture, **options).receipt
    assert (receipt.origin, receipt.files) == (origin, (tmp_path / "f",) if text else ())
    assert receipt.full_size == (40, 20)


def test_the_origin_of_a_place_that_the_image_tells(raster: Raster, tmp_path: Path) -> None:
    assert placed(raster("a.ome.tif", 20, 40)).receipt.origin == "ome"
    tifffile.imwrite(tmp_path / "b.tif", noise((20, 40)), resolution=(10_000, 10_000), resolutionunit="CENTIMETER")
    assert placed(tmp_path / "b.tif", georef_detect=True).receipt.origin == "detected (10000 pixels per cm)"
    world = tmp_path / "c.pgw"
    world.write_text("2\n0\n0\n-2\n1001\n4999\n")
    receipt = placed(raster("c.png", 20, 40, dtype=np.uint8)).receipt
    assert (receipt.origin, receipt.files) == ("world file", (world,))
    import_picture(raster("d.png", 20, 40, dtype=np.uint8), tmp_path / "out", georef_bounds="0,0,40,20")
    assert placed(tmp_path / "out/picture.geotif.tif").receipt.origin == "georeference"


def test_an_archive_tells_what_placed_its_picture(raster: Raster, tmp_path: Path) -> None:
    picture = raster("a.png", 20, 40, dtype=np.uint8)
    alignment = write_affine(tmp_path / "he_imagealignment.csv", MATRIX)
    (tmp_path / "experiment.xenium").write_text(json.dumps({"pixel_size": 0.5}))
    archive = import_picture(picture, tmp_path / "out", xenium_alignment=alignment, shrink_factor=2)
    said = read_archive(archive).metadata["cartloader"]
    assert said["affine"] == pytest.approx((Affine.scale(0.5) @ MATRIX @ Affine.scale(2))[:6])
    assert said["placing"] == {
        "origin": "xenium alignment",
        "files": {file.name: digest(file) for file in (alignment, tmp_path / "experiment.xenium")},
        "full_size": [40, 20],
    }


def test_landmarks_are_told_with_their_residuals(
    raster: Raster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = tmp_path / "points.csv"
    points.write_text("col,row,x,y\n0,0,0,0\n40,0,20,0\n0,20,0,10\n40,20,20,10.4\n")
    picture = raster("a.png", 20, 40, dtype=np.uint8)
    archive = import_picture(picture, tmp_path / "out", georef_landmarks=points)
    fit = read_archive(archive).metadata["cartloader"]["placing"]["landmarks"]
    # of a corner that is lifted by 0.4 an affine takes up three quarters
    assert fit["residuals"] == pytest.approx([0.1] * 4)
    assert (fit["model"], fit["rms"], fit["worst"]) == ("affine", pytest.approx(0.1), pytest.approx(0.1))
    argv = ["import_image", "--direct", "--png2pmtiles", "--in-img", str(picture), "--out-dir", str(tmp_path / "map")]
    assert main([*argv, "--img-id", "a", "--georef-landmarks", str(points)]) == 0
    said = "  landmarks: affine, RMS 0.1 µm, worst 0.1 µm; of each point: 0.1, 0.1, 0.1, 0.1 µm\n"
    assert said in capsys.readouterr().out


def test_the_summary_tells_what_placed_an_image(
    raster: Raster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, matrix = raster("a.png", 20, 40, dtype=np.uint8), write_affine(tmp_path / "m.csv", MATRIX)
    argv = ["import_image", "--direct", "--png2pmtiles", "--in-img", str(picture), "--out-dir", str(tmp_path / "map")]
    assert main([*argv, "--img-id", "a", "--georef-affine", str(matrix)]) == 0
    out = capsys.readouterr().out
    assert f"  placed by affine (m.csv {digest(matrix)[:12]}…): 0.5,-0.25,100.5,0.125,0.75,-7\n" in out


def test_a_result_keeps_what_placed_an_image(raster: Raster, tmp_path: Path) -> None:
    """Also as the text by which a task run is kept."""
    matrix = write_affine(tmp_path / "m.csv", MATRIX)
    result = actions.georeference(params_for(raster("a.png", 20, 40, dtype=np.uint8), georef_affine=matrix))
    assert result.placing is not None
    assert result.placing.affine == MATRIX[:6]
    assert type(result).model_validate_json(result.model_dump_json()) == result
