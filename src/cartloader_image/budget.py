"""What an input may cost, known before anything is made of it: a few kilobytes can ask for gigabytes, or for hours.

Each limit is far above what instruments write, and a number of bytes or things that stands in the docs with its reason.
What is a question of memory alone (one compressed strip or tile) is not here but with ``--high-memory``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from cartloader_image.errors import InputError


class Cost(Enum):
    """A kind of cost: how much of it is taken by default, and what it is called."""

    PIXELS = 1 << 38, "pixels in a plane"
    DIRECTORIES = 1 << 16, "directories (IFDs)"
    LEVELS = 64, "levels of a pyramid (SubIFDs)"
    TAG = 32 << 20, "bytes in one tag"
    VALUES = 1 << 21, "numbers in one tag"
    MIXED_PAGES = 1 << 12, "pages that are not alike"
    PLANES = 1 << 16, "planes"
    CHANNELS = 1 << 14, "channels"
    XML = 32 << 20, "bytes of XML"
    ELEMENTS = 1 << 19, "tags and attributes of XML"
    TEXT = 4 << 20, "bytes of text"
    TABLE = 1 << 31, "bytes of a table in gzip that are looked through"
    YAML = 1 << 19, "bytes of YAML"
    CATALOG = 1 << 17, "bytes of a catalog"
    IMAGES = 1 << 16, "images in a sample sheet"

    def __init__(self, most: int, things: str) -> None:
        self.most = most
        self.things = things


@dataclass(frozen=True)
class Budget:
    """What is taken of each cost: ``factor`` times its default, as ``--max-input-cost`` has it."""

    factor: float = 1.0

    def most(self, cost: Cost) -> int:
        """How much of a cost is taken."""
        return int(cost.most * self.factor)

    def check(self, path: Path, cost: Cost, found: int) -> None:
        """Make sure that an input does not cost more than is taken.

        Raises:
            InputError: it does; the sentence says what would allow for it.
        """
        if found > self.most(cost):
            raise InputError(
                f"{path}: has {found:,} {cost.things}, more than the {self.most(cost):,} that are taken; if it is "
                f"what it should be, add --max-input-cost {math.ceil(found / cost.most)}"
            )

    def check_xml(self, path: Path, xml: str | bytes) -> None:
        """Make sure that a document may be parsed: its elements take far more memory than its text.

        Raises:
            InputError: it may not.
        """
        text = xml if isinstance(xml, bytes) else xml.encode()
        self.check(path, Cost.XML, len(text))
        self.check(path, Cost.ELEMENTS, text.count(b"<") + text.count(b"="))


USUAL = Budget()
"""What is taken unless more is asked for."""
