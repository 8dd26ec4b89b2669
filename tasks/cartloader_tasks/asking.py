"""Questions to the Prefect server that are asked again soon where its database was busy.

With SQLite it often is, for a moment: two transactions that have read cannot both write, and the server refuses one of
them (503). Prefect's client then waits two seconds, and twice as long after each further refusal.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import lru_cache
from typing import TypeVar

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL

T = TypeVar("T")

_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds after a first refusal, and the most after many: a database can be locked for minutes."""
_PATIENCE = 120.0
"""Seconds after which nobody asks again."""


class BusyError(httpx.HTTPError):
    """The server refused to answer for now."""


def ask(question: Callable[[SyncPrefectClient], T], meanwhile: Callable[[], None] = lambda: None) -> T:
    """What the server answers.

    Args:
        question: asks the client that it is given.
        meanwhile: called after each refusal; what it raises ends the asking.

    Raises:
        BusyError: it is refused for minutes.
        httpx.HTTPError: the server is not there, or answers with an error.
    """
    until, pause = time.monotonic() + _PATIENCE, _PAUSE
    while True:
        try:
            return question(_client(PREFECT_API_URL.value()))
        except BusyError:
            if time.monotonic() > until:
                raise
        meanwhile()
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_PAUSE)


@lru_cache(maxsize=4)
def _client(_api: str | None) -> SyncPrefectClient:
    """One for each server and all threads of this process: to make one takes as long as ten questions."""
    client = get_client(httpx_settings={"event_hooks": {"response": [_refuse_to_wait]}}, sync_client=True)
    return _open.enter_context(client)


def _refuse_to_wait(response: httpx.Response) -> None:
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        response.read()  # a connection that is closed before its answer is read can stop the server for a minute
        raise BusyError(f"the Prefect server at {response.url.host} is busy")


_open = ExitStack()
atexit.register(_open.close)
