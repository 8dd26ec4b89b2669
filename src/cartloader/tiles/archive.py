"""PMTiles: tiles of several zooms, spooled as they come, then joined in tile-id order and verified.

Reference: the PMTiles v3 specification. Directories and header are built by the ``pmtiles`` package.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from bisect import bisect_right
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

from PIL import Image
from pmtiles.tile import (
    Compression,
    Entry,
    TileType,
    deserialize_directory,
    deserialize_header,
    tileid_to_zxy,
)
from pmtiles.writer import finalize_header

from cartloader.errors import ArchiveError
from cartloader.tiles.grid import MapBox, lon_lat
from cartloader.tiles.pyramid import Tile

_HEADER_BYTES = 127
DECODED_TILES = 64
"""About how many tiles, spread over the archive, are decoded to verify it."""


@dataclass
class _Part:
    """The tiles of one zoom: equal ones once, in the order in which they came."""

    file: BinaryIO
    contents: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    """Digest → offset in the file, length."""
    tiles: list[tuple[int, bytes]] = field(default_factory=list)
    """Tile id, digest."""


class ArchiveWriter:
    """Collects tiles in scratch files, one per zoom, and joins them to an archive."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._parts: dict[int, _Part] = {}

    def add(self, tile: Tile) -> None:
        """Add a tile; within a zoom, tiles come in the order of their ids."""
        part = self._parts.get(tile.zoom)
        if part is None:
            part = self._parts[tile.zoom] = _Part((self._scratch / f"tiles-{tile.zoom}").open("w+b"))
        digest = hashlib.blake2b(tile.data, digest_size=16).digest()
        if digest not in part.contents:
            part.contents[digest] = (part.file.tell(), len(tile.data))
            part.file.write(tile.data)
        part.tiles.append((tile.tile_id, digest))

    def finish(self, path: Path, tile_type: TileType, box: MapBox, metadata: dict[str, Any]) -> int:
        """Write the archive; returns the number of tiles that can be asked for.

        Raises:
            ArchiveError: there is no tile at all.
        """
        if not self._parts:
            raise ArchiveError(
                "the picture is transparent everywhere, so that it has no tiles; lower --transparent-below"
            )
        entries, pieces, contents = self._directory()
        zooms = sorted(self._parts)
        west, south, center, east, north = *lon_lat(box.left, box.bottom), _center(box), *lon_lat(box.right, box.top)
        bounds = (west, south, east, north)
        center_zoom = min(zooms[0] + 1, zooms[-1])  # the zoom at which the picture fits about one tile
        header: dict[str, Any] = {
            "version": 3,
            "tile_compression": Compression.NONE,
            "tile_type": tile_type,
            "center_zoom": center_zoom,
            "center_lon_e7": round(center[0] * 1e7),
            "center_lat_e7": round(center[1] * 1e7),
        }
        for name, value in zip(("min_lon_e7", "min_lat_e7", "max_lon_e7", "max_lat_e7"), bounds, strict=True):
            header[name] = round(value * 1e7)
        addressed = sum(len(part.tiles) for part in self._parts.values())
        length = sum(size for _, _, size in pieces)
        told = metadata | {
            "bounds": ",".join(f"{value:.9f}" for value in bounds),
            "center": f"{center[0]:.9f},{center[1]:.9f},{center_zoom}",
            "minzoom": zooms[0],
            "maxzoom": zooms[-1],
        }
        sections = finalize_header(header, addressed, entries, contents, told, True, length)  # type: ignore[no-untyped-call]
        with path.open("wb") as file:
            for section in sections:
                file.write(section)
            for zoom, start, size in pieces:
                _copy(self._parts[zoom].file, start, size, file)
        return addressed

    def close(self) -> None:
        """Close the scratch files."""
        for part in self._parts.values():
            part.file.close()

    def _directory(self) -> tuple[list[Entry], list[tuple[int, int, int]], int]:
        """Entries by tile id; the pieces ``(zoom, offset, length)`` of which the tile section is made; contents."""
        offsets: dict[bytes, tuple[int, int]] = {}
        entries: list[Entry] = []
        pieces: list[tuple[int, int, int]] = []
        end = 0
        for zoom, part in sorted(self._parts.items()):
            for digest, (start, size) in part.contents.items():
                if digest in offsets:
                    continue
                offsets[digest] = (end, size)
                end += size
                if pieces and pieces[-1][0] == zoom and pieces[-1][1] + pieces[-1][2] == start:
                    pieces[-1] = (zoom, pieces[-1][1], pieces[-1][2] + size)
                else:
                    pieces.append((zoom, start, size))
            for tile_id, digest in part.tiles:
                offset, size = offsets[digest]
                last = entries[-1] if entries else None
                if last and last.offset == offset and last.tile_id + last.run_length == tile_id:
                    last.run_length += 1
                else:
                    entries.append(Entry(tile_id, offset, size, 1))
        return entries, pieces, len(offsets)


def _center(box: MapBox) -> tuple[float, float]:
    return lon_lat((box.left + box.right) / 2, (box.bottom + box.top) / 2)


def _copy(source: BinaryIO, start: int, size: int, target: BinaryIO) -> None:
    """Append bytes of one file to another, inside the kernel where it can."""
    source.flush()
    target.flush()
    if hasattr(os, "copy_file_range"):
        try:
            while size:
                done = os.copy_file_range(source.fileno(), target.fileno(), size, offset_src=start)
                if not done:
                    break
                start, size = start + done, size - done
        except OSError:  # a file system that cannot; what is left is copied by hand
            target.seek(0, os.SEEK_END)
    source.seek(start)
    while size:
        data = source.read(min(size, 1 << 22))
        if not data:
            raise ArchiveError(f"{source.name}: ends too early")
        target.write(data)
        size -= len(data)


@dataclass(frozen=True)
class Archive:
    """What an archive says of itself, read back."""

    header: dict[str, Any]
    metadata: dict[str, Any]
    entries: list[Entry]


def read_archive(path: Path) -> Archive:
    """Read header, metadata and all directories of an archive.

    Raises:
        ArchiveError: it is no PMTiles v3 archive, or is damaged.
    """
    try:
        with path.open("rb") as file:
            header = cast("dict[str, Any]", deserialize_header(file.read(_HEADER_BYTES)))
            metadata = json.loads(gzip.decompress(_section(file, header["metadata_offset"], header["metadata_length"])))
            entries = _entries(file, header, header["root_offset"], header["root_length"])
    except Exception as error:
        raise ArchiveError(f"{path}: is no PMTiles v3 archive that can be read ({error})") from error
    return Archive(header, metadata, entries)


def _section(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def _entries(file: BinaryIO, header: dict[str, Any], offset: int, length: int) -> list[Entry]:
    found: list[Entry] = []
    for entry in deserialize_directory(_section(file, offset, length)):
        if entry.run_length:
            found.append(entry)
        else:
            found += _entries(file, header, header["leaf_directory_offset"] + entry.offset, entry.length)
    return found


def verify(path: Path, tiles: int) -> None:
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
    expect("the number of tiles", tiles, sum(entry.run_length for entry in entries))
    expect("the number of tiles in its header", tiles, header["addressed_tiles_count"])
    expect("the number of entries", len(entries), header["tile_entries_count"])
    expect("the finest zoom", tileid_to_zxy(entries[-1].tile_id)[0], header["max_zoom"])
    expect("the coarsest zoom", tileid_to_zxy(entries[0].tile_id)[0], header["min_zoom"])
    end, next_id, contents = 0, 0, 0
    for entry in entries:
        if entry.tile_id < next_id:
            raise ArchiveError(f"{path}: tile {entry.tile_id} comes after tile {next_id - 1}")
        next_id = entry.tile_id + entry.run_length
        if entry.offset > end:
            raise ArchiveError(f"{path}: tile {entry.tile_id} starts at byte {entry.offset}, expected at most {end}")
        contents += entry.offset == end
        end = max(end, entry.offset + entry.length)
    for entry in entries[:: max(len(entries) // DECODED_TILES, 1)]:
        _decode(path, header["tile_data_offset"] + entry.offset, entry)
    expect("the length of its tiles", end, header["tile_data_length"])
    expect("the number of different tiles", contents, header["tile_contents_count"])


def _decode(path: Path, start: int, entry: Entry) -> None:
    try:
        with path.open("rb") as file, Image.open(BytesIO(_section(file, start, entry.length))) as picture:
            picture.load()
    except (OSError, ValueError) as error:
        zoom, x, y = tileid_to_zxy(entry.tile_id)
        raise ArchiveError(f"{path}: tile {zoom}/{x}/{y} cannot be decoded ({error})") from error


def read_tile(path: Path, archive: Archive, tile_id: int) -> bytes | None:
    """The bytes of one tile, or None where the archive has none."""
    index = bisect_right(archive.entries, tile_id, key=lambda entry: entry.tile_id) - 1
    if index < 0 or tile_id >= archive.entries[index].tile_id + archive.entries[index].run_length:
        return None
    entry = archive.entries[index]
    with path.open("rb") as file:
        return _section(file, archive.header["tile_data_offset"] + entry.offset, entry.length)
