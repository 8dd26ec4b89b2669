"""What stored samples mean: from a TIFF page's photometric interpretation to mono or RGB, and alpha.

Formulas: TIFF 6.0 (Adobe, 1992), sections 8 (baseline), 16 (CMYK), 18 (associated alpha) and 21 (YCbCr).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffPage

from cartloader.errors import InputError
from cartloader.images.plane import Pixels

Converter = Callable[[Pixels], Pixels]

_MINISWHITE, _MINISBLACK, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_NAMES = {
    4: "TRANSPARENCY_MASK", 8: "CIELAB", 9: "ICCLAB", 10: "ITULAB", 32803: "CFA", 32844: "LOGL",
    32845: "LOGLUV", 34892: "LINEAR_RAW", 51177: "DEPTH_MAP", 52527: "SEMANTIC_MASK",
}  # fmt: skip
_BASE_SAMPLES = {_MINISWHITE: 1, _MINISBLACK: 1, _RGB: 3, _PALETTE: 1, _SEPARATED: 4, _YCBCR: 3}
_JPEG = {6, 7, 34892, 33007}
"""Codecs that hand out RGB where the file says YCbCr, if the three samples lie together."""
_APERIO_YCC = 33003
"""Aperio's JPEG-2000 in YCbCr, whatever the photometric tag says."""


@dataclass(frozen=True)
class Scheme:
    """How the samples of a page become a picture."""

    page: TiffPage
    kind: int
    """Photometric interpretation of the decoded samples."""
    alpha: bool
    associated: bool
    """Whether colours are stored multiplied by alpha."""
    separate: bool
    """Whether each sample is a grey picture of its own."""

    @property
    def colours(self) -> int:
        """Bands of the picture without alpha: 1 or 3."""
        return 1 if self.kind in {_MINISWHITE, _MINISBLACK} else 3

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the converted pixels."""
        stored = np.dtype(self.page.dtype or np.void).newbyteorder("=")
        if self.kind in {_PALETTE, _SEPARATED, _YCBCR} or stored.kind == "b" or self._bits < 8:
            return np.dtype(np.uint8)
        return np.dtype(np.float32) if stored == np.float16 else stored

    @property
    def _bits(self) -> int:
        bits = self.page.bitspersample
        return int(bits if isinstance(bits, int) else bits[0])

    def converter(self, path: Path) -> Converter:
        """A function from stored samples ``(rows, columns, samples)`` to ``(rows, columns, colours + alpha)``.

        Raises:
            InputError: the samples have a type or meaning that cannot be shown.
        """
        page = self.page
        if page.dtype is None or np.dtype(page.dtype).kind not in "buif":
            what = "complex numbers" if page.dtype and np.dtype(page.dtype).kind == "c" else "an unknown sample type"
            raise InputError(f"{path}: holds {what}, which cannot be shown")
        if self.kind not in _BASE_SAMPLES:
            raise InputError(f"{path}: photometric interpretation {_NAMES.get(self.kind, self.kind)} cannot be shown")
        base = _BASE_SAMPLES[self.kind]
        if not self.separate and not base <= page.samplesperpixel <= 4:
            raise InputError(f"{path}: has {page.samplesperpixel} samples per pixel, of which no picture can be made")
        if self.kind in {_SEPARATED, _YCBCR} and np.dtype(page.dtype) != np.uint8:
            raise InputError(
                f"{path}: {'CMYK' if self.kind == _SEPARATED else 'YCbCr'} is read with 8 bits per sample only"
            )
        if self.kind == _MINISWHITE and np.dtype(page.dtype).kind not in "bu":
            raise InputError(f"{path}: MINISWHITE is read for unsigned integers only")
        if self.kind == _PALETTE and (np.dtype(page.dtype).kind not in "bu" or self._bits > 16):
            raise InputError(f"{path}: a palette is read for unsigned integers of at most 16 bits only")
        steps = self._steps(base)

        def convert(samples: Pixels) -> Pixels:
            for step in steps:
                samples = step(samples)
            return samples.astype(self.dtype, copy=False)

        return convert

    def _steps(self, base: int) -> list[Converter]:
        steps: list[Converter] = []
        stored = np.dtype(self.page.dtype or np.void)
        top = np.iinfo(stored).max if stored.kind == "i" else (1 << self._bits) - 1
        if not self.separate and not self.alpha and self.page.samplesperpixel > base:
            steps.append(lambda samples: samples[..., :base])
        if self._bits < 8 and self.kind != _PALETTE:
            scale = 255 / top
            steps.append(lambda samples: np.rint(samples * scale).astype(np.uint8))
            stored, top = np.dtype(np.uint8), 255
        if self.associated:
            steps.append(partial(_unassociate, top=top if stored.kind in "iu" else 1))
        if self.kind == _MINISWHITE:
            white = top
            steps.append(lambda samples: white - samples)
        elif self.kind == _PALETTE:
            table = _palette(self.page)
            # one bit is read as bool, which would select instead of look up
            steps.append(lambda samples: table[samples[..., 0].astype(np.uint16)])
        elif self.kind == _SEPARATED:
            steps.append(_from_cmyk)
        elif self.kind == _YCBCR:
            steps.append(_from_ycbcr(self.page))
        if self.alpha and stored.kind == "u" and self._bits % 8:
            steps.append(partial(_widen_alpha, top=top))
        return steps


def scheme_of(page: TiffPage) -> Scheme:
    """What a page's tags say of its samples. An extra sample counts as alpha only where the file says it is."""
    kind, extra = int(page.photometric), tuple(map(int, page.extrasamples))
    if kind == _YCBCR and page.compression in _JPEG and page.planarconfig == 1 and not extra:
        kind = _RGB
    elif page.compression == _APERIO_YCC:
        kind = _YCBCR
    base = _BASE_SAMPLES.get(kind, page.samplesperpixel)
    alpha = page.samplesperpixel == base + 1 and extra[:1] in {(1,), (2,)} and kind != _SEPARATED
    return Scheme(
        page=page,
        kind=kind,
        alpha=alpha,
        associated=alpha and extra[0] == 1,
        separate=kind in {_MINISWHITE, _MINISBLACK} and page.samplesperpixel > 1 and not alpha,
    )


def _palette(page: TiffPage) -> NDArray[np.uint8]:
    """RGB by index; the entries are 16-bit, but some writers fill in just 8. Indices without an entry are black."""
    stored = np.asarray(page.colormap)
    table = np.zeros((max(1 << int(page.bitspersample), stored.shape[1]), 3), np.uint8)
    table[: stored.shape[1]] = (stored >> 8 if stored.max() > 255 else stored).T
    return table


def _unassociate(samples: Pixels, top: int) -> Pixels:
    """Colours divided by alpha (section 18), alpha 0 giving 0; ``top`` is full alpha."""
    values = samples.astype(np.float64)
    colours, alpha = values[..., :-1], values[..., -1:]
    np.divide(colours * top, alpha, out=colours, where=alpha > 0)
    colours[(alpha <= 0)[..., 0]] = 0
    return (np.rint(values.clip(0, top)) if samples.dtype.kind in "iu" else values).astype(samples.dtype)


def _widen_alpha(samples: Pixels, top: int) -> Pixels:
    """Alpha of 9 to 15 bits stretched to 16, where full alpha is looked for; colours have their thresholds."""
    full = np.iinfo(samples.dtype).max
    samples = samples.copy()
    samples[..., -1] = np.rint(samples[..., -1] * (full / top))
    return samples


def _from_cmyk(samples: Pixels) -> Pixels:
    """Ink coverage → RGB, each light the product of what cyan, magenta or yellow and black let through."""
    light = 255 - samples.astype(np.uint16)
    return ((light[..., :3] * light[..., 3:4] + 127) // 255).astype(np.uint8)


def _from_ycbcr(page: TiffPage) -> Converter:
    """Section 21's inverse, with the coefficients and reference range of the file (defaults: BT.601, full range)."""
    red, green, blue = (float(value) for value in _rationals(page, 529) or (0.299, 0.587, 0.114))
    black_white = _rationals(page, 532) or (0, 255, 128, 255, 128, 255)
    y0, y1, b0, b1, r0, r1 = map(float, black_white)
    if not (np.isfinite([red, green, blue, *black_white]).all() and green and y1 != y0 and b1 != b0 and r1 != r0):
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


def _rationals(page: TiffPage, code: int) -> tuple[float, ...] | None:
    tag = page.tags.get(code)
    if tag is None:
        return None
    value = np.asarray(tag.value, dtype=np.float64).ravel()
    if tag.dtype in {5, 10}:  # pairs of numerator and denominator
        with np.errstate(divide="ignore", invalid="ignore"):
            value = value[::2] / value[1::2]
    return tuple(value)
