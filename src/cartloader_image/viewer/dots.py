"""Points as picture tiles, drawn when they are asked for: millions of them, in a sorted column of 64-bit numbers.

A point is its place in a square world of 2³² cells a side, the bits of column and row interleaved (Morton order). A
tile of any zoom is then one run of the sorted column, and the pixel of a point in it some bits of its number.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from functools import lru_cache
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cartloader_image.errors import InputError
from cartloader_image.palette import BLUE, BLUISH_GREEN, ORANGE, REDDISH_PURPLE, SKY_BLUE, VERMILION, YELLOW
from cartloader_image.points.table import Part
from cartloader_image.tiles.grid import HALF_MAP, resolution
from cartloader_image.values import Bounds

TILE, FINEST = 512, 20
"""Pixels a side, and the finest zoom that is drawn (0.07 µm a pixel); the page enlarges its tiles beyond."""
_BITS, _PIXEL_BITS = 32, 9
_COLOUR = (255, 211, 77)
COLOURS = tuple(
    tuple(bytes.fromhex(colour[1:]))
    for colour in (ORANGE, SKY_BLUE, BLUISH_GREEN, YELLOW, BLUE, VERMILION, REDDISH_PURPLE)
)
"""Of groups."""
REST = (170, 170, 170)
"""Of the points of all other groups."""
_FAINTEST = 70
"""Alpha of the pixel of a single point where others hold many."""
_RADIUS, _MOST_RADIUS = 0.75, 4
"""Of the dot of a point, in µm, and at most in pixels; at least it is one."""
_CROWDED = 0.98
"""Share of pixels with points that are not yet drawn full."""
_KEPT = 24
"""Tiles whose pixels are kept, of 3 MB at most: each is looked at for the dots of its neighbours, too."""

Numbers = NDArray[np.uint64]


class Choice(NamedTuple):
    """Which groups are drawn, and in which colours."""

    groups: tuple[int | None, ...]
    """By colour; at most as many as there are `COLOURS`."""
    hidden: tuple[int, ...] = ()
    rest: bool = True
    """Whether the points of all groups that are not named are drawn, in one colour."""


class _Pixels(NamedTuple):
    """Pixels of a tile that hold points: where, how many, and what is drawn there."""

    places: NDArray[np.intp]
    counts: NDArray[np.uint32]
    tops: NDArray[np.uint32]
    """The number of the colour in the low byte. Above it is chance: where dots cover each other the greatest of these
    is seen, so that an area looks as mixed as it is."""


class Dots:
    """Points to be drawn; safe from any thread.

    Parameters:
        parts: Of them, in µm, the map's units; those outside the map are left out.
        names: Of their groups, by number; filled when the last part has come.

    Raises:
        InputError: all are outside.
    """

    def __init__(self, parts: Iterable[Part], names: Iterable[str] = ()) -> None:
        places, groups, total = list[Numbers](), list[NDArray[np.uint16]](), 0
        edges = list[tuple[float, float, float, float]]()
        for part in parts:
            inside = (np.abs(part.places[:, 0]) < HALF_MAP) & (np.abs(part.places[:, 1]) < HALF_MAP)
            total += len(inside)
            if not inside.any():
                continue
            # In 64 bits before half a map is added, beside which 32 bits know 2 µm.
            x, y = (part.places[inside, axis].astype(np.float64) for axis in (0, 1))
            edges.append((x.min(), y.max(), x.max(), y.min()))
            cells = 2.0**_BITS / (2 * HALF_MAP)
            columns, rows = (((HALF_MAP + side) * cells).astype(np.uint64) for side in (x, -y))
            numbers = _interleaved(columns, rows)
            order = np.argsort(numbers)  # while others are read; runs are merged in a sixth of the time of sorting
            places.append(numbers[order])
            if part.groups is not None:
                groups.append(part.groups[inside][order])
        if not places:
            raise InputError(f"--points: none of {total:,} points lies on the map; are they in µm?")
        lefts, tops, rights, bottoms = zip(*edges, strict=True)
        self.bounds = Bounds(float(min(lefts)), float(max(tops)), float(max(rights)), float(min(bottoms)))
        self._places = np.concatenate(places)
        del places
        self.count = len(self._places)
        self.names = list[tuple[str, int]]()
        """Groups by their number here, the largest first, and how many points each has."""
        self._groups: NDArray[np.uint16] | None = None
        if groups:
            order = np.argsort(self._places, kind="stable")
            self._places = self._places[order]
            self._groups = self._by_size(np.concatenate(groups)[order], list(names))
        else:
            self._places.sort(kind="stable")
        self._crowds: dict[tuple[int, Choice | None], float] = {}
        self._lock = threading.Lock()
        self._pixels = lru_cache(_KEPT)(self._pixels_of)

    def _by_size(self, groups: NDArray[np.uint16], names: Sequence[str]) -> NDArray[np.uint16]:
        counts = np.bincount(groups, minlength=len(names))
        order = np.argsort(-counts, kind="stable")
        self.names = [(names[index], int(counts[index])) for index in order if counts[index]]
        rank = np.empty(len(names), np.uint16)
        rank[order] = np.arange(len(names))
        return rank[groups]

    def tile(self, z: int, x: int, y: int, choice: Choice | None = None) -> bytes | None:
        """A tile as PNG: a dot for each point, the more points the fuller its colour; None where there is none.

        Args:
            z: Its zoom.
            x: Its column.
            y: Its row.
            choice: The groups that are drawn, each in its colour; all points in one unless given.
        """
        radius = int(np.clip(round(_RADIUS / resolution(z, TILE)), 1, _MOST_RADIUS))
        side = TILE + 2 * radius
        counts, tops = np.zeros((2, side, side), np.uint32)
        for row, column in np.ndindex(3, 3):  # dots of points beside the tile reach into it
            self._put(counts, tops, (z, x + column - 1, y + row - 1), (row - 1, column - 1), choice)
        if not counts.any():
            return None
        dots, seen = np.zeros((2, TILE, TILE), np.uint32)
        for down, right in np.ndindex(2 * radius + 1, 2 * radius + 1):
            if (down - radius) ** 2 + (right - radius) ** 2 <= radius**2 + 1:
                part = slice(down, down + TILE), slice(right, right + TILE)
                np.maximum(dots, counts[part], out=dots)
                if choice:
                    np.maximum(seen, tops[part], out=seen)
        full = np.minimum(dots / self._crowd(z, choice), 1)
        colours = [*COLOURS, REST] if choice else [_COLOUR]
        steps = 256 // len(colours)
        alphas = np.where(dots > 0, _FAINTEST + (255 - _FAINTEST) * full, 0)
        index = (seen & 0xFF) * steps + np.rint(alphas * ((steps - 1) / 255)).astype(np.uint32)
        picture, data = Image.fromarray(index.astype(np.uint8), "P"), BytesIO()
        picture.putpalette([value for colour in colours for value in colour * steps])
        opacities = np.rint(np.linspace(0, 255, steps)).astype(np.uint8).tobytes() * len(colours)
        picture.save(data, "PNG", compress_level=1, transparency=opacities)
        return data.getvalue()

    def _put(
        self,
        counts: NDArray[np.uint32],
        tops: NDArray[np.uint32],
        tile: tuple[int, int, int],
        at: tuple[int, int],
        choice: Choice | None,
    ) -> None:
        """Put the pixels of a tile that lies so many rows and columns beside another where its margin has them."""
        with self._lock:  # or each of the tiles beside it, asked for at once, would find them out itself
            pixels = self._pixels(*tile, choice)
        if pixels is None:
            return
        margin = (len(counts) - TILE) // 2
        there = _pixel_places()[pixels.places]
        rows, columns = there // TILE + (at[0] * TILE + margin), there % TILE + (at[1] * TILE + margin)
        inside = (rows >= 0) & (rows < len(counts)) & (columns >= 0) & (columns < len(counts))
        counts[rows[inside], columns[inside]] = pixels.counts[inside]
        tops[rows[inside], columns[inside]] = pixels.tops[inside]

    def _pixels_of(self, z: int, x: int, y: int, choice: Choice | None) -> _Pixels | None:
        if not (0 <= x < 1 << z and 0 <= y < 1 << z):
            return None
        shift = 2 * (_BITS - z)
        number = int(_interleaved(np.array([x], np.uint64), np.array([y], np.uint64))[0])
        first = int(np.searchsorted(self._places, np.uint64(number << shift), "left"))
        end = int(np.searchsorted(self._places, np.uint64(((number + 1) << shift) - 1), "right"))
        places, tops = self._places[first:end], np.zeros(1, np.uint32)
        if choice:
            colours = self._colours(choice)[self._of(slice(first, end))]
            # Any numbers without a pattern: Fibonacci hashing, 24 bits of it.
            tops = np.arange(first, end, dtype=np.uint32)
            tops *= np.uint32(2654435769)
            tops &= np.uint32(0xFFFFFF00)
            tops |= colours
            if (hidden := colours > len(COLOURS)).any():
                places, tops = places[~hidden], tops[~hidden]
        pixels = (places >> np.uint64(shift - 2 * _PIXEL_BITS)) & np.uint64(TILE * TILE - 1)
        if not len(pixels):
            return None
        starts = np.flatnonzero(np.r_[True, pixels[1:] != pixels[:-1]])
        counts = np.diff(starts, append=len(pixels)).astype(np.uint32)
        tops = np.maximum.reduceat(tops, starts) if choice else np.broadcast_to(tops, starts.shape)
        return _Pixels(pixels[starts].astype(np.intp), counts, tops)

    def _of(self, points: slice) -> NDArray[np.uint16]:
        return np.zeros(0, np.uint16) if self._groups is None else self._groups[points]

    def _colours(self, choice: Choice) -> NDArray[np.uint32]:
        """The number of the colour of each group; one more than there are for what is not drawn."""
        colours = np.full(len(self.names) + 1, len(COLOURS) + (not choice.rest), np.uint32)
        for group in choice.hidden:
            if group < len(self.names):
                colours[group] = len(COLOURS) + 1
        for colour, one in enumerate(choice.groups):
            if one is not None and one < len(self.names):
                colours[one] = colour
        return colours

    def _crowd(self, z: int, choice: Choice | None) -> float:
        """Points in a pixel that is crowded, of all of the zoom: tiles beside each other are drawn alike."""
        with self._lock:
            if (z, choice) not in self._crowds:
                places = self._places
                if choice and (hidden := self._colours(choice)[self._of(slice(None))] > len(COLOURS)).any():
                    places = places[~hidden]
                pixels = places >> np.uint64(2 * (_BITS - z - _PIXEL_BITS))
                ends = np.flatnonzero(np.r_[pixels[1:] != pixels[:-1], True])
                self._crowds[z, choice] = float(np.quantile(np.diff(ends, prepend=-1), _CROWDED))
            return self._crowds[z, choice]


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
def _pixel_places() -> NDArray[np.intp]:
    """The place, row by row, of each pixel of a tile in interleaved order."""
    side = np.arange(TILE, dtype=np.uint64)
    return np.argsort(_interleaved(*np.meshgrid(side, side)), axis=None)
