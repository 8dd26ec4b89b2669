"""The gdal engine: raster → PMTiles by the command-line tools of GDAL and go-pmtiles.

What is called is said in `cartloader_image.engines.gdal_calls`; here the calls are made in a scratch directory, and
``gdalinfo -json`` checks each step.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine

from cartloader_image.action_params import Png2PmtilesParams
from cartloader_image.engines.common import Tiled, metadata, plan
from cartloader_image.engines.gdal_calls import ARCHIVE, BASE, PICTURE, PLACED, TILES, Recipe, laid_straight
from cartloader_image.engines.toolbox import toolbox
from cartloader_image.errors import ArchiveError, ToolError
from cartloader_image.rasters.geotiff import Placed, create_geotiff
from cartloader_image.report import Report, Stage
from cartloader_image.results import ToolUse
from cartloader_image.system.gdal import environment
from cartloader_image.system.parallel import cores, in_order
from cartloader_image.system.tools import Finished, RunTool, ToolCall
from cartloader_image.tiles.archive import NOTHING_VISIBLE, extent_metadata
from cartloader_image.tiles.levels import Warped
from cartloader_image.tiles.pyramid import CHUNK_PIXELS
from cartloader_image.tiles.resampling import straight
from cartloader_image.tiles.verify import prove
from cartloader_image.window import Window


def tile(placed: Placed, params: Png2PmtilesParams, scratch: Path, report: Report, run_tool: RunTool) -> Tiled:
    """Run the recipe; ``run_tool`` carries out each call with its attempts.

    Raises:
        ArchiveError: no pixel of the picture is visible.
        ToolError: a tool is missing, fails, or makes something else than it should.
    """
    store = placed.store
    size = store.height, store.width
    pyramid = plan(size, placed.affine, placed.crs, store.bands, params)
    laid_size, affine, bands = laid_straight(size, placed.affine, placed.crs, store.bands, pyramid)
    recipe = Recipe(toolbox(params), params, laid_size, affine, placed.crs, pyramid, scratch)
    uses: list[ToolUse] = []

    def do(call: ToolCall) -> Finished:
        finished = run_tool(call, report)
        uses.append(finished.use)
        return finished

    def look(name: str) -> dict[str, Any]:
        return _read_info(do(recipe.look(name)), name)

    if affine == placed.affine:
        (scratch / PICTURE).symlink_to(placed.path.absolute())
    else:
        _lay_straight(Warped(placed, pyramid, params.resample), recipe, bands, report)
    do(recipe.place())
    (scratch / PICTURE).unlink()
    if recipe.fitted.b or recipe.fitted.d:
        _turn(scratch / PLACED, recipe.fitted)
    _check_placed(look(PLACED), recipe, bands)
    do(recipe.cut())
    zoom = _zoom_of(look(BASE))
    (scratch / PLACED).unlink()
    notes = pyramid.notes
    if zoom > pyramid.min_zoom:
        notes += _coarsen(recipe, zoom, do)
        if _zoom_of(look(TILES)) != zoom:
            raise ToolError(f"gdaladdo: its tiles are not at zoom {zoom} any more; is another program at work there?")
        (scratch / BASE).unlink()
    else:
        (scratch / BASE).rename(scratch / TILES)
    tools = {"engine": "gdal", "tools": recipe.toolbox.versions}
    counts = _mark(scratch / TILES, recipe, metadata(placed, params, notes, **tools))
    do(recipe.convert())
    prove(scratch / ARCHIVE, sum(counts.values()))
    files = {".pmtiles": scratch / ARCHIVE, ".pmtiles.mbtiles": scratch / TILES}
    for note in notes:
        report.note(note)
    return Tiled(files, min(counts), max(counts), sum(counts.values()), tuple(uses), notes)


def _lay_straight(level: Warped, recipe: Recipe, bands: int, report: Report) -> None:
    """Write the picture as GDAL's warper lays it on the pixels of its finest zoom."""
    extent = recipe.pyramid.extent(recipe.pyramid.base_zoom)
    chunks = [Window.cell(*place, CHUNK_PIXELS).intersect(extent) for place in extent.cells(CHUNK_PIXELS).places()]
    with create_geotiff(recipe.folder / PICTURE, *recipe.size, bands, recipe, {}) as store:

        def warp(chunk: Window) -> None:
            place = chunk.relative_to(extent)
            store.write(place.row0, place.column0, straight(level.read(chunk)))

        for done, _ in enumerate(in_order(warp, chunks, cores()), start=1):
            report.check()
            report.progress(Stage.PLACING, done, len(chunks))


def _coarsen(recipe: Recipe, zoom: int, do: Callable[[ToolCall], Finished]) -> tuple[str, ...]:
    """Make all zooms that are coarser than ``zoom``, in as many calls as gdaladdo needs; gives notes about it."""
    do(recipe.coarsen(zoom - recipe.pyramid.min_zoom))
    before = zoom + 1
    coarsest, columns, rows = _coarsest(recipe.folder / TILES)
    while recipe.pyramid.min_zoom < coarsest < before:
        before = coarsest
        do(recipe.coarsen_once(coarsest, columns, rows))
        coarsest, columns, rows = _coarsest(recipe.folder / TILES)
    if coarsest == recipe.pyramid.min_zoom:
        return ()
    return (f"gdaladdo finds nothing to show beyond zoom {coarsest}: the picture is too small there",)


def _read_info(finished: Finished, name: str) -> dict[str, Any]:
    try:
        info: dict[str, Any] = json.loads(finished.output)
    except ValueError as error:
        raise ToolError(f"gdalinfo: what it says of {name} is no JSON ({error})") from error
    return info


def _turn(path: Path, affine: Affine) -> None:
    """Give the picture its orientation, which ``-a_ullr`` cannot express."""
    import rasterio  # noqa: PLC0415  (0.5 s that only this engine should cost)

    with environment(), rasterio.open(path, "r+") as dataset:
        dataset.transform = affine


def _check_placed(info: dict[str, Any], recipe: Recipe, bands: int) -> None:
    """Hold the placed GeoTIFF against the picture."""
    x, across, over, y, down, along = info["geoTransform"]
    wanted = np.array(recipe.fitted[:6]).reshape(2, 3)
    found = np.array([[across, over, x], [down, along, y]])
    pixel = np.abs(wanted[:, :2]).max()
    for what, expected, is_so in (
        ("size", f"{recipe.size[1]} × {recipe.size[0]}", info["size"] == [recipe.size[1], recipe.size[0]]),
        ("bands", f"{bands} of bytes", [band["type"] for band in info["bands"]] == ["Byte"] * bands),
        ("place", str(wanted.tolist()), bool(np.abs(found - wanted).max() <= pixel / 1000)),
    ):
        if not is_so:
            raise ToolError(f"gdal_translate: the {what} of the GeoTIFF should be {expected}; gdalinfo tells another")


def _zoom_of(info: dict[str, Any]) -> int:
    """The zoom of the finest tiles."""
    try:
        return int(info["metadata"][""]["ZOOM_LEVEL"])
    except (LookupError, ValueError) as error:
        raise ToolError("gdalinfo: finds no zoom in the tiles that were made") from error


def _coarsest(path: Path) -> tuple[int, range, range]:
    """The coarsest zoom of the tiles, and its columns and rows."""
    with closing(sqlite3.connect(path)) as database:
        zoom, left, right, low, high = database.execute(
            "SELECT zoom_level, min(tile_column), max(tile_column), min(tile_row), max(tile_row) FROM tiles "
            "GROUP BY zoom_level ORDER BY zoom_level LIMIT 1"
        ).fetchone() or (0, 0, 0, 0, 0)
    return zoom, range(left, right + 1), range(low, high + 1)


def _mark(path: Path, recipe: Recipe, archive_metadata: dict[str, Any]) -> dict[int, int]:
    """Leave out the zooms that are not asked for, and write what the archive is to say of itself.

    go-pmtiles takes bounds, centre and zooms of the header from the rows, the metadata from the row ``json``.

    Returns:
        The number of tiles by zoom.

    Raises:
        ArchiveError: there is no tile at all.
    """
    pyramid = recipe.pyramid
    with closing(sqlite3.connect(path)) as database:
        trims = pyramid.max_zoom < pyramid.base_zoom
        if trims:
            database.execute("DELETE FROM tiles WHERE zoom_level > ?", (pyramid.max_zoom,))
        counts = dict(database.execute("SELECT zoom_level, count(*) FROM tiles GROUP BY zoom_level"))
        if not counts and trims:
            raise ToolError(
                f"gdaladdo finds nothing to show at zoom {pyramid.max_zoom}: the picture is too small there; choose a "
                "finer --max-zoom, or --engine native"
            )
        if not counts:
            raise ArchiveError(NOTHING_VISIBLE)
        extent = extent_metadata(min(counts), max(counts), pyramid.box)
        rows = {name: archive_metadata[name] for name in ("name", "type", "format")} | extent
        rows["json"] = json.dumps({**archive_metadata, **extent})
        database.execute("DELETE FROM metadata")
        database.executemany("INSERT INTO metadata VALUES (?, ?)", [(name, str(value)) for name, value in rows.items()])
        database.commit()
        if trims:
            database.execute("VACUUM")
    return counts
