"""The placed GeoTIFF: 8-bit pixels as stored, uncompressed in tiles, with the affine and CRS that carry orientation.

Everything after it is made from this file alone, so it also carries what the tiles must say of their origin.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from affine import Affine

from cartloader.bounds import Placement
from cartloader.errors import BoundsError, InputError
from cartloader.store import TileStore

TILE = 512
"""Pixels a side; a window of the tiler touches few of them, a row of them is written at once."""

_IMAGE_DESCRIPTION, _MODEL_TRANSFORMATION, _GEO_KEYS = 270, 34264, 34735
_WEB_MERCATOR_KEYS = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 3857)
"""GeoTIFF 1.1 key directory: projected model, pixel is area, EPSG:3857."""


@dataclass(frozen=True)
class Placed:
    """An open placed GeoTIFF."""

    path: Path
    store: TileStore
    affine: Affine
    """Stored pixel corner ``(column, row)`` → map."""
    crs: str
    origin: dict[str, Any]
    """What is known of the picture: colour mode, thresholds, orientation, digest of the input."""


def create_geotiff(
    path: Path, height: int, width: int, bands: int, placement: Placement, origin: dict[str, Any]
) -> TileStore:
    """Write the header of a GeoTIFF and hand out the store of its pixels, all 0 so far.

    Raises:
        BoundsError: the spatial reference is none that PROJ knows.
    """
    affine = placement.affine
    matrix = (affine.a, affine.b, 0.0, affine.c, affine.d, affine.e, 0.0, affine.f, *(0.0,) * 7, 1.0)
    tags: list[tuple[int, int, int, Any, bool]] = [(_MODEL_TRANSFORMATION, 12, 16, matrix, True)]
    if is_web_mercator(placement.crs):
        tags.append((_GEO_KEYS, 3, len(_WEB_MERCATOR_KEYS), _WEB_MERCATOR_KEYS, True))
    tiles = -(-height // TILE) * -(-width // TILE)
    tifffile.imwrite(
        path,
        data=None,
        shape=(height, width) if bands == 1 else (height, width, bands),
        dtype=np.uint8,
        photometric="minisblack" if bands == 1 else "rgb",
        extrasamples=["unassalpha"] if bands == 4 else None,
        tile=(TILE, TILE),
        bigtiff=tiles * TILE * TILE * bands > 4_000_000_000,
        description=json.dumps({"cartloader": origin}, sort_keys=True),
        metadata=None,
        software="cartloader",
        extratags=tags,
    )
    if not is_web_mercator(placement.crs):
        _stamp_crs(path, placement.crs)
    return _open_store(path, os.O_RDWR)[0]


@contextmanager
def open_geotiff(path: Path) -> Iterator[Placed]:
    """Open a GeoTIFF that `create_geotiff` made.

    Raises:
        InputError: it is missing, or is not such a file.
    """
    try:
        store, tags = _open_store(path, os.O_RDONLY)
    except (OSError, tifffile.TiffFileError, KeyError, ValueError, IndexError) as error:
        raise InputError(f"{path}: is no GeoTIFF that cartloader wrote ({error}); import the image again") from error
    with store:
        if tags.get(_GEO_KEYS) == _WEB_MERCATOR_KEYS:
            affine, crs = Affine(*(tags[_MODEL_TRANSFORMATION][index] for index in (0, 1, 3, 4, 5, 7))), "EPSG:3857"
        else:
            affine, crs = _read_georeference(path)
        yield Placed(path, store, affine, crs, origin=json.loads(tags[_IMAGE_DESCRIPTION])["cartloader"])


def _open_store(path: Path, flags: int) -> tuple[TileStore, dict[int, Any]]:
    """The pixels of a tiled, uncompressed TIFF, and its tags by code."""
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        store = TileStore(
            descriptor=os.open(path, flags),
            offset=page.dataoffsets[0],
            height=page.imagelength,
            width=page.imagewidth,
            bands=page.samplesperpixel,
            tile=page.tilewidth,
        )
        return store, {tag.code: tag.value for tag in page.tags}


def is_web_mercator(crs: str) -> bool:
    """Whether a CRS is the map's own."""
    return bool(re.fullmatch(r"EPSG:(3857|900913)", crs.strip(), re.IGNORECASE)) or (
        crs.startswith(("PROJCS", "PROJCRS")) and re.search(r'"EPSG",\s*"?3857"?\]\]\s*$', crs) is not None
    )


def _stamp_crs(path: Path, crs: str) -> None:
    """Let GDAL write the keys of any other spatial reference: it knows them all."""
    import rasterio  # noqa: PLC0415  (0.3 s that only another spatial reference should cost)
    from rasterio.crs import CRS  # noqa: PLC0415
    from rasterio.errors import CRSError  # noqa: PLC0415

    try:
        known = CRS.from_user_input(crs)
    except CRSError:
        raise BoundsError(
            f"--srs {crs}: is no spatial reference that PROJ knows; an EPSG code such as EPSG:3857 is"
        ) from None
    with rasterio.open(path, "r+") as dataset:
        dataset.crs = known


def _read_georeference(path: Path) -> tuple[Affine, str]:
    """Affine and CRS as GDAL wrote them, which spells a plain affine in other tags."""
    import rasterio  # noqa: PLC0415  (see _stamp_crs)

    with rasterio.open(path) as dataset:
        return dataset.transform, dataset.crs.to_wkt()
