"""PMTiles: tiles of several zooms, spooled as they come, then joined in tile-id order and verified.

Reference: the PMTiles v3 specification. Directories and header are built by the ``pmtiles`` package.
"""

from __future__ import annotations

import gzip
import json
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Self, cast, overload

import numpy as np
import xxhash
from numpy.typing import NDArray
from PIL import Image
from pmtiles.tile import (
    Compression,
    Entry,
    HeaderDict,
    TileType,
    deserialize_directory,
    deserialize_header,
    serialize_header,
    tileid_to_zxy,
)
from pmtiles.writer import optimize_directories

from cartloader.errors import ArchiveError
from cartloader.files import read_all, write_all
from cartloader.parallel import in_order
from cartloader.tiles.grid import MapBox, lon_lat
from cartloader.tiles.pyramid import Tile

Numbers = NDArray[np.int64]

_HEADER_BYTES = 127
_ROOT_BYTES = 16384 - _HEADER_BYTES
"""Header and root directory lie within the first 16 kB, which readers fetch at once."""
_DIGEST = 16
_COPY_BYTES = 16 << 20
_AT_ONCE = 4096
"""Entries that exist as objects at one time."""
DECODED_TILES = 32
"""About how many tiles, spread over the archive, are decoded to verify it."""


class Entries(Sequence[Entry]):
    """The directory of an archive: what follows from four numbers per entry, kept as arrays (two million in 60 MB)."""

    def __init__(self, ids: Numbers, offsets: Numbers, lengths: Numbers, runs: Numbers) -> None:
        self.ids, self.offsets, self.lengths, self.runs = ids, offsets, lengths, runs

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """The entries of an iterable."""
        columns = [array("Q") for _ in range(4)]
        for entry in entries:
            row = (entry.tile_id, entry.offset, entry.length, entry.run_length)
            for column, value in zip(columns, row, strict=True):
                column.append(value)
        return cls(*(np.frombuffer(column, np.uint64).astype(np.int64) for column in columns))

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Entries: ...
    def __getitem__(self, index: int | slice) -> Entry | Entries:
        columns = (self.ids[index], self.offsets[index], self.lengths[index], self.runs[index])
        return Entries(*columns) if isinstance(index, slice) else Entry(*map(int, columns))

    def __iter__(self) -> Iterator[Entry]:
        for start in range(0, len(self), _AT_ONCE):
            some = self[start : start + _AT_ONCE]
            yield from map(Entry, *(column.tolist() for column in (some.ids, some.offsets, some.lengths, some.runs)))


@dataclass
class _Part:
    """The tiles of one zoom, in the order in which they came: id, place in the file, digest."""

    file: BinaryIO
    ids: array[int] = field(default_factory=lambda: array("Q"))
    starts: array[int] = field(default_factory=lambda: array("Q"))
    sizes: array[int] = field(default_factory=lambda: array("Q"))
    digests: bytearray = field(default_factory=bytearray)


class ArchiveWriter:
    """Collects tiles in scratch files, one per zoom, and joins them to an archive; it remembers 40 bytes of each."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._parts: dict[int, _Part] = {}

    def add(self, tile: Tile) -> None:
        """Add a tile; within a zoom, tiles come in the order of their ids."""
        part = self._parts.get(tile.zoom)
        if part is None:
            part = self._parts[tile.zoom] = _Part((self._scratch / f"tiles-{tile.zoom}").open("w+b"))
        digest = xxhash.xxh3_128_digest(tile.data)
        if part.digests[-_DIGEST:] == digest:  # whole runs of flat tiles take no space
            part.starts.append(part.starts[-1])
        else:
            part.starts.append(part.file.tell())
            part.file.write(tile.data)
        part.ids.append(tile.tile_id)
        part.sizes.append(len(tile.data))
        part.digests += digest

    def finish(self, path: Path, tile_type: TileType, box: MapBox, metadata: dict[str, Any], threads: int = 1) -> int:
        """Write the archive from its start to its end; returns the number of tiles that can be asked for.

        Raises:
            ArchiveError: there is no tile at all.
        """
        if not self._parts:
            raise ArchiveError(
                "the picture is transparent everywhere, so that it has no tiles; lower --transparent-below"
            )
        zooms = sorted(self._parts)
        addressed = sum(len(part.ids) for part in self._parts.values())
        entries, pieces, contents = self._directory()
        west, south, center, east, north = *lon_lat(box.left, box.bottom), _center(box), *lon_lat(box.right, box.top)
        bounds = (west, south, east, north)
        center_zoom = min(zooms[0] + 1, zooms[-1])  # the zoom at which the picture fits about one tile
        told = metadata | {
            "bounds": ",".join(f"{value:.9f}" for value in bounds),
            "center": f"{center[0]:.9f},{center[1]:.9f},{center_zoom}",
            "minzoom": zooms[0],
            "maxzoom": zooms[-1],
        }
        root, leaves, _ = optimize_directories(entries, _ROOT_BYTES)  # type: ignore[no-untyped-call]
        told_bytes = gzip.compress(json.dumps(told).encode(), mtime=0)
        sections = {"root": root, "metadata": told_bytes, "leaf_directory": leaves}
        header: dict[str, Any] = {
            "version": 3,
            "clustered": True,
            "internal_compression": Compression.GZIP,
            "tile_compression": Compression.NONE,
            "tile_type": tile_type,
            "min_zoom": zooms[0],
            "max_zoom": zooms[-1],
            "center_zoom": center_zoom,
            "center_lon_e7": round(center[0] * 1e7),
            "center_lat_e7": round(center[1] * 1e7),
            "addressed_tiles_count": addressed,
            "tile_entries_count": len(entries),
            "tile_contents_count": contents,
        }
        for name, value in zip(("min_lon_e7", "min_lat_e7", "max_lon_e7", "max_lat_e7"), bounds, strict=True):
            header[name] = round(value * 1e7)
        end = _HEADER_BYTES
        for name, section in sections.items():
            header[f"{name}_offset"], header[f"{name}_length"] = end, len(section)
            end += len(section)
        header["tile_data_offset"], header["tile_data_length"] = end, sum(size for _, _, size in pieces)
        for part in self._parts.values():
            part.file.flush()
        with path.open("wb") as file:
            file.write(serialize_header(cast("HeaderDict", header)))
            for section in sections.values():
                file.write(section)
            file.flush()
            copies = _copies(pieces, end)
            for _ in in_order(lambda it: _copy(self._parts[it[0]].file, it[1], it[2], file, it[3]), copies, threads):
                pass
        return addressed

    def close(self) -> None:
        """Close the scratch files."""
        for part in self._parts.values():
            part.file.close()

    def _directory(self) -> tuple[Entries, list[tuple[int, int, int]], int]:
        """Entries by tile id; the pieces ``(zoom, start, size)`` that make the tile section; number of contents."""
        parts = sorted(self._parts.items())
        zooms = np.repeat([zoom for zoom, _ in parts], [len(part.ids) for _, part in parts])
        ids, starts, sizes = (
            np.concatenate([np.frombuffer(getattr(part, name), np.uint64) for _, part in parts]).astype(np.int64)
            for name in ("ids", "starts", "sizes")
        )
        first = _first_equal(np.concatenate([np.frombuffer(part.digests, "<u8").reshape(-1, 2) for _, part in parts]))
        new = first == np.arange(len(first))
        offsets = (np.cumsum(sizes * new) - sizes)[first]
        run_starts = np.flatnonzero(
            np.r_[True, (np.diff(ids) != 1) | (np.diff(offsets) != 0)]  # a run: equal tiles, one id after the other
        )
        runs = np.diff(np.r_[run_starts, len(ids)])
        entries = Entries(ids[run_starts], offsets[run_starts], sizes[run_starts], runs)
        zooms, starts, sizes = zooms[new], starts[new], sizes[new]
        broken = (np.diff(zooms) != 0) | (starts[1:] != starts[:-1] + sizes[:-1])
        heads = np.flatnonzero(np.r_[True, broken])
        lengths = np.add.reduceat(sizes, heads)
        return (
            entries,
            list(zip(*(x.tolist() for x in (zooms[heads], starts[heads], lengths)), strict=True)),
            len(sizes),
        )


def _first_equal(digests: Numbers) -> Numbers:
    """For each row of ``(rows, 2)`` the index of the first one that is equal to it."""
    order = np.lexsort((digests[:, 1], digests[:, 0]))  # stable: equal ones stay in their order
    ranked = digests[order]
    group = np.cumsum(np.r_[True, (ranked[1:] != ranked[:-1]).any(axis=1)]) - 1
    heads = order[np.r_[True, np.diff(group) > 0]]
    first = np.empty(len(order), np.int64)
    first[order] = heads[group]
    return first


def _center(box: MapBox) -> tuple[float, float]:
    return lon_lat((box.left + box.right) / 2, (box.bottom + box.top) / 2)


def _copies(pieces: list[tuple[int, int, int]], end: int) -> Iterator[tuple[int, int, int, int]]:
    """The pieces cut to sizes that threads can share, each with its place in the archive, which begins at ``end``."""
    for zoom, start, size in pieces:
        for skip in range(0, size, _COPY_BYTES):
            yield zoom, start + skip, min(size - skip, _COPY_BYTES), end + skip
        end += size


def _copy(source: BinaryIO, start: int, size: int, target: BinaryIO, place: int) -> None:
    """Copy bytes of one file to a place in another, inside the kernel where it can; safe from any thread."""
    if hasattr(os, "copy_file_range"):
        with suppress(OSError):  # a file system that cannot; what is left is copied by hand
            while size and (done := os.copy_file_range(source.fileno(), target.fileno(), size, start, place)):
                start, place, size = start + done, place + done, size - done
    if size:
        data = np.empty(size, np.uint8)
        read_all(source.fileno(), data, start)
        write_all(target.fileno(), data, place)


@dataclass(frozen=True)
class Archive:
    """What an archive says of itself, read back."""

    header: dict[str, Any]
    metadata: dict[str, Any]
    entries: Entries


def read_archive(path: Path) -> Archive:
    """Read header, metadata and all directories of an archive.

    Raises:
        ArchiveError: it is no PMTiles v3 archive, or is damaged.
    """
    try:
        with path.open("rb") as file:
            header = cast("dict[str, Any]", deserialize_header(file.read(_HEADER_BYTES)))
            metadata = json.loads(gzip.decompress(_section(file, header["metadata_offset"], header["metadata_length"])))
            entries = Entries.of(_entries(file, header, header["root_offset"], header["root_length"]))
    except Exception as error:
        raise ArchiveError(f"{path}: is no PMTiles v3 archive that can be read ({error})") from error
    return Archive(header, metadata, entries)


def _section(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def _entries(file: BinaryIO, header: dict[str, Any], offset: int, length: int) -> Iterator[Entry]:
    for entry in deserialize_directory(_section(file, offset, length)):
        if entry.run_length:
            yield entry
        else:
            yield from _entries(file, header, header["leaf_directory_offset"] + entry.offset, entry.length)


def verify(path: Path, tiles: int, threads: int = 1) -> None:
    """Read an archive back: counts, order, offsets and zooms are what they must be, and its file is whole.

    Raises:
        ArchiveError: something is not; the sentence says what was expected and what was found.
    """
    archive = read_archive(path)
    header, entries = archive.header, archive.entries

    def expect(what: str, expected: object, found: object) -> None:
        if expected != found:
            raise ArchiveError(f"{path}: {what} should be {expected}, found {found}")

    expect("its size", header["tile_data_offset"] + header["tile_data_length"], path.stat().st_size)
    expect("the number of tiles", tiles, int(entries.runs.sum()))
    expect("the number of tiles in its header", tiles, header["addressed_tiles_count"])
    expect("the number of entries", len(entries), header["tile_entries_count"])
    expect("the finest zoom", tileid_to_zxy(entries[-1].tile_id)[0], header["max_zoom"])
    expect("the coarsest zoom", tileid_to_zxy(entries[0].tile_id)[0], header["min_zoom"])
    last = entries.ids + entries.runs - 1
    for index in np.flatnonzero(entries.ids[1:] <= last[:-1])[:1]:
        raise ArchiveError(f"{path}: tile {entries.ids[index + 1]} comes after tile {last[index]}")
    # Where the tiles before an entry end: a new one starts there, an equal one before.
    ends = np.maximum.accumulate(entries.offsets + entries.lengths)
    before = np.r_[0, ends[:-1]]
    for index in np.flatnonzero(entries.offsets > before)[:1]:
        raise ArchiveError(
            f"{path}: tile {entries.ids[index]} starts at byte {entries.offsets[index]}, "
            f"expected at most {before[index]}"
        )
    sample = entries[:: max(len(entries) // DECODED_TILES, 1)]
    for _ in in_order(lambda entry: _decode(path, header["tile_data_offset"] + entry.offset, entry), sample, threads):
        pass
    expect("the length of its tiles", int(ends[-1]), header["tile_data_length"])
    expect("the number of different tiles", int((entries.offsets == before).sum()), header["tile_contents_count"])


def _decode(path: Path, start: int, entry: Entry) -> None:
    try:
        with path.open("rb") as file, Image.open(BytesIO(_section(file, start, entry.length))) as picture:
            picture.load()
    except (OSError, ValueError) as error:
        zoom, x, y = tileid_to_zxy(entry.tile_id)
        raise ArchiveError(f"{path}: tile {zoom}/{x}/{y} cannot be decoded ({error})") from error


def read_tile(path: Path, archive: Archive, tile_id: int) -> bytes | None:
    """The bytes of one tile, or None where the archive has none."""
    index = int(np.searchsorted(archive.entries.ids, tile_id, "right")) - 1
    if index < 0 or tile_id >= archive.entries[index].tile_id + archive.entries[index].run_length:
        return None
    entry = archive.entries[index]
    with path.open("rb") as file:
        return _section(file, archive.header["tile_data_offset"] + entry.offset, entry.length)
