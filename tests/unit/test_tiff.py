"""TIFF files of every layout and codec, against the arrays they were written from or an independent reader."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from support.rasters import noise, read_image, read_whole, smooth, with_source

from cartloader_image.errors import CartloaderError, InputError
from cartloader_image.images import samples as samples_module
from cartloader_image.images.plane import Plane
from cartloader_image.images.source import Source
from cartloader_image.window import Window

LOSSLESS = ["lzw", "zlib", "zstd", "packbits", "lerc", "lzma", "deflate", "png", "jpegxl", "jpeg2000"]
DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "f2", "f4", "f8"]


def same(path: Path, expected: NDArray[Any], **options: Any) -> None:
    np.testing.assert_array_equal(read_image(path, **options), expected)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("tile", [None, (16, 32)])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planar", [False, True])
def test_layouts(
    tmp_path: Path, byteorder: str, bigtiff: bool, tile: tuple[int, int] | None, compression: str | None, planar: bool
) -> None:
    picture = noise((45, 67, 3), np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif", np.moveaxis(picture, -1, 0) if planar else picture, photometric="rgb",
        planarconfig="separate" if planar else "contig", byteorder=byteorder, bigtiff=bigtiff, tile=tile,
        compression=compression, rowsperstrip=None if tile else 7,
    )  # fmt: skip
    same(tmp_path / "a.tif", picture)


@pytest.mark.parametrize("codec", LOSSLESS)
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("tile", [None, (32, 16)])
def test_lossless_codecs(tmp_path: Path, codec: str, dtype: str, tile: tuple[int, int] | None) -> None:
    picture = noise((50, 41), dtype)
    tifffile.imwrite(tmp_path / "a.tif", picture, compression=codec, tile=tile, rowsperstrip=None if tile else 20)
    same(tmp_path / "a.tif", picture)


@pytest.mark.parametrize("tile", [None, (64, 64)])
@pytest.mark.parametrize(("codec", "bands"), [("jpeg", 1), ("jpeg", 3), ("webp", 3), ("webp", 4), ("jpeg2000", 3)])
def test_lossy_codecs(tmp_path: Path, codec: str, bands: int, tile: tuple[int, int] | None) -> None:
    picture = smooth(120, 90, bands)
    tifffile.imwrite(
        tmp_path / "a.tif", picture, compression=codec, compressionargs={"level": 90}, tile=tile,
        photometric="minisblack" if bands == 1 else "rgb", rowsperstrip=None if tile else 32,
        extrasamples=["unassalpha"] if bands == 4 else None,
    )  # fmt: skip
    same(tmp_path / "a.tif", tifffile.imread(tmp_path / "a.tif"))
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - picture).mean() < 3


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 1), (2, 2)])
def test_jpeg_in_ycbcr_comes_out_as_rgb(tmp_path: Path, subsampling: tuple[int, int]) -> None:
    picture = smooth(120, 90, 3)
    tifffile.imwrite(
        tmp_path / "a.tif", picture, photometric="ycbcr", subsampling=subsampling, tile=(48, 32),
        compression="jpeg", compressionargs={"level": 95},
    )  # fmt: skip
    with Image.open(tmp_path / "a.tif") as pillow:
        expected = np.asarray(pillow.convert("RGB")).astype(int)
    # libjpeg is the decoder of both; upsampling of colour differs between builds by a few levels at most
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - expected).max() <= 3


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("predictor", [False, True])
def test_types_and_predictors(tmp_path: Path, dtype: str, byteorder: str, predictor: bool) -> None:
    if predictor and dtype == "u8":
        pytest.skip("tifffile writes no such file")
    picture = noise((33, 47), dtype)
    tifffile.imwrite(
        tmp_path / "a.tif", picture, compression="zlib" if predictor else None, predictor=predictor, byteorder=byteorder
    )
    read = read_image(tmp_path / "a.tif")
    assert read.dtype == (np.float32 if dtype == "f2" else np.dtype(dtype))
    np.testing.assert_array_equal(read, picture)


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_few_bits_are_stretched_to_eight(tmp_path: Path, bits: int, photometric: str) -> None:
    values = noise((20, 37)) >> (8 - bits)
    tifffile.imwrite(
        tmp_path / "a.tif", values.astype(bool) if bits == 1 else values, bitspersample=bits, photometric=photometric
    )
    grey = values * (255 // (2**bits - 1))
    same(tmp_path / "a.tif", grey if photometric == "minisblack" else 255 - grey)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_ten_to_fourteen_bits_stay_as_they_are(tmp_path: Path, bits: int) -> None:
    values = noise((20, 37), np.uint16) >> (16 - bits)
    tifffile.imwrite(tmp_path / "a.tif", values, bitspersample=bits)
    same(tmp_path / "a.tif", values)


def test_bilevel_fax(tmp_path: Path) -> None:
    picture = noise((40, 64)) > 128
    Image.fromarray(picture).save(tmp_path / "a.tif", compression="group4")
    same(tmp_path / "a.tif", picture * np.uint8(255))


@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_what_a_sparse_file_leaves_out_is_zero(
    tmp_path: Path, tile: tuple[int, int] | None, compression: str | None
) -> None:
    picture = noise((48, 40)) | 1
    tifffile.imwrite(tmp_path / "a.tif", picture, tile=tile, rowsperstrip=None if tile else 16, compression=compression)
    expected = picture.copy()
    if tile:
        expected[16:32, 16:32] = 0
    else:
        expected[16:32] = 0
    _patch_tag(tmp_path / "a.tif", 4 if tile else 1)
    same(tmp_path / "a.tif", expected)


def test_a_lone_strip_that_is_left_out_is_zero(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise((8, 9)) | 1)
    _patch_tag(tmp_path / "a.tif", 0)
    same(tmp_path / "a.tif", np.zeros((8, 9), np.uint8))


def _patch_tag(path: Path, index: int) -> None:
    """Leave out one strip or tile: no offset, no bytes."""
    with tifffile.TiffFile(path, mode="r+") as file:
        page = file.pages.first
        for name in ("Offsets", "ByteCounts"):
            tag = page.tags[("Tile" if page.is_tiled else "Strip") + name]
            values = list(tag.value)
            values[index] = 0
            tag.overwrite(tuple(values) if len(values) > 1 else values[0])


def test_the_orientation_tag_does_not_turn_the_pixels(tmp_path: Path) -> None:
    picture = noise((20, 30))
    tifffile.imwrite(tmp_path / "a.tif", picture, extratags=[(274, 3, 1, 6, True)])
    same(tmp_path / "a.tif", picture)


# What is refused


def test_refusals_say_why(tmp_path: Path) -> None:
    def refused(picture: NDArray[Any], **how: Any) -> str:
        tifffile.imwrite(tmp_path / "a.tif", picture, **how)
        with pytest.raises(InputError) as error:
            read_image(tmp_path / "a.tif")
        text = str(error.value)
        assert text.startswith(f"{tmp_path}/a.tif: ")
        assert "\n" not in text
        return text

    assert "complex numbers" in refused(np.zeros((4, 5), np.complex64))
    assert "ICCLAB cannot be shown" in refused(noise((4, 5, 3)), photometric="icclab", planarconfig="contig")
    assert "CIELAB is read with 8 bits" in refused(noise((4, 5, 3), np.uint16), photometric="cielab")
    assert "CMYK is read with 8 or 16 bits" in refused(noise((4, 5, 4), np.uint32), photometric="separated")
    inks = [(332, 3, 1, 2, True)]
    assert "inks other than CMYK" in refused(noise((4, 5, 4)), photometric="separated", extratags=inks)
    assert "MINISWHITE is read for unsigned" in refused(noise((4, 5), np.float32), photometric="miniswhite")
    assert "slices in one page" in refused(
        noise((3, 16, 16)), volumetric=True, tile=(2, 16, 16), photometric="minisblack"
    )


@pytest.mark.parametrize("tag", ["ImageWidth", "ImageLength"])
def test_zero_sizes_are_refused(tmp_path: Path, tag: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise((4, 5)))
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages.first.tags[tag].overwrite(0)
    with pytest.raises(InputError, match=r"a\.tif: "):
        read_image(tmp_path / "a.tif")


def test_a_huge_compressed_piece_asks_for_high_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples_module, "SEGMENT_BYTES", 1 << 20)
    picture = noise((1500, 1000))
    tifffile.imwrite(tmp_path / "a.tif", picture, compression="zlib", rowsperstrip=1500)
    with pytest.raises(InputError, match=r"compressed pieces of 1 MB each; add --high-memory"):
        read_image(tmp_path / "a.tif")
    same(tmp_path / "a.tif", picture, high_memory=True)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_size_that_the_file_cannot_have_is_found_out_at_once(tmp_path: Path, compression: str | None) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise((40, 50)), compression=compression, tile=(16, 16))
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        for name in ("ImageWidth", "ImageLength"):
            file.pages.first.tags[name].overwrite(2**31 - 1)
    with pytest.raises(InputError, match=r"is cut off|it lists just 12 tiles"):
        with_source(tmp_path / "a.tif", lambda source: source.plane)


FILES: dict[str, dict[str, Any]] = {
    "plain": {},
    "tiles": {"tile": (16, 16), "compression": "zlib", "predictor": True},
    "lzw": {"compression": "lzw", "rowsperstrip": 5},
    "jpeg": {"compression": "jpeg", "tile": (16, 16)},
    "big": {"bigtiff": True, "compression": "zstd"},
    "imagej": {"imagej": True},
    "shaped": {"metadata": {"axes": "YXS"}},
}


def _outcome(path: Path, look: Callable[[Source], Any]) -> Any:
    """What ``look`` sees, or the sentence that refuses the file."""
    try:
        return with_source(path, look)
    except CartloaderError as error:
        return str(error)


@pytest.mark.parametrize("kind", FILES)
def test_a_truncated_file_is_refused_or_right(tmp_path: Path, kind: str) -> None:
    picture = noise((40, 30, 3))
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="rgb", **FILES[kind])
    whole, data = read_image(tmp_path / "a.tif"), (tmp_path / "a.tif").read_bytes()
    for size in np.linspace(8, len(data) - 1, 60).astype(int):
        (tmp_path / "b.tif").write_bytes(data[:size])
        read = _outcome(tmp_path / "b.tif", lambda source: read_whole(source.plane))
        if isinstance(read, str):
            assert read.startswith(f"{tmp_path}/b.tif: ")
            assert "\n" not in read
        else:
            np.testing.assert_array_equal(read, whole)


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_never_surprises(tmp_path: Path, kind: str) -> None:
    picture = noise((40, 30, 3))
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="rgb", **FILES[kind])
    data = (tmp_path / "a.tif").read_bytes()
    random = np.random.default_rng(5)
    for attempt in range(150):
        broken = bytearray(data)
        limit = 400 if attempt % 2 else len(data)  # the header and the tags are where the danger is
        for place in random.integers(4, min(limit, len(data)), random.integers(1, 4)):
            broken[place] = random.integers(256)
        (tmp_path / "b.tif").write_bytes(broken)
        assert "\n" not in _outcome(tmp_path / "b.tif", _first_block)


def _first_block(source: Source) -> str:
    """Read one block at most: a damaged size may promise a picture of any extent."""
    plane = source.plane
    rows, columns = min(plane.height, plane.block[0]), min(plane.width, plane.block[1])
    if rows * columns < 1 << 22:
        plane.read(Window(0, rows, 0, columns))
    return ""


# Windows


@pytest.mark.parametrize("how", [{}, {"tile": (16, 32)}, {"compression": "zlib", "rowsperstrip": 7}])
@pytest.mark.parametrize("planar", [False, True])
def test_any_window_from_any_thread_is_a_slice_of_the_page(tmp_path: Path, how: dict[str, Any], planar: bool) -> None:
    picture = noise((70, 90, 3), np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif", np.moveaxis(picture, -1, 0) if planar else picture, photometric="rgb",
        planarconfig="separate" if planar else "contig", **how,
    )  # fmt: skip

    def look(plane: Plane) -> None:
        @settings(max_examples=40, deadline=None, database=None)
        @given(st.lists(st.tuples(*[st.integers(0, n) for n in (70, 70, 90, 90)]), min_size=1, max_size=8))
        def law(boxes: list[tuple[int, int, int, int]]) -> None:
            chosen = [Window(min(a, b), max(a, b), min(c, d), max(c, d)) for a, b, c, d in boxes if a != b and c != d]
            with ThreadPoolExecutor(4) as pool:
                for window, pixels in zip(chosen, pool.map(plane.read, chosen), strict=True):
                    row0, row1, column0, column1 = window
                    np.testing.assert_array_equal(pixels, picture[row0:row1, column0:column1])

        law()
        np.testing.assert_array_equal(read_whole(plane), picture)

    with_source(tmp_path / "a.tif", lambda source: look(source.plane))
