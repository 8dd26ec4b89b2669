"""How many images are worked on at a time, over all runs and machines: a limit that the operator sets on the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.runtime import flow_run, task_run

from cartloader_image.report import Report, waiting

HEAVY = "cartloader-heavy"
"""The global concurrency limit of the actions that read or cut pixels; without one there is no limit."""
_LOOK = 0.3
"""Seconds after which a free slot, or that the run was stopped, is noticed."""
_LEASE = 60.0
"""Seconds after which the slot of a killed process is free again; Prefect takes no shorter ones."""
_TROUBLE = (httpx.HTTPError, PrefectException)


@contextmanager
def heavy(report: Report) -> Iterator[None]:
    """Hold one of the slots of the limit, if there is one, for the time of the context.

    A task run's tag would hold one too, but skipped actions would wait for it, and Prefect's own `concurrency` cannot
    be stopped while it waits.
    """
    if not _is_limited(flow_run.id):
        yield
        return
    lease = _take(report)
    over = threading.Event()
    threading.Thread(target=_keep, args=(lease, over), name="lease", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        with suppress(*_TROUBLE), get_client(sync_client=True) as client:  # or it ends by itself
            client.release_concurrency_slots_with_lease(lease)


@lru_cache(maxsize=1)
def _is_limited(_flow_run: str | None) -> bool:
    """Whether the server has the limit; asked once a run."""
    with get_client(sync_client=True) as client:
        try:
            return client.read_global_concurrency_limit_by_name(HEAVY).active
        except ObjectNotFound:
            return False


def _take(report: Report) -> UUID:
    """Wait for a free slot; the lease of it."""
    holder = ConcurrencyLeaseHolder(type="task_run", id=UUID(task_run.id))
    with get_client(sync_client=True) as client, waiting(report) as wait:
        while True:
            try:
                answer = client.increment_concurrency_slots_with_lease([HEAVY], 1, "concurrency", _LEASE, holder)
                return UUID(answer.json()["lease_id"])
            except httpx.HTTPStatusError as error:
                # None is free, or the operator has set the limit to 0.
                if error.response.status_code not in {httpx.codes.LOCKED, httpx.codes.UNPROCESSABLE_ENTITY}:
                    raise
            wait()
            time.sleep(_LOOK)


def _keep(lease: UUID, over: threading.Event) -> None:
    """Renew a lease until its work is over; one that is lost in spite of that is no reason to end the work."""
    while not over.wait(_LEASE / 3):
        with suppress(*_TROUBLE), get_client(sync_client=True) as client:
            client.renew_concurrency_lease(lease, _LEASE)
