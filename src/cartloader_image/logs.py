"""What the libraries that read pictures log: nothing, while this package reads with them.

A user gets a sentence, a note or a picture instead. Before and after, their loggers are as the program has them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = (logging.getLogger("tifffile"), logging.getLogger("rasterio"))
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
            for logger in _LOGGERS:
                logger.setLevel(logging.CRITICAL)
        _readings += 1
    try:
        yield
    finally:
        with _lock:
            _readings -= 1
            if not _readings:
                for logger, level in zip(_LOGGERS, _levels, strict=True):
                    logger.setLevel(level)
