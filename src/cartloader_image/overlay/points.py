"""Points in µm, such as transcripts, from tables in text: CSV or TSV, plain or in gzip."""

from __future__ import annotations

import csv
import gzip
import io
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from cartloader_image.errors import InputError, shortened
from cartloader_image.report import Report, quiet
from cartloader_image.system.reading import open_file

Points = NDArray[np.float32]
"""``(points, 2)``: x and y in µm."""
COLUMNS = [
    ("x_location", "y_location"),  # Xenium's transcripts
    ("global_x", "global_y"),  # MERSCOPE's detected_transcripts
    ("x_centroid", "y_centroid"),  # Xenium's cells
    ("center_x", "center_y"),  # MERSCOPE's cells
    ("x", "y"), ("X", "Y"), ("x_um", "y_um"),
]  # fmt: skip
"""Names of columns that hold µm, those that are looked for first coming first."""
_AT_ONCE = 1 << 20
"""Rows that are parsed at once."""
MOST = 100_000_000
"""Points: 800 MB of memory."""
_HEAD = 1 << 16
"""Bytes of comments and header at most."""


def check_head(path: Path) -> None:
    """Make sure that a table begins as `read_points` takes it.

    Raises:
        InputError: it does not.
    """
    with _table(path):
        pass


def read_points(path: Path, report: Report = quiet) -> Points:
    """All points of a table that has a header, with the columns that are known by name.

    Lines before the header that start with ``#`` are left out, and so are rows whose place is ``nan``.

    Raises:
        InputError: it cannot be read, has no such columns, or has no point.
    """
    parts, count = list[Points](), 0
    with _table(path) as (file, separator, columns):
        while count <= MOST and len(rows := _rows(file, separator, columns)):
            with np.errstate(over="ignore"):
                places = rows.astype(np.float32)
            found = places[np.isfinite(places).all(axis=1)]
            parts.append(found)
            count += len(found)
            report.check()
    if count > MOST:
        raise InputError(f"{path}: has more than {MOST:,} points; give a part of them")
    if not count:
        raise InputError(f"{path}: has no points; --points takes a table with numbers in µm")
    return np.concatenate(parts)


@contextmanager
def _table(path: Path) -> Iterator[tuple[IO[str], str, tuple[int, int]]]:
    """A table read up to its first row, what separates its cells, and its columns of x and y.

    Raises:
        InputError: it is none, or no such table.
    """
    try:
        with ExitStack() as opened:
            file = _text(path, opened)
            names, separator = _header(path, file)
            yield file, separator, _columns(path, names)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check --points") from None
    except (UnicodeDecodeError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: is no text file, plain or gzip ({error}); check --points") from None
    except ValueError as error:
        raise InputError(f"{path}: {shortened(str(error))}; --points takes a table with numbers in µm") from None


def _text(path: Path, opened: ExitStack) -> IO[str]:
    raw = opened.enter_context(open_file(path))
    zipped = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    plain = opened.enter_context(gzip.GzipFile(fileobj=raw)) if zipped else raw
    # utf-8-sig: a spreadsheet puts a byte order mark first
    return opened.enter_context(io.TextIOWrapper(plain, encoding="utf-8-sig", newline=""))


def _header(path: Path, file: IO[str]) -> tuple[list[str], str]:
    """The names of the columns, and what separates them."""
    line, read = file.readline(_HEAD), 0
    while line.startswith("#"):
        if line.startswith("##") and "SCALE" in line:
            raise InputError(
                f"{path}: is a FICTURE pixel TSV, whose columns are not µm; give the transcripts that it was made of"
            )
        read += len(line)
        line = file.readline(_HEAD) if read < _HEAD else ""
    separator = max("\t,;", key=line.count)
    return next(csv.reader([line.strip("\r\n")], delimiter=separator), []), separator


def _columns(path: Path, names: list[str]) -> tuple[int, int]:
    for x, y in COLUMNS:
        if x in names and y in names:
            return names.index(x), names.index(y)
    known = ", ".join(f"{x}/{y}" for x, y in COLUMNS)
    raise InputError(
        f"{path}: has columns {shortened(', '.join(names)) or 'without names'}; --points takes a table with a header, "
        f"and x and y in µm as {known}"
    )


def _rows(file: IO[str], separator: str, columns: tuple[int, int]) -> NDArray[np.float64]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "loadtxt: input contained no data")
        return np.loadtxt(
            file, delimiter=separator, quotechar='"', comments=None, usecols=columns, max_rows=_AT_ONCE, ndmin=2
        )
