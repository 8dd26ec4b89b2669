"""PNG, JPEG and whatever else GDAL opens: one picture, read row by row from the top."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError, RasterioIOError
from rasterio.io import DatasetReader, MemoryFile

from cartloader_image.budget import Cost
from cartloader_image.crs import LOCAL, crs_text
from cartloader_image.errors import InputError, reading
from cartloader_image.images.chunks import Jpeg, Png
from cartloader_image.images.colours import ramp_of
from cartloader_image.images.damage import KEEP
from cartloader_image.images.kinds import is_tiff, plain_kind
from cartloader_image.images.nodata import NONE, aux_text, has_no_data, nodata_value
from cartloader_image.images.plane import COPIES, hidden
from cartloader_image.images.samples import check_segment_size
from cartloader_image.layout import Layout, Pixels
from cartloader_image.logs import silenced
from cartloader_image.params import PixelOptions
from cartloader_image.system.gdal import environment
from cartloader_image.values import Rgb
from cartloader_image.window import Window

STRIP_ROWS = 256
_DRIVERS: dict[str | None, str] = {
    "PNG": "PNG", "JPEG": "JPEG", "JPEG 2000": "JP2OpenJPEG", "GIF": "GIF", "BMP": "BMP", "WebP": "WEBP",
}  # fmt: skip
"""The only ones of GDAL's drivers that open a picture, by its format: others read further files, or ask a network."""
_WHOLE = {"JP2OpenJPEG", "WEBP"}
"""Those that decode a whole picture, or as many tiles of it as a row crosses, at once."""
_GDAL_OPTIONS = {
    # Decode line by line: bounded memory, and a damaged file is an error instead of black rows.
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO",
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES",
    # How much may be decoded at once is settled here, by --high-memory.
    "GDAL_ALLOW_LARGE_LIBJPEG_MEM_ALLOC": "YES",
    "GDAL_DISABLE_READDIR_ON_OPEN": "FALSE",  # world files lie beside the picture
}


@contextmanager
def open_dataset(path: Path, inside: str | None = None) -> Iterator[DatasetReader]:
    """A file, or the dataset of this name in it, as GDAL opens it, set up to fail loudly and to use little memory.

    Raises:
        InputError: GDAL cannot open it.
    """
    import warnings  # noqa: PLC0415  (used here alone)

    with silenced(), environment(**_GDAL_OPTIONS), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            driver = "GTiff" if inside or is_tiff(path) else _DRIVERS[plain_kind(path)]
            dataset = rasterio.open(inside or path.absolute(), driver=driver)
        except KeyError:
            raise InputError(f"{path}: is no picture that can be read; TIFF, PNG and JPEG are") from None
        except (RasterioError, CRSError, CPLE_BaseError) as error:
            raise InputError(f"{path}: is no picture that can be read; TIFF, PNG and JPEG are") from error
        except UnicodeEncodeError:
            raise InputError(
                f"{ascii(str(path))[1:-1]}: its name is not in UTF-8, as GDAL needs it; rename it"
            ) from None
        try:
            with dataset:
                yield dataset
        except (RasterioError, CRSError, CPLE_BaseError) as error:  # any look at a damaged file may raise them
            raise InputError(f"{path}: is no picture that can be read ({' '.join(str(error).split())})") from error


def georeference_of(dataset: DatasetReader, *, declared: bool = False) -> tuple[Affine, str | None] | None:
    """Pixel → map and the CRS as text, where the file or a world file beside it has them.

    ``declared``: it is known that the file says where it lies; else GDAL's pixel of 1 at 0,0 means that it does not.
    """
    if dataset.transform.is_identity and not declared:
        return None
    text = crs_text(dataset.crs)
    if text and text.startswith(LOCAL):
        text = aux_text(Path(dataset.name), "SRS") or text
    return dataset.transform, text


class PicturePlane:
    """The only plane of a PNG, JPEG or the like."""

    concurrent = False
    stored, copies = False, COPIES

    def __init__(self, path: Path, dataset: DatasetReader, options: PixelOptions, opened: ExitStack) -> None:
        """Find out what the bands mean; ``opened`` closes what has to be opened beside the dataset.

        Raises:
            InputError: bands of which no picture can be made, or a file that is cut off.
            UsageError: ``--nodata`` is no value of its type.
        """
        self._path, self._dataset, self._opened = path, dataset, opened
        self._masks = dataset  # a mended copy knows nothing of the files beside the picture
        self.height, self.width = dataset.height, dataset.width
        self.block = (STRIP_ROWS, self.width)
        self._mended = False
        self._keep, self._complaint, self._lost_from = options.damaged == "keep", "", self.height
        self._lenient, self._ended = False, False
        self.notes: tuple[str, ...] = ()
        self.tint: Rgb | None = None
        with reading(path, "picture"):
            self._look(options)

    def _look(self, options: PixelOptions) -> None:
        path, dataset = self._path, self._dataset
        with suppress(Exception):
            _ = dataset.colorinterp  # the first look meets what is broken in EXIF data, which say nothing of pixels
        key, whole, held = None, dataset.driver in _WHOLE, 0
        if dataset.driver == "JPEG":
            jpeg = Jpeg.read(path)
            if jpeg.is_cut_off:
                raise InputError(f"{path}: is cut off; it ends before the end of its picture")
            whole, held = jpeg.is_progressive, 2  # bytes of a coefficient, all of which are kept until the last scan
            if mended := jpeg.without_stray_bytes():
                self._read_from(mended)
                self.notes = ("has stray bytes between its segments, which are left out",)
        if dataset.driver == "PNG":
            png = Png.read(path)
            key, whole = png.key, png.interlaced
        stored = np.dtype(dataset.dtypes[0])
        size = self.height * self.width
        options.budget.check(path, Cost.PIXELS, size)
        if whole:
            check_segment_size(path, size * dataset.count * max(stored.itemsize, held), options)
        bits = int(dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8 * stored.itemsize))
        self.stretch = 255 // ((1 << bits) - 1) if bits < 8 else 1
        colour = [band for band in dataset.colorinterp if band != ColorInterp.alpha]
        self._table = _colour_table(dataset)
        own_alpha = dataset.colorinterp[-1] == ColorInterp.alpha
        self._opacities = None
        if self._table is not None:
            self.tint = ramp_of(self._table[: len(dataset.colormap(1)), :3], bits)
            own_alpha = self._table.shape[1] == 4
            if self.tint:
                self._opacities, self._table = self._table[:, 3] if own_alpha else None, None
        self.dtype = np.dtype(np.uint8) if self._table is not None else stored
        colours = 3 if self._table is not None else len(colour)
        if colours not in {1, 3} or stored.kind not in "uif":
            raise InputError(f"{path}: has {dataset.count} bands of {stored}, of which no picture can be made")
        self._key = np.array(key[:colours]) if key else None
        flags = dataset.mask_flag_enums[0]
        declared = None if key or MaskFlags.nodata not in flags else dataset.nodata
        self._nodata = nodata_value(options.nodata, declared, stored)
        other = MaskFlags.alpha in flags or MaskFlags.nodata in flags or MaskFlags.all_valid in flags
        self._has_mask = not other and options.nodata != NONE
        self.masked = self._nodata is not None or self._has_mask
        self.layout = Layout(colours, own_alpha or self._key is not None or self.masked)

    def read(self, window: Window) -> Pixels:
        """The pixels of a window; from the top, as GDAL starts again at the first row for any other order."""
        with reading(self._path, "picture"):
            stored = self._bands(window)
            colours = stored[..., : 1 if self._table is not None else self.layout.colours]
            pixels = stored
            if self._table is not None:
                pixels = self._table[stored[..., 0]]
            elif self.stretch > 1:
                # alpha and keys follow below, in the range of eight bits
                pixels = stored * self.dtype.type(self.stretch)
            if self._opacities is not None:
                pixels = np.concatenate([pixels, self._opacities[stored]], axis=-1)
            if self._key is not None:
                pixels = hidden(pixels[..., : self.layout.colours], (colours == self._key).all(axis=-1))
            if self._nodata is not None:
                pixels = hidden(pixels, has_no_data(colours, self._nodata))
            if self._has_mask:
                pixels = hidden(pixels, self._masks.read_masks(1, window=window.ranges) == 0)
            return pixels

    def _bands(self, window: Window) -> Pixels:
        """The bands as they are stored."""
        if self._lenient:
            return self._kept(window)
        try:
            found: NDArray[Any] = np.moveaxis(self._dataset.read(window=window.ranges), 0, -1)
        except RasterioIOError as error:
            why = str(error.__cause__ or error).rpartition(": ")[2]
            mended = Jpeg.read(self._path).mended(why) if self._dataset.driver == "JPEG" else None
            if mended is None or self._mended:
                self._complain(f"near row {window.row0:,} ({why})", error)
                self._leniently()
                return self._kept(window)
            self._read_from(mended)
            return self._bands(window)
        if window.row1 == self.height and self._dataset.driver == "JPEG" and not self._ended:
            self._ended = True
            self._check_scan()
        return found

    def _check_scan(self) -> None:
        """Look whether the scan ends where its pixels do: GDAL stops at the last row, however that came about."""
        from cartloader_image.images.strict import corruption  # noqa: PLC0415  (what few pictures need)

        if why := corruption(Jpeg.read(self._path).data):
            self._complain(f"({why})")

    def _complain(self, what: str, error: Exception | None = None) -> None:
        """Refuse a damaged picture, or take note of it where it is kept."""
        if not self._keep:
            raise InputError(f"{self._path}: is damaged or cut off {what}; {KEEP}") from error
        self._complaint = f"is damaged {what}"

    def _leniently(self) -> None:
        """Go on from the first row with a decoder that only warns."""
        self._lenient = True
        self._opened.enter_context(environment(GDAL_ERROR_ON_LIBJPEG_WARNING="NO"))
        self._dataset = self._opened.enter_context(rasterio.open(self._dataset.name, driver=self._dataset.driver))

    def _kept(self, window: Window) -> Pixels:
        """The bands of a damaged picture as they are decoded, row by row; 0 from the first row that is not."""
        rows = np.zeros((*window.shape, self._dataset.count), self._dataset.dtypes[0])
        for row in range(window.row0, min(window.row1, self._lost_from)):
            try:
                line = self._dataset.read(window=Window(row, row + 1, window.column0, window.column1).ranges)
            except RasterioIOError:
                self._lost_from = row
            else:
                rows[row - window.row0] = np.moveaxis(line, 0, -1)[0]
        return rows

    def damage(self) -> tuple[str, ...]:
        """What is to be noted of damage that was kept, among the rows that were read so far."""
        if not self._complaint:
            return ()
        lost = self.height - self._lost_from
        return (f"{self._complaint}, and left as decoded" + (f"; its last {lost:,} rows are lost" if lost else ""),)

    def _read_from(self, data: bytes) -> None:
        """Go on with a mended copy of the file, which is the last one."""
        self._mended = True
        memory = self._opened.enter_context(MemoryFile(data))
        self._dataset = self._opened.enter_context(memory.open(driver="JPEG"))


def _colour_table(dataset: DatasetReader) -> NDArray[np.uint8] | None:
    """RGB, or RGBA where an entry is transparent, by palette index."""
    if dataset.colorinterp[0] != ColorInterp.palette:
        return None
    table = np.zeros((256, 4), np.uint8)
    for index, entry in dataset.colormap(1).items():
        table[index] = entry
    used = table[: len(dataset.colormap(1))]
    return table if (used[:, 3] < 255).any() else np.ascontiguousarray(table[:, :3])
