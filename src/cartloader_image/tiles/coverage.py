"""Where an opaque picture ends, at every zoom: an alpha that is the product of one profile per axis.

At the base zoom a level pixel belongs to the picture whose box holds its centre; a coarser pixel is covered by the mean
of the two below it. Two short arrays stand for a whole zoom's alpha channel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cartloader_image.rasters.store import Bytes
from cartloader_image.tiles.grid import Pyramid
from cartloader_image.window import Window

Profile = NDArray[np.float64]


class Coverage:
    """Shares (0 … 1) of the level pixels of each zoom's extent that the picture covers."""

    def __init__(self, pyramid: Pyramid, *, nearest: bool) -> None:
        extent = pyramid.extent(pyramid.base_zoom)
        profiles = (np.ones(extent.shape[0]), np.ones(extent.shape[1]))
        self._profiles = {pyramid.base_zoom: (extent, *profiles)}
        for zoom in range(pyramid.base_zoom - 1, pyramid.min_zoom - 1, -1):
            below, rows, columns = self._profiles[zoom + 1]
            self._profiles[zoom] = (
                pyramid.extent(zoom),
                _halved(rows, below.row0, nearest=nearest),
                _halved(columns, below.column0, nearest=nearest),
            )

    def alpha(self, zoom: int, window: Window) -> Bytes | None:
        """Alpha of a window, ``(rows, columns, 1)``; None where the picture covers all of it."""
        extent, rows, columns = self._profiles[zoom]
        seen = window.intersect(extent)
        down, across = (
            _placed(profile[there], here, size)
            for profile, there, here, size in zip(
                (rows, columns), seen.within(extent), seen.within(window), window.shape, strict=True
            )
        )
        if down.min() == 1 and across.min() == 1:
            return None
        share = np.outer(down, across)
        # However little is covered, it is not nothing: a picture far smaller than a pixel still has a tile.
        return np.maximum(np.rint(255 * share), share > 0).astype(np.uint8)[..., None]


def _halved(profile: Profile, start: int, *, nearest: bool) -> Profile:
    """The profile of the zoom above, whose pixels pair those at even places with the next."""
    padded = np.pad(profile, (start % 2, (start + len(profile)) % 2))
    return padded[::2] if nearest else (padded[::2] + padded[1::2]) / 2


def _placed(part: Profile, where: slice, size: int) -> Profile:
    """A part of a profile in its place among ``size`` pixels, which are 0 around it."""
    result = np.zeros(size)
    result[where] = part
    return result
