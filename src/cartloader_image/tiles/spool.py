"""Finished tiles in a file, as they come, and an index of them: what an archive is made of."""

from __future__ import annotations

from array import array
from pathlib import Path
from threading import Lock
from typing import BinaryIO, NamedTuple

import numpy as np
import xxhash
from numpy.typing import NDArray

from cartloader_image.system.files import write_all
from cartloader_image.tiles.pyramid import Tile

Numbers = NDArray[np.uint64]
_DIGEST = 16


class Spooled(NamedTuple):
    """Tiles in a file."""

    file: BinaryIO
    ids: Numbers
    starts: Numbers
    """The byte at which each tile begins."""
    sizes: Numbers
    digests: Numbers
    """``(tiles, 2)``: both halves of each."""


class Spool:
    """Takes tiles in any order, from any thread; it remembers 40 bytes of each."""

    def __init__(self, path: Path) -> None:
        self._path, self._file, self._lock = path, path.open("w+b"), Lock()
        self._ids, self._starts, self._sizes = array("Q"), array("Q"), array("Q")
        self._digests = bytearray()
        self._end = 0

    def add(self, tile: Tile) -> None:
        """Add a tile."""
        digest, size = xxhash.xxh3_128_digest(tile.data), len(tile.data)
        with self._lock:
            repeats = self._digests[-_DIGEST:] == digest  # whole runs of flat tiles take no space
            start = self._starts[-1] if repeats else self._end
            self._end += 0 if repeats else size
            self._ids.append(tile.tile_id)
            self._starts.append(start)
            self._sizes.append(size)
            self._digests += digest
        if not repeats:
            write_all(self._file.fileno(), np.frombuffer(tile.data, np.uint8), start)

    def spooled(self) -> Spooled:
        """All of them; when every `add` has returned."""
        ids, starts, sizes = (np.frombuffer(column, np.uint64) for column in (self._ids, self._starts, self._sizes))
        return Spooled(self._file, ids, starts, sizes, np.frombuffer(self._digests, "<u8").reshape(-1, 2))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def save(self) -> None:
        """Keep the index beside the file, for `saved`."""
        _, *columns = self.spooled()
        np.save(_index_of(self._path), np.column_stack(columns))


def saved(path: Path) -> Spooled:
    """Tiles that another process spooled, as it kept them; whoever calls closes their file.

    Raises:
        OSError: they are not there, or not all of them.
    """
    index = np.load(_index_of(path))
    file = path.open("rb")
    ids, starts, sizes = index[:, :3].T
    if len(ids) and int((starts + sizes).max()) != path.stat().st_size:
        file.close()
        raise OSError(f"{path.name}: holds other tiles than its index says")
    return Spooled(file, ids, starts, sizes, index[:, 3:])


def _index_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.npy")
