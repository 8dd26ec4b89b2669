"""What both engines agree on: which tiles a picture gets, and what its archive says of itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from affine import Affine

from cartloader_image.action_params import Png2PmtilesParams
from cartloader_image.crs import crs_name
from cartloader_image.errors import BoundsError, UsageError
from cartloader_image.kernels import door
from cartloader_image.layout import Layout
from cartloader_image.rasters.geotiff import Placed
from cartloader_image.results import ToolUse
from cartloader_image.tile_formats import TILE_FORMATS
from cartloader_image.tiles.box import map_box
from cartloader_image.tiles.encode import encoding, primary_colour
from cartloader_image.tiles.grid import Pyramid, plan_pyramid, resolution
from cartloader_image.tiles.levels import base_level, resamples
from cartloader_image.tiles.pyramid import Cutter
from cartloader_image.values import Rgb
from cartloader_image.version import __version__

_SLOWEST, _AT_LEAST = 1e5, 600
"""Pixels in a second of a tool that still works, a tenth of what it usually does; seconds that any may take."""


@dataclass(frozen=True)
class Tiled:
    """A finished, verified archive that waits in a scratch directory."""

    files: dict[str, Path]
    """What is to be published, by the suffix of its name."""
    min_zoom: int
    max_zoom: int
    tiles: int
    tools: tuple[ToolUse, ...] = ()
    notes: tuple[str, ...] = ()
    """What was decided on the way; the archive says it too."""


def plan(size: tuple[int, int], affine: Affine, crs: str, bands: int, params: Png2PmtilesParams) -> Pyramid:
    """Zooms and tiles of a picture of ``size`` (rows, columns) that an affine places in a spatial reference.

    Raises:
        BoundsError: it does not lie on the map, or nothing of it would be seen.
        UsageError: the tile format cannot show its transparency.
    """
    if Layout.of(bands).alpha and not TILE_FORMATS[params.tile_format].transparent:
        raise UsageError(
            f"--tile-format {params.tile_format}: {params.out.img_id} has transparent pixels, which "
            f"{params.tile_format.upper()} cannot show; use webp-lossy"
        )
    name = params.out.img_id
    box, pixel_size = map_box(size, affine, crs, name)
    pyramid = plan_pyramid(box, pixel_size, params.blocksize, params.min_zoom, params.max_zoom, name)
    level_pixel = resolution(pyramid.base_zoom, pyramid.tile)
    if min(box.right - box.left, box.top - box.bottom) < level_pixel and not resamples(affine, crs, params.resample):
        raise BoundsError(
            f"{name}: is less than a pixel of zoom {pyramid.base_zoom} ({level_pixel:.3g} map units), of which a warp "
            "shows nothing; check the bounds or the pixel size, or choose --resample cubic"
        )
    return pyramid


def cutting(placed: Placed, params: Png2PmtilesParams, scratch: Path, threads: int) -> tuple[Pyramid, Cutter]:
    """What the native engine cuts, and what cuts it, on so many threads.

    Raises:
        BoundsError: as `plan` does.
        UsageError: likewise.
    """
    store = placed.store
    pyramid = plan((store.height, store.width), placed.affine, placed.crs, store.bands, params)
    # What one of its bands says is not worked out three times.
    colour = placed.origin["colorize"]
    primary = primary_colour(Rgb.parse(colour) if colour else None)
    level, primary = base_level(placed, pyramid, params.resample, primary)
    encode = encoding(params.tile_format, params.tile_quality, primary, params.background)
    return pyramid, Cutter(level, pyramid, encode, scratch, threads=threads, nearest=params.resample == "near")


def timeout(params: Png2PmtilesParams, pyramid: Pyramid) -> float:
    """Seconds that a call of a program may take which makes the pyramid, or a part of it."""
    pixels = math.prod(pyramid.extent(pyramid.base_zoom).shape)
    return params.tool_timeout or _AT_LEAST + pixels / _SLOWEST


def metadata(placed: Placed, params: Png2PmtilesParams, notes: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    """What an archive says of itself beside its bounds and zooms, and ``more`` of how it was made.

    ``notes`` are those of the tiling, which follow the picture's own.
    """
    affine = placed.affine
    return {
        "name": params.out.img_id,
        "format": TILE_FORMATS[params.tile_format].extension,
        "type": "overlay",
        "tilesize": params.blocksize,
        "cartloader": {
            "version": __version__,
            "kernels": door.version(),
            "image_size": [placed.store.width, placed.store.height],
            "crs": crs_name(placed.crs),
            "affine": [affine.a, affine.b, affine.c, affine.d, affine.e, affine.f],
            "resample": params.resample,
            **placed.origin,
            "notes": [*placed.origin.get("notes", ()), *notes],
            **more,
        },
    }
