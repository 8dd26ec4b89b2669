"""Tables of points in text: CSV or TSV, plain or in gzip, FICTURE's pixels among them."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cartloader_image.errors import InputError
from cartloader_image.points import arrow
from cartloader_image.points.columns import KNOWN, chosen
from cartloader_image.system.texts import unpacked

_AT_ONCE = 1 << 18
"""Rows that are parsed at once."""
_HEAD = 1 << 16
"""Bytes of comments and header at most."""
_MARK = b"\xef\xbb\xbf"
"""What a spreadsheet puts first."""


class _Head(NamedTuple):
    comments: list[str]
    names: list[str]
    separator: str
    begins: int
    """The byte at which the rows do."""


class TextTable:
    """A table whose header is read.

    Lines before the header that start with ``#`` are comments, of which the last may be the header itself. In FICTURE's
    table of pixels they say how its numbers become µm: ``x / SCALE + OFFSET_X``.

    Raises:
        InputError: it has no columns that are known.
    """

    def __init__(self, path: Path, group: str | None) -> None:
        self._path = path
        with unpacked(path) as (file, _):
            head = _head(file.read(_HEAD))
        self._separator, self._begins, self._width = head.separator, head.begins, len(head.names)
        self.columns = chosen(path, head.names, group)
        self._places = [head.names.index(name) for name in self.columns if name is not None]
        self._offset, self._scale = _frame(path, head)

    def rows(self, groups: dict[str, int] | None) -> Iterator[tuple[NDArray[np.float64], float]]:
        """x, y and the number of the group, row by row, and the share that has been read."""
        size = max(self._path.stat().st_size, 1)
        places = self._places if groups is not None else self._places[:2]
        with unpacked(self._path) as (file, raw):
            file.seek(self._begins)
            if find_spec("pyarrow"):
                parts = arrow.text_rows(file, self._separator, places, groups, self._width)
            else:
                parts = _rows(file, self._separator, places, groups)
            for rows in parts:
                rows[:, :2] = rows[:, :2] / self._scale + self._offset
                yield rows, min(raw.tell() / size, 1)


def _rows(
    file: IO[bytes], separator: str, places: list[int], groups: dict[str, int] | None
) -> Iterator[NDArray[np.float64]]:
    named: dict[int | str, Callable[[str], int]] | None = None
    if groups is not None:
        named = {places[2]: groups.__getitem__}
    with io.TextIOWrapper(file, encoding="utf-8", newline="") as text:
        while True:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "loadtxt: input contained no data")
                rows = np.loadtxt(
                    text, delimiter=separator, quotechar='"', comments=None, usecols=places, converters=named,
                    max_rows=_AT_ONCE, ndmin=2, encoding="utf-8",
                )  # fmt: skip
            if not len(rows):
                return
            yield rows


def _head(data: bytes) -> _Head:
    lines = data.removeprefix(_MARK).splitlines(keepends=True)
    comments = [line.decode() for line in takewhile(lambda line: line.startswith(b"#"), lines)]
    header, before = b"".join(lines[len(comments) :][:1]).decode(), len(comments) + 1
    if comments and not _knows(header) and _knows(last := comments[-1].lstrip("#")):
        header, before = last, len(comments)
    begins = data.startswith(_MARK) * len(_MARK) + sum(map(len, lines[:before]))
    return _Head(comments, _split(header), _separator(header), begins)


def _separator(header: str) -> str:
    return max("\t,;", key=header.count)


def _split(header: str) -> list[str]:
    return next(csv.reader([header.strip("\r\n")], delimiter=_separator(header)), [])


def _knows(header: str) -> bool:
    names = _split(header)
    return any(one.x in names and one.y in names for one in KNOWN)


def _frame(path: Path, head: _Head) -> tuple[NDArray[np.float64], float]:
    """What the numbers of x and y are divided by, and then moved by, to be µm."""
    told = dict(re.findall(r"([A-Z_]+)=([^;\s]+)", "\n".join(head.comments)))
    if "SCALE" not in told:
        return np.zeros(2), 1.0
    try:
        scale = float(told["SCALE"])
        offset = np.array([float(told["OFFSET_X"]), float(told["OFFSET_Y"])])
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: its header has a SCALE, but no OFFSET_X and OFFSET_Y beside it ({error})") from None
    if not (scale > 0 and np.isfinite([scale, *offset]).all()):
        raise InputError(f"{path}: its header says SCALE={scale:g} and OFFSET {offset.tolist()}, which is no place")
    return offset, scale
