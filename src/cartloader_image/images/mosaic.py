"""A plane that is made of placed parts, each a file of its own: the later ones above, nothing between them.

Parts are opened where they are met and closed when they are passed, and what was decoded of them is kept while the
windows around may still need it: so a mosaic of hundreds of files takes the memory of the few that lie side by side.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

import numpy as np

from cartloader_image.images.plane import Plane
from cartloader_image.layout import Pixels, full
from cartloader_image.system.parallel import cores
from cartloader_image.window import Window

_KEPT = 2
"""Blocks of a part: a window has rows of two at most, and so has the one beside it."""
_ROWS = 64
"""Rows of a block of parts that are read from the top, which cost nothing to be read in small pieces."""
_LARGE, _COLUMNS = 16 << 20, 512
"""Bytes of a block of parts above which windows are but a piece of it, and how many columns that has."""
_HELD = 256 << 20
"""Bytes of decoded blocks, of parts that may be read in any order; more are decoded once more instead."""

Opener = Callable[[], AbstractContextManager[Plane]]


class PlacedParts:
    """Planes of one size and layout as one, transparent where none of them is."""

    def __init__(self, parts: Sequence[tuple[Opener, Window]], first: Plane, height: int, width: int) -> None:
        """``first`` is one of the planes, as an example of all; ``height`` and ``width`` those of the mosaic."""
        self.height, self.width = height, width
        self._windows = np.array([window for _, window in parts])
        self.gaps = not _covered(self._windows, height, width)
        self.layout = first.layout.with_alpha if self.gaps else first.layout
        self.masked = first.masked or self.gaps
        self.dtype, self.tint = first.dtype, first.tint
        self.concurrent, self.stored = first.concurrent, first.stored
        rows = first.block[0] if first.concurrent else min(first.block[0], _ROWS)
        self._bytes = rows * first.width * first.layout.bands * first.dtype.itemsize
        self.block = (rows, first.width if self._bytes <= _LARGE else min(_COLUMNS, first.width))
        self.copies = first.copies + 1
        self._parts = [_Part(opener, window, rows) for opener, window in parts]
        self._opaque = full(first.dtype)
        self._held = self._bytes * min(_KEPT, math.ceil(first.height / rows))
        beside = _most_side_by_side(self._windows, rows)
        if first.concurrent:
            beside = min(beside, max(_HELD // self._held, 1))
        self._most = beside + 2 * cores()
        self._lock = threading.Lock()
        self._open: OrderedDict[_Part, None] = OrderedDict()

    @property
    def working_bytes(self) -> int:
        """Bytes of the blocks that are kept, beside a block of the plane itself."""
        return min(self._most, len(self._parts)) * self._held

    def read(self, window: Window) -> Pixels:
        """The pixels of a window, transparent where no part has any."""
        row0, row1, column0, column1 = self._windows.T
        met = (row0 < window.row1) & (row1 > window.row0) & (column0 < window.column1) & (column1 > window.column0)
        result = np.zeros((*window.shape, self.layout.bands), self.dtype)
        for number in np.flatnonzero(met):
            part = self._parts[number]
            common = part.window.intersect(window)
            with self._in_use(part, window.row0):
                self._lay(part.read(common.relative_to(part.window)), result[common.within(window)])
        return result

    def _lay(self, pixels: Pixels, below: Pixels) -> None:
        """Put pixels of a part over what is there; those that are transparent let it through."""
        bands = pixels.shape[-1]
        if bands < self.layout.bands:
            below[..., :bands] = pixels
            below[..., bands:] = self._opaque
        elif self.layout.alpha:
            np.copyto(below, pixels, where=pixels[..., -1:] > 0)
        else:
            below[:] = pixels

    @contextmanager
    def _in_use(self, part: _Part, row: int) -> Iterator[None]:
        """Keep a part open meanwhile; of the others those are closed that end above a row, or lie idle for longest."""
        with self._lock:
            part.users += 1
            self._open[part] = None
            self._open.move_to_end(part)
            for other in list(self._open):
                passed = other.window.row1 <= row - self.block[0]
                if not other.users and (passed or len(self._open) > self._most):
                    del self._open[other]
                    other.close()
        try:
            yield
        finally:
            with self._lock:
                part.users -= 1

    def close(self) -> None:
        """Close all parts."""
        with self._lock:
            while self._open:
                self._open.popitem()[0].close()


class _Part:
    """A part that is opened when it is read, and the blocks of it that were read last."""

    def __init__(self, opener: Opener, window: Window, rows: int) -> None:
        self.window, self.users = window, 0
        self._opener, self._rows = opener, rows
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._plane: Plane | None = None
        self._kept: dict[int, Pixels] = {}

    def read(self, window: Window) -> Pixels:
        """The pixels of a window of the part, from the blocks that it touches."""
        with self._lock:
            if self._plane is None:
                self._plane = self._stack.enter_context(self._opener())
            bands = window.cells(self._rows, self.window.shape[1])
            pieces = []
            for number in range(bands.row0, bands.row1):
                block = Window.cell(number, 0, self._rows, self._plane.width)
                block = block.intersect(Window.of(self._plane.height, self._plane.width))
                if number not in self._kept:
                    while len(self._kept) >= _KEPT:
                        del self._kept[min(self._kept)]
                    self._kept[number] = self._plane.read(block)
                pieces.append(self._kept[number][window.intersect(block).within(block)])
            return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def close(self) -> None:
        """Close its file, and forget what was read of it."""
        self._kept.clear()
        self._plane = None
        self._stack.close()


def _covered(windows: np.ndarray, height: int, width: int) -> bool:
    """Whether each pixel of a picture is in one of some windows: those between all of their edges tell."""
    rows, columns = (np.unique(windows[:, edges]) for edges in (slice(0, 2), slice(2, 4)))
    held = np.zeros((len(rows) - 1, len(columns) - 1), bool)
    for row0, row1, column0, column1 in windows:
        first, last = np.searchsorted(rows, (row0, row1)), np.searchsorted(columns, (column0, column1))
        held[first[0] : first[1], last[0] : last[1]] = True
    whole = (rows[0], rows[-1], columns[0], columns[-1]) == (0, height, 0, width)
    return bool(held.all()) and whole


def _most_side_by_side(windows: np.ndarray, rows: int) -> int:
    """How many windows meet a band of so many rows, at most."""
    counts = np.zeros(math.ceil(windows[:, 1].max() / rows) + 1, int)
    for row0, row1, *_ in windows:
        counts[row0 // rows : -(-row1 // rows)] += 1
    return int(counts.max())
