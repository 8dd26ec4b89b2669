"""Files that are read: regular ones and nothing else, and errors that name them.

A named pipe would be waited for until somebody writes into it, and a device may never end.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

_SPECIAL = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def special(mode: int) -> str:
    """What a path with this mode leads to, where that is neither a file nor a directory; else an empty text."""
    return next((what for is_one, what in _SPECIAL if is_one(mode)), "")


def open_file(path: Path) -> BufferedReader:
    """Open a file to read its bytes; whatever lies there, nothing is waited for.

    Raises:
        OSError: it cannot be opened, or is no file; the error names it.
    """
    _refuse(path, path.stat())
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115
    try:
        _refuse(path, os.fstat(file.fileno()))
    except OSError:
        file.close()
        raise
    return file


def _refuse(path: Path, state: os.stat_result) -> None:
    if what := special(state.st_mode):
        raise OSError(errno.EINVAL, f"{what}, not a file", str(path))


def read_file(path: Path, most: int = -1) -> bytes:
    """The bytes of a file, or the first of them.

    Raises:
        OSError: it cannot be read, or is no file; the error names it.
    """
    with naming(path), open_file(path) as file:
        return file.read(most)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let the errors of what is done to an open file name it: the system's own do so just when it is opened.

    Raises:
        OSError: one comes up.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
