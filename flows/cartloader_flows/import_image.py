"""The flow that imports one image."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from prefect import flow, get_run_logger

from cartloader_flows.deployed import refuse_relative_paths
from cartloader_image.params import ImportOptions
from cartloader_image.recipe.job import ImageJob, single_job
from cartloader_image.recipe.outputs import check_files
from cartloader_image.recipe.run import gather
from cartloader_image.results import ImageResult, RunError, RunResult
from cartloader_image.values import FilePath, ImageId
from cartloader_tasks import (
    called,
    ending_in_a_sentence,
    import_and_record,
    name_run,
    record_run,
    run_progress,
    stopping_together,
    tell_of_failures,
    update_catalog,
)


@flow(name="import-image", flow_run_name="{img_id}", persist_result=False)
@ending_in_a_sentence
def import_image(in_img: FilePath | None, img_id: ImageId, out_dir: FilePath, options: ImportOptions) -> RunResult:
    """Import one image: its GeoTIFF, its tiles and its place in the catalog, as the options ask.

    Args:
        in_img: PNG, JPEG, TIFF or OME-TIFF; none where only the catalog is updated.
        img_id: Prefix of the output files and id of the basemap.
        out_dir: Directory of the output files; created when it is missing.
        options: Everything else.
    """
    refuse_relative_paths(options, in_img=in_img, out_dir=out_dir)
    job = single_job(in_img, img_id, out_dir, options)
    check_files([job])
    name_run(f"{img_id} → {out_dir.name}")
    with run_progress(1, out_dir), stopping_together():
        return gathered([job], [partial(import_and_record, job)], out_dir)


def gathered(
    jobs: list[ImageJob], attempts: Iterable[Callable[[], ImageResult]], out_dir: Path, notes: tuple[str, ...] = ()
) -> RunResult:
    """Wait for every image, update the catalogs, and leave a record of it.

    Raises:
        RunError: a part failed or was stopped; its message says which, the run's log and its table also why.
    """
    try:
        result = gather(jobs, attempts, partial(called, update_catalog), notes)
    except RunError as failure:
        get_run_logger().error(failure.table())
        record_run(failure.result, failure.failures, out_dir)
        tell_of_failures(failure.failures)
        raise
    record_run(result, {}, out_dir)
    return result
