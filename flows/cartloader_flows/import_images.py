"""The flow that imports many images, some at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field

from cartloader.jobs import RunError, mapped_jobs
from cartloader.params import ImportOptions
from cartloader.results import ImageResult, RunResult
from cartloader_flows.import_image import gathered, refuse_relative_paths
from cartloader_tasks import import_job, run_progress, stopping_together


@flow(name="import-images", flow_run_name="{in_json.name}", persist_result=False)
def import_images(
    in_json: Path,
    out_dir: Path,
    options: ImportOptions,
    img_ids: list[str] | None = None,
    n_jobs: Annotated[int, Field(ge=1)] = 1,
) -> RunResult | State[RunError]:
    """Import the images of a mapping; those that fail do not stop the others, and the catalog is updated once.

    Args:
        in_json: JSON or YAML mapping of image ids to paths, or to objects of a path and options of its own.
        out_dir: Directory of the output files; created when it is missing.
        options: Everything else, for all images.
        img_ids: The images to import; unless given, all.
        n_jobs: Images at a time.
    """
    refuse_relative_paths(options, in_json=in_json, out_dir=out_dir)
    jobs = mapped_jobs(in_json, out_dir, options, img_ids)
    # A runner of our own: how many images at a time is a parameter of the run, not of the flow.
    with (
        run_progress(len(jobs)),
        ThreadPoolTaskRunner[ImageResult](max_workers=n_jobs) as runner,
        stopping_together(),
    ):
        futures = [runner.submit(import_job, {"job": job}) for job in jobs]
        return gathered(jobs, [future.result for future in futures])
