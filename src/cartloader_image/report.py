"""How the craft says what it is doing: a `Report` receives progress and notes, and decides what a person sees."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from typing import Protocol

_NOTICED = 0.2
"""Seconds that nobody would call a wait."""


class Stage(StrEnum):
    """What happens to an image at a time, in the words that a person reads."""

    WAITING = "waiting"
    """Nothing, because others are at work."""
    ON_THE_CLUSTER = "on the cluster"
    """All of it, on a machine that tells no more than its end."""
    INTENSITY = "intensity"
    """Its values are counted."""
    OME2PNG = "ome2png"
    GEOREFERENCE = "georeference"
    PNG = "png"
    PNG2PMTILES = "png2pmtiles"
    PLACING = "placing"
    TILES = "tiles"
    OVERVIEWS = "overviews"
    PMTILES = "pmtiles"
    CHECKING = "checking"
    CHECK_POINTS = "check_points"

    @property
    def makes_raster(self) -> bool:
        """Whether it comes before the tiles."""
        return self in {Stage.INTENSITY, Stage.OME2PNG, Stage.GEOREFERENCE, Stage.PNG}


class Report(Protocol):
    """Receives what happens to one image while it happens; methods are called from any thread and must be cheap."""

    def check(self) -> None:
        """Do nothing while the run goes on: what every loop calls that can take long.

        Raises:
            StoppedError: it was stopped.
        """

    def describe(self, text: str) -> None:
        """What the image is, once it is open: size, type, plane, pixel size."""

    def progress(self, stage: Stage, done: int, total: int) -> None:
        """``done`` of ``total`` units of work of ``stage`` are finished; units differ from stage to stage."""

    def note(self, text: str) -> None:
        """Something the user should know although the work goes on."""

    def detail(self, text: str) -> None:
        """A line for the log of the run, such as a tool's own words; nothing that a person has to read."""


class Quiet:
    """A report that nobody reads, of a run that nobody stops."""

    def check(self) -> None:
        """Go on."""

    def describe(self, text: str) -> None:
        """Drop the text."""

    def progress(self, stage: Stage, done: int, total: int) -> None:
        """Drop the numbers."""

    def note(self, text: str) -> None:
        """Drop the text."""

    def detail(self, text: str) -> None:
        """Drop the text."""


quiet: Report = Quiet()


_waits: ContextVar[list[float] | None] = ContextVar("waits", default=None)


@contextmanager
def counting_waits() -> Iterator[list[float]]:
    """Collect how long each wait took, in seconds, that began and ended in this context."""
    found = list[float]()
    token = _waits.set(found)
    try:
        yield found
    finally:
        _waits.reset(token)


@contextmanager
def waiting(report: Report, what: str = "", tell: Callable[[str], None] | None = None) -> Iterator[Callable[[], None]]:
    """Wait for others; gives what to call again and again meanwhile, which lets a stopped run end.

    The wait is shown from the first such call to the end of the context. One that is longer than a moment is told of,
    by a note unless otherwise said: for ``what``, and in the end for how long.
    """
    start: float | None = None
    tell, told = tell or report.note, not what

    def wait() -> None:
        nonlocal start, told
        report.check()
        if start is None:
            start = time.monotonic()
            report.progress(Stage.WAITING, 0, 1)
        if not told and time.monotonic() > start + _NOTICED:
            tell(f"waits for {what}")
            told = True

    try:
        yield wait
    finally:
        if start is not None:
            took = time.monotonic() - start
            report.progress(Stage.WAITING, 1, 1)
            if (waits := _waits.get()) is not None:
                waits.append(took)
            if what and told:
                report.detail(f"has waited {took:.1f} s for {what}")
