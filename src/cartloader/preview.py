"""A small picture of a finished archive, as the map shows it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image
from pmtiles.tile import tileid_to_zxy

from cartloader.files import locked, publish
from cartloader.tiles.archive import Archive, read_archive, read_tile
from cartloader.tiles.grid import HALF_MAP, from_lon_lat, resolution


def render_preview(path: Path, size: int = 1024) -> Image.Image:
    """The whole picture of an archive, north at the top, as RGBA of at most ``size`` pixels a side.

    It is put together from the tiles of the first zoom that is at least as large, and scaled down.

    Raises:
        ArchiveError: the archive cannot be read.
    """
    archive = read_archive(path)
    tile = _decode(path, archive, archive.entries[0].tile_id).width
    for zoom in range(archive.header["min_zoom"], archive.header["max_zoom"] + 1):
        left, top, right, bottom = _level_box(archive, zoom, tile)
        if max(right - left, bottom - top) >= size:
            break
    picture = Image.new("RGBA", (right - left, bottom - top))
    for entry in archive.entries:
        for tile_id in range(entry.tile_id, entry.tile_id + entry.run_length):
            z, x, y = tileid_to_zxy(tile_id)
            if z == zoom:
                picture.paste(_decode(path, archive, tile_id), (x * tile - left, y * tile - top))
    picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    return picture


def write_preview(path: Path, out: Path, size: int = 1024) -> None:
    """Write `render_preview` as a PNG, whole or not at all.

    Raises:
        ArchiveError: the archive cannot be read.
    """
    picture = render_preview(path, size)
    with locked(out) as scratch:
        picture.save(scratch / out.name, "PNG", optimize=True)
        publish(scratch / out.name, out)


def _level_box(archive: Archive, zoom: int, tile: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the picture in level pixels of a zoom."""
    west, south, east, north = (float(value) for value in archive.metadata["bounds"].split(","))
    (left, top), (right, bottom) = from_lon_lat(west, north), from_lon_lat(east, south)
    size = resolution(zoom, tile)
    column, row = round((left + HALF_MAP) / size), round((HALF_MAP - top) / size)
    width, height = round((right - left) / size), round((top - bottom) / size)
    return column, row, column + max(width, 1), row + max(height, 1)


def _decode(path: Path, archive: Archive, tile_id: int) -> Image.Image:
    data = read_tile(path, archive, tile_id)
    assert data is not None, "an entry of the directory has a tile"
    return Image.open(BytesIO(data)).convert("RGBA")
