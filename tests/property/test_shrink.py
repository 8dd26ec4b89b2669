"""Shrinking is the area average, whatever the blocks, against a dense matrix of overlaps."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.rasters import ArrayPlane, noise, read_whole

from cartloader_image.images.plane import Projected
from cartloader_image.images.shrunk import Shrunk
from cartloader_image.layout import Pixels
from cartloader_image.window import Window

factors = st.one_of(st.sampled_from([1.0, 2.0, 3.0, 4.0, 1000.0]), st.floats(1, 20))


def overlaps(source: int, size: int) -> NDArray[np.float64]:
    """``(size, source)``: the share of a new pixel that each source pixel covers."""
    step = source / size
    new, old = np.arange(size)[:, None], np.arange(source)[None, :]
    return np.maximum(np.minimum((new + 1) * step, old + 1) - np.maximum(new * step, old), 0) / step


def averaged(values: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    down, across = overlaps(values.shape[0], rows), overlaps(values.shape[1], columns)
    return np.einsum("ri,cj,ijb->rcb", down, across, values)


@settings(max_examples=60, deadline=None, database=None)
@given(st.integers(1, 90), st.integers(1, 90), factors, st.sampled_from(["u1", "u2", "i2", "f4"]), st.integers(20, 60))
def test_the_mean_of_the_covered_area(rows: int, columns: int, factor: float, dtype: str, block: int) -> None:
    pixels = noise((rows, columns, 3), dtype)
    plane = Shrunk(ArrayPlane(pixels, (block, block + 3)), factor)
    assert (plane.height, plane.width) == (max(round(rows / factor), 1), max(round(columns / factor), 1))
    expected = averaged(pixels.astype(float), plane.height, plane.width)
    found = read_whole(plane)
    slack = 1e-3 if dtype == "f4" else 0.5 + 1e-6
    assert np.abs(found - expected).max() <= slack


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_whole_factors_are_plain_block_means(factor: int) -> None:
    pixels = noise((30, 60, 1), np.uint16)
    means = pixels.reshape(30 // factor, factor, 60 // factor, factor, 1).mean(axis=(1, 3))
    np.testing.assert_array_equal(read_whole(Shrunk(ArrayPlane(pixels), factor)), np.rint(means))


@settings(max_examples=60, deadline=None, database=None)
@given(st.floats(1, 9), st.sampled_from(["u1", "f4"]), st.data())
def test_any_window_is_a_slice_of_the_whole(factor: float, dtype: str, data: st.DataObject) -> None:
    plane = Shrunk(ArrayPlane(noise((120, 90, 1), dtype)), factor)
    whole = plane.read(Window(0, plane.height, 0, plane.width))
    row0, row1 = sorted(data.draw(st.tuples(st.integers(0, plane.height - 1), st.integers(0, plane.height - 1))))
    column0, column1 = sorted(data.draw(st.tuples(st.integers(0, plane.width - 1), st.integers(0, plane.width - 1))))
    part = plane.read(Window(row0, row1 + 1, column0, column1 + 1))
    np.testing.assert_array_equal(part, whole[row0 : row1 + 1, column0 : column1 + 1])


def test_colour_is_weighted_with_alpha() -> None:
    pixels = noise((40, 60, 4))
    pixels[:20, :20, 3] = 0
    found = read_whole(Shrunk(ArrayPlane(pixels, alpha=True), 3.5)).astype(float)
    values = pixels.astype(float)
    alpha = averaged(values[..., 3:], *found.shape[:2])
    colours = averaged(values[..., :3] * values[..., 3:], *found.shape[:2])
    colours = np.divide(colours, alpha, out=np.zeros_like(colours), where=alpha > 1e-9)
    assert np.abs(found - np.concatenate([colours, alpha], axis=-1)).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("alpha", [False, True])
def test_values_that_are_not_finite_do_not_count(alpha: bool) -> None:
    pixels = np.array([[1, np.nan, 5, np.inf, np.nan, np.nan]], np.float32)[..., None]
    if alpha:
        pixels = np.concatenate([pixels, np.ones_like(pixels)], axis=-1)
    found = read_whole(Shrunk(ArrayPlane(pixels, alpha=alpha), 2))
    np.testing.assert_array_equal(found[0, :, 0], [1, 5, 0 if alpha else np.nan])
    if alpha:
        np.testing.assert_array_equal(found[0, :, 1], [1, 1, 1])


def test_a_hot_pixel_spoils_nothing_but_its_own() -> None:
    pixels = np.ones((1, 64, 1), np.float64)
    pixels[0, 0] = 1e300
    assert (read_whole(Shrunk(ArrayPlane(pixels), 4))[0, 1:] == 1).all()


@pytest.mark.parametrize("factor", [1.5, 20, 700])
@pytest.mark.parametrize(("dtype", "alpha"), [("u1", False), ("u1", True), ("f4", False)])
def test_what_is_held_is_a_few_blocks_however_wide_the_picture(factor: float, dtype: str, alpha: bool) -> None:
    """Beside the picture itself and the result, as `Shrunk.working_bytes` says."""
    source = ArrayPlane(noise((1500, 4000, 2), dtype), (256, 4000), alpha=alpha)
    if not alpha:
        source = ArrayPlane(source.pixels[..., :1], (256, 4000))
    plane = Shrunk(source, factor)
    window = Window(0, plane.block[0], 0, plane.width)
    tracemalloc.start()
    plane.read(window)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= plane.working_bytes + 2 * np.prod(window.shape) * source.pixels[0, 0].nbytes + (1 << 16)


@settings(max_examples=40, deadline=None, database=None)
@given(st.integers(1, 1500), st.sampled_from([50.0, 128.0, 255.5, 256.7, 300.0, 999.0]), st.integers(1, 700))
def test_tall_pixels_are_added_exactly(rows: int, factor: float, block: int) -> None:
    pixels = noise((rows, 7, 1), "u2")
    found = read_whole(Shrunk(ArrayPlane(pixels, (block, 5)), factor))
    expected = averaged(pixels.astype(float), *found.shape[:2])
    assert np.abs(found - expected).max() <= 0.5 + 1e-6


def test_each_block_of_a_plane_is_read_once_by_a_window() -> None:
    asked = []

    class Counting(ArrayPlane):
        def read(self, window: Window) -> Pixels:
            asked.append(window)
            return super().read(window)

    plane = Shrunk(Counting(noise((2000, 3000, 1)), (64, 3000)), 7.3)
    plane.read(Window(0, plane.height, 0, plane.width))
    assert [window.row0 for window in asked[1:]] == [window.row1 for window in asked[:-1]]
    assert all(window.row0 % 64 == 0 for window in asked)
    assert (asked[0].row0, asked[-1].row1) == (0, 2000)


@pytest.mark.parametrize("factor", [1.0, 2.9, 3.0, 7.3])
def test_a_plane_of_one_block_is_one_block(factor: float) -> None:
    """A strip of all rows would be decoded again for a last row."""
    plane = Shrunk(ArrayPlane(noise((1301, 1400, 1)), (1301, 1400)), factor)
    assert plane.block == (plane.height, plane.width)


def test_the_maximum_of_planes() -> None:
    stack = noise((3, 20, 30, 1), np.float32)
    stack[1, 4, 4] = np.nan
    plane = Projected([ArrayPlane(pixels) for pixels in stack])
    np.testing.assert_array_equal(read_whole(plane), np.nanmax(stack, axis=0))
