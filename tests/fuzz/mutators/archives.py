"""PMTiles: numbers of the header, entries of directories, leaves, metadata, tiles, and how all of it is compressed."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from itertools import chain
from random import Random
from typing import Any

from pmtiles.tile import deserialize_directory

from cartloader_image.tiles.header import HEADER_BYTES, Header
from fuzz.mutators import octets, texts
from fuzz.mutators.octets import NUMBERS

_LAYOUT = struct.Struct("<8s11Q6B4iB2i")
_BYTES, _DEGREES = (*Header._fields[11:17], "center_zoom"), Header._fields[17:21] + Header._fields[22:]
Row = list[int]
"""Of a directory: id, offset, length, run."""


def archive(data: bytes, random: Random) -> bytes:
    """One of all these."""
    return random.choice(
        [_field, _field, _field, _entries, _entries, _entries, _leaf, _metadata, _metadata, _tile, _section]
    )(data, random)


def _with(data: bytes, **fields: int) -> bytes:
    """An archive whose header says something else, as far as its numbers have room for that."""
    header = Header.parse(data)._replace(**fields)
    values = [
        value % 256 if name in _BYTES else (value + 2**31) % 2**32 - 2**31 if name in _DEGREES else value % 2**64
        for name, value in zip(Header._fields, header, strict=True)
    ]
    return _LAYOUT.pack(data[:8], *values) + data[HEADER_BYTES:]


def _field(data: bytes, random: Random) -> bytes:
    name = random.choice(Header._fields)
    there = list(Header.parse(data))
    return _with(data, **{name: random.choice([*NUMBERS, *range(9), len(data), random.choice(there), -1])})


def _appended(data: bytes, part: str, section: bytes) -> bytes:
    """An archive with another section, at its end."""
    return _with(data, **{f"{part}_offset": len(data), f"{part}_length": len(section)}) + section


def _packed(text: bytes, random: Random) -> bytes:
    """As directories and metadata are, or not quite."""
    if random.random() < 0.85:
        return gzip.compress(text, 1, mtime=0)
    return random.choice(
        [text, gzip.compress(text, mtime=0)[:-4], zlib.compress(text), gzip.compress(text, mtime=0) * 2, b""]
    )


def _rows(data: bytes) -> list[Row]:
    header = Header.parse(data)
    section = data[header.root_offset : header.root_offset + header.root_length]
    return [[one.tile_id, one.offset, one.length, one.run_length] for one in deserialize_directory(section)]


def _entries(data: bytes, random: Random) -> bytes:
    """Other numbers in the root directory; entries that are gone, there twice, or in another order."""
    rows = _rows(data)
    index = random.randrange(len(rows))
    match random.randrange(6):
        case 0:
            del rows[index]
        case 1:
            rows.insert(index, list(rows[index]))
        case 2:
            random.shuffle(rows)
        case 3:
            rows *= random.choice([2, 1000 if len(rows) < 1000 else 3])
        case _:
            other = random.choice(
                [*NUMBERS, *range(9), len(data), rows[index][random.randrange(4)] + 1, (4**31 - 1) // 3]
            )
            rows[index][random.randrange(4)] = other
    return _appended(data, "root", _packed(_directory(rows, random), random))


def _directory(rows: list[Row], random: Random) -> bytes:
    """The numbers of a directory as they are stored, sometimes with a count that is wrong."""
    count = len(rows) if random.random() < 0.9 else random.choice(NUMBERS)
    ids = [row[0] for row in rows]
    steps = [later - before for before, later in zip([0, *ids], ids, strict=False)]
    columns = [steps, [row[3] for row in rows], [row[2] for row in rows], [row[1] + 1 for row in rows]]
    return b"".join(_varint(number) for number in [count, *chain(*columns)])


def _varint(number: int) -> bytes:
    number %= 1 << 64
    octets = bytearray()
    while number > 127:
        octets.append(number & 127 | 128)
        number >>= 7
    return bytes([*octets, number])


def _leaf(data: bytes, random: Random) -> bytes:
    """Leaf directories that lead to themselves, to the root, to nothing, or on and on."""
    header, rows = Header.parse(data), _rows(data)
    leaf = _packed(_directory(random.choice([rows, [[0, 0, 999, 0]], [[0, 0, 40, 0], [5, 0, 40, 0]]]), random), random)
    places = [(0, len(leaf)), (0, header.root_length), (len(data), 9), (random.choice(NUMBERS), random.choice(NUMBERS))]
    above = [
        [number * random.choice([1, 7]), *random.choice(places), 0] for number in range(random.choice([1, 3, 900]))
    ]
    changed = _appended(data, "leaf_directory", leaf)
    return _appended(changed, "root", _packed(_directory(above, random), random))


_VALUES: list[Any] = [
    None, True, 0, -1, 1e308, float("nan"), "", "x", "1,2", "0,0,1e999,1", "nan,0,1,1", [], [1, 2], [0, 0, "a", 1], {},
    {"a": []}, "a" * 5000, "\x1b[2J", "\ud800", 10**400, [[]] * 2000,
]  # fmt: skip


def _metadata(data: bytes, random: Random) -> bytes:
    """A document that says something else, or is none."""
    header = Header.parse(data)
    section = data[header.metadata_offset : header.metadata_offset + header.metadata_length]
    document = json.loads(gzip.decompress(section) or b"{}")
    match random.randrange(5):
        case 0:
            text = json.dumps(random.choice(_VALUES)).encode()
        case 1:
            text = b"[" * random.choice([10, 100_000])
        case 2:
            change = random.choice([*octets.MUTATORS, texts.numbers, texts.nested])
            text = change(json.dumps(document).encode(), random)
        case _:
            own = document.get("cartloader")
            part = own if isinstance(own, dict) and random.random() < 0.5 else document
            part[random.choice([*part, "vector_layers", "bounds", "tilesize"])] = random.choice(_VALUES)
            text = json.dumps(document).encode()
    return _appended(data, "metadata", _packed(text, random))


def _tile(data: bytes, random: Random) -> bytes:
    """Other bytes in a tile: none of a picture, a picture of a huge size, or compressed once more."""
    header, rows = Header.parse(data), _rows(data)
    index = random.randrange(len(rows))
    _, offset, length, _ = rows[index]
    start = header.tile_data_offset + offset
    tile = data[start : start + length]
    match random.randrange(4):
        case 0:
            change = random.choice([*octets.MUTATORS, _huge])
            tile = change(tile, random)
        case 1:
            tile = gzip.compress(tile, mtime=0)
        case 2:
            tile = gzip.compress(bytes(random.choice([10, 1 << 24])), 1, mtime=0)
        case _:
            tile = random.choice(
                [b"", b"GIF89a\xff\xff\xff\xff", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8 "]
            )
    rows[index][1:3] = len(data) - header.tile_data_offset, len(tile)
    longer = _with(data + tile, tile_data_length=len(data) + len(tile) - header.tile_data_offset)
    return _appended(longer, "root", gzip.compress(_directory(rows, random), mtime=0))


def _huge(tile: bytes, random: Random) -> bytes:
    """A PNG that says it is of a huge size."""
    side = struct.pack(">I", random.choice([0, 1, 8193, 65500, 1 << 31]))
    head = b"IHDR" + side * 2 + tile[24:29]
    return tile[:12] + head + struct.pack(">I", zlib.crc32(head)) + tile[33:]


def _section(data: bytes, random: Random) -> bytes:
    """A section that is longer, shorter, elsewhere, or the same as another."""
    header = Header.parse(data)
    part, other = (random.choice(["root", "metadata", "leaf_directory", "tile_data"]) for _ in range(2))
    places = [getattr(header, f"{other}_offset"), getattr(header, f"{other}_length")]
    return _with(data, **{f"{part}_offset": places[0], f"{part}_length": places[1] + random.choice([0, 1, -1, 1000])})
