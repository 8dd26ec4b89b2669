"""Digests of whole files, remembered: a file that has not changed is not read again."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import xxhash

from cartloader_image.system.reading import naming, open_file

_CHUNK = 8 << 20
_SETTLED = 0.1
"""Seconds that a file must have been left alone: a change within one tick of a file system's clock leaves no trace."""
_TABLE = """CREATE TABLE IF NOT EXISTS digests (
    path BLOB PRIMARY KEY, size INTEGER, mtime INTEGER, ctime INTEGER, inode INTEGER, digest TEXT
) WITHOUT ROWID"""


class DigestMemory:
    """XXH3 (128 bits) of files, kept in a database that processes share.

    A digest is good as long as size, mtime, ctime (in ns) and inode of its file are the same.
    """

    def __init__(self, database: Path) -> None:
        self._database = database

    def digest(self, path: Path) -> str:
        """The digest of a file's bytes, in hexadecimal.

        Raises:
            OSError: the file cannot be read.
        """
        path = path.absolute()
        before = _state(path)
        name = os.fsencode(path)  # a path need not be a text
        query = "SELECT size, mtime, ctime, inode, digest FROM digests WHERE path = ?"
        *known, digest = self._ask(query, name) or (None,)
        if known == before:
            return str(digest)
        found = _read(path)
        if _state(path) == before and time.time_ns() - max(before[1:3]) > _SETTLED * 1e9:
            self._ask("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?)", name, *before, found)
        return found

    def _ask(self, query: str, *values: str | bytes | int) -> tuple[Any, ...] | None:
        """The first row that answers; none from a database that fails, as it only saves time."""
        try:
            self._database.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._database, timeout=60)) as database, database:
                database.execute("PRAGMA synchronous = OFF")
                database.execute(_TABLE)
                row: tuple[Any, ...] | None = database.execute(query, values).fetchone()
                return row
        except (OSError, sqlite3.OperationalError):  # no such place, locked for long, or no room
            return None
        except sqlite3.DatabaseError:  # damaged
            self._database.unlink(missing_ok=True)
            return None


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _read(path: Path) -> str:
    digest = xxhash.xxh3_128()
    with open_file(path) as file, naming(path):
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
