"""Change a file a little where it hurts: its tags, its XML, its segments, its words, or just any of its bytes."""

from __future__ import annotations

import struct
import zlib
from random import Random

from fuzz.mutators import archives, octets, pictures, texts, tiff
from fuzz.mutators.octets import Mutator

_TOO_MUCH_CHANGED = (
    AttributeError, EOFError, IndexError, KeyError, OSError, OverflowError, RecursionError, StopIteration, TypeError,
    ValueError, struct.error, zlib.error,
)  # fmt: skip
"""What a mutator meets in a file whose structure is gone."""
_LONG = 1 << 16
"""Bytes of a text that is long enough."""
_BLINDLY = 0.12
"""Share of the changes that know nothing of the kind of file."""


def mutated(files: dict[str, bytes], random: Random) -> dict[str, bytes]:
    """The files of one seed, of which one is changed, once or a few times: mostly the first, by which it is read."""
    changed, names = dict(files), list(files)
    name = names[0] if random.random() < 0.7 else random.choice(names)
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        try:
            changed[name] = mutator_for(name, changed[name], random)(changed[name], random)
        except _TOO_MUCH_CHANGED:
            changed[name] = octets.flip(changed[name], random)
    return changed


def mutator_for(name: str, data: bytes, random: Random) -> Mutator:
    """A mutator that suits a file."""
    if random.random() < _BLINDLY:
        return random.choice(octets.MUTATORS)
    if data[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}:
        return random.choice(tiff.mutators_for(data))
    known = {
        b"\x89PNG": pictures.png,
        b"\xff\xd8": pictures.jpeg,
        b"PMTiles": archives.archive,
        b"\x1f\x8b": texts.zipped,
    }
    for magic, mutator in known.items():
        if data.startswith(magic):
            return mutator
    # A line that is there 2,000 times four times in a row would never be written.
    return random.choice(texts.mutators_for(name, data) if len(data) < _LONG else octets.MUTATORS)
