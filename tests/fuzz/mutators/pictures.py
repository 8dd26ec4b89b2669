"""PNG and JPEG: their chunks and segments."""

from __future__ import annotations

import re
import struct
import zlib
from random import Random

from fuzz.mutators import octets
from fuzz.mutators.octets import NUMBERS


def png(data: bytes, random: Random) -> bytes:
    """A chunk is gone, is twice there, elsewhere, or says something else; checksums are right."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        size = struct.unpack_from(">I", data, at)[0]
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        return octets.flip(data, random)
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
            struct.pack_into(">I", changed, random.choice([0, 4]), random.choice(NUMBERS) % (1 << 32))
            chunks[index] = (name, bytes(changed))
        case 4:
            extra = random.choice([b"tRNS", b"PLTE", b"pHYs", b"sBIT", b"zTXt", b"iTXt", b"cICP"])
            chunks.insert(index, (extra, random.randbytes(random.choice([0, 1, 2, 6, 9, 256, 768]))))
        case _:
            chunks[index] = (name, random.choice(octets.MUTATORS)(body, random))
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )


def jpeg(data: bytes, random: Random) -> bytes:
    """A segment is gone, is twice there, or holds other bytes; a frame is of another size or kind."""
    segments = [
        (match.start(), match.start() + 2 + struct.unpack_from(">H", data, match.start() + 2)[0])
        for match in re.finditer(rb"\xff[\xc0-\xcf\xda-\xdf\xe0-\xef\xfe]", data[:-4])
    ]
    if not segments:
        return octets.flip(data, random)
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
