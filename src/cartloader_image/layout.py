"""Layouts: which bands a pixel has, and what people call that."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
"""``(rows, columns, bands)``; with alpha, that is the last band."""


class Layout(NamedTuple):
    """One band of grey (mono) or three of colour (RGB), and maybe alpha behind them."""

    colours: int
    """1 or 3."""
    alpha: bool

    @classmethod
    def of(cls, bands: int) -> Self:
        """The layout with so many bands: each count from 1 to 4 is that of one layout.

        Examples:
            >>> Layout.of(4)
            Layout(colours=3, alpha=True)
        """
        alpha = bands % 2 == 0
        return cls(bands - alpha, alpha)

    @property
    def bands(self) -> int:
        """How many there are."""
        return self.colours + self.alpha

    @property
    def name(self) -> str:
        """In a sentence."""
        return ("mono", "grey with alpha", "RGB", "RGBA")[self.bands - 1]

    @property
    def label(self) -> str:
        """Behind a size and a type, with a blank before; nothing for mono, which goes without saying."""
        return ("", " grey + alpha", " RGB", " RGBA")[self.bands - 1]

    @property
    def with_alpha(self) -> Layout:
        """The same colours, and alpha."""
        return Layout(self.colours, alpha=True)


def full(dtype: np.dtype[Any]) -> float:
    """Full alpha in a type: the greatest integer, or 1."""
    return int(np.iinfo(dtype).max) if dtype.kind in "iu" else 1.0
