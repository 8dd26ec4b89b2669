"""PMTiles: tiles of several zooms, spooled as they come, then joined in tile-id order.

Reference: the PMTiles v3 specification. Directories and header are built by the ``pmtiles`` package.
"""

from __future__ import annotations

import gzip
import json
import os
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
import xxhash
from pmtiles.tile import Compression, HeaderDict, TileType, serialize_header
from pmtiles.writer import optimize_directories

from cartloader_image.errors import ArchiveError
from cartloader_image.system.files import read_all, write_all
from cartloader_image.system.parallel import in_order
from cartloader_image.tiles.directory import Entries, first_equal
from cartloader_image.tiles.grid import MapBox, lon_lat
from cartloader_image.tiles.header import HEADER_BYTES
from cartloader_image.tiles.pyramid import Tile

_ROOT_BYTES = 16384 - HEADER_BYTES
"""Header and root directory lie within the first 16 kB, which readers fetch at once."""
_DIGEST = 16
_COPY_BYTES = 16 << 20
NOTHING_VISIBLE = "the picture is transparent everywhere, so that it has no tiles; lower --transparent-below"


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
            raise ArchiveError(NOTHING_VISIBLE)
        entries, pieces, contents = self._directory()
        addressed = sum(len(part.ids) for part in self._parts.values())
        header = _header(min(self._parts), max(self._parts), box) | {
            "tile_type": tile_type,
            "addressed_tiles_count": addressed,
            "tile_entries_count": len(entries),
            "tile_contents_count": contents,
        }
        root, leaves, _ = optimize_directories(entries, _ROOT_BYTES)  # type: ignore[no-untyped-call]
        document = json.dumps(metadata | extent_metadata(header["min_zoom"], header["max_zoom"], box)).encode()
        sections = {"root": root, "metadata": gzip.compress(document, mtime=0), "leaf_directory": leaves}
        end = HEADER_BYTES
        for name, section in sections.items():
            header[f"{name}_offset"], header[f"{name}_length"] = end, len(section)
            end += len(section)
        header["tile_data_offset"], header["tile_data_length"] = end, sum(piece.size for piece in pieces)
        for part in self._parts.values():
            part.file.flush()
        with path.open("wb") as file:
            file.write(serialize_header(cast("HeaderDict", header)))
            for section in sections.values():
                file.write(section)
            file.flush()

            def copy(piece: _Piece) -> None:
                _copy(self._parts[piece.zoom].file, piece.start, piece.size, file, end + piece.place)

            for _ in in_order(copy, _cut(pieces), threads):
                pass
        return addressed

    def close(self) -> None:
        """Close the scratch files."""
        for part in self._parts.values():
            part.file.close()

    def _directory(self) -> tuple[Entries, list[_Piece], int]:
        """Entries by tile id, the pieces of which the tile section is made, and the number of different tiles."""
        parts = sorted(self._parts.items())
        zooms = np.repeat([zoom for zoom, _ in parts], [len(part.ids) for _, part in parts])
        ids, starts, sizes = (
            np.concatenate([np.frombuffer(getattr(part, name), np.uint64) for _, part in parts]).astype(np.int64)
            for name in ("ids", "starts", "sizes")
        )
        first = first_equal(np.concatenate([np.frombuffer(part.digests, "<u8").reshape(-1, 2) for _, part in parts]))
        new = first == np.arange(len(first))
        places = (np.cumsum(sizes * new) - sizes)[first]
        # A run: equal tiles whose ids follow each other.
        heads = np.flatnonzero(np.r_[True, (np.diff(ids) != 1) | (np.diff(places) != 0)])
        entries = Entries(ids[heads], places[heads], sizes[heads], np.diff(np.r_[heads, len(ids)]))
        # A piece: different tiles that lie one after the other in their scratch file.
        zooms, starts, sizes, places = zooms[new], starts[new], sizes[new], places[new]
        heads = np.flatnonzero(np.r_[True, (np.diff(zooms) != 0) | (starts[1:] != starts[:-1] + sizes[:-1])])
        columns = zooms[heads], starts[heads], np.add.reduceat(sizes, heads), places[heads]
        return entries, list(map(_Piece, *(column.tolist() for column in columns))), len(sizes)


class _Piece(NamedTuple):
    """Tiles that are copied at once."""

    zoom: int
    start: int
    """Byte in the scratch file of the zoom."""
    size: int
    place: int
    """Byte in the tile section."""


def _header(min_zoom: int, max_zoom: int, box: MapBox) -> dict[str, Any]:
    """What follows from zooms and place alone."""
    west, south, center, east, north = *lon_lat(box.left, box.bottom), _center(box), *lon_lat(box.right, box.top)
    degrees = {
        "min_lon": west, "min_lat": south, "max_lon": east, "max_lat": north,
        "center_lon": center[0], "center_lat": center[1],
    }  # fmt: skip
    return {
        "clustered": True,
        "internal_compression": Compression.GZIP,
        "tile_compression": Compression.NONE,
        "min_zoom": min_zoom,
        "max_zoom": max_zoom,
        "center_zoom": _center_zoom(min_zoom, max_zoom),
        **{f"{name}_e7": round(value * 1e7) for name, value in degrees.items()},
    }


def extent_metadata(min_zoom: int, max_zoom: int, box: MapBox) -> dict[str, Any]:
    """Zooms and place as the metadata tell them, closer than the header's 11 mm."""
    bounds, center = (*lon_lat(box.left, box.bottom), *lon_lat(box.right, box.top)), _center(box)
    return {
        "bounds": ",".join(f"{value:.9f}" for value in bounds),
        "center": f"{center[0]:.9f},{center[1]:.9f},{_center_zoom(min_zoom, max_zoom)}",
        "minzoom": min_zoom,
        "maxzoom": max_zoom,
    }


def _center_zoom(min_zoom: int, max_zoom: int) -> int:
    """The zoom at which the picture fits about one tile."""
    return min(min_zoom + 1, max_zoom)


def _center(box: MapBox) -> tuple[float, float]:
    return lon_lat((box.left + box.right) / 2, (box.bottom + box.top) / 2)


def _cut(pieces: list[_Piece]) -> Iterator[_Piece]:
    """The pieces in sizes that threads can share."""
    for zoom, start, size, place in pieces:
        for skip in range(0, size, _COPY_BYTES):
            yield _Piece(zoom, start + skip, min(size - skip, _COPY_BYTES), place + skip)


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
