"""From stored values to 8 bits: exact quantiles of any size of plane, rescaling, colour, transparency.

``f = (clip(v, lo, hi) - lo) / (hi - lo)`` in float64 and ``v8 = trunc(255 f)``; a colour is ``trunc(colour · f)``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartloader_image.errors import UsageError
from cartloader_image.layout import Layout, Pixels, full
from cartloader_image.params import PixelOptions
from cartloader_image.report import Stage

Blocks = Callable[[Stage, Callable[[Pixels], Any]], Iterable[Any]]
"""Reads the plane once more and gives what a function makes of each block; the stage says for what purpose."""

DEFAULT_UPPER_QUANTILE = 0.999
_DIGIT_BITS = 16


@dataclass(frozen=True)
class Side:
    """One end of the range that is shown."""

    value: float
    reason: str
    """Where it comes from, such as ``quantile 0.999``; empty for a default that nobody needs to be told."""


@dataclass(frozen=True)
class Thresholds:
    """The stored values that become 0 and 255."""

    low: Side
    high: Side

    def stored(self, stretch: float) -> Thresholds:
        """The same in stored values, of which the plane's are so many times as great."""
        return Thresholds(*(replace(side, value=side.value / stretch) for side in (self.low, self.high)))

    def __str__(self) -> str:
        reasons = [side.reason for side in (self.low, self.high) if side.reason]
        because = f" ({', '.join(dict.fromkeys(reasons))})" if reasons else ""
        return f"{_number(self.low.value)} … {_number(self.high.value)}{because}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:,.6g}"


def find_thresholds(
    dtype: np.dtype[Any], colours: int, options: PixelOptions, blocks: Blocks, *, masked: bool = False
) -> Thresholds:
    """What the options and the plane's values say; passes over the pixels are made only where they must be.

    Quantiles are those of ``np.quantile(method="inverted_cdf")`` over all values of all colour bands, alpha left out;
    values that are not finite do not count, nor, where a plane is ``masked``, do pixels with alpha 0. ``dtype`` is that
    of the blocks, ``(rows, columns, colours + alpha)``.

    Raises:
        UsageError: given values leave no range.
    """
    statistics = _Statistics(dtype, colours, blocks, masked=masked)
    low_given, high_given = (_given(options, side, statistics) for side in ("lower", "upper"))
    low = low_given or _default_low(dtype, statistics)
    high = high_given or _default_high(dtype, low, statistics)
    if high.value <= low.value and (low_given or high_given):
        raise UsageError(
            f"nothing lies between the lower threshold {_number(low.value)} ({low.reason or 'default'}) and the upper "
            f"threshold {_number(high.value)} ({high.reason or 'default'}); the upper one must be greater"
        )
    return Thresholds(low, high)


def needs_statistics(dtype: np.dtype[Any], options: PixelOptions) -> bool:
    """Whether `find_thresholds` has to read the pixels."""
    given = [options.lower_thres_intensity is not None, options.upper_thres_intensity is not None]
    asked = options.lower_thres_quantile is not None or options.upper_thres_quantile is not None
    known = [given[0] or dtype.kind in "bu", given[1] or dtype == np.uint8]
    return asked or not all(known)


def _given(options: PixelOptions, side: str, statistics: _Statistics) -> Side | None:
    intensity, quantile = (getattr(options, f"{side}_thres_{kind}") for kind in ("intensity", "quantile"))
    if intensity is not None:
        return Side(float(intensity), "as given")
    if quantile is not None:
        return Side(statistics.quantile(float(quantile)), f"quantile {quantile:g}")
    return None


def _default_low(dtype: np.dtype[Any], statistics: _Statistics) -> Side:
    return Side(0.0, "") if dtype.kind in "bu" else Side(statistics.minimum, "minimum")


def _default_high(dtype: np.dtype[Any], low: Side, statistics: _Statistics) -> Side:
    if dtype == np.uint8:
        return Side(255.0, "")
    value = statistics.quantile(DEFAULT_UPPER_QUANTILE)
    if value > low.value:
        return Side(value, f"quantile {DEFAULT_UPPER_QUANTILE:g}")
    return Side(statistics.maximum, "maximum")


class _Statistics:
    """Exact order statistics of a plane that is never in memory as a whole.

    Values are mapped to unsigned integers of the same order; the value of a rank is found 16 bits at a time, each by
    one histogram over the pixels that share the bits found so far. 8- and 16-bit data need one pass, 32 bits two.
    """

    def __init__(self, dtype: np.dtype[Any], colours: int, blocks: Blocks, *, masked: bool) -> None:
        self._dtype, self._colours, self._blocks, self._masked = dtype, colours, blocks, masked
        self._digits = math.ceil(dtype.itemsize * 8 / _DIGIT_BITS)
        self._histograms: dict[int, NDArray[np.int64]] = {}

    def quantile(self, q: float) -> float:
        """The smallest value at or below which at least a share ``q`` of all values lies."""
        count = int(self._histogram(0, 0).sum())
        return self._of_rank(max(math.ceil(q * count), 1)) if count else 0.0

    @property
    def minimum(self) -> float:
        """The smallest finite value, or 0 where there is none."""
        return self.quantile(0)

    @property
    def maximum(self) -> float:
        """The greatest finite value, or 0 where there is none."""
        return self.quantile(1)

    def _of_rank(self, rank: int) -> float:
        prefix = 0
        for digit in range(self._digits):
            cumulated = np.cumsum(self._histogram(digit, prefix))
            found = int(np.searchsorted(cumulated, rank))
            rank -= int(cumulated[found - 1]) if found else 0
            prefix = (prefix << _DIGIT_BITS) | found
        return _from_ordered(prefix, self._dtype)

    def _histogram(self, digit: int, prefix: int) -> NDArray[np.int64]:
        """Counts of the next 16 bits among the values that start with ``prefix``, the ``digit`` ones found so far."""
        key = (digit << 64) | prefix
        if key not in self._histograms:
            counts = np.zeros(1 << _DIGIT_BITS, np.int64)
            for found in self._blocks(Stage.INTENSITY, functools.partial(self._count, digit, prefix)):
                counts += found
            self._histograms[key] = counts
        return self._histograms[key]

    def _count(self, digit: int, prefix: int, block: Pixels) -> NDArray[np.int64]:
        shift = _DIGIT_BITS * (self._digits - 1 - digit)
        counted = block[block[..., -1] != 0] if self._masked else block
        ordered = _ordered(counted[..., : self._colours])
        if digit:
            ordered = ordered[(ordered >> (shift + _DIGIT_BITS)) == prefix]
        low_bits = ((ordered >> shift) & 0xFFFF).astype(np.intp) if self._digits > 1 else ordered
        return np.bincount(low_bits.ravel(), minlength=1 << _DIGIT_BITS)


def _ordered(values: NDArray[Any]) -> NDArray[Any]:
    """Finite values as unsigned integers of the same order.

    Signed integers get their sign bit flipped; IEEE floats too, and negative ones all other bits as well.
    """
    dtype = values.dtype
    if dtype.kind in "bu":
        return values
    unsigned = np.dtype(f"u{dtype.itemsize}")
    top = unsigned.type(1) << unsigned.type(dtype.itemsize * 8 - 1)
    if dtype.kind == "i":
        flipped: NDArray[Any] = values.view(unsigned) ^ top
        return flipped
    values = values[np.isfinite(values)] + dtype.type(0)  # adding 0 makes -0 and 0 the same value
    bits = values.view(unsigned)
    return np.where(bits & top, ~bits, bits | top)


def _from_ordered(ordered: int, dtype: np.dtype[Any]) -> float:
    """The value whose `_ordered` integer this is."""
    if dtype.kind in "bu":
        return float(ordered)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    bits, top = unsigned.type(ordered), unsigned.type(1) << unsigned.type(dtype.itemsize * 8 - 1)
    if dtype.kind == "i" or bits & top:
        bits ^= top
    else:
        bits = ~bits
    return float(np.asarray(bits).view(dtype))


def rescaled(layout: Layout, options: PixelOptions) -> Layout:
    """The layout of the 8-bit picture of a plane: mono, RGB or RGBA."""
    alpha = layout.alpha or options.transparent_below is not None or options.alpha is not None
    return Layout(3 if alpha or options.colorize else layout.colours, alpha)


class Rescale:
    """Stored pixels → 8-bit pixels, block by block: thresholds, colour, transparency.

    Takes ``(rows, columns, bands)`` of the plane's type and layout and returns ``(rows, columns, bands) uint8`` of its
    own; mono with transparency becomes RGBA. The result may be a view of what it takes.
    """

    def __init__(self, dtype: np.dtype[Any], layout: Layout, thresholds: Thresholds, options: PixelOptions) -> None:
        self._dtype, self._stored = dtype, layout
        self._low, self._high = thresholds.low.value, thresholds.high.value
        self._below = options.transparent_below
        self._fades = options.alpha == "intensity"
        self._tint = options.colorize
        self.layout = rescaled(layout, options)
        # 8- and 16-bit integers are looked up, mono ones with all their bands at once.
        self._shades: NDArray[np.uint8] | None = None
        if dtype.kind in "iu" and dtype.itemsize <= 2:
            every = np.arange(1 << 8 * dtype.itemsize, dtype=f"u{dtype.itemsize}").view(dtype).reshape(-1, 1, 1)
            self._shades = self._shade(every).ravel()
            self._painted = self._paint(every).reshape(len(every), -1) if layout.colours == 1 else None
            self._opacities = _opacity(every).ravel()

    @property
    def mode(self) -> str:
        """``mono``, ``rgb`` or ``rgba``."""
        return self.layout.name.lower()

    def __call__(self, pixels: Pixels) -> NDArray[np.uint8]:
        """The 8-bit pixels of a block."""
        stored = pixels[..., : self._stored.colours]
        if self._shades is not None and self._painted is not None:
            result = _look_up(self._painted, stored[..., 0])
        else:
            result = self._paint(stored)
        if self._stored.alpha:
            alpha = pixels[..., -1]
            opacity = _opacity(alpha) if self._shades is None else _look_up(self._opacities, alpha)
            if self._fades:
                result[..., 3] = (result[..., 3].astype(np.uint16) * opacity + 127) // 255
            else:  # all or nothing so far
                result[..., 3] &= opacity
        return result

    def _paint(self, stored: Pixels) -> NDArray[np.uint8]:
        """All bands that follow from the colours alone; alpha is 0 where nothing is seen, else 255 or the shade."""
        shades = self._shade(stored) if self._shades is None else _look_up(self._shades, stored)
        colours = shades
        if self._tint:
            colours = np.trunc(self._fraction(stored) * np.array(self._tint, np.float64)).astype(np.uint8)
        if not self.layout.alpha:
            return colours
        result = np.empty((*stored.shape[:2], 4), np.uint8)
        result[..., :3] = colours
        result[..., 3] = shades[..., 0] if self._fades else 255
        if self._below is not None:
            result[functools.reduce(np.maximum, np.moveaxis(shades, -1, 0)) < self._below, 3] = 0
        if self._dtype.kind == "f":
            result[np.isnan(stored).any(axis=-1), 3] = 0
        return result

    def _shade(self, stored: Pixels) -> NDArray[np.uint8]:
        """255 times the fraction, cut to whole numbers."""
        return np.trunc(self._fraction(stored) * 255).astype(np.uint8)

    def _fraction(self, stored: Pixels) -> NDArray[np.float64]:
        """Position between the thresholds, 0 … 1; a constant plane and what is not a number are 0."""
        values = stored.astype(np.float64)
        if self._high <= self._low:
            return np.zeros_like(values)
        with np.errstate(invalid="ignore", over="ignore"):
            fraction = (np.clip(values, self._low, self._high) - self._low) / (self._high - self._low)
        return np.nan_to_num(fraction, copy=False, nan=0.0)


def _opacity(alpha: Pixels) -> NDArray[np.uint8]:
    """A file's own alpha as 8 bits; what is not a number is transparent."""
    share = np.nan_to_num(alpha.astype(np.float64) / full(alpha.dtype), nan=0.0).clip(0, 1)
    opacity: NDArray[np.uint8] = np.rint(share * 255).astype(np.uint8)
    return opacity


def _look_up(table: NDArray[np.uint8], stored: Pixels) -> NDArray[np.uint8]:
    """What a table by stored value says: for ``(levels,)`` of the same shape, for ``(levels, bands)`` with bands."""
    index = stored.view(f"u{stored.dtype.itemsize}")
    if len(table) == 256 and np.array_equal(table.ravel(), np.arange(256)):
        found: NDArray[np.uint8] = index.reshape(index.shape + table.shape[1:])
    elif table.shape[1:] == (4,):  # four bytes are fetched as one number
        found = np.take(table.view(np.uint32), index, mode="clip")[..., None].view(np.uint8)
    else:
        found = np.take(table, index, axis=0, mode="clip")
    return found
