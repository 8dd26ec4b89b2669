"""A plane: one 2-D picture that is read window by window, whatever file it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cartloader.errors import InputError

Pixels = NDArray[Any]
"""``(rows, columns, bands)``; with alpha, that is the last band."""


COPIES = 3
"""Of a block: as it is decoded, as it is converted, and as 8-bit pixels on the way to the disk."""


class Window(NamedTuple):
    """A box of pixels: rows ``row0 … row1 - 1``, columns ``column0 … column1 - 1``."""

    row0: int
    row1: int
    column0: int
    column1: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.row1 - self.row0, self.column1 - self.column0


class Plane(Protocol):
    """A picture of one (mono) or three (RGB) bands, and maybe alpha, read by windows in native byte order."""

    height: int
    width: int
    colours: int
    """1 or 3."""
    alpha: bool
    dtype: np.dtype[Any]
    """bool, integer or float of at most 64 bits; alpha has the same type."""
    block: tuple[int, int]
    """Rows and columns that are cheapest to read at once: windows on this grid decode nothing twice."""
    concurrent: bool
    """Whether windows may be read from several threads in any order; otherwise one by one from the top."""
    stored: bool
    """Whether nothing has to be worked out: a window read again costs no more than from a scratch file."""
    copies: int
    """How many times its own size a block takes in memory while it is read, converted and written."""

    def read(self, window: Window) -> Pixels:
        """The pixels of a window inside the plane, ``(rows, columns, colours + alpha)``.

        Raises:
            InputError: the file is damaged there.
        """


def windows(height: int, width: int, block: tuple[int, int]) -> Iterator[Window]:
    """The windows of a grid of blocks, row by row from the top left."""
    rows, columns = block
    for row in range(0, height, rows):
        for column in range(0, width, columns):
            yield Window(row, min(row + rows, height), column, min(column + columns, width))


@dataclass
class Projected:
    """The maximum of several planes of one size and type."""

    stored, copies = False, COPIES

    planes: list[Plane]

    def __post_init__(self) -> None:
        first = self.planes[0]
        if any((plane.height, plane.width) != (first.height, first.width) for plane in self.planes):
            raise InputError("the planes of a projection differ in size; choose one with --z instead of --z-project")
        self.height, self.width, self.dtype = first.height, first.width, first.dtype
        self.colours, self.alpha = first.colours, first.alpha
        self.block, self.concurrent, self.copies = first.block, first.concurrent, first.copies + 1

    def read(self, window: Window) -> Pixels:
        """The greatest value of each pixel."""
        result = self.planes[0].read(window)
        for plane in self.planes[1:]:
            result = np.fmax(result, plane.read(window))  # a value wins over one that is not a number
        return result
