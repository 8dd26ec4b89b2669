"""Levels of a pyramid that lie in further top-level pages of an OME-TIFF, as some programs store them."""

from __future__ import annotations

import itertools
import re
from collections import Counter

import tifffile
from tifffile import TiffPage

from cartloader_image.images.ome import Ome
from cartloader_image.images.pages import page_at, size_of

_LEVEL_NAME = re.compile(r"(?<![a-z])(?:level|resolution)[\s#_:=-]*(\d{1,3})[\s)\]]*$", re.IGNORECASE)
"""How some writers name the Image that is a lower level of the one before it."""
_GREATEST_STEP = 8
"""Whole number by which a level is smaller than the one before, at most: a label may fit a greater one by chance."""
_DEEPEST = 20
"""Levels of a pyramid at most."""


def further_levels(file: tifffile.TiffFile, ome: Ome) -> list[list[list[int]]]:
    """The pages that hold the lower levels of each image: for each level, one page for each plane.

    They are pages that no image has, right behind those of the image, or the Images behind it that are named so; and
    each level is an exact part of the one before.
    """
    taken = {plane.page for image in ome.images for plane in image.planes}
    names = [_base_and_level(image.name) for image in ome.images]
    unclear = {base for (base, _), count in Counter(names).items() if count > 1}  # nobody knows whose level is whose
    named_so: dict[str, list[int]] = {}
    for number, (base, _) in enumerate(names):
        named_so.setdefault(base, []).append(number)
    found = []
    for number, image in enumerate(ome.images):
        pages = [plane.page for plane in image.planes]
        base, level = names[number]
        named = []
        for other in () if base in unclear else named_so[base]:
            further = ome.images[other]
            if other > number and names[other][1] == level + 1 and len(further.planes) == len(pages):
                named.append([plane.page for plane in further.planes])
                level += 1
        firsts = range(max(pages) + 1, len(file.pages) - len(pages) + 1, len(pages))[:_DEEPEST]
        behind = ([*range(first, first + len(pages))] for first in firsts)
        free = itertools.takewhile(lambda candidate: not taken & {*candidate}, behind)
        found.append(_exact_levels(file, pages, named or list(free)))
    return found


def _base_and_level(name: str) -> tuple[str, int]:
    """The name of an Image without the level that it may be, and the level; 0 where it says none."""
    match = _LEVEL_NAME.search(name)
    base = name[: match.start()] if match else name
    return base.strip(" ([#_:=-,;./").casefold(), int(match[1]) if match else 0


def _exact_levels(file: tifffile.TiffFile, pages: list[int], candidates: list[list[int]]) -> list[list[int]]:
    """The candidates up to the first that is no exact level of the one before."""
    levels: list[list[int]] = []
    if not candidates:
        return levels
    above = page_at(file, pages[0])
    for candidate in candidates:
        below = [page_at(file, page) for page in candidate]
        if not all(_is_level(above, page) for page in below):
            break
        levels.append(candidate)
        above = below[0]
    return levels


def _is_level(above: TiffPage, below: TiffPage) -> bool:
    """Whether a page is another one with both sides divided by one whole number, rounded either way."""
    if (above.dtype, above.samplesperpixel, above.photometric) != (
        below.dtype,
        below.samplesperpixel,
        below.photometric,
    ):
        return False
    factor = round(above.imagewidth / max(below.imagewidth, 1))
    return 1 < factor <= _GREATEST_STEP and all(
        small in {large // factor, -(-large // factor)}
        for large, small in zip(size_of(above), size_of(below), strict=True)
    )
