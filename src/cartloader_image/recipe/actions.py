"""The five actions: parameters in, files and a small result out. The whole recipe, top to bottom."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from cartloader_image.action_params import (
    CheckPointsParams,
    GeoreferenceParams,
    Ome2PngParams,
    OutputPrefix,
    Png2PmtilesParams,
    RasterParams,
    UpdateCatalogParams,
)
from cartloader_image.catalog import update as catalog
from cartloader_image.catalog.assets import write_assets
from cartloader_image.drawing import draw_caption
from cartloader_image.engines import gdal, native
from cartloader_image.errors import OverlayError
from cartloader_image.images.plane import Plane
from cartloader_image.images.source import Source
from cartloader_image.images.spool import Spooled
from cartloader_image.intensity import Rescale, Thresholds, find_thresholds, needs_statistics
from cartloader_image.layout import Pixels
from cartloader_image.overlay.check import IncomparableError, compare
from cartloader_image.placing.placement import Placement
from cartloader_image.points.table import read_points
from cartloader_image.rasters.geotiff import UNKNOWN_DIGEST, create_geotiff, open_geotiff, stamp
from cartloader_image.rasters.png import Band, PngWriter, band_rows, deflate_band
from cartloader_image.rasters.store import TileStore
from cartloader_image.recipe.opened import opened, suited
from cartloader_image.report import Report, Stage, quiet, waiting
from cartloader_image.results import CatalogResult, OverlayResult, RasterResult, TilesResult
from cartloader_image.system.files import flush, publish, sha256, workspace, write_whole
from cartloader_image.system.parallel import at_work, cores, in_order
from cartloader_image.system.tools import RunTool, run_with_retries
from cartloader_image.window import Window, windows

T = TypeVar("T")


def ome2png(params: Ome2PngParams, report: Report = quiet) -> RasterResult:
    """One plane of a TIFF → a placed 8-bit GeoTIFF and, where asked, a PNG with its bounds and colour mode.

    Raises:
        CartloaderError: the input or the options are at fault; no file is left half-written.
    """
    return _convert(params, Stage.OME2PNG, report, png=params.png)


def georeference(params: GeoreferenceParams, report: Report = quiet) -> RasterResult:
    """A plain picture → a placed 8-bit GeoTIFF.

    Raises:
        CartloaderError: the input or the options are at fault; no file is left half-written.
    """
    return _convert(params, Stage.GEOREFERENCE, report, png=False)


def png2pmtiles(params: Png2PmtilesParams, report: Report = quiet, run_tool: RunTool = run_with_retries) -> TilesResult:
    """The placed GeoTIFF of an image → its verified PMTiles archive and its asset JSON.

    Args:
        params: What is made from what, and how.
        report: Gets progress and notes.
        run_tool: Who carries out the calls of ``--engine gdal`` and those of ``--shards``, with their attempts.

    Raises:
        CartloaderError: the GeoTIFF is missing or its picture cannot be tiled.
    """
    with at_work(), _workspace(params.out, report) as scratch, open_geotiff(params.out.path(".geotif.tif")) as placed:
        tile = gdal.tile if params.chosen_engine == "gdal" else native.tile
        tiled = tile(placed, params, scratch, report, run_tool)
        drafts = dict(tiled.files)
        size = drafts[".pmtiles"].stat().st_size
        if params.preview:
            drafts[".preview.png"] = scratch / "preview.png"
            draw_caption(drafts[".pmtiles"], params.out.img_id).save(drafts[".preview.png"])
        else:
            params.out.path(".preview.png").unlink(missing_ok=True)  # it would show another archive
        for file in params.out.overlay_files:
            file.unlink(missing_ok=True)
        for suffix, draft in drafts.items():
            publish(draft, params.out.path(suffix))
    archive, *others = (params.out.path(suffix) for suffix in drafts)
    return TilesResult(
        files=(archive, *write_assets(params.out), *others),
        min_zoom=tiled.min_zoom,
        max_zoom=tiled.max_zoom,
        tiles=tiled.tiles,
        size=size,
        tools=tiled.tools,
        notes=tiled.notes,
    )


def check_points(params: CheckPointsParams, report: Report = quiet) -> OverlayResult:
    """The finished archive of an image, and points → whether it lies under them, and a picture of that.

    Raises:
        InputError: the points cannot be read.
        ArchiveError: there is no archive, or a damaged one.
        OverlayError: it clearly does not lie under them, with ``overlay_strict``; there are no files then.
    """
    archive, points, files = params.out.path(".pmtiles"), params.check_points, params.out.overlay_files
    with at_work(), _workspace(params.out, report) as scratch:
        for file in files:
            file.unlink(missing_ok=True)
        report.progress(Stage.CHECK_POINTS, 0, 1)
        places = read_points(points, report)
        try:
            found = compare(archive, points, places)
            lies, text, advice, said = found.lies, found.finding, found.advice, found.as_json()
        except IncomparableError as error:
            lies, text, advice, said = error.lies, error.words, "", {}
        misfit = (
            f"does not lie under {points.name}: {'; '.join(filter(None, (text, advice)))}" if lies == "wrong" else ""
        )
        if misfit and params.overlay_strict:
            raise OverlayError(f"{archive}: {misfit}")
        record = {"archive": archive.name, "points": points.name, "lies": lies, "text": text} | said
        draw_caption(archive, params.out.img_id, points=places).save(scratch / "overlay.png")
        publish(scratch / "overlay.png", files[1])
        write_whole(files[0], json.dumps(record, indent=2, ensure_ascii=False) + "\n")
        report.progress(Stage.CHECK_POINTS, 1, 1)
    notes = (f"it {misfit}",) if misfit else ()
    for note in notes:
        report.note(note)
    return OverlayResult(files=files, points=points.name, lies=lies, text=text, said=said, notes=notes)


def update_catalog(params: UpdateCatalogParams, report: Report = quiet) -> CatalogResult:
    """Finished archives → the catalog that lists them.

    Raises:
        CatalogError: the catalog is none, or an archive is missing.
    """
    return catalog.update(params, report)


def _workspace(out: OutputPrefix, report: Report) -> AbstractContextManager[Path]:
    """The image's workspace; a run that waits for another one of the same image says so."""
    return workspace(out, waiting(report, f"another run at work on {out.path('')}"))


def _convert(params: RasterParams, stage: Stage, report: Report, *, png: bool) -> RasterResult:
    """Decode, rescale and place one plane; everything is written before anything appears."""
    with (
        at_work(),
        opened(params) as image,
        ThreadPoolExecutor(1) as aside,
        _workspace(params.out, report) as scratch,
        ExitStack() as files_open,
    ):
        digest = aside.submit(sha256, params.in_img)
        source, placement = image.source, image.placement
        plane = source.plane
        params = suited(params, source)
        report.describe(image.description)
        for note in image.notes:
            report.note(note)
        tif = scratch / "picture.tif"
        drafts = {".geotif.tif": tif}
        with _read_once(plane, params, scratch) as kept:

            def over_blocks(stage: Stage, work: Callable[[Pixels], T]) -> Iterator[T]:
                return _each(kept, lambda _, pixels: work(pixels), stage, report)

            thresholds = find_thresholds(plane.dtype, plane.layout.colours, params, over_blocks, masked=plane.masked)
            rescale = Rescale(plane.dtype, plane.layout, thresholds, params)
            stored_thresholds = thresholds.stored(source.stretch)
            placing = placement.receipt.record(placement.affine)
            origin = _origin(params, placement, stored_thresholds, rescale, plane)
            origin |= {"placing": placing.model_dump(exclude={"affine"}, exclude_none=True), "notes": image.notes}
            store = files_open.enter_context(
                create_geotiff(tif, plane.height, plane.width, rescale.layout.bands, placement, origin)
            )

            def convert(window: Window, pixels: Pixels) -> None:
                store.write(window.row0, window.column0, rescale(pixels))

            for _ in _each(kept, convert, stage, report):
                pass
        found = source.found()
        for note in found:
            report.note(note)
        stamp(tif, digest.result(), found)
        flushed = aside.submit(flush, tif)  # while the PNG is made
        if png:
            drafts[".transform.png"] = scratch / "picture.png"
            _write_png(store, drafts[".transform.png"], report)
        flushed.result()
        for suffix, path in drafts.items():
            publish(path, params.out.path(suffix))
        texts = {"bounds": str(placement.bounds), "affine": placing.rows, "color": rescale.mode} if png else {}
        for suffix, text in texts.items():
            write_whole(params.out.path(f".transform.{suffix}.csv"), text + "\n")
    return RasterResult(
        files=params.out.raster_files(png=png),
        description=image.description,
        shown=_shown(stored_thresholds, source),
        notes=(*image.notes, *found),
        placing=placing,
    )


@contextmanager
def _read_once(plane: Plane, params: RasterParams, scratch: Path) -> Iterator[Plane]:
    """The plane itself or, where its pixels are needed twice and cost something, one that decodes them once."""
    if plane.stored or not needs_statistics(plane.dtype, params):
        yield plane
        return
    with Spooled(plane, None if params.high_memory else scratch) as kept:
        yield kept


def _each(plane: Plane, work: Callable[[Window, Pixels], T], stage: Stage, report: Report) -> Iterator[T]:
    """What ``work`` makes of each block of a plane, read and worked on by all cores where the file allows."""

    def one(item: tuple[Window, Pixels | None]) -> tuple[Window, T]:
        window, pixels = item
        return window, work(window, plane.read(window) if pixels is None else pixels)

    # Where it does not, blocks are read here, one after the other.
    in_turn = not plane.concurrent
    blocks = windows(plane.height, plane.width, plane.block)
    items = ((window, plane.read(window) if in_turn else None) for window in blocks)
    done, total = 0, plane.height * plane.width
    for window, result in in_order(one, items, cores()):
        yield result
        done += math.prod(window.shape)
        report.check()
        report.progress(stage, done, total)


def _write_png(store: TileStore, path: Path, report: Report) -> None:
    """The deliverable PNG, from the pixels of the GeoTIFF, band by band on all cores."""

    def band(window: Window) -> Band:
        above = max(window.row0 - 1, 0)
        rows = store.read(Window(above, window.row1, 0, store.width))
        return deflate_band(rows[window.row0 - above :], rows[0] if window.row0 else None)

    bands = list(windows(store.height, store.width, (band_rows(store.width, store.bands), store.width)))
    with PngWriter(path, store.height, store.width, store.bands) as png:
        for window, deflated in zip(bands, in_order(band, bands, cores()), strict=True):
            png.write(deflated)
            report.check()
            report.progress(Stage.PNG, window.row1, store.height)


def _shown(thresholds: Thresholds, source: Source) -> str:
    dtype = source.plane.dtype
    top = f" of {np.iinfo(dtype).max / source.stretch:,.0f}" if dtype.kind == "u" else ""
    low_high, _, because = str(thresholds).partition(" (")
    return low_high + top + (f" ({because}" if because else "")


def _origin(
    params: RasterParams, placement: Placement, thresholds: Thresholds, rescale: Rescale, plane: Plane
) -> dict[str, Any]:
    """What the tiles should still know of the picture, for their metadata."""
    return {
        "color_mode": rescale.mode,
        "um_per_pixel": list(placement.pixel_size),
        "thresholds": {"low": thresholds.low.value, "high": thresholds.high.value, "dtype": str(plane.dtype)},
        "colorize": str(params.colorize) if params.colorize else None,
        "transparent_below": params.transparent_below,
        "alpha": params.alpha,
        "nodata": params.nodata,
        "offset": [params.georef_offset_x, params.georef_offset_y],
        "input_sha256": UNKNOWN_DIGEST,
        "orientation": {
            "rotate": params.rotate or 0,
            "flip_vertical": params.flip_vertical,
            "flip_horizontal": params.flip_horizontal,
            "frame": params.orient_frame,
        },
    }
