"""PMTiles: tiles, spooled as they come from all threads, then joined in the order of their ids.

Reference: the PMTiles v3 specification. Directories and header are built by the ``pmtiles`` package.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from pmtiles.tile import Compression, HeaderDict, TileType, serialize_header
from pmtiles.writer import optimize_directories

from cartloader_image.errors import ArchiveError
from cartloader_image.system.files import read_all, write_all
from cartloader_image.system.parallel import in_order
from cartloader_image.tiles.directory import Entries, first_equal
from cartloader_image.tiles.grid import MapBox, lon_lat
from cartloader_image.tiles.header import HEADER_BYTES
from cartloader_image.tiles.ids import zoom_of
from cartloader_image.tiles.pyramid import Tile
from cartloader_image.tiles.spool import Numbers, Spool, Spooled, saved

_ROOT_BYTES = 16384 - HEADER_BYTES
"""Header and root directory lie within the first 16 kB, which readers fetch at once."""
_COPY_BYTES = 16 << 20
NOTHING_VISIBLE = "the picture is transparent everywhere, so that it has no tiles; lower --transparent-below"


class ArchiveWriter:
    """Collects tiles in a scratch file, as they come, and joins them, and what others collected, to an archive."""

    def __init__(self, scratch: Path) -> None:
        self._spool, self._others = Spool(scratch / "tiles"), list[Spooled]()

    def add(self, tile: Tile) -> None:
        """Add a tile: in any order, from any thread."""
        self._spool.add(tile)

    def take(self, path: Path) -> None:
        """Add all tiles that another process spooled there.

        Raises:
            OSError: they are not there, or not all of them.
        """
        self._others.append(saved(path))

    def finish(self, path: Path, tile_type: TileType, box: MapBox, metadata: dict[str, Any], threads: int = 1) -> int:
        """Write the archive from its start to its end; returns the number of tiles that can be asked for.

        Raises:
            ArchiveError: there is no tile at all.
        """
        spools = [self._spool.spooled(), *self._others]
        count = sum(len(one.ids) for one in spools)
        if not count:
            raise ArchiveError(NOTHING_VISIBLE)
        entries, pieces, contents = _directory(spools)
        last = entries.ids[-1] + entries.runs[-1] - 1
        header = _header(zoom_of(int(entries.ids[0])), zoom_of(int(last)), box) | {
            "tile_type": tile_type,
            "addressed_tiles_count": count,
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
        with path.open("wb") as file:
            file.write(serialize_header(cast("HeaderDict", header)))
            for section in sections.values():
                file.write(section)
            file.flush()

            def copy(some: list[_Piece]) -> None:
                for piece in some:
                    _copy(spools[piece.spool].file, piece.start, piece.size, file, end + piece.place)

            for _ in in_order(copy, _shared(pieces), threads):
                pass
        return count

    def close(self) -> None:
        """Close the scratch files."""
        self._spool.close()
        for other in self._others:
            other.file.close()


def _directory(spools: list[Spooled]) -> tuple[Entries, list[_Piece], int]:
    """Entries by tile id, the pieces of which the tile section is made, and the number of different tiles."""
    order = np.argsort(_joined([one.ids for one in spools]))
    numbers = np.repeat(np.arange(len(spools), dtype=np.uint16), [len(one.ids) for one in spools])[order]
    ids, starts, sizes = (
        _joined(columns)[order].view(np.int64)
        for columns in zip(*((one.ids, one.starts, one.sizes) for one in spools), strict=True)
    )
    first = first_equal(_joined([one.digests for one in spools])[order].view(np.int64))
    new = first == np.arange(len(first))
    places = (np.cumsum(sizes * new) - sizes)[first]
    # A run: equal tiles whose ids follow each other.
    heads = np.flatnonzero(np.r_[True, (np.diff(ids) != 1) | (np.diff(places) != 0)])
    entries = Entries(ids[heads], places[heads], sizes[heads], np.diff(np.r_[heads, len(ids)]))
    # A piece: different tiles that lie one after the other in a scratch file.
    numbers, starts, sizes, places = numbers[new], starts[new], sizes[new], places[new]
    heads = np.flatnonzero(np.r_[True, (np.diff(numbers) != 0) | (starts[1:] != starts[:-1] + sizes[:-1])])
    columns = numbers[heads], starts[heads], np.add.reduceat(sizes, heads), places[heads]
    return entries, list(map(_Piece, *(column.tolist() for column in columns))), len(sizes)


def _joined(columns: Sequence[Numbers]) -> Numbers:
    """One array of all; of two million tiles, a copy that is not needed is one too many."""
    return columns[0] if len(columns) == 1 else np.concatenate(columns)


class _Piece(NamedTuple):
    """Tiles that are copied at once."""

    spool: int
    """The number of the scratch file."""
    start: int
    """Byte in it."""
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


def _shared(pieces: list[_Piece]) -> Iterator[list[_Piece]]:
    """The pieces in lists of a size that threads can share."""
    some, room = list[_Piece](), _COPY_BYTES
    for spool, start, size, place in pieces:
        done = 0
        while done < size:
            part = min(size - done, room)
            some.append(_Piece(spool, start + done, part, place + done))
            done, room = done + part, room - part
            if not room:
                yield some
                some, room = [], _COPY_BYTES
    if some:
        yield some


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
