"""A report that a test looks at."""

from __future__ import annotations

import threading

from cartloader_image.errors import StoppedError
from cartloader_image.report import Quiet


class Notes(Quiet):
    """Keeps the notes, and can be stopped as a run is."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.noted = threading.Event()
        self.stopped = threading.Event()

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.noted.set()

    def check(self) -> None:
        if self.stopped.is_set():
            raise StoppedError("interrupted")
