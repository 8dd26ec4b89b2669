"""A small picture of a finished archive, as the map shows it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image
from pmtiles.reader import MmapSource, Reader

from cartloader.files import locked, publish
from cartloader.tiles.archive import read_head
from cartloader.tiles.grid import HALF_MAP, from_lon_lat, resolution


def render_preview(path: Path, size: int = 1024) -> Image.Image:
    """The whole picture of an archive, north at the top, as RGBA of at most ``size`` pixels a side.

    It is put together from the tiles of the first zoom that is at least as large, and scaled down.

    Raises:
        ArchiveError: the archive cannot be read.
    """
    header, metadata = read_head(path)
    with path.open("rb") as file:
        reader = Reader(MmapSource(file))  # type: ignore[no-untyped-call]
        tile = int(metadata["tilesize"])
        for zoom in range(header["min_zoom"], header["max_zoom"] + 1):
            left, top, right, bottom = _level_box(metadata["bounds"], zoom, tile)
            if max(right - left, bottom - top) >= size:
                break
        picture = Image.new("RGBA", (right - left, bottom - top))
        for x in range(left // tile, -(-right // tile)):
            for y in range(top // tile, -(-bottom // tile)):
                if data := reader.get(zoom, x, y):  # type: ignore[no-untyped-call]
                    picture.paste(Image.open(BytesIO(data)).convert("RGBA"), (x * tile - left, y * tile - top))
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


def _level_box(bounds: str, zoom: int, tile: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the picture in level pixels of a zoom."""
    west, south, east, north = (float(value) for value in bounds.split(","))
    (left, top), (right, bottom) = from_lon_lat(west, north), from_lon_lat(east, south)
    size = resolution(zoom, tile)
    column, row = round((left + HALF_MAP) / size), round((HALF_MAP - top) / size)
    width, height = round((right - left) / size), round((top - bottom) / size)
    return column, row, column + max(width, 1), row + max(height, 1)
