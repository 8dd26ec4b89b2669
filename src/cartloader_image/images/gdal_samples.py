"""The samples of a TIFF page as GDAL decodes them, where tifffile has no decoder: whole rows of strips or tiles."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffPage

from cartloader_image.errors import InputError
from cartloader_image.images.damage import Damaged, Segments
from cartloader_image.images.plane import COPIES
from cartloader_image.images.samples import BLOCK_BYTES, check_segment_size, codec_name
from cartloader_image.images.tiff import Tiff
from cartloader_image.layout import Pixels
from cartloader_image.params import PixelOptions
from cartloader_image.window import Window


class GdalSamples:
    """A page that GDAL reads; subsampled YCbCr comes out as RGB."""

    concurrent, stored, copies = False, False, COPIES + 1

    def __init__(self, tiff: Tiff, page: TiffPage, options: PixelOptions) -> None:
        """Open the page.

        Raises:
            InputError: GDAL cannot read it either.
        """
        from cartloader_image.images.picture import open_dataset  # noqa: PLC0415  (0.3 s that few files need)

        self._lock = threading.Lock()
        self._codec = codec_name(page)
        try:
            self._dataset = tiff.opened.enter_context(
                open_dataset(tiff.path, f"GTIFF_DIR:off:{page.offset}:{tiff.path}")
            )
        except InputError as error:
            raise InputError(
                f"{tiff.path}: its pixels ({self._codec}, {page.bitspersample} bits, photometric interpretation "
                f"{int(page.photometric)}) cannot be decoded"
            ) from error
        height, width = page.imagelength, page.imagewidth
        if (self._dataset.height, self._dataset.width) != (height, width):
            raise InputError(f"{tiff.path}: its size cannot be told")
        rows, columns = self._dataset.block_shapes[0]
        row_bytes = self._dataset.count * np.dtype(self._dataset.dtypes[0]).itemsize
        self._size = rows * columns * row_bytes
        check_segment_size(tiff.path, self._size, options)
        strips = max(BLOCK_BYTES // max(rows * width * row_bytes, 1), 1)
        self.block = (min(rows * strips, height), width)
        name = "tile" if page.is_tiled else "strip"
        self._segments = Segments(tiff.path, tiff.damage, name, (height, width), (rows, columns))
        self.leaves_out = self._keep = options.damaged == "keep"

    def read(self, window: Window) -> tuple[Pixels, NDArray[np.bool_] | None]:
        """The samples of a window."""
        left_out = np.zeros(window.shape, bool) if self._keep else None
        try:
            return self._pixels(window), left_out
        except Damaged:
            pixels = np.zeros((*window.shape, self._dataset.count), self._dataset.dtypes[0])
        for index in self._segments.touched(window):
            part = self._segments.there(index).intersect(window)
            try:
                pixels[part.within(window)] = self._pixels(part)
            except Damaged as damaged:
                if left_out is None:
                    raise self._segments.refusal(index, damaged.why, self._size, self._is_damaged) from damaged
                left_out[part.within(window)] = True
                self._segments.keep(index)
        return pixels, left_out

    def _pixels(self, window: Window) -> Pixels:
        """What GDAL reads.

        Raises:
            Damaged: it does not.
        """
        try:
            with self._lock:
                return np.moveaxis(self._dataset.read(window=window.ranges), 0, -1)
        except MemoryError:
            raise
        except Exception as error:
            raise Damaged(f"{self._codec}: {str(error.__cause__ or error).rpartition(': ')[2]}") from error

    def _is_damaged(self, index: int) -> bool:
        try:
            self._pixels(self._segments.there(index))
        except Damaged:
            return True
        return False
