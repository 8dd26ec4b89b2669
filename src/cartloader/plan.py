"""What an import would do, before it does it: steps, zooms, tiles, disk and memory.

Zooms and tiles follow from the placement. Disk and memory are those of the largest moment: files that are written
whole before they appear stand beside those that they replace, and scratch files beside both.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from cartloader import actions
from cartloader.engines import native
from cartloader.errors import DiskError
from cartloader.geotiff import pixel_bytes
from cartloader.images.plane import Plane
from cartloader.intensity import needs_statistics, rescaled_bands
from cartloader.jobs import ImageJob, catalog_path, raster_params
from cartloader.parallel import cores
from cartloader.params import GeoreferenceParams, Ome2PngParams, Png2PmtilesParams, subset
from cartloader.png import BAND_BYTES
from cartloader.report import Report, quiet
from cartloader.tiles.grid import Pyramid
from cartloader.tiles.pyramid import CHUNK_PIXELS, kept_pixels

_SHARES = {"png": (0.02, 0.8), "webp": (0.01, 0.65), "webp-lossy": (0.003, 0.2), "jpeg": (0.01, 0.35)}
"""Bytes of a compressed picture to those of its pixels: from a slide that is nearly all background to one that is full
of camera noise. Only noise itself, at all values, is larger."""
_MB = 1_000_000


@dataclass(frozen=True)
class Range:
    """A size that depends on what the pixels are: at least and, as pictures go, at most."""

    low: int
    high: int

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)

    def times(self, share: tuple[float, float]) -> Range:
        """Both ends multiplied by a share of their own."""
        return Range(round(self.low * share[0]), round(self.high * share[1]))


@dataclass(frozen=True)
class Step:
    """An action and the files that it writes; None for those of a few bytes."""

    action: str
    files: tuple[tuple[Path, Range | None], ...]


@dataclass(frozen=True)
class ImportPlan:
    """What the import of one image takes."""

    job: ImageJob
    description: str
    steps: tuple[Step, ...]
    pyramid: Pyramid | None
    exact: bool
    """Whether each tile of the pyramid is stored; one that turns out to be transparent is not."""
    disk: Range
    """Bytes at the largest moment."""
    memory: int
    """Bytes of the process at the largest moment."""

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
        out_dir, free = self.job.out.out_dir, self.free
        needed = f"{self.disk.low / _MB:,.0f} to {self.disk.high / _MB:,.0f} MB"
        if free < self.disk.low:
            raise DiskError(
                f"--out-dir {out_dir}: {self.job.out.img_id} needs {needed} while it is imported, and "
                f"{free / _MB:,.0f} MB are free; make room or choose another disk"
            )
        if free < self.disk.high:
            report.note(f"{out_dir} has {free / _MB:,.0f} MB free, and this import may need {needed}")


def plan_import(job: ImageJob) -> ImportPlan:
    """Open the image and place it, reading no pixels, and work out what its import takes.

    Raises:
        CartloaderError: the input or the options are at fault.
    """
    params, out = raster_params(job), job.out
    catalog = [Step("update_catalog", ((catalog_path(job), None),))] if job.options.update_catalog else []
    if params is None:
        return ImportPlan(job, "", tuple(catalog), None, exact=True, disk=Range(0, 0), memory=_BASE)
    with actions.opened(params) as (source, placement):
        plane, description = source.plane, actions.described(source, placement)
    bands = rescaled_bands(plane.colours, plane.alpha, params)
    raw, tif = plane.height * plane.width * bands, pixel_bytes(plane.height, plane.width, bands)
    tif_size, none = Range(tif, tif), Range(0, 0)
    files: list[tuple[Path, Range | None]] = [(out.path(".geotif.tif"), tif_size)]
    png_size = none
    if wants_png := isinstance(params, Ome2PngParams) and params.png:
        png_size = Range(raw, raw).times(_SHARES["png"])
        files.append((out.path(".transform.png"), png_size))
        files += [(out.path(f".transform.{name}.csv"), None) for name in ("bounds", "color")]
    action = "ome2png" if isinstance(params, Ome2PngParams) else "georeference"
    steps, pyramid, archive, scratch = [Step(action, tuple(files))], None, none, 0
    if job.options.png2pmtiles:
        cut = subset(Png2PmtilesParams, job.options, out=out)
        pyramid = native.plan((plane.height, plane.width), placement.affine, placement.crs, bands, cut)
        pixels = sum(math.prod(pyramid.extent(zoom).shape) for zoom in pyramid.zooms) * bands
        archive = Range(pixels, pixels).times(_SHARES[cut.tile_format])
        steps.append(Step("png2pmtiles", ((out.path(".pmtiles"), archive), (out.path(".json"), None))))
        scratch = kept_pixels(pyramid) * bands
    spool = _spooled(plane, params)
    first = tif_size + (png_size if wants_png else none)
    at_once = [Range(tif + spool, tif + spool), first, first + archive + archive + Range(scratch, scratch)]
    return ImportPlan(
        job=job,
        description=description,
        steps=(*steps, *catalog),
        pyramid=pyramid,
        exact=bands < 4 and placement.affine.is_rectilinear,
        disk=Range(max(need.low for need in at_once), max(need.high for need in at_once)),
        memory=_memory(plane, params, bands, pyramid),
    )


def _spooled(plane: Plane, params: GeoreferenceParams) -> int:
    """Bytes of the decoded plane where it is kept on disk between two readings."""
    if plane.stored or params.high_memory or not needs_statistics(plane.dtype, params):
        return 0
    return plane.height * plane.width * (plane.colours + plane.alpha) * plane.dtype.itemsize


_BASE = 70 * _MB


def _memory(plane: Plane, params: GeoreferenceParams, bands: int, pyramid: Pyramid | None) -> int:
    """Bytes of the process at its largest moment, put together from what its threads hold; see docs/performance.md."""
    threads = cores()
    block = math.prod(plane.block) * ((plane.colours + plane.alpha) * plane.dtype.itemsize)
    decoding = threads * 3 * block
    band = min(BAND_BYTES, plane.height * plane.width * bands)
    tiling = 0
    if pyramid:
        side = [min(CHUNK_PIXELS, edge) for edge in pyramid.extent(pyramid.base_zoom).shape]
        chunk = math.prod(side) * bands
        tiling = round((threads + 2) * 1.33 * chunk + threads * 1.0 * chunk)
    return _BASE + max(decoding, threads * 5 * band, tiling)
