"""What the tasks say while they work: to the log of their run, and to whoever watches in this process.

A report cannot be a task's argument: arguments are recorded, and may travel to another process. The watcher waits in
a context variable instead, which Prefect's thread runner hands on to its threads; elsewhere nobody watches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from logging import Logger, LoggerAdapter
from uuid import UUID

from httpx import HTTPError
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger
from prefect.runtime import flow_run

from cartloader_image.errors import StoppedError
from cartloader_image.report import Report, Stage, quiet
from cartloader_tasks.artifacts import image_progress
from cartloader_tasks.asking import ask

Watcher = Callable[[str], Report]
"""Gives the report of an image by its id."""


def _nobody(img_id: str) -> Report:  # noqa: ARG001
    return quiet


_watcher: ContextVar[Watcher] = ContextVar("watcher", default=_nobody)
_stop: ContextVar[Callable[[], bool]] = ContextVar("stop", default=bool)
"""Whether the work is to stop."""

_ASKED_EVERY = 2.0
"""Seconds between two questions to the server whether a run is cancelled."""


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Let the watcher see what the tasks of this context do."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


@contextmanager
def stopping_together() -> Iterator[None]:
    """Let whatever ends this context, and a flow run that is cancelled, end the tasks of this context.

    A signal reaches the main thread alone; the tasks in other threads stop when they check next. That its flow run is
    cancelled nobody tells a process, unless a worker has started it: so the server is asked.
    """
    stop, over = threading.Event(), threading.Event()
    token = _stop.set(stop.is_set)
    if flow_run.id:
        # The settings by which the server is found are those of the context.
        watching = (_stop_with, UUID(flow_run.id), stop, over)
        threading.Thread(target=copy_context().run, args=watching, name="cancelling", daemon=True).start()
    try:
        yield
    except BaseException:
        stop.set()
        raise
    finally:
        over.set()
        _stop.reset(token)


def _stop_with(run: UUID, stop: threading.Event, over: threading.Event) -> None:
    """Wait until a flow run is no longer at work."""
    while not over.wait(_ASKED_EVERY):
        try:
            state = ask(lambda client: client.read_flow_run(run)).state
        except (HTTPError, PrefectException):  # a server that cannot be reached stops nobody
            continue
        if state and not state.is_running() and not over.is_set():
            stop.set()
            return


def is_stopping() -> bool:
    """Whether the task that runs here is to stop."""
    return _stop.get()()


def watcher_report(img_id: str) -> Report:
    """The report of whoever watches here, about this image; nothing of it goes to the log of a run."""
    return _watcher.get()(img_id)


def run_report(img_id: str) -> Report:
    """The report of the task that runs here, about this image."""
    return _RunReport(_watcher.get()(img_id), get_run_logger(), _stop.get(), image_progress(img_id))


@dataclass(frozen=True)
class _RunReport:
    """Tells the watcher everything, and the run's log what is worth keeping.

    The logger is taken at once: the craft reports from threads of its own, which know nothing of the run.
    """

    watcher: Report
    logger: Logger | LoggerAdapter[Logger]
    stop: Callable[[], bool]
    tell: Callable[[Stage, int, int], None]

    def describe(self, text: str) -> None:
        self.logger.info(text)
        self.watcher.describe(text)

    def check(self) -> None:
        if self.stop():
            raise StoppedError("the run was stopped")
        self.watcher.check()

    def progress(self, stage: Stage, done: int, total: int) -> None:
        self.watcher.progress(stage, done, total)
        self.tell(stage, done, total)

    def note(self, text: str) -> None:
        self.logger.warning(text)
        self.watcher.note(text)

    def detail(self, text: str) -> None:
        self.logger.info(text)
        self.watcher.detail(text)
