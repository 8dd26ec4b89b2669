"""Running the jobs of the command line: as flows under Prefect, or directly in this process."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from cartloader_flows.cli.options import ImportCommand
from cartloader_image.action_params import UpdateCatalogParams
from cartloader_image.errors import ToolError, UsageError
from cartloader_image.options import option
from cartloader_image.params import ImportOptions, SharedOptions
from cartloader_image.recipe.mapping import Mapped
from cartloader_image.report import Report
from cartloader_image.results import CatalogResult, RunResult
from cartloader_image.run_params import FanOutOptions


def run_directly(asked: Mapped, n_jobs: int, report: Callable[[str], Report]) -> RunResult:
    """Run the actions themselves, ``n_jobs`` images at a time, each in a process; Prefect is not even imported.

    Raises:
        RunError: an image or a catalog failed.
    """
    from cartloader_image.recipe import actions  # noqa: PLC0415  (--help must not wait for numpy)
    from cartloader_image.recipe.run import gather, import_one  # noqa: PLC0415

    def update_catalog(params: UpdateCatalogParams) -> CatalogResult:
        return actions.update_catalog(params, report(params.catalog_yaml.name))

    jobs, notes = asked
    at_once = min(n_jobs, len(jobs))
    if at_once == 1:
        attempts = (partial(import_one, job, report(job.out.img_id)) for job in jobs)
        return gather(jobs, attempts, update_catalog, notes)
    from cartloader_flows.cli.processes import processes  # noqa: PLC0415

    with processes(at_once, report) as submit:
        return gather(jobs, [submit(job) for job in jobs], update_catalog, notes)


def check_recordable(command: ImportCommand, options: SharedOptions) -> None:
    """Make sure that all paths are texts: a file system takes any bytes for a name, but Prefect's records do not.

    Raises:
        UsageError: one is none.
    """
    for name, value in [*command, *options]:
        try:
            str(value).encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"{option(name)} {ascii(str(value))[1:-1]}: is not in UTF-8, which Prefect's records need; rename it, "
                "or go without Prefect by --direct"
            ) from None


def run_flow(command: ImportCommand, options: SharedOptions, report: Callable[[str], Report]) -> RunResult:
    """Run the flow that the command line asks for, on the configured Prefect server, the user's own or a temporary one.

    Raises:
        RunError: an image or a catalog failed.
        ToolError: Prefect or its server fails.
    """
    from cartloader_flows.cli.connection import configure, use_own_server  # noqa: PLC0415  (httpx; see below)

    configure(debug=command.debug)
    if command.task_runner != "dask":  # the cluster's machines could not reach it by the address that it has here
        use_own_server()
    from httpx import HTTPError, HTTPStatusError, codes  # noqa: PLC0415  (Prefect takes 2 s, which only a flow should pay)
    from prefect.exceptions import PrefectException  # noqa: PLC0415

    from cartloader_flows.import_image import import_image  # noqa: PLC0415
    from cartloader_flows.import_images import import_images  # noqa: PLC0415
    from cartloader_flows.runners import check_dask  # noqa: PLC0415
    from cartloader_flows.temporary_server import ensure_server  # noqa: PLC0415
    from cartloader_tasks import watched_by  # noqa: PLC0415

    if command.task_runner == "dask":
        check_dask()
    try:
        ensure_server()
        with watched_by(report):
            if command.in_json:
                spread = command.model_dump(include=set(FanOutOptions.model_fields))
                result = import_images(command.in_json, command.out_dir, options, command.img_id or None, **spread)
            else:
                assert isinstance(options, ImportOptions)
                result = import_image(command.in_img, command.img_id[0], command.out_dir, options)
    except (RuntimeError, HTTPError, PrefectException) as error:
        # What the images raise arrives as a RunError; this is Prefect's own trouble.
        if isinstance(error, HTTPStatusError) and error.response.status_code == codes.UNAUTHORIZED:
            raise ToolError(
                "the Prefect server asks who you are: set PREFECT_API_AUTH_STRING to the NAME:PASSWORD that it has"
            ) from error
        raise ToolError(
            f"Prefect cannot run this ({error}); is the server there that PREFECT_API_URL names? "
            "`cartloader server start` starts one, --direct goes without"
        ) from error
    assert isinstance(result, RunResult)
    return result
