"""The directories of a TIFF: whether they end, and what it costs to read them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import tifffile

from cartloader_image.budget import Budget, Cost
from cartloader_image.errors import InputError
from cartloader_image.images.kinds import TIFF

_BYTES = {1, 2, 6, 7}
"""Types of tags whose values are bytes or characters."""
_SUB_IFDS = 330
_MOST_TAGS = 4096
"""Entries of a directory that are looked at; tifffile opens none that has more."""


@contextmanager
def opened(path: Path, budget: Budget) -> Iterator[tifffile.TiffFile]:
    """The file as tifffile opens it, once its directories are known to end and to cost no more than is taken.

    Raises:
        InputError: they are not.
    """
    check_directories(path, budget)
    with tifffile.TiffFile(path, is_ome=False) as file:
        yield file


def check_directories(path: Path, budget: Budget) -> None:
    """Look at the chain of top-level directories before tifffile does.

    It follows a circle forever, reads tags of any size, and makes an object of each number in them.

    Raises:
        InputError: one of them leads back to another, the file ends before the first one does, there are too many, or
            one has tags of too many bytes or values; or they lie over one another, as a small file can have a great
            many tags.
    """
    end_of_file = path.stat().st_size
    seen: set[int] = set()
    lengths = 0
    with path.open("rb") as file, suppress(struct.error):  # a file that is cut off
        start = file.read(4)
        if not start.startswith(TIFF):  # tifffile tells
            return
        form = _format(start, path.suffix)
        file.seek(4 if form.version == 42 else 8)
        while offset := struct.unpack(form.offsetformat, file.read(form.offsetsize))[0]:
            if offset in seen:
                raise InputError(f"{path}: is damaged; its directories lead in a circle")
            seen.add(offset)
            budget.check(path, Cost.DIRECTORIES, len(seen))
            entries, end = b"", offset + form.tagnosize
            if end <= end_of_file:
                file.seek(offset)
                count = struct.unpack(form.tagnoformat, file.read(form.tagnosize))[0]
                end += count * form.tagsize
                entries = file.read(min(count, _MOST_TAGS) * form.tagsize)
            if len(seen) == 1 and end > end_of_file:
                raise InputError(f"{path}: is cut off; it ends before byte {end:,}")
            lengths += len(entries)
            if lengths > end_of_file:
                raise InputError(f"{path}: is damaged; its directories lie over one another")
            _check_tags(path, budget, form, entries)
            if end > end_of_file:  # tifffile reads none from here on
                return
            file.seek(end)


def _check_tags(path: Path, budget: Budget, form: tifffile.TiffFormat, entries: bytes) -> None:
    whole = len(entries) - len(entries) % form.tagsize
    for code, kind, count, _ in struct.iter_unpack(form.tagheaderformat, entries[:whole]):
        if kind in _BYTES:
            budget.check(path, Cost.TAG, count)
        elif code == _SUB_IFDS:
            budget.check(path, Cost.LEVELS, count)
        else:
            budget.check(path, Cost.VALUES, count)


def _format(start: bytes, suffix: str) -> tifffile.TiffFormat:
    """How the numbers of a file are written, as tifffile takes it."""
    big = b"+" in start[2:]
    if start.startswith(b"MM"):
        return tifffile.TIFF.BIG_BE if big else tifffile.TIFF.CLASSIC_BE
    if suffix.lower() == ".ndpi" and not big:
        return tifffile.TIFF.NDPI_LE
    return tifffile.TIFF.BIG_LE if big else tifffile.TIFF.CLASSIC_LE
