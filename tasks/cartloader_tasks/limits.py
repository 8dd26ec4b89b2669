"""How many images are worked on at a time, over all runs and machines: a limit that the operator sets on the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from functools import lru_cache
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.runtime import flow_run, task_run

from cartloader_image.report import Report, waiting
from cartloader_tasks.asking import ask

HEAVY = "cartloader-heavy"
"""The global concurrency limit of the images of which pixels are read or cut; without one there is no limit."""
_LOOK = 0.3
"""Seconds after which a free slot, or that the run was stopped, is noticed."""
_LEASE = 60.0
"""Seconds after which the slot of a killed process is free again; Prefect takes no shorter ones."""
_TROUBLE = (httpx.HTTPError, PrefectException)


class _Slot:
    """What an image holds of the limit: nothing until an action of it works, then one slot for all of them.

    A task run's tag would hold one too, but skipped actions would wait for it, and Prefect's own `concurrency` cannot
    be stopped while it waits.
    """

    def __init__(self) -> None:
        run = ("task_run", task_run.id) if task_run.id else ("flow_run", flow_run.id)
        self._holder = ConcurrencyLeaseHolder.model_validate(dict(zip(("type", "id"), run, strict=True)))
        self._lease: UUID | None = None
        self._over = threading.Event()

    def take(self, report: Report) -> None:
        """Wait for a free slot, unless there is no limit or one is held already."""
        if self._lease or not _is_limited(flow_run.id):
            return
        with waiting(report, f"a slot of {HEAVY}", report.detail) as wait:
            while not (lease := ask(self._lease_of_one, report.check)):
                wait()
                time.sleep(_LOOK)
        self._lease, self._over = lease, threading.Event()
        # The settings by which the server is found are those of the context.
        keeping = (_keep, lease, self._over)
        threading.Thread(target=copy_context().run, args=keeping, name="lease", daemon=True).start()

    def give_back(self) -> None:
        """Let others have the slot, if one is held."""
        if lease := self._lease:
            self._lease = None
            self._over.set()
            with suppress(*_TROUBLE):  # or it ends by itself
                ask(lambda client: client.release_concurrency_slots_with_lease(lease))

    def _lease_of_one(self, client: SyncPrefectClient) -> UUID | None:
        """A lease of a slot; None where none is free."""
        try:
            answer = client.increment_concurrency_slots_with_lease([HEAVY], 1, "concurrency", _LEASE, self._holder)
        except httpx.HTTPStatusError as error:
            # All are taken, or the operator has set the limit to 0.
            if error.response.status_code in {httpx.codes.LOCKED, httpx.codes.UNPROCESSABLE_ENTITY}:
                return None
            raise
        return UUID(answer.json()["lease_id"])


_slot: ContextVar[_Slot | None] = ContextVar("slot", default=None)
"""That of the image which is worked on here."""


@contextmanager
def one_slot() -> Iterator[None]:
    """Let the actions of an image have one slot between them, from the first that takes it to the end of this."""
    slot = _Slot()
    token = _slot.set(slot)
    try:
        yield
    finally:
        _slot.reset(token)
        slot.give_back()


def take_slot(report: Report) -> None:
    """Wait for a slot of the limit, if there is one and the image holds none yet."""
    if slot := _slot.get():
        slot.take(report)


def give_back_slot() -> None:
    """Hold no slot any more, until the next action takes one.

    Who waits for another run must do so: that one may wait for a slot.
    """
    if slot := _slot.get():
        slot.give_back()


@lru_cache(maxsize=1)
def _is_limited(_flow_run: str | None) -> bool:
    """Whether the server has the limit; asked once a run."""
    try:
        return ask(lambda client: client.read_global_concurrency_limit_by_name(HEAVY)).active
    except ObjectNotFound:
        return False


def _keep(lease: UUID, over: threading.Event) -> None:
    """Renew a lease until its work is over; one that is lost in spite of that is no reason to end the work."""
    while not over.wait(_LEASE / 3):
        with suppress(*_TROUBLE):
            ask(lambda client: client.renew_concurrency_lease(lease, _LEASE))
