"""The native engine: raster → PMTiles in this process, with no tool installed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from affine import Affine

from cartloader import __version__
from cartloader.errors import UsageError
from cartloader.files import flush
from cartloader.geotiff import Placed
from cartloader.parallel import cores
from cartloader.params import Png2PmtilesParams
from cartloader.report import Report
from cartloader.tiles.archive import ArchiveWriter, verify
from cartloader.tiles.encode import FORMATS, encoding, primary_colour
from cartloader.tiles.grid import Pyramid, plan_pyramid
from cartloader.tiles.levels import Level, Resampled, Warped, map_box, resamples
from cartloader.tiles.pyramid import Cutter


def plan(size: tuple[int, int], affine: Affine, crs: str, bands: int, params: Png2PmtilesParams) -> Pyramid:
    """Zooms and tiles of a picture of ``size`` (rows, columns) that an affine places in a spatial reference.

    Raises:
        BoundsError: it does not lie on the map.
        UsageError: the tile format cannot show its transparency.
    """
    if params.tile_format == "jpeg" and bands == 4:
        raise UsageError(
            f"--tile-format jpeg: {params.out.img_id} has transparent pixels, which JPEG cannot show; use webp-lossy"
        )
    box, pixel_size = map_box(size, affine, crs)
    return plan_pyramid(box, pixel_size, params.blocksize, params.min_zoom, params.max_zoom, params.out.img_id)


def tile(
    placed: Placed, params: Png2PmtilesParams, archive: Path, scratch: Path, report: Report
) -> tuple[Pyramid, int]:
    """Cut all tiles and write them as one verified archive; returns its pyramid and number of tiles.

    Raises:
        ArchiveError: no pixel of the picture is visible.
    """
    store, form = placed.store, FORMATS[params.tile_format]
    pyramid = plan((store.height, store.width), placed.affine, placed.crs, store.bands, params)
    # What one of its bands says is not worked out three times.
    primary = primary_colour(placed.origin["colorize"])
    level: Level
    if resamples(placed.affine, placed.crs, params.resample):
        level = Resampled(placed, pyramid, params.resample, primary)
    else:
        level, primary = Warped(placed, pyramid, params.resample), None
    encode = encoding(params.tile_format, params.tile_quality, primary)
    cutter = Cutter(level, pyramid, encode, scratch, threads=cores(), nearest=params.resample == "near")
    writer, total = ArchiveWriter(scratch), pyramid.tile_count()
    try:
        for done, made in enumerate(cutter.tiles(), start=1):
            if made is not None:
                writer.add(made)
            report.progress("png2pmtiles", done, total)
        count = writer.finish(archive, form.tile_type, pyramid.box, _metadata(placed, params, form.media), cores())
    finally:
        writer.close()
    with ThreadPoolExecutor(1) as aside:
        flushed = aside.submit(flush, archive)  # while it is read back
        verify(archive, count, cores())
        flushed.result()
    return pyramid, count


def _metadata(placed: Placed, params: Png2PmtilesParams, media: str) -> dict[str, Any]:
    """What the archive says of itself beside its bounds and zooms."""
    affine = placed.affine
    return {
        "name": params.out.img_id,
        "format": media,
        "type": "overlay",
        "tilesize": params.blocksize,
        "cartloader": {
            "version": __version__,
            "image_size": [placed.store.width, placed.store.height],
            "crs": placed.crs if placed.crs.startswith("EPSG") else "WKT",
            "affine": [affine.a, affine.b, affine.c, affine.d, affine.e, affine.f],
            "resample": params.resample,
            **placed.origin,
        },
    }
