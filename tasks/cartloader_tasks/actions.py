"""One thin task per action: the same parameters, the same call, the same result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypedDict

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.transactions import CommitMode, transaction

from cartloader_image.action_params import (
    CheckPointsParams,
    GeoreferenceParams,
    Ome2PngParams,
    OutputPrefix,
    Png2PmtilesParams,
    UpdateCatalogParams,
)
from cartloader_image.options import Options
from cartloader_image.recipe import actions
from cartloader_image.recipe.job import ImageJob
from cartloader_image.recipe.run import import_one
from cartloader_image.recipe.steps import AnyStep
from cartloader_image.report import Report
from cartloader_image.results import CatalogResult, ImageResult, Output, OverlayResult, RasterResult, TilesResult
from cartloader_tasks.artifacts import record_image
from cartloader_tasks.caching import ByContent, OutputT, with_digests
from cartloader_tasks.events import tell_of_image
from cartloader_tasks.limits import one_slot, take_slot
from cartloader_tasks.outcomes import ending_in_a_sentence
from cartloader_tasks.records import ResultSerializer
from cartloader_tasks.reports import run_report, stopping_together
from cartloader_tasks.sharing import check_found, check_shared
from cartloader_tasks.tools import run_as_task


class _Caching(TypedDict):
    cache_policy: ByContent
    persist_result: bool
    result_serializer: ResultSerializer
    cache_result_in_memory: bool


# In memory, a result would outlive the check of its files.
CACHED = _Caching(
    cache_policy=ByContent(),
    persist_result=True,
    result_serializer=ResultSerializer(),
    cache_result_in_memory=False,
)


def _carried_out(action: Callable[[Report], OutputT], out: OutputPrefix) -> OutputT:
    """What an action of an image makes, once the image has a slot."""
    report = run_report(out.img_id)
    take_slot(report)
    return with_digests(action(report))


@task(task_run_name="ome2png {params.out.img_id}", **CACHED)
@ending_in_a_sentence
def ome2png(params: Ome2PngParams) -> RasterResult:
    """One plane of a TIFF or OME-TIFF → placed GeoTIFF, and PNG where it is asked for."""
    return _carried_out(partial(actions.ome2png, params), params.out)


@task(task_run_name="georeference {params.out.img_id}", **CACHED)
@ending_in_a_sentence
def georeference(params: GeoreferenceParams) -> RasterResult:
    """A plain picture → placed GeoTIFF."""
    return _carried_out(partial(actions.georeference, params), params.out)


@task(task_run_name="png2pmtiles {params.out.img_id}", **CACHED)
@ending_in_a_sentence
def png2pmtiles(params: Png2PmtilesParams) -> TilesResult:
    """A placed GeoTIFF → PMTiles archive and asset JSON."""
    return _carried_out(partial(actions.png2pmtiles, params, run_tool=run_as_task), params.out)


@task(task_run_name="check_points {params.out.img_id}", **CACHED)
@ending_in_a_sentence
def check_points(params: CheckPointsParams) -> OverlayResult:
    """A finished archive and points → whether it lies under them."""
    return _carried_out(partial(actions.check_points, params), params.out)


@task(task_run_name="update_catalog {params.catalog_yaml.name}", cache_policy=NO_CACHE, persist_result=False)
@ending_in_a_sentence
def update_catalog(params: UpdateCatalogParams) -> CatalogResult:
    """Finished archives → catalog."""
    return actions.update_catalog(params, run_report(params.catalog_yaml.name))


_TASKS: dict[type[Options], Task[[Any], Any]] = {
    Ome2PngParams: ome2png,
    GeoreferenceParams: georeference,
    Png2PmtilesParams: png2pmtiles,
    CheckPointsParams: check_points,
}
"""By what they take."""


@dataclass(frozen=True)
class ByTasks:
    """Carries out steps as task runs; each task finds its report by itself (see `cartloader_tasks.reports`)."""

    restart: bool = False
    """Whether results of before do not count."""

    def __call__(self, step: AnyStep, _report: Report) -> Output:
        """The result of a task run or, where nothing has changed since, of the one that made the files."""
        task = _TASKS[type(step.params)]
        if self.restart:
            task = task.with_options(refresh_cache=True)
        # Each result counts by itself: it is kept also where a later action of the image fails.
        with transaction(commit_mode=CommitMode.EAGER):
            state = task(step.params, return_state=True)
        result: Output = state.result()
        return result.placed_in(step.params.out.out_dir).model_copy(update={"cached": state.name == "Cached"})


def import_and_record(job: ImageJob) -> ImageResult:
    """All actions of one image as task runs, and the page about it."""
    check_found(job.in_img if job.options.reads_the_image else None)
    with one_slot():
        image = import_one(job, run_report(job.out.img_id), ByTasks(job.options.restart))
    record_image(image)
    tell_of_image(image)
    return image


@task(task_run_name="{job.out.img_id}", cache_policy=NO_CACHE, persist_result=False)
@ending_in_a_sentence
def import_job(job: ImageJob) -> ImageResult:
    """All actions of one image, as tasks called inside this one.

    They are called, never submitted: a task that waits for a submitted one holds the very thread it needs.
    """
    return import_and_record(job)


@task(task_run_name="{job.out.img_id}", cache_policy=NO_CACHE, persist_result=False)
@ending_in_a_sentence
def import_job_elsewhere(job: ImageJob, size: int | None) -> ImageResult:
    """All actions of one image, on another machine than the flow's; ``size`` is the input's in bytes, as seen there.

    Raises:
        InputError: this machine does not see the files of the flow's machine.
    """
    check_shared(job, size)
    with stopping_together():
        return import_and_record(job)
