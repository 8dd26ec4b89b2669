"""Formulas of colour: from palettes, inks, YCbCr and CIELAB to RGB, and what alpha does to it.

Sources: TIFF 6.0 (Adobe, 1992), sections 16 (CMYK), 18 (associated alpha), 21 (YCbCr) and 23 (CIELAB).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffPage

from cartloader_image.layout import Pixels
from cartloader_image.values import Rgb

Converter = Callable[[Pixels], Pixels]
"""From stored samples ``(rows, columns, samples)`` to pixels."""


def ramp_of(table: NDArray[np.uint8], bits: int) -> Rgb | None:
    """The colour of which a palette ``(entries, 3)`` has the shades, within 1, by indices of ``bits`` bits.

    Such a palette is how a fluorescence microscope shows a grey picture: ``entry = colour · index / greatest index``.
    """
    if len(table) < 2 or table[0].any():
        return None
    share = np.arange(len(table)) / ((1 << bits) - 1)
    if bits < 8:
        share = np.rint(share * 255) / 255  # as fewer bits are stretched
    colour = np.rint(table[-1] / share[-1])
    if colour.max() > 255 or not colour.any():
        return None
    shades = np.trunc(np.outer(share, colour))
    if np.abs(shades - table).max() > 1:
        return None
    return Rgb(*map(int, colour))


def palette(page: TiffPage) -> NDArray[np.uint8]:
    """RGB by index; the entries are 16-bit, but some writers fill in just 8. Indices without an entry are black."""
    stored = np.asarray(page.colormap)
    if stored.ndim != 2 or len(stored) != 3:
        raise ValueError("its palette is not one of red, green and blue")
    table = np.zeros((max(1 << int(page.bitspersample), stored.shape[1]), 3), np.uint8)
    table[: stored.shape[1]] = (stored >> 8 if stored.max() > 255 else stored).T
    return table


def unassociated(colours: Pixels, alpha: Pixels, top: float) -> Pixels:
    """Colours divided by alpha (section 18), alpha 0 giving 0; ``top`` is full alpha, and full light."""
    values, share = colours.astype(np.float64), alpha.astype(np.float64)
    np.divide(values * top, share, out=values, where=share > 0)
    values[(share <= 0)[..., 0]] = 0
    return (np.rint(values.clip(0, top)) if colours.dtype.kind in "iu" else values).astype(colours.dtype)


def scaled_alpha(alpha: Pixels, top: float, dtype: np.dtype[Any]) -> Pixels:
    """Alpha in the type of the colours, whose greatest value is full alpha; ``top`` is that as it is stored."""
    if dtype.kind == "f" or (alpha.dtype == dtype and top == np.iinfo(dtype).max):
        return alpha.astype(dtype, copy=False)
    return np.rint(alpha.astype(np.float64) * (np.iinfo(dtype).max / top)).astype(dtype)


def from_cmyk(samples: Pixels, top: float) -> Pixels:
    """Ink coverage → RGB, each light the product of what cyan, magenta or yellow and black let through."""
    light = top - samples.astype(np.float64)
    colours: Pixels = np.rint(light[..., :3] * light[..., 3:4] * (255 / top**2)).astype(np.uint8)
    return colours


def from_ycbcr(page: TiffPage) -> Converter:
    """Section 21's inverse, with the coefficients and reference range of the file (defaults: BT.601, full range)."""
    try:
        red, green, blue = map(float, _rationals(page, 529) or (0.299, 0.587, 0.114))
        y0, y1, b0, b1, r0, r1 = map(float, _rationals(page, 532) or (0, 255, 128, 255, 128, 255))
        known = bool(np.isfinite([red, green, blue, y0, y1, b0, b1, r0, r1]).all())
    except ValueError:  # others than three and six numbers
        known = False
    if not (known and green and y1 != y0 and b1 != b0 and r1 != r0):
        raise ValueError("its YCbCr coefficients or reference black and white make no sense")

    def convert(samples: Pixels) -> Pixels:
        y, cb, cr = (samples[..., band].astype(np.float64) for band in range(3))
        y, cb, cr = (y - y0) * 255 / (y1 - y0), (cb - b0) * 127 / (b1 - b0), (cr - r0) * 127 / (r1 - r0)
        r = y + cr * (2 - 2 * red)
        b = y + cb * (2 - 2 * blue)
        g = (y - blue * b - red * r) / green
        colours: Pixels = np.rint(np.stack([r, g, b], axis=-1).clip(0, 255)).astype(np.uint8)
        return colours

    return convert


def from_cielab(samples: Pixels) -> Pixels:
    """L* of 0 … 255 for 0 … 100, a* and b* as signed bytes (section 23) → sRGB; a* = b* = 0 is grey.

    CIE 15 gives X, Y and Z by the white point, here D50; IEC 61966-2-1 gives sRGB, whose matrix is the one of its
    primaries brought from D65 to D50 by Bradford's adaptation, as in its ICC profile.
    """
    lightness = samples[..., 0].astype(np.float64) * (100 / 255)
    a, b = (samples[..., band].astype(np.uint8).view(np.int8).astype(np.float64) for band in (1, 2))
    y = (lightness + 16) / 116
    ratio = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    ratio = np.where(ratio > 6 / 29, ratio**3, (ratio - 4 / 29) * (3 * (6 / 29) ** 2))
    light = ((ratio * _SRGB_TO_XYZ.sum(axis=1)) @ np.linalg.inv(_SRGB_TO_XYZ).T).clip(0, 1)
    shade = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    colours: Pixels = np.rint(shade * 255).astype(np.uint8)
    return colours


_SRGB_TO_XYZ = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)


def _rationals(page: TiffPage, code: int) -> tuple[float, ...] | None:
    tag = page.tags.get(code)
    if tag is None:
        return None
    value = np.asarray(tag.value, dtype=np.float64).ravel()
    if tag.dtype in {5, 10}:  # pairs of numerator and denominator
        with np.errstate(divide="ignore", invalid="ignore"):
            value = value[::2] / value[1::2]
    return tuple(value)
