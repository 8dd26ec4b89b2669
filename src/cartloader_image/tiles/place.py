"""Where the picture of a PMTiles archive lies, and from which of its tiles it is best drawn small."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cartloader_image.tiles.directory import Numbers
from cartloader_image.tiles.grid import HALF_MAP, from_lon_lat
from cartloader_image.tiles.ids import first_id
from cartloader_image.tiles.reader import ArchiveReader
from cartloader_image.values import Bounds
from cartloader_image.window import Window

_DRAWN = 1 << 15
"""Tiles that are drawn at most: half a minute of decoding."""
_LOOKED_AT = 1 << 20
"""Entries of a zoom that are looked at to find out where an archive's tiles are."""
_POLE = 85.0511287798066
"""Degrees of latitude at which the map of EPSG:3857 ends."""


@dataclass(frozen=True)
class Box:
    """A box in shares of the world, from its upper-left corner."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in it."""
        return self.right <= self.left or self.bottom <= self.top

    @property
    def bounds(self) -> Bounds:
        """Its north-west and south-east corners in map units."""
        left, right = (2 * HALF_MAP * share - HALF_MAP for share in (self.left, self.right))
        top, bottom = (HALF_MAP - 2 * HALF_MAP * share for share in (self.top, self.bottom))
        return Bounds(left, top, right, bottom)

    def within(self, other: Box) -> Box:
        """What is in both."""
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def grown(self, by: float) -> Box:
        """With so much more on each side."""
        return Box(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def pixels(self, scale: float) -> Window:
        """Whole pixels, for a world of ``scale`` pixels a side; at least one."""
        left, top = round(self.left * scale), round(self.top * scale)
        width, height = round((self.right - self.left) * scale), round((self.bottom - self.top) * scale)
        return Window(top, top + max(height, 1), left, left + max(width, 1))


@dataclass(frozen=True)
class Square:
    """One tile, or some that lie together and are drawn from one of them."""

    window: Window
    """Where it is drawn."""
    tile_id: int
    offset: int
    length: int


def plan_drawing(archive: ArchiveReader, zooms: list[int], tile: int, size: int) -> tuple[Window, list[Square]]:
    """The picture's window in pixels at least as many as ``size``, as far as there are any, and what is drawn into it.

    It is drawn from the coarsest zoom that is enough. Where that one is finer than need be, by any number of halvings,
    the window is that of its pixels halved so often, less than twice ``size``.

    Args:
        archive: Where the tiles are.
        zooms: Those that have tiles, the coarsest first.
        tile: Pixels a side of a tile.
        size: Longest side of the picture that is wanted.

    Raises:
        ArchiveError: the archive is damaged.
    """
    box = place_of(archive, zooms)
    for zoom in zooms:
        side = max(box.right - box.left, box.bottom - box.top) * tile * 2.0**zoom
        if side >= size:
            break
    cell = tile * 2.0 ** -max(math.floor(math.log2(side / size)), 0)
    window = box.pixels(cell * 2.0**zoom)
    return window, _squares_of(archive, zoom, cell, window)


def place_of(archive: ArchiveReader, zooms: list[int]) -> Box:
    """Where the picture is: by the bounds that the archive tells, as far as there are tiles; else where its tiles are.

    Bounds that were never set are zero, or the whole world. Our own are true, also where tiles are left out because
    nothing is visible there.
    """
    metadata = archive.metadata
    declared = box_of(metadata.get("bounds"))
    if declared and "cartloader" in metadata:
        return declared
    declared = declared or box_of(archive.header.bounds)
    tiles = next((box for zoom in reversed(zooms) if (box := tiles_box(archive, zoom))), Box(0, 0, 1, 1))
    return declared.within(tiles) if declared and not declared.within(tiles).is_empty else tiles


def box_of(bounds: Any) -> Box | None:
    """Bounds in degrees, as metadata spell them, in shares of the world; None where they are no box on the map."""
    values = bounds.split(",") if isinstance(bounds, str) else bounds
    try:
        west, south, east, north = (float(value) for value in values)
    except (OverflowError, TypeError, ValueError):
        return None
    if not (-180.001 <= west < east <= 180.001 and -90 <= south < north <= 90):
        return None
    (left, top), (right, bottom) = from_lon_lat(west, min(north, _POLE)), from_lon_lat(east, max(south, -_POLE))
    edges = ((left + HALF_MAP), (HALF_MAP - top), (right + HALF_MAP), (HALF_MAP - bottom))
    box = Box(*(edge / (2 * HALF_MAP) for edge in edges)).within(Box(0, 0, 1, 1))
    return None if box.is_empty else box


def tiles_box(archive: ArchiveReader, zoom: int) -> Box | None:
    """The box of all tiles of a zoom, in shares of the world; None where they are too many to be looked at."""
    box, looked_at = Box(1, 1, 0, 0), 0
    for entries in archive.entries(zoom):
        looked_at += len(entries)
        if looked_at > _LOOKED_AT:
            return None
        for places, steps in _whole_squares(entries.ids - first_id(zoom), entries.runs):
            columns, rows = (axis / 2.0 ** (zoom - steps) for axis in column_and_row(places, zoom - steps))
            side = 2.0 ** (steps - zoom)
            box = Box(
                min(box.left, columns.min()),
                min(box.top, rows.min()),
                max(box.right, columns.max() + side),
                max(box.bottom, rows.max() + side),
            )
    return box


def _whole_squares(starts: Numbers, runs: Numbers) -> Iterator[tuple[Numbers, int]]:
    """The squares that runs of tiles are made of, by their places, and the halvings from their sides to a tile's.

    Of each size, a run has up to three at its start and three at its end: however long it is, they are few.
    """
    ends, steps = starts + runs, 0
    while len(starts):
        for _ in range(3):
            first = (starts & 3 > 0) & (starts < ends)
            last = (ends & 3 > 0) & (starts + first < ends)
            found = np.r_[starts[first], ends[last] - 1]
            starts, ends = starts + first, ends - last
            if len(found):
                yield found, steps
        going = starts < ends
        starts, ends, steps = starts[going] >> 2, ends[going] >> 2, steps + 1


def _squares(starts: Numbers, runs: Numbers, steps: int) -> tuple[Numbers, Numbers, int]:
    """The squares of ``2**steps`` tiles a side that runs of tiles touch, and which run each is of.

    Squares and tiles go by their places on the Hilbert curve of their zoom: along it, the four tiles of a tile of the
    zoom above follow each other. Where there would be too many, the squares are larger, as the third value says.
    """
    while (counts := ((starts + runs - 1) >> 2 * steps) - (starts >> 2 * steps) + 1).sum() > max(
        _LOOKED_AT, 2 * len(starts)
    ):
        steps += 1
    index = np.repeat(np.arange(len(starts)), counts)
    within = np.arange(len(index)) - np.repeat(np.cumsum(counts) - counts, counts)
    return (starts >> 2 * steps)[index] + within, index, steps


def column_and_row(places: Numbers, zoom: int) -> tuple[Numbers, Numbers]:
    """Columns and rows of tiles by their places on the Hilbert curve of their zoom."""
    columns, rows = np.zeros_like(places), np.zeros_like(places)
    for bit in range(zoom):
        side, quarter = 1 << bit, places >> (2 * bit)
        right = (quarter >> 1) & 1
        lower = (quarter ^ right) & 1
        turned, mirrored = lower == 0, (lower == 0) & (right == 1)
        columns, rows = np.where(mirrored, side - 1 - columns, columns), np.where(mirrored, side - 1 - rows, rows)
        columns, rows = np.where(turned, rows, columns), np.where(turned, columns, rows)
        columns, rows = columns + side * right, rows + side * lower
    return columns, rows


def _squares_of(archive: ArchiveReader, zoom: int, cell: float, seen: Window) -> list[Square]:
    """What is drawn: the tiles themselves while they have a pixel and are not too many, else one of each square.

    A tile has ``cell`` pixels a side. Squares of several tiles end where the window that is ``seen`` does: they may be
    as large as the world, and it as small as a tile.
    """
    steps = max(math.ceil(-math.log2(cell)), 0)
    # Places of squares; id, offset and length of the tile that each is drawn from.
    drawn: Numbers = np.empty((4, 0), np.int64)
    for entries in archive.entries(zoom):
        places, index, larger = _squares(entries.ids - first_id(zoom), entries.runs, steps)
        drawn[0] >>= 2 * (larger - steps)
        steps = larger
        further = np.stack([places, entries.ids[index], entries.offsets[index], entries.lengths[index]])
        drawn = _one_each(np.concatenate([drawn, further], axis=1))
        while drawn.shape[1] > _DRAWN:
            steps += 1
            drawn[0] >>= 2
            drawn = _one_each(drawn)
    columns, rows = column_and_row(drawn[0], zoom - steps)
    side = cell * 2**steps
    edges = np.floor(np.stack([rows, rows + 1, columns, columns + 1]) * side + 0.5).astype(np.int64)
    windows = (Window(*window) for window in edges.T.tolist())
    return [
        Square(window.intersect(seen) if steps else window, *tile)
        for window, tile in zip(windows, drawn[1:].T.tolist(), strict=True)
    ]


def _one_each(squares: Numbers) -> Numbers:
    """The first column of each value in the first row."""
    return squares[:, np.unique(squares[0], return_index=True)[1]]
