"""PMTiles archives as other programs write and read them, by the ``pmtiles`` package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pmtiles.reader import MmapSource, Reader, all_tiles
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer

from cartloader_image.tiles.directory import Entries
from cartloader_image.tiles.header import Header
from cartloader_image.tiles.reader import reading

WORLD = {
    "min_lon_e7": -180_0000000, "min_lat_e7": -85_0511287, "max_lon_e7": 180_0000000, "max_lat_e7": 85_0511287,
    "center_lon_e7": 0, "center_lat_e7": 0, "center_zoom": 0,
}  # fmt: skip
NOWHERE = dict.fromkeys(WORLD, 0)


def encoded(picture: NDArray[Any], kind: str = "PNG", **options: Any) -> bytes:
    """A picture as the bytes of a tile."""
    data = BytesIO()
    Image.fromarray(picture).save(data, kind, **options)
    return data.getvalue()


def write_archive(
    path: Path, tiles: Mapping[tuple[int, int, int], bytes], metadata: Mapping[str, Any] | None = None, **header: Any
) -> Path:
    """An archive of tiles by zoom, column and row; the header says nothing that is not given."""
    fields = {"tile_type": TileType.PNG, "tile_compression": Compression.NONE} | NOWHERE | header
    with path.open("wb") as file:
        writer = Writer(file)
        for tile_id, data in sorted((zxy_to_tileid(*place), data) for place, data in tiles.items()):
            writer.write_tile(tile_id, data)
        writer.finalize(fields, dict(metadata or {}))
    return path


def cut(
    picture: NDArray[Any], zoom: int, column: int, row: int, tile: int, kind: str = "PNG", **options: Any
) -> dict[tuple[int, int, int], bytes]:
    """The tiles of a picture whose sides are multiples of a tile's, the upper left one at a column and row."""
    return {
        (zoom, column + x // tile, row + y // tile): encoded(picture[y : y + tile, x : x + tile], kind, **options)
        for y in range(0, len(picture), tile)
        for x in range(0, picture.shape[1], tile)
    }


def tiles_of(archive: Path) -> dict[tuple[int, int, int], bytes]:
    """All tiles of an archive by zoom, column and row."""
    with archive.open("rb") as file:
        return dict(all_tiles(MmapSource(file)))


@dataclass(frozen=True)
class Archive:
    """What an archive says of itself, with all its entries."""

    header: Header
    metadata: dict[str, Any]
    entries: Entries


def read_archive(path: Path) -> Archive:
    """Header, metadata and entries, in little memory, of an archive of any size."""
    with reading(path) as archive:
        pieces = [piece for zoom in archive.zooms() for piece in archive.entries(zoom)]
        columns = zip(*((some.ids, some.offsets, some.lengths, some.runs) for some in pieces), strict=True)
        return Archive(archive.header, archive.read_metadata(), Entries(*map(np.concatenate, columns)))


def read_tile(path: Path, tile_id: int) -> bytes | None:
    """The bytes of one tile, or None where the archive has none."""
    with reading(path) as archive:
        place = archive.find(tile_id)
        return None if place is None else archive.tile(*place)


def read(archive: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and metadata of an archive."""
    with archive.open("rb") as file:
        reader = Reader(MmapSource(file))
        return dict(reader.header()), dict(reader.metadata())
