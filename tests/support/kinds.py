"""What samples of a TIFF mean, by the specification: the pictures that a matrix of files is written from and held to.

Formulas: TIFF 6.0 (Adobe, 1992), sections 4 to 6 (grey, palettes), 16 (CMYK), 18 (alpha), 21 (YCbCr) and 23 (CIELAB).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.color import lab2xyz, rgb2lab, xyz2rgb, xyz_tristimulus_values

Array = NDArray[Any]

ROWS, COLUMNS = 29, 37
BASE = {"minisblack": 1, "miniswhite": 1, "rgb": 3, "palette": 1, "separated": 4, "ycbcr": 3, "cielab": 3}
"""Samples of a pixel before extra ones."""
ASSOCIATED, STRAIGHT, UNKNOWN = "a", "s", "x"
"""The kinds of extra samples: associated and unassociated alpha, unspecified."""


@dataclass(frozen=True)
class Kind:
    """What the samples of a picture are."""

    photometric: str
    dtype: str = "u1"
    """As numpy spells it."""
    bits: int = 0
    """Bits of a stored sample, 0 for those of the type."""
    extras: str = ""
    """A letter for each extra sample."""

    def __str__(self) -> str:
        depth = f"{self.dtype}:{self.bits}" if self.bits else self.dtype
        return f"{self.photometric}-{depth}" + (f"+{self.extras}" if self.extras else "")

    @property
    def base(self) -> int:
        return BASE[self.photometric]

    @property
    def samples(self) -> int:
        return self.base + len(self.extras)

    @property
    def top(self) -> Any:
        """The greatest value, which is full alpha too."""
        kind = np.dtype(self.dtype)
        if kind.kind in "fc":
            return 1
        return np.iinfo(kind).max if kind.kind == "i" or not self.bits else (1 << self.bits) - 1

    @property
    def alpha(self) -> int | None:
        """The index of the sample that is alpha."""
        places = [place for place, extra in enumerate(self.extras) if extra != UNKNOWN]
        return self.base + places[0] if places else None

    @property
    def planes(self) -> int:
        """How many pictures a page of it is: those of grey are its samples, unless the one that is added is alpha."""
        return self.samples if self.photometric == "minisblack" and self.alpha is None else 1


def picture(kind: Kind, *, smooth: bool = False) -> Array:
    """Stored samples ``(rows, columns, samples)``: over the whole range, or such as lossy codecs nearly keep."""
    if kind.photometric == "cielab":
        return _with_extras(_to_lab(_waves(3)), kind)
    if kind.photometric == "ycbcr" and smooth:
        return _with_extras(np.rint(_to_ycbcr(_waves(3) * 255)).clip(0, 255).astype(np.uint8), kind)
    if smooth:
        return (_waves(kind.samples) * kind.top).astype(kind.dtype)
    return _with_extras(_noise(kind, kind.base), kind)


def table_of(kind: Kind) -> Array:
    """A palette ``(3, entries)`` of 16-bit values for a kind of index."""
    entries = 1 << (kind.bits or 8 * np.dtype(kind.dtype).itemsize)
    return np.random.default_rng(7).integers(0, 65536, (3, entries), np.uint16)


def shown(stored: Array, kind: Kind) -> Array:
    """What a reader must give for stored samples: ``(rows, columns, 1 or 3, and alpha)``, unrounded."""
    top, bits = kind.top, kind.bits or 8 * np.dtype(kind.dtype).itemsize
    values = stored.astype(np.longdouble)
    alpha = values[..., kind.alpha] / top if kind.alpha is not None else None
    colours = _colours(values[..., : kind.base], kind)
    eight = colours.shape[-1] != kind.base or kind.photometric in {"ycbcr", "cielab", "palette"} or bits < 8
    full = 255 if eight else top
    if kind.photometric in {"minisblack", "miniswhite", "rgb"} and bits < 8:
        colours = np.rint(colours * 255 / top)
    if alpha is None:
        return colours
    if kind.extras[kind.alpha - kind.base] == ASSOCIATED:
        seen = alpha[..., None] > 0
        colours = np.where(seen, (colours / np.where(seen, alpha[..., None], 1)).clip(0, full), 0)
    # Alpha of 9 to 15 bits is handed on in 16; with colours of 8 bits it has 8.
    opaque = 65535 if not eight and 8 < bits < 16 else full
    return np.concatenate([colours, (alpha * opaque)[..., None]], axis=-1)


def _colours(values: Array, kind: Kind) -> Array:
    match kind.photometric:
        case "miniswhite":
            return kind.top - values
        case "palette":
            return (table_of(kind) >> 8).T[values[..., 0].astype(int)].astype(np.longdouble)
        case "separated":
            ink = values / kind.top
            return 255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])
        case "ycbcr":
            return from_ycbcr(values)
        case "cielab":
            lab = values.astype(np.uint8)
            a_b = lab[..., 1:].view(np.int8)
            xyz = lab2xyz(np.dstack([lab[..., :1] / 2.55, a_b]), illuminant="D50")
            return 255 * xyz2rgb(xyz @ _D50_TO_D65.T).clip(0, 1)
        case _:
            return values


def from_ycbcr(values: Array) -> Array:
    """Full-range BT.601 → RGB."""
    y, cb, cr = np.moveaxis(values.astype(np.float64), -1, 0)
    cb, cr = cb - 128, cr - 128
    green = y - (0.114 * 1.772 * cb + 0.299 * 1.402 * cr) / 0.587
    return np.stack([y + 1.402 * cr, green, y + 1.772 * cb], axis=-1).clip(0, 255)


def _to_ycbcr(rgb: Array) -> Array:
    y = rgb @ [0.299, 0.587, 0.114]
    return np.stack([y, 128 + (rgb[..., 2] - y) / 1.772, 128 + (rgb[..., 0] - y) / 1.402], axis=-1)


_CONES = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""Bradford's."""
_D50, _D65 = (_CONES @ xyz_tristimulus_values(illuminant=light, observer="2") for light in ("D50", "D65"))
_D50_TO_D65 = np.linalg.inv(_CONES) @ np.diag(_D65 / _D50) @ _CONES


def _to_lab(rgb: Array) -> Array:
    lab = rgb2lab(rgb, illuminant="D65")
    a_b = np.rint(lab[..., 1:]).clip(-128, 127).astype(np.int8)
    return np.dstack([np.rint(lab[..., :1] * 2.55).astype(np.uint8), a_b.view(np.uint8)])


def _waves(bands: int) -> NDArray[np.float64]:
    """Bands between 0.2 and 0.8 that change slowly."""
    y, x = np.mgrid[0:ROWS, 0:COLUMNS]
    waves = [0.5 + 0.3 * np.sin(x / 13 + band) * np.cos(y / 11 - band) for band in range(bands)]
    return np.stack(waves, axis=-1)


def _noise(kind: Kind, samples: int) -> Array:
    random, dtype = np.random.default_rng(samples), np.dtype(kind.dtype)
    shape = (ROWS, COLUMNS, samples)
    if dtype.kind == "c":
        return random.random(shape).astype(dtype)
    if dtype.kind == "f":
        return (random.random(shape) if kind.alpha is not None else random.normal(0, 1000, shape)).astype(dtype)
    low = np.iinfo(dtype).min if dtype.kind == "i" and kind.alpha is None else 0
    return random.integers(low, kind.top, shape, dtype, endpoint=True)


def _with_extras(colours: Array, kind: Kind) -> Array:
    """Extra samples of noise behind the colours; alpha has runs of nothing and of everything."""
    extras = _noise(Kind("minisblack", kind.dtype, kind.bits, STRAIGHT), 9)[..., 9 - len(kind.extras) :]
    stored = np.concatenate([colours, extras], axis=-1)
    if kind.alpha is None:
        return stored
    alpha = stored[..., kind.alpha]
    alpha[:4], alpha[4:8] = 0, kind.top
    if kind.extras[kind.alpha - kind.base] == ASSOCIATED and kind.photometric != "palette":
        light = colours if kind.photometric != "miniswhite" else kind.top - colours
        light = (light * (alpha[..., None] / np.longdouble(kind.top))).astype(kind.dtype)
        stored[..., : kind.base] = light if kind.photometric != "miniswhite" else kind.top - light
    return stored
