"""The flow that looks now and then whether there is something new to import."""

from __future__ import annotations

from typing import Annotated, Literal

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from cartloader_flows.deployed import refuse_relative_paths, working_directory
from cartloader_flows.import_images import import_images
from cartloader_image.params import SharedOptions
from cartloader_image.recipe.mapping import mapped_jobs, settled_images
from cartloader_image.results import RunError, RunResult
from cartloader_image.values import DaskAddress, FilePath
from cartloader_tasks import Remembered, check_found, ending_in_a_sentence


@flow(name="import-new", flow_run_name="{in_json.name}", persist_result=False)
@ending_in_a_sentence
def watch_folder(
    in_json: FilePath,
    out_dir: FilePath,
    options: SharedOptions,
    settled: Annotated[float, Field(ge=0)] = 60.0,
    n_jobs: Annotated[int, Field(ge=1)] = 1,
    task_runner: Literal["threads", "dask"] = "threads",
    dask_address: DaskAddress | None = None,
) -> RunResult | State[RunResult]:
    """Import the images of a mapping that have come, or changed, since the last time.

    Images that are not there yet are waited for; one that cannot be looked at fails, and the others are imported. What
    is new is imported by a run of import-images; where nothing is, there is none. Its name in Prefect is import-new, by
    which deployments that exist are known.

    Args:
        in_json: mapping of image ids to paths, or to objects of a path and options of their own, in JSON or YAML; or a
            sample sheet in CSV or TSV.
        out_dir: Directory of the output files; created when it is missing.
        options: Everything else, for all images; their own options complete it.
        settled: Seconds since an image was written to last, after which it is taken for complete.
        n_jobs: Images at a time.
        task_runner: Work on the images in threads of this process, or on the workers of a Dask cluster, which must see
            the same files at the same paths.
        dask_address: Scheduler of the Dask cluster, such as tcp://10.0.0.5:8786.
    """
    refuse_relative_paths(options, in_json=in_json, out_dir=out_dir)
    check_found(in_json)
    jobs = mapped_jobs(in_json, out_dir, options, None, working_directory()).jobs
    memory = Remembered(in_json, out_dir)
    known = memory.states()
    found = settled_images(jobs, settled)
    lost = {job.out.img_id for job in jobs if job.options.png2pmtiles and not job.out.path(".pmtiles").is_file()}
    new = [name for name, state in found.items() if known.get(name) != state or name in lost]
    if not new:
        return Completed(message=f"nothing new among {len(jobs)} images", data=RunResult(images=(), catalogs=()))
    try:
        return import_images(in_json, out_dir, options, new, n_jobs, task_runner, dask_address)
    except RunError as failure:
        # Where a catalog failed, all of its images are to be tried again.
        new = [] if failure.failures.keys() - set(new) else [name for name in new if name not in failure.failures]
        raise
    except BaseException:
        new = []
        raise
    finally:
        memory.update({name: found[name] for name in new})
