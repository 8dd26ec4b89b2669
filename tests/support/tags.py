"""The directories of a TIFF as bytes: take entries out, add and overwrite them, whatever they mean."""

from __future__ import annotations

import struct
from dataclasses import dataclass

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of one value by the type of an entry."""


@dataclass(frozen=True)
class Entry:
    """One entry of a directory, by where it lies."""

    code: int
    position: int
    """Of its first byte in the file."""
    directory: int
    """Of the first byte of the directory's count."""


@dataclass(frozen=True)
class Format:
    """The sizes that classic TIFF and BigTIFF differ in."""

    order: str
    big: bool

    @property
    def entry(self) -> int:
        return 20 if self.big else 12

    @property
    def count(self) -> str:
        """Of a directory's entries."""
        return f"{self.order}{'Q' if self.big else 'H'}"

    @property
    def offset(self) -> str:
        return f"{self.order}{'Q' if self.big else 'I'}"


def format_of(data: bytes) -> Format:
    order = "<" if data[:2] == b"II" else ">"
    return Format(order, big=struct.unpack_from(f"{order}H", data, 2)[0] == 43)


def entries(data: bytes) -> list[Entry]:
    """The entries of all directories of the main chain."""
    form, found = format_of(data), []
    at, seen = struct.unpack_from(form.offset, data, 8 if form.big else 4)[0], set[int]()
    while at and at not in seen and at + struct.calcsize(form.count) <= len(data):
        seen.add(at)
        count = struct.unpack_from(form.count, data, at)[0]
        first = at + struct.calcsize(form.count)
        end = first + count * form.entry
        if end + struct.calcsize(form.offset) > len(data):
            break
        positions = range(first, end, form.entry)
        found += [Entry(struct.unpack_from(f"{form.order}H", data, place)[0], place, at) for place in positions]
        at = struct.unpack_from(form.offset, data, end)[0]
    return found


def without_tag(data: bytes, code: int) -> bytes:
    """A file whose first directory lacks an entry; nothing but the directory changes."""
    form, listed = format_of(data), entries(data)
    first = [entry for entry in listed if entry.directory == listed[0].directory]
    gone = next(entry for entry in first if entry.code == code)
    changed = bytearray(data)
    end = first[-1].position + form.entry
    rest = data[gone.position + form.entry : end + struct.calcsize(form.offset)]
    changed[gone.position : gone.position + len(rest)] = rest
    struct.pack_into(form.count, changed, gone.directory, len(first) - 1)
    return bytes(changed)


def with_value(data: bytes, code: int, value: int) -> bytes:
    """A file whose first entry of that code, of one 16-bit number, says something else."""
    form = format_of(data)
    entry = next(entry for entry in entries(data) if entry.code == code)
    changed = bytearray(data)
    struct.pack_into(f"{form.order}H", changed, entry.position + form.entry - struct.calcsize(form.offset), value)
    return bytes(changed)


def value_at(data: bytes, entry: Entry) -> tuple[int, int]:
    """Where the value of an entry begins, and how many bytes it has; as the entry says, be it beyond the file."""
    form = format_of(data)
    kind, count = struct.unpack_from(f"{form.order}H{form.offset[1]}", data, entry.position + 2)
    size = count * SIZES.get(kind, 1)
    place = entry.position + form.entry - struct.calcsize(form.offset)
    if size > struct.calcsize(form.offset):
        place = struct.unpack_from(form.offset, data, place)[0]
    return place, size


def with_entry(data: bytes, code: int, kind: int, value: bytes) -> bytes:
    """A file whose first directory has an entry more, or another value for one that it has; both at the file's end."""
    form, listed = format_of(data), entries(data)
    first = [entry for entry in listed if entry.directory == listed[0].directory]
    end = first[-1].position + form.entry
    kept = {entry.code: data[entry.position : entry.position + form.entry] for entry in first}
    size, inline = struct.calcsize(form.offset), value.ljust(struct.calcsize(form.offset), b"\0")
    padded = data + b"\0" * (-len(data) % 16)
    if len(value) > size:
        inline = struct.pack(form.offset, len(padded))
        padded += value + b"\0" * (-len(value) % 16)
    head = struct.pack(f"{form.order}HH{form.offset[1]}", code, kind, len(value) // SIZES[kind])
    kept[code] = head + inline
    directory = struct.pack(form.count, len(kept)) + b"".join(kept[code] for code in sorted(kept))
    changed = bytearray(padded + directory + data[end : end + size])
    struct.pack_into(form.offset, changed, 8 if form.big else 4, len(padded))
    return bytes(changed)
