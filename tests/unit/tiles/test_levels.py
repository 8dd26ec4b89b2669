"""How pixels become other pixels on their way to the tiles, against the same in numpy and whole numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.rasters import noise

from cartloader_image.kernels import door
from cartloader_image.rasters.store import TileStore
from cartloader_image.tiles.levels import Kept
from cartloader_image.tiles.resampling import halved, is_kernel, opaque, premultiplied, resampled, straight, warp
from cartloader_image.window import Window

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
bands = st.integers(1, 4)
ROUNDING = 1
"""Pillow multiplies by weights in fixed-point numbers, and keeps 8 bits between the axes."""


@pytest.fixture(params=["C", "Pillow"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the kernels, and as if they were not there."""
    if request.param == "Pillow":
        monkeypatch.setattr(door, "there", lambda: False)
    elif not door.there():
        pytest.skip("the kernels are not built")
    return str(request.param)


def lanczos(x: Floats) -> Floats:
    return np.where(abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


def cubic(x: Floats) -> Floats:
    """Keys's, with a = -0.5."""
    x = abs(x)
    return np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, np.where(x < 2, ((-0.5 * x + 2.5) * x - 4) * x + 2, 0))


def bilinear(x: Floats) -> Floats:
    return np.maximum(1 - abs(x), 0)


def cubicspline(x: Floats) -> Floats:
    """Cardinal B-spline of degree 3, by its truncated powers."""
    powers = [np.maximum(x + 2 - k, 0) ** 3 for k in range(5)]
    return sum((-1) ** k * math.comb(4, k) * power for k, power in enumerate(powers)) / 6  # type: ignore[return-value]


KERNELS = {"bilinear": bilinear, "cubic": cubic, "lanczos": lanczos, "cubicspline": cubicspline}


def weights(kernel: str, source: int, size: int, first: float, last: float, *, edge: bool = True) -> Floats:
    """``(size, source)``: what each pixel counts for those new ones that divide a part of the line evenly.

    Beyond its ends the line goes on with its last pixels, or with 0.
    """
    step = (last - first) / size
    beyond = 4 * math.ceil(max(step, 1)) + math.ceil(max(-first, last - source, 0))
    centres = first + (np.arange(size)[:, None] + 0.5) * step
    places = np.arange(-beyond, source + beyond)[None, :]
    if kernel == "average":
        low, high = centres - step / 2, centres + step / 2
        found = (np.minimum(places + 1, high) - np.maximum(places, low)).clip(0, None)
    else:
        found = KERNELS[kernel]((places + 0.5 - centres) / max(step, 1))
    found = found / found.sum(axis=1, keepdims=True)
    inner = found[:, beyond : beyond + source].copy()
    if edge:
        inner[:, 0] += found[:, :beyond].sum(axis=1)
        inner[:, -1] += found[:, beyond + source :].sum(axis=1)
    return inner


@given(st.integers(1, 30), st.integers(1, 30), bands, st.integers(0, 9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_halved_picture_is_the_mean_of_two_by_two(by: str, rows: int, columns: int, count: int, seed: int) -> None:
    pixels = noise((2 * rows, 2 * columns, count), seed=seed)
    mean = pixels.reshape(rows, 2, columns, 2, count).astype(float).mean(axis=(1, 3))
    np.testing.assert_array_equal(halved(pixels), np.floor(mean + 0.5))


@given(st.integers(1, 30), st.integers(1, 30), bands)
def test_the_nearest_of_four_is_the_upper_left_one(rows: int, columns: int, count: int) -> None:
    pixels = noise((2 * rows, 2 * columns, count))
    four = pixels.reshape(rows, 2, columns, 2, count)
    np.testing.assert_array_equal(halved(pixels, nearest=True), four[:, 0, :, 0])


@pytest.mark.parametrize("kernel", [*KERNELS, "average"])
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), bands, st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_region_is_resampled_by_the_kernels_formula(
    by: str, kernel: str, height: int, width: int, rows: int, columns: int, count: int, data: st.DataObject
) -> None:
    """In floats, rounded once; a region may lie beyond the picture."""
    if not is_kernel(kernel):
        pytest.skip("Pillow does not have it")
    pixels, alpha = noise((height, width, count)), by == "C" and count in {2, 4} and data.draw(st.booleans())
    top, left = data.draw(st.floats(-9, height)), data.draw(st.floats(-9, width))
    bottom, right = top + data.draw(st.floats(0.5, 60)), left + data.draw(st.floats(0.5, 60))
    down = weights(kernel, height, rows, top, bottom, edge=not alpha)
    across = weights(kernel, width, columns, left, right, edge=not alpha)
    found = resampled(pixels, (rows, columns), kernel, (top, bottom, left, right), alpha=alpha)
    assert found.shape == (rows, columns, count)
    source = pixels.astype(float)
    if alpha:
        source[..., :-1] *= source[..., -1:] / 255
    between = np.einsum("ri,ijb->rjb", down, source)
    if by == "Pillow":
        between = np.rint(between).clip(0, 255)
    expected = np.einsum("cj,rjb->rcb", across, between)
    if alpha:  # colours keep their proportion to alpha where that is cut off, and are never above it
        full = expected[..., -1:]
        expected[..., :-1] *= np.where(full > 255, 255 / np.maximum(full, 1), 1)
        expected = np.minimum(expected, full)
    error = np.abs(found - expected.clip(0, 255)).max()
    assert error <= (0.5 + 1e-3 if by == "C" else 0.5 + 2 * ROUNDING)


@pytest.mark.skipif(not door.there(), reason="the kernels are not built")
@pytest.mark.parametrize("kernel", KERNELS)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 20), st.integers(1, 20), bands, st.data())
def test_any_affine_warps_by_the_kernels_formula(
    kernel: str, height: int, width: int, rows: int, columns: int, count: int, data: st.DataObject
) -> None:
    """At a place between two pixels that is known to a thousandth; of noise that is half a level at most."""
    pixels, number = noise((height, width, count)), st.floats(-1.5, 1.5)
    affine = tuple(data.draw(number if place % 3 < 2 else st.floats(-9, 39)) for place in range(6))
    found = np.empty((rows, columns, count + count % 2), np.uint8)
    warp(pixels, affine, kernel, found)  # type: ignore[arg-type]
    down, across = np.mgrid[:rows, :columns]
    u, v = (a * across + b * down + start for a, b, start in (affine[:3], affine[3:]))
    there = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    alpha = count in {2, 4}
    source = np.pad(pixels.astype(float), ((4, 4), (4, 4), (0, 0)), mode="constant" if alpha else "edge")
    if alpha:
        source[..., :-1] *= source[..., -1:] / 255
    lines = [
        KERNELS[kernel](np.arange(-4, size + 4) + 0.5 - place[..., None]) for size, place in ((height, v), (width, u))
    ]
    lines = [line / np.where(there, line.sum(axis=-1), 1)[..., None] for line in lines]
    expected = np.einsum("rci,rcj,ijb->rcb", *lines, source)
    if alpha:
        full = expected[..., -1:]
        expected[..., :-1] *= np.where(full > 255, 255 / np.maximum(full, 1), 1)
        expected = np.minimum(expected, full)
    else:
        expected = np.concatenate([expected, np.full((rows, columns, 1), 255)], axis=-1)
    expected = np.where(there[..., None], expected.clip(0, 255), 0)
    assert np.abs(found - expected).max() <= 1.2
    if there.all() and not alpha:
        opaque = np.empty((rows, columns, count), np.uint8)
        warp(pixels, affine, kernel, opaque)  # type: ignore[arg-type]
        np.testing.assert_array_equal(opaque, found[..., :count])


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


def test_of_an_opaque_picture_the_colours_stay_as_they_are() -> None:
    for count in (1, 3):
        pixels = noise((4, 9, count + 1))
        pixels[..., -1] = 255
        assert premultiplied(pixels) is pixels
        np.testing.assert_array_equal(opaque(pixels[:, 2:7]), pixels[:, 2:7, :-1])


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
