"""How the craft says what it is doing: a `Report` receives progress and notes, and decides what a person sees."""

from __future__ import annotations

from typing import Protocol


class Report(Protocol):
    """Receives what happens to one image while it happens; methods are called from any thread and must be cheap."""

    def describe(self, text: str) -> None:
        """What the image is, once it is open: size, type, plane, pixel size."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """``done`` of ``total`` units of work of ``stage`` are finished; units differ from stage to stage."""

    def note(self, text: str) -> None:
        """Something the user should know although the work goes on."""

    def detail(self, text: str) -> None:
        """A line for the log of the run, such as a tool's own words; nothing that a person has to read."""


class Quiet:
    """A report that nobody reads."""

    def describe(self, text: str) -> None:
        """Drop the text."""

    def progress(self, stage: str, done: int, total: int) -> None:
        """Drop the numbers."""

    def note(self, text: str) -> None:
        """Drop the text."""

    def detail(self, text: str) -> None:
        """Drop the text."""


quiet: Report = Quiet()
