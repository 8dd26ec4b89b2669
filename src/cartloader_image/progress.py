"""How far an import is, for whoever calls it from Python: bars in a terminal, a line in a notebook, else nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cartloader_image.report import Quiet, Report, quiet


@contextmanager
def shown(img_id: str, report: Report | None = None) -> Iterator[Report]:
    """The report itself or, without one, one that suits where this process runs, for the time of the context."""
    if report is not None:
        yield report
    elif "ipykernel" in sys.modules:
        line = _NotebookLine(img_id)
        yield line
        line.say("done")
    elif sys.stderr.isatty():
        with _bars(img_id) as bars:
            yield bars
    else:
        yield quiet


class _NotebookLine(Quiet):
    """One line of output that changes."""

    def __init__(self, img_id: str) -> None:
        from IPython.display import display  # noqa: PLC0415  (there in a notebook alone)

        self._img_id = img_id
        self._said = ""
        self._handle: Any = display(self._data(""), raw=True, display_id=True)

    def progress(self, stage: str, done: int, total: int) -> None:
        """Show the stage and its share."""
        self.say(f"{stage} {100 * done // max(total, 1)} %")

    def say(self, text: str) -> None:
        """Show a text instead of the one before."""
        if text != self._said:
            self._said = text
            self._handle.update(self._data(text), raw=True)

    def _data(self, text: str) -> dict[str, str]:
        return {"text/plain": f"{self._img_id}  {text}"}


@contextmanager
def _bars(img_id: str) -> Iterator[Report]:
    from rich.console import Console  # noqa: PLC0415  (0.1 s that only a terminal needs)
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:

        class Bars(Quiet):
            def __init__(self) -> None:
                self._tasks = dict[str, Any]()

            def progress(self, stage: str, done: int, total: int) -> None:
                if stage not in self._tasks:
                    self._tasks[stage] = progress.add_task(f"{img_id}  {stage:<12}", total=total)
                progress.update(self._tasks[stage], completed=done)

            def note(self, text: str) -> None:
                progress.console.print(f"{img_id}  {text}", markup=False, soft_wrap=True)

        yield Bars()
