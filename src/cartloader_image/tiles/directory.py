"""The directory of a PMTiles archive, in little memory: two million entries take 60 MB instead of 400."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray
from pmtiles.tile import Entry

Numbers = NDArray[np.int64]

_AT_ONCE = 4096
"""Entries that exist as objects at one time."""


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
        ValueError: it is damaged.
    """
    numbers = _varints(data)
    count = int(numbers[0]) if len(numbers) else 0
    if not count or len(numbers) < 1 + 4 * count:
        raise ValueError(f"a directory of {len(data):,} bytes ends before its {count:,} entries do")
    steps, runs, lengths, places = numbers[1 : 1 + 4 * count].reshape(4, count)
    ids, ends = np.cumsum(steps), np.cumsum(lengths)
    # A place is one more than the offset, or 0: right behind the entry before, from the last one that is written on.
    starts = np.maximum.accumulate(np.where(places > 0, np.arange(count), 0))
    offsets = places[starts] - 1 + (ends - lengths) - (ends - lengths)[starts]
    if min(column.min() for column in (ids, ends, offsets, lengths, runs)) < 0 or (steps[1:] <= 0).any():
        raise ValueError("a directory has numbers that cannot be")
    return Entries(ids, offsets, lengths, runs)


def _varints(data: bytes) -> Numbers:
    """Whole numbers of 7 bits a byte, the lowest first; a byte of 128 and more goes on in the next one."""
    octets = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(octets < 128)
    if not len(ends):
        return np.empty(0, np.int64)
    starts = np.r_[0, ends[:-1] + 1]
    shifts = 7 * (np.arange(ends[-1] + 1) - np.repeat(starts, ends - starts + 1))
    if shifts.max() > 56:
        raise ValueError("a directory has numbers of more than 63 bits")
    return np.add.reduceat((octets[: ends[-1] + 1] & 127).astype(np.int64) << shifts, starts)


def first_equal(digests: Numbers) -> Numbers:
    """For each row of ``(rows, 2)`` the index of the first one that is equal to it."""
    order = np.lexsort((digests[:, 1], digests[:, 0]))  # stable: equal ones stay in their order
    ranked = digests[order]
    group = np.cumsum(np.r_[True, (ranked[1:] != ranked[:-1]).any(axis=1)]) - 1
    heads = order[np.r_[True, np.diff(group) > 0]]
    first = np.empty(len(order), np.int64)
    first[order] = heads[group]
    return first
