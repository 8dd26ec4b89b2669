"""The flow that imports many images, some at a time."""

from __future__ import annotations

from typing import Annotated, Literal

from prefect import flow, get_run_logger
from pydantic import Field, ValidationError

from cartloader_flows.deployed import refuse_relative_paths, working_directory
from cartloader_flows.import_image import gathered
from cartloader_flows.runners import runner
from cartloader_image.errors import UsageError
from cartloader_image.params import SharedOptions
from cartloader_image.recipe.job import explain
from cartloader_image.recipe.mapping import mapped_jobs
from cartloader_image.results import RunResult
from cartloader_image.run_params import FanOutOptions
from cartloader_image.values import DaskAddress, FilePath
from cartloader_tasks import check_found, ending_in_a_sentence, name_run, run_progress, stopping_together


@flow(name="import-images", flow_run_name="{in_json.name}", persist_result=False)
@ending_in_a_sentence
def import_images(
    in_json: FilePath,
    out_dir: FilePath,
    options: SharedOptions,
    img_ids: list[str] | None = None,
    n_jobs: Annotated[int, Field(ge=1)] = 1,
    task_runner: Literal["threads", "dask"] = "threads",
    dask_address: DaskAddress | None = None,
) -> RunResult:
    """Import the images of a mapping; those that fail do not stop the others, and the catalog is updated once.

    Args:
        in_json: mapping of image ids to paths, or to objects of a path and options of their own, in JSON or YAML; or a
            sample sheet in CSV or TSV.
        out_dir: Directory of the output files; created when it is missing.
        options: Everything else, for all images; their own options complete it.
        img_ids: The images to import; unless given, all.
        n_jobs: Images at a time.
        task_runner: Work on the images in threads of this process, or on the workers of a Dask cluster, which must see
            the same files at the same paths.
        dask_address: Scheduler of the Dask cluster, such as tcp://10.0.0.5:8786.
    """
    refuse_relative_paths(options, in_json=in_json, out_dir=out_dir)
    check_found(in_json)
    try:
        spread = FanOutOptions(n_jobs=n_jobs, task_runner=task_runner, dask_address=dask_address)
    except ValidationError as error:
        raise UsageError(explain(error)) from error
    if task_runner == "dask":  # its workers have other working directories
        in_json, out_dir, options = in_json.absolute(), out_dir.absolute(), options.absolute()
    jobs, notes = mapped_jobs(in_json, out_dir, options, img_ids, working_directory())
    for note in notes:
        get_run_logger().warning(note)
    name_run(f"{in_json.name} → {out_dir.name}, {len(jobs)} image{'s' * (len(jobs) > 1)}")
    with run_progress(len(jobs), out_dir), runner(spread) as submit, stopping_together():
        return gathered(jobs, [submit(job) for job in jobs], out_dir, notes)
