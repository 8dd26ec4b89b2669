"""How many images are worked on at a time, over all runs and machines: a limit that the operator sets on the server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run, task_run

from cartloader.report import Report

HEAVY = "cartloader-heavy"
"""The global concurrency limit of the actions that read or cut pixels; without one there is no limit."""
_LOOK = 2.0
"""Seconds after which a free slot, or that the run was stopped, is noticed."""
_LEASE = 60.0
"""Seconds after which the slot of a killed process is free again; Prefect takes no shorter ones."""


@contextmanager
def heavy(report: Report) -> Iterator[None]:
    """Hold one of the slots of the limit, if there is one, for the time of the context.

    A task run's tag would hold one too, but spared actions would wait for it, and a stopped run too.
    """
    with ExitStack() as held:
        if _is_limited(flow_run.id):
            _wait(held, report)
        yield


@lru_cache(maxsize=1)
def _is_limited(_flow_run: str | None) -> bool:
    """Whether the server has the limit; asked once a run."""
    with get_client(sync_client=True) as client:
        try:
            return client.read_global_concurrency_limit_by_name(HEAVY).active
        except ObjectNotFound:
            return False


def _wait(held: ExitStack, report: Report) -> None:
    holder = ConcurrencyLeaseHolder(type="task_run", id=UUID(task_run.id))
    waited = False
    while True:
        try:
            held.enter_context(concurrency(HEAVY, timeout_seconds=_LOOK, lease_duration=_LEASE, holder=holder))
        except TimeoutError:
            if not waited:
                report.detail(f"waits for a slot of the limit {HEAVY}")
            waited = True
            report.progress("waiting", 0, 1)  # raises when the run is stopped
        else:
            return
