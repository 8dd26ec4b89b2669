"""Small text files, plain or gzip, as options name them; and the first lines of large ones."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from cartloader_image.budget import Budget, Cost
from cartloader_image.errors import InputError
from cartloader_image.system.reading import open_file


def text_of(path: Path, name: str, budget: Budget, lines_starting_with: str = "") -> str:
    """The text of a small file; or just its first lines, as far as they start with the given text.

    Raises:
        InputError: it cannot be read, or is too long; the sentence says of which option it is.
    """
    most = budget.most(Cost.TEXT)
    with _opened(path, name) as file:
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


def beginning_of(path: Path, name: str, budget: Budget) -> str:
    """The whole lines at the beginning of a file, as much as is taken of a small one.

    Raises:
        InputError: it cannot be read; the sentence says of which option it is.
    """
    most = budget.most(Cost.TEXT)
    with _opened(path, name) as file:
        text = file.read(most)
    return text if len(text) < most else text[: text.rfind("\n") + 1]


@contextmanager
def _opened(path: Path, name: str) -> Iterator[TextIO]:
    try:
        with open_file(path) as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
        # utf-8-sig: a spreadsheet puts a byte order mark first
        with gzip.open(path, "rt", encoding="utf-8-sig") if zipped else path.open(encoding="utf-8-sig") as file:
            yield file
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check {name}") from None
    except (UnicodeDecodeError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: is no text file ({error}); check {name}") from None
