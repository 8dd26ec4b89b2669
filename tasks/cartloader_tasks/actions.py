"""One thin task per action: the same parameters, the same call, the same result."""

from __future__ import annotations

from prefect import task
from prefect.cache_policies import NO_CACHE

from cartloader import actions
from cartloader.jobs import ImageJob, import_one
from cartloader.params import GeoreferenceParams, Ome2PngParams, Png2PmtilesParams, UpdateCatalogParams
from cartloader.report import Report
from cartloader.results import CatalogResult, ImageResult, RasterResult, TilesResult
from cartloader_tasks.reports import run_report
from cartloader_tasks.tools import run_as_task


@task(task_run_name="ome2png {params.out.img_id}", cache_policy=NO_CACHE, persist_result=False)
def ome2png(params: Ome2PngParams) -> RasterResult:
    """One plane of a TIFF or OME-TIFF → placed GeoTIFF, and PNG where it is asked for."""
    return actions.ome2png(params, run_report(params.out.img_id))


@task(task_run_name="georeference {params.out.img_id}", cache_policy=NO_CACHE, persist_result=False)
def georeference(params: GeoreferenceParams) -> RasterResult:
    """A plain picture → placed GeoTIFF."""
    return actions.georeference(params, run_report(params.out.img_id))


@task(task_run_name="png2pmtiles {params.out.img_id}", cache_policy=NO_CACHE, persist_result=False)
def png2pmtiles(params: Png2PmtilesParams) -> TilesResult:
    """A placed GeoTIFF → PMTiles archive and asset JSON."""
    return actions.png2pmtiles(params, run_report(params.out.img_id), run_as_task)


@task(task_run_name="update_catalog {params.catalog_yaml.name}", cache_policy=NO_CACHE, persist_result=False)
def update_catalog(params: UpdateCatalogParams) -> CatalogResult:
    """Finished archives → catalog."""
    return actions.update_catalog(params)


class TaskActions:
    """The actions as task runs; each task finds its report by itself (see `cartloader_tasks.reports`)."""

    def ome2png(self, params: Ome2PngParams, _report: Report, /) -> RasterResult:
        """Run the task of this name."""
        return ome2png(params)

    def georeference(self, params: GeoreferenceParams, _report: Report, /) -> RasterResult:
        """Run the task of this name."""
        return georeference(params)

    def png2pmtiles(self, params: Png2PmtilesParams, _report: Report, /) -> TilesResult:
        """Run the task of this name."""
        return png2pmtiles(params)

    def update_catalog(self, params: UpdateCatalogParams, /) -> CatalogResult:
        """Run the task of this name."""
        return update_catalog(params)


@task(task_run_name="{job.out.img_id}", cache_policy=NO_CACHE, persist_result=False)
def import_job(job: ImageJob) -> ImageResult:
    """All actions of one image, as tasks called inside this one.

    They are called, never submitted: a task that waits for a submitted one holds the very thread it needs.
    """
    return import_one(job, TaskActions())
