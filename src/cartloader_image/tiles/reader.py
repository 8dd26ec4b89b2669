"""Read a PMTiles archive of any program: what its header says, and the tiles of one zoom, in little memory.

Reference: the PMTiles v3 specification. Nothing is taken on trust: what a damaged archive says ends in one sentence.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from cartloader_image.errors import ArchiveError
from cartloader_image.system.reading import open_file
from cartloader_image.tiles.directory import Entries, parse_directory
from cartloader_image.tiles.header import HEADER_BYTES, Header

FINEST = 31
"""The finest zoom whose tile ids are whole numbers of 63 bits."""
_NONE, _GZIP, _BROTLI, _ZSTD = 1, 2, 3, 4
_MOST = 256 << 20
"""Bytes that a directory, the metadata or a tile may have; more is damage or a bomb."""
_DEPTH = 4
"""Leaf directories below each other; the specification wants two at most."""


def first_id(zoom: int) -> int:
    """The id of the first tile of a zoom: all those of the zooms above come before."""
    return int((4**zoom - 1) // 3)


@dataclass(frozen=True)
class ArchiveReader:
    """An open archive."""

    path: Path
    descriptor: int
    header: Header

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """What it says of itself; nothing where that cannot be read, as no tile depends on it."""
        try:
            document = json.loads(self._section(self.header.metadata_offset, self.header.metadata_length))
        except (ArchiveError, ValueError, RecursionError):
            return {}
        return document if isinstance(document, dict) else {}

    @cached_property
    def _root(self) -> Entries:
        return self._directory(self.header.root_offset, self.header.root_length)

    def zooms(self) -> Iterator[int]:
        """The zooms that have tiles, the coarsest first."""
        for zoom in range(FINEST + 1):
            if next(self.entries(zoom), None) is not None:
                yield zoom

    def entries(self, zoom: int) -> Iterator[Entries]:
        """The entries of a zoom, by piece of the directory, with their runs cut to the zoom.

        Raises:
            ArchiveError: the archive is damaged.
        """
        first, end = first_id(zoom), first_id(zoom + 1)
        for entries in self._pieces(self._root, first, end, _DEPTH):
            if len(entries):
                ids = np.maximum(entries.ids, first)
                runs = np.minimum(entries.ids + entries.runs, end) - ids
                yield Entries(ids, entries.offsets, entries.lengths, runs)

    def find(self, tile_id: int) -> tuple[int, int] | None:
        """Offset and length of a tile in the tile section; None where there is none.

        Raises:
            ArchiveError: the archive is damaged.
        """
        for entries in self._pieces(self._root, tile_id, tile_id + 1, _DEPTH):
            if len(entries):
                return entries[0].offset, entries[0].length
        return None

    def _pieces(self, entries: Entries, first: int, end: int, depth: int) -> Iterator[Entries]:
        """All tile entries that can hold an id from ``first`` up to ``end``; only the leaves that may are read."""
        is_leaf = entries.runs == 0
        here = ~is_leaf & (entries.ids < end) & (entries.ids + entries.runs > first)
        yield Entries(entries.ids[here], entries.offsets[here], entries.lengths[here], entries.runs[here])
        ends = np.r_[entries.ids[1:], end]
        for index in np.flatnonzero(is_leaf & (entries.ids < end) & (ends > first)):
            if not depth:
                raise ArchiveError(f"{self.path}: is damaged: its leaf directories lie more than {_DEPTH} deep")
            leaf = entries[int(index)]
            below = self._directory(self.header.leaf_directory_offset + leaf.offset, leaf.length)
            # A leaf that speaks of more than its share, or of itself, is not followed there.
            yield from self._pieces(below, max(first, leaf.tile_id), min(end, int(ends[index])), depth - 1)

    def tile(self, offset: int, length: int) -> bytes:
        """The bytes of a tile by its place in the tile section, uncompressed; safe from any thread.

        Raises:
            ArchiveError: the archive is cut off, or damaged there.
        """
        data = self._read(self.header.tile_data_offset + offset, length)
        # Pictures are compressed already, and some writers say gzip all the same.
        packed = _GZIP if data[:2] == b"\x1f\x8b" else self.header.tile_compression
        return self._unpacked(data, packed) if packed in {_BROTLI, _ZSTD} or data[:2] == b"\x1f\x8b" else data

    def _directory(self, offset: int, length: int) -> Entries:
        try:
            return parse_directory(self._section(offset, length))
        except ValueError as error:
            raise ArchiveError(f"{self.path}: is damaged: {error}") from None

    def _section(self, offset: int, length: int) -> bytes:
        return self._unpacked(self._read(offset, length), self.header.internal_compression)

    def _read(self, offset: int, length: int) -> bytes:
        possible = max(offset, length) < 1 << 62 and length <= _MOST
        try:
            data = os.pread(self.descriptor, length, offset) if possible else b""
        except OSError as error:
            raise ArchiveError(f"{self.path}: cannot be read at byte {offset:,} ({error.strerror})") from error
        if len(data) < length:
            raise ArchiveError(f"{self.path}: is cut off or damaged: no {length:,} bytes from byte {offset:,} on")
        return data

    def _unpacked(self, data: bytes, compression: int) -> bytes:
        if compression == _NONE or not data:
            return data
        if compression not in _UNPACK:
            raise ArchiveError(f"{self.path}: is compressed in a way that PMTiles v3 does not know ({compression})")
        try:
            return bytes(_UNPACK[compression](data))
        except Exception as error:  # whatever a decoder raises
            why = " ".join(str(error).split())
            raise ArchiveError(f"{self.path}: is damaged: a part cannot be uncompressed ({why})") from error


def _gunzip(data: bytes) -> bytes:
    unpack = zlib.decompressobj(wbits=31)
    unpacked = unpack.decompress(data, _MOST)
    if not unpack.eof:
        raise ValueError(f"it is cut off, or larger than {_MOST >> 20} MB")
    return unpacked


_UNPACK: dict[int, Callable[[bytes], bytes | bytearray]] = {
    _GZIP: _gunzip,
    _BROTLI: imagecodecs.brotli_decode,
    _ZSTD: imagecodecs.zstd_decode,
}


@contextmanager
def reading(path: Path) -> Iterator[ArchiveReader]:
    """Open an archive.

    Raises:
        ArchiveError: it cannot be read, or is no PMTiles archive of version 3.
    """
    try:
        file = open_file(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ArchiveError(f"{path}: cannot be read ({why}); a PMTiles archive is needed") from None
    with file:
        try:
            header = Header.parse(os.pread(file.fileno(), HEADER_BYTES, 0))
        except OSError as error:
            raise ArchiveError(f"{path}: cannot be read ({error.strerror}); a PMTiles archive is needed") from None
        except ValueError as error:
            raise ArchiveError(f"{path}: {error}") from None
        yield ArchiveReader(path, file.fileno(), header)
