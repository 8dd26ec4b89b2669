"""A finished archive, open to be looked at: what it says of itself, its tiles, any piece of its picture."""

from __future__ import annotations

import math
import os
import weakref
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pmtiles.tile import zxy_to_tileid

from cartloader_image.drawing import figure
from cartloader_image.errors import ArchiveError, UsageError
from cartloader_image.tiles.decode import picture_of, size_of_tiles
from cartloader_image.tiles.grid import HALF_MAP
from cartloader_image.tiles.header import Header
from cartloader_image.tiles.ids import FINEST
from cartloader_image.tiles.place import place_of
from cartloader_image.tiles.reader import reading
from cartloader_image.values import Bounds
from cartloader_image.window import Window

Box = tuple[float, float, float, float]
_MOST_TILES, _MOST_PIXELS = 4096, 1 << 30
"""That one piece of the picture is put together from: half a minute of decoding, 4 GB."""


class Archive:
    """A PMTiles archive of raster tiles; use it in a ``with`` statement, or `close` it, or let go of it.

    Attributes:
        path: The file.
        header: The fixed part of the archive, as the PMTiles v3 specification has it.
    """

    def __init__(self, path: Path) -> None:
        with ExitStack() as opened:
            self._reader = opened.enter_context(reading(path))
            self._close = weakref.finalize(self, opened.pop_all().close)
        self.path = path
        self.header: Header = self._reader.header

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; again does nothing."""
        self._close()

    @property
    def metadata(self) -> dict[str, Any]:
        """What the archive says of itself; ``metadata["cartloader"]`` is how its picture was made."""
        return self._reader.metadata

    @cached_property
    def zooms(self) -> tuple[int, ...]:
        """The zooms that have tiles, the coarsest first.

        Raises:
            ArchiveError: there is none, or the archive is damaged.
        """
        zooms = tuple(self._reader.zooms())
        if not zooms:
            raise ArchiveError(f"{self.path}: has no tiles")
        return zooms

    @cached_property
    def tile_size(self) -> int:
        """Pixels a side of the tiles."""
        return max(size_of_tiles(self._reader, self.zooms[0]))

    @cached_property
    def bounds(self) -> Bounds:
        """Where the picture lies in EPSG:3857, in µm as this project uses it: its north-west and south-east corners."""
        return place_of(self._reader, list(self.zooms)).bounds

    def tile(self, z: int, x: int, y: int) -> bytes | None:
        """The bytes of a tile as they are stored, such as a PNG file's; None where there is none.

        Args:
            z: Zoom.
            x: Column, from the west.
            y: Row, from the north.

        Raises:
            ArchiveError: the archive is damaged.
            UsageError: the map has no such tile.

        Examples:
            >>> from cartloader_image import import_image, write_sample
            >>> slide = write_sample("slide.ome.tif", size=256)
            >>> image = import_image(slide, out_dir="map", img_id="dapi", page=0)
            >>> with open_archive(image.tiles.path) as archive:
            ...     archive.tile(0, 0, 0), archive.zooms
            (None, (18, 19))
        """
        if not (0 <= z <= FINEST and 0 <= x < 1 << z and 0 <= y < 1 << z):
            raise UsageError(f"tile {z}/{x}/{y}: the map has zooms from 0 to {FINEST}, with 2**z columns and rows")
        place = self._reader.find(zxy_to_tileid(z, x, y))
        return None if place is None else self._reader.tile(*place)

    def read(self, bounds: Bounds | Box | None = None, size: int = 1024) -> NDArray[np.uint8]:
        """A piece of the picture as the map shows it, from the coarsest zoom that is enough.

        Args:
            bounds: Its outer corners in map units (µm): x and y of the first pixel's, then of the last one's, as
                ``--georef-bounds`` has them. The array starts at the first, whichever way that is: given the bounds by
                which an image was imported, it shows the image as it was. Unless given, the whole picture, north up.
            size: Longest side in pixels; the other follows from the bounds.

        Returns:
            ``(height, width, 4) uint8``: red, green, blue, alpha, transparent where there are no tiles.

        Raises:
            ArchiveError: the archive is damaged, or has only tiles that are far too fine.
            UsageError: the bounds have no area.

        Examples:
            >>> from cartloader_image import import_image, write_sample
            >>> slide = write_sample("slide.ome.tif", size=256)
            >>> image = import_image(slide, out_dir="map", img_id="dapi", page=0)
            >>> with open_archive(image.tiles.path) as archive:
            ...     archive.read((10, 10, 40, 25), size=100).shape
            (50, 100, 4)
        """
        asked = self.bounds if bounds is None else bounds if isinstance(bounds, Bounds) else Bounds(*bounds)
        if not (asked.width > 0 and asked.height > 0 and math.isfinite(asked.width + asked.height)):
            raise UsageError(f"bounds {asked}: have no area; ulx and lrx, uly and lry must differ")
        if size < 1:
            raise UsageError(f"size {size}: at least 1 pixel is needed")
        step = max(asked.width, asked.height) / size
        width, height = (max(round(side / step), 1) for side in (asked.width, asked.height))
        zoom = next((zoom for zoom in self.zooms if self._resolution(zoom) <= step), self.zooms[-1])
        # Tiles that are far finer than what is asked for are scaled down one by one.
        side = max(self.tile_size >> max(math.floor(math.log2(step / self._resolution(zoom))), 0), 1)
        unit = self._resolution(zoom) * self.tile_size / side
        xs = sorted((x + HALF_MAP) / unit for x in (asked.ulx, asked.lrx))
        ys = sorted((HALF_MAP - y) / unit for y in (asked.uly, asked.lry))
        # The tiles that it touches, with one pixel around it.
        touched = Window(*map(math.floor, (ys[0], ys[1] + 1, xs[0], xs[1] + 1))).grown(1).cells(side)
        left, top = touched.column0 * side, touched.row0 * side
        box = (xs[0] - left, ys[0] - top, xs[1] - left, ys[1] - top)
        picture = self._joined(zoom, touched, side).resize((width, height), Image.Resampling.BICUBIC, box)
        pixels = np.asarray(picture)
        return pixels[:: 1 if asked.lry < asked.uly else -1, :: 1 if asked.ulx < asked.lrx else -1]

    def _resolution(self, zoom: int) -> float:
        """Map units per pixel."""
        return 2 * HALF_MAP / self.tile_size / 2.0**zoom

    def _joined(self, zoom: int, tiles: Window, side: int) -> Image.Image:
        """Some tiles of a zoom as one picture, each of so many pixels a side."""
        count, most = math.prod(tiles.shape), min(_MOST_TILES, _MOST_PIXELS // side**2)
        if count > most:
            raise ArchiveError(
                f"{self.path}: {count:,} tiles of zoom {zoom} lie there, which is more than {most:,}; read a smaller "
                "piece, or draw the whole with `preview`"
            )
        picture = Image.new("RGBA", (tiles.shape[1] * side, tiles.shape[0] * side))
        for row, column in tiles.intersect(Window.of(1 << zoom, 1 << zoom)).places():
            tile_id = zxy_to_tileid(zoom, column, row)
            if place := self._reader.find(tile_id):
                there = Window.cell(row - tiles.row0, column - tiles.column0, side)
                tile = picture_of(self._reader, tile_id, place, (self.tile_size, self.tile_size))
                picture.paste(tile.resize((side, side), Image.Resampling.BOX), (there.column0, there.row0))
        return picture

    def __repr__(self) -> str:
        return f"<Archive {self.path.name}: zooms {self.zooms[0]}–{self.zooms[-1]}, at {self.bounds.rounded}>"

    def _repr_html_(self) -> str:
        return figure(self.path, self.path.stem, repr(self)[1:-1])


def open_archive(path: str | os.PathLike[str]) -> Archive:
    """Open a PMTiles archive of raster tiles, of this program or another.

    Raises:
        ArchiveError: it cannot be read, or is no PMTiles archive of version 3.

    Examples:
        >>> from cartloader_image import import_image, write_sample
        >>> slide = write_sample("slide.ome.tif", size=256)
        >>> image = import_image(slide, out_dir="map", img_id="dapi", page=0)
        >>> open_archive(image.tiles.path)
        <Archive dapi.pmtiles: zooms 18–19, at 0,54.4,54.4,0>
    """
    return Archive(Path(path))
