"""The one place that starts a process: an external tool, listened to, watched, and never left behind.

A tool runs in a process group of its own, which ends with the call, however that ends. Some failures are transient;
`RETRIES` says how often and when a call that failed in such a way is worth another attempt.
"""

from __future__ import annotations

import codecs
import ctypes
import errno
import os
import re
import selectors
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import uniform
from typing import NoReturn

from pydantic import BaseModel, ConfigDict

from cartloader_image.errors import ToolError, UsageError
from cartloader_image.report import Report, Stage, quiet
from cartloader_image.results import ToolUse

_PRCTL = ctypes.PyDLL(None).prctl if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1
_TICK = 0.1
"""Seconds between two looks at a tool that says nothing."""
_GRACE = 3.0
"""Seconds between the request to end (TERM) and the end (KILL)."""
_LAST_LINES = 20
_KEPT_LINES = 100_000
"""Lines of output that are kept; what a tool is asked for is shorter by far."""
_COPY_BYTES = 16 << 20
_NO_ROOM = 1_000_000
"""Free bytes below which a disk is full: a tool stops at the first piece that does not fit."""
_FROM_OUTSIDE = {signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM}
"""Signals that somebody else sends, such as a machine out of memory; a tool's own crash would only come again."""
_BUSY = re.compile(
    r"database (table )?is locked|text file busy|resource (temporarily unavailable|busy)|stale file handle|"
    r"disk i/o error|input/output error|cannot allocate memory|too many open files",
    re.IGNORECASE,
)
_BUSY_ERRNOS = {errno.EAGAIN, errno.EBUSY, errno.EIO, errno.EMFILE, errno.ENOMEM, errno.ESTALE, errno.ETXTBSY}
_FULL = re.compile(r"no space left on device|database or disk is full|disk quota exceeded", re.IGNORECASE)
_ERROR_LINE = re.compile(r"ERROR \d+: (?!PROJ)")
"""How GDAL's tools report what they do not always end with an exit code for; PROJ's complaints need not matter."""
_PERCENT = re.compile(r"(\d{1,3})(?=%|\.| - done)")
"""The progress of GDAL (``0...10...20``) and of go-pmtiles (``35% |``)."""


@dataclass(frozen=True)
class Retries:
    """When a call whose failure is transient is tried again: exponential back-off, spread at random."""

    attempts: int = 3
    first_delay: float = 1.0
    """Seconds."""
    growth: float = 3.0
    jitter: float = 0.3
    """Largest share that is added to a delay."""

    @property
    def delays(self) -> list[float]:
        """Seconds before the second attempt and those after it, without the jitter."""
        return [self.first_delay * self.growth**n for n in range(self.attempts - 1)]


RETRIES = Retries()


class ToolCall(BaseModel):
    """One call of a tool; it can be repeated, as each attempt starts from the same files."""

    model_config = ConfigDict(frozen=True)

    img_id: str
    """The image that it works for."""
    stage: Stage
    zoom: int | None = None
    """The one zoom that it makes, where the stage takes a call for each."""
    program: Path
    arguments: tuple[str, ...]
    folder: Path
    """The working directory, which file names in the arguments are relative to."""
    timeout: float
    """Seconds."""
    makes: str | None = None
    """The file that it writes: whatever an attempt before left of it is removed first."""
    copies: str | None = None
    """The file that ``makes`` starts as a copy of."""
    answers: bool = False
    """Whether its standard output is an answer to be read, rather than words for the log."""

    @property
    def tool(self) -> str:
        """The program's name."""
        return self.program.name

    @property
    def title(self) -> str:
        """What it does, in a word or two."""
        return self.stage.value if self.zoom is None else f"zoom {self.zoom}"

    @property
    def command(self) -> list[str]:
        """Program and arguments."""
        return [str(self.program), *self.arguments]


@dataclass(frozen=True)
class Finished:
    """What came of a call that ended well."""

    output: str
    """What it printed on standard output."""
    use: ToolUse


RunTool = Callable[[ToolCall, Report], Finished]
"""Carries out a call, with all its attempts."""


def find_program(name: str, given: str | None, how_to_install: str) -> Path:
    """The program of an option, as an absolute path.

    Raises:
        ToolError: none is given, and there is none of this name.
        UsageError: what is given is no program.
    """
    if given is None:
        if found := shutil.which(name):
            return Path(found).absolute()
        raise ToolError(
            f"{name} is not installed, which --engine gdal needs; {how_to_install}, or give its path with --{name}"
        )
    if "/" not in given:
        if found := shutil.which(given):
            return Path(found).absolute()
        raise UsageError(f"--{name} {given}: there is no such program; {how_to_install}, or give its whole path")
    path = Path(given).absolute()
    for wrong, why in (
        (not path.exists(), "there is no such file"),
        (path.is_dir(), "is a directory"),
        (not os.access(path, os.X_OK), "is not executable"),
    ):
        if wrong:
            raise UsageError(f"--{name} {given}: {why}; give the path of the program itself")
    return path


def run_with_retries(call: ToolCall, report: Report = quiet) -> Finished:
    """Run a tool, again where its failure is transient.

    Raises:
        ToolError: its failure is permanent, or came as often as `RETRIES` allows.
    """
    for attempt, delay in enumerate([*RETRIES.delays, None], start=1):
        try:
            return run(call, report, attempt)
        except ToolError as error:
            if delay is None or not error.transient:
                raise
            report.note(f"{error}; trying again")
        until = time.monotonic() + delay * uniform(1, 1 + RETRIES.jitter)  # noqa: S311  (no secret)
        while time.monotonic() < until:
            report.check()
            time.sleep(_TICK)
    raise AssertionError("the last attempt returns or raises")


def run(call: ToolCall, report: Report = quiet, attempt: int = 1) -> Finished:
    """Run a tool once; on any way out, its whole process group has ended.

    A thread of its own looks after it, since Ctrl-C can interrupt the main one between any two steps.

    Raises:
        ToolError: it cannot be started, fails, or takes too long.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(1, thread_name_prefix=call.tool) as keeper:
        try:
            return keeper.submit(_attend, call, report, stop, attempt).result()
        except BaseException:
            stop.set()
            raise


def _attend(call: ToolCall, report: Report, stop: threading.Event, attempt: int) -> Finished:
    """All of one attempt: the same start each time, the tool at work, its end judged."""
    start = time.monotonic()

    def check() -> None:
        """Whether to go on."""
        report.check()
        if stop.is_set():
            raise ToolError(f"{call.tool} was stopped")
        if time.monotonic() > start + call.timeout:
            raise ToolError(
                f"{call.tool} was stopped, as it did not end within {call.timeout:,g} s{_times(attempt)}; "
                "allow it longer with --tool-timeout",
                transient=True,
                command=call.command,
                words=errors.last(),
            )

    def tick(percent: int) -> None:
        check()
        report.progress(call.stage, percent, 100)

    output, errors = _Lines(call.tool, quiet if call.answers else report), _Lines(call.tool, report)
    report.progress(call.stage, 0, 100)
    _prepare(call, check)
    report.detail(f"$ {shlex.join(call.command)}")
    with _process(call) as process:
        memory = _listen(process, output, errors, tick)
    if process.returncode or any(map(_ERROR_LINE.match, errors.lines)):
        _fail(call, process.returncode, errors if errors.lines else output, attempt)
    use = ToolUse(tool=call.tool, stage=call.title, seconds=round(time.monotonic() - start, 3), memory=memory)
    report.detail(f"{call.tool}: {use.seconds:.1f} s, {memory / 1e6:,.0f} MB of memory")
    report.progress(call.stage, 100, 100)
    return Finished("\n".join(output.lines), use)


def _prepare(call: ToolCall, check: Callable[[], None]) -> None:
    """Remove what an attempt before left, and copy what the tool starts from."""
    if call.makes is None:
        return
    made = call.folder / call.makes
    for suffix in ("", "-journal", "-wal", "-shm"):  # SQLite's own beside a database
        made.with_name(made.name + suffix).unlink(missing_ok=True)
    if call.copies is not None:
        with (call.folder / call.copies).open("rb") as source, made.open("wb") as target:
            while chunk := source.read(_COPY_BYTES):
                target.write(chunk)
                check()


def _listen(process: subprocess.Popen[bytes], output: _Lines, errors: _Lines, tick: Callable[[int], None]) -> int:
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
            read(_TICK)
            memory = max(memory, _peak_memory(process.pid))
            tick(min(max(output.percent, errors.percent), 99))
        while read(0):
            pass
    output.close()
    errors.close()
    return memory


def _fail(call: ToolCall, code: int, heard: _Lines, attempt: int) -> NoReturn:
    """Say why a tool failed, and whether that is transient.

    Raises:
        ToolError: always.
    """
    # A shell between us and the tool says 128 + n for signal n.
    number = -code if code < 0 else code - 128
    words, said = heard.last(), "\n".join(heard.lines)
    last = f'; its last words: "{" ".join(words[-1].split())}"' if words else ""
    killed, full = number in _FROM_OUTSIDE, bool(_FULL.search(said)) or shutil.disk_usage(call.folder).free < _NO_ROOM
    if full:
        what, hint = "stopped because the disk is full", "; make room or choose another --out-dir"
    elif killed:
        what, hint = f"was killed (signal {number})", "; is the machine out of memory?"
    elif code < 0:
        what, hint = f"crashed ({signal.Signals(number).name})", ""
    else:
        what, hint = f"failed (exit code {code})" if code else "reported an error", ""
    raise ToolError(
        f"{call.tool} {what}{_times(attempt)}{last}{hint}",
        transient=not full and (killed or bool(_BUSY.search(said))),
        command=call.command,
        code=code,
        words=words,
    )


def _times(attempt: int) -> str:
    return f", {attempt} times" if attempt > 1 else ""


class _Lines:
    """The text of a pipe as it comes: its lines, and the progress that is told in between."""

    def __init__(self, tool: str, report: Report) -> None:
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.percent = 0
        """The progress that was told last."""
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
        if told := _PERCENT.findall(self._rest[-200:]):
            self.percent = int(told[-1])
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


def _die_with_us() -> None:
    """Let the tool be killed when the thread that attends to it ends, as in a process that is killed itself.

    A worker of Prefect that is stopped kills its runs, which then cannot end their tools.
    """
    if _PRCTL:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def _process(call: ToolCall) -> Iterator[subprocess.Popen[bytes]]:
    """The tool at work; afterwards nothing of its process group is left.

    Raises:
        ToolError: it cannot be started.
    """
    try:
        process = subprocess.Popen(  # noqa: S603  (a list of arguments: no shell reads them)
            call.command,
            cwd=call.folder,
            # What is looked for in a tool's words is English.
            env=os.environ | {"LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            preexec_fn=_die_with_us,  # noqa: PLW1509  (one system call)
        )
    except OSError as error:
        lost = error.errno == errno.ENOENT and call.program.exists()
        raise ToolError(
            f"{call.program}: cannot be run ({'its interpreter is missing' if lost else error.strerror})",
            transient=error.errno in _BUSY_ERRNOS,
            command=call.command,
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
            time.sleep(_TICK / 10)
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
