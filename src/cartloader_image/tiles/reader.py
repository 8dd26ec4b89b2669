"""Read a PMTiles archive of any program: what its header says, and the tiles of one zoom, in little memory.

Reference: the PMTiles v3 specification. Nothing is taken on trust: what a damaged archive says ends in one sentence.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cartloader_image.errors import ArchiveError
from cartloader_image.system.reading import open_file
from cartloader_image.tiles.directory import MOST_ENTRIES, Entries, parse_directory
from cartloader_image.tiles.header import HEADER_BYTES, Header
from cartloader_image.tiles.ids import FINEST, TILES, first_id
from cartloader_image.tiles.unpack import BROTLI, GZIP, ZSTD, compression_of, unpack

_MOST_DIRECTORY = 8 << 20
"""Bytes of a directory, uncompressed: some 30 for each of `MOST_ENTRIES`."""
_MOST_METADATA = 4 << 20
"""Bytes of metadata, uncompressed: as Python objects they can take 30 times as much."""
MOST_TILE = 64 << 20
"""Bytes of a tile, compressed or not: 4096² pixels in four bands, uncompressed."""
_MOST_WALKED = 12 * MOST_ENTRIES
"""Entries of all directories that are looked at for one question: 3 million, of which each costs a microsecond."""
_DEPTH = 4
"""Leaf directories below each other; the specification wants two at most."""
_KEPT = 4
"""Directories that are kept, as neighbours are mostly asked for one after the other: 8 MB each."""


class Share(NamedTuple):
    """A directory, and the ids for which readers look into it: from ``first`` up to ``end``."""

    first: int
    end: int
    entries: Entries


@dataclass(frozen=True)
class ArchiveReader:
    """An open archive."""

    path: Path
    descriptor: int
    header: Header
    _kept: dict[tuple[int, int], Entries] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def metadata(self) -> dict[str, Any]:
        """What it says of itself; nothing where that cannot be read, as no tile depends on it."""
        return {} if isinstance(self._metadata, ArchiveError) else self._metadata

    def read_metadata(self) -> dict[str, Any]:
        """What it says of itself.

        Raises:
            ArchiveError: that cannot be read.
        """
        if isinstance(self._metadata, ArchiveError):
            raise self._metadata
        return self._metadata

    @cached_property
    def _metadata(self) -> dict[str, Any] | ArchiveError:
        try:
            text = self._section(self.header.metadata_offset, self.header.metadata_length, _MOST_METADATA)
            document = json.loads(text)
        except ArchiveError as error:
            return error.with_traceback(None)
        except (ValueError, RecursionError) as error:
            return self.damaged(f"its metadata are no JSON ({error})")
        if not isinstance(document, dict):
            return self.damaged(f"its metadata are no JSON object but a {type(document).__name__}")
        return document

    def check_size(self) -> None:
        """Make sure that the file is as long as its sections ask for.

        Raises:
            ArchiveError: it is not.
        """
        if self.header.end > os.fstat(self.descriptor).st_size:
            raise ArchiveError(f"{self.path}: is cut off")

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
        return self._between(first_id(zoom), first_id(zoom + 1))

    def find(self, tile_id: int) -> tuple[int, int] | None:
        """Offset and length of a tile in the tile section; None where there is none.

        Raises:
            ArchiveError: the archive is damaged.
        """
        for entries in self._between(tile_id, tile_id + 1):
            return entries[0].offset, entries[0].length
        return None

    def _between(self, first: int, end: int) -> Iterator[Entries]:
        """The tiles from ``first`` up to ``end``; what a leaf says of more than its share is not followed."""
        for share in self.directories(first, end):
            entries, low, high = share.entries, max(first, share.first), min(end, share.end)
            here = np.flatnonzero((entries.runs > 0) & (entries.ids < high) & (entries.ids + entries.runs > low))
            if len(here):
                ids, ends = entries.ids[here], (entries.ids + entries.runs)[here]
                ids, runs = np.maximum(ids, low), np.minimum(ends, high) - np.maximum(ids, low)
                yield Entries(ids, entries.offsets[here], entries.lengths[here], runs)

    def directories(self, first: int = 0, end: int = TILES) -> Iterator[Share]:
        """The root and each leaf directory that can hold an id from ``first`` up to ``end``, in the order of ids.

        Raises:
            ArchiveError: one of them is damaged, or leaf directories hold each other.
        """
        root = Share(0, TILES, self._directory(self.header.root_offset, self.header.root_length))
        return self._below(root, first, end, _Walk(self.header.leaf_directory_length))

    def _below(self, share: Share, first: int, end: int, walk: _Walk, depth: int = 0) -> Iterator[Share]:
        yield share
        entries = share.entries
        walk.entries += len(entries)
        if walk.entries > _MOST_WALKED:
            raise ArchiveError(f"{self.path}: has more than {_MOST_WALKED:,} entries, which is more than are looked at")
        ends = np.r_[entries.ids[1:], TILES]
        for index in np.flatnonzero((entries.runs == 0) & (entries.ids < end) & (ends > first)):
            leaf = entries[int(index)]
            low, high = max(share.first, leaf.tile_id), min(share.end, int(ends[index]))
            if low >= high:
                continue
            walk.leaf_bytes -= leaf.length
            if depth == _DEPTH:
                raise self.damaged(f"its leaf directories lie more than {_DEPTH} deep")
            if walk.leaf_bytes < 0 or leaf.offset + leaf.length > self.header.leaf_directory_length:
                raise self.damaged("its leaf directories overlap, or go beyond their section")
            below = self._directory(self.header.leaf_directory_offset + leaf.offset, leaf.length)
            yield from self._below(Share(low, high, below), first, end, walk, depth + 1)

    def _directory(self, offset: int, length: int) -> Entries:
        """A directory, kept for a while."""
        key = offset, length
        with self._lock:
            if key not in self._kept:
                try:
                    self._kept[key] = parse_directory(self._section(offset, length, _MOST_DIRECTORY))
                except ValueError as error:
                    raise self.damaged(str(error)) from None
            directory = self._kept[key]
            while len(self._kept) > _KEPT:
                del self._kept[next(iter(self._kept))]
        return directory

    def tile(self, offset: int, length: int) -> bytes:
        """The bytes of a tile by its place in the tile section, uncompressed; safe from any thread.

        Raises:
            ArchiveError: the archive is cut off, or damaged there.
        """
        data = self.stored(offset, length)
        # Pictures are compressed already, and some writers say gzip all the same.
        found, told = compression_of(data), self.header.tile_compression
        packed = told if told in {BROTLI, ZSTD} else found
        return self._unpacked(data, GZIP if found == GZIP else packed, MOST_TILE)

    def stored(self, offset: int, length: int) -> bytes:
        """The bytes of a tile by its place in the tile section, as they are; safe from any thread.

        Raises:
            ArchiveError: the archive is cut off, or damaged there.
        """
        return self._read(self.header.tile_data_offset + offset, length, MOST_TILE)

    def _section(self, offset: int, length: int, most: int) -> bytes:
        return self._unpacked(self._read(offset, length, most), self.header.internal_compression, most)

    def _read(self, offset: int, length: int, most: int) -> bytes:
        if length > most:
            raise self.damaged(f"a part of {length:,} bytes is more than the {most >> 20} MB that one may have")
        try:
            data = os.pread(self.descriptor, length, offset) if offset < 1 << 62 else b""
        except OSError as error:
            raise ArchiveError(f"{self.path}: cannot be read at byte {offset:,} ({error.strerror})") from error
        if len(data) < length:
            raise ArchiveError(f"{self.path}: is cut off or damaged: no {length:,} bytes from byte {offset:,} on")
        return data

    def _unpacked(self, data: bytes, compression: int, most: int) -> bytes:
        try:
            return unpack(data, compression, most)
        except ValueError as error:
            raise self.damaged(f"a part {error}") from error

    def damaged(self, what: str) -> ArchiveError:
        """The error that says what is wrong with the archive."""
        return ArchiveError(f"{self.path}: is damaged: {what}")


@dataclass
class _Walk:
    """What a way through the directories may still cost, and has cost."""

    leaf_bytes: int
    """Bytes of leaf directories that were not read yet: those that lie beside each other are read once. More is a
    circle, or a small file that stands for a huge one."""
    entries: int = 0


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
