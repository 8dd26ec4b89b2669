"""Where the images of a mapping are worked on: in threads of the flow's process, or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from importlib.metadata import version

from prefect.settings import PREFECT_API_URL
from prefect.task_runners import ThreadPoolTaskRunner

from cartloader_image.errors import ToolError, UsageError
from cartloader_image.recipe.job import ImageJob
from cartloader_image.report import Stage
from cartloader_image.results import ImageResult
from cartloader_image.run_params import FanOutOptions
from cartloader_image.version import __version__
from cartloader_tasks import check_seen, import_job, import_job_elsewhere, run_report, size_of

Submit = Callable[[ImageJob], Callable[[], ImageResult]]
"""Has an image worked on; gives what waits for its result, and raises what went wrong."""
_CONNECTING = 15
"""Seconds that the scheduler has to answer, and its first worker to be there."""
_TICK = 0.5
"""Seconds between two looks at whether the run is stopped."""


@contextmanager
def runner(spread: FanOutOptions) -> Iterator[Submit]:
    """Work on at most ``n_jobs`` images at a time, where the options say.

    Raises:
        ToolError: the scheduler does not answer.
        UsageError: Dask is not installed, or its workers could not reach the Prefect server.
    """
    if spread.task_runner == "dask":
        with _on_dask(spread) as submit:
            yield submit
        return
    # A runner of our own: how many images at a time is a parameter of the run, not of the flow.
    with ThreadPoolTaskRunner[ImageResult](max_workers=spread.n_jobs) as threads:
        yield lambda job: threads.submit(import_job, {"job": job}).result


def check_dask() -> None:
    """Make sure that a Dask cluster could be used from here.

    Raises:
        UsageError: it could not.
    """
    try:
        import prefect_dask  # noqa: F401, PLC0415  (an extra, and a second)
    except ImportError as error:
        raise UsageError(f"--task-runner dask: {error}; pip install 'cartloader-image[dask]'") from error
    if not PREFECT_API_URL.value():
        raise UsageError(
            "--task-runner dask: its workers need a Prefect server that they can reach; start one with `cartloader "
            "server start` and set PREFECT_API_URL"
        )


@contextmanager
def _on_dask(spread: FanOutOptions) -> Iterator[Submit]:
    """Threads that wait for the cluster, so that it has no more than ``n_jobs`` images at a time."""
    check_dask()
    from distributed import KilledWorker  # noqa: PLC0415  (see check_dask)
    from prefect_dask.task_runners import DaskTaskRunner  # noqa: PLC0415

    with DaskTaskRunner(address=spread.dask_address, client_kwargs={"timeout": _CONNECTING}) as cluster:
        try:
            client = cluster.client  # connects
        except OSError as error:
            raise ToolError(f"--dask-address {spread.dask_address}: no Dask scheduler answers there") from error
        try:
            client.wait_for_workers(1, timeout=_CONNECTING)
        except TimeoutError as error:
            raise ToolError(
                f"--dask-address {spread.dask_address}: the scheduler has no workers; start some"
            ) from error
        found = client.run(version, "cartloader-image", on_error="return")
        if lacking := [worker for worker, one in found.items() if one != __version__]:
            raise UsageError(
                f"--task-runner dask: the worker {lacking[0]} does not have cartloader {__version__}; install the same "
                "cartloader-image[dask] for all workers"
            )

        def wait(job: ImageJob) -> ImageResult:
            report = run_report(job.out.img_id)
            job.out.out_dir.mkdir(parents=True, exist_ok=True)
            future = cluster.submit(import_job_elsewhere, {"job": job, "size": size_of(job.in_img)})
            report.progress(Stage.ON_THE_CLUSTER, 0, 1)
            while not future.wrapped_future.done():
                report.check()
                future.wait(_TICK)
            try:
                image: ImageResult = future.result()
            except KilledWorker as error:
                raise ToolError("each Dask worker that took this image died; are they out of memory?") from error
            check_seen(image)
            report.progress(Stage.ON_THE_CLUSTER, 1, 1)
            return image

        threads = ThreadPoolExecutor(spread.n_jobs, thread_name_prefix="image")
        try:
            yield lambda job: threads.submit(copy_context().run, wait, job).result
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
