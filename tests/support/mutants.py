"""Change a file a little where it hurts: its tags, its XML, its segments, its texts, or just any of its bytes.

A mutant follows from its seed's name and a number, so that whoever reads of one can make it again.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from support.tags import SIZES, Entry, entries, format_of, value_at, with_entry

Mutator = Callable[[bytes, Random], bytes]

ROUND = "first"
"""Another word makes other mutants of the same seeds."""
_NUMBERS = [0, 1, 2, 3, 7, 8, 255, 256, 4096, 65535, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 63) + 1]
_FLOATS = [0.0, -1.0, 1e-300, 1e308, float("inf"), float("-inf"), float("nan"), 5e-324, 180.0]
_TEXTS = [
    "", "0", "-1", "nan", "inf", "-inf", "1e999", "1e-400", "99999999999999999999", "0x10", "1,5", "abc", "µm", "1.5",
    " 7 ", "²", "2147483648", "true", "\0", "a" * 3000, "1_0", "../../x", "4294967297", "-0", "1e5",
]  # fmt: skip


@dataclass(frozen=True)
class Seed:
    """A picture, and the files beside it."""

    name: str
    files: dict[str, bytes]
    """By name, the picture first."""

    @property
    def picture(self) -> str:
        return next(iter(self.files))


AS_IT_IS = -1
"""The number of the mutant that is none."""


def mutant(seed: Seed, number: int) -> dict[str, bytes]:
    """The files of one mutant: one of them is changed, once or a few times."""
    if number == AS_IT_IS:
        return seed.files
    random = Random(f"{ROUND} {seed.name} {number}")
    files = dict(seed.files)
    # mostly the picture, sometimes what lies beside it
    name = seed.picture if random.random() < 0.7 else random.choice(list(files))
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        try:
            files[name] = _mutator_for(files[name], random)(files[name], random)
        except (IndexError, OverflowError, StopIteration, ValueError, struct.error):  # changed too much before
            files[name] = _flip(files[name], random)
    return files


def _mutator_for(data: bytes, random: Random) -> Mutator:
    if random.random() < 0.15:
        return random.choice(_ANY)
    if data[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}:
        described = any(entry.code == 270 for entry in entries(data))
        return random.choice(_TIFF + (_TEXT_OF_TIFF if described else []))
    if data[:4] == b"\x89PNG":
        return random.choice(_PNG)
    if data[:2] == b"\xff\xd8":
        return random.choice(_JPEG)
    return random.choice([_numbers_of_text, _xml if b"<" in data else _numbers_of_text])


# --- any bytes


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _flip(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random.choice([1, 3, 30])):
        if changed:
            changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def _fill(data: bytes, random: Random) -> bytes:
    start, size = random.randrange(len(data) + 1), random.choice([1, 4, 64, 1024])
    return data[:start] + bytes([random.choice([0, 255])]) * min(size, len(data) - start) + data[start + size :]


def _insert(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data) + 1)
    return data[:start] + random.randbytes(random.choice([1, 2, 100])) + data[start:]


def _drop(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data) + 1)
    return data[:start] + data[start + random.choice([1, 2, 100]) :]


_ANY: list[Mutator] = [_cut, _flip, _fill, _insert, _drop]

# --- TIFF


def _entry(data: bytes, random: Random) -> Entry | None:
    listed = entries(data)
    return random.choice(listed) if listed else None


def _field(part: str) -> Mutator:
    """Another number in one part of a directory's entry."""

    def change(data: bytes, random: Random) -> bytes:
        entry = _entry(data, random)
        if entry is None:
            return data
        form, changed = format_of(data), bytearray(data)
        wide = struct.calcsize(form.offset)
        place, letter = {
            "code": (0, "H"), "type": (2, "H"), "count": (4, form.offset[1]),
            "value": (4 + wide, form.offset[1]), "short value": (4 + wide, "H"),
        }[part]  # fmt: skip
        number = random.choice([*_NUMBERS, len(data), len(data) - 1, random.randrange(20), random.choice(_CODES)])
        limit = 1 << 8 * struct.calcsize(letter)
        struct.pack_into(f"{form.order}{letter}", changed, entry.position + place, number % limit)
        return bytes(changed)

    return change


_CODES = [254, 256, 257, 258, 259, 262, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 330, 338, 339, 347,
          529, 530, 532, 32997, 33550, 33922, 34264, 34735, 42112, 50839]  # fmt: skip
_CODECS = [1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 33003, 33005, 34712, 34887, 34892, 34925, 50000, 50001, 50002, 52546]
_MEANT = {
    258: [0, 1, 2, 4, 8, 12, 16, 24, 32, 64, 200], 259: _CODECS, 262: [0, 1, 2, 3, 4, 5, 6, 8, 32803, 34892],
    274: [*range(10)], 277: [0, 1, 2, 3, 4, 5, 100], 284: [0, 1, 2, 3], 317: [0, 1, 2, 3, 34892], 338: [0, 1, 2, 9],
    339: [0, 1, 2, 3, 4, 5, 6, 7], 266: [0, 1, 2], 530: [0, 1, 2, 3, 4], 254: [0, 1, 2, 4, 65536],
}  # fmt: skip


def _meaning(data: bytes, random: Random) -> bytes:
    """Another codec, type or interpretation: one that there is, but not in this file."""
    code = random.choice(list(_MEANT))
    return with_entry(data, code, 3, struct.pack(f"{format_of(data).order}H", random.choice(_MEANT[code])))


def _value_bytes(data: bytes, random: Random) -> bytes:
    """Another number or bytes where an entry's values lie."""
    entry = _entry(data, random)
    if entry is None:
        return data
    form, changed = format_of(data), bytearray(data)
    place, size = value_at(data, entry)
    kind = struct.unpack_from(f"{form.order}H", data, entry.position + 2)[0]
    width = SIZES.get(kind, 1)
    at = place + width * random.randrange(max(min(size, 1 << 16) // width, 1))
    value = struct.pack(f"{form.order}d", random.choice(_FLOATS))
    if kind != 12:
        value = (random.choice(_NUMBERS) % (1 << 8 * width)).to_bytes(width, "little" if form.order == "<" else "big")
    if at + width <= len(data):
        changed[at : at + width] = value
    return bytes(changed)


def _chain(data: bytes, random: Random) -> bytes:
    """The first directory, or the one after a directory, lies elsewhere."""
    form, listed, changed = format_of(data), entries(data), bytearray(data)
    starts = sorted({entry.directory for entry in listed})
    links = [8 if form.big else 4]
    for start in starts:
        last = max(entry.position for entry in listed if entry.directory == start)
        links.append(last + form.entry)
    targets = [*starts, 0, len(data) - 2, len(data) + 10, (starts or [8])[0] + 2, random.randrange(len(data))]
    struct.pack_into(form.offset, changed, random.choice(links), max(random.choice(targets), 0))
    return bytes(changed)


def _sub_directories(data: bytes, random: Random) -> bytes:
    """SubIFDs that point at directories, at themselves, or at nothing."""
    form, listed = format_of(data), entries(data)
    starts = sorted({entry.directory for entry in listed}) or [8]
    places = [
        random.choice([*starts, 0, 5, len(data), random.randrange(len(data))]) for _ in range(random.randrange(4))
    ]
    return with_entry(data, 330, 16 if form.big else 4, b"".join(struct.pack(form.offset, place) for place in places))


def _geo(data: bytes, random: Random) -> bytes:
    """Keys and transforms of a GeoTIFF that make little sense; the text for missing data."""
    order = format_of(data).order
    match random.randrange(5):
        case 0:
            keys = [1, 1, 0, random.choice([0, 1, 3, 9, 60000])]
            keys += [random.choice([1024, 1025, 1026, 2048, 3072, 3076, 4099, 32767, 0, 1, 2, 4326, 3857, 34736, 34737])
                     for _ in range(random.choice([0, 4, 12, 13]))]  # fmt: skip
            return with_entry(data, 34735, 3, struct.pack(f"{order}{len(keys)}H", *keys))
        case 1:
            values = [random.choice([*_FLOATS, 1.0, 0.5]) for _ in range(random.choice([0, 1, 2, 3, 4]))]
            return with_entry(data, 33550, 12, struct.pack(f"{order}{len(values)}d", *values))
        case 2:
            values = [random.choice([*_FLOATS, 1.0, 0.5]) for _ in range(random.choice([0, 1, 5, 6, 12]))]
            return with_entry(data, 33922, 12, struct.pack(f"{order}{len(values)}d", *values))
        case 3:
            values = [random.choice([*_FLOATS, 1.0, 0.5]) for _ in range(random.choice([0, 4, 15, 16, 17]))]
            return with_entry(data, 34264, 12, struct.pack(f"{order}{len(values)}d", *values))
        case _:
            return with_entry(data, 42113, 2, random.choice(_TEXTS).encode() + random.choice([b"\0", b""]))


def _description(change: Mutator) -> Mutator:
    """A mutator of the first page's ImageDescription, of any length."""

    def on_tiff(data: bytes, random: Random) -> bytes:
        entry = next((entry for entry in entries(data) if entry.code == 270), None)
        if entry is None:
            return data
        place, size = value_at(data, entry)
        text = change(data[place : place + size].rstrip(b"\0"), random)
        return with_entry(data, 270, 2, text + b"\0")

    return on_tiff


_TIFF: list[Mutator] = [
    *(_field(part) for part in ("code", "type", "count", "value", "short value")), _meaning, _meaning, _value_bytes,
    _value_bytes, _chain, _sub_directories, _geo,
]  # fmt: skip

# --- XML and other texts


def _xml(data: bytes, random: Random) -> bytes:
    """An attribute or element of an XML text is gone, is twice there, or says something else."""
    parts = list(re.finditer(rb'\s[\w:]+="[^"]*"', data)) or list(re.finditer(rb"[^\s=]+=[^\s|]+", data))
    tags = list(re.finditer(rb"<[^>]*>", data))
    match random.randrange(6):
        case 0 | 1 if parts:
            part = random.choice(parts)
            name = part.group().partition(b"=")[0]
            value = random.choice(_TEXTS).encode()
            quoted = b'"' + value + b'"' if b'"' in part.group() else value
            return data[: part.start()] + name + b"=" + quoted + data[part.end() :]
        case 2 if parts:
            part = random.choice(parts)
            return data[: part.start()] + data[part.end() :]
        case 3 if tags:
            tag = random.choice(tags)
            return data[: tag.start()] + data[tag.end() :]
        case 4 if tags:
            tag = random.choice(tags)
            return data[: tag.end()] + tag.group() * random.choice([1, 3]) + data[tag.end() :]
        case _:
            return _numbers_of_text(data, random)


def _numbers_of_text(data: bytes, random: Random) -> bytes:
    """A number of a text is another one."""
    numbers = list(re.finditer(rb"-?\d[\d.]*", data))
    if not numbers:
        return random.choice(_TEXTS).encode()
    one = random.choice(numbers)
    return data[: one.start()] + random.choice(_TEXTS).encode() + data[one.end() :]


_TEXT_OF_TIFF: list[Mutator] = [_description(_xml)] * 8 + [_description(random) for random in _ANY]

# --- PNG and JPEG


def _png(data: bytes, random: Random) -> bytes:
    """A chunk is gone, is twice there, elsewhere, or says something else; checksums are right."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        size = struct.unpack_from(">I", data, at)[0]
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        return _flip(data, random)
    index = 0 if random.random() < 0.3 else random.randrange(len(chunks))
    name, body = chunks[index]
    match random.randrange(6):
        case 0:
            del chunks[index]
        case 1:
            chunks.insert(random.randrange(len(chunks) + 1), (name, body))
        case 2:
            chunks[index] = (random.choice([b"tRNS", b"PLTE", b"IDAT", b"gAMA", b"acTL", b"eXIf", b"iCCP"]), body)
        case 3 if name == b"IHDR" and len(body) == 13:
            changed = bytearray(body)
            struct.pack_into(">I", changed, random.choice([0, 4]), random.choice(_NUMBERS) % (1 << 32))
            chunks[index] = (name, bytes(changed))
        case 4:
            extra = random.choice([b"tRNS", b"PLTE", b"pHYs", b"sBIT", b"zTXt", b"iTXt", b"cICP"])
            chunks.insert(index, (extra, random.randbytes(random.choice([0, 1, 2, 6, 9, 256, 768]))))
        case _:
            chunks[index] = (name, random.choice(_ANY)(body, random))
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def _jpeg(data: bytes, random: Random) -> bytes:
    """A segment is gone, is twice there, or holds other bytes; a frame is of another size or kind."""
    segments = [
        (match.start(), match.start() + 2 + struct.unpack_from(">H", data, match.start() + 2)[0])
        for match in re.finditer(rb"\xff[\xc0-\xcf\xda-\xdf\xe0-\xef\xfe]", data[:-4])
    ]
    if not segments:
        return _flip(data, random)
    start, end = random.choice(segments)
    changed = bytearray(data)
    match random.randrange(5):
        case 0:
            return data[:start] + data[end:]
        case 1:
            return data[:end] + data[start:end] + data[end:]
        case 2:
            changed[start + 1] = random.choice([0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xDA, 0xDD, 0xE1, 0xEE, 0xD9])
        case 3:
            changed[start + 2 : start + 4] = struct.pack(">H", random.choice([0, 1, 2, 3, 8, 17, 65535]))
        case _:
            place = random.randrange(start + 4, max(end, start + 5))
            changed[place : place + 1] = bytes([random.choice([0, 1, 3, 4, 17, 255])])
    return bytes(changed)


_PNG: list[Mutator] = [_png]
_JPEG: list[Mutator] = [_jpeg]
