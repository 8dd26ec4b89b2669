"""What mutants brought to light, each by a file that is made for it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from support.archives import WORLD, cut, encoded, write_archive
from support.rasters import smooth
from support.tags import entries, with_entry

import cartloader_image as cl


@pytest.mark.parametrize("code", [324, 325])
def test_places_of_tiles_that_are_no_numbers_are_told(tmp_path: Path, code: int) -> None:
    tifffile.imwrite(tmp_path / "a.tif", smooth(64, 64, 1), tile=(32, 32))
    data = with_entry((tmp_path / "a.tif").read_bytes(), code, 2, b"777\0")
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(cl.InputError, match="the places of its strips or tiles are no whole numbers"):
        cl.import_image(tmp_path / "a.tif", out_dir=tmp_path, img_id="a", pixel_size=1)


@pytest.mark.parametrize(("code", "kind"), [(529, 7), (532, 7), (529, 5), (532, 5)])
def test_coefficients_of_ycbcr_that_are_none_are_told(tmp_path: Path, code: int, kind: int) -> None:
    tifffile.imwrite(tmp_path / "a.tif", smooth(64, 64, 3), photometric="ycbcr")
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(with_entry(data, code, kind, struct.pack("<2I", 1, 3)))
    with pytest.raises(cl.InputError, match="YCbCr coefficients or reference black and white make no sense"):
        cl.import_image(tmp_path / "a.tif", out_dir=tmp_path, img_id="a", pixel_size=1)


@pytest.mark.parametrize("data", [b"no picture", encoded(smooth(64, 64, 3))[:-300], b"\x89PNG\r\n\x1a\n"])
def test_a_piece_of_an_archive_whose_tile_is_no_picture(tmp_path: Path, data: bytes) -> None:
    path = write_archive(tmp_path / "a.pmtiles", {(1, 0, 0): encoded(smooth(64, 64, 3)), (1, 1, 0): data}, **WORLD)
    with cl.open_archive(path) as archive, pytest.raises(cl.ArchiveError, match=r"tile 1/1/0 cannot be decoded"):
        archive.read(size=50)


def test_a_small_picture_of_many_fine_tiles_takes_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A picture of 2048 × 1024 pixels whose coarsest zoom is its finest, read 64 pixels wide."""
    whole = smooth(1024, 2048, 3)
    path = write_archive(tmp_path / "a.pmtiles", cut(whole, 6, 16, 8, 128), **WORLD)
    made, inner = [], Image.new

    def counted(mode: str, size: tuple[int, int], *more: Any) -> Image.Image:
        made.append(size[0] * size[1])
        return inner(mode, size, *more)

    monkeypatch.setattr(Image, "new", counted)
    with cl.open_archive(path) as archive:
        found = archive.read(size=64)
    assert max(made) <= (2 * 64 + 32) ** 2
    assert found.shape == (32, 64, 4)
    expected = whole.reshape(32, 32, 64, 32, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(found[1:-1, 1:-1, :3], expected[1:-1, 1:-1], atol=3)


def test_a_sentence_about_a_pixel_file_is_no_longer_than_one(tmp_path: Path) -> None:
    Image.fromarray(smooth(9, 9, 1)).save(tmp_path / "a.png")
    (tmp_path / "a.tsv").write_text(f"#OFFSET_X=1;OFFSET_Y=2;SIZE_X=30;SIZE_Y={'7x' * 9999}\n")
    with pytest.raises(cl.InputError, match="SIZE_Y is '7x7x") as error:
        cl.import_image(tmp_path / "a.png", out_dir=tmp_path, img_id="a", georef_pixel_tsv=tmp_path / "a.tsv")
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("code", "kind", "value", "words"),
    [
        (322, 3, struct.pack("<3H", 32, 32, 32), "its tilewidth is no whole number"),
        (262, 3, struct.pack("<3H", 1, 1, 1), "its photometric is no whole number"),
        (262, 2, b"\x02\0", "its photometric is no whole number"),
        (277, 3, struct.pack("<H", 0), "its pixels have no samples"),
        (262, 3, struct.pack("<H", 3), "its palette is not one of red, green and blue"),
    ],
)
def test_what_a_tag_cannot_be_is_told(tmp_path: Path, code: int, kind: int, value: bytes, words: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", smooth(64, 64, 1), tile=(32, 32))
    data = with_entry((tmp_path / "a.tif").read_bytes(), code, kind, value)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(cl.InputError, match=rf"a\.tif: is no TIFF that can be read \({words}\)"):
        cl.inspect(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("code", "kind", "value", "words"),
    [
        (338, 2, b"\x01", "its extrasamples are no whole numbers"),
        (347, 3, struct.pack("<2H", 0xD8FF, 0xD9FF), "its JPEG tables are no bytes"),
    ],
)
def test_what_a_tag_of_many_values_cannot_be_is_told(
    tmp_path: Path, code: int, kind: int, value: bytes, words: str
) -> None:
    tables = (347, "B", 4, b"\xff\xd8\xff\xd9", True)
    tifffile.imwrite(tmp_path / "a.tif", smooth(64, 64, 4), tile=(32, 32), extrasamples=[2], extratags=[tables])
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(with_entry(data, code, kind, value))
    with pytest.raises(cl.InputError, match=rf"a\.tif: is no TIFF that can be read \({words}\)"):
        cl.inspect(tmp_path / "a.tif")


@pytest.mark.parametrize("photometric", [0, 1, 2])
def test_samples_of_more_bits_than_the_file_says_are_told(tmp_path: Path, photometric: int) -> None:
    """A codec has a width of its own: JPEG gives out 8 bits, whatever BitsPerSample says."""
    bands = 3 if photometric == 2 else 1
    tifffile.imwrite(tmp_path / "a.tif", smooth(64, 64, bands), photometric="rgb" if bands == 3 else "minisblack",
                     compression="jpeg", tile=(32, 32))  # fmt: skip
    data = (tmp_path / "a.tif").read_bytes()
    data = with_entry(data, 258, 3, struct.pack("<3H", 4, 4, 4)[: 2 * bands])
    (tmp_path / "a.tif").write_bytes(with_entry(data, 262, 3, struct.pack("<H", photometric)))
    with pytest.raises(cl.InputError, match="has samples of more than the 4 bits that its BitsPerSample says"):
        cl.import_image(tmp_path / "a.tif", out_dir=tmp_path, img_id="a", pixel_size=1)


@pytest.mark.parametrize("far", [5000, 1 << 62, (1 << 63) + 8])
def test_directories_may_lead_beyond_the_end_of_the_file(tmp_path: Path, far: int) -> None:
    tifffile.imwrite(tmp_path / "a.tif", smooth(64, 64, 1), bigtiff=True)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    last = entries(bytes(data))[-1]
    struct.pack_into("<Q", data, last.position + 20, far)
    (tmp_path / "a.tif").write_bytes(data)
    [series] = cl.inspect(tmp_path / "a.tif").series
    assert len(series.planes) == 1
