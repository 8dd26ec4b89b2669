"""A plane made smaller by area average, in the memory that its blocks take as they are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cartloader_image.images.plane import COPIES, Plane
from cartloader_image.layout import Pixels
from cartloader_image.window import Window

Values = NDArray[np.float64]

_SPAN = 1280
"""Source pixels along a side of a block, at least: few of its source blocks are shared with the next one."""
_TALL = 256
"""Source rows that are read and added at once, at least."""
_VALUES = 1 << 18
"""Numbers of 8 bytes that are worked on at once, few enough to stay in a processor's cache."""


class Shrunk:
    """A plane downsampled by area average: each new pixel is the mean of the source area that it covers.

    The new size is ``round(size / factor)``, at least 1. Integers are rounded to nearest, ties to even. Colour is
    weighted with alpha, and pixels that are not finite do not count. A new pixel is the same in whatever window it is
    read: what is added, and in which order, depends on its own area alone.
    """

    stored = False

    def __init__(self, plane: Plane, factor: float) -> None:
        self.plane = plane
        self.height = max(round(plane.height / factor), 1)
        self.width = max(round(plane.width / factor), 1)
        self.layout, self.dtype = plane.layout, plane.dtype
        self.concurrent, self.masked, self.tint = plane.concurrent, plane.masked, plane.tint
        columns = math.ceil(_SPAN / plane.block[1]) * plane.block[1]
        whole = columns >= plane.width
        rows = math.ceil((_TALL if whole else _SPAN) / plane.block[0]) * plane.block[0]
        self.block = (
            self.height if rows >= plane.height else max(math.floor(rows / factor), 1),
            self.width if whole else max(math.floor(columns / factor), 1),
        )
        self.copies = COPIES
        self._band = math.ceil(_TALL / plane.block[0]) * plane.block[0]

    @property
    def working_bytes(self) -> int:
        """Bytes that are held while a block is made, beside the block itself."""
        bands, columns = self.layout.bands, math.ceil(self.block[1] * self.plane.width / self.width)
        wide = min(columns + self.plane.block[1], self.plane.width)
        read = wide * min(self._band, self.plane.height) * bands * self.dtype.itemsize
        # None of the plane's copies is as 8-bit pixels on the way to the disk.
        weights = bands if self.dtype.kind == "f" else int(self.layout.alpha)
        values = 8 * (2 * _VALUES + max(columns * bands, _VALUES)) * (bands + weights) // bands
        return read * (self.plane.copies - 1) + values

    def read(self, window: Window) -> Pixels:
        """The mean of each new pixel's area."""
        rows = _coverage(window.row0, window.row1, self.height, self.plane.height)
        columns = _coverage(window.column0, window.column1, self.width, self.plane.width)
        source = _FromTheTop(self.plane, self._band, rows.stop, (columns.start, columns.stop))
        result = np.empty((*window.shape, self.layout.bands), self.dtype)
        wide = (columns.stop - columns.start) * result.shape[2]
        step = max(min(int(_TALL / rows.factor), _VALUES // wide), 1)
        for first in range(0, len(result), step):
            means = self._down(source, rows.some(first, min(first + step, len(result))))
            result[first : first + step] = self._finished(columns.average(means, axis=1))
        return result

    def _down(self, source: _FromTheTop, rows: _Coverage) -> Values:
        """The means over the rows of some new pixels, for each source column."""
        if rows.stop - rows.start <= _TALL + 2:
            return self._by_columns(source.take(rows.start, rows.stop), lambda values: rows.average(values, axis=0))
        # One row of new pixels, each taller than what is added at once.
        last = rows.start + int(rows.whole[-1])
        before = after = total = np.zeros(())
        edges = [rows.start, *range((rows.start // self._band + 1) * self._band, last, self._band), last]
        for start, stop in itertools.pairwise(edges):
            taken = source.take(start, stop)
            if start == rows.start:
                before = rows.part[0] * self._by_columns(taken[:1], np.array)
            total = self._by_columns(taken, lambda values: np.add.reduceat(values, [0], axis=0)) + total
        if rows.part[-1]:
            after = rows.part[-1] * self._by_columns(source.take(last, last + 1), np.array)
        means: Values = (total - before + after) / rows.factor
        return means

    def _by_columns(self, stored: Pixels, work: Callable[[Values], Values]) -> Values:
        """What ``work`` makes of the values and weights of source pixels, a few columns at a time."""
        step = max(_VALUES // (len(stored) * stored.shape[2]), 1)
        starts = range(0, stored.shape[1], step)
        return np.concatenate([work(self._values(stored[:, start : start + step])) for start in starts], axis=1)

    def _values(self, stored: Pixels) -> Values:
        """Values that can be added, with their weights as further bands where these are not all 1."""
        values, weight = stored.astype(np.float64), None
        if self.dtype.kind == "f":
            weight = np.isfinite(values).astype(np.float64)
            values[weight == 0] = 0
        if self.layout.alpha:
            weight = values[..., -1:] * (1 if weight is None else weight[..., :-1].min(axis=-1, keepdims=True))
            values[..., :-1] *= weight
        return values if weight is None else np.concatenate([values, weight], axis=-1)

    def _finished(self, means: Values) -> Pixels:
        """The means of values without their weights, in the plane's type."""
        mean, weight = np.split(means, [self.layout.bands], axis=-1)
        if weight.shape[-1]:
            colours = mean[..., : self.layout.colours]
            np.divide(colours, weight, out=colours, where=weight > 0)
            colours[np.broadcast_to(weight == 0, colours.shape)] = 0 if self.layout.alpha else np.nan
        return (np.rint(mean) if self.dtype.kind in "iu" else mean).astype(self.dtype)


class _FromTheTop:
    """Rows of some columns of a plane, asked for from the top; each is read once, in bands of whole blocks."""

    def __init__(self, plane: Plane, band: int, stop: int, columns: tuple[int, int]) -> None:
        self._plane, self._band, self._stop, self._columns = plane, band, stop, columns
        self._held: list[tuple[int, Pixels]] = []
        """Each with its first row."""

    def take(self, start: int, stop: int) -> Pixels:
        """The rows ``start … stop - 1``."""
        self._held = [(row, pixels) for row, pixels in self._held if row + len(pixels) > start]
        end = self._held[-1][0] + len(self._held[-1][1]) if self._held else start
        while end < stop:
            row, end = end, min((end // self._band + 1) * self._band, self._stop)
            self._held.append((row, self._plane.read(Window(row, end, *self._columns))))
        parts = [pixels[max(start - row, 0) : max(stop - row, 0)] for row, pixels in self._held]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


@dataclass(frozen=True)
class _Coverage:
    """How a run of new pixels covers the source pixels ``start … stop - 1`` along one axis.

    The outer edges of the new pixels are ``whole + part`` source pixels from ``start``.
    """

    start: int
    stop: int
    whole: NDArray[np.int64]
    part: NDArray[np.float64]
    factor: float
    """Source pixels to a new one."""

    def some(self, first: int, last: int) -> _Coverage:
        """That of the new pixels ``first … last - 1`` of the run."""
        whole, part = self.whole[first : last + 1], self.part[first : last + 1]
        start, stop = int(whole[0]), int(whole[-1]) + bool(part[-1])
        return _Coverage(self.start + start, self.start + stop, whole - start, part, self.factor)

    def average(self, values: Values, axis: int) -> Values:
        """The mean over each new pixel: its whole pixels, without what lies before its first edge, with the last part.

        Nothing beyond a new pixel's own area enters its sum, so it is the same in whatever block it is computed.
        """
        values = np.moveaxis(values, axis, 0)
        part = self.part.reshape(-1, *[1] * (values.ndim - 1))
        cut = part * values[np.minimum(self.whole, len(values) - 1)]
        sums = np.add.reduceat(values[: self.whole[-1]], self.whole[:-1], axis=0)
        return np.moveaxis((sums - cut[:-1] + cut[1:]) / self.factor, 0, axis)


def _coverage(start: int, stop: int, size: int, source: int) -> _Coverage:
    edges = np.arange(start, stop + 1, dtype=np.int64) * source
    whole, part = edges // size, (edges % size) / size
    first, last = int(whole[0]), int(whole[-1]) + bool(part[-1])
    return _Coverage(first, last, whole - first, part, source / size)
