"""From jobs to results: the order of an image's actions, and what becomes of the images of a run.

The order is written once, here; `Actions` says who carries it out: the functions of
`cartloader_image.recipe.actions` themselves, or the Prefect tasks around them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, TypeVar

from cartloader_image.action_params import (
    GeoreferenceParams,
    Ome2PngParams,
    Png2PmtilesParams,
    UpdateCatalogParams,
    subset,
)
from cartloader_image.errors import CartloaderError, UsageError, sentence
from cartloader_image.images import is_tiff
from cartloader_image.options import option
from cartloader_image.recipe.job import ImageJob
from cartloader_image.report import Report, quiet
from cartloader_image.results import CatalogResult, ImageResult, RasterResult, RunResult, TilesResult

T = TypeVar("T")


class Actions(Protocol):
    """Who carries out the actions of an image."""

    def ome2png(self, params: Ome2PngParams, report: Report, /) -> RasterResult:
        """One plane of a TIFF → GeoTIFF and PNG."""

    def georeference(self, params: GeoreferenceParams, report: Report, /) -> RasterResult:
        """A plain picture → GeoTIFF."""

    def png2pmtiles(self, params: Png2PmtilesParams, report: Report, /) -> TilesResult:
        """GeoTIFF → PMTiles and asset JSON."""


def import_one(job: ImageJob, actions: Actions, report: Report = quiet) -> ImageResult:
    """Do what the job asks, but for the catalog: all images of a run enter it together.

    Raises:
        CartloaderError: as the actions do, or because the disk cannot hold what they would write.
    """
    from cartloader_image.catalog.update import check_archive  # noqa: PLC0415  (--help must not wait for numpy)
    from cartloader_image.recipe.plan import plan_import  # noqa: PLC0415

    options, seconds = job.options, dict[str, float]()
    if options.update_catalog and not options.png2pmtiles:
        check_archive(job.out.path(".pmtiles"))
    for note in job.notes:
        report.note(note)
    plan_import(job).check_disk(report)

    def timed(name: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        result = work()
        seconds[name] = round(time.perf_counter() - start, 3)
        return result

    raster = tiles = None
    params = raster_params(job)
    if isinstance(params, Ome2PngParams):
        plane = params
        raster = timed("ome2png", lambda: actions.ome2png(plane, report))
    elif params is not None:
        picture = params
        raster = timed("georeference", lambda: actions.georeference(picture, report))
    if options.png2pmtiles:
        cut = subset(Png2PmtilesParams, options, out=job.out)
        tiles = timed("png2pmtiles", lambda: actions.png2pmtiles(cut, report))
    return ImageResult(img_id=job.out.img_id, raster=raster, tiles=tiles, seconds=seconds, asked=job.notes)


def raster_params(job: ImageJob) -> GeoreferenceParams | None:
    """The parameters of the first action, `Ome2PngParams` for a TIFF; None where the image itself is not needed.

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
    refuse_plane_options(job)
    return subset(GeoreferenceParams, job.options, **files)


class RunError(CartloaderError):
    """A part of a run failed; the rest of it is done.

    Parameters:
        message: what failed, in one sentence.
        result: everything that was finished.
        failures: why each of the others failed, by image id; a catalog goes by its path.
    """

    def __init__(self, message: str, result: RunResult, failures: dict[str, Exception]) -> None:
        super().__init__(message, result, failures)
        self.message = message
        self.result = result
        self.failures = failures

    def __str__(self) -> str:
        return self.message

    def table(self) -> str:
        """One line for each failure: what failed, and why."""
        width = max(map(len, self.failures))
        return "\n".join(f"{name:<{width}}  {sentence(error, name)}" for name, error in self.failures.items())


def gather(
    jobs: list[ImageJob],
    attempts: Iterable[Callable[[], ImageResult]],
    update_catalog: Callable[[UpdateCatalogParams], CatalogResult],
    notes: tuple[str, ...] = (),
) -> RunResult:
    """Wait for every image, then enter the finished ones into their catalogs, each catalog once.

    An attempt gives the result of the job at its place, or raises; the others go on. The notes are about the whole run.

    Raises:
        RunError: an image or a catalog failed.
    """
    finished: list[ImageJob] = []
    images: list[ImageResult] = []
    catalogs: list[CatalogResult] = []
    failures: dict[str, Exception] = {}
    for job, attempt in zip(jobs, attempts, strict=True):
        try:
            images.append(attempt())
            finished.append(job)
        except Exception as error:  # noqa: BLE001  (whatever is wrong with one image is no matter of the others)
            failures[job.out.img_id] = error
    failed = ", ".join(failures)
    message = f"{len(failures)} of {len(jobs)} images failed: {failed}" if failures else ""
    for update in catalog_updates(finished):
        try:
            catalogs.append(update_catalog(update))
        except Exception as error:  # noqa: BLE001  (the images are done all the same, and must be reported)
            failures[str(update.catalog_yaml)] = error
            message += f"{'; ' if message else ''}{update.catalog_yaml} is not updated"
    result = RunResult(images=tuple(images), catalogs=tuple(catalogs), notes=notes)
    if failures:
        if len(jobs) == len(failures) == 1:
            message = next(sentence(error, name) for name, error in failures.items())
        raise RunError(message, result, failures)
    return result


def refuse_plane_options(job: ImageJob) -> None:
    """Make sure that nobody chooses among the planes of a picture that has just one.

    Raises:
        UsageError: an option of TIFF planes is given.
    """
    for name in ("page", "channel", "z", "z_project", "level", "series"):
        if getattr(job.options, name):
            raise UsageError(f"{option(name)}: {job.in_img} is no TIFF and has just one plane; leave the option out")


def catalog_updates(jobs: list[ImageJob]) -> list[UpdateCatalogParams]:
    """One update for each catalog that finished images ask for, in the order in which the images were given."""
    updates: dict[Path, dict[str, Path]] = {}
    for job in jobs:
        if job.options.update_catalog:
            updates.setdefault(job.catalog, {})[job.out.img_id] = job.out.path(".pmtiles")
    title = jobs[0].out.out_dir.resolve().name if jobs else ""
    return [UpdateCatalogParams(catalog_yaml=path, basemaps=found, title=title) for path, found in updates.items()]
