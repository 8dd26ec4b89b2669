"""What stored samples mean: from a TIFF page's photometric interpretation to mono or RGB, and alpha.

Reference: TIFF 6.0 (Adobe, 1992), section 8; the formulas are those of `cartloader_image.images.colours`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tifffile import TiffPage

from cartloader_image.errors import InputError
from cartloader_image.images.colours import (
    Converter,
    from_cielab,
    from_cmyk,
    from_ycbcr,
    palette,
    ramp_of,
    scaled_alpha,
    unassociated,
)
from cartloader_image.layout import Pixels, full
from cartloader_image.values import Rgb

_MINISWHITE, MINISBLACK, RGB, _PALETTE, _MASK, _SEPARATED, YCBCR, _CIELAB = 0, 1, 2, 3, 4, 5, 6, 8
_NAMES = {
    9: "ICCLAB", 10: "ITULAB", 32803: "CFA", 32844: "LOGL",
    32845: "LOGLUV", 34892: "LINEAR_RAW", 51177: "DEPTH_MAP", 52527: "SEMANTIC_MASK",
}  # fmt: skip
_BASE_SAMPLES = {
    _MINISWHITE: 1, MINISBLACK: 1, RGB: 3, _PALETTE: 1, _MASK: 1, _SEPARATED: 4, YCBCR: 3, _CIELAB: 3,
}  # fmt: skip
_GREY = {_MINISWHITE, MINISBLACK, _MASK}
JPEG = {6, 7, 34892, 33007}
"""Codecs that hand out RGB where the file says YCbCr, if the three samples lie together."""
JPEG_2000 = {33003, 33004, 33005, 34712}
_JPEG_2000_OF_APERIO = {33003: YCBCR, 33005: RGB}
"""What three samples are by the codec, whatever the photometric tag says; 33003 is YCbCr in Aperio's files alone."""
OLD_JPEG = 6
SEPARATE = 2
"""PlanarConfiguration of samples that lie in planes of their own."""
_JPEG_2000_OF_LIBVIPS, _CENTIMETRE = 33004, 3
_PHOTOMETRIC, _ORIENTATION, _RESOLUTION_UNIT, _SOFTWARE, _INK_SET = 262, 274, 296, 305, 332
_ASSOCIATED, _UNASSOCIATED = 1, 2


@dataclass(frozen=True)
class Scheme:
    """How the samples of a page become a picture."""

    page: TiffPage
    kind: int
    """Photometric interpretation of the decoded samples."""
    alpha: int | None
    """Index of the sample that is alpha."""
    associated: bool
    """Whether colours are stored multiplied by alpha."""
    separate: bool
    """Whether each sample is a grey picture of its own."""
    tint: Rgb | None = None
    """The colour of a grey picture that the file shows by a palette of its shades."""
    notes: tuple[str, ...] = ()
    """What was guessed."""

    @property
    def colours(self) -> int:
        """Bands of the picture without alpha: 1 or 3."""
        return 1 if self.kind in _GREY else 3

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the converted pixels."""
        stored = np.dtype(self.page.dtype or np.void).newbyteorder("=")
        if self.kind in {_PALETTE, _SEPARATED, YCBCR, _CIELAB} or stored.kind == "b" or self.bits < 8:
            return np.dtype(np.uint8)
        return np.dtype(np.float32) if stored == np.float16 else stored

    @property
    def bits(self) -> int:
        """Bits of a stored sample."""
        return _bits(self.page)

    @property
    def stretch(self) -> float:
        """By how much grey values are greater than the stored ones, which may have less than 8 bits."""
        return 255 / self._top if self.bits < 8 and self.kind in _GREY else 1.0

    @property
    def stored_colours(self) -> int:
        """Samples of a pixel that say its colour."""
        return 1 if self.separate else _BASE_SAMPLES[self.kind]

    @property
    def needs_gdal(self) -> bool:
        """Whether GDAL makes RGB of the page: tifffile decodes no subsampled YCbCr but JPEG."""
        return self.kind == YCBCR and self.page.is_subsampled and self.page.compression not in JPEG

    def check(self, path: Path) -> None:
        """Make sure that a picture can be made of the samples.

        Raises:
            InputError: they have a type or meaning that cannot be shown.
        """
        page, stored = self.page, np.dtype(self.page.dtype or np.void)
        kind = stored.kind
        if page.dtype is None or kind not in "buif":
            what = "complex numbers" if kind == "c" else "an unknown sample type"
            raise InputError(f"{path}: holds {what}, which cannot be shown")
        if self.kind not in _BASE_SAMPLES:
            raise InputError(f"{path}: photometric interpretation {_NAMES.get(self.kind, self.kind)} cannot be shown")
        if page.samplesperpixel < _BASE_SAMPLES[self.kind]:
            raise InputError(f"{path}: has {page.samplesperpixel} samples per pixel, of which no picture can be made")
        if self.kind == _SEPARATED and int(page.tags.valueof(_INK_SET, 1)) != 1:
            raise InputError(f"{path}: has inks other than CMYK, which cannot be shown")
        if self.kind == _SEPARATED and (kind not in "bu" or stored.itemsize > 2):
            raise InputError(f"{path}: CMYK is read with 8 or 16 bits per sample only")
        if self.kind in {YCBCR, _CIELAB} and stored != np.uint8:
            name = "YCbCr" if self.kind == YCBCR else "CIELAB"
            raise InputError(f"{path}: {name} is read with 8 bits per sample only")
        if self.kind == _MINISWHITE and kind not in "bu":
            raise InputError(f"{path}: MINISWHITE is read for unsigned integers only")
        if self.kind == _PALETTE and (kind not in "bu" or self.bits > 16):
            raise InputError(f"{path}: a palette is read for unsigned integers of at most 16 bits only")

    def converter(self, path: Path) -> Converter:
        """A function from stored samples ``(rows, columns, samples)`` to ``(rows, columns, colours + alpha)``.

        It raises an InputError where samples have more bits than the page says.

        Raises:
            InputError: the samples have a type or meaning that cannot be shown.
        """
        self.check(path)
        stored = np.dtype(self.page.dtype or np.void)
        # A codec has a width of its own.
        most = (1 << self.bits) - 1 if stored.kind == "u" and self.bits < 8 * stored.itemsize else None
        base = self.stored_colours
        to_colours, to_alpha = self._colours(), partial(scaled_alpha, top=self._top, dtype=self.dtype)
        given_out_as_rgb = self.needs_gdal

        def convert(samples: Pixels) -> Pixels:
            if most is not None and samples.max(initial=0) > most:
                raise InputError(f"{path}: has samples of more than the {self.bits} bits that its BitsPerSample says")
            colours = samples[..., :3] if given_out_as_rgb else to_colours(samples[..., :base])
            colours = colours.astype(self.dtype, copy=False)
            if self.alpha is None:
                return colours
            alpha = to_alpha(samples[..., self.alpha : self.alpha + 1])
            if self.associated:
                colours = unassociated(colours, alpha, full(self.dtype))
            return np.concatenate([colours, alpha], axis=-1)

        return convert

    @property
    def _top(self) -> float:
        """The stored value of full light, or full alpha."""
        stored = np.dtype(self.page.dtype or np.void)
        return np.iinfo(stored).max if stored.kind == "i" else 1 if stored.kind == "f" else (1 << self.bits) - 1

    def _colours(self) -> Converter:
        """From the samples of colour to those of the picture."""
        top = self._top
        if self.kind == _PALETTE:
            table = palette(self.page)
            # one bit is read as bool, which would select instead of look up
            return lambda samples: table[samples[..., 0].astype(np.uint16)]
        if self.kind in {_SEPARATED, YCBCR, _CIELAB}:
            if self.kind == YCBCR:
                return from_ycbcr(self.page)
            return from_cielab if self.kind == _CIELAB else partial(from_cmyk, top=top)
        if self.bits < 8:
            shades = np.rint(np.arange(top + 1) * (255 / top)).astype(np.uint8)
            shades = shades[::-1] if self.kind == _MINISWHITE else shades
            return lambda samples: shades[samples.astype(np.uint8)]
        white = np.dtype(self.page.dtype or np.void).newbyteorder("=").type(top) if self.kind == _MINISWHITE else None
        return lambda samples: samples if white is None else white - samples


def scheme_of(page: TiffPage) -> Scheme:
    """What a page's tags say of its samples. An extra sample counts as alpha only where the file says it is."""
    count, extra = int(page.samplesperpixel), tuple(map(int, page.extrasamples))
    kind, notes = _kind_of(page, count)
    base = _BASE_SAMPLES.get(kind, count)
    is_alpha = [sample in {_ASSOCIATED, _UNASSOCIATED} for sample in extra[: max(count - base, 0)]]
    grey_samples = kind in _GREY and count > 1
    # Of a grey page with several more samples each is a channel.
    alpha = base + is_alpha.index(True) if any(is_alpha) and not (grey_samples and count > base + 1) else None
    separate = grey_samples and alpha is None
    left_out = 0 if separate else count - base - (alpha is not None)
    if left_out > 0 and kind in _BASE_SAMPLES:
        what = "its further sample" if left_out == 1 else f"its {left_out} further samples"
        notes = (
            *notes,
            f"{what} of a pixel, which the file does not call alpha, {'is' if left_out == 1 else 'are'} left out",
        )
    tint = _ramp(page) if kind == _PALETTE and page.dtype is not None and np.dtype(page.dtype).kind in "bu" else None
    return Scheme(
        page=page,
        kind=MINISBLACK if tint else kind,
        alpha=alpha,
        associated=alpha is not None and extra[alpha - base] == _ASSOCIATED,
        separate=separate,
        tint=tint,
        notes=notes,
    )


def _kind_of(page: TiffPage, count: int) -> tuple[int, tuple[str, ...]]:
    """What the samples are once they are decoded, and a note where that had to be guessed."""
    kind = int(page.photometric)
    if _PHOTOMETRIC not in page.tags and page.compression != OLD_JPEG:
        kind = RGB if count - len(page.extrasamples) == 3 else MINISBLACK
        name = "RGB" if kind == RGB else "grey, 0 is black"
        return kind, (f"its PhotometricInterpretation is missing; taken for {name}",)
    if page.compression in _JPEG_2000_OF_APERIO:
        return _kind_of_jpeg_2000(page, count, kind)
    if kind == RGB and page.tags.valueof(_PHOTOMETRIC) == YCBCR:  # see `cartloader_image.images.pages`
        return kind, ("its planes, tagged YCbCr, are taken for red, green and blue, as Bio-Formats writes them",)
    if kind == RGB and count == 3 and _by_libvips(page):
        return YCBCR, ("its JPEG 2000 tiles are taken for YCbCr, as libvips writes them",)
    decoded = page.compression in JPEG and page.planarconfig != SEPARATE and not page.extrasamples
    return (RGB if kind == YCBCR and decoded else kind), ()


def _kind_of_jpeg_2000(page: TiffPage, count: int, kind: int) -> tuple[int, tuple[str, ...]]:
    """The same for Aperio's two codecs, which others use as well."""
    if count == 3 and page.planarconfig != SEPARATE and _is_aperio(page):
        return _JPEG_2000_OF_APERIO[page.compression], ()
    if count == 3 or kind in {RGB, YCBCR}:
        note = "its JPEG 2000, which is tagged YCbCr, is taken for what it decodes to"
        return (RGB if count >= 3 else MINISBLACK), (note,) if kind == YCBCR else ()
    return kind, ()


def _is_aperio(page: TiffPage) -> bool:
    """Whether a page, or the first one of its file, says that it is a scan of Aperio's."""
    return page.description.startswith("Aperio") or page.parent.pages.first.description.startswith("Aperio")


def _by_libvips(page: TiffPage) -> bool:
    """Whether libvips wrote a page as JPEG 2000, which holds YCbCr then, whatever its tags say.

    It leaves its name nowhere; these tags together are those of no other writer known.
    """
    return (
        page.compression == _JPEG_2000_OF_LIBVIPS
        and _SOFTWARE not in page.tags
        and (page.tags.valueof(_ORIENTATION), page.tags.valueof(_RESOLUTION_UNIT)) == (1, _CENTIMETRE)
    )


def _bits(page: TiffPage) -> int:
    bits = page.bitspersample
    return int(bits if isinstance(bits, int) else bits[0])


def _ramp(page: TiffPage) -> Rgb | None:
    """The colour ``#rrggbb`` whose shades, from black on, are the palette of a page."""
    bits = _bits(page)
    return ramp_of(palette(page)[: 1 << bits], bits) if bits <= 16 else None
