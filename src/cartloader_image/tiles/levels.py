"""The picture at one zoom, read by windows of level pixels: resampled from the GeoTIFF, or kept from the zoom before.

Two kinds of pixels. An *opaque* picture goes on beyond its edge with the pixels of the edge, and where it ends is kept
apart (`cartloader_image.tiles.coverage`): colours at the edge stay clean at every zoom. A picture with alpha is
premultiplied and 0 beyond its edge.
"""

from __future__ import annotations

import math
import threading
from typing import Any, Protocol

import numpy as np
from affine import Affine
from PIL import Image

from cartloader_image.crs import is_web_mercator
from cartloader_image.layout import Layout
from cartloader_image.placing.orientation import Orientation
from cartloader_image.rasters.geotiff import Placed
from cartloader_image.rasters.store import Bytes, Shown, TileStore
from cartloader_image.system.gdal import environment
from cartloader_image.tiles.grid import HALF_MAP, Pyramid, resolution
from cartloader_image.window import Window

_KERNELS = {
    "bilinear": Image.Resampling.BILINEAR,
    "cubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
"""Pillow's kernels that are GDAL's own (cubic with a = -0.5)."""
_RADII = {
    Image.Resampling.BILINEAR: 1,
    Image.Resampling.HAMMING: 1,
    Image.Resampling.BICUBIC: 2,
    Image.Resampling.LANCZOS: 3,
}
"""In source pixels, or in new ones where these are larger."""
_MODES = {1: "L", 2: "La", 3: "RGB", 4: "RGBX"}
_GDAL_CACHE = 64
"""MB; by itself GDAL takes a twentieth of all memory."""
_ROWS = 32
_STRIP = 256
"""Rows that are resized at once."""
Region = tuple[float, float, float, float]
"""Four edges in pixels: top, bottom, left, right."""
Box = tuple[float, float, float, float]
"""The same in Pillow's order: left, top, right, bottom."""

_WARP_TOLERANCE = 1e-6
"""Error allowed to GDAL's transformer, in source pixels; rasterio's warped datasets cannot be opened with 0."""


class Level(Protocol):
    """One zoom of the picture."""

    layout: Layout

    def read(self, window: Window) -> Bytes:
        """Level pixels of any window that touches the picture, of one of the two kinds."""


def to_image(pixels: Bytes) -> Image.Image:
    """A Pillow image of the pixels, in a mode that Pillow does not premultiply by itself when it resizes."""
    height, width, bands = pixels.shape
    mode = _MODES[bands]
    return Image.frombuffer(mode, (width, height), np.ascontiguousarray(pixels), "raw", mode, 0, 1)


def from_image(image: Image.Image) -> Bytes:
    """The pixels of an image made by `to_image`."""
    width, height = image.size
    return np.frombuffer(image.tobytes(), np.uint8).reshape(height, width, -1)


def premultiplied(pixels: Bytes) -> Bytes:
    """Straight alpha → premultiplied, rounded to nearest; the same array where all is opaque."""
    return pixels if pixels[..., -1].min() == 255 else _by_alpha(_PREMULTIPLIED, pixels)


def straight(pixels: Bytes) -> Bytes:
    """Premultiplied alpha → straight; what is wholly transparent is 0."""
    return _by_alpha(_STRAIGHT, pixels)


def _by_alpha(table: Bytes, pixels: Bytes) -> Bytes:
    """Colours that a table gives for each alpha and colour: ten times as fast as to divide."""
    result = np.empty(pixels.shape, np.uint8)
    result[..., -1] = pixels[..., -1]
    for row in range(0, len(pixels), _ROWS):  # numpy makes eight bytes of each index, which are best kept in the cache
        some = pixels[row : row + _ROWS]
        if some.shape[2] == 2:  # the two bytes are the index as they lie
            index = np.ascontiguousarray(some).view("<u2")
        else:
            index = some[..., :-1] | some[..., -1:].astype(np.uint16) << 8
        result[row : row + _ROWS, :, :-1] = np.take(table, index, mode="clip")
    return result


_ALPHA, _COLOUR = np.ogrid[:256, :256]
_PREMULTIPLIED = ((_COLOUR * _ALPHA + 127) // 255).astype(np.uint8).ravel()
_STRAIGHT = np.where(_ALPHA > 0, ((_COLOUR * 255 + _ALPHA // 2) // np.maximum(_ALPHA, 1)).clip(0, 255), 0)
_STRAIGHT = _STRAIGHT.astype(np.uint8).ravel()


def resized(
    pixels: Bytes, size: tuple[int, int], kernel: Image.Resampling, region: Region, *, mend: bool = False
) -> Bytes:
    """``size`` (rows, columns) pixels out of a region of others, by one of Pillow's separable kernels.

    It goes by strips, whose intermediate pictures stay small; where a strip begins makes no difference. ``mend`` is
    for premultiplied pixels whose alpha varies (see `_mended`).
    """
    top, bottom, left, right = region
    rows, columns = size
    scale = (bottom - top) / rows
    reach = math.ceil(_RADII[kernel] * max(scale, 1)) + 1
    result = np.empty((rows, columns, pixels.shape[2]), np.uint8)
    for row in range(0, rows, _STRIP):
        end = min(row + _STRIP, rows)
        first, last = top + row * scale, top + end * scale
        start = max(math.floor(first) - reach, 0)
        strip, box = pixels[start : math.ceil(last) + reach], (left, first - start, right, last - start)
        work = _mended if mend else _resize
        result[row:end] = work(strip, (columns, end - row), kernel, box)
    return result


def _resize(strip: Bytes, size: tuple[int, int], kernel: Image.Resampling, box: Box) -> Bytes:
    """Down first, then across: left to itself, Pillow chooses by shape, and 8-bit values between the passes differ."""
    (columns, rows), (left, top, right, bottom) = size, box
    down = to_image(strip).resize((strip.shape[1], rows), kernel, box=(0, top, strip.shape[1], bottom))
    return from_image(down.resize((columns, rows), kernel, box=(left, 0, right, rows)))


def _mended(strip: Bytes, size: tuple[int, int], kernel: Image.Resampling, box: Box) -> Bytes:
    """Resize premultiplied pixels; colours keep their proportion to alpha where a kernel drives alpha beyond 255.

    There alpha is cut off at 255 and its colours are not, so that they would be up to a tenth too bright. What alpha
    should have been is seen at half its values, where nothing is cut off. Only where a colour is cut off as well, all
    bands are resized so: that takes as long again, and pixels that bright seldom lie beside transparent ones.
    """
    least, most = strip[..., -1].min(), strip[..., -1].max()
    if most == 0:
        return np.zeros((size[1], size[0], strip.shape[2]), np.uint8)
    pixels = _resize(strip, size, kernel, box)
    if least == 255 or _RADII[kernel] == 1:
        return pixels
    half = _resize(strip[..., -1:] // np.uint8(2), size, kernel, box).reshape(-1, 1)
    beyond = np.flatnonzero(half[:, 0] > (pixels[..., -1].ravel() >> 1) + 1)
    flat = pixels.reshape(len(half), -1).copy()
    some = flat[beyond]
    alpha, colours, full = some[:, -1:], some[:, :-1].astype(np.uint32), half[beyond].astype(np.uint32)
    if colours.max(initial=0) == 255:
        halves = _resize(strip // np.uint8(2), size, kernel, box).reshape(flat.shape)[beyond].astype(np.uint32)
        colours, full = 2 * halves[:, :-1], halves[:, -1:]
    flat[beyond, :-1] = np.minimum((colours * alpha + full) // (2 * full), alpha)
    return flat.reshape(pixels.shape)


def halved(pixels: Bytes, *, nearest: bool) -> Bytes:
    """Half the size, one pixel of margin on each side used up: 2:1 by Pillow's Hamming kernel, four pixels wide.

    ``nearest`` takes the upper-left of each four instead, for ``--resample near``.
    """
    height, width, _ = pixels.shape
    if nearest:
        return pixels[1:-1:2, 1:-1:2]
    size = ((height - 2) // 2, (width - 2) // 2)
    return resized(pixels, size, Image.Resampling.HAMMING, (1, height - 1, 1, width - 1))


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
        """Resample what a window shows; one pass of Pillow's separable kernel."""
        pixels = self._nearest(window) if self._kernel == "near" else self._resized(window)
        if self.layout.alpha:
            clip(pixels, window, self._extent)
        return pixels

    def _resized(self, window: Window) -> Bytes:
        kernel = _KERNELS[self._kernel]
        top, bottom, left, right = (
            (edge - origin) * scale
            for edges, origin, scale in zip(window.ranges, self._origin, self._scale, strict=True)
            for edge in edges
        )
        down, across = (math.ceil(_RADII[kernel] * max(scale, 1)) + 1 for scale in self._scale)
        needed = Window(math.floor(top), math.ceil(bottom), math.floor(left), math.ceil(right)).grown(down, across)
        region = (top - needed.row0, bottom - needed.row0, left - needed.column0, right - needed.column0)
        return resized(self._picture(needed), window.shape, kernel, region, mend=self.layout.alpha)

    def _nearest(self, window: Window) -> Bytes:
        """The picture pixel that holds each level pixel's centre."""
        rows, columns = (
            np.floor((np.arange(start, stop) + 0.5 - origin) * scale).astype(int)
            for (start, stop), origin, scale in zip(window.ranges, self._origin, self._scale, strict=True)
        )
        needed = Window(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
        return self._picture(needed)[np.ix_(rows - rows[0], columns - columns[0])]

    def _picture(self, window: Window) -> Bytes:
        """Picture pixels of a window, those of the edge repeated beyond it."""
        inside = window.clamped(Window.of(self._height, self._width))
        stored = self._store.read(self._view.window(inside, self._store.height, self._store.width))
        if self._chosen:
            stored = np.stack([stored[..., band] for band in self._chosen], axis=-1)
        picture = self._view.view(stored)
        if self.layout.alpha:
            picture = premultiplied(picture)
        return padded(picture, inside, window, edge=True)


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
            with environment(GDAL_CACHEMAX=_GDAL_CACHE):
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
    """Whether `Resampled` can make a zoom of a picture that lies so; otherwise GDAL's warper must."""
    straight_axes = (affine.b == affine.d == 0) or (affine.a == affine.e == 0)
    return straight_axes and is_web_mercator(crs) and (kernel in _KERNELS or kernel == "near")
