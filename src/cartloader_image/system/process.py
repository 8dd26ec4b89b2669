"""A process that is listened to and never left behind: it has a process group of its own, which ends with it.

What is run is a tool's program with its arguments; what its words and its end mean is no matter of this module.
"""

from __future__ import annotations

import codecs
import ctypes
import errno
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cartloader_image.errors import ToolError
from cartloader_image.report import Report
from cartloader_image.system.gdal import OFFLINE

_PRCTL = ctypes.PyDLL(None).prctl if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1
TICK = 0.1
"""Seconds between two looks at a tool that says nothing."""
_GRACE = 3.0
"""Seconds between the request to end (TERM) and the end (KILL)."""
_LAST_LINES = 20
_KEPT_LINES = 100_000
"""Lines of output that are kept; what a tool is asked for is shorter by far."""
_BUSY_ERRNOS = {errno.EAGAIN, errno.EBUSY, errno.EIO, errno.EMFILE, errno.ENOMEM, errno.ESTALE, errno.ETXTBSY}
_PERCENT = re.compile(r"(\d{1,3})(?=%|\.| - done)")
"""The progress of GDAL (``0...10...20``) and of go-pmtiles (``35% |``)."""


class Lines:
    """The text of a pipe as it comes: its lines, and the progress reported in between."""

    def __init__(self, tool: str, report: Report) -> None:
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.percent = 0
        """The progress that was reported last."""
        self._tool, self._report = tool, report
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def read(self, descriptor: int) -> bool:
        """Take what is there; False at the end."""
        chunk = os.read(descriptor, 1 << 16)
        pieces = (self._rest + self._decoder.decode(chunk)).splitlines(keepends=True)
        self._rest = pieces.pop() if pieces and not pieces[-1].endswith(("\n", "\r")) else ""
        for piece in pieces:
            if piece.endswith("\n"):  # what ends with a carriage return is written over: a progress bar
                self._take(piece.strip())
        if percents := _PERCENT.findall(self._rest[-200:]):
            self.percent = int(percents[-1])
        return bool(chunk)

    def close(self) -> None:
        """The last line may lack its end."""
        self._take(self._rest.strip())

    def last(self) -> list[str]:
        """The last lines, for an error."""
        return [*self.lines][-_LAST_LINES:]

    def _take(self, line: str) -> None:
        if line:
            self.lines.append(line)
            self._report.detail(f"{self._tool}: {line}")


def listen(process: subprocess.Popen[bytes], output: Lines, errors: Lines, tick: Callable[[int], None]) -> int:
    """Take down what a tool says until it has ended; returns the bytes that it held at most."""
    memory = 0
    with selectors.DefaultSelector() as pipes:
        for pipe, lines in ((process.stdout, output), (process.stderr, errors)):
            assert pipe is not None
            pipes.register(pipe, selectors.EVENT_READ, lines)

        def read(seconds: float) -> bool:
            ready = pipes.select(seconds)
            for key, _ in ready:
                if not key.data.read(key.fd):
                    pipes.unregister(key.fileobj)
            return bool(ready)

        while not _has_ended(process):
            read(TICK)
            memory = max(memory, _peak_memory(process.pid))
            tick(min(max(output.percent, errors.percent), 99))
        while read(0):
            pass
    output.close()
    errors.close()
    return memory


def _die_with_us() -> None:
    """Let the tool be killed when the thread that attends to it ends, as in a process that is killed itself.

    A worker of Prefect that is stopped kills its runs, which then cannot end their tools.
    """
    if _PRCTL:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program at work in a folder; afterwards nothing of its process group is left.

    Raises:
        ToolError: it cannot be started.
    """
    try:
        process = subprocess.Popen(  # noqa: S603  (a list of arguments: no shell reads them)
            command,
            cwd=folder,
            # What is looked for in a tool's words is English.
            env=os.environ | OFFLINE | {"LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            preexec_fn=_die_with_us,  # noqa: PLW1509  (one system call)
        )
    except OSError as error:
        lost = error.errno == errno.ENOENT and Path(command[0]).exists()
        raise ToolError(
            f"{command[0]}: cannot be run ({'its interpreter is missing' if lost else error.strerror})",
            transient=error.errno in _BUSY_ERRNOS,
            command=command,
        ) from error
    with process:
        try:
            yield process
        finally:
            _end(process)


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether the tool has ended; it stays a zombie, so that the number of its group remains its own."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the tool and everything that it started."""
    try:
        if not _has_ended(process):
            os.killpg(process.pid, signal.SIGTERM)
        until = time.monotonic() + _GRACE
        while not _has_ended(process) and time.monotonic() < until:
            time.sleep(TICK / 10)
    finally:
        with suppress(ProcessLookupError, PermissionError):  # macOS: of a group of zombies
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _peak_memory(pid: int) -> int:
    """Bytes that a process or one of its children held at most, 0 where the system does not tell.

    The peak in the resource usage of a child begins with that of its parent.
    """
    peak = 0
    with suppress(OSError, ValueError):
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        if found := re.search(r"VmHWM:\s*(\d+) kB", status):
            peak = int(found[1]) * 1024
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
            peak = max(peak, _peak_memory(int(child)))
    return peak
