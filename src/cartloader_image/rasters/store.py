"""Uncompressed 8-bit pixels in tiles on disk: written and read by windows, from any thread, in little memory.

The placed GeoTIFF is such a store behind a TIFF header; the zooms of a pyramid pass through bare ones. Plain reads and
writes are used, not a memory map, whose pages would count as the process's memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cartloader_image.images.plane import Window
from cartloader_image.system.files import read_all, write_all

Bytes = NDArray[np.uint8]
Shown = tuple[bool, bool, bool]
"""Which of red, green and blue a picture in a primary colour shows."""


@dataclass
class TileStore:
    """``height × width × bands`` bytes in square tiles, row by row of tiles, from ``offset`` in an open file."""

    descriptor: int
    offset: int
    height: int
    width: int
    bands: int
    tile: int

    @classmethod
    def create(cls, path: Path, height: int, width: int, bands: int, tile: int) -> Self:
        """A new bare store; what is never written reads as 0."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        store = cls(descriptor, 0, height, width, bands, tile)
        os.ftruncate(descriptor, store.size)
        return store

    @property
    def size(self) -> int:
        """Bytes of all tiles."""
        return -(-self.height // self.tile) * self._columns * self.tile**2 * self.bands

    @property
    def _columns(self) -> int:
        return -(-self.width // self.tile)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)

    def write(self, row: int, column: int, pixels: Bytes) -> None:
        """Put ``(rows, columns, bands)`` at a corner; what reaches beyond the store is cut off."""
        rows, columns = min(pixels.shape[0], self.height - row), min(pixels.shape[1], self.width - column)
        for piece in self._pieces(Window(row, row + rows, column, column + columns)):
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
        tile = self.tile
        for tile_row in range(window.row0 // tile, -(-window.row1 // tile)):
            row0, row1 = max(window.row0, tile_row * tile), min(window.row1, (tile_row + 1) * tile)
            for tile_column in range(window.column0 // tile, -(-window.column1 // tile)):
                column0 = max(window.column0, tile_column * tile)
                column1 = min(window.column1, (tile_column + 1) * tile)
                index = tile_row * self._columns + tile_column
                skip = column0 - tile_column * tile
                inside = (row0 - tile_row * tile) * self._stride + skip * self.bands
                yield _Piece(
                    rows=slice(row0 - window.row0, row1 - window.row0),
                    columns=slice(column0 - window.column0, column1 - window.column0),
                    start=self.offset + index * tile * self._stride + inside,
                    skip=skip,
                    runs=1 if column1 - column0 == tile else row1 - row0,
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
