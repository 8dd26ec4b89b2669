"""Progress bars for a terminal: a header for each image, below it a bar for each of its stages."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from cartloader_image.report import Stage
from cartloader_image.results import RunError

_ROWS = 4
"""Rows of the terminal that an image may take: its header and three stages."""
_NOTES = 3
"""The latest notes about an image that are shown at a time."""


class _ImageBars:
    """The header and the bars of one image."""

    def __init__(self, header: str, console: Console) -> None:
        self.header = header
        self.notes: list[str] = []
        self.progress = Progress(
            TextColumn("  {task.description:<12}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._stages: dict[Stage, TaskID] = {}
        self._lock = threading.Lock()

    def parts(self) -> Iterator[RenderableType]:
        """What is shown of it, from top to bottom."""
        yield Text(self.header, no_wrap=True)
        for note in self.notes[-_NOTES:]:
            row = Table.grid(padding=(0, 1))
            row.add_row("  note:", Text(note))
            yield row
        yield self.progress

    def update(self, stage: Stage, done: int, total: int) -> None:
        with self._lock:
            if stage not in self._stages:
                self._stages[stage] = self.progress.add_task(stage, total=total)
            self.progress.update(self._stages[stage], completed=done, total=total)
            if stage is Stage.WAITING and done == total:
                self.progress.remove_task(self._stages.pop(stage))


class Bars:
    """A `cartloader_flows.cli.display.Display` of bars."""

    def __init__(self, sources: Mapping[str, str], console: Console, *, passing_notes: bool) -> None:
        self._console, self._passing_notes = console, passing_notes
        self._sources = sources
        self._images: dict[str, _ImageBars] = {}
        self._lock = threading.Lock()

    def describe(self, img_id: str, text: str) -> None:
        """Show it in the header."""
        self._image(img_id).header += f"  {text}"

    def progress(self, img_id: str, stage: Stage, done: int, total: int) -> None:
        """Move the bar of the stage."""
        self._image(img_id).update(stage, done, total)

    def note(self, img_id: str, text: str) -> None:
        """Show it above the bars of the image, as long as these are there; or write it above all, where it stays."""
        if self._passing_notes:
            self._image(img_id).notes.append(text)
        else:
            self._console.print(Text(f"{img_id}  {text}"), soft_wrap=True)

    def keep_notes(self, img_ids: Iterable[str]) -> None:
        """Write the notes about images that no summary will tell of."""
        for img_id in img_ids:
            for note in self._images[img_id].notes if img_id in self._images else ():
                self._console.print(Text(f"{img_id}  {note}"), soft_wrap=True)

    def picture(self) -> Group:
        """The images that began last, as many as the terminal has room for."""
        shown = list(self._images.values())[-max(1, self._console.height // _ROWS) :]
        return Group(*(part for image in shown for part in image.parts()))

    def _image(self, img_id: str) -> _ImageBars:
        with self._lock:
            if img_id not in self._images:
                self._images[img_id] = _ImageBars(f"{img_id}  {self._sources.get(img_id, '')}", self._console)
            return self._images[img_id]


@contextmanager
def bars(sources: Mapping[str, str], *, passing_notes: bool = False) -> Iterator[Bars]:
    """Bars at the foot of the terminal that make room for the summary in the end.

    With ``passing_notes`` the notes make room too, but for those about images that failed.
    """
    console = Console(stderr=True)
    display = Bars(sources, console, passing_notes=passing_notes)
    try:
        with Live(console=console, get_renderable=display.picture, refresh_per_second=8, transient=True):
            yield display
    except RunError as failure:
        display.keep_notes(failure.failures)
        raise
