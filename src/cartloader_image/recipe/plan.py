"""What an import would do, before it does it: steps, zooms, tiles, disk and memory.

Zooms and tiles follow from the placement. Disk and memory are those of the largest moment: files are written whole
before they appear, so that they stand beside those that they replace, and scratch files beside both.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cartloader_image.action_params import (
    GeoreferenceParams,
    Ome2PngParams,
    Png2PmtilesParams,
    subset,
)
from cartloader_image.catalog.update import check_archive
from cartloader_image.engines.common import plan as plan_tiles
from cartloader_image.engines.gdal_calls import Recipe, laid_straight
from cartloader_image.engines.shards import count_of
from cartloader_image.engines.toolbox import toolbox
from cartloader_image.errors import BoundsError, DiskError, InputError, UsageError
from cartloader_image.images.beside import inputs
from cartloader_image.images.kinds import is_tiff
from cartloader_image.intensity import rescaled
from cartloader_image.options import option
from cartloader_image.params import PlaneOptions
from cartloader_image.placing.placement import Placement
from cartloader_image.rasters.geotiff import pixel_bytes
from cartloader_image.recipe import actions
from cartloader_image.recipe.footprint import (
    PROCESS,
    Looks,
    Range,
    Shares,
    memory,
    overlay_memory,
    spooled_bytes,
    tool_memory,
    usual_shares,
)
from cartloader_image.recipe.job import ImageJob
from cartloader_image.recipe.opened import OpenImage, opened, suited
from cartloader_image.recipe.steps import AnyStep, Step, last_steps
from cartloader_image.report import Report, quiet
from cartloader_image.system.tools import ToolCall
from cartloader_image.tiles.encode import primary_colour
from cartloader_image.tiles.grid import Pyramid
from cartloader_image.tiles.levels import resamples, warps
from cartloader_image.tiles.pyramid import kept_pixels
from cartloader_image.values import Rgb

FirstParams = GeoreferenceParams | Ome2PngParams

_MB = 1_000_000
_RASTER = "the image: rescaled to 8 bits, coloured, placed"
_NOTHING = Range(0, 0)


@dataclass(frozen=True)
class ImportPlan:
    """What the import of one image takes."""

    job: ImageJob
    steps: tuple[AnyStep, ...]
    """What is done, in this order."""
    description: str = ""
    pyramid: Pyramid | None = None
    exact: bool = True
    """Whether each tile of the pyramid is stored; one that turns out to be transparent is not."""
    disk: Range = _NOTHING
    """Bytes at the largest moment."""
    certain: int = 0
    """Bytes of it that do not depend on how the picture compresses."""
    memory: int = 0
    """Bytes of the process, and of the tool or the shards that it runs, at the largest moment."""
    shards: int = 1
    """Processes that cut the tiles."""
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


@contextmanager
def planned(job: ImageJob, *, look: bool = False) -> Iterator[ImportPlan]:
    """Open the image, place it, and work out what its import takes; it stays open for the time of the context.

    Args:
        job: The import.
        look: Read a few pixels, to say more closely how large the compressed files become.

    Raises:
        CartloaderError: the input or the options are at fault.
    """
    if job.fault:
        raise InputError(job.fault)
    last = last_steps(job)
    if last and not job.options.png2pmtiles:
        check_archive(job.out.path(".pmtiles"))
    params = raster_params(job)
    if params is None:
        yield ImportPlan(job, last, memory=_of_points(job), notes=job.notes)
        return
    with ExitStack() as files:
        try:
            image = files.enter_context(opened(params))
        except BoundsError as error:
            if not job.options.georeference or job.options.names_a_source or isinstance(params, Ome2PngParams):
                raise
            raise UsageError(f"--georeference: {error}") from None
        yield plan_of(job, params, image, last, look=look)


def raster_params(job: ImageJob) -> FirstParams | None:
    """The parameters of the first action, by the kind of the image; None where the image itself is not needed.

    Raises:
        InputError: the image cannot be read.
        UsageError: an option does not suit its kind.
    """
    if not job.options.reads_the_image:
        return None
    assert job.in_img is not None
    files = {"in_img": job.in_img, "out": job.out}
    if job.options.ome2png or is_tiff(job.in_img):
        return subset(Ome2PngParams, job.options, png=job.options.ome2png, **files)
    _refuse_plane_options(job)
    return subset(GeoreferenceParams, job.options, **files)


def _refuse_plane_options(job: ImageJob) -> None:
    """Make sure that nobody chooses among the planes of a picture that has just one."""
    for name in PlaneOptions.model_fields:
        if getattr(job.options, name):
            raise UsageError(f"{option(name)}: {job.in_img} is no TIFF and has just one plane; leave the option out")


def plan_of(
    job: ImageJob,
    params: FirstParams,
    image: OpenImage,
    last: tuple[AnyStep, ...] = (),
    *,
    look: bool = False,
) -> ImportPlan:
    """What the import of an open image takes; ``last`` are the steps that follow its tiles, if there are any.

    Raises:
        CartloaderError: the input or the options are at fault.
    """
    source, placement, shown = image.source, image.placement, suited(params, image.source)
    plane, size = source.plane, (source.plane.height, source.plane.width)
    looks = Looks(plane, shown) if look else None
    bands = rescaled(plane.layout, shown).bands
    first, first_disk = _first_step(params, size, bands, looks.png() if looks else usual_shares("png"))
    tiling = _tiling(job, size, bands, placement, looks, shown.colorize) if job.options.png2pmtiles else None
    tif, spool = pixel_bytes(*size, bands), 0 if params.high_memory else spooled_bytes(plane, shown)
    needs = [Range.of(tif + spool), first_disk + tiling.disk if tiling else first_disk]
    reads_by_gdal, warps = not isinstance(params, Ome2PngParams), tiling is not None and tiling.warps
    pyramid, worked = (tiling.pyramid, tiling.bands) if tiling else (None, bands)
    cut_here = None if tiling and tiling.step.calls and not warps else pyramid
    shards = tiling.shards if tiling else 1
    here = memory(plane, shown, worked, cut_here, gdal=reads_by_gdal, warps=warps, shards=shards)
    return ImportPlan(
        job=job,
        description=image.description,
        steps=(first, *([tiling.step] if tiling else []), *last),
        pyramid=pyramid,
        # Upper-left halving may lose the last row or column of an odd number.
        exact=bands < 4 and resamples(placement.affine, placement.crs, "cubic") and job.options.resample != "near",
        disk=Range(max(need.low for need in needs), max(need.high for need in needs)),
        certain=tif + max(spool, tiling.scratch if tiling else 0),
        memory=max(here, PROCESS + tiling.tool_memory if tiling else 0, _of_points(job)),
        shards=shards,
        notes=(*job.notes, *image.notes, *(pyramid.notes if pyramid else ())),
    )


def _of_points(job: ImageJob) -> int:
    return overlay_memory(job.points) if job.points else 0


@dataclass(frozen=True)
class _Tiling:
    """What png2pmtiles will do."""

    step: AnyStep
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
    shards: int = 1


def _tiling(
    job: ImageJob, size: tuple[int, int], bands: int, placement: Placement, looks: Looks | None, colour: Rgb | None
) -> _Tiling:
    cut = subset(Png2PmtilesParams, job.options, out=job.out)
    pyramid = plan_tiles(size, placement.affine, placement.crs, bands, cut)
    by_gdal = warps(placement.affine, placement.crs, cut.resample, pyramid)
    shares = looks.tiles(cut, pyramid, size) if looks else usual_shares(cut.tile_format)
    pixels = sum(math.prod(pyramid.extent(zoom).shape) for zoom in pyramid.zooms)
    archive, scratch = Range.of(bands * pixels, shares, pyramid.tile_count()), kept_pixels(pyramid) * bands
    drawn = [job.out.path(".preview.png")] if cut.preview else []
    files = ((job.out.path(".pmtiles"), archive), *((file, None) for file in (*job.out.asset_files, *drawn)))
    if cut.chosen_engine == "gdal":
        # A missing tool is reported before the picture is decoded.
        tools = toolbox(cut)
        size, affine, bands = laid_straight(size, placement.affine, placement.crs, bands, pyramid)
        recipe = Recipe(tools, cut, size, affine, placement.crs, pyramid, job.out.out_dir)
        copy = pixel_bytes(*size, bands)
        askew = affine != placement.affine
        return _Tiling(
            step=_tiles_step(cut, ((job.out.path(".pmtiles.mbtiles"), archive), *files), tuple(recipe.calls())),
            pyramid=pyramid,
            # The copy that GDAL places, of one that was laid straight, beside the first tiles; then all tiles, and the
            # archive twice over.
            disk=max(
                Range.of(copy * (1 + askew)) + archive, archive + archive + archive, key=lambda moment: moment.high
            ),
            scratch=copy,
            warps=askew,
            bands=bands,
            tool_memory=tool_memory(size, bands, pyramid),
        )
    worked = bands
    if not resamples(placement.affine, placement.crs, cut.resample):  # with alpha
        worked = 2 if bands == 1 else 4
    elif primary_colour(colour):  # as grey
        worked = 1 + bands // 4
    return _Tiling(
        step=_tiles_step(cut, files),
        pyramid=pyramid,
        disk=archive + archive + Range.of(scratch),  # the tiles are spooled zoom by zoom, then joined
        scratch=scratch,
        warps=by_gdal,
        bands=worked,
        shards=count_of(cut, pyramid),
    )


def _first_step(params: FirstParams, size: tuple[int, int], bands: int, png_shares: Shares) -> tuple[AnyStep, Range]:
    """The action that writes the GeoTIFF, and the disk that its files take."""
    with_png = isinstance(params, Ome2PngParams) and params.png
    tif = Range.of(pixel_bytes(*size, bands))
    png = Range.of(math.prod(size) * bands, png_shares) if with_png else _NOTHING
    files = tuple(zip(params.out.raster_files(png=with_png), (tif, png, None, None, None), strict=False))
    reads = tuple(inputs(params))
    if isinstance(params, Ome2PngParams):
        return Step(actions.ome2png, _RASTER, params, reads, files), tif + png
    return Step(actions.georeference, _RASTER, params, reads, files), tif + png


def _tiles_step(
    params: Png2PmtilesParams, files: tuple[tuple[Path, Range | None], ...], calls: tuple[ToolCall, ...] = ()
) -> AnyStep:
    return Step(actions.png2pmtiles, "its tiles", params, (params.out.path(".geotif.tif"),), files, calls)
