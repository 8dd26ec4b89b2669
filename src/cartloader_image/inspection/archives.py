"""What a PMTiles archive says of itself and how many tiles it has, whatever is in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cartloader_image.tiles.container import TILE_TYPES
from cartloader_image.tiles.directory import Numbers
from cartloader_image.tiles.header import Header
from cartloader_image.tiles.place import place_of
from cartloader_image.tiles.reader import ArchiveReader, reading
from cartloader_image.tiles.unpack import COMPRESSIONS
from cartloader_image.values import Bounds

_UNKNOWN = {0: "unknown"}


class ZoomInfo(NamedTuple):
    """The tiles of a zoom."""

    zoom: int
    tiles: int
    contents: int
    """Of them different ones, as far as the archive stores equal ones once."""
    bytes: int
    """That these take."""


@dataclass(frozen=True)
class ArchiveInfo:
    """What an archive holds."""

    path: Path
    bytes: int
    """Of the file."""
    tile_type: str
    """``png``, ``jpeg``, ``webp``, ``avif``, ``mvt`` …"""
    tile_compression: str
    """``none``, ``gzip``, ``brotli`` or ``zstd``."""
    internal_compression: str
    """The same, of directories and metadata."""
    header: Header
    """Its numbers as the specification has them: bytes, and degrees times 10**7."""
    bounds: Bounds | None
    """Where its picture lies in EPSG:3857, in µm as this project uses it; None where it has no tiles."""
    zooms: tuple[ZoomInfo, ...]
    """Those that have tiles, the coarsest first."""
    metadata: dict[str, Any]


def inspect_archive(path: Path) -> ArchiveInfo:
    """Look at an archive of any program, also of vector tiles, without decoding a tile.

    Raises:
        ArchiveError: it cannot be read, is no PMTiles archive of version 3, or its directories are damaged.
    """
    with reading(path) as archive:
        header, zooms = archive.header, tuple(_zooms(archive))
        return ArchiveInfo(
            path=path,
            bytes=path.stat().st_size,
            tile_type=_name(TILE_TYPES, header.tile_type).lower(),
            tile_compression=_name(COMPRESSIONS, header.tile_compression),
            internal_compression=_name(COMPRESSIONS, header.internal_compression),
            header=header,
            bounds=place_of(archive, [one.zoom for one in zooms]).bounds if zooms else None,
            zooms=zooms,
            metadata=archive.metadata,
        )


def _zooms(archive: ArchiveReader) -> Iterator[ZoomInfo]:
    for zoom in archive.zooms():
        tiles, places = 0, list[Numbers]()
        for entries in archive.entries(zoom):
            tiles += int(entries.runs.sum())
            places.append(np.stack([entries.offsets, entries.lengths]))
        stored = np.unique(np.concatenate(places, axis=1), axis=1)
        yield ZoomInfo(zoom, tiles, stored.shape[1], int(stored[1].sum()))


def _name(names: dict[int, str], number: int) -> str:
    return (names | _UNKNOWN).get(number, f"{number}")
