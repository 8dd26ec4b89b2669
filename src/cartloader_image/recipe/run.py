"""From jobs to results: taking the steps of a plan, and what becomes of the images of a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cartloader_image.action_params import UpdateCatalogParams
from cartloader_image.errors import sentence
from cartloader_image.recipe.job import ImageJob
from cartloader_image.recipe.plan import planned
from cartloader_image.recipe.steps import AnyStep
from cartloader_image.report import Report, counting_waits, quiet
from cartloader_image.results import (
    CatalogResult,
    ImageResult,
    OverlayResult,
    RasterResult,
    RunError,
    RunResult,
    TilesResult,
)

Perform = Callable[[AnyStep, Report], Any]
"""Who carries out a step: the action itself, or a Prefect task around it."""


def directly(step: AnyStep, report: Report) -> Any:
    """Carry out a step here and now.

    Raises:
        CartloaderError: as the action does.
    """
    return step.action(step.params, report)


def import_one(job: ImageJob, report: Report = quiet, perform: Perform = directly) -> ImageResult:
    """Take the steps of an image, but for those that the images of a run take together.

    Raises:
        CartloaderError: as the actions do, or because the disk cannot hold what they would write.
    """
    results, seconds, waited = dict[type, Any](), dict[str, float](), 0.0
    for note in job.notes:
        report.note(note)
    with planned(job) as plan:
        plan.check_disk(report)
        for step in plan.steps:
            if step.together:
                continue
            start = time.perf_counter()
            with counting_waits() as waits:
                result = perform(step, report)
            results[type(result)] = result
            seconds[step.name] = round(time.perf_counter() - start - sum(waits), 3)
            waited += sum(waits)
    return ImageResult(
        img_id=job.out.img_id,
        raster=results.get(RasterResult),
        tiles=results.get(TilesResult),
        overlay=results.get(OverlayResult),
        seconds=seconds,
        waited=round(waited, 3),
        asked=job.notes,
        ahead=tuple(step.params for step in plan.steps if step.together),
    )


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
    images: list[ImageResult] = []
    catalogs: list[CatalogResult] = []
    failures: dict[str, Exception] = {}
    for job, attempt in zip(jobs, attempts, strict=True):
        try:
            images.append(attempt())
        except Exception as error:  # noqa: BLE001  (whatever is wrong with one image is no matter of the others)
            failures[job.out.img_id] = error
    failed = ", ".join(failures)
    message = f"{len(failures)} of {len(jobs)} images failed: {failed}" if failures else ""
    for update in _joined(images):
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


def _joined(images: list[ImageResult]) -> list[UpdateCatalogParams]:
    """One update for each catalog that finished images are to enter, in the order in which the images were given."""
    joined: dict[Path, UpdateCatalogParams] = {}
    for update in (update for image in images for update in image.ahead):
        first = joined.setdefault(update.catalog_yaml, update)
        joined[update.catalog_yaml] = first.model_copy(update={"basemaps": {**first.basemaps, **update.basemaps}})
    return list(joined.values())
