"""The native engine: raster → PMTiles in this process, with no tool installed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pmtiles.tile import TileType

from cartloader_image.action_params import Png2PmtilesParams
from cartloader_image.engines.common import Tiled, metadata, plan
from cartloader_image.kernels import door
from cartloader_image.rasters.geotiff import Placed
from cartloader_image.report import Report, Stage
from cartloader_image.system.files import flush
from cartloader_image.system.parallel import cores
from cartloader_image.tile_formats import TILE_FORMATS
from cartloader_image.tiles.archive import ArchiveWriter
from cartloader_image.tiles.encode import encoding, primary_colour
from cartloader_image.tiles.levels import base_level
from cartloader_image.tiles.pyramid import Cutter
from cartloader_image.tiles.verify import prove
from cartloader_image.values import Rgb


def tile(placed: Placed, params: Png2PmtilesParams, scratch: Path, report: Report) -> Tiled:
    """Cut all tiles and write them as one verified archive.

    Raises:
        ArchiveError: no pixel of the picture is visible.
    """
    report.detail(f"kernels: {door.state()}")
    store, archive = placed.store, scratch / "picture.pmtiles"
    pyramid = plan((store.height, store.width), placed.affine, placed.crs, store.bands, params)
    # What one of its bands says is not worked out three times.
    colour = placed.origin["colorize"]
    primary = primary_colour(Rgb.parse(colour) if colour else None)
    level, primary = base_level(placed, pyramid, params.resample, primary)
    encode = encoding(params.tile_format, params.tile_quality, primary, params.background)
    cutter = Cutter(level, pyramid, encode, scratch, threads=cores(), nearest=params.resample == "near")
    writer, done, total = ArchiveWriter(scratch), 0, pyramid.tile_count()
    try:
        for count in cutter.tiles(writer.add):
            done += count
            report.check()
            report.progress(Stage.PNG2PMTILES, done, total)
        form = TileType(TILE_FORMATS[params.tile_format].tile_type)
        count = writer.finish(archive, form, pyramid.box, metadata(placed, params, pyramid.notes), cores())
    finally:
        writer.close()
    with ThreadPoolExecutor(1) as aside:
        flushed = aside.submit(flush, archive)  # while it is read back
        prove(archive, count)
        flushed.result()
    for note in pyramid.notes:
        report.note(note)
    return Tiled({".pmtiles": archive}, pyramid.min_zoom, pyramid.max_zoom, count, notes=pyramid.notes)
