"""Pixels made of other pixels: enlarged and shrunk by the kernels of ``--resample``, halved, premultiplied.

Two kinds of pixels. An *opaque* picture goes on beyond its edge with the pixels of the edge, and where it ends is kept
apart (`cartloader_image.tiles.coverage`): colours at the edge stay clean at every zoom. A picture with alpha is
premultiplied and 0 beyond its edge.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cartloader_image.kernels import door
from cartloader_image.rasters.store import Bytes

_PILLOW = {
    "bilinear": Image.Resampling.BILINEAR,
    "cubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
"""Pillow's kernels that are GDAL's own (cubic with a = -0.5)."""
_RADII = {"average": 0.5, "bilinear": 1, "cubic": 2, "cubicspline": 2, "lanczos": 3}
"""In source pixels, or in new ones where these are larger."""
_MODES = {1: "L", 2: "La", 3: "RGB", 4: "RGBX"}
_ROWS = 32
"""Rows whose alpha is multiplied in, or divided out, at once."""
_PHASES = 1024
"""Places between two pixels at which weights are worked out."""
_STRIP = 256
"""Rows that are resized at once."""
Region = tuple[float, float, float, float]
"""Four edges in pixels: top, bottom, left, right."""
Box = tuple[float, float, float, float]
"""The same in Pillow's order: left, top, right, bottom."""


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
    return door.straighten(pixels, pixels.shape[2]) if door.there() else _by_alpha(_STRAIGHT, pixels)


def opaque(pixels: Bytes) -> Bytes:
    """The colours of pixels whose alpha is 255 throughout."""
    bands = pixels.shape[2]
    return door.straighten(pixels, bands - 1) if door.there() else pixels[..., :-1]


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


def is_kernel(name: str) -> bool:
    """Whether `resampled` knows a kernel; without our own C, not all of them."""
    return name in (_RADII if door.there() else _PILLOW)


def reach(kernel: str, scale: float) -> int:
    """Pixels on each side of a region that count for what is made of it; ``scale`` is a new pixel's size in them."""
    return math.ceil(_RADII[kernel] * max(scale, 1)) + 1


def resampled(pixels: Bytes, size: tuple[int, int], kernel: str, region: Region, *, alpha: bool) -> Bytes:
    """``size`` (rows, columns) pixels out of a region of others, by a separable kernel with GDAL's definition.

    Beyond its edge a picture goes on with the pixels of the edge; where the last band is straight ``alpha`` it is 0
    there, and the result is premultiplied.
    """
    top, bottom, left, right = region
    if not door.there():
        return _by_pillow(pixels, size, kernel, region, alpha=alpha)
    down = _taps(kernel, size[0], top, bottom, pixels.shape[0], edge=not alpha)
    across = _taps(kernel, size[1], left, right, pixels.shape[1], edge=not alpha)
    return door.resample(pixels, down, across, alpha=alpha)


def _taps(kernel: str, count: int, start: float, stop: float, size: int, *, edge: bool) -> door.Taps:
    """The weights of an axis of ``size`` pixels, of which a part becomes ``count`` new ones."""
    scale = (stop - start) / count
    centres = start + (np.arange(count) + 0.5) * scale
    if kernel == "average":  # pixels that are covered in part count
        begin, most = np.floor(centres - scale / 2).astype(int), math.ceil(scale) + 1
    else:  # pixels whose centres are near enough
        radius = _RADII[kernel] * max(scale, 1)
        begin, most = np.ceil(centres - radius - 0.5).astype(int), math.ceil(2 * radius)
    places = begin[:, None] + np.arange(most)
    weights = _weights(kernel, places - centres[:, None], scale)
    weights /= weights.sum(axis=1, keepdims=True)
    if not edge:
        weights[(places < 0) | (places >= size)] = 0
    taps = min(places.shape[1], size)
    first = begin.clip(0, size - taps)
    joined = np.zeros((count, taps), np.float32)
    np.add.at(joined, (np.arange(count)[:, None], places.clip(0, size - 1) - first[:, None]), weights)
    used = np.flatnonzero(joined.any(axis=0))
    return door.Taps(first.astype(np.int32), joined[:, : used[-1] + 1] if len(used) else joined[:, :1])


def warp(pixels: Bytes, affine: tuple[float, float, float, float, float, float], kernel: str, out: Bytes) -> None:
    """The same under any affine that does not shrink, into ``out``, by `cartloader_image.kernels.door.warp`.

    The kernel is looked up at the nearest of 1,024 places between two pixels, which is 0.06 of a level at most.
    """
    radius = int(_RADII[kernel])
    places = (np.arange(_PHASES + 1) / _PHASES)[:, None]
    weights = _weights(kernel, np.arange(1 - radius, radius + 1) - 0.5 - places, 1)
    table = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    door.warp(pixels, affine, table, table, out)


def _weights(kernel: str, offsets: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """What pixels count that begin so far from the centre of a new one (GDAL 3.6, alg/gdalwarpkernel.cpp)."""
    if kernel == "average":  # the share of each that the new pixel covers
        half = scale / 2
        return (np.minimum(offsets + 1, half) - np.maximum(offsets, -half)).clip(0, None)
    x = abs((offsets + 0.5) / max(scale, 1))
    if kernel == "bilinear":
        return np.maximum(1 - x, 0)
    if kernel == "lanczos":
        return np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0)
    if kernel == "cubic":  # Keys's, with a = -0.5
        return np.where(x < 1, (1.5 * x - 2.5) * x * x + 1, np.where(x < 2, ((-0.5 * x + 2.5) * x - 4) * x + 2, 0))
    inner, outer = (3 * x - 6) * x * x + 4, (2 - x).clip(0, None) ** 3  # the cubic B-spline
    return np.where(x < 1, inner, outer) / 6


def _by_pillow(pixels: Bytes, size: tuple[int, int], kernel: str, region: Region, *, alpha: bool) -> Bytes:
    """The same in 8 bits between the axes.

    It goes by strips, whose intermediate pictures stay small; where a strip begins makes no difference.
    """
    top, bottom, left, right = region
    (rows, columns), (height, width) = size, pixels.shape[:2]
    down, across = (bottom - top) / rows, (right - left) / columns
    rest, aside = reach(kernel, down), reach(kernel, across)
    around = (
        (max(0, math.ceil(rest - top)), max(0, math.ceil(bottom + rest - height))),
        (max(0, math.ceil(aside - left)), max(0, math.ceil(right + aside - width))),
    )
    if alpha:
        pixels = premultiplied(pixels)
    if any(map(any, around)):
        pixels = np.pad(pixels, (*around, (0, 0)), mode="constant" if alpha else "edge")
    top, left, right = top + around[0][0], left + around[1][0], right + around[1][0]
    result = np.empty((rows, columns, pixels.shape[2]), np.uint8)
    for row in range(0, rows, _STRIP):
        end = min(row + _STRIP, rows)
        first, last = top + row * down, top + end * down
        start = max(math.floor(first) - rest, 0)
        strip, box = pixels[start : math.ceil(last) + rest], (left, first - start, right, last - start)
        work = _mended if alpha else _resize
        result[row:end] = work(strip, (columns, end - row), _PILLOW[kernel], box)
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
    if least == 255 or kernel is Image.Resampling.BILINEAR:
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


def halved(pixels: Bytes, *, nearest: bool = False) -> Bytes:
    """Half the even size: the mean of two by two pixels, rounded to nearest, halves up.

    ``nearest`` takes the upper-left of each four instead, for ``--resample near``.
    """
    if nearest:
        return pixels[::2, ::2]
    return door.halve(pixels) if door.there() else from_image(to_image(pixels).reduce(2))
