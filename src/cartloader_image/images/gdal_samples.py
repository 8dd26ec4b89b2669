"""The samples of a TIFF page as GDAL decodes them, where tifffile has no decoder: whole rows of strips or tiles."""

from __future__ import annotations

import threading

import numpy as np
from tifffile import TiffPage

from cartloader_image.errors import InputError
from cartloader_image.images.plane import COPIES
from cartloader_image.images.samples import BLOCK_BYTES, check_segment_size, codec_name
from cartloader_image.images.tiff import Tiff
from cartloader_image.layout import Pixels
from cartloader_image.params import PixelOptions
from cartloader_image.window import Window


class GdalSamples:
    """A page that GDAL reads; subsampled YCbCr comes out as RGB."""

    concurrent, stored, copies, leaves_out = False, False, COPIES + 1, False

    def __init__(self, tiff: Tiff, page: TiffPage, options: PixelOptions) -> None:
        """Open the page.

        Raises:
            InputError: GDAL cannot read it either.
        """
        from cartloader_image.images.picture import open_dataset  # noqa: PLC0415  (0.3 s that few files need)

        self._tiff, self._lock = tiff, threading.Lock()
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
        check_segment_size(tiff.path, rows * columns * row_bytes, options)
        strips = max(BLOCK_BYTES // max(rows * width * row_bytes, 1), 1)
        self.block = (min(rows * strips, height), width)

    def read(self, window: Window) -> tuple[Pixels, None]:
        """The samples of a window."""
        try:
            with self._lock:
                return np.moveaxis(self._dataset.read(window=window.ranges), 0, -1), None
        except MemoryError:
            raise
        except Exception as error:
            why = str(error.__cause__ or error).rpartition(": ")[2]
            raise InputError(
                f"{self._tiff.path}: is damaged or cut off near row {window.row0:,} ({self._codec}: {why})"
            ) from error
