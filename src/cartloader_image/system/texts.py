"""Small text files, plain or gzip, as options name them; and the first lines of large ones."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO

from isal import igzip, isal_zlib

from cartloader_image.budget import Budget, Cost
from cartloader_image.errors import InputError
from cartloader_image.system.reading import open_file

NO_TEXT: tuple[type[Exception], ...] = (UnicodeDecodeError, EOFError, zlib.error, isal_zlib.error)  # type: ignore[assignment]
"""What is raised where a file is damaged, or no text at all."""
_PLACES, _PIECE, _STEP = 512, 8192, 1 << 20
"""At how many places a table is looked into, how many bytes are read at each, and how far apart these are in gzip."""


def text_of(path: Path, name: str, budget: Budget, lines_starting_with: str = "") -> str:
    """The text of a small file; or just its first lines, as far as they start with the given text.

    Raises:
        InputError: it cannot be read, or is too long; the sentence says of which option it is.
    """
    most = budget.most(Cost.TEXT)
    # utf-8-sig: a spreadsheet puts a byte order mark first
    with _named(path, name), unpacked(path) as (data, _), TextIOWrapper(data, encoding="utf-8-sig") as file:
        if not lines_starting_with:
            text = file.read(most + 1)
        else:
            lines, read = [], 0
            while read <= most and (line := file.readline(most + 1)).startswith(lines_starting_with):
                lines.append(line)
                read += len(line)
            text = "".join(lines)
    budget.check(path, Cost.TEXT, len(text))
    return text


def pieces_of(path: Path, name: str, budget: Budget) -> Iterator[str]:
    """Whole lines of a table: as many of the first ones as a small file has, then some of places all over it.

    What is in gzip has to be unpacked up to a place, and is so as far as a table may be looked through.

    Raises:
        InputError: it cannot be read; the sentence says of which option it is.
    """
    with _named(path, name), unpacked(path) as (file, raw):
        zipped = file is not raw
        data = file.read(budget.most(Cost.TEXT))
        place = len(data)
        end = budget.most(Cost.TABLE) if zipped else path.stat().st_size
        step = _STEP if zipped else max((end - place) // _PLACES, _PIECE)
        if place == budget.most(Cost.TEXT):
            data = data[: data.rfind(b"\n") + 1]
        yield data.decode("utf-8-sig")
        while place < end:
            file.seek(place)
            lines = file.read(_PIECE).split(b"\n")[1:-1]  # the first and the last one may be parts
            yield b"".join(line + b"\n" for line in lines).decode()
            place += step
            if not lines:
                return


@contextmanager
def _named(path: Path, name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check {name}") from None
    except NO_TEXT as error:
        raise InputError(f"{path}: is no text file ({error}); check {name}") from None


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The bytes of a file, unpacked where it is gzip, and the file itself, which tells how far it has been read.

    What is no text raises one of `NO_TEXT`.

    Raises:
        OSError: it cannot be read.
    """
    with open_file(path) as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not zipped:
            yield raw, raw
            return
        with igzip.open(raw) as file:  # type: ignore[no-untyped-call]  # in half the time of the standard library
            yield file, raw
