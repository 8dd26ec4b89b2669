"""The native engine: raster → PMTiles in this process, with no tool installed."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from pmtiles.tile import TileType

from cartloader_image.action_params import Png2PmtilesParams
from cartloader_image.engines.common import Tiled, cutting, metadata
from cartloader_image.engines.shards import Shards, count_of
from cartloader_image.kernels import door
from cartloader_image.rasters.geotiff import Placed
from cartloader_image.report import Report, Stage
from cartloader_image.system.files import flush
from cartloader_image.system.parallel import cores
from cartloader_image.system.tools import RunTool
from cartloader_image.tile_formats import TILE_FORMATS
from cartloader_image.tiles.archive import ArchiveWriter
from cartloader_image.tiles.verify import prove


def tile(placed: Placed, params: Png2PmtilesParams, scratch: Path, report: Report, run_tool: RunTool) -> Tiled:
    """Cut all tiles and write them as one verified archive; ``run_tool`` carries out what processes of their own do.

    Raises:
        ArchiveError: no pixel of the picture is visible.
        ToolError: a shard failed.
    """
    report.detail(f"kernels: {door.state()}")
    archive = scratch / "picture.pmtiles"
    pyramid, cutter = cutting(placed, params, scratch, cores())
    writer, done, total = ArchiveWriter(scratch), 0, pyramid.tile_count()
    shards = Shards(count_of(params, pyramid), placed.path, params, pyramid, scratch)

    def steps() -> Generator[int, None, None]:
        if shards.count > 1:
            yield from shards.cut(writer, report, run_tool)
            yield from cutter.rest(writer.add)
        else:
            yield from cutter.tiles(writer.add)

    with closing(writer), closing(steps()) as work:
        for some in work:
            done += some
            report.check()
            report.progress(Stage.PNG2PMTILES, done, total)
        form = TileType(TILE_FORMATS[params.tile_format].tile_type)
        count = writer.finish(archive, form, pyramid.box, metadata(placed, params, pyramid.notes), cores())
    with ThreadPoolExecutor(1) as aside:
        flushed = aside.submit(flush, archive)  # while it is read back
        prove(archive, count)
        flushed.result()
    for note in pyramid.notes:
        report.note(note)
    return Tiled({".pmtiles": archive}, pyramid.min_zoom, pyramid.max_zoom, count, tuple(shards.uses), pyramid.notes)
