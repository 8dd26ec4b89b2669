"""Progress bars for a terminal: a header for each image, below it a bar for each of its stages."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

_ROWS = 4
"""Rows of the terminal that an image may take: its header and three stages."""


class _ImageBars:
    """The header and the bars of one image."""

    def __init__(self, header: str, console: Console) -> None:
        self.header = header
        self.progress = Progress(
            TextColumn("  {task.description:<12}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._stages: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def update(self, stage: str, done: int, total: int) -> None:
        with self._lock:
            if stage not in self._stages:
                self._stages[stage] = self.progress.add_task(stage, total=total)
        self.progress.update(self._stages[stage], completed=done, total=total)


class Bars:
    """A `cartloader_flows.watch.Display` of bars."""

    def __init__(self, sources: Mapping[str, str], console: Console) -> None:
        self._console = console
        self._sources = sources
        self._images: dict[str, _ImageBars] = {}
        self._lock = threading.Lock()

    def describe(self, img_id: str, text: str) -> None:
        """Show it in the header."""
        self._image(img_id).header += f"  {text}"

    def progress(self, img_id: str, stage: str, done: int, total: int) -> None:
        """Move the bar of the stage."""
        self._image(img_id).update(stage, done, total)

    def note(self, img_id: str, text: str) -> None:
        """Write it above the bars, where it stays."""
        self._console.print(Text(f"{img_id}  {text}"), soft_wrap=True)

    def picture(self) -> Group:
        """The images that began last, as many as the terminal has room for."""
        shown = list(self._images.values())[-max(1, self._console.height // _ROWS) :]
        return Group(*(part for image in shown for part in (Text(image.header, no_wrap=True), image.progress)))

    def _image(self, img_id: str) -> _ImageBars:
        with self._lock:
            if img_id not in self._images:
                self._images[img_id] = _ImageBars(f"{img_id}  {self._sources[img_id]}", self._console)
            return self._images[img_id]


@contextmanager
def bars(sources: Mapping[str, str]) -> Iterator[Bars]:
    """Bars at the foot of the terminal that make room for the summary in the end."""
    console = Console(stderr=True)
    display = Bars(sources, console)
    with Live(console=console, get_renderable=display.picture, refresh_per_second=8, transient=True):
        yield display
