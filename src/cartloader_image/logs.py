"""What the libraries that read pictures log: nothing, while this package reads with them, or what it wants to hear.

A user gets a sentence, a note or a picture instead. Before and after, their loggers are as the program has them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = {
    logging.getLogger("tifffile"): logging.CRITICAL,
    logging.getLogger("rasterio"): logging.CRITICAL,
    logging.getLogger("imagecodecs"): logging.WARNING,  # of which `overheard` takes what is to be told
}
"""And the levels that they have meanwhile."""
_lock = threading.Lock()
_readings = 0
_levels: list[int] = []
"""Of the loggers, before the first of the readings under way."""


@contextmanager
def silenced() -> Iterator[None]:
    """Let tifffile and rasterio log nothing; with the last reading under way, in any thread, their levels come back.

    A level, as rasterio logs in loggers below its own, which take its level and no filter.
    """
    global _readings  # noqa: PLW0603  (a process has one set of loggers)
    with _lock:
        if not _readings:
            _levels[:] = [logger.level for logger in _LOGGERS]
            for logger, level in _LOGGERS.items():
                logger.setLevel(level)
        _readings += 1
    try:
        yield
    finally:
        with _lock:
            _readings -= 1
            if not _readings:
                for logger, level in zip(_LOGGERS, _levels, strict=True):
                    logger.setLevel(level)


class _Hearing(logging.Filter):
    """Takes what imagecodecs logs in threads that listen, and lets everything else pass."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether nobody listens in this thread."""
        said: list[str] | None = getattr(self.thread, "said", None)
        if said is not None:
            said.append(record.getMessage())
        return said is None


_hearing = _Hearing()
logging.getLogger("imagecodecs").addFilter(_hearing)


@contextmanager
def overheard() -> Iterator[list[str]]:
    """What imagecodecs logs in this thread, which then goes nowhere else."""
    said: list[str] = []
    _hearing.thread.said = said
    try:
        yield said
    finally:
        _hearing.thread.said = None
