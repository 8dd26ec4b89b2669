"""What the tasks say while they work: to the log of their run, and to whoever watches in this process.

A report cannot be a task's argument: arguments are recorded, and may travel to another process. The watcher waits in
a context variable instead, which Prefect's thread runner hands on to its threads; elsewhere nobody watches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from logging import Logger, LoggerAdapter

from prefect.logging import get_run_logger

from cartloader.report import Report, quiet

Watcher = Callable[[str], Report]
"""Gives the report of an image by its id."""


def _nobody(img_id: str) -> Report:  # noqa: ARG001
    return quiet


_watcher: ContextVar[Watcher] = ContextVar("watcher", default=_nobody)


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Let the watcher see what the tasks of this context do."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def run_report(img_id: str) -> Report:
    """The report of the task that runs here, about this image."""
    return _RunReport(_watcher.get()(img_id), get_run_logger())


@dataclass(frozen=True)
class _RunReport:
    """Tells the watcher everything, and the run's log what is worth keeping.

    The logger is taken at once: the craft reports from threads of its own, which know nothing of the run.
    """

    watcher: Report
    logger: Logger | LoggerAdapter[Logger]

    def describe(self, text: str) -> None:
        self.logger.info(text)
        self.watcher.describe(text)

    def progress(self, stage: str, done: int, total: int) -> None:
        self.watcher.progress(stage, done, total)

    def note(self, text: str) -> None:
        self.logger.warning(text)
        self.watcher.note(text)

    def detail(self, text: str) -> None:
        self.logger.info(text)
        self.watcher.detail(text)
