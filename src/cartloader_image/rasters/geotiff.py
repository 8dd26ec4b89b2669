"""The placed GeoTIFF: 8-bit pixels as stored, uncompressed in tiles, with the affine and CRS that carry orientation.

Everything after it is made from this file alone, so it also carries what the tiles must say of their origin.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tifffile
from affine import Affine

from cartloader_image.crs import crs_text, is_web_mercator, map_frame, short_name
from cartloader_image.errors import BoundsError, InputError
from cartloader_image.images.beside import aux_file
from cartloader_image.layout import Layout
from cartloader_image.logs import silenced
from cartloader_image.rasters.store import TileStore, stored_bytes
from cartloader_image.system.gdal import environment
from cartloader_image.system.reading import open_file

TILE = 512
"""Pixels a side; a window of the tiler touches few of them, a row of them is written at once."""
UNKNOWN_DIGEST = "?" * 64
"""Stands for a SHA-256 in the origin until `stamp`."""

_IMAGE_DESCRIPTION, _TILE_OFFSETS, _MODEL_TRANSFORMATION, _GEO_KEYS = 270, 324, 34264, 34735
_TYPES = {"<u2": 3, "<u4": 4, "<f8": 12, "<u8": 16}
"""Field types of TIFF by those of numpy."""
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


class Place(Protocol):
    """Where a picture lies."""

    @property
    def affine(self) -> Affine:
        """Stored pixel corner ``(column, row)`` → map."""

    @property
    def crs(self) -> str:
        """``EPSG:…`` or WKT."""


def create_geotiff(path: Path, height: int, width: int, bands: int, place: Place, origin: dict[str, Any]) -> TileStore:
    """Write the header of a GeoTIFF and hand out the store of its pixels, all 0 so far.

    Raises:
        BoundsError: the spatial reference is none that PROJ knows.
    """
    affine, crs = place.affine, place.crs
    matrix = (affine.a, affine.b, 0.0, affine.c, affine.d, affine.e, 0.0, affine.f, *(0.0,) * 7, 1.0)
    size, tile_bytes = pixel_bytes(height, width, bands), TILE * TILE * bands
    tiles, big = size // tile_bytes, size > 4_000_000_000
    offset_type = "<u8" if big else "<u4"
    layout = Layout.of(bands)
    tags: dict[int, Any] = {
        256: np.array([width], "<u4"),
        257: np.array([height], "<u4"),
        258: np.array([8] * bands, "<u2"),  # bits per sample
        259: np.array([1], "<u2"),  # no compression
        262: np.array([1 if layout.colours == 1 else 2], "<u2"),  # grey or RGB
        _IMAGE_DESCRIPTION: _described(origin),
        277: np.array([bands], "<u2"),  # samples per pixel
        284: np.array([1], "<u2"),  # samples of a pixel lie together
        305: "cartloader",
        322: np.array([TILE], "<u4"),
        323: np.array([TILE], "<u4"),
        _TILE_OFFSETS: np.arange(tiles).astype(offset_type) * tile_bytes,
        325: np.full(tiles, tile_bytes, "<u4"),
        **({338: np.array([2], "<u2")} if layout.alpha else {}),  # the extra sample is straight alpha
        _MODEL_TRANSFORMATION: np.array(matrix, "<f8"),
        **({_GEO_KEYS: np.array(_WEB_MERCATOR_KEYS, "<u2")} if is_web_mercator(crs) else {}),
    }
    start = len(_header(tags, big=big))
    tags[_TILE_OFFSETS] += np.array(start, offset_type)
    with path.open("wb") as file:
        file.write(_header(tags, big=big))
        file.truncate(start + size)
    if not is_web_mercator(crs):
        _stamp_crs(path, crs)
    return _open_store(path, os.O_RDWR)[0]


def stamp(path: Path, digest: str, notes: Sequence[str]) -> None:
    """Put into the origin what is known once the whole input was read: its digest and what else is to be noted.

    `create_geotiff` left room for the digest; with notes, the origin moves to the end of the file.
    """
    with tifffile.TiffFile(path, mode="r+") as file:
        description = file.pages.first.tags[_IMAGE_DESCRIPTION]
        origin = json.loads(description.value.replace(UNKNOWN_DIGEST, digest))["cartloader"]
        if notes:
            origin["notes"] = [*origin.get("notes", ()), *notes]
        description.overwrite(_described(origin))


def _described(origin: dict[str, Any]) -> str:
    return json.dumps({"cartloader": origin}, sort_keys=True)


def pixel_bytes(height: int, width: int, bands: int) -> int:
    """Bytes of the pixels of a GeoTIFF, which is nearly all of it."""
    return stored_bytes(height, width, bands, TILE)


def _header(tags: dict[int, Any], *, big: bool) -> bytes:
    """A TIFF of one directory up to its pixels (TIFF 6.0 section 2, BigTIFF); tags in ascending order.

    tifffile would write all the zeros of an empty picture.
    """
    head, number, entry, pointer = ("<2sHHHQ", "<Q", "<HHQ", "<Q") if big else ("<2sHI", "<H", "<HHI", "<I")
    inline, start = struct.calcsize(pointer), struct.calcsize(head)
    directory = struct.pack(head, b"II", *((43, 8, 0, start) if big else (42, start)))
    directory += struct.pack(number, len(tags))
    behind = start + struct.calcsize(number) + len(tags) * (struct.calcsize(entry) + inline) + inline
    values = b""
    for code, value in tags.items():
        data = value.encode() + b"\0" if isinstance(value, str) else value.tobytes()
        kind, count = (2, len(data)) if isinstance(value, str) else (_TYPES[value.dtype.str], len(value))
        directory += struct.pack(entry, code, kind, count)
        if len(data) <= inline:
            directory += data.ljust(inline, b"\0")
        else:
            directory += struct.pack(pointer, behind + len(values))
            values += data + b"\0" * (-len(data) % 16)
    return directory + bytes(inline) + values


@contextmanager
def open_geotiff(path: Path) -> Iterator[Placed]:
    """Open a GeoTIFF that `create_geotiff` made.

    Raises:
        InputError: it is missing, or is not such a file.
    """
    try:
        with silenced():
            store, tags = _open_store(path, os.O_RDONLY)
    except Exception as error:  # whatever tifffile meets in a damaged file
        raise _not_ours(path, error) from error
    with silenced(), store:
        try:
            origin = json.loads(tags[_IMAGE_DESCRIPTION])["cartloader"]
            if tags.get(_GEO_KEYS) == _WEB_MERCATOR_KEYS:
                affine, crs = Affine(*(tags[_MODEL_TRANSFORMATION][index] for index in (0, 1, 3, 4, 5, 7))), "EPSG:3857"
            else:
                affine, crs = _read_georeference(path)
        except (LookupError, TypeError, ValueError) as error:
            raise _not_ours(path, error) from error
        yield Placed(path, store, affine, crs, origin)


def _not_ours(path: Path, error: Exception) -> InputError:
    why = getattr(error, "strerror", None) or " ".join(str(error).split())
    return InputError(f"{path}: is no GeoTIFF that cartloader wrote ({why}); import the image again")


def _open_store(path: Path, flags: int) -> tuple[TileStore, dict[int, Any]]:
    """The pixels of a tiled, uncompressed TIFF, and its tags by code."""
    with open_file(path) as opened, tifffile.TiffFile(opened) as file:
        page = file.pages.first
        if not (page.is_tiled and page.compression == 1 and page.dtype == np.uint8):
            raise ValueError("its pixels are not uncompressed 8-bit tiles")
        store = TileStore(
            path=path,
            descriptor=os.open(path, flags),
            offset=page.dataoffsets[0],
            height=page.imagelength,
            width=page.imagewidth,
            bands=page.samplesperpixel,
            tile=page.tilewidth,
        )
        return store, {tag.code: tag.value for tag in page.tags}


def _stamp_crs(path: Path, crs: str) -> None:
    """Let GDAL write the keys of any other spatial reference: it knows nearly all.

    Raises:
        BoundsError: it is none, or one that a GeoTIFF cannot carry.
    """
    import rasterio  # noqa: PLC0415  (0.3 s that only another spatial reference should cost)

    map_frame(crs, f"--srs {crs}:")
    with environment(), rasterio.open(path, "r+") as dataset:
        dataset.crs = rasterio.crs.CRS.from_user_input(crs)
    if aux := aux_file(path):  # where GDAL puts what has no keys
        aux.unlink()
    with environment(), rasterio.open(path) as dataset:
        if dataset.crs is None:
            raise BoundsError(
                f"{short_name(crs)}: a GeoTIFF cannot carry this spatial reference; choose one with a code, or give "
                "--georef-bounds in EPSG:3857"
            )


def _read_georeference(path: Path) -> tuple[Affine, str]:
    """Affine and CRS as GDAL wrote them, which spells a plain affine in other tags."""
    import rasterio  # noqa: PLC0415  (see _stamp_crs)

    with environment(), rasterio.open(path) as dataset:
        if dataset.crs is None:
            raise ValueError("it has no spatial reference")
        return dataset.transform, crs_text(dataset.crs) or ""
