"""The bytes of tiles: one function for each format, from ``(rows, columns, 1 … 4) uint8`` to the bytes of a tile.

Bands are grey, grey + alpha, RGB, RGBA; alpha is straight, not premultiplied.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from io import BytesIO

import numpy as np
from PIL import Image

from cartloader_image.layout import Layout
from cartloader_image.rasters.png import encode_png
from cartloader_image.rasters.store import Bytes, Shown
from cartloader_image.tile_formats import TILE_FORMATS, TileFormat
from cartloader_image.values import Rgb

Encode = Callable[[Bytes], bytes | memoryview]


def _picture(pixels: Bytes) -> Image.Image:
    """A Pillow image; grey with alpha as RGBA, which WebP has no smaller layout for."""
    bands = pixels.shape[2]
    if bands == 2:
        pixels = pixels[..., [0, 0, 0, 1]]
    return Image.fromarray(pixels[..., 0] if bands == 1 else pixels)


def _in_primary(shown: Shown, encode: Encode) -> Encode:
    """The encoding of pictures in a primary colour, given as grey or grey + alpha; an opaque PNG gets a palette."""

    def coloured(pixels: Bytes) -> bytes | memoryview:
        if encode is encode_png and pixels.shape[2] == 1:
            return encode_png(pixels, np.arange(256, dtype=np.uint8)[:, None] * np.array(shown, np.uint8))
        result = np.zeros((*pixels.shape[:2], 2 + pixels.shape[2]), np.uint8)
        for band in np.flatnonzero(shown):
            result[..., band] = pixels[..., 0]
        result[..., 3:] = pixels[..., 1:]
        return encode(result)

    return coloured


def _by_pillow(form: TileFormat, quality: int | None, pixels: Bytes) -> bytes:
    buffer = BytesIO()
    chosen = {} if form.quality is None else {"quality": quality or form.quality}
    _picture(pixels).save(buffer, form.encoder, **form.settings, **chosen)
    return buffer.getvalue()


def _on_background(encode: Encode, beyond: int) -> Encode:
    """The encoding of pictures without their alpha: ``beyond`` shines through."""

    def opaque(pixels: Bytes) -> bytes | memoryview:
        if Layout.of(pixels.shape[2]).alpha:
            alpha = pixels[..., -1:].astype(np.uint16)
            pixels = ((pixels[..., :-1] * alpha + beyond * (255 - alpha) + 127) // 255).astype(np.uint8)
        return encode(pixels)

    return opaque


def primary_colour(colour: Rgb | None) -> Shown | None:
    """Which of red, green and blue a colour shows, if all that it shows are equal; None for all others.

    Of a mono picture that was coloured cyan, for instance, red is 0 everywhere, and green or blue says it all.
    """
    if colour is None or len({*colour} - {0}) != 1:
        return None
    return colour.red > 0, colour.green > 0, colour.blue > 0


def encoding(name: str, quality: int | None, primary: Shown | None = None, background: str | None = None) -> Encode:
    """The encoding of tiles in a format; with a primary colour, of tiles that are grey or grey + alpha until then.

    ``background`` is what JPEG tiles show beyond the picture: black, or white.
    """
    form = TILE_FORMATS[name]
    encode: Encode = encode_png if form.encoder == "PNG" else functools.partial(_by_pillow, form, quality)
    if not form.transparent:
        encode = _on_background(encode, 0 if background == "black" else 255)
    return _in_primary(primary, encode) if primary else encode
