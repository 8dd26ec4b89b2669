"""The samples of a TIFF page as they are stored, by windows: raw rows of the file, or compressed strips and tiles."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tifffile import COMPRESSION, TiffPage

from cartloader_image.errors import InputError
from cartloader_image.images.codestream import MOST_SCANS, scans, values_declared
from cartloader_image.images.damage import Damaged, Segments
from cartloader_image.images.photometric import JPEG, JPEG_2000, MINISBLACK, SEPARATE
from cartloader_image.images.plane import COPIES
from cartloader_image.images.strict import telling
from cartloader_image.images.tiff import Tiff
from cartloader_image.layout import Pixels
from cartloader_image.params import PixelOptions
from cartloader_image.window import Window

BLOCK_BYTES = 4 << 20
"""About how many decoded bytes a block of strips has: enough to keep a thread busy, small against memory."""
_SMALL_SIDE = 256
"""Pixels across of a tile below which hardly any time goes into the tile itself."""
SEGMENT_BYTES = 256 << 20
"""A compressed strip or tile that decodes to more than this needs ``--high-memory``."""
_SMALL = 1 << 20
"""Values that a codestream may say it has, whatever the strip or tile: writers pad small ones."""
_CODECS = {int(codec): codec.name for codec in COMPRESSION}
Decoder = Callable[..., Any]


class Samples(Protocol):
    """The samples of a page; see `cartloader_image.images.plane.Plane` for what the attributes say."""

    block: tuple[int, int]
    concurrent: bool
    stored: bool
    copies: int
    leaves_out: bool
    """Whether the file leaves out strips or tiles."""

    def read(self, window: Window) -> tuple[Pixels, NDArray[np.bool_] | None]:
        """Samples ``(rows, columns, samples)``, and which pixels ``(rows, columns)`` the file leaves out, if any.

        Raises:
            InputError: the file is damaged there.
        """


def codec_name(page: TiffPage) -> str:
    """The compression of a page for people."""
    return str(_CODECS.get(page.compression, page.compression))


def check_segment_size(path: Path, size: int, options: PixelOptions) -> None:
    """Make sure that a compressed piece of so many bytes may be decoded.

    Raises:
        InputError: it is larger than what is taken without ``--high-memory``.
    """
    if size > SEGMENT_BYTES and not options.high_memory:
        raise InputError(
            f"{path}: stores its pixels in compressed pieces of {size >> 20:,} MB each; "
            "add --high-memory to allow for them"
        )


def decoder_of(page: TiffPage) -> Decoder | None:
    """What decodes the strips or tiles of a page; None where tifffile has nothing for them.

    imagecodecs is thread-safe, tifffile's building of the decoder on first use is not.
    """
    if page.bitspersample == 24 and page.parent.byteorder == ">":
        return None  # tifffile puts the three bytes a byte too high
    kind = page.photometric
    if page.compression in JPEG and page.planarconfig == SEPARATE:
        page.photometric = MINISBLACK  # a separate plane is grey, whatever all of them are together
    try:
        decode: Decoder = page.decode
        decode(None, 0)
    except ValueError:
        return None
    finally:
        page.photometric = kind
    return decode


def begins_as_jpeg(page: TiffPage) -> bool:
    """Whether the first strip or tile that a page holds is a JPEG by itself, without the tables of old-style JPEG."""
    file = page.parent.filehandle
    with file.lock:
        file.seek(next(filter(None, page.dataoffsets), 0))
        return bool(file.read(2) == b"\xff\xd8")


def _check_extent(tiff: Tiff, offset: int, size: int) -> None:
    if offset < 0 or size < 0:
        raise InputError(f"{tiff.path}: is damaged; it lists pixels at byte {offset:,}, {size:,} bytes long")
    if offset + size > tiff.size:
        raise InputError(f"{tiff.path}: is cut off; it ends before byte {offset + size:,}")


def _bytes(tiff: Tiff, offset: int, size: int) -> bytes:
    _check_extent(tiff, offset, size)  # before memory for it is taken
    parts = []
    while size > 0:
        try:
            part = os.pread(tiff.descriptor, size, offset)
        except OSError as error:
            raise InputError(f"{tiff.path}: cannot be read at byte {offset:,} ({error.strerror})") from error
        if not part:
            raise InputError(f"{tiff.path}: was cut off while it was read")
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return b"".join(parts)


class StoredSamples:
    """Uncompressed samples: one run of rows per separate sample, straight from the file."""

    concurrent, stored, copies, leaves_out = True, True, COPIES, False

    def __init__(self, tiff: Tiff, page: TiffPage, offset: int) -> None:
        """``offset`` is that of the plane in the page's data.

        Raises:
            InputError: the file ends before the last row.
        """
        self._planar, _, self._height, self._width, self._contiguous = page.shaped
        self._tiff, self._start = tiff, page.dataoffsets[0] + offset
        self._dtype = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
        self._row_bytes = self._width * self._contiguous * self._dtype.itemsize
        # A damaged size is found out before anything of that size is made.
        _check_extent(tiff, self._start, self._planar * self._height * self._row_bytes)
        self.block = (min(max(BLOCK_BYTES // self._row_bytes, 1), self._height), self._width)

    def read(self, window: Window) -> tuple[Pixels, None]:
        """The samples of a window."""
        rows = window.row1 - window.row0
        planes = []
        for plane in range(self._planar):
            start = self._start + (plane * self._height + window.row0) * self._row_bytes
            data = _bytes(self._tiff, start, rows * self._row_bytes)
            pixels = np.frombuffer(data, self._dtype).reshape(rows, self._width, self._contiguous)
            planes.append(pixels[:, window.column0 : window.column1])
        return (np.concatenate(planes, axis=2) if len(planes) > 1 else planes[0]), None


class SegmentSamples:
    """Compressed strips or tiles, decoded by tifffile."""

    concurrent, stored = True, False

    def __init__(self, tiff: Tiff, page: TiffPage, options: PixelOptions, decode: Decoder, fill: float) -> None:
        """Look at the list of strips or tiles; ``fill`` is the value of samples that the file leaves out.

        Raises:
            InputError: it cannot be true, or one of them is too large.
        """
        self._tiff, self._page, self._fill = tiff, page, fill
        self._planar, _, self._height, self._width, self._contiguous = page.shaped
        self._name = "tile" if page.is_tiled else "strip"
        rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, self._width)
        if min(rows, columns) < 1:
            raise InputError(f"{tiff.path}: is damaged; its {self._name}s are {columns} × {rows} pixels")
        self._segment = (rows if page.is_tiled else min(rows, self._height), columns)
        size = (self._height, self._width)
        self._segments = Segments(tiff.path, tiff.damage, self._name, size, self._segment, self._planar)
        self._keep = options.damaged == "keep"
        # Of what nothing can be made, that is kept, nothing is shown either.
        self.leaves_out = self._check_list() or self._keep
        self._size = math.prod(self._segment) * self._contiguous * np.dtype(page.dtype).itemsize
        check_segment_size(tiff.path, self._size, options)
        self._most = max(2 * math.prod(self._segment) * self._contiguous, _SMALL)
        # Whole rows of strips or of small tiles, or a part of one: in the order of their numbers.
        grid, at_once = self._segments.grid, max(BLOCK_BYTES // self._size, 1)
        across = min(grid.column1, at_once) if columns < _SMALL_SIDE else 1
        down = max(at_once // across, 1) if across == grid.column1 else 1
        self.block = (min(self._segment[0] * down, self._height), min(columns * across, self._width))
        self._decode = telling(page, decode)
        # OpenJPEG works in 32 bits a sample.
        self.copies = COPIES + 4 if page.compression in JPEG_2000 else COPIES

    def _check_list(self) -> bool:
        """Whether some segments are left out; all others must lie inside the file."""
        count, (offsets, sizes) = self._segments.count, (self._page.dataoffsets, self._page.databytecounts)
        if min(len(offsets), len(sizes)) < count:
            listed = min(len(offsets), len(sizes))
            raise InputError(f"{self._tiff.path}: is damaged; it lists just {listed} {self._name}s")
        there = [(offset, size) for offset, size in zip(offsets[:count], sizes[:count], strict=True) if offset and size]
        for offset, size in (min(there), max(there, key=sum)) if there else ():
            _check_extent(self._tiff, offset, size)
        return len(there) < count

    def read(self, window: Window) -> tuple[Pixels, NDArray[np.bool_] | None]:
        """The samples of a window."""
        places = list(window.cells(*self._segment).places())
        if len(places) == 1 and self._planar == 1 and not self.leaves_out:  # spares the memory of a copy
            ((row, column),) = places
            segment = self._segment_at(0, row, column)
            assert segment is not None, "none is left out"
            whole = Window.cell(row, column, *self._segment)
            return segment[window.intersect(whole).within(whole)], None
        result = np.full((*window.shape, self._planar * self._contiguous), self._fill, self._page.dtype)
        left_out = np.zeros(window.shape, bool) if self.leaves_out else None
        for row, column in places:
            whole = Window.cell(row, column, *self._segment)
            part = whole.intersect(window)
            for plane in range(self._planar):
                segment = self._segment_at(plane, row, column)
                if segment is not None:
                    bands = slice(plane * self._contiguous, (plane + 1) * self._contiguous)
                    result[(*part.within(window), bands)] = segment[part.within(whole)]
                elif left_out is not None:
                    left_out[part.within(window)] = True
        return result, left_out

    def _segment_at(self, plane: int, row: int, column: int) -> Pixels | None:
        """One decoded strip or tile, or None where the file leaves it out or nothing can be made of it."""
        index = (plane * self._segments.grid.row1 + row) * self._segments.grid.column1 + column
        try:
            return self._decoded(index)
        except Damaged as damaged:
            if not self._keep:
                why = f"{codec_name(self._page)}: {damaged.why}"
                raise self._segments.refusal(index, why, self._size, self._is_damaged) from damaged
            self._segments.keep(index)
            return damaged.pixels

    def _decoded(self, index: int) -> Pixels | None:
        """A strip or tile by its number; None where the file leaves it out.

        Raises:
            Damaged: it is.
        """
        page = self._page
        offset, size = page.dataoffsets[index], page.databytecounts[index]
        if not offset or not size:
            return None
        data = _bytes(self._tiff, offset, size)
        if values_declared(data) > self._most:
            pixels = f"{self._segment[1]} × {self._segment[0]} pixels of a {self._name}"
            raise Damaged(f"it says that it holds far more than the {pixels}")
        if scans(data) > MOST_SCANS:
            raise Damaged(f"it has more than {MOST_SCANS} scans")
        try:
            decoded = self._decode(data, index)
        except (ImportError, NotImplementedError) as error:
            why = " ".join(str(error).split())
            raise InputError(
                f"{self._tiff.path}: cannot decode {self._name} {index} ({codec_name(page)}: {why})"
            ) from error
        wanted = (*self._segments.there(index).shape, self._contiguous)
        if decoded.ndim != 3 or any(found < least for found, least in zip(decoded.shape, wanted, strict=True)):
            raise Damaged(f"it holds just {' × '.join(map(str, decoded.shape))} values", self._padded(decoded, wanted))
        return decoded

    def _padded(self, decoded: Pixels, wanted: tuple[int, ...]) -> Pixels | None:
        """What there is of a strip or tile, the rest as what is left out."""
        if decoded.ndim != 3 or decoded.shape[2] != self._contiguous:
            return None
        padded = np.full(wanted, self._fill, self._page.dtype)
        rows, columns = (min(edges) for edges in zip(decoded.shape[:2], wanted[:2], strict=True))
        padded[:rows, :columns] = decoded[:rows, :columns]
        return padded

    def _is_damaged(self, index: int) -> bool:
        try:
            self._decoded(index)
        except Damaged:
            return True
        return False
