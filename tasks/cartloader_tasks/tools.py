"""Each call of an external tool as a task run of its own, tried again by Prefect as often as `RETRIES` allows."""

from __future__ import annotations

from typing import Any

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import task_run

from cartloader_image.errors import ToolError
from cartloader_image.report import Report
from cartloader_image.system.tools import RETRIES, Finished, ToolCall, run
from cartloader_tasks.outcomes import called, ending_in_a_sentence
from cartloader_tasks.reports import run_report


def _is_transient(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether another attempt makes sense."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, ToolError) and error.transient


@task(
    task_run_name="{call.title} {call.img_id}",
    retries=RETRIES.attempts - 1,
    retry_delay_seconds=RETRIES.delays,
    retry_jitter_factor=RETRIES.jitter,
    retry_condition_fn=_is_transient,
    cache_policy=NO_CACHE,
    persist_result=False,
)
@ending_in_a_sentence
def tool_call(call: ToolCall) -> Finished:
    """One call of gdal_translate, gdaladdo, gdalinfo or pmtiles."""
    report, attempt = run_report(call.img_id), task_run.get_run_count()
    try:
        return run(call, report, attempt)
    except ToolError as error:
        if error.transient and attempt < RETRIES.attempts:
            report.note(f"{error}; trying again")
        raise


def run_as_task(call: ToolCall, _report: Report) -> Finished:
    """A call as a task run, which finds its report by itself (see `cartloader_tasks.reports`)."""
    return called(tool_call, call)
