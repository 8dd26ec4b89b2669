"""The directory of a PMTiles archive, in little memory: two million entries take 60 MB instead of 400."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray
from pmtiles.tile import Entry

from cartloader_image.tiles.ids import FINEST, TILES, name_of

Numbers = NDArray[np.int64]

MOST_ENTRIES = 1 << 18
"""Entries of one directory: with the 3,500 leaves that a root of 16 kB has room for, 900 million tiles."""
_AT_ONCE = 4096
"""Entries that exist as objects at one time."""
_OCTETS = 9
"""Bytes of a number of 63 bits."""
_FAR = 2.0**61
"""Bytes that no file has; sums of two such numbers are whole numbers of 63 bits."""


class Entries(Sequence[Entry]):
    """Entries of the ``pmtiles`` package, of which just the numbers are kept, in arrays."""

    def __init__(self, ids: Numbers, offsets: Numbers, lengths: Numbers, runs: Numbers) -> None:
        self.ids, self.offsets, self.lengths, self.runs = ids, offsets, lengths, runs

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """The entries of an iterable."""
        columns = [array("Q") for _ in range(4)]
        for entry in entries:
            row = (entry.tile_id, entry.offset, entry.length, entry.run_length)
            for column, value in zip(columns, row, strict=True):
                column.append(value)
        return cls(*(np.frombuffer(column, np.uint64).astype(np.int64) for column in columns))

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Entries: ...
    def __getitem__(self, index: int | slice) -> Entry | Entries:
        columns = (self.ids[index], self.offsets[index], self.lengths[index], self.runs[index])
        return Entries(*columns) if isinstance(index, slice) else Entry(*map(int, columns))

    def __iter__(self) -> Iterator[Entry]:
        for start in range(0, len(self), _AT_ONCE):
            some = self[start : start + _AT_ONCE]
            yield from map(Entry, *(column.tolist() for column in (some.ids, some.offsets, some.lengths, some.runs)))


def parse_directory(data: bytes) -> Entries:
    """The entries of one directory as it is stored, uncompressed; an entry of run 0 stands for a leaf directory.

    Raises:
        ValueError: it is damaged, or has more than `MOST_ENTRIES`.
    """
    head = _varints(data[:_OCTETS])
    count, found = int(head[0]) if len(head) else 0, int(np.count_nonzero(np.frombuffer(data, np.uint8) < 128)) - 1
    if count > MOST_ENTRIES:
        raise ValueError(f"a directory has {count:,} entries, more than {MOST_ENTRIES:,}")
    if not count or found < 4 * count:
        raise ValueError(f"a directory of {len(data):,} bytes ends before its {count:,} entries do")
    if found > 4 * count or data[-1] > 127:
        raise ValueError(f"a directory of {len(data):,} bytes goes on behind its {count:,} entries")
    steps, runs, lengths, places = _varints(data)[1:].reshape(4, count)
    if steps.sum(dtype=np.float64) > TILES or max(lengths.sum(dtype=np.float64), places.max()) > _FAR:
        raise ValueError("a directory has tiles beyond the map or beyond any file")
    ids, ends = np.cumsum(steps), np.cumsum(lengths)
    if (runs > TILES - ids).any():
        raise ValueError(f"a directory has tiles beyond zoom {FINEST}")
    for index in np.flatnonzero(steps[1:] == 0)[:1]:
        raise ValueError(f"a directory lists tile {name_of(int(ids[index]))} twice")
    # A place is one more than the offset, or 0: right behind the entry before, from the last one that is written on.
    starts = np.maximum.accumulate(np.where(places > 0, np.arange(count), 0))
    offsets = places[starts] - 1 + (ends - lengths) - (ends - lengths)[starts]
    if offsets[0] < 0:
        raise ValueError("a directory has a first tile without a place")
    return Entries(ids, offsets, lengths, runs)


def _varints(data: bytes) -> Numbers:
    """Whole numbers of 7 bits a byte, the lowest first; a byte of 128 and more goes on in the next one."""
    octets = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(octets < 128)
    starts = np.r_[0, ends[:-1] + 1][: len(ends)]
    sizes = ends - starts + 1
    if sizes.max(initial=0) > _OCTETS:
        raise ValueError("a directory has numbers of more than 63 bits")
    numbers: Numbers = (octets[starts] & 127).astype(np.int64)
    for octet in range(1, int(sizes.max(initial=0))):
        longer = np.flatnonzero(sizes > octet)
        numbers[longer] |= (octets[starts[longer] + octet] & 127).astype(np.int64) << 7 * octet
    return numbers


def first_equal(digests: Numbers) -> Numbers:
    """For each row of ``(rows, 2)`` the index of the first one that is equal to it."""
    order = np.lexsort((digests[:, 1], digests[:, 0]))  # stable: equal ones stay in their order
    ranked = digests[order]
    group = np.cumsum(np.r_[True, (ranked[1:] != ranked[:-1]).any(axis=1)]) - 1
    heads = order[np.r_[True, np.diff(group) > 0]]
    first = np.empty(len(order), np.int64)
    first[order] = heads[group]
    return first
