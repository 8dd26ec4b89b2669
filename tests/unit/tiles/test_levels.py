"""How pixels become other pixels on their way to the tiles, against the same in numpy and whole numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from support.rasters import noise

from cartloader_image.rasters.store import TileStore
from cartloader_image.tiles.levels import Kept, halved, premultiplied, resized, straight
from cartloader_image.window import Window

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
bands = st.integers(1, 4)
ROUNDING = 1
"""Pillow multiplies by weights in fixed-point numbers."""


def lanczos(x: Floats) -> Floats:
    return np.where(abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


def cubic(x: Floats) -> Floats:
    """Keys's, with a = -0.5."""
    x = abs(x)
    return np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, np.where(x < 2, ((-0.5 * x + 2.5) * x - 4) * x + 2, 0))


def hamming(x: Floats) -> Floats:
    return np.where(abs(x) < 1, np.sinc(x) * (0.54 + 0.46 * np.cos(np.pi * x)), 0)


def bilinear(x: Floats) -> Floats:
    return np.maximum(1 - abs(x), 0)


KERNELS = {
    Image.Resampling.BILINEAR: bilinear,
    Image.Resampling.BICUBIC: cubic,
    Image.Resampling.LANCZOS: lanczos,
}


def weights(kernel: Callable[[Floats], Floats], source: int, size: int, first: float, last: float) -> Floats:
    """``(size, source)``: what each pixel counts for those new ones that divide a part of the line evenly."""
    step = (last - first) / size
    centres = first + (np.arange(size)[:, None] + 0.5) * step
    found = kernel((np.arange(source)[None, :] + 0.5 - centres) / max(step, 1))
    return found / found.sum(axis=1, keepdims=True)


def filtered(pixels: Pixels, down: Floats, across: Floats) -> Floats:
    """First down, then across, with 8 bits between."""
    between = np.rint(np.einsum("ri,ijb->rjb", down, pixels)).clip(0, 255)
    return np.einsum("cj,rjb->rcb", across, between).clip(0, 255)


@given(st.integers(1, 30), st.integers(1, 30), bands, st.integers(0, 9))
def test_a_halved_picture_is_filtered_by_four_pixels_each_way(rows: int, columns: int, count: int, seed: int) -> None:
    pixels = noise((2 * rows + 2, 2 * columns + 2, count), seed=seed)
    down, across = (weights(hamming, 2 * side + 2, side, 1, 2 * side + 1) for side in (rows, columns))
    found = halved(pixels, nearest=False)
    assert found.shape == (rows, columns, count)
    assert np.abs(found - filtered(pixels, down, across)).max() <= 0.5 + ROUNDING


@given(st.integers(1, 30), st.integers(1, 30), bands)
def test_the_nearest_of_four_is_the_upper_left_one(rows: int, columns: int, count: int) -> None:
    pixels = noise((2 * rows + 2, 2 * columns + 2, count))
    four = pixels[1:-1, 1:-1].reshape(rows, 2, columns, 2, count)
    np.testing.assert_array_equal(halved(pixels, nearest=True), four[:, 0, :, 0])


@given(st.integers(250, 270), st.integers(1, 9), st.integers(0, 250), st.integers(0, 4), bands, st.booleans())
def test_a_part_is_halved_as_the_whole_is(
    rows: int, columns: int, row: int, column: int, count: int, nearest: bool
) -> None:
    """To the bit, with one pixel of margin: chunks leave no seam, nor do the strips in which they are worked on."""
    pixels = noise((2 * rows + 2, 2 * columns + 2, count))
    row, column = min(row, rows - 1), min(column, columns - 1)
    part = halved(pixels[2 * row :, 2 * column :], nearest=nearest)
    np.testing.assert_array_equal(part, halved(pixels, nearest=nearest)[row:, column:])


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
@given(st.integers(4, 40), st.integers(4, 40), st.integers(1, 40), st.integers(1, 40), bands, st.data())
def test_any_part_is_resized_by_the_kernels_formula(
    kernel: Image.Resampling, height: int, width: int, rows: int, columns: int, count: int, data: st.DataObject
) -> None:
    pixels = noise((height, width, count))
    top, left = data.draw(st.floats(0, height - 1)), data.draw(st.floats(0, width - 1))
    bottom, right = data.draw(st.floats(top + 0.5, height)), data.draw(st.floats(left + 0.5, width))
    down = weights(KERNELS[kernel], height, rows, top, bottom)
    across = weights(KERNELS[kernel], width, columns, left, right)
    found = resized(pixels, (rows, columns), kernel, (top, bottom, left, right))
    assert found.shape == (rows, columns, count)
    assert np.abs(found - filtered(pixels, down, across)).max() <= 0.5 + 2 * ROUNDING


def test_alpha_is_multiplied_in_and_divided_out_to_the_nearest_number() -> None:
    """Every colour with every alpha; a colour that is less than its alpha comes back as it was."""
    alpha, colour = (axis.ravel() for axis in np.mgrid[:256, :256])
    for count in (1, 3):
        pixels = np.stack([colour] * count + [alpha], axis=-1).astype(np.uint8).reshape(256, 256, count + 1)
        expected = np.rint(colour * alpha / 255)
        found = premultiplied(pixels)
        np.testing.assert_array_equal(found[..., :-1].reshape(-1, count), np.stack([expected] * count, axis=-1))
        np.testing.assert_array_equal(found[..., -1], pixels[..., -1])

        divided = straight(pixels)
        expected = np.floor(colour * 255 / np.maximum(alpha, 1) + 0.5).clip(0, 255) * (alpha > 0)
        np.testing.assert_array_equal(divided[..., :-1].reshape(-1, count), np.stack([expected] * count, axis=-1))
        there = (colour <= alpha).reshape(256, 256)
        np.testing.assert_array_equal(premultiplied(divided)[there], pixels[there])


def test_an_opaque_picture_is_not_copied() -> None:
    pixels = noise((4, 5, 4))
    pixels[..., 3] = 255
    assert premultiplied(pixels) is pixels


@given(st.integers(1, 40), st.integers(1, 40), bands, st.data())
def test_a_zoom_goes_on_beyond_its_edge(
    tmp_path_factory: pytest.TempPathFactory, rows: int, columns: int, count: int, data: st.DataObject
) -> None:
    """By the pixels of the edge, or by nothing where there is alpha; any window of it."""
    picture, reach = noise((rows, columns, count)), 64
    around = np.pad(picture, ((reach, reach), (reach, reach), (0, 0)), mode="constant" if count in {2, 4} else "edge")
    row0, row1, column0, column1 = (
        edge
        for side in around.shape[:2]
        for edge in sorted(data.draw(st.sets(st.integers(0, side), min_size=2, max_size=2)))
    )
    # The store begins before the picture, as it holds whole tiles, and somewhere on the map.
    skip, (row, column) = data.draw(st.integers(0, 20)), data.draw(st.tuples(st.integers(20, 90), st.integers(20, 90)))
    window = Window(row + row0 - reach, row + row1 - reach, column + column0 - reach, column + column1 - reach)
    path = tmp_path_factory.mktemp("zoom") / "zoom"
    with TileStore.create(path, skip + rows, skip + columns, count, 16) as store:
        store.write(skip, skip, picture)
        stored = Window(row - skip, row + rows, column - skip, column + columns)
        level = Kept(store, stored, Window(row, row + rows, column, column + columns))
        np.testing.assert_array_equal(level.read(window), around[row0:row1, column0:column1])
