"""What a command costs as a whole: wall time, processor time and memory of all its processes together."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_PAUSE = 0.1
"""Seconds between two looks at the memory of the processes."""


@dataclass(frozen=True)
class Cost:
    """The cost of a command, or of several that follow each other."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds, of all processors and of all processes that were waited for."""
    peak: int
    """Bytes of resident memory: the greatest sum over the processes that were there at one time."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu, max(self.peak, other.peak))


def measure(command: Sequence[str | Path], cwd: Path) -> Cost:
    """Run a command in a directory.

    Raises:
        subprocess.CalledProcessError: it failed; the exception carries what it said.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    watch = _MemoryWatch(process.pid)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    # The kernel's own figure is exact, but speaks of the largest single process.
    peak = max(watch.stop(), usage.ru_maxrss * 1024)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(map(str, command)), said)
    return Cost(wall, usage.ru_utime + usage.ru_stime, peak)


class _MemoryWatch:
    """Adds up the memory of a process and its children again and again."""

    def __init__(self, pid: int) -> None:
        self._root, self._peak, self._ended = psutil.Process(pid), 0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """The greatest sum, in bytes."""
        self._ended.set()
        self._thread.join()
        return self._peak

    def _look(self) -> None:
        while not self._ended.wait(_PAUSE):
            total = 0
            try:
                for process in [self._root, *self._root.children(recursive=True)]:
                    total += process.memory_info().rss
            except psutil.Error:  # one of them has ended meanwhile
                continue
            self._peak = max(self._peak, total)
