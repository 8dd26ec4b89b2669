"""How many images are worked on at a time, over all runs and machines: a limit that the operator sets on the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.runtime import flow_run, task_run
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from cartloader.report import Report

T = TypeVar("T")

HEAVY = "cartloader-heavy"
"""The global concurrency limit of the actions that read or cut pixels; without one there is no limit."""
_LOOK = 0.3
"""Seconds after which a free slot, or that the run was stopped, is noticed."""
_LEASE = 60.0
"""Seconds after which the slot of a killed process is free again; Prefect takes no shorter ones."""
_TROUBLE = (httpx.HTTPError, PrefectException)
_PASSING = {httpx.codes.LOCKED, httpx.codes.SERVICE_UNAVAILABLE}
"""What the server answers when no slot is free, and when SQLite has another writer."""


@contextmanager
def heavy(report: Report) -> Iterator[None]:
    """Hold one of the slots of the limit, if there is one, for the time of the context.

    A task run's tag would hold one too, but spared actions would wait for it. Prefect's own `concurrency` cannot be
    stopped while it waits, and waits two seconds where the server's database is busy for a moment.
    """
    if not _is_limited(flow_run.id):
        yield
        return
    holder = ConcurrencyLeaseHolder(type="task_run", id=UUID(task_run.id))

    def take(client: SyncPrefectClient) -> UUID:
        answer = client.increment_concurrency_slots_with_lease([HEAVY], 1, "concurrency", _LEASE, holder)
        return UUID(answer.json()["lease_id"])

    # A sign of progress raises when the run is stopped.
    lease = _patiently(take, lambda: report.progress("waiting", 0, 1))
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(lease, over), name="lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()
        with suppress(*_TROUBLE):  # it ends by itself
            _patiently(lambda client: client.release_concurrency_slots_with_lease(lease), lambda: None)


@lru_cache(maxsize=1)
def _is_limited(_flow_run: str | None) -> bool:
    """Whether the server has the limit; asked once a run."""
    with get_client(sync_client=True) as client:
        try:
            return client.read_global_concurrency_limit_by_name(HEAVY).active
        except ObjectNotFound:
            return False


def _patiently(ask: Callable[[SyncPrefectClient], T], between: Callable[[], None]) -> T:
    """The answer of the server, asked again while it has a reason that passes."""
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), get_client(sync_client=True) as client:
        while True:
            try:
                return ask(client)
            except httpx.HTTPStatusError as error:
                if error.response.status_code not in _PASSING:
                    raise
            between()
            time.sleep(_LOOK)


def _keep(lease: UUID, over: threading.Event) -> None:
    """Renew a lease until its work is over; one that is lost in spite of that is no reason to end the work."""
    while not over.wait(_LEASE / 3):
        with suppress(*_TROUBLE), get_client(sync_client=True) as client:
            client.renew_concurrency_lease(lease, _LEASE)
