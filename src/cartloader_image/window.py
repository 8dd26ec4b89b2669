"""Windows: boxes of pixels, and what they have to do with one another and with the blocks of a grid.

Rows and columns are counted from the first pixel of a picture, or of a whole zoom of the map. A window is the set of
its pixels: each method here says what it does to that set.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple, Self


class Window(NamedTuple):
    """A box of pixels: rows ``row0 … row1 - 1``, columns ``column0 … column1 - 1``."""

    row0: int
    row1: int
    column0: int
    column1: int

    @classmethod
    def of(cls, rows: int, columns: int) -> Self:
        """The whole of a picture of that size."""
        return cls(0, rows, 0, columns)

    @classmethod
    def cell(cls, row: int, column: int, rows: int, columns: int | None = None) -> Self:
        """One block of a grid of ``rows × columns`` pixels, or of squares, by its place in the grid.

        Examples:
            >>> Window.cell(1, 2, 10)
            Window(row0=10, row1=20, column0=20, column1=30)
        """
        columns = columns or rows
        return cls(row * rows, (row + 1) * rows, column * columns, (column + 1) * columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.row1 - self.row0, self.column1 - self.column0

    @property
    def is_empty(self) -> bool:
        """Whether it has no pixels."""
        return min(self.shape) <= 0

    @property
    def ranges(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """First row and the one behind the last, and the same of the columns, as rasterio takes a window."""
        return (self.row0, self.row1), (self.column0, self.column1)

    def places(self) -> Iterator[tuple[int, int]]:
        """Row and column of each pixel, row by row from the top left."""
        return itertools.product(range(self.row0, self.row1), range(self.column0, self.column1))

    def intersect(self, other: Window) -> Window:
        """The pixels that are in both; none where they have none in common."""
        row0, column0 = max(self.row0, other.row0), max(self.column0, other.column0)
        row1, column1 = min(self.row1, other.row1), min(self.column1, other.column1)
        return Window(row0, max(row0, row1), column0, max(column0, column1))

    def clamped(self, extent: Window) -> Window:
        """The pixels of an extent that are nearest to its own: those in both, or the row or column at the edge."""
        row0, column0 = (
            min(max(first, low), high - 1)
            for first, (low, high) in zip((self.row0, self.column0), extent.ranges, strict=True)
        )
        row1, column1 = min(self.row1, extent.row1), min(self.column1, extent.column1)
        return Window(row0, max(row1, row0 + 1), column0, max(column1, column0 + 1))

    def grown(self, rows: int, columns: int | None = None) -> Window:
        """With so many rows more above and below, and as many columns on either side unless another number is given."""
        columns = rows if columns is None else columns
        return Window(self.row0 - rows, self.row1 + rows, self.column0 - columns, self.column1 + columns)

    def cells(self, rows: int, columns: int | None = None) -> Window:
        """The blocks of a grid that it touches, by their places in the grid (see `cell`).

        Examples:
            >>> Window(5, 20, 0, 11).cells(10)
            Window(row0=0, row1=2, column0=0, column1=2)
        """
        columns = columns or rows
        return Window(self.row0 // rows, -(-self.row1 // rows), self.column0 // columns, -(-self.column1 // columns))

    def on_grid(self, step: int) -> Window:
        """The smallest window that holds it and is made of whole squares of a grid."""
        return Window(*(edge * step for edge in self.cells(step)))

    def relative_to(self, other: Window) -> Window:
        """The same pixels, counted from the first one of another window."""
        row, column = other.row0, other.column0
        return Window(self.row0 - row, self.row1 - row, self.column0 - column, self.column1 - column)

    def within(self, other: Window) -> tuple[slice, slice]:
        """Where its pixels are in an array of those of a window that holds it."""
        rows, columns = self.relative_to(other).ranges
        return slice(*rows), slice(*columns)


def windows(height: int, width: int, block: tuple[int, int]) -> Iterator[Window]:
    """The windows of a picture on a grid of blocks, row by row from the top left."""
    whole = Window.of(height, width)
    for row, column in whole.cells(*block).places():
        yield Window.cell(row, column, *block).intersect(whole)
