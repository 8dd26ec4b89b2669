"""Uncompressed 8-bit pixels in tiles on disk: written and read by windows, from any thread, in little memory.

The placed GeoTIFF is such a store behind a TIFF header; the zooms of a pyramid pass through bare ones. Plain reads and
writes are used, not a memory map, whose pages would count as the process's memory.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cartloader_image.system.files import read_all, write_all
from cartloader_image.system.reading import naming
from cartloader_image.window import Window

Bytes = NDArray[np.uint8]
Shown = tuple[bool, bool, bool]
"""Which of red, green and blue a picture in a primary colour shows."""


def stored_bytes(height: int, width: int, bands: int, tile: int) -> int:
    """Bytes of a picture in whole tiles."""
    return math.prod(Window.of(height, width).on_grid(tile).shape) * bands


@dataclass
class TileStore:
    """``height × width × bands`` bytes in square tiles, row by row of tiles, from ``offset`` in an open file."""

    path: Path
    descriptor: int
    offset: int
    height: int
    width: int
    bands: int
    tile: int

    @classmethod
    def create(cls, path: Path, height: int, width: int, bands: int, tile: int) -> Self:
        """A bare store, in a new file or one that is there already; what is never written reads as 0."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        store = cls(path, descriptor, 0, height, width, bands, tile)
        os.ftruncate(descriptor, store.size)
        return store

    @property
    def size(self) -> int:
        """Bytes of all tiles."""
        return stored_bytes(self.height, self.width, self.bands, self.tile)

    @property
    def _extent(self) -> Window:
        return Window.of(self.height, self.width)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)

    def write(self, row: int, column: int, pixels: Bytes) -> None:
        """Put ``(rows, columns, bands)`` at a corner; what reaches beyond the store is cut off."""
        window = Window(row, row + pixels.shape[0], column, column + pixels.shape[1])
        with naming(self.path):
            for piece in self._pieces(window.intersect(self._extent)):
                part = pixels[piece.rows, piece.columns]
                if piece.runs == 1:
                    write_all(self.descriptor, np.ascontiguousarray(part), piece.start)
                else:
                    for index, line in enumerate(part):
                        write_all(self.descriptor, np.ascontiguousarray(line), piece.start + index * self._stride)

    def read(self, window: Window) -> Bytes:
        """The ``(rows, columns, bands)`` of a window inside the store."""
        result = np.empty((*window.shape, self.bands), np.uint8)
        for piece in self._pieces(window):
            height = piece.rows.stop - piece.rows.start
            lines = np.empty((height, self.tile, self.bands), np.uint8)
            with naming(self.path):
                read_all(self.descriptor, lines, piece.start - piece.skip * self.bands)
            width = piece.columns.stop - piece.columns.start
            result[piece.rows, piece.columns] = lines[:, piece.skip : piece.skip + width]
        return result

    @property
    def _stride(self) -> int:
        """Bytes of a row inside a tile."""
        return self.tile * self.bands

    def _pieces(self, window: Window) -> Iterator[_Piece]:
        """What a window shares with each tile: rows inside a tile lie one after the other."""
        tile, tiles_across = self.tile, self._extent.cells(self.tile).column1
        for row, column in window.cells(tile).places():
            whole = Window.cell(row, column, tile)
            part = whole.intersect(window)
            inside = part.relative_to(whole)
            first_row = (row * tiles_across + column) * tile + inside.row0
            rows, columns = part.within(window)
            yield _Piece(
                rows=rows,
                columns=columns,
                start=self.offset + first_row * self._stride + inside.column0 * self.bands,
                skip=inside.column0,
                runs=1 if inside.shape[1] == tile else inside.shape[0],
            )


@dataclass(frozen=True)
class _Piece:
    rows: slice
    columns: slice
    start: int
    """Byte of the first pixel."""
    skip: int
    """Pixels between the tile's left edge and the first one."""
    runs: int
    """Contiguous runs of bytes: one where whole rows of the tile are meant."""
