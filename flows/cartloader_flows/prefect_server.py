"""The process of the Prefect server that stays: Prefect's own command in the foreground, and a log that stays small.

Its standard output and error are the log itself, which is always written to the end; a pipe would need somebody who
reads it for as long as the server lives, and stop the server where nobody does.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

_LARGEST = 10 << 20
"""Bytes of the log, after which it is put aside; the one before it goes."""
_LOOK = 5.0
"""Seconds between two looks at its size."""


def write_to(log: Path) -> None:
    """Let what this process says from now on stand at the end of the log."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def keep_small(log: Path) -> None:
    """Put the log aside where it is too large, and begin another one; likewise where somebody has removed it."""
    with suppress(OSError):  # a full disk is no reason to end
        if not log.exists() or log.stat().st_size > _LARGEST:
            with suppress(FileNotFoundError):
                log.replace(log.with_name(f"{log.name}.1"))
            write_to(log)


def _watch(log: Path) -> None:
    while True:
        time.sleep(_LOOK)
        keep_small(log)


def _serve(log: Path, argv: list[str]) -> None:
    threading.Thread(target=_watch, args=(log,), name="log", daemon=True).start()
    sys.argv = ["prefect", "--no-prompt", "server", "start", *argv]
    runpy.run_module("prefect", run_name="__main__")


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2:])
