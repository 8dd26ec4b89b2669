"""A plane that is worked out once and read twice: what is costly to decode goes through a scratch file.

JPEG-2000 decodes 3 to 7 MP/s on a core, zlib 40; a file that was just written is read ten times as fast.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from cartloader_image.images.plane import Plane
from cartloader_image.layout import Pixels
from cartloader_image.system.files import read_all, write_all
from cartloader_image.window import Window


class Spooled:
    """A plane whose blocks are kept once they are read: in a file without a name, or in memory.

    It is read by the windows of its grid of blocks.
    """

    stored = True

    def __init__(self, plane: Plane, folder: Path | None) -> None:
        """``folder`` is where the file lies; None keeps the blocks in memory."""
        self._plane, self.copies = plane, plane.copies
        self.height, self.width, self.block = plane.height, plane.width, plane.block
        self.layout, self.dtype = plane.layout, plane.dtype
        self.concurrent, self.masked, self.tint = plane.concurrent, plane.masked, plane.tint
        self._grid = Window.of(plane.height, plane.width).cells(*plane.block)
        self._known: dict[int, Pixels | None] = {}
        self._descriptor = -1
        if folder is not None:
            path = folder / "plane"
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            path.unlink()  # its space is free as soon as it is closed

    def read(self, window: Window) -> Pixels:
        """The pixels of a block, decoded at the first time.

        Raises:
            InputError: the file is damaged there.
        """
        cell = window.cells(*self.block)
        index = cell.row0 * self._grid.column1 + cell.column0
        shape = (*window.shape, self.layout.bands)
        offset = index * math.prod(self.block) * shape[2] * self.dtype.itemsize
        if index in self._known:
            kept = self._known[index]
            if kept is None:
                kept = np.empty(shape, self.dtype)
                read_all(self._descriptor, kept, offset)
            return kept
        pixels = self._plane.read(window)
        if self._descriptor >= 0:
            write_all(self._descriptor, np.ascontiguousarray(pixels), offset)
        self._known[index] = pixels if self._descriptor < 0 else None
        # From the second time on windows may be read in any order, whatever the file is.
        self.concurrent = self._plane.concurrent or len(self._known) == math.prod(self._grid.shape)
        return pixels

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._known.clear()
        if self._descriptor >= 0:
            os.close(self._descriptor)
