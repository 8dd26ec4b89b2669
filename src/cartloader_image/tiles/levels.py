"""The picture at one zoom, read by windows of level pixels: resampled from the GeoTIFF, or kept from the zoom before.

What the two kinds of pixels are says `cartloader_image.tiles.resampling`.
"""

from __future__ import annotations

import math
import threading
from typing import Any, Protocol

import numpy as np
from affine import Affine

from cartloader_image.crs import is_web_mercator
from cartloader_image.kernels import door
from cartloader_image.layout import Layout
from cartloader_image.placing.orientation import Orientation
from cartloader_image.rasters.geotiff import Placed
from cartloader_image.rasters.store import Bytes, Shown, TileStore
from cartloader_image.system.gdal import environment
from cartloader_image.tiles.grid import HALF_MAP, Pyramid, resolution
from cartloader_image.tiles.resampling import is_kernel, premultiplied, reach, resampled, warp
from cartloader_image.window import Window

_LONGEST_STEP = 1.01
"""Pixels of a picture to one of the map beyond which they would have to be averaged."""
_WARP_TOLERANCE = 1e-6
"""Error allowed to GDAL's transformer, in source pixels; rasterio's warped datasets cannot be opened with 0."""


class Level(Protocol):
    """One zoom of the picture."""

    layout: Layout

    def read(self, window: Window) -> Bytes:
        """Level pixels of any window that touches the picture, of one of the two kinds.

        Of a level with alpha, a window that is all opaque may come without it.
        """


class Resampled:
    """The picture of a GeoTIFF whose axes are the map's, resampled onto a zoom's grid with exact registration."""

    def __init__(self, placed: Placed, pyramid: Pyramid, kernel: str, primary: Shown | None = None) -> None:
        """``primary`` makes a picture in that primary colour a grey one, or grey + alpha."""
        store, affine = placed.store, placed.affine
        self._store, self._kernel = store, kernel
        # Bands that are alike stay alike: one of them is enough until the tiles are encoded.
        self._chosen = primary and [primary.index(True), *range(3, store.bands)]
        self.layout = Layout.of(len(self._chosen) if self._chosen else store.bands)
        transposed = affine.a == 0
        across, down = (affine.b, affine.d) if transposed else (affine.a, affine.e)
        self._view = Orientation(transposed, mirror_columns=across < 0, mirror_rows=down > 0)
        self._height, self._width = self._view.size(store.height, store.width)
        size = resolution(pyramid.base_zoom, pyramid.tile)
        # Level pixels → picture pixels: (pixel - origin) · scale.
        self._origin = ((HALF_MAP - pyramid.box.top) / size, (HALF_MAP + pyramid.box.left) / size)
        self._scale = (size / abs(down), size / abs(across))
        self._extent = pyramid.extent(pyramid.base_zoom)

    def read(self, window: Window) -> Bytes:
        """Resample what a window shows."""
        pixels = self._nearest(window) if self._kernel == "near" else self._resized(window)
        if self.layout.alpha:
            clip(pixels, window, self._extent)
        return pixels

    def _resized(self, window: Window) -> Bytes:
        top, bottom, left, right = (
            (edge - origin) * scale
            for edges, origin, scale in zip(window.ranges, self._origin, self._scale, strict=True)
            for edge in edges
        )
        down, across = (reach(self._kernel, scale) for scale in self._scale)
        needed = Window(math.floor(top), math.ceil(bottom), math.floor(left), math.ceil(right)).grown(down, across)
        inside = needed.clamped(Window.of(self._height, self._width))
        region = (top - inside.row0, bottom - inside.row0, left - inside.column0, right - inside.column0)
        return resampled(self._picture(inside), window.shape, self._kernel, region, alpha=self.layout.alpha)

    def _nearest(self, window: Window) -> Bytes:
        """The picture pixel that holds each level pixel's centre."""
        rows, columns = (
            np.floor((np.arange(start, stop) + 0.5 - origin) * scale).astype(int)
            for (start, stop), origin, scale in zip(window.ranges, self._origin, self._scale, strict=True)
        )
        needed = Window(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
        inside = needed.clamped(Window.of(self._height, self._width))
        picture = self._picture(inside)
        if self.layout.alpha:
            picture = premultiplied(picture)
        picture = padded(picture, inside, needed, edge=True)
        return picture[np.ix_(rows - rows[0], columns - columns[0])]

    def _picture(self, window: Window) -> Bytes:
        """Picture pixels of a window inside the picture; alpha is straight."""
        stored = self._store.read(self._view.window(window, self._store.height, self._store.width))
        if self._chosen:
            stored = np.stack([stored[..., band] for band in self._chosen], axis=-1)
        return self._view.view(stored)


def padded(pixels: Bytes, inside: Window, window: Window, *, edge: bool) -> Bytes:
    """Grow the pixels of ``inside`` to ``window``, by the pixels of the edge or by 0."""
    if inside == window:
        return pixels
    for axis in (0, 1):
        pixels = _grown(pixels, axis, inside[2 * axis], window[2 * axis], window[2 * axis + 1], edge=edge)
    return pixels


def _grown(pixels: Bytes, axis: int, own: int, start: int, stop: int, *, edge: bool) -> Bytes:
    """The rows or columns ``start … stop - 1``, of which the pixels are those from ``own`` on."""
    lines = pixels.swapaxes(0, axis)
    shape = list(pixels.shape)
    shape[axis] = stop - start
    result = np.zeros(shape, np.uint8).swapaxes(0, axis)
    first, last = (min(max(place - start, 0), stop - start) for place in (own, own + len(lines)))
    result[first:last] = lines[start + first - own : start + last - own]
    if edge:
        result[:first], result[last:] = lines[:1], lines[-1:]
    return result.swapaxes(0, axis)


def clip(pixels: Bytes, window: Window, extent: Window) -> None:
    """Set to 0, in place, what of a window lies beyond an extent."""
    rows, columns = window.intersect(extent).within(window)
    for beyond in (pixels[: rows.start], pixels[rows.stop :], pixels[:, : columns.start], pixels[:, columns.stop :]):
        beyond[...] = 0


class Askew:
    """A picture whose axes are not the map's, under the affine that places it."""

    def __init__(self, placed: Placed, pyramid: Pyramid, kernel: str) -> None:
        self._store, self._kernel = placed.store, kernel
        self.layout = Layout.of(placed.store.bands).with_alpha
        size = resolution(pyramid.base_zoom, pyramid.tile)
        # Level pixels → map → picture pixels.
        self._inverse = ~placed.affine @ Affine(size, 0, -HALF_MAP, 0, -size, HALF_MAP)

    def read(self, window: Window) -> Bytes:
        """The picture as a window shows it, premultiplied; 0 where a pixel's centre lies beyond it."""
        bands = self._store.bands if self._holds(window) else self.layout.bands
        result = np.zeros((*window.shape, bands), np.uint8)
        there = self._inverse @ Affine.translation(window.column0, window.row0)
        if min((needed := self._around(there, window)).shape) > 0:
            centres = Affine.translation(-needed.column0, -needed.row0) @ there @ Affine.translation(0.5, 0.5)
            affine = centres.a, centres.b, centres.c, centres.d, centres.e, centres.f
            warp(self._store.read(needed), affine, self._kernel, result)
        return result

    def _holds(self, window: Window) -> bool:
        """Whether all of a window lies within the picture, which is so where its corners do."""
        corners = [self._inverse @ (column, row) for row in window.ranges[0] for column in window.ranges[1]]
        height, width = self._store.height, self._store.width
        return all(0 <= x <= width and 0 <= y <= height for x, y in corners)

    def _around(self, there: Affine, window: Window) -> Window:
        """The picture's pixels that count for a window whose corner and axes lie there in it."""
        rows, columns = window.shape
        xs, ys = zip(*(there @ corner for corner in ((0, 0), (columns, 0), (0, rows), (columns, rows))), strict=True)
        around = Window(math.floor(min(ys)), math.ceil(max(ys)), math.floor(min(xs)), math.ceil(max(xs)))
        return around.grown(reach(self._kernel, 1)).intersect(Window.of(self._store.height, self._store.width))


class Warped:
    """A picture that lies askew, in another spatial reference, or wants a kernel that only GDAL has: GDAL's warper."""

    def __init__(self, placed: Placed, pyramid: Pyramid, kernel: str) -> None:
        import rasterio  # noqa: PLC0415  (0.3 s that only a warped picture should cost)
        from rasterio.enums import Resampling  # noqa: PLC0415

        self._rasterio, self._path, self._crs = rasterio, placed.path, placed.crs
        self._kernel = Resampling[{"near": "nearest", "cubicspline": "cubic_spline"}.get(kernel, kernel)]
        self._extent, size = pyramid.extent(pyramid.base_zoom), resolution(pyramid.base_zoom, pyramid.tile)
        left, top = self._extent.column0 * size - HALF_MAP, HALF_MAP - self._extent.row0 * size
        self._transform = rasterio.Affine(size, 0, left, 0, -size, top)
        affine, self._scales = placed.affine, dict[str, float]()
        if is_web_mercator(placed.crs):
            # Map pixels to one of the picture. GDAL would estimate them where it works, wrongly at a turned corner.
            sides = math.hypot(affine.a, affine.d), math.hypot(affine.b, affine.e)
            self._scales = {name: side / size for name, side in zip(("XSCALE", "YSCALE"), sides, strict=True)}
        stored = Layout.of(placed.store.bands)
        self.layout, self._alpha_is_new = stored.with_alpha, not stored.alpha
        self._thread = threading.local()  # a GDAL dataset belongs to one thread

    def read(self, window: Window) -> Bytes:
        """The warped pixels of a window, premultiplied."""
        inside = window.clamped(self._extent)
        bands = self._dataset().read(window=inside.relative_to(self._extent).ranges)
        return padded(premultiplied(np.ascontiguousarray(np.moveaxis(bands, 0, -1))), inside, window, edge=False)

    def _dataset(self) -> Any:
        if not hasattr(self._thread, "dataset"):
            from rasterio.vrt import WarpedVRT  # noqa: PLC0415

            height, width = self._extent.shape
            with environment():
                self._thread.dataset = WarpedVRT(
                    self._rasterio.open(self._path),
                    src_crs=self._crs,
                    crs="EPSG:3857",
                    transform=self._transform,
                    height=height,
                    width=width,
                    resampling=self._kernel,
                    tolerance=_WARP_TOLERANCE,
                    add_alpha=self._alpha_is_new,
                    **self._scales,
                )
        return self._thread.dataset


class Kept:
    """A zoom that was kept on disk."""

    def __init__(self, store: TileStore, kept: Window, extent: Window) -> None:
        """``kept`` is the window of level pixels that the store holds, ``extent`` the picture's at that zoom."""
        self._store, self._kept, self._extent = store, kept, extent
        self.layout = Layout.of(store.bands)

    def read(self, window: Window) -> Bytes:
        """The pixels as they were kept."""
        inside = window.clamped(self._extent)
        stored = self._store.read(inside.relative_to(self._kept))
        return padded(stored, inside, window, edge=not self.layout.alpha)


def resamples(affine: Affine, crs: str, kernel: str) -> bool:
    """Whether `Resampled` can make a zoom of a picture that lies so."""
    straight_axes = (affine.b == affine.d == 0) or (affine.a == affine.e == 0)
    return straight_axes and is_web_mercator(crs) and (is_kernel(kernel) or kernel == "near")


def warps(affine: Affine, crs: str, kernel: str, pyramid: Pyramid) -> bool:
    """Whether GDAL's warper must make it: `Askew` cannot either, or would leave out pixels smaller than its own."""
    if resamples(affine, crs, kernel):
        return False
    ours = door.there() and is_web_mercator(crs) and is_kernel(kernel) and kernel != "average"
    inverse, size = ~affine, resolution(pyramid.base_zoom, pyramid.tile)
    steps = size * math.hypot(inverse.a, inverse.b), size * math.hypot(inverse.d, inverse.e)
    return not ours or max(steps) > _LONGEST_STEP


def base_level(placed: Placed, pyramid: Pyramid, kernel: str, primary: Shown | None) -> tuple[Level, Shown | None]:
    """The finest zoom of a picture, and the primary colour that it has been made grey by, if any."""
    if resamples(placed.affine, placed.crs, kernel):
        return Resampled(placed, pyramid, kernel, primary), primary
    if warps(placed.affine, placed.crs, kernel, pyramid):
        return Warped(placed, pyramid, kernel), None
    return Askew(placed, pyramid, kernel), None
