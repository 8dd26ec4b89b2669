"""A plane: one 2-D picture that is read window by window, whatever file it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cartloader_image.layout import Layout, Pixels, full
from cartloader_image.values import Rgb
from cartloader_image.window import Window

COPIES = 3
"""Of a block: as it is decoded, as it is converted, and as 8-bit pixels on the way to the disk."""


class Plane(Protocol):
    """A picture that is read by windows, in native byte order."""

    height: int
    width: int
    layout: Layout
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
    masked: bool
    """Whether pixels with alpha 0 hold no data: they count in no statistics."""
    tint: Rgb | None
    """The colour in which the file shows a grey picture, unless another one is asked for."""

    def read(self, window: Window) -> Pixels:
        """The pixels of a window inside the plane, ``(rows, columns, bands)``.

        Raises:
            InputError: the file is damaged there.
        """


def hidden(pixels: Pixels, nothing: NDArray[np.bool_]) -> Pixels:
    """Pixels with alpha, which is 0 where ``nothing`` ``(rows, columns)`` says so; colours are kept."""
    if not Layout.of(pixels.shape[-1]).alpha:
        alpha = np.full((*pixels.shape[:2], 1), full(pixels.dtype), pixels.dtype)
        pixels = np.concatenate([pixels, alpha], axis=-1)
    elif not pixels.flags.writeable:
        pixels = pixels.copy()
    pixels[nothing, -1] = 0
    return pixels


_ALIKE = (("size", "height", "width"), ("colour", "layout.colours"), ("transparency", "layout.alpha"))
"""What planes must have in common to be projected, and the attributes that say it."""


@dataclass
class Projected:
    """The maximum of several planes of one size, in a type that holds all of their values."""

    stored, copies = False, COPIES

    planes: Sequence[Plane]

    def __post_init__(self) -> None:
        first = self.planes[0]
        for what, *facts in _ALIKE:
            if len(set(map(attrgetter(*facts), self.planes))) > 1:
                raise ValueError(
                    f"the planes of a projection differ in {what}; choose one with --z instead of --z-project"
                )
        self.height, self.width = first.height, first.width
        self.tint = first.tint if all(plane.tint == first.tint for plane in self.planes) else None
        self.dtype = np.result_type(*(plane.dtype for plane in self.planes))
        self.layout = first.layout
        self.masked = any(plane.masked for plane in self.planes)
        self.block, self.copies = first.block, first.copies + 1
        self.concurrent = all(plane.concurrent for plane in self.planes)

    def read(self, window: Window) -> Pixels:
        """The greatest value of each pixel, among those that hold data."""
        result = self._of(self.planes[0], window)
        for plane in self.planes[1:]:
            pixels = self._of(plane, window)
            greatest = np.fmax(result, pixels)  # a value wins over one that is not a number
            if self.masked:
                greatest = np.where(result[..., -1:] == 0, pixels, np.where(pixels[..., -1:] == 0, result, greatest))
            result = greatest
        return result

    def _of(self, plane: Plane, window: Window) -> Pixels:
        """Pixels of a plane in the type of all, full alpha as that has it."""
        pixels = plane.read(window)
        if plane.dtype == self.dtype:
            return pixels
        result = pixels.astype(self.dtype)
        if self.layout.alpha:
            share = pixels[..., -1] / full(plane.dtype)
            result[..., -1] = share * full(self.dtype) if self.dtype.kind == "f" else np.rint(share * full(self.dtype))
        return result
