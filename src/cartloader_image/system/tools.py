"""Calls of external tools: each is watched while it works, and judged by how it ends and what it said.

Some failures are transient; `RETRIES` says how often and when a call that failed so is worth another attempt.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import uniform
from typing import NoReturn

from pydantic import BaseModel, ConfigDict

from cartloader_image.errors import ToolError, UsageError
from cartloader_image.report import Report, Stage, quiet
from cartloader_image.results import ToolUse
from cartloader_image.system.aside import aside
from cartloader_image.system.process import TICK, Lines, listen, running

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
_FULL = re.compile(r"no space left on device|database or disk is full|disk quota exceeded", re.IGNORECASE)
_ERROR_LINE = re.compile(r"ERROR \d+: (?!PROJ)")
"""How GDAL's tools report what they do not always end with an exit code for; PROJ's complaints need not matter."""


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
    part: str | None = None
    """What it makes, where the stage takes several calls."""
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
    counts: bool = True
    """Whether its progress is that of the stage; else, whoever calls tells that."""
    answers: bool = False
    """Whether its standard output is an answer to be read, rather than words for the log."""

    @property
    def tool(self) -> str:
        """The program's name."""
        return self.program.name

    @property
    def title(self) -> str:
        """What it does, in a word or two."""
        return self.part or self.stage.value

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
            time.sleep(TICK)
    raise AssertionError("the last attempt returns or raises")


def run(call: ToolCall, report: Report = quiet, attempt: int = 1) -> Finished:
    """Run a tool once; on any way out, its whole process group has ended.

    Raises:
        ToolError: it cannot be started, fails, or takes too long.
    """

    def attend(say: Callable[[Finished], None], over: threading.Lock) -> None:
        say(_attend(call, report, over, attempt))

    with aside(attend) as finished:
        return finished


def _attend(call: ToolCall, report: Report, over: threading.Lock, attempt: int) -> Finished:
    """All of one attempt: the same start each time, the tool at work, its end judged."""
    start = time.monotonic()

    def check() -> None:
        """Whether to go on."""
        report.check()
        if not over.locked():
            raise ToolError(f"{call.tool} was stopped")
        if time.monotonic() > start + call.timeout:
            raise ToolError(
                f"{call.tool} was stopped, as it did not end within {call.timeout:,g} s{_times(attempt)}; "
                "allow it longer with --tool-timeout",
                transient=True,
                command=call.command,
                words=errors.last(),
            )

    def progress(percent: int) -> None:
        if call.counts:
            report.progress(call.stage, percent, 100)

    def tick(percent: int) -> None:
        check()
        progress(percent)

    output, errors = Lines(call.tool, quiet if call.answers else report), Lines(call.tool, report)
    progress(0)
    _prepare(call, check)
    report.detail(f"$ {shlex.join(call.command)}")
    with running(call.command, call.folder) as process:
        memory = listen(process, output, errors, tick)
    if process.returncode or any(map(_ERROR_LINE.match, errors.lines)):
        _fail(call, process.returncode, errors if errors.lines else output, attempt)
    use = ToolUse(tool=call.tool, stage=call.title, seconds=round(time.monotonic() - start, 3), memory=memory)
    report.detail(f"{call.tool}: {use.seconds:.1f} s, {memory / 1e6:,.0f} MB of memory")
    progress(100)
    return Finished("\n".join(output.lines), use)


def _prepare(call: ToolCall, check: Callable[[], None]) -> None:
    """Remove what an attempt before left, and copy what the tool starts from."""
    if call.makes is None:
        return
    output = call.folder / call.makes
    for suffix in ("", "-journal", "-wal", "-shm"):  # SQLite's own beside a database
        output.with_name(output.name + suffix).unlink(missing_ok=True)
    if call.copies is not None:
        with (call.folder / call.copies).open("rb") as source, output.open("wb") as target:
            while chunk := source.read(_COPY_BYTES):
                target.write(chunk)
                check()


def _fail(call: ToolCall, code: int, heard: Lines, attempt: int) -> NoReturn:
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
