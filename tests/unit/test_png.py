"""PNGs of all sizes and bands, decoded by Pillow and by GDAL."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from support.rasters import noise, smooth

from cartloader.png import PngWriter, encode_png

SIZES = [(1, 1), (1, 7), (7, 1), (2, 3), (64, 64), (131, 257)]


def by_pillow(data: bytes) -> NDArray[np.uint8]:
    with Image.open(BytesIO(data)) as picture:
        pixels = np.asarray(picture)
    return pixels[..., None] if pixels.ndim == 2 else pixels


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
@pytest.mark.parametrize("size", SIZES)
def test_two_decoders_see_the_same(tmp_path: Path, size: tuple[int, int], bands: int) -> None:
    pixels = noise((*size, bands))
    path = tmp_path / "a.png"
    with PngWriter(path, *size, bands) as png:
        png.write(pixels)
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
    with PngWriter(path, height, width, bands) as png:
        for piece in np.split(pixels, sorted(cut for cut in cuts if cut < height)):
            png.write(piece)
    np.testing.assert_array_equal(by_pillow(path.read_bytes()), pixels)


def test_any_memory_layout(tmp_path: Path) -> None:
    pixels = noise((40, 50, 4))
    for view in (pixels[::-1, ::-1], pixels.swapaxes(0, 1), pixels[3:20, 5:30], pixels[..., :3]):
        np.testing.assert_array_equal(by_pillow(encode_png(view)), view)


def test_it_is_compressed() -> None:
    pixels = smooth(512, 512, 3)
    assert len(encode_png(pixels)) < pixels.nbytes / 3


def test_nothing_that_looks_finished_is_left_by_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.png"

    def fail() -> None:
        with PngWriter(path, 4, 5, 1) as png:
            png.write(noise((2, 5, 1)))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert b"IEND" not in path.read_bytes()
