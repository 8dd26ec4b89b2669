"""Points as picture tiles, drawn when they are asked for: millions of them, in a sorted column of 64-bit numbers.

A point is its place in a square world of 2³² cells a side, the bits of column and row interleaved (Morton order). A
tile of any zoom is then one run of the sorted column, and the pixel of a point in it some bits of its number.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cartloader_image.errors import InputError
from cartloader_image.tiles.grid import HALF_MAP, resolution
from cartloader_image.values import Bounds

TILE, FINEST = 512, 20
"""Pixels a side, and the finest zoom that is drawn (0.07 µm a pixel); the page enlarges its tiles beyond."""
_BITS, _PIXEL_BITS = 32, 9
_COLOUR = (255, 211, 77)
_FAINTEST = 70
"""Alpha of the pixel of a single point where others hold many."""
_RADIUS, _MOST_RADIUS = 0.75, 4
"""Of the dot of a point, in µm, and at most in pixels; at least it is one."""
_CROWDED = 0.98
"""Share of pixels with points that are not yet drawn full."""

Numbers = NDArray[np.uint64]


class Dots:
    """Points to be drawn; safe from any thread.

    Parameters:
        points: ``(points, 2)``: x and y in µm, the map's units; those outside the map are left out.

    Raises:
        InputError: all are.
    """

    def __init__(self, points: NDArray[np.floating]) -> None:
        inside = points[(np.abs(points) < HALF_MAP).all(axis=1)]
        if not len(inside):
            raise InputError(f"--points: none of {len(points):,} points lies on the map; are they in µm?")
        self.count = len(inside)
        (left, bottom), (right, top) = (edge.tolist() for edge in (inside.min(axis=0), inside.max(axis=0)))
        self.bounds = Bounds(left, top, right, bottom)
        # In 64 bits before half a map is added, beside which 32 bits know 2 µm.
        from_corner = np.abs(inside.astype(np.float64) + np.array([HALF_MAP, -HALF_MAP]))
        columns, rows = (from_corner * (2.0**_BITS / (2 * HALF_MAP))).astype(np.uint64).T
        self._places = np.sort(_interleaved(columns, rows))
        self._crowds: dict[int, float] = {}
        self._lock = threading.Lock()

    def tile(self, z: int, x: int, y: int) -> bytes | None:
        """A tile as PNG: a dot for each point, the more points the fuller its colour; None where there is none."""
        radius = int(np.clip(round(_RADIUS / resolution(z, TILE)), 1, _MOST_RADIUS))
        wide = np.zeros((3 * TILE, 3 * TILE), np.uint32)
        for row, column in np.ndindex(3, 3):  # dots of points beside the tile reach into it
            there = self._counts(z, x + column - 1, y + row - 1)
            if there is not None:
                wide[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE] = there
        seen = wide[TILE - radius : 2 * TILE + radius, TILE - radius : 2 * TILE + radius]
        if not seen.any():
            return None
        dots = np.zeros((TILE, TILE), np.uint32)
        for down, right in np.ndindex(2 * radius + 1, 2 * radius + 1):
            if (down - radius) ** 2 + (right - radius) ** 2 <= radius**2 + 1:
                np.maximum(dots, seen[down : down + TILE, right : right + TILE], out=dots)
        full = np.minimum(dots / self._crowd(z), 1)
        alpha = np.where(dots > 0, _FAINTEST + (255 - _FAINTEST) * full, 0).astype(np.uint8)
        picture, data = Image.fromarray(alpha, "P"), BytesIO()
        picture.putpalette(_COLOUR * 256)
        picture.save(data, "PNG", compress_level=1, transparency=bytes(range(256)))
        return data.getvalue()

    def _counts(self, z: int, x: int, y: int) -> NDArray[np.int64] | None:
        """Points by pixel of a tile."""
        if not (0 <= x < 1 << z and 0 <= y < 1 << z):
            return None
        shift = 2 * (_BITS - z)
        number = int(_interleaved(np.array([x], np.uint64), np.array([y], np.uint64))[0])
        first = np.searchsorted(self._places, np.uint64(number << shift), "left")
        end = np.searchsorted(self._places, np.uint64(((number + 1) << shift) - 1), "right")
        if first == end:
            return None
        pixels = (self._places[first:end] >> np.uint64(shift - 2 * _PIXEL_BITS)) & np.uint64(TILE * TILE - 1)
        return np.bincount(pixels.astype(np.intp), minlength=TILE * TILE)[_morton()]

    def _crowd(self, z: int) -> float:
        """Points in a pixel that is crowded, of all of the zoom: tiles beside each other are drawn alike."""
        with self._lock:
            if z not in self._crowds:
                pixels = self._places >> np.uint64(2 * (_BITS - z - _PIXEL_BITS))
                ends = np.flatnonzero(np.r_[pixels[1:] != pixels[:-1], True])
                self._crowds[z] = float(np.quantile(np.diff(ends, prepend=-1), _CROWDED))
            return self._crowds[z]


def _interleaved(columns: Numbers, rows: Numbers) -> Numbers:
    """Bits of a column in the even places, of a row in the odd ones."""
    return _spread(columns) | (_spread(rows) << np.uint64(1))


def _spread(numbers: Numbers) -> Numbers:
    """The 32 bits of each number with a zero above each."""
    masks = (0x0000FFFF0000FFFF, 0x00FF00FF00FF00FF, 0x0F0F0F0F0F0F0F0F, 0x3333333333333333, 0x5555555555555555)
    for shift, mask in zip((16, 8, 4, 2, 1), masks, strict=True):
        numbers = (numbers | (numbers << np.uint64(shift))) & np.uint64(mask)
    return numbers


@lru_cache(maxsize=1)
def _morton() -> NDArray[np.intp]:
    """The place of each pixel of a tile, ``(rows, columns)``, in interleaved order."""
    side = np.arange(TILE, dtype=np.uint64)
    return _interleaved(*np.meshgrid(side, side)).astype(np.intp)
