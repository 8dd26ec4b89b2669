"""PNGs of every colour type and depth, written by the specification (PNG, second edition), and what they show."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

GREY, RGB, INDEXED, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
_SAMPLES = {GREY: 1, RGB: 3, INDEXED: 1, GREY_ALPHA: 2, RGBA: 4}
_DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), INDEXED: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}
_CLEAR = {
    GREY: ("", "key", "key with more bits"), RGB: ("", "key", "key with more bits"),
    INDEXED: ("", "all", "first entries", "opaque"), GREY_ALPHA: ("",), RGBA: ("",),
}  # fmt: skip
_ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
"""First row and column, and the steps, of each pass."""
_ROWS, _COLUMNS = 29, 37


@dataclass(frozen=True)
class Png:
    """One kind of PNG."""

    colour: int
    depth: int
    clear: str
    """Which kind of chunk tRNS it has, if any."""
    interlaced: bool

    def __str__(self) -> str:
        return f"{self.colour}-{self.depth}-{self.clear or 'plain'}{'-interlaced' * self.interlaced}".replace(" ", "-")

    @property
    def samples(self) -> Array:
        """Stored values ``(rows, columns, samples)``; the pixel at the top left is there more than once."""
        shape = (_ROWS, _COLUMNS, _SAMPLES[self.colour])
        values = np.random.default_rng(self.depth).integers(0, 1 << self.depth, shape, np.uint16)
        values[3:6, 5:9] = values[0, 0]
        return values

    @property
    def table(self) -> Array:
        """RGBA by index."""
        table = np.random.default_rng(1).integers(0, 256, (1 << self.depth, 4), np.uint8)
        table[:, 3] = {"": 255, "opaque": 255}.get(self.clear, table[:, 3])
        if self.clear == "first entries":
            table[len(table) // 2 :, 3] = 255
        return table

    def encode(self) -> bytes:
        samples, chunks = self.samples, []
        if self.colour == INDEXED:
            chunks.append((b"PLTE", self.table[:, :3].tobytes()))
            alpha = self.table[:, 3]
            alpha = alpha[: len(alpha) // 2] if self.clear == "first entries" else alpha
            chunks += [(b"tRNS", alpha.tobytes())] if self.clear else []
        elif self.clear:
            more = 0xFFFF << self.depth & 0xFFFF if self.clear == "key with more bits" else 0
            chunks.append((b"tRNS", (samples[0, 0] | more).astype(">u2").tobytes()))
        header = struct.pack(">IIBBBBB", _COLUMNS, _ROWS, self.depth, self.colour, 0, 0, self.interlaced)
        passes = _ADAM7 if self.interlaced else [(0, 0, 1, 1)]
        lines = b"".join(
            line for row, column, down, across in passes for line in self._lines(samples[row::down, column::across])
        )
        chunks = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in chunks
        )

    def _lines(self, samples: Array) -> Iterator[bytes]:
        """Rows without a filter, packed."""
        for row in samples if samples.shape[1] else ():
            if self.depth < 8:
                bits = row.reshape(-1, 1) >> np.arange(self.depth - 1, -1, -1) & 1
                yield b"\0" + np.packbits(bits.astype(np.uint8)).tobytes()
            else:
                yield b"\0" + row.astype(">u2" if self.depth == 16 else "u1").tobytes()

    @property
    def shown(self) -> Array:
        """What it shows: mono or colour, and alpha where something may be transparent."""
        samples = self.samples
        if self.colour == INDEXED:
            shown = self.table[samples[..., 0]]
            return shown if (self.table[:, 3] < 255).any() else shown[..., :3]
        scale = 255 // ((1 << self.depth) - 1) if self.depth < 8 else 1
        if self.clear:
            # Only the bits of the depth count; of 16 bits there are no more.
            seen = (samples != samples[0, 0]).any(axis=-1, keepdims=True)
            samples = np.concatenate([samples, seen * ((1 << self.depth) - 1)], axis=-1)
        return samples * scale


def pngs() -> list[Png]:
    """All kinds there are."""
    return [
        Png(colour, depth, clear, interlaced)
        for colour, depths in _DEPTHS.items()
        for depth, clear, interlaced in product(depths, _CLEAR[colour], (False, True))
        if not (clear == "key with more bits" and depth == 16)
    ]
