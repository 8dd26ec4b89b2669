"""TIFF and OME-TIFF: which planes a file holds, and reading one of them block by block.

tifffile parses the file and decodes its strips and tiles (by imagecodecs); which page is which plane of an OME-TIFF
is decided here from the OME-XML, so that the missing siblings of a multi-file set do not matter.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import tifffile
from tifffile import COMPRESSION, TiffPage

from cartloader.errors import CartloaderError, InputError
from cartloader.images.ome import OmeImage, is_ome, read_ome
from cartloader.images.photometric import Scheme, scheme_of
from cartloader.images.plane import COPIES, Pixels, Window

# tifffile logs what it finds odd; a user gets our sentence, or a picture.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

BLOCK_BYTES = 4 << 20
"""About how many decoded bytes a block of strips has: enough to keep a thread busy, small against memory."""
_CODECS = {int(codec): codec.name for codec in COMPRESSION}
_JPEG_2000 = {33003, 33004, 33005, 34712}
SEGMENT_BYTES = 256 << 20
"""A compressed strip or tile that decodes to more than this needs ``--high-memory``."""


@dataclass(frozen=True, eq=False)
class PlaneRef:
    """One plane of a series."""

    label: str
    """Its coordinates for people, such as ``z=3, DAPI``."""
    find: Callable[[], tuple[TiffPage, ...]]
    """Parses the pages that hold the plane, finest level first: a file of 10,000 planes has 10,000 pages."""
    offset: int = 0
    """Bytes to skip from the start of the page's data, where many planes lie behind one page."""
    sample: int | None = None
    """The one sample of the page that is this plane, where each is a channel of its own."""
    z: int = 0
    c: int = 0
    t: int = 0

    @cached_property
    def levels(self) -> tuple[TiffPage, ...]:
        """The pages that hold the plane, finest level first.

        Raises:
            InputError: one of them cannot be parsed.
        """
        return self.find()


@dataclass(frozen=True)
class Series:
    """Planes of one size, and what OME says of them."""

    planes: tuple[PlaneRef, ...]
    channels: tuple[str, ...]
    """Channel names by index; empty texts where they have none."""
    ome: OmeImage | None = None


@dataclass(frozen=True)
class Tiff:
    """An open TIFF: its series, and its first page for what is said of the whole file."""

    path: Path
    first: TiffPage
    series: tuple[Series, ...]
    descriptor: int
    size: int
    """Bytes of the file."""


@contextmanager
def open_tiff(path: Path) -> Iterator[Tiff]:
    """Open a TIFF and list what it holds, reading no pixels.

    Raises:
        InputError: it cannot be opened or holds no picture.
        MetadataError: its OME-XML is broken.
    """
    with ExitStack() as stack:
        with _parsing(path):
            file = stack.enter_context(tifffile.TiffFile(path, is_ome=False))
            first = file.pages.first
            series = tuple(_ome_series(path, file)) or tuple(_plain_series(path, file))
        if not series:
            raise InputError(f"{path}: holds no picture")
        descriptor = os.open(path, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        yield Tiff(path, first, series, descriptor, os.fstat(descriptor).st_size)


@contextmanager
def _parsing(path: Path) -> Iterator[None]:
    """A damaged file makes tifffile raise exceptions of any kind."""
    try:
        yield
    except CartloaderError:
        raise
    except Exception as error:
        raise InputError(f"{path}: is no TIFF that can be read ({' '.join(str(error).split())})") from error


def _ome_series(path: Path, file: tifffile.TiffFile) -> Iterator[Series]:
    first = file.pages.first
    if not is_ome(first.description):
        return
    for image in read_ome(first.description, path, len(file.pages), first.samplesperpixel):
        samples = _samples(_page(file, image.planes[0].page))
        count = (max(plane.c for plane in image.planes) + 1) * len(samples)
        # Some writers list the samples of RGB as channels: their names mean nothing here.
        names = image.channels if image.samples == 1 or len(image.channels) <= count else ()
        names = (*names, *[""] * (count - len(names)))
        in_time = any(plane.t for plane in image.planes)
        planes = []
        for plane in image.planes:
            for index, sample in enumerate(samples):
                c = plane.c * len(samples) + index
                parts = [f"z={plane.z}"] if image.depth > 1 else []
                parts += [f"t={plane.t}"] if in_time else []
                parts += [names[c] or (f"channel {c}" if len(names) > 1 else "")]
                find = partial(_ome_levels, path, file, plane.page)
                planes.append(PlaneRef(", ".join(filter(None, parts)), find, 0, sample, plane.z, c, plane.t))
        yield Series(tuple(planes), names, image)


def _ome_levels(path: Path, file: tifffile.TiffFile, index: int) -> tuple[TiffPage, ...]:
    """A page and its SubIFDs, which are the lower levels."""
    with _parsing(path):
        page = _page(file, index)
        return page, *(sub.aspage() for sub in page.pages or () if sub is not None)


def _page(file: tifffile.TiffFile, index: int) -> TiffPage:
    return cast("TiffPage", file.pages[index]).aspage()


def _plain_series(path: Path, file: tifffile.TiffFile) -> Iterator[Series]:
    """The series that tifffile finds in files of all other kinds."""
    for found in file.series:
        pages: list[Any] = list(found.pages)
        if not pages or pages[0] is None:
            continue
        first = pages[0].aspage()
        # One page may stand for many planes, whose pixels follow one another behind it.
        behind = found.size // (first.size or 1) if len(pages) == 1 else len(pages)
        sizes = next((found.shape[:n] for n in range(len(found.shape)) if math.prod(found.shape[:n]) == behind), ())
        levels = [list(level.pages) for level in found.levels]
        samples = _samples(first)
        planes: list[PlaneRef] = []
        for index in range(behind):
            number = index if len(pages) > 1 else 0
            if pages[number] is None:
                continue
            where = {}
            if sizes:
                where = dict(zip(found.axes, map(int, np.unravel_index(index, sizes)), strict=False))
            find = partial(_plain_levels, path, [level[number] for level in levels if number < len(level)])
            offset = index * first.nbytes if len(pages) == 1 else 0
            for position, sample in enumerate(samples):
                parts = [f"{_AXES.get(axis, axis.lower())}={value}" for axis, value in where.items()]
                parts += [f"sample {sample}"] if sample is not None else []
                c = where.get("C", 0) * len(samples) + position
                planes.append(PlaneRef(", ".join(parts), find, offset, sample, where.get("Z", 0), c, where.get("T", 0)))
        if planes:
            yield Series(tuple(planes), ("",) * (1 + max(plane.c for plane in planes)))


def _plain_levels(path: Path, pages: list[Any]) -> tuple[TiffPage, ...]:
    with _parsing(path):
        return tuple(page.aspage() for page in pages if page is not None)


_AXES = {"C": "channel", "Q": "page", "I": "page"}


def _samples(page: TiffPage) -> list[int] | list[None]:
    """The samples of a page that are planes of their own, or a single None where they are one picture."""
    return list(range(page.samplesperpixel)) if scheme_of(page).separate else [None]


class TiffPlane:
    """One plane at one level, decoded strip by strip or tile by tile."""

    concurrent = True

    def __init__(self, tiff: Tiff, ref: PlaneRef, level: int, *, high_memory: bool = False) -> None:
        """Check that the plane can be shown.

        Raises:
            InputError: a layout, type or size that cannot be.
        """
        self._tiff, self._ref, self._page = tiff, ref, ref.levels[level]
        with _parsing(tiff.path):
            self._examine(self._page, high_memory=high_memory)

    def _examine(self, page: TiffPage, *, high_memory: bool) -> None:
        path = self._tiff.path
        scheme: Scheme = scheme_of(page)
        separate, depth, self.height, self.width, contiguous = page.shaped
        if depth != 1 or 0 in page.shaped:
            what = f"{depth} slices in one page" if self.height * self.width else f"{self.width} × {self.height} pixels"
            raise InputError(f"{path}: has {what}, which cannot be shown")
        self._convert = scheme.converter(path)
        self.colours, self.alpha, self.dtype = scheme.colours, scheme.alpha, scheme.dtype
        self._stored = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
        self._planar, self._contiguous = separate, contiguous
        rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, self.width)
        if min(rows, columns) < 1:
            raise InputError(f"{path}: is damaged; its {_segment_name(page)}s are {columns} × {rows} pixels")
        self._segment = (rows if page.is_tiled else min(rows, self.height), columns)
        self._grid = (math.ceil(self.height / self._segment[0]), math.ceil(self.width / columns))
        # A lone strip at byte 0 is one that the file leaves out.
        self.stored = page.is_final and page.dataoffsets[0] > 0
        if self._ref.offset and not self.stored:
            raise InputError(f"{path}: holds many planes behind one compressed page, which cannot be read")
        row_bytes = self.width * contiguous * self._stored.itemsize
        # A damaged size is found out before anything of that size is made.
        if self.stored:
            self._check_extent(page.dataoffsets[0] + self._ref.offset, separate * self.height * row_bytes)
            self.block = (min(max(BLOCK_BYTES // row_bytes, 1), self.height), self.width)
        else:
            listed = min(len(page.dataoffsets), len(page.databytecounts))
            if listed < separate * math.prod(self._grid):
                raise InputError(f"{path}: is damaged; it lists just {listed} {_segment_name(page)}s")
            size = math.prod(self._segment) * contiguous * self._stored.itemsize
            if size > SEGMENT_BYTES and not high_memory:
                raise InputError(
                    f"{path}: stores its pixels in compressed pieces of {size >> 20:,} MB each; "
                    "add --high-memory to allow for them"
                )
            strips = max(BLOCK_BYTES // size, 1) if columns >= self.width else 1
            self.block = (min(self._segment[0] * strips, self.height), min(columns, self.width))
        # imagecodecs is thread-safe, tifffile's building of the decoder on first use is not.
        self._decode = page.decode
        # OpenJPEG works in 32 bits a sample.
        self.copies = COPIES + 5 if page.compression in _JPEG_2000 else COPIES
        self._tables = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader} if _is_jpeg(page) else {}

    def read(self, window: Window) -> Pixels:
        """The converted pixels of a window."""
        with _parsing(self._tiff.path):
            stored = self._read_raw(window) if self.stored else self._read_segments(window)
            if self._ref.sample is not None:
                stored = stored[..., self._ref.sample : self._ref.sample + 1]
            return self._convert(stored)

    def _read_raw(self, window: Window) -> Pixels:
        """Rows straight from the file: the data of an uncompressed page are one run of rows per separate sample."""
        rows = window.row1 - window.row0
        row_bytes = self.width * self._contiguous * self._stored.itemsize
        planes = []
        for plane in range(self._planar):
            start = self._page.dataoffsets[0] + self._ref.offset + (plane * self.height + window.row0) * row_bytes
            data = self._bytes(start, rows * row_bytes)
            pixels = np.frombuffer(data, self._stored).reshape(rows, self.width, self._contiguous)
            planes.append(pixels[:, window.column0 : window.column1])
        return np.concatenate(planes, axis=2) if len(planes) > 1 else planes[0]

    def _read_segments(self, window: Window) -> Pixels:
        rows, columns = self._segment
        result = np.zeros((*window.shape, self._planar * self._contiguous), self._page.dtype)
        for row in range(window.row0 // rows, math.ceil(window.row1 / rows)):
            for column in range(window.column0 // columns, math.ceil(window.column1 / columns)):
                for plane in range(self._planar):
                    segment = self._segment_at(plane, row, column)
                    if segment is not None:
                        bands = slice(plane * self._contiguous, (plane + 1) * self._contiguous)
                        _paste(segment, row * rows, column * columns, result[..., bands], window)
        return result

    def _segment_at(self, plane: int, row: int, column: int) -> Pixels | None:
        """One decoded strip or tile, or None where the file leaves it out."""
        page = self._page
        index = (plane * self._grid[0] + row) * self._grid[1] + column
        offset, size = page.dataoffsets[index], page.databytecounts[index]
        if not offset or not size:
            return None
        data = self._bytes(offset, size)
        name, codec = _segment_name(page), _CODECS.get(page.compression, page.compression)
        try:
            segment, _, _ = self._decode(data, index, **self._tables)
            decoded: Pixels = np.asarray(segment)[0]
        except Exception as error:
            why = " ".join(str(error).split())
            raise InputError(f"{self._tiff.path}: cannot decode {name} {index} ({codec}: {why})") from error
        rows, columns = self._segment
        wanted = (min(rows, self.height - row * rows), min(columns, self.width - column * columns), self._contiguous)
        if any(found < least for found, least in zip(decoded.shape, wanted, strict=True)):
            found = " × ".join(map(str, decoded.shape))
            raise InputError(f"{self._tiff.path}: is damaged; its {name} {index} ({codec}) holds just {found} values")
        return decoded

    def _check_extent(self, offset: int, size: int) -> None:
        if offset < 0 or size < 0:
            raise InputError(f"{self._tiff.path}: is damaged; it lists pixels at byte {offset:,}, {size:,} bytes long")
        if offset + size > self._tiff.size:
            raise InputError(f"{self._tiff.path}: is cut off; it ends before byte {offset + size:,}")

    def _bytes(self, offset: int, size: int) -> bytes:
        self._check_extent(offset, size)  # before memory for it is taken
        parts = []
        while size > 0:
            part = os.pread(self._tiff.descriptor, size, offset)
            if not part:
                raise InputError(f"{self._tiff.path}: was cut off while it was read")
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return b"".join(parts)


def _is_jpeg(page: TiffPage) -> bool:
    """Whether the codec takes JPEG tables from the page."""
    return page.compression in {6, 7, 34892, 33007}


def _segment_name(page: TiffPage) -> str:
    return "tile" if page.is_tiled else "strip"


def _paste(segment: Pixels, top: int, left: int, result: Pixels, window: Window) -> None:
    """Copy what a segment and a window have in common."""
    bottom, right = min(top + segment.shape[0], window.row1), min(left + segment.shape[1], window.column1)
    row, column = max(top, window.row0), max(left, window.column0)
    result[row - window.row0 : bottom - window.row0, column - window.column0 : right - window.column0] = segment[
        row - top : bottom - top, column - left : right - left
    ]
