"""PNGs of all sizes and bands, decoded by Pillow and by GDAL."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from rasterio.io import MemoryFile
from skimage import data as images
from support.rasters import noise

from cartloader_image.rasters import png
from cartloader_image.rasters.png import PngWriter, band_rows, deflate_band, deflated, encode_png

SIZES = [(1, 1), (1, 7), (7, 1), (2, 3), (64, 64), (131, 257)]


def by_pillow(data: bytes) -> NDArray[np.uint8]:
    with Image.open(BytesIO(data)) as picture:
        pixels = np.asarray(picture)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def write_bands(path: Path, pixels: NDArray[np.uint8], cuts: list[int]) -> None:
    """A PNG whose bands begin at the rows of ``cuts``."""
    starts = [0, *cuts]
    with PngWriter(path, *pixels.shape) as file:
        for start, stop in zip(starts, [*cuts, len(pixels)], strict=True):
            file.write(deflate_band(pixels[start:stop], pixels[start - 1] if start else None))


def image_data(path: Path) -> bytes:
    """The zlib stream of a PNG: all its IDAT chunks, whose checksums are checked."""
    data, place, found = path.read_bytes(), 8, b""
    while place < len(data):
        size = int.from_bytes(data[place : place + 4])
        kind, content = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        assert zlib.crc32(kind + content) == int.from_bytes(data[place + 8 + size : place + 12 + size])
        found += content if kind == b"IDAT" else b""
        place += 12 + size
    return found


def by_gdal(pixels: NDArray[np.uint8]) -> bytes:
    """What GDAL writes, at zlib's level 6."""
    with MemoryFile() as memory:
        height, width, bands = pixels.shape
        with memory.open(driver="PNG", width=width, height=height, count=bands, dtype="uint8") as dataset:
            dataset.write(np.moveaxis(pixels, -1, 0))
        return bytes(memory.read())


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
@pytest.mark.parametrize("size", SIZES)
def test_two_decoders_see_the_same(tmp_path: Path, size: tuple[int, int], bands: int) -> None:
    pixels = noise((*size, bands))
    path = tmp_path / "a.png"
    write_bands(path, pixels, [])
    for data in (encode_png(pixels), path.read_bytes()):
        np.testing.assert_array_equal(by_pillow(data), pixels)
        (tmp_path / "b.png").write_bytes(data)
        with rasterio.open(tmp_path / "b.png") as dataset:
            np.testing.assert_array_equal(np.moveaxis(dataset.read(), 0, -1), pixels)


@settings(max_examples=50, deadline=None, database=None)
@given(st.integers(1, 90), st.integers(1, 60), st.integers(1, 4), st.sets(st.integers(1, 89), max_size=6))
def test_rows_may_come_in_any_pieces(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, bands: int, cuts: set[int]
) -> None:
    pixels = noise((height, width, bands))
    path = tmp_path_factory.mktemp("png") / "a.png"
    write_bands(path, pixels, sorted(cut for cut in cuts if cut < height))
    assert len(zlib.decompress(image_data(path))) == height * (1 + width * bands)  # which checks the Adler-32
    np.testing.assert_array_equal(by_pillow(path.read_bytes()), pixels)


def test_any_memory_layout(tmp_path: Path) -> None:
    pixels = noise((40, 50, 4))
    for view in (pixels[::-1, ::-1], pixels.swapaxes(0, 1), pixels[3:20, 5:30], pixels[..., :3]):
        np.testing.assert_array_equal(by_pillow(encode_png(view)), view)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("scale", [1.42, 1.0, 0.5])
def test_stained_tissue_is_hardly_larger_than_gdal_makes_it(scale: float) -> None:
    photograph = Image.fromarray(images.immunohistochemistry())
    side = round(512 * scale)
    pixels = np.asarray(photograph.resize((side, side), Image.Resampling.BICUBIC))
    assert len(encode_png(pixels)) <= 1.12 * len(by_gdal(pixels))


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_a_flat_tile_is_tiny(bands: int) -> None:
    flat = np.full((512, 512, bands), 201, np.uint8)
    assert len(encode_png(flat)) < 1400 * bands
    np.testing.assert_array_equal(by_pillow(encode_png(flat)), flat)


@pytest.mark.parametrize("kind", [2, 3, 4])
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_every_filter_is_undone_by_every_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: int, bands: int
) -> None:
    """Rows of more bytes than are filtered at once, and bands that begin in the middle."""
    pixels = noise((150, 701, bands), seed=kind)
    monkeypatch.setattr(png.door, "there", lambda: False)
    monkeypatch.setattr(png, "_best_filter", lambda *_: kind)
    np.testing.assert_array_equal(by_pillow(encode_png(pixels)), pixels)
    write_bands(tmp_path / "a.png", pixels, [1, 64, 65])
    np.testing.assert_array_equal(by_pillow((tmp_path / "a.png").read_bytes()), pixels)


def test_paeth_is_that_of_the_specification() -> None:
    """For all triples of a coarse grid of values and their neighbours (PNG specification, 9.4)."""
    values = np.array([0, 1, 2, 3, 4, 63, 64, 65, 126, 127, 128, 129, 190, 191, 252, 253, 254, 255])
    a, b, c = (grid.ravel() for grid in np.meshgrid(values, values, values))
    p = a + b - c
    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
    expected = np.where((pa <= pb) & (pa <= pc), a, np.where(pb <= pc, b, c))
    found = png._paeth(*(grid.astype(np.uint8) for grid in (a, b, c)))
    np.testing.assert_array_equal(found, expected)


def test_a_palette_colours_the_indices() -> None:
    indices = noise((70, 90, 1))
    palette = np.arange(256, dtype=np.uint8)[:, None] * np.array([0, 1, 1], np.uint8)
    with Image.open(BytesIO(encode_png(indices, palette))) as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), palette[indices[..., 0]])


def test_bands_fit_the_tiles_of_a_store() -> None:
    for width in (1, 100, 8192, 32768, 65536, 3_000_000):
        rows = band_rows(width, 3)
        assert 512 % rows == 0
        assert rows == 1 or rows * width * 3 <= 2 << 20


def test_nothing_that_looks_finished_is_left_by_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.png"

    def fail() -> None:
        with PngWriter(path, 4, 5, 1) as file:
            file.write(deflate_band(noise((2, 5, 1)), None))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert b"IEND" not in path.read_bytes()


def test_deflated_bytes_do_not_depend_on_the_place_in_memory() -> None:
    """ISA-L's hash of the third byte is made of an address: a wrong one of 8,192 values, all of which are tried.

    (Each hash value is that of one of the first words, which differ in their upper 13 bits; the word comes twice.)
    """
    rest = noise((1, 600, 1)).reshape(-1) >> 4
    words = (np.arange(8192, dtype="<u4") << 19).view(np.uint8).reshape(-1, 4)
    streams = [np.concatenate([rest[:2], word, rest[2:20], word, rest[20:]]) for word in words]

    def all_deflated() -> list[bytes]:
        return [deflated(stream) for stream in streams]

    with ThreadPoolExecutor(1) as elsewhere:
        assert elsewhere.submit(all_deflated).result() == all_deflated()
    assert zlib.decompress(deflated(streams[-1])) == streams[-1].tobytes()
