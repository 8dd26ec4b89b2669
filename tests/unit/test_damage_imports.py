"""Damage in imports: what is said of it, and what is kept, wherever it lies: tiles, pictures, masks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image
from support.damage import cut, grain, hurt, tiles
from support.rasters import noise, params_for, read_image, read_whole, with_source
from support.reports import Notes

from cartloader_image import import_image, open_archive
from cartloader_image.errors import InputError
from cartloader_image.recipe import actions


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shrink", [1, 2])
def test_an_import_says_the_same_of_its_damage_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: type[np.generic], shrink: int
) -> None:
    """16 bits are read for their quantiles first; neither that nor the number of threads changes what is counted."""
    path = tmp_path / "a.tif"
    picture = noise((200, 300), dtype) // 16
    tifffile.imwrite(path, picture, compression="zlib", tile=(32, 32), metadata=None)
    hurt(path, cut, [3, 17, 40])
    note = "3 of its 70 tiles are damaged, and left as decoded; the first is tile 3, from column 96 and row 0 on"
    made = []
    for cores in (1, 4):
        monkeypatch.setattr(actions, "cores", lambda cores=cores: cores)
        told = Notes()
        image = import_image(
            path, out_dir=tmp_path / f"out{cores}", img_id="a", report=told, damaged="keep", pixel_size="1",
            shrink_factor=shrink, ome2png=True,
        )  # fmt: skip
        assert image.notes == (note,)
        assert told.notes == [note]
        assert image.raster is not None
        assert image.tiles is not None
        assert open_archive(image.tiles.path).metadata["cartloader"]["notes"] == [note]
        made.append([image.tiles.path.read_bytes(), image.raster.files[0].read_bytes()])
    assert made[0] == made[1]


def test_what_an_import_kept_lies_where_it_lay(tmp_path: Path) -> None:
    """The note makes the description longer, which then moves behind the pixels; GDAL still reads these."""
    path = tiles(tmp_path / "a.tif", "zlib")
    hurt(path, cut)
    result = actions.ome2png(params_for(path, damaged="keep", pixel_size="1"))
    with rasterio.open(result.files[0]) as dataset:
        np.testing.assert_array_equal(np.moveaxis(dataset.read(), 0, -1), read_image(path, damaged="keep"))
        assert json.loads(dataset.tags()["TIFFTAG_IMAGEDESCRIPTION"])["cartloader"]["notes"] == list(result.notes)


def test_the_first_damaged_tile_is_named_whatever_the_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise((640, 640)), compression="zlib", tile=(32, 32), metadata=None)
    hurt(path, cut, [37, 38, 41, 300])
    for cores in (1, 2, 7):
        monkeypatch.setattr(actions, "cores", lambda cores=cores: cores)
        with pytest.raises(InputError, match=r"its tile 37, .* as are 4 of the 363 tiles seen from there on"):
            import_image(path, out_dir=tmp_path / "out", img_id="a", pixel_size="1")
    assert not list((tmp_path / "out").glob("a*"))


def test_many_tiles_are_not_all_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise((640, 640)), compression="zlib", tile=(16, 16), metadata=None)
    hurt(path, cut, [100, 611, 612])
    with pytest.raises(InputError, match=r"its tile 100, .* as are 2 of the 512 tiles seen from there on"):
        read_image(path)


def test_damage_of_what_gdal_reads(tmp_path: Path) -> None:
    """YCbCr with fewer colours than pixels and no JPEG has no decoder but GDAL's."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        noise((64, 72)),
        compression="lzw",
        rowsperstrip=16,
        metadata=None,
        extratags=[(530, "H", 2, (2, 2), True)],
    )
    with tifffile.TiffFile(path, mode="r+") as file:  # 2 × 2 pixels are 6 bytes
        tags = {"ImageWidth": 48, "BitsPerSample": (8, 8, 8), "PhotometricInterpretation": 6, "SamplesPerPixel": 3}
        for name, value in tags.items():
            file.pages.first.tags[name].overwrite(value)
    whole = read_image(path)
    hurt(path, cut, [1, 3])
    with pytest.raises(
        InputError, match=r"its strip 1, .* and row 16 on, is damaged \(LZW: .*\), as are 2 of the 3 strips"
    ):
        read_image(path)
    kept, notes = with_source(path, lambda source: (read_whole(source.plane), source.found()), damaged="keep")
    assert notes[0].startswith("2 of its 4 strips are damaged")
    np.testing.assert_array_equal(kept[[*range(16), *range(32, 48)]], whole[[*range(16), *range(32, 48)]])
    assert not kept[16:32].any()


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_a_damaged_picture_is_kept_where_asked(tmp_path: Path, name: str) -> None:
    path, picture = tmp_path / name, grain(400, 300)
    Image.fromarray(picture).save(path, quality=90)
    whole, data = read_image(path), path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] + (b"\xff\xd9" if name == "a.jpg" else bytes(9) + data[middle + 9 :]))
    with pytest.raises(InputError, match=r"is damaged or cut off near row \d+ \(.*\); add --damaged keep"):
        read_image(path)
    kept, notes = with_source(path, lambda source: (read_whole(source.plane), source.found()), damaged="keep")
    np.testing.assert_array_equal(kept[:150], whole[:150])
    assert re.match(r"is damaged near row \d+ \(.*\), and left as decoded", notes[0])
    if name == "a.png":
        lost = int(re.findall(r"its last (\d+) rows are lost", notes[0])[0])
        assert not kept[400 - lost :].any()
        assert 100 < lost < 250
    image = import_image(path, out_dir=tmp_path / "out", img_id="a", georef_bounds="0,400,300,0", damaged="keep")
    assert image.notes == notes


@pytest.mark.parametrize("kind", ["RGB", "L"])
@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_a_hole_in_a_jpeg_that_gdal_reads_over_is_told(tmp_path: Path, kind: str, how: dict[str, Any]) -> None:
    """Zeros are pixels to it; that they are too many, or too few, shows where the scan ends."""
    Image.fromarray(grain(300, 200)).convert(kind).save(tmp_path / "a.jpg", quality=90, **how)
    whole = read_image(tmp_path / "a.jpg")
    data = bytearray((tmp_path / "a.jpg").read_bytes())
    middle = (data.index(b"\xff\xda") + len(data)) // 2
    data[middle : middle + 2000] = bytes(2000)
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.jpg: is damaged or cut off .*; add --damaged keep"):
        read_image(tmp_path / "a.jpg")
    kept = read_image(tmp_path / "a.jpg", damaged="keep")
    assert (kept != whole).any()
    if "progressive" not in how:  # whose scans all go over the whole picture
        np.testing.assert_array_equal(kept[:64], whole[:64])


def test_a_damaged_mask_is_counted_too(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(noise((96, 96)), metadata=None)
        mask = np.ones((96, 96), bool)
        writer.write(mask, compression="zlib", photometric="mask", subfiletype=4, rowsperstrip=32, metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        page = file.pages[1]
        sizes = [page.databytecounts[0], 3, page.databytecounts[2]]
        page.tags["StripByteCounts"].overwrite(sizes)
    check_mask(path)


def test_a_damaged_mask_beside_the_picture_is_counted_too(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise((96, 96)), metadata=None)
    beside = tmp_path / "a.tif.msk"
    tifffile.imwrite(beside, np.full((96, 96), 255, np.uint8), compression="zlib", rowsperstrip=32, metadata=None)
    hurt(beside, cut)
    check_mask(path)


def check_mask(path: Path) -> None:
    """The second of three strips of its mask is damaged."""
    with pytest.raises(InputError, match=r"its strip 1, .* add --damaged keep"):
        read_image(path)
    kept, notes = with_source(path, lambda source: (read_whole(source.plane), source.found()), damaged="keep")
    assert notes == (
        "1 of its 3 strips is damaged, and left as decoded; the first is strip 1, from column 0 and row 32 on",
    )
    np.testing.assert_array_equal(kept[..., 1] > 0, np.repeat([True, False, True], 32)[:, None].repeat(96, 1))
