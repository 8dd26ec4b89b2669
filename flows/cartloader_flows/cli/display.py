"""Watching the images of a run at work: on standard error, never in the way of the result on standard output."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TextIO

from cartloader_flows.cli.summary import duration
from cartloader_image.errors import StoppedError
from cartloader_image.report import Stage

_LONG = 1.0
"""Seconds of a wait that is worth a line."""


class Display(Protocol):
    """Shows what happens to the images of a run; called from any thread."""

    def describe(self, img_id: str, text: str, /) -> None:
        """What the image is."""

    def progress(self, img_id: str, stage: Stage, done: int, total: int, /) -> None:
        """How far a stage of it is."""

    def note(self, img_id: str, text: str, /) -> None:
        """Something worth knowing about it."""


class Watch:
    """Hands out the reports of a run's images, and can stop the run: each then ends when it checks next."""

    def __init__(self, display: Display, *, verbose: bool = False) -> None:
        self.display, self.verbose = display, verbose
        self._stopped = threading.Event()

    def report(self, img_id: str) -> ImageReport:
        """The report of one image."""
        return ImageReport(img_id, self)

    def stop(self) -> None:
        """Let all images end soon: their threads cannot be interrupted, but they check often."""
        self._stopped.set()

    def check(self) -> None:
        """Do nothing while the run goes on.

        Raises:
            StoppedError: it was stopped.
        """
        if self._stopped.is_set():
            raise StoppedError("interrupted")


@dataclass(frozen=True)
class ImageReport:
    """The `cartloader_image.report.Report` of one image."""

    img_id: str
    watch: Watch

    def describe(self, text: str) -> None:
        """Show what the image is."""
        self.watch.display.describe(self.img_id, text)

    def check(self) -> None:
        """Do nothing while the run goes on.

        Raises:
            StoppedError: it was stopped.
        """
        self.watch.check()

    def progress(self, stage: Stage, done: int, total: int) -> None:
        """Show how far the stage is."""
        self.watch.display.progress(self.img_id, stage, done, total)

    def note(self, text: str) -> None:
        """Show something worth knowing."""
        self.watch.display.note(self.img_id, text)

    def detail(self, text: str) -> None:
        """Show a line of the log, where somebody asked for it."""
        if self.watch.verbose:
            self.watch.display.note(self.img_id, text)


class Lines:
    """For a file or a pipe: one plain line for each stage that ends."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._latest: dict[str, float] = {}
        self._ended: set[tuple[str, Stage]] = set()
        self._waits: dict[str, float] = {}
        self._lock = threading.Lock()

    def describe(self, img_id: str, _text: str, /) -> None:
        """Leave it to the summary; the first stage begins here."""
        self._latest[img_id] = time.monotonic()

    def progress(self, img_id: str, stage: Stage, done: int, total: int) -> None:
        """Write the line when the stage has ended."""
        key = img_id, stage
        with self._lock:
            now = time.monotonic()
            start = self._latest.setdefault(img_id, now)
            if stage is Stage.WAITING:
                self._wait(img_id, now, over=done == total)
                return
            if done < total or key in self._ended:
                return
            self._ended.add(key)
            self._latest[img_id] = now
        self._write(f"{img_id}  {stage}  {duration(now - start)}")

    def _wait(self, img_id: str, now: float, *, over: bool) -> None:
        """Write how long a wait was, but for a moment; it does not count for the stage that it comes before."""
        if not over:
            self._waits[img_id] = now
            return
        took = now - self._waits.pop(img_id, now)
        self._latest[img_id] += took
        if took >= _LONG:
            self._write(f"{img_id}  {Stage.WAITING}  {duration(took)}")

    def note(self, img_id: str, text: str) -> None:
        """Write it."""
        self._write(f"{img_id}  {text}")

    def _write(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()


@contextmanager
def watching(sources: Mapping[str, str], *, debug: bool = False, summed_up: bool = False) -> Iterator[Watch]:
    """Watch over images, by id and file name, for the time of the context; bars on a terminal.

    With ``debug`` plain lines everywhere, the details of the log among them. With ``summed_up`` a summary follows on
    standard output, which has the notes again: where a person sees both, those beside the bars go with them.
    """
    if debug or not sys.stderr.isatty():
        yield Watch(Lines(sys.stderr), verbose=debug)
        return
    from cartloader_flows.cli.bars import bars  # noqa: PLC0415  (0.1 s for rich, which only a terminal needs)

    with bars(sources, passing_notes=summed_up and sys.stdout.isatty()) as display:
        yield Watch(display)
