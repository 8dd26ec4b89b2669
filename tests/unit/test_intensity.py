"""Thresholds and bands: what is chosen, what is refused, what it is called."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.rasters import noise

from cartloader_image.errors import UsageError
from cartloader_image.intensity import Rescale, Side, Thresholds, find_thresholds
from cartloader_image.layout import Layout
from cartloader_image.params import PixelOptions


def thresholds(plane: NDArray[Any], **options: Any) -> Thresholds:
    return find_thresholds(plane.dtype, plane.shape[2], PixelOptions(**options), lambda _, work: [work(plane)])


def rescaled(plane: NDArray[Any], *, alpha: bool = False, **options: Any) -> NDArray[np.uint8]:
    colours = plane.shape[2] - alpha
    chosen = PixelOptions(**options)
    found = find_thresholds(plane.dtype, colours, chosen, lambda _, work: [work(plane)])
    return Rescale(plane.dtype, Layout(colours, alpha), found, chosen)(plane)


def column(*values: float, dtype: Any = np.uint16) -> NDArray[Any]:
    return np.array(values, dtype).reshape(-1, 1, 1)


def test_what_is_told_of_thresholds() -> None:
    plane = column(*range(10_000))
    assert str(thresholds(plane)) == "0 … 9,989 (quantile 0.999)"
    assert str(thresholds(plane, upper_thres_intensity=500.5)) == "0 … 500.5 (as given)"
    assert str(thresholds(plane, lower_thres_quantile=0.5)) == "4,999 … 9,989 (quantile 0.5, quantile 0.999)"
    assert str(thresholds(noise((4, 5, 1)))) == "0 … 255"
    assert str(thresholds(column(*[0] * 9999, 7))) == "0 … 7 (maximum)"
    assert str(thresholds(column(-5, 0, 5, dtype=np.int16))) == "-5 … 5 (minimum, quantile 0.999)"


@pytest.mark.parametrize("dtype", ["u1", "u2", "i2", "u4", "f4"])
@pytest.mark.parametrize("value", [0, 7])
def test_a_constant_plane_is_shown(dtype: str, value: int) -> None:
    shown = rescaled(np.full((3, 4, 1), value, dtype))
    # 8 bits are shown as they are, unsigned values above 0 are the brightest there are, nothing else has a range
    expected = value if dtype == "u1" else 255 if dtype.startswith("u") and value else 0
    assert (shown == expected).all()


def test_no_range_between_given_thresholds() -> None:
    for options in ({"lower_thres_intensity": 300}, {"upper_thres_quantile": 0.1}, {"upper_thres_intensity": 0}):
        with pytest.raises(UsageError, match="nothing lies between the lower threshold"):
            thresholds(column(*[0] * 5, 7, 9), **options)
    with pytest.raises(UsageError, match=r"lower threshold 300 \(as given\) and the upper threshold 255 \(default\)"):
        thresholds(noise((4, 5, 1)), lower_thres_intensity=300)


def test_only_as_many_passes_as_are_needed() -> None:
    passes = []

    def read(plane: NDArray[Any], **options: Any) -> int:
        passes.clear()

        def blocks(purpose: str, work: Any) -> Any:
            passes.append(purpose)
            return [work(plane)]

        find_thresholds(plane.dtype, 1, PixelOptions(**options), blocks)
        return len(passes)

    assert read(noise((9, 9, 1))) == 0
    assert read(noise((9, 9, 1)), upper_thres_quantile=0.5, lower_thres_quantile=0.1) == 1
    assert read(noise((9, 9, 1), np.uint16)) == 1
    assert read(noise((9, 9, 1), np.uint16), upper_thres_intensity=5) == 0
    assert read(noise((9, 9, 1), np.uint32)) == 2


def test_values_that_are_not_finite_do_not_count() -> None:
    plane = column(np.nan, -np.inf, 1, 2, 3, np.inf, dtype=np.float32)
    found = thresholds(plane)
    assert (found.low.value, found.high.value) == (1, 3)
    np.testing.assert_array_equal(rescaled(plane).ravel(), [0, 0, 0, 127, 255, 255])
    np.testing.assert_array_equal(
        rescaled(plane, transparent_below=0)[:, 0, 3], [0, 255, 255, 255, 255, 255]
    )  # only what is not a number is nowhere
    assert not rescaled(np.full((2, 2, 1), np.nan, np.float32)).any()


def test_a_plane_without_a_value_has_no_range() -> None:
    assert str(thresholds(column(np.nan, np.inf, dtype=np.float32))) == "0 … 0 (minimum, maximum)"


def test_pixels_that_a_mask_hides_do_not_count() -> None:
    plane = np.array([[[900, 0], [5, 1], [7, 255], [3, 65535], [800, 0]]], np.uint16)
    for masked, low, high in ((True, 3, 7), (False, 3, 900)):
        options = PixelOptions(lower_thres_quantile=0, upper_thres_quantile=1)
        found = find_thresholds(plane.dtype, 1, options, lambda _, work: [work(plane)], masked=masked)
        assert (found.low.value, found.high.value) == (low, high)


def test_alpha_that_is_not_a_number_is_transparent() -> None:
    plane = np.array([[[0, 0.5], [1, np.nan], [2, 1], [3, 2], [4, -1]]], np.float32)
    np.testing.assert_array_equal(rescaled(plane, alpha=True)[0, :, 3], [128, 0, 255, 255, 0])


def test_minus_zero_is_zero() -> None:
    found = thresholds(column(-0.0, 0.0, 0.0, 5, dtype=np.float32), upper_thres_quantile=1)
    assert (found.low.value, found.high.value) == (0, 5)
    assert str(found) == "0 … 5 (minimum, quantile 1)"


def test_thresholds_of_stretched_values_are_told_as_they_are_stored() -> None:
    found = Thresholds(Side(17, "as given"), Side(255, ""))
    assert found.stored(17) == Thresholds(Side(1, "as given"), Side(15, ""))
    assert str(found.stored(17)) == "1 … 15 (as given)"


def test_thresholds_of_colours_are_pooled_and_alpha_does_not_count() -> None:
    plane = np.zeros((1, 100, 4), np.uint16)
    plane[..., 1], plane[..., 3] = np.arange(100), 65535
    found = find_thresholds(plane.dtype, 3, PixelOptions(upper_thres_quantile=0.9), lambda _, work: [work(plane)])
    assert found.high.value == np.quantile(plane[..., :3], 0.9, method="inverted_cdf")
    shown = Rescale(plane.dtype, Layout(3, alpha=True), found, PixelOptions())(plane)
    assert (shown[..., 3] == 255).all()


def test_transparency_never_darkens() -> None:
    plane = noise((20, 30, 3))
    with_alpha = rescaled(plane, transparent_below=200)
    np.testing.assert_array_equal(with_alpha[..., :3], plane)
    np.testing.assert_array_equal(with_alpha[..., 3] == 0, (plane < 200).all(axis=-1))


@pytest.mark.parametrize(
    ("colours", "alpha", "options", "mode"),
    [
        (1, False, {}, "mono"), (1, False, {"colorize": "cyan"}, "rgb"), (1, True, {}, "rgba"),
        (1, False, {"transparent_below": 0}, "rgba"), (3, False, {}, "rgb"), (3, True, {}, "rgba"),
        (3, False, {"transparent_below": 9}, "rgba"), (1, False, {"alpha": "intensity"}, "rgba"),
        (1, True, {"alpha": "intensity", "colorize": "red"}, "rgba"),
    ],
)  # fmt: skip
def test_colour_modes(colours: int, alpha: bool, options: dict[str, Any], mode: str) -> None:
    rescale = Rescale(
        np.dtype("u1"), Layout(colours, alpha), Thresholds(Side(0, ""), Side(255, "")), PixelOptions(**options)
    )
    assert rescale.mode == mode
    assert rescale(noise((4, 5, colours + alpha))).shape == (4, 5, rescale.layout.bands)


@pytest.mark.parametrize(("dtype", "colours", "options"), [("u2", 1, {"transparent_below": 5}), ("u1", 3, {})])
def test_common_blocks_are_converted_fast(dtype: str, colours: int, options: dict[str, Any]) -> None:
    plane = noise((1024, 1024, colours), dtype)
    rescale = Rescale(
        plane.dtype, Layout(colours, alpha=False), Thresholds(Side(0, ""), Side(255, "")), PixelOptions(**options)
    )
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        rescale(plane)
        seconds.append(time.perf_counter() - started)
    # 600 MP/s where this was written; float64 for each pixel would be 20 MP/s
    assert min(seconds) < 1.05 / 60


def test_the_widest_floats_are_no_error() -> None:
    top = np.finfo(np.float64).max
    assert rescaled(column(-top, 0, top, dtype=np.float64)).shape == (3, 1, 1)
