"""What an import would do, before it does it: steps, zooms, tiles, disk and memory.

Zooms and tiles follow from the placement. Disk and memory are those of the largest moment: files are written whole
before they appear, so that they stand beside those that they replace, and scratch files beside both.
"""

from __future__ import annotations

import math
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cartloader_image.action_params import GeoreferenceParams, Ome2PngParams, Png2PmtilesParams, subset
from cartloader_image.catalog.update import check_archive
from cartloader_image.engines import gdal
from cartloader_image.engines.common import plan as plan_tiles
from cartloader_image.engines.toolbox import toolbox
from cartloader_image.errors import BoundsError, DiskError, InputError, UsageError
from cartloader_image.intensity import rescaled_bands
from cartloader_image.placing.placement import Placement
from cartloader_image.rasters.geotiff import pixel_bytes
from cartloader_image.recipe import actions
from cartloader_image.recipe.footprint import (
    PROCESS,
    Looks,
    Range,
    Shares,
    memory,
    spooled_bytes,
    tool_memory,
    usual_shares,
)
from cartloader_image.recipe.job import ImageJob
from cartloader_image.recipe.outputs import asset_files, raster_files
from cartloader_image.recipe.run import raster_params
from cartloader_image.report import Report, quiet
from cartloader_image.system.tools import ToolCall
from cartloader_image.tiles.encode import primary_colour
from cartloader_image.tiles.grid import Pyramid
from cartloader_image.tiles.levels import resamples
from cartloader_image.tiles.pyramid import kept_pixels

_MB = 1_000_000
_NOTHING = Range(0, 0)


@dataclass(frozen=True)
class Step:
    """An action and the files that it writes; None for those of a few bytes."""

    action: str
    files: tuple[tuple[Path, Range | None], ...]


@dataclass(frozen=True)
class ImportPlan:
    """What the import of one image takes."""

    job: ImageJob
    steps: tuple[Step, ...]
    description: str = ""
    pyramid: Pyramid | None = None
    exact: bool = True
    """Whether each tile of the pyramid is stored; one that turns out to be transparent is not."""
    disk: Range = _NOTHING
    """Bytes at the largest moment."""
    certain: int = 0
    """Bytes of it that do not depend on how the picture compresses."""
    memory: int = 0
    """Bytes of the process, and of the tool that it runs, at the largest moment."""
    calls: tuple[ToolCall, ...] = ()
    """The tools that will be called to make something."""
    notes: tuple[str, ...] = ()
    """What will be guessed or mended."""

    @property
    def free(self) -> int:
        """Bytes that the disk of the output directory has left."""
        there = self.job.out.out_dir.absolute()
        while not there.exists():
            there = there.parent
        return shutil.disk_usage(there).free

    def check_disk(self, report: Report = quiet) -> None:
        """Make sure that the disk can hold the import; a note says where that depends on the picture.

        Raises:
            DiskError: it certainly cannot.
        """
        out, free = self.job.out, self.free
        if free < self.certain:
            raise DiskError(
                f"--out-dir {out.out_dir}: {out.img_id} needs more than {self.certain / _MB:,.0f} MB while it is "
                f"imported, and {free / _MB:,.0f} MB are free; make room or choose another disk"
            )
        if free < self.disk.high:
            needed = f"{self.disk.low / _MB:,.0f} to {self.disk.high / _MB:,.0f} MB"
            report.note(f"{out.out_dir} has {free / _MB:,.0f} MB free, and this import needs {needed}")


def plan_import(job: ImageJob, *, look: bool = False) -> ImportPlan:
    """Open the image, place it, and work out what its import takes.

    Args:
        job: The import.
        look: Read a few pixels, to say more closely how large the compressed files become, or the archive to list.

    Raises:
        CartloaderError: the input or the options are at fault.
    """
    if job.fault:
        raise InputError(job.fault)
    params = raster_params(job)
    catalog = [Step("update_catalog", ((job.catalog, None),))] if job.options.update_catalog else []
    if params is None:
        if look:
            check_archive(job.out.path(".pmtiles"))
        return ImportPlan(job, tuple(catalog), notes=job.notes)
    with ExitStack() as opened:
        try:
            source, placement = opened.enter_context(actions.opened(params))
        except BoundsError as error:
            if not job.options.georeference or job.options.names_a_source or isinstance(params, Ome2PngParams):
                raise
            raise UsageError(f"--georeference: {error}") from None
        params = actions.suited(params, source)
        plane, size = source.plane, (source.plane.height, source.plane.width)
        looks = Looks(plane, params) if look else None
        bands = rescaled_bands(plane.colours, plane.alpha, params)
        first, first_disk = _first_step(params, size, bands, looks.png() if looks else usual_shares("png"))
        tiling = _tiling(job, size, bands, placement, looks, params.colorize) if job.options.png2pmtiles else None
        tif, spool = pixel_bytes(*size, bands), 0 if params.high_memory else spooled_bytes(plane, params)
        needs = [Range.of(tif + spool), first_disk + tiling.disk if tiling else first_disk]
        reads_by_gdal, warps = not isinstance(params, Ome2PngParams), tiling is not None and tiling.warps
        pyramid, worked = (tiling.pyramid, tiling.bands) if tiling else (None, bands)
        cut_here = None if tiling and tiling.calls else pyramid
        here = memory(plane, params, worked, cut_here, gdal=reads_by_gdal, warps=warps)
        return ImportPlan(
            job=job,
            description=actions.described(source, placement),
            steps=(first, *([tiling.step] if tiling else []), *catalog),
            pyramid=pyramid,
            # Upper-left halving may lose the last row or column of an odd number.
            exact=bands < 4 and resamples(placement.affine, placement.crs, "cubic") and job.options.resample != "near",
            disk=Range(max(need.low for need in needs), max(need.high for need in needs)),
            certain=tif + max(spool, tiling.scratch if tiling else 0),
            memory=max(here, PROCESS + tiling.tool_memory) if tiling else here,
            calls=tiling.calls if tiling else (),
            notes=(*job.notes, *source.notes, *placement.notes, *(pyramid.notes if pyramid else ())),
        )


@dataclass(frozen=True)
class _Tiling:
    """What png2pmtiles will do."""

    step: Step
    pyramid: Pyramid
    disk: Range
    """Bytes beside the GeoTIFF."""
    scratch: int
    """Bytes of it that are kept uncompressed between passes."""
    warps: bool
    """Whether GDAL's warper has to do it."""
    bands: int
    """Bands that are worked on, which need not be those of the picture."""
    tool_memory: int = 0
    """Bytes of the largest tool, 0 where none is used."""
    calls: tuple[ToolCall, ...] = ()


def _tiling(
    job: ImageJob, size: tuple[int, int], bands: int, placement: Placement, looks: Looks | None, colour: str | None
) -> _Tiling:
    cut = subset(Png2PmtilesParams, job.options, out=job.out)
    pyramid = plan_tiles(size, placement.affine, placement.crs, bands, cut)
    warps = not resamples(placement.affine, placement.crs, cut.resample)
    shares = looks.tiles(cut, pyramid, size) if looks else usual_shares(cut.tile_format)
    pixels = sum(math.prod(pyramid.extent(zoom).shape) for zoom in pyramid.zooms)
    archive, scratch = Range.of(bands * pixels, shares, pyramid.tile_count()), kept_pixels(pyramid) * bands
    files = ((job.out.path(".pmtiles"), archive), *((file, None) for file in asset_files(job.out)))
    if cut.chosen_engine == "gdal":
        # A missing tool is told before the picture is decoded.
        tools = toolbox(cut)
        recipe = gdal.Recipe(tools, cut, size, placement.affine, placement.crs, pyramid, job.out.out_dir)
        copy = pixel_bytes(*size, bands)
        return _Tiling(
            step=Step("png2pmtiles", ((job.out.path(".pmtiles.mbtiles"), archive), *files)),
            pyramid=pyramid,
            # The copy that GDAL places beside the first tiles; then all tiles, and the archive twice over.
            disk=max(Range.of(copy) + archive, archive + archive + archive, key=lambda moment: moment.high),
            scratch=copy,
            warps=False,
            bands=bands,
            tool_memory=tool_memory(size, bands, pyramid),
            calls=tuple(recipe.calls()),
        )
    worked = bands
    if warps:  # with alpha
        worked = 2 if bands == 1 else 4
    elif primary_colour(colour):  # as grey
        worked = 1 + bands // 4
    return _Tiling(
        step=Step("png2pmtiles", files),
        pyramid=pyramid,
        disk=archive + archive + Range.of(scratch),  # the tiles are spooled zoom by zoom, then joined
        scratch=scratch,
        warps=warps,
        bands=worked,
    )


def _first_step(
    params: GeoreferenceParams, size: tuple[int, int], bands: int, png_shares: Shares
) -> tuple[Step, Range]:
    """The action that writes the GeoTIFF, and the disk that its files take."""
    with_png = isinstance(params, Ome2PngParams) and params.png
    tif = Range.of(pixel_bytes(*size, bands))
    png = Range.of(math.prod(size) * bands, png_shares) if with_png else _NOTHING
    files = tuple(zip(raster_files(params.out, png=with_png), (tif, png, None, None), strict=False))
    return Step("ome2png" if isinstance(params, Ome2PngParams) else "georeference", files), tif + png
