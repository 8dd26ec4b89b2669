"""The eight ways to lay a picture down: quarter turns, then flips (the dihedral group D4).

An `Orientation` never touches pixels. It names an exact array view, and the affine that says the same in a GeoTIFF.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from affine import Affine
from numpy.typing import NDArray

from cartloader_image.window import Window

_QUARTER_TURNS = {0: (False, False, False), 90: (True, True, False), 180: (False, True, True), 270: (True, False, True)}


@dataclass(frozen=True)
class Orientation:
    """Clockwise quarter turns followed by flips, in canonical form: transpose first, then mirror.

    Every element of D4 is ``mirror_rows?(mirror_columns?(transpose?(picture)))`` in exactly one way, so two
    spellings of one orientation compare equal: ``of(180) == of(flip_vertical=True, flip_horizontal=True)``.
    """

    transpose: bool = False
    mirror_columns: bool = False
    mirror_rows: bool = False

    @classmethod
    def of(cls, rotate: int = 0, *, flip_vertical: bool = False, flip_horizontal: bool = False) -> Self:
        """Turn clockwise by ``rotate`` degrees (0, 90, 180, 270), then flip.

        Raises:
            ValueError: ``rotate`` is not a multiple of 90 between 0 and 270.
        """
        if rotate not in _QUARTER_TURNS:
            raise ValueError(f"rotate is {rotate}; it must be 0, 90, 180 or 270")
        transpose, columns, rows = _QUARTER_TURNS[rotate]
        return cls(transpose, columns ^ flip_horizontal, rows ^ flip_vertical)

    def then(self, after: Orientation) -> Orientation:
        """Lay the picture down this way, then lay the result down ``after``'s way."""
        columns, rows = (
            (self.mirror_rows, self.mirror_columns) if after.transpose else (self.mirror_columns, self.mirror_rows)
        )
        return Orientation(self.transpose ^ after.transpose, columns ^ after.mirror_columns, rows ^ after.mirror_rows)

    @property
    def inverse(self) -> Self:
        """What undoes it: the two one after the other leave a picture as it is."""
        columns, rows = self.mirror_columns, self.mirror_rows
        return type(self)(self.transpose, *((rows, columns) if self.transpose else (columns, rows)))

    def seen_through(self, mirror: Orientation) -> Orientation:
        """The orientation of the stored picture that looks like this one to somebody who sees it through ``mirror``.

        ``mirror`` must be its own inverse (no quarter turn), as the two axis directions of a map are.
        """
        return mirror.then(self).then(mirror)

    def view(self, picture: NDArray[Any]) -> NDArray[Any]:
        """The picture laid down this way: a view of ``(rows, columns, ...)``, never a copy."""
        turned = picture.swapaxes(0, 1) if self.transpose else picture
        return turned[:: -1 if self.mirror_rows else 1, :: -1 if self.mirror_columns else 1]

    def size(self, rows: int, columns: int) -> tuple[int, int]:
        """``(rows, columns)`` of the laid-down picture, for a stored picture of that size."""
        return (columns, rows) if self.transpose else (rows, columns)

    def affine(self, rows: int, columns: int) -> Affine:
        """Stored pixel corner ``(column, row)`` → corner in the laid-down picture; the size is the stored one's."""
        height, width = self.size(rows, columns)
        swap = Affine(0, 1, 0, 1, 0, 0) if self.transpose else Affine.identity()
        mirror_columns = Affine(-1, 0, width, 0, 1, 0) if self.mirror_columns else Affine.identity()
        mirror_rows = Affine(1, 0, 0, 0, -1, height) if self.mirror_rows else Affine.identity()
        return mirror_rows @ mirror_columns @ swap

    def window(self, window: Window, rows: int, columns: int) -> Window:
        """The stored pixels that a window of the laid-down picture shows; the size is that of the stored one."""
        row0, row1, column0, column1 = window
        height, width = self.size(rows, columns)
        if self.mirror_rows:
            row0, row1 = height - row1, height - row0
        if self.mirror_columns:
            column0, column1 = width - column1, width - column0
        return Window(column0, column1, row0, row1) if self.transpose else Window(row0, row1, column0, column1)
