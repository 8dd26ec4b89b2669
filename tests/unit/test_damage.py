"""Strips and tiles in which pixels are missing or invented: refused, or kept and counted; and nothing else is."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image
from rasterio.io import MemoryFile
from support.damage import CODECS, RGB, SIDE, Hurt, cut, grain, half_of_another, hurt, tiles, zeros
from support.rasters import noise, read_image, read_whole, smooth, with_source

from cartloader_image.errors import InputError
from cartloader_image.images.chunks import Jpeg
from cartloader_image.images.damage import Damaged
from cartloader_image.images.strict import telling


@pytest.mark.parametrize("how", [cut, zeros, half_of_another])
@pytest.mark.parametrize("codec", CODECS)
def test_damage_is_refused_and_says_where(tmp_path: Path, codec: str, how: Hurt) -> None:
    path = tiles(tmp_path / "a.tif", codec)
    hurt(path, how, [4, 5])
    with pytest.raises(InputError) as error:
        read_image(path)
    assert re.fullmatch(
        r".*a\.tif: its tile 4, from column 64 and row 64 on, is damaged \(\w+: .+\), as are 2 of the 2 tiles seen "
        r"from there on; add --damaged keep to import what its decoder makes of it",
        str(error.value),
    )


@pytest.mark.parametrize("how", [cut, zeros])
@pytest.mark.parametrize("codec", CODECS)
def test_damage_is_kept_where_asked_and_the_rest_is_as_it_was(tmp_path: Path, codec: str, how: Hurt) -> None:
    path = tiles(tmp_path / "a.tif", codec)
    whole = read_image(path)
    hurt(path, how, [1, 5])
    kept, notes = with_source(path, lambda source: (read_whole(source.plane), source.found()), damaged="keep")
    assert notes == (
        "2 of its 6 tiles are damaged, and left as decoded; the first is tile 1, from column 64 and row 0 on",
    )
    differs = (kept != whole).any(axis=-1).reshape(2, SIDE, 3, SIDE).any(axis=(1, 3))
    np.testing.assert_array_equal(differs, [[False, True, False], [False, False, True]])


def test_what_a_jpeg_still_has_is_kept(tmp_path: Path) -> None:
    """Pillow, which reads JPEGs that are cut off where it is told to, sees the same."""
    path = tiles(tmp_path / "a.tif", "jpeg", tile=None, rowsperstrip=128)
    whole = read_image(path)
    hurt(path, cut, [0])
    kept = read_image(path, damaged="keep")
    np.testing.assert_array_equal(kept[:60], whole[:60])
    assert (kept[-16:] != whole[-16:]).any()
    with Image.open(path) as pillow:
        assert np.abs(kept[:60].astype(int) - np.asarray(pillow.convert("RGB"))[:60]).max() <= 3


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("codec", ["lzw", "zlib"])
def test_rows_before_the_damage_are_kept(tmp_path: Path, codec: str, predictor: bool) -> None:
    """The last of two strips has fewer rows than the first."""
    path, picture = tmp_path / "a.tif", noise((150, 40, 3), np.uint16) // 9
    tifffile.imwrite(path, picture, compression=codec, predictor=predictor, rowsperstrip=100, metadata=None, **RGB)
    hurt(path, cut, [1])
    hurt(path, lambda data: data[: len(data) // 2] + b"\x55" * 9 + data[len(data) // 2 + 9 :], [0])
    kept = read_image(path, damaged="keep")
    np.testing.assert_array_equal(kept[:45], picture[:45])
    np.testing.assert_array_equal(kept[100:125], picture[100:125])
    assert not kept[135:].any()


@pytest.mark.parametrize(("background", "seen"), [(None, [0, 0, 0]), ("white", [255] * 3), ("transparent", [0] * 4)])
def test_where_nothing_is_decoded_is_what_the_background_says(
    tmp_path: Path, background: str | None, seen: list[int]
) -> None:
    path = tiles(tmp_path / "a.tif", "zstd")
    hurt(path, cut)
    kept = read_image(path, damaged="keep", background=background)
    assert (kept[:SIDE, SIDE : 2 * SIDE] == seen).all()
    assert (kept[SIDE:, :, :3] == grain(2 * SIDE, 3 * SIDE)[SIDE:]).all()


def test_a_strip_with_too_few_rows_keeps_those_that_it_has(tmp_path: Path) -> None:
    picture = smooth(96, 80, 1)
    tifffile.imwrite(tmp_path / "a.tif", picture, compression="jpeg", rowsperstrip=48, metadata=None)
    short = imagecodecs.jpeg8_encode(picture[:32], level=60)
    hurt(tmp_path / "a.tif", lambda _: short, [0])
    with pytest.raises(
        InputError, match=r"its strip 0, from column 0 and row 0 on, is damaged .*as is no other of the 2 strips"
    ):
        read_image(tmp_path / "a.tif")


def jpeg_tile(level: int, subsampling: tuple[int, int]) -> tuple[tifffile.TiffPage, bytes]:
    file = io.BytesIO()
    tifffile.imwrite(
        file, grain(SIDE, SIDE), compression="jpeg", photometric="ycbcr", subsampling=subsampling, tile=(SIDE, SIDE),
        metadata=None, compressionargs={"level": level},
    )  # fmt: skip
    file.seek(0)
    page = tifffile.TiffFile(file).pages.first
    return page, file.getvalue()[page.dataoffsets[0] :][: page.databytecounts[0]]


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
@pytest.mark.parametrize("level", [50, 95])
def test_a_jpeg_that_gdal_refuses_is_damaged(level: int, subsampling: tuple[int, int]) -> None:
    """GDAL stops at the last row, and sees less; of what both see nothing in, Pillow has the same pixels."""
    page, data = jpeg_tile(level, subsampling)
    decode, scan = telling(page, page.decode), data.rindex(b"\xff\xda") + 14
    random, verdicts = np.random.default_rng(3), {True: 0, False: 0}
    for _ in range(100):
        hit = bytearray(data)
        for place in random.integers(scan, len(data) - 2, random.integers(1, 4)):
            hit[place] ^= 1 << int(random.integers(8))
        try:
            decode(bytes(hit), 0)
            damaged = False
        except Damaged:
            damaged = True
        verdicts[damaged] += 1
        with rasterio.Env(GDAL_ERROR_ON_LIBJPEG_WARNING="YES"), MemoryFile(bytes(hit)) as memory:
            try:
                with memory.open() as dataset:
                    dataset.read()
            except rasterio.errors.RasterioError:
                assert damaged
    assert min(verdicts.values()) > 5


MENDS: dict[str, Hurt] = {
    "no end": lambda data: data[:-2],
    "zeros before the end": lambda data: data[:-2] + bytes(40) + data[-2:],
    "zeros behind the end": lambda data: data + bytes(30),
    "other bytes behind the end": lambda data: data + b"\x12\x34\xff\xa5" * 3,
    "fill bytes before a marker": lambda data: data[:2] + b"\xff\xff\xff" + data[2:],
    "stray bytes before a marker": lambda data: data[:2] + b"\0\x12\0" + data[2:],
    "a comment": lambda data: data[:2] + b"\xff\xfe\0\x06tile" + data[2:],
}


@pytest.mark.parametrize("mend", MENDS)
@pytest.mark.parametrize("photometric", ["ycbcr", "rgb"])
def test_what_is_harmless_in_a_jpeg_is_no_damage(photometric: str, mend: str) -> None:
    file = io.BytesIO()
    options: dict[str, Any] = {"compression": "jpeg", "photometric": photometric, "tile": (SIDE, SIDE)}
    tifffile.imwrite(file, grain(SIDE, SIDE), metadata=None, **options)
    file.seek(0)
    page = tifffile.TiffFile(file).pages.first
    data = file.getvalue()[page.dataoffsets[0] :][: page.databytecounts[0]]
    expected, _, _ = page.decode(data, 0, jpegtables=page.jpegtables)
    np.testing.assert_array_equal(telling(page, page.decode)(MENDS[mend](data), 0), expected[0])


@pytest.mark.parametrize("kind", ["grey", "planar", "cmyk", "tables", "edges", "twelve"])
def test_jpegs_of_all_kinds_are_decoded_as_tifffile_does(tmp_path: Path, kind: str) -> None:
    picture, path = grain(100, 90), tmp_path / "a.tif"
    options: dict[str, Any] = {"compression": "jpeg", "metadata": None, "tile": (32, 48)}
    if kind == "tables":  # as Aperio and libtiff write them
        profile = {"driver": "GTiff", "height": 100, "width": 90, "count": 3, "dtype": "uint8", "tiled": True}
        with rasterio.open(
            path, "w", **profile, blockxsize=32, blockysize=32, compress="JPEG", photometric="YCBCR",
            transform=rasterio.Affine(1, 0, 9, 0, -1, 9),
        ) as dataset:  # fmt: skip
            dataset.write(np.moveaxis(picture, -1, 0))
    elif kind == "grey":
        tifffile.imwrite(path, picture[..., 0], **options)
    elif kind == "planar":
        tifffile.imwrite(path, np.moveaxis(picture, -1, 0), photometric="rgb", planarconfig="separate", **options)
    elif kind == "twelve":
        tifffile.imwrite(path, picture[..., 0].astype(np.uint16) * 16, **options, bitspersample=12)
    elif kind == "edges":
        tifffile.imwrite(path, picture, photometric="ycbcr", **options | {"tile": None, "rowsperstrip": 48})
    else:
        four = np.dstack([picture, 255 - picture[..., :1]])
        tifffile.imwrite(path, four, photometric="separated", **options)
    with tifffile.TiffFile(path) as file:
        page, decode = file.pages.first, telling(file.pages.first, file.pages.first.decode)
        for index, (offset, size) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
            file.filehandle.seek(offset)
            data = file.filehandle.read(size)
            expected, _, _ = page.decode(data, index, jpegtables=page.jpegtables)
            found = decode(data, index)
            np.testing.assert_array_equal(found[: expected.shape[1]], expected[0])
            with pytest.raises(Damaged, match="it ends too early" if kind == "twelve" else "Corrupt JPEG data"):
                decode(data[:-12], index)


def silent(data: bytes) -> bytes:
    """A JPEG of RGB that does not say so: without Adobe's mark, its samples numbered as those of YCbCr are."""
    adobe = data.find(b"\xff\xee\x00\x0eAdobe")
    data = data if adobe < 0 else data[:adobe] + data[adobe + 16 :]
    parts = [data[:2]]
    for marker, start, end in Jpeg(data).segments():
        segment = bytearray(data[start:end])
        if marker == 0xC0:
            segment[10:19:3] = b"\1\2\3"
        elif marker == 0xDA:
            segment[5:11:2] = b"\1\2\3"
        parts.append(bytes(segment))
    return b"".join(parts)


def test_rgb_that_does_not_say_so_is_rgb_as_in_aperios_slides(tmp_path: Path) -> None:
    tile = grain(SIDE, SIDE)
    path = tiles(tmp_path / "a.tif", "png")  # larger than any JPEG of it
    data = silent(imagecodecs.jpeg8_encode(tile, level=90, colorspace="RGB", outcolorspace="RGB"))
    assert not {0xE0, 0xEE} & {marker for marker, _, _ in Jpeg(data).segments()}
    hurt(path, lambda _: data, [0, 1, 2, 4, 5])
    hurt(path, lambda _: data[:2] + b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0" + data[2:], [3])
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["Compression"].overwrite(7)
    read = read_image(path)
    assert np.abs(read[:SIDE, :SIDE].astype(int) - tile).mean() < 3
    np.testing.assert_array_equal(read[SIDE:, :SIDE], read[:SIDE, :SIDE])  # the first tile says what all of them are
    hurt(path, cut, [5])
    with pytest.raises(InputError, match=r"its tile 5, .* is damaged \(JPEG: Corrupt JPEG data"):
        read_image(path)


def test_a_tile_that_says_it_is_huge_is_damaged_and_nothing_is_made_of_it(tmp_path: Path) -> None:
    path = tiles(tmp_path / "a.tif", "jpeg")

    def huge(data: bytes) -> bytes:
        frame = data.index(b"\xff\xc0")
        return data[: frame + 5] + b"\xff\xdc\xff\xdc" + data[frame + 9 :]

    hurt(path, huge, [2])
    with pytest.raises(InputError, match=r"its tile 2, .* is damaged \(JPEG: it says that it holds far more than"):
        read_image(path)
    assert not read_image(path, damaged="keep")[:SIDE, 2 * SIDE :].any()


def test_a_jpeg_larger_than_its_tile_is_damaged(tmp_path: Path) -> None:
    path = tiles(tmp_path / "a.tif", "jpeg", compressionargs={"level": 98})
    hurt(path, lambda _: imagecodecs.jpeg8_encode(smooth(SIDE, SIDE + 8, 3), level=30), [2])
    with pytest.raises(InputError, match=r"its tile 2, .* is damaged"):
        read_image(path)


@pytest.mark.parametrize("codec", ["webp", "jpegxr", "jpeg2000"])
@pytest.mark.parametrize("shade", [0, 255, 243])
def test_blank_tiles_and_zeros_behind_them_are_no_damage(tmp_path: Path, codec: str, shade: int) -> None:
    path = tmp_path / "a.tif"
    picture = np.full((SIDE, 2 * SIDE, 3), shade, np.uint8)
    picture[:, :9] = grain(SIDE, 9)
    tifffile.imwrite(path, picture, compression=codec, tile=(SIDE, SIDE), metadata=None, **CODECS[codec])
    with tifffile.TiffFile(path) as file:
        page, decode = file.pages.first, telling(file.pages.first, file.pages.first.decode)
        for index, (offset, size) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
            file.filehandle.seek(offset)
            data = file.filehandle.read(size)
            np.testing.assert_array_equal(decode(data + bytes(99), index), page.decode(data, index)[0][0])


def test_a_jpeg_2000_without_the_mark_of_its_end_is_whole() -> None:
    data = imagecodecs.jpeg2k_encode(grain(SIDE, SIDE), codecformat="J2K", reversible=True)
    file = io.BytesIO()
    tifffile.imwrite(file, grain(SIDE, SIDE), compression="jpeg2000", tile=(SIDE, SIDE), metadata=None, **RGB)
    file.seek(0)
    page = tifffile.TiffFile(file).pages.first
    assert data.endswith(b"\xff\xd9")
    np.testing.assert_array_equal(telling(page, page.decode)(data[:-2], 0), grain(SIDE, SIDE))


@pytest.mark.parametrize("codec", ["CCITTRLE", "CCITTFAX3", "CCITTFAX4"])
def test_bilevel_data_that_end_too_early_are_damage(tmp_path: Path, codec: str) -> None:
    picture, path = (grain(64, 64)[..., 0] > 128).astype(np.uint8), tmp_path / "a.tif"
    profile = {"driver": "GTiff", "height": 64, "width": 64, "count": 1, "dtype": "uint8", "nbits": 1}
    with rasterio.open(path, "w", **profile, compress=codec, transform=rasterio.Affine(1, 0, 9, 0, -1, 9)) as dataset:
        dataset.write(picture, 1)
    np.testing.assert_array_equal(read_image(path), picture * 255)
    hurt(path, cut, [0])
    with pytest.raises(InputError, match=r"its strip 0, .* it ends too early"):
        read_image(path)


def without_its_end(data: bytes) -> bytes:
    """LZW without the code that ends it, in whole bytes."""
    bits = "".join(f"{byte:08b}" for byte in data).rstrip("0")
    width = next(width for width in range(9, 13) if int(bits[-width:], 2) == 257)
    bits = bits[:-width]
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def test_lzw_that_just_lacks_the_code_of_its_end_is_whole(tmp_path: Path) -> None:
    path = tiles(tmp_path / "a.tif", "lzw")
    hurt(path, without_its_end, range(6))
    np.testing.assert_array_equal(read_image(path), grain(2 * SIDE, 3 * SIDE))
    hurt(path, lambda data: data[:-1], range(6))
    with pytest.raises(InputError, match=r"its tile 0, .* as are 6 of the 6 tiles"):
        read_image(path)
