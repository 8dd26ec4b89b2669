"""PNG, JPEG and whatever else GDAL opens: one picture, read row by row from the top."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window as GdalWindow

from cartloader.crs import crs_text
from cartloader.errors import InputError
from cartloader.images.plane import COPIES, Pixels, Window

# GDAL's own log goes nowhere: what matters comes as an exception.
logging.getLogger("rasterio").setLevel(logging.CRITICAL)

STRIP_ROWS = 256
_GDAL_OPTIONS = {
    "GDAL_CACHEMAX": 64,  # MB
    # Decode line by line: bounded memory, and a damaged file is an error instead of black rows.
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO",
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES",
    "GDAL_DISABLE_READDIR_ON_OPEN": "FALSE",  # world files lie beside the picture
}


@contextmanager
def open_dataset(path: Path) -> Iterator[DatasetReader]:
    """A file as GDAL opens it, set up to fail loudly and to use little memory.

    Raises:
        InputError: GDAL cannot open it.
    """
    import warnings  # noqa: PLC0415  (used here alone)

    with rasterio.Env(**_GDAL_OPTIONS), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            dataset = rasterio.open(path)
        except RasterioIOError as error:
            raise InputError(f"{path}: is no picture that can be read; TIFF, PNG and JPEG are") from error
        with dataset:
            yield dataset


def georeference_of(dataset: DatasetReader) -> tuple[Affine, str | None] | None:
    """Pixel → map and the CRS as text, where the file or a world file beside it has them."""
    if dataset.transform.is_identity:
        return None
    return dataset.transform, crs_text(dataset.crs)


class PicturePlane:
    """The only plane of a PNG, JPEG or the like."""

    concurrent = False
    stored, copies = False, COPIES

    def __init__(self, path: Path, dataset: DatasetReader) -> None:
        """Find out what the bands mean.

        Raises:
            InputError: bands of which no picture can be made.
        """
        self._path, self._dataset = path, dataset
        self.height, self.width = dataset.height, dataset.width
        self.block = (STRIP_ROWS, self.width)
        self._table = _colour_table(dataset)
        colour = [band for band in dataset.colorinterp if band != ColorInterp.alpha]
        self._keyed = MaskFlags.nodata in dataset.mask_flag_enums[0]
        self.alpha = self._keyed or dataset.colorinterp[-1] == ColorInterp.alpha
        stored = np.dtype(dataset.dtypes[0])
        if self._table is not None:
            self.colours, self.alpha, self.dtype = 3, self._table.shape[1] == 4, np.dtype(np.uint8)
        elif len(colour) in {1, 3} and stored.kind in "uif":
            self.colours, self.dtype = len(colour), stored
        else:
            raise InputError(f"{path}: has {dataset.count} bands of {stored}, of which no picture can be made")
        bits = int(dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8))
        self._scale = 255 // ((1 << bits) - 1) if bits < 8 else 1

    def read(self, window: Window) -> Pixels:
        """The pixels of a window; from the top, as GDAL starts again at the first row for any other order."""
        box = GdalWindow(window.column0, window.row0, window.shape[1], window.shape[0])
        try:
            bands: NDArray[Any] = np.moveaxis(self._dataset.read(window=box), 0, -1)
        except RasterioIOError as error:
            why = str(error.__cause__ or error).rpartition(": ")[2]
            raise InputError(f"{self._path}: is damaged or cut off near row {window.row0:,} ({why})") from error
        if self._table is not None:
            expanded: Pixels = self._table[bands[..., 0]]
            return expanded
        if self._keyed:
            key = np.array(self._dataset.nodatavals[: self.colours])
            top = np.iinfo(self.dtype).max // self._scale if self.dtype.kind in "iu" else 1
            opaque = (bands[..., : self.colours] != key).any(axis=-1, keepdims=True)
            bands = np.concatenate([bands[..., : self.colours], opaque * self.dtype.type(top)], axis=-1)
        if self._scale > 1:
            bands *= self.dtype.type(self._scale)
        return bands


def _colour_table(dataset: DatasetReader) -> NDArray[np.uint8] | None:
    """RGB, or RGBA where an entry is transparent, by palette index."""
    if dataset.colorinterp[0] != ColorInterp.palette:
        return None
    table = np.zeros((256, 4), np.uint8)
    for index, entry in dataset.colormap(1).items():
        table[index] = entry
    used = table[: len(dataset.colormap(1))]
    return table if (used[:, 3] < 255).any() else np.ascontiguousarray(table[:, :3])
