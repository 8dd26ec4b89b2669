"""Notes about places that what lies beside a picture speaks against; and none where it does not."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.maps import write_ome
from support.rasters import noise, params_for

from cartloader_image.recipe.opened import opened


def notes(path: Path, **options: Any) -> list[str]:
    with opened(params_for(path, **options)) as image:
        return list(image.notes)


@pytest.fixture
def stain(tmp_path: Path) -> Path:
    """Three folders deep, in colour, 0.5 µm per pixel."""
    (tmp_path / "run" / "a").mkdir(parents=True)
    return write_ome(tmp_path / "run" / "a" / "he.ome.tif", noise((20, 40, 3)), 0.5)


@pytest.mark.parametrize("folder", ["run/a", "run", "."])
def test_a_stain_in_the_folder_of_a_xenium_run(stain: Path, tmp_path: Path, folder: str) -> None:
    assert notes(stain) == []
    (tmp_path / folder / "experiment.xenium").write_text("{}")
    assert "its alignment" not in (text := "".join(notes(stain)))
    assert "it is in colour and lies at 0,0 by its own pixel size, in the folder of a Xenium run" in text
    assert notes(stain, rotate=90), "a turn is no alignment"
    assert notes(stain, georef_offset_x=100, georef_offset_y=5) == []
    assert notes(stain, georef_bounds="0,0,20,10") == []


def test_the_images_of_the_run_itself_raise_no_doubt(tmp_path: Path) -> None:
    (tmp_path / "experiment.xenium").write_text("{}")
    assert notes(write_ome(tmp_path / "morphology.ome.tif", noise((20, 40)), 0.2125)) == []


def test_a_stain_far_from_any_run(stain: Path, tmp_path: Path) -> None:
    (tmp_path.parent / "experiment.xenium").write_text("{}")
    assert notes(stain) == []
    (tmp_path.parent / "experiment.xenium").unlink()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"georef_bounds": "0,0,20.9,10.4"}, False),
        ({"georef_bounds": "0,0,21.1,10.55"}, True),
        ({"georef_bounds": "100,0,118.9,9.45"}, True),
        ({"georef_bounds": "100,50,120,40"}, False),
        ({"georef_bounds": "0,0,10,20", "rotate": 90}, False),
        ({"georef_bounds": "0,0,20,10", "shrink_factor": 2}, False),
        ({"georef_bounds": "0,0,20,10", "shrink_factor": 3}, False),
        ({"georef_bounds": "0,0,40,20", "srs": "EPSG:25832"}, False),
        ({"pixel_size": "3"}, False),  # to overrule the metadata is what it is for
        ({}, False),
    ],
)
def test_a_box_of_another_size_than_the_metadata_say(stain: Path, options: dict[str, Any], told: bool) -> None:
    found = [note for note in notes(stain, **options) if "by its metadata; is it the right place?" in note]
    assert len(found) == told


def table(path: Path, xs: tuple[float, float], ys: tuple[float, float], rows: int = 5000) -> Path:
    """Transcripts as MERSCOPE lists them, field by field, so that they begin in one corner."""
    columns = zip(np.linspace(*xs, rows), np.linspace(*ys, rows), strict=True)
    lines = (f'{n},7,{x:.3f},{y:.3f},0.0,"Gene, {n}"\n' for n, (x, y) in enumerate(columns))
    path.write_text(",barcode_id,global_x,global_y,global_z,gene\n" + "".join(lines))
    return path


@pytest.mark.parametrize("folder", ["run/a", "run"])
def test_transcripts_that_lie_elsewhere(stain: Path, tmp_path: Path, folder: str) -> None:
    table(tmp_path / folder / "detected_transcripts.csv", (500, 1500), (100, 2100))
    (told,) = notes(stain)
    assert told == (
        "it lies at x 0 … 20, y 0 … 10 µm, away from all that is in detected_transcripts.csv beside it "
        "(x 400 … 1,600, y -100 … 2,300 µm); is its place right?"
    )
    for inside in ((500, 100), (990, 1000), (1490, 2090), (1550, 2200), (385, 0)):
        assert notes(stain, georef_offset_x=inside[0], georef_offset_y=inside[1]) == [], inside
    for beyond in ((1605, 1000), (375, 1000), (1000, -115), (1000, 2305)):
        assert notes(stain, georef_offset_x=beyond[0], georef_offset_y=beyond[1]), beyond
    assert notes(stain, georef_bounds="500,200,490,190"), "of another size"


@pytest.mark.parametrize(
    "text",
    [
        b"", b"\n", b"global_x\n1\n", b"global_x,global_y\n", b"global_x,global_y\n900,900\nx,y\n", b"\xff\xfe,\n1,2\n",
        b'global_x,global_y\n"1,2\n', b"\0" * 9000, b"global_x,global_y\nnan,nan\n",
    ],
)  # fmt: skip
def test_a_table_that_says_nothing(stain: Path, text: bytes) -> None:
    (stain.parent / "detected_transcripts.csv").write_bytes(text)
    assert notes(stain) == []


def pixels(path: Path, x: int, y: int) -> None:
    path.write_bytes(gzip.compress(f"##K=12\n##OFFSET_X={x};OFFSET_Y={y};SIZE_X=676;SIZE_Y=676\n#X\tY\n".encode()))


def test_pixels_of_ficture_that_lie_elsewhere(stain: Path) -> None:
    pixels(stain.parent / "a.pixel.sorted.tsv.gz", 6690, 6772)
    assert "away from all that is in a.pixel.sorted.tsv.gz beside it (x 6,690 … 7,367, y 6,772" in "".join(notes(stain))
    assert notes(stain, georef_offset_x=7000, georef_offset_y=7000) == []
    pixels(stain.parent / "b.pixel.sorted.tsv.gz", 0, 0)  # of another sample in the same folder
    assert notes(stain) == []
    (stain.parent / "b.pixel.sorted.tsv.gz").write_bytes(b"no header")
    assert notes(stain)


def test_other_frames_are_left_alone(stain: Path) -> None:
    pixels(stain.parent / "a.pixel.sorted.tsv.gz", 6690, 6772)
    assert notes(stain, srs="EPSG:25832", georef_bounds="400000,5000000,400020,5000010") == []


@pytest.mark.parametrize("folder", [".", "..", "../.."])
def test_a_field_of_view_by_itself(tmp_path: Path, folder: str) -> None:
    """Which its positions would place, where they were asked for its size alone."""
    image = tmp_path / "CellStatsDir" / "CellComposite" / "CellComposite_F002.png"
    image.parent.mkdir(parents=True)
    Image.fromarray(noise((10, 20, 3))).save(image)
    table = image.parent / folder / "S0_fov_positions_file.csv"
    table.write_text("fov,x_global_px,y_global_px,x_global_mm,y_global_mm\n1,0,0,0,0\n2,100,0,0.012,0\n")
    note = "it is one field of view, and lies at 0,0; S0_fov_positions_file.csv says where, and goes to --fov-positions"
    assert notes(image, pixel_size=str(table)) == notes(image, pixel_size="0.12") == [note]
    assert notes(image, pixel_size="0.12", georef_offset_x=12) == notes(image, georef_bounds="0,0,2.4,1.2") == []
    table.unlink()
    assert notes(image, pixel_size="0.12") == []
