"""Quantiles and rescaling, for every type and any split into blocks, against numpy on the whole plane."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from cartloader_image.intensity import Rescale, Side, Thresholds, find_thresholds, needs_statistics
from cartloader_image.layout import Layout
from cartloader_image.params import PixelOptions

DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]
quickly = settings(max_examples=60, deadline=None, database=None)


@st.composite
def planes(draw: st.DrawFn, dtype: str) -> NDArray[Any]:
    """A plane of one or three bands, wide-ranged or with few values."""
    kind = np.dtype(dtype)
    shape = (draw(st.integers(1, 12)), draw(st.integers(1, 12)), draw(st.sampled_from([1, 3])))
    elements = arrays.from_dtype(kind, allow_subnormal=False) if kind.kind == "f" else arrays.from_dtype(kind)
    few = st.integers(0, 5).map(kind.type)
    return draw(arrays.arrays(kind, shape, elements=draw(st.sampled_from([elements, few]))))


def split(plane: NDArray[Any], draw: st.DataObject) -> list[NDArray[Any]]:
    rows = sorted(draw.draw(st.sets(st.integers(1, max(len(plane) - 1, 1)), max_size=4)))
    return [block for block in np.split(plane, [row for row in rows if row < len(plane)]) if block.size]


def pooled(plane: NDArray[Any]) -> NDArray[Any]:
    """All finite values, without the rounding of ``q`` that numpy makes for float32."""
    values = plane[np.isfinite(plane)] if plane.dtype.kind == "f" else plane.ravel()
    return values.astype(np.float64) if plane.dtype == np.float32 else values


@pytest.mark.parametrize("dtype", DTYPES)
@quickly
@given(data=st.data())
def test_quantiles_are_those_of_numpy(dtype: str, data: st.DataObject) -> None:
    plane = data.draw(planes(dtype))
    blocks = split(plane, data)
    values = pooled(plane)
    low, high = sorted(data.draw(st.tuples(*[st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 0.999, 1.0]))] * 2)))
    expected = [0.0, 0.0]
    if values.size:
        expected = [float(np.quantile(values, q, method="inverted_cdf")) for q in (low, high)]

    def read(_purpose: str, work: Callable[[NDArray[Any]], NDArray[Any]]) -> Iterator[NDArray[Any]]:
        return map(work, blocks)

    if low == high or expected[1] <= expected[0]:
        return
    found = find_thresholds(
        plane.dtype, plane.shape[2], PixelOptions(lower_thres_quantile=low, upper_thres_quantile=high), read
    )
    assert [found.low.value, found.high.value] == expected


@pytest.mark.parametrize("dtype", DTYPES)
@quickly
@given(data=st.data())
def test_defaults_of_each_type(dtype: str, data: st.DataObject) -> None:
    plane = data.draw(planes(dtype))
    found = find_thresholds(plane.dtype, plane.shape[2], PixelOptions(), lambda _, work: [work(plane)])
    values = pooled(plane)
    if dtype == "u1":
        assert (found.low.value, found.high.value) == (0, 255)
        return
    if not values.size:
        values = np.zeros(1)
    low = 0.0 if dtype.startswith("u") else float(values.min())
    high = float(np.quantile(values, 0.999, method="inverted_cdf"))
    assert found.low.value == low
    assert found.high.value == (high if high > low else float(values.max()))


@pytest.mark.parametrize("dtype", DTYPES)
@quickly
@given(data=st.data())
def test_rescaling_is_the_formula(dtype: str, data: st.DataObject) -> None:
    plane = data.draw(planes(dtype))
    alpha = data.draw(st.booleans())
    colours = plane.shape[2]
    low, high = sorted(data.draw(st.tuples(*[st.floats(-300, 70000, allow_nan=False, width=32)] * 2)))
    below = data.draw(st.one_of(st.none(), st.integers(0, 255)))
    colour = data.draw(st.one_of(st.none(), st.binary(min_size=3, max_size=3))) if colours == 1 else None
    fades = colours == 1 and data.draw(st.booleans())
    options = PixelOptions(
        transparent_below=below, colorize=colour and colour.hex(), alpha="intensity" if fades else None
    )
    pixels = plane
    if alpha:
        opacity = data.draw(arrays.arrays(plane.dtype, (*plane.shape[:2], 1)))
        pixels = np.concatenate([plane, opacity], axis=-1)
    thresholds = Thresholds(Side(low, ""), Side(high, ""))
    kept = pixels.copy()
    shown = Rescale(plane.dtype, Layout(colours, alpha), thresholds, options)(pixels)
    np.testing.assert_array_equal(pixels, kept)

    # The same from the contract's words, on the whole plane.
    v = plane.astype(np.float64)
    with np.errstate(invalid="ignore"):
        f = (np.clip(v, low, high) - low) / (high - low) if high > low else np.zeros_like(v)
    missing = np.isnan(v)
    f[missing] = 0
    v8 = np.trunc(255 * f).astype(np.uint8)
    bands = [v8[..., band] for band in range(colours)]
    if colour:
        bands = [np.trunc(part * f[..., 0]).astype(np.uint8) for part in colour]
    if alpha or below is not None or fades:
        opaque = v8[..., 0].astype(np.float64) if fades else np.full(plane.shape[:2], 255.0)
        if alpha:
            top = 1.0 if plane.dtype.kind == "f" else np.iinfo(plane.dtype).max
            share = opacity[..., 0].astype(np.float64) / top
            opaque = np.rint(opaque * np.rint(255 * np.where(np.isnan(share), 0, share).clip(0, 1)) / 255)
        if below is not None:
            opaque[(v8 < below).all(axis=-1)] = 0
        opaque[missing.any(axis=-1)] = 0
        bands = bands * (3 if len(bands) == 1 else 1) + [opaque]
    np.testing.assert_array_equal(shown, np.stack(bands, axis=-1))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("low", [{}, {"lower_thres_intensity": -3}, {"lower_thres_quantile": 0.1}])
@pytest.mark.parametrize("high", [{}, {"upper_thres_intensity": 3}, {"upper_thres_quantile": 0.9}])
def test_it_is_known_beforehand_whether_pixels_are_read(
    dtype: str, low: dict[str, float], high: dict[str, float]
) -> None:
    options, plane, readings = PixelOptions(**low, **high), np.arange(4).astype(dtype).reshape(2, 2, 1), []

    def read(_purpose: str, work: Callable[[NDArray[Any]], NDArray[Any]]) -> list[NDArray[Any]]:
        readings.append(1)
        return [work(plane)]

    find_thresholds(plane.dtype, 1, options, read)
    assert needs_statistics(plane.dtype, options) == bool(readings)
