"""PNG, written by rows or in one go: 8-bit grey, grey + alpha, RGB, RGBA.

ISA-L deflates an order of magnitude faster than zlib at about the same size once the rows are filtered; the filter Up
(difference to the pixel above, PNG specification section 9) is one numpy subtraction.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from isal import isal_zlib

from cartloader.store import Bytes

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
_UP = 2
_LEVEL = 2
"""ISA-L's level 2 is 1–2 % smaller than level 1 and as fast; level 3 costs 40 % more time for less than 1 %."""


def encode_png(pixels: Bytes) -> bytes:
    """One picture ``(rows, columns, 1 … 4)`` as the bytes of a PNG."""
    height, width, bands = pixels.shape
    lines = _filtered(pixels, np.zeros((width, bands), np.uint8))
    flat = (pixels == pixels[0, 0]).all()  # ISA-L makes a flat tile six times as large
    data = zlib.compress(lines.tobytes(), 9) if flat else isal_zlib.compress(lines, _LEVEL)
    return _SIGNATURE + _chunk(b"IHDR", _header(height, width, bands)) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


class PngWriter:
    """A PNG file of any height, from rows that come from the top in pieces."""

    def __init__(self, path: Path, height: int, width: int, bands: int) -> None:
        self._file = path.open("wb")
        self._file.write(_SIGNATURE + _chunk(b"IHDR", _header(height, width, bands)))
        self._above = np.zeros((width, bands), np.uint8)
        self._deflate = isal_zlib.compressobj(_LEVEL)

    def write(self, rows: Bytes) -> None:
        """The next ``(rows, columns, bands)``."""
        self._data(self._deflate.compress(_filtered(rows, self._above)))
        self._above = rows[-1].copy()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._data(self._deflate.flush())
                self._file.write(_chunk(b"IEND", b""))
        finally:
            self._file.close()

    def _data(self, data: bytes) -> None:
        if data:
            self._file.write(_chunk(b"IDAT", data))


def _header(height: int, width: int, bands: int) -> bytes:
    return struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[bands], 0, 0, 0)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def _filtered(rows: Bytes, above: Bytes) -> Bytes:
    """Each row behind its filter byte; ``above`` is the row before the first, 0 at the top of a picture."""
    height, width, bands = rows.shape
    result = np.empty((height, 1 + width * bands), np.uint8)
    result[:, 0] = _UP
    lines = rows.reshape(height, -1)
    np.subtract(lines[0], above.reshape(-1), out=result[0, 1:])
    np.subtract(lines[1:], lines[:-1], out=result[1:, 1:])
    return result
