"""Web-Mercator arithmetic: zooms, and tile ↔ map ↔ pixel; nothing else.

The tiles of a zoom are a square of ``2**zoom`` a side over the map of EPSG:3857, row 0 at the top (XYZ). A *level
pixel* is a pixel of the whole zoom, counted from the map's upper-left corner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cartloader_image.errors import BoundsError
from cartloader_image.window import Window

EARTH_RADIUS = 6378137.0
"""Radius of the sphere of EPSG:3857, in metres (map units)."""
HALF_MAP = math.pi * EARTH_RADIUS
"""The map reaches from ``-HALF_MAP`` to ``HALF_MAP`` on both axes."""
FINEST_ZOOM = 24
ENOUGH = 1e-6
"""Relative difference under which a resolution is fine enough; level pixels within which an edge is on the grid."""


_LEAST = 1e-3
"""Share of a level pixel that a picture has to be: a few picometres, less than any atom."""


def resolution(zoom: int, tile: int) -> float:
    """Map units per level pixel, for tiles of ``tile`` pixels a side."""
    return 2 * HALF_MAP / (tile << zoom)


def natural_zoom(pixel_size: float, tile: int) -> int:
    """The first zoom whose pixels are at most ``pixel_size`` map units."""
    return max(math.ceil(math.log2(2 * HALF_MAP / (tile * pixel_size * (1 + ENOUGH)))), 0)


def lon_lat(x: float, y: float) -> tuple[float, float]:
    """Degrees of a point of the map (spherical Mercator, EPSG:3857's inverse)."""
    return math.degrees(x / EARTH_RADIUS), math.degrees(2 * math.atan(math.exp(y / EARTH_RADIUS)) - math.pi / 2)


def from_lon_lat(longitude: float, latitude: float) -> tuple[float, float]:
    """The point of the map at these degrees; the inverse of `lon_lat`."""
    y = math.log(math.tan(math.radians(latitude) / 2 + math.pi / 4)) * EARTH_RADIUS
    return math.radians(longitude) * EARTH_RADIUS, y


@dataclass(frozen=True)
class MapBox:
    """A box on the map, in map units; y grows upwards."""

    left: float
    bottom: float
    right: float
    top: float


@dataclass(frozen=True)
class Pyramid:
    """Which zooms and tiles a picture has: all that can be known before a pixel is read."""

    box: MapBox
    tile: int
    """Pixels a side."""
    base_zoom: int
    """The zoom at which the picture is resampled; all coarser ones are made from it."""
    min_zoom: int
    max_zoom: int
    """Tiles are kept from ``min_zoom`` to ``max_zoom``, which is at most ``base_zoom``."""
    notes: tuple[str, ...] = ()
    """What a person should know of the zooms."""

    @property
    def zooms(self) -> range:
        """The zooms that are kept, the finest first."""
        return range(self.max_zoom, self.min_zoom - 1, -1)

    def extent(self, zoom: int) -> Window:
        """The level pixels of the picture: at the base zoom those whose centres it holds, else their parents.

        A picture that holds none has the one that its own centre lies in.
        """
        size = resolution(self.base_zoom, self.tile)
        top, bottom = ((HALF_MAP - y) / size for y in (self.box.top, self.box.bottom))
        left, right = ((HALF_MAP + x) / size for x in (self.box.left, self.box.right))
        count = self.tile << self.base_zoom
        pixels = Window(*_pixels(top, bottom, count), *_pixels(left, right, count))
        return pixels.cells(1 << self.base_zoom - zoom)

    def tile_range(self, zoom: int) -> Window:
        """Rows (y) and columns (x) of the tiles that hold a level pixel of the picture."""
        return self.extent(zoom).cells(self.tile)

    def tile_count(self) -> int:
        """Tiles of all zooms that are kept, the transparent ones included."""
        return sum(math.prod(self.tile_range(zoom).shape) for zoom in self.zooms)


def _pixels(first: float, last: float, count: int) -> tuple[int, int]:
    """First level pixel of an axis, and the one behind the last, for a picture from edge to edge in level pixels.

    The axis has ``count``; a picture may reach beyond it by what rounding does to the edges of the map.
    """
    start, stop = math.ceil(first - 0.5 - ENOUGH), math.ceil(last - 0.5 - ENOUGH)
    if start >= stop:
        start = math.floor((first + last) / 2)
    start = min(max(start, 0), count - 1)
    return start, min(max(stop, start + 1), count)


def plan_pyramid(
    box: MapBox, pixel_size: float, tile: int, min_zoom: int | None, max_zoom: int | None, name: str
) -> Pyramid:
    """Zooms and tiles for a picture whose smaller pixel side is ``pixel_size`` map units.

    The base zoom is the first one at least as fine as the picture (GDAL's ``ZOOM_LEVEL_STRATEGY=UPPER``), or
    ``max_zoom`` where that is finer, but never beyond `FINEST_ZOOM`; a coarser ``max_zoom`` leaves out finer tiles and
    changes none. Unless given, the coarsest zoom is one beyond the first at which the picture fits one tile's size.

    Raises:
        BoundsError: the picture is not on the map, or is next to nothing at its zoom.
    """
    if not all(abs(edge) <= HALF_MAP * (1 + 1e-9) for edge in (box.left, box.right, box.bottom, box.top)):
        raise BoundsError(
            f"{name}: lies outside the map, which ends at ±{HALF_MAP:,.0f} map units; check the bounds and --srs, or "
            "give --georef-bounds or --pixel-size in place of what the file says"
        )
    too_small = pixel_size * (1 + ENOUGH) < resolution(FINEST_ZOOM, tile)
    natural = FINEST_ZOOM if too_small else natural_zoom(pixel_size, tile)
    finest, notes = natural if max_zoom is None else max_zoom, list[str]()
    base = max(natural, finest)
    level_pixel, width, height = resolution(base, tile), box.right - box.left, box.top - box.bottom
    if min(width, height) < level_pixel * _LEAST:
        raise BoundsError(
            f"{name}: is {width:.3g} × {height:.3g} map units, next to nothing beside a pixel of zoom {base} "
            f"({level_pixel:.3g}); check the bounds or the pixel size"
        )
    if too_small and max_zoom is None:
        notes.append(
            f"its pixels of {pixel_size:.3g} map units are too small for zoom {natural}, the finest there is: it is "
            f"tiled there, with {level_pixel:.3g} map units to a pixel; is the pixel size right?"
        )
    size = max(width, height)
    fits = natural
    while fits > 0 and round(size / resolution(natural, tile)) > tile << (natural - fits):
        fits -= 1
    coarsest = min(max(fits - 1, 0), finest) if min_zoom is None else min_zoom
    if coarsest > finest:
        raise BoundsError(f"{name}: has its finest tiles at zoom {finest}; --min-zoom {min_zoom} is beyond that")
    return Pyramid(box, tile, base, coarsest, finest, tuple(notes))
