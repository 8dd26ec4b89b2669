"""Points that are read while the page is up already."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from cartloader_image.errors import CartloaderError, StoppedError
from cartloader_image.points.table import Part, Table
from cartloader_image.viewer.dots import COLOURS, FINEST, REST, Dots

_PATIENCE = 2
"""Seconds."""


class Loading:
    """Points on their way to be `dots`, in a thread of their own.

    Parameters:
        table: Where they come from.
    """

    def __init__(self, table: Table) -> None:
        self.name, self.problem, self.dots = table.path.name, "", None
        self._table, self._share, self._stopped = table, 0.0, threading.Event()
        # A daemon: numpy sorts a hundred millions for many seconds, and Ctrl-C does not wait for that.
        self._thread = threading.Thread(target=self._read, name="points", daemon=True)

    dots: Dots | None
    """Once they are there."""
    problem: str
    """Why they will never be; empty unless that is so."""

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Read no further, and wait until that is so, for as long as a part of a table takes."""
        self._stopped.set()
        self._thread.join(_PATIENCE)

    def join(self) -> None:
        """Wait until they are there, or have a problem."""
        self._thread.join()

    def known(self) -> dict[str, Any]:
        """What the page has to know of them."""
        if self.problem:
            return {"problem": self.problem}
        if self.dots is None:
            return {"read": round(self._share, 3)}
        box, hexes = self.dots.bounds, [f"#{bytes(colour).hex()}" for colour in (*COLOURS, REST)]
        return {
            "bounds": [box.ulx, box.uly, box.lrx, box.lry], "zooms": [0, FINEST], "points": self.dots.count,
            "group": self._table.group, "groups": self.dots.names, "colours": hexes,
        }  # fmt: skip

    def _read(self) -> None:
        try:
            self.dots = Dots(self._parts(), self._table.groups)
        except StoppedError:
            pass
        except CartloaderError as error:
            self.problem = str(error)
        except MemoryError:
            self.problem = f"{self._table.path}: its points do not fit into memory; give a part of them"

    def _parts(self) -> Iterator[Part]:
        for part in self._table.parts():
            if self._stopped.is_set():
                raise StoppedError
            yield part
            self._share = part.share
