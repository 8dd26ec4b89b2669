"""Points in µm from a table: CSV or TSV, plain or in gzip, or Parquet; some at a time, for there may be millions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cartloader_image.errors import InputError, shortened
from cartloader_image.points import arrow
from cartloader_image.points.columns import Chosen
from cartloader_image.points.text import TextTable
from cartloader_image.report import Report, quiet
from cartloader_image.system.reading import read_file
from cartloader_image.system.texts import NO_TEXT

Points = NDArray[np.float32]
"""``(points, 2)``: x and y in µm."""
MOST = 100_000_000
"""Points: 800 MB of memory."""
MOST_GROUPS = 1 << 16


@dataclass(frozen=True)
class Part:
    """Some points of a table."""

    places: NDArray[np.floating]
    """``(points, 2)``: x and y in µm, all finite."""
    groups: NDArray[np.uint16] | None = None
    """The number of each one's group; None where there are none."""
    share: float = 1
    """How much of the table has been read when they are there."""


class Groups(dict[str, int]):
    """A number for each name, in the order in which they come up."""

    def __missing__(self, name: str) -> int:
        """A new one."""
        number = self[name] = len(self)
        return number


class _Table(Protocol):
    @property
    def columns(self) -> Chosen: ...

    def rows(self, groups: Groups | None) -> Iterator[tuple[NDArray[np.float64], float]]:
        """x, y, and the number of the group unless that is None, row by row; and the share that has been read."""


class Table:
    """A table whose header is read.

    Parameters:
        path: It.
        group: The column by which its points are told apart; the likeliest of those that are known unless given.

    Raises:
        InputError: it cannot be read, or has no such columns.
        ToolError: it is Parquet, and pyarrow is missing.
    """

    def __init__(self, path: Path, group: str | None = None) -> None:
        self.path, self.groups = path, Groups()
        with _telling(path):
            is_parquet = read_file(path, 4) == arrow.PARQUET
            self._table: _Table = arrow.ParquetTable(path, group) if is_parquet else TextTable(path, group)
        self.group = self._table.columns.group

    def parts(self, *, grouped: bool = True) -> Iterator[Part]:
        """Its points, those without a finite place left out; `groups` fills on the way.

        Raises:
            InputError: it is damaged, has no point, or more points or groups than is taken.
        """
        grouped, count = grouped and self.group is not None, 0
        with _telling(self.path):
            for rows, share in self._table.rows(self.groups if grouped else None):
                kept = rows[np.isfinite(rows[:, 0]) & np.isfinite(rows[:, 1])]
                count += len(kept)
                if count > MOST:
                    raise InputError(f"{self.path}: has more than {MOST:,} points; give a part of them")
                if len(self.groups) > MOST_GROUPS:
                    raise InputError(
                        f"{self.path}: has more than {MOST_GROUPS:,} different values in {self.group}; --group takes a "
                        "column of names that many points share"
                    )
                yield Part(kept[:, :2], kept[:, 2].astype(np.uint16) if grouped else None, share)
        if not count:
            raise InputError(f"{self.path}: has no points; --points takes a table with numbers in µm")


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Errors of reading as sentences."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check --points") from None
    except NO_TEXT as error:
        raise InputError(f"{path}: is no text file, plain or gzip ({error}); check --points") from None
    except ValueError as error:
        why = shortened(str(error).splitlines()[0])
        raise InputError(f"{path}: {why}; --points takes a table with numbers in µm") from None


def read_points(path: Path, report: Report = quiet) -> Points:
    """All points of a table, with the columns that are known by name.

    Raises:
        InputError: it cannot be read, has no such columns, or has no point.
        ToolError: it is Parquet, and pyarrow is missing.
    """
    parts = list[Points]()
    with np.errstate(over="ignore"):
        for part in Table(path).parts(grouped=False):
            parts.append(part.places.astype(np.float32))
            report.check()
    found = np.concatenate(parts)
    return found[np.isfinite(found[:, 0]) & np.isfinite(found[:, 1])]
