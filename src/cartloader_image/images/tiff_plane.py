"""One plane of a TIFF as a picture: its stored samples, what they mean, and which of them are no data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffPage

from cartloader_image.budget import Cost
from cartloader_image.errors import InputError, reading
from cartloader_image.images.beside import mask_file
from cartloader_image.images.gdal_samples import GdalSamples
from cartloader_image.images.nodata import NONE, declared_beside, has_no_data, nodata_value
from cartloader_image.images.photometric import OLD_JPEG, scheme_of
from cartloader_image.images.plane import hidden
from cartloader_image.images.samples import Samples, SegmentSamples, StoredSamples, begins_as_jpeg, decoder_of
from cartloader_image.images.tiff import PlaneRef, Tiff, open_tiff
from cartloader_image.layout import Layout, Pixels, full
from cartloader_image.params import PixelOptions
from cartloader_image.window import Window

_NODATA = 42113
"""GDAL's tag."""


def open_plane(tiff: Tiff, ref: PlaneRef, level: int, options: PixelOptions) -> TiffPlane | Masked:
    """A plane at one level, with the mask that the file or one beside it has for it.

    Raises:
        InputError: a layout, type or size that cannot be.
        UsageError: ``--nodata`` is no value of its type.
    """
    plane = TiffPlane(tiff, ref, level, options)
    if options.nodata == NONE:
        return plane
    mask, beside = tiff.mask_of(ref.levels[level]), mask_file(tiff.path)
    if mask is not None:
        return Masked(plane, _mask_plane(tiff, mask, options))
    if not beside:
        return plane
    masks = replace(tiff.opened.enter_context(open_tiff(beside, options.budget)), damage=tiff.damage)
    pages = [page for series in masks.series for page in series.planes[0].levels]
    fitting = [page for page in pages if (page.imagelength, page.imagewidth) == (plane.height, plane.width)]
    if not fitting:
        raise InputError(
            f"{beside}: is no mask of {plane.width:,} × {plane.height:,} pixels; remove it, or add --nodata none"
        )
    return Masked(plane, _mask_plane(masks, fitting[0], options))


def _mask_plane(tiff: Tiff, page: TiffPage, options: PixelOptions) -> TiffPlane:
    return TiffPlane(tiff, PlaneRef("mask", lambda: (page,)), 0, PixelOptions(nodata=NONE, damaged=options.damaged))


class TiffPlane:
    """One plane at one level."""

    def __init__(self, tiff: Tiff, ref: PlaneRef, level: int, options: PixelOptions) -> None:
        """Check that the plane can be shown.

        Raises:
            InputError: a layout, type or size that cannot be.
            UsageError: ``--nodata`` is no value of its type.
        """
        self._path, self._sample, page = tiff.path, ref.sample, ref.levels[level]
        with reading(tiff.path, "TIFF"):
            scheme = scheme_of(page)
            _, depth, self.height, self.width, _ = page.shaped
            if depth != 1 or 0 in page.shaped:
                size = f"{self.width} × {self.height} pixels"
                what = f"{depth} slices in one page" if self.height * self.width else size
                raise InputError(f"{tiff.path}: has {what}, which cannot be shown")
            self._convert = scheme.converter(tiff.path)
            declared = page.tags.valueof(_NODATA, ref.levels[0].tags.valueof(_NODATA)) or declared_beside(tiff.path)
            # GDAL means no data where it leaves tiles out of a file that has a value for it.
            fill = nodata_value(None, declared, np.dtype(page.dtype)) or 0
            self._samples = _samples(tiff, ref, page, options, None if scheme.needs_gdal else fill)
            options.budget.check(tiff.path, Cost.PIXELS, self.height * self.width)
            self._nodata = nodata_value(options.nodata, declared, np.dtype(page.dtype))
        self._counted = 1 if ref.sample is not None else scheme.stored_colours
        self.dtype, self.tint, self.notes = scheme.dtype, scheme.tint, scheme.notes
        self.block, self.stored = self._samples.block, self._samples.stored
        self.concurrent, self.copies = self._samples.concurrent, self._samples.copies
        self._background = options.background if self._samples.leaves_out else None
        self.paints = self._background in {"white", "black"}
        self.masked = self._nodata is not None or self._background == "transparent"
        self.layout = Layout(scheme.colours, scheme.alpha is not None or self.masked)

    def read(self, window: Window) -> Pixels:
        """The converted pixels of a window."""
        with reading(self._path, "TIFF"):
            stored, left_out = self._samples.read(window)
            if self._sample is not None:
                stored = stored[..., self._sample : self._sample + 1]
            pixels = self._convert(stored)
            if self._nodata is not None:
                pixels = hidden(pixels, has_no_data(stored[..., : self._counted], self._nodata))
            if self._background is not None and left_out is not None:
                pixels = self._on_background(pixels, left_out)
            return pixels

    def _on_background(self, pixels: Pixels, left_out: NDArray[np.bool_]) -> Pixels:
        """Pixels with what the file leaves out as it is asked for."""
        if self._background == "transparent":
            return hidden(pixels, left_out)
        pixels = pixels.copy()
        white = np.inf if self.dtype.kind == "f" else full(self.dtype)
        black = -np.inf if self.dtype.kind == "f" else np.iinfo(self.dtype).min
        pixels[left_out, : self.layout.colours] = white if self._background == "white" else black
        pixels[left_out, self.layout.colours :] = full(self.dtype)
        return pixels


class Masked:
    """A plane that holds data only where another one of its size is not 0."""

    masked, stored = True, False

    def __init__(self, plane: TiffPlane, mask: TiffPlane) -> None:
        self._plane, self._mask = plane, mask
        self.height, self.width, self.block = plane.height, plane.width, plane.block
        self.layout, self.dtype, self.tint = plane.layout.with_alpha, plane.dtype, plane.tint
        self.concurrent, self.copies = plane.concurrent and mask.concurrent, plane.copies + 1
        self.paints = plane.paints

    def read(self, window: Window) -> Pixels:
        """The pixels, transparent where the mask is 0."""
        return hidden(self._plane.read(window), self._mask.read(window)[..., 0] == 0)


def _samples(tiff: Tiff, ref: PlaneRef, page: TiffPage, options: PixelOptions, fill: float | None) -> Samples:
    """How the stored samples of a page are read; ``fill`` is what tiles left out hold, None where GDAL must read it."""
    # A lone strip at byte 0 is one that the file leaves out.
    stored = page.is_final and page.dataoffsets[0] > 0
    if ref.offset and not stored:
        raise InputError(f"{tiff.path}: holds many planes behind one compressed page, which cannot be read")
    if page.compression == OLD_JPEG and not begins_as_jpeg(page):
        raise InputError(
            f"{tiff.path}: is compressed by old-style JPEG, whose tables lie outside its strips or tiles; open it "
            "elsewhere, such as with Pillow, and save it anew"
        )
    if fill is None:
        return GdalSamples(tiff, page, options)
    if stored:
        return StoredSamples(tiff, page, ref.offset)
    decode = decoder_of(page)
    return SegmentSamples(tiff, page, options, decode, fill) if decode else GdalSamples(tiff, page, options)
