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


def first_equal(digests: Numbers) -> Numbers:
    """For each row of ``(rows, 2)`` the index of the first one that is equal to it."""
    order = np.lexsort((digests[:, 1], digests[:, 0]))  # stable: equal ones stay in their order
    ranked = digests[order]
    group = np.cumsum(np.r_[True, (ranked[1:] != ranked[:-1]).any(axis=1)]) - 1
    heads = order[np.r_[True, np.diff(group) > 0]]
    first = np.empty(len(order), np.int64)
    first[order] = heads[group]
    return first
