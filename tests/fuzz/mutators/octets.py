"""Any bytes: cut, flip, fill, insert and drop them; and the numbers and texts that programs stumble over."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

Mutator = Callable[[bytes, Random], bytes]

NUMBERS = [0, 1, 2, 3, 7, 8, 255, 256, 4096, 65535, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 63) + 1]
FLOATS = [0.0, -1.0, 1e-300, 1e308, float("inf"), float("-inf"), float("nan"), 5e-324, 180.0]
TEXTS = [
    "", "0", "-1", "nan", "inf", "-inf", "1e999", "1e-400", "99999999999999999999", "0x10", "1,5", "abc", "µm", "1.5",
    " 7 ", "²", "2147483648", "true", "\0", "a" * 3000, "1_0", "../../x", "4294967297", "-0", "1e5", "1000000000",
    "\x1b[2J", "\ud7ff", "٣", "1e18",
]  # fmt: skip


def cut(data: bytes, random: Random) -> bytes:
    """Only the beginning."""
    return data[: random.randrange(len(data) + 1)]


def flip(data: bytes, random: Random) -> bytes:
    """Some bytes are others."""
    changed = bytearray(data)
    for _ in range(random.choice([1, 3, 30])):
        if changed:
            changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def fill(data: bytes, random: Random) -> bytes:
    """A stretch of one byte."""
    start, size = random.randrange(len(data) + 1), random.choice([1, 4, 64, 1024])
    return data[:start] + bytes([random.choice([0, 255])]) * min(size, len(data) - start) + data[start + size :]


def insert(data: bytes, random: Random) -> bytes:
    """Some bytes more."""
    start = random.randrange(len(data) + 1)
    return data[:start] + random.randbytes(random.choice([1, 2, 100])) + data[start:]


def drop(data: bytes, random: Random) -> bytes:
    """Some bytes less."""
    start = random.randrange(len(data) + 1)
    return data[:start] + data[start + random.choice([1, 2, 100]) :]


MUTATORS: list[Mutator] = [cut, flip, fill, insert, drop]
