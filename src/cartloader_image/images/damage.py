"""Damaged strips and tiles: refused in a sentence that says how many there are, or kept and counted in a note."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cartloader_image.errors import InputError
from cartloader_image.layout import Pixels
from cartloader_image.window import Window

KEEP = "add --damaged keep to import what its decoder makes of it"
_SURVEYED = 512
"""Strips or tiles that are looked at, from the first damaged one on, to say how many are so."""
_SURVEYED_BYTES = 64 << 20
"""Decoded bytes of them at most: a few seconds of the slowest codec."""


class Damaged(Exception):  # noqa: N818  (it says what a strip or tile is)
    """A strip or tile is damaged.

    Parameters:
        why: what is wrong with it, in the words of its decoder.
        pixels: what the usual decoder makes of it all the same; None for nothing.
    """

    def __init__(self, why: str, pixels: Pixels | None = None) -> None:
        super().__init__(why)
        self.why, self.pixels = why, pixels


@dataclass
class Damage:
    """What is damaged in an open image and kept: a set, which neither threads nor a second reading change."""

    totals: dict[str, int] = field(default_factory=dict)
    """How many strips and tiles its pages have."""
    found: dict[tuple[int, int], str] = field(default_factory=dict)
    """Where they are, by page and number."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def notes(self) -> tuple[str, ...]:
        """How many are damaged among those that were read so far, and where the first is; nothing where none is."""
        if not self.found:
            return ()
        total = " and ".join(f"{total:,} {things}" for things, total in self.totals.items())
        are = "is" if len(self.found) == 1 else "are"
        first = self.found[min(self.found)]
        return (f"{len(self.found):,} of its {total} {are} damaged, and left as decoded; the first is {first}",)


class Segments:
    """The strips or tiles of a page by their numbers, and what becomes of those that are damaged."""

    def __init__(
        self, path: Path, damage: Damage, name: str, size: tuple[int, int], segment: tuple[int, int], planes: int = 1
    ) -> None:
        """``name`` is strip or tile; ``size`` and ``segment`` are rows and columns of the page and of one of them."""
        self._path, self._damage, self._name = path, damage, name
        self._picture, self._segment = Window.of(*size), segment
        self.grid = self._picture.cells(*segment)
        self.count = planes * math.prod(self.grid.shape)
        things = f"{name}s"
        with damage.lock:
            self._page = sum(damage.totals.values())
            damage.totals[things] = damage.totals.get(things, 0) + self.count

    def there(self, index: int) -> Window:
        """The pixels of the picture in one of them."""
        row, column = divmod(index % math.prod(self.grid.shape), self.grid.column1)
        return Window.cell(row, column, *self._segment).intersect(self._picture)

    def touched(self, window: Window) -> Iterator[int]:
        """Those that have pixels in a window, of a page that is no stack of planes."""
        return (row * self.grid.column1 + column for row, column in window.cells(*self._segment).places())

    def keep(self, index: int) -> None:
        """Count one that is damaged."""
        with self._damage.lock:
            self._damage.found[self._page, index] = self._where(index)

    def refusal(self, index: int, why: str, size: int, is_damaged: Callable[[int], bool]) -> InputError:
        """That one of them is damaged, and how many are among those behind it.

        Args:
            index: Its number.
            why: What its decoder says.
            size: Decoded bytes of one.
            is_damaged: Looks at another one.
        """
        most = max(min(_SURVEYED, _SURVEYED_BYTES // size), 1)
        seen = [True, *map(is_damaged, range(index + 1, min(index + most, self.count)))]
        others = f"are {sum(seen):,}" if sum(seen) > 1 else "is no other"
        return InputError(
            f"{self._path}: its {self._where(index)}, is damaged ({why}), as {others} of the {len(seen):,} "
            f"{self._name}s seen from there on; {KEEP}"
        )

    def _where(self, index: int) -> str:
        there = self.there(index)
        return f"{self._name} {index:,}, from column {there.column0:,} and row {there.row0:,} on"
