"""Which page of a file holds which plane of an OME image: the blocks called ``TiffData``, as seen from one file.

Reference: the OME-TIFF specification. A block maps a run of planes, in dimension order, to a run of pages of the file
that its UUID names. Files are copied, renamed and taken out of their sets, and some writers leave most of it out; a
plane is never guessed where that could show another channel.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple
from urllib.parse import unquote

_RENAMED = (
    "no UUID or FileName of its OME-XML is this file's, which was renamed or copied; its pages are taken as they come, "
    "and which channel each is cannot be told"
)
_BY_NAME = "its FileName says which plane it holds, as its UUIDs contradict one another"
_TOO_FEW = "its OME-XML speaks of more pages than it has; which channel each is cannot be told"

_BEYOND = "its OME-XML speaks of planes beyond its own sizes"


class PageShape(NamedTuple):
    """What a page of the file is."""

    height: int
    width: int
    samples: int
    """Samples per pixel."""


ShapeOf = Callable[[int], PageShape]
"""Looks at a page of the file."""


@dataclass(frozen=True)
class OmePlane:
    """One 2-D plane of an image: its indices, and the top-level page of this file that holds it."""

    page: int
    z: int
    c: int
    t: int
    attributed: bool = True
    """Whether the metadata say so; a page of an unknown plane counts as a point in time of its own."""


@dataclass(frozen=True)
class Block:
    """A ``TiffData`` element; nothing is set in one that says nothing."""

    first: tuple[int, ...] = (0, 0, 0)
    """Index of the first plane on each axis, the fastest axis first."""
    page: int | None = None
    count: int | None = None
    file: str = ""
    uuid: str = ""

    def is_of(self, file: str, own_id: str) -> bool:
        """Whether a file of this name and UUID may hold its planes."""
        return self.names(file) or (bool(own_id) and self.uuid == own_id) or not (self.file or self.uuid)

    def names(self, file: str) -> bool:
        """Whether it names a file."""
        return same_name(self.file, file)


def same_name(declared: str, name: str) -> bool:
    """Whether a declared name is a file's: in any case, composed or not, with or without escapes of an address."""

    def plain(text: str) -> str:
        return unicodedata.normalize("NFC", text).casefold()

    return plain(name) in {plain(declared), plain(unquote(declared))}


@dataclass(frozen=True)
class Share:
    """The planes of one image, and the blocks that say where they are."""

    axes: str
    """Z, C and T, the fastest first."""
    sizes: dict[str, int]
    """By axis; samples are counted in C."""
    samples: int
    """The greatest ``SamplesPerPixel`` of its channels."""
    blocks: tuple[Block, ...]
    """None where the planes simply follow one another from page ``start`` on."""
    start: int = 0

    def samples_on(self, shape: PageShape) -> int:
        """How many of C are in one plane, given the page that holds it: the page knows better than its metadata."""
        if shape.samples == 1 or (self.samples == 1 and self.sizes["C"] % shape.samples == 0):
            return shape.samples
        return self.samples

    def lengths(self, shape: PageShape) -> dict[str, int]:
        """Planes along each axis."""
        return {**self.sizes, "C": max(self.sizes["C"] // self.samples_on(shape), 1)}

    def elsewhere(self, here: set[int]) -> dict[int, str]:
        """Files that hold the first plane of channels that are not here, by channel."""
        axis = self.axes.index("C")
        return {block.first[axis]: block.file for block in self.blocks if block.file and block.first[axis] not in here}


class _Claim(NamedTuple):
    """A plane of an image is said to be on a page of this file."""

    image: int
    plane: int
    """Its index in dimension order."""
    named: bool
    """Whether that is said by the file's own name."""
    doubtful: bool
    """Whether the UUID beside the name is another file's."""


def in_turn(shares: Sequence[Share], pages: int, shape_of: ShapeOf) -> list[Share]:
    """Images of a file that says nothing of pages: each has as many of them as it has planes, one image after another.

    Raises:
        ValueError: their sizes are not those of the pages.
    """
    placed, start = [], 0
    for number, share in enumerate(shares):
        if start >= pages:
            raise ValueError(
                f"its OME-XML speaks of {len(shares)} images and says nothing of pages, of which there are {pages}; "
                "what is what cannot be told"
            )
        shape = shape_of(start)
        lengths = share.lengths(shape)
        stop = start + lengths["Z"] * lengths["C"] * lengths["T"]
        for page in range(start, min(stop, pages)):
            shape = shape_of(page)
            if (shape.width, shape.height) != (share.sizes["X"], share.sizes["Y"]):
                declared, stored = f"{share.sizes['X']:,} × {share.sizes['Y']:,}", f"{shape.width:,} × {shape.height:,}"
                raise ValueError(
                    f"image {number} of its OME-XML is {declared} pixels, and page {page} {stored}; nothing else says "
                    "which page is which image"
                )
        placed.append(Share(share.axes, share.sizes, share.samples, (), start))
        start = stop
    return placed


def attribute(
    shares: Sequence[Share], file: str, own_id: str, pages: int, shape_of: ShapeOf, most: int
) -> tuple[list[tuple[OmePlane, ...]], tuple[str, ...]]:
    """The planes of each image that are in this file, by index, and notes on what had to be guessed.

    ``file`` is the file's name, ``own_id`` the UUID by which it calls itself, and ``most`` how often a plane may be
    said to be somewhere.

    Raises:
        ValueError: two planes are said to be on one page, or it is said more often.
    """
    finder = _Finder(shares, pages, shape_of)
    blocks, notes = list(finder.blocks()), list[str]()
    claims: dict[int, list[_Claim]] = {}
    here = [(image, block) for image, block in blocks if block.is_of(file, own_id)]
    if blocks and not here:
        others = {block.file.lower() or block.uuid for _, block in blocks}
        # A file that calls itself by a UUID is not the one that has another.
        if len(others) > 1 or any(own_id and block.uuid for _, block in blocks):
            return finder.pages_as_planes(), (_RENAMED,)
        here = blocks
        notes.append("its OME-XML calls it by another name; it was renamed or copied")
    for image, block in here:
        named = block.names(file)
        doubtful = named and bool(own_id and block.uuid) and block.uuid != own_id
        for plane, page in finder.run(image, block):
            most -= 1
            if most < 0:
                raise ValueError("its OME-XML says too often where planes are; if it is right, add --max-input-cost 2")
            claims.setdefault(page, []).append(_Claim(image, plane, named, doubtful))
    beyond = any(finder.is_beyond(image, block) for image, block in here)
    if beyond and not claims:
        return finder.pages_as_planes(), (f"{_BEYOND}; its pages are taken as they come",)
    settled, guesses = _settled(claims)
    guesses += [f"{_BEYOND}, which are left out"] if beyond else []
    pages_of: list[dict[int, int]] = [{} for _ in shares]
    for page, (image, plane) in sorted(settled.items(), reverse=True):
        pages_of[image][plane] = page
    planes = [finder.planes(image, found) for image, found in enumerate(pages_of)]
    for image in {image for image, block in here if finder.lacks_pages(image, block)}:
        if len({plane.c for plane in planes[image]}) < finder.lengths(image)["C"]:
            planes[image] = tuple(_unknown(plane.page) for plane in planes[image])
            guesses.append(_TOO_FEW)
    return planes, (*notes, *guesses)


def _unknown(page: int) -> OmePlane:
    return OmePlane(page, 0, 0, page, attributed=False)


def _settled(claims: dict[int, list[_Claim]]) -> tuple[dict[int, tuple[int, int]], list[str]]:
    """One plane (image, index) for each page.

    The name of the file decides between planes on one page. Alone, it counts for nothing where the UUID beside it is
    another file's, and others are this one's.
    """
    identified = any(not claim.doubtful and not claim.named for found in claims.values() for claim in found)
    settled: dict[int, tuple[int, int]] = {}
    notes: list[str] = []
    for page, found in sorted(claims.items()):
        wanted = {claim[:2] for claim in found}
        if len(wanted) > 1:
            named = [claim for claim in found if claim.named]
            certain = [claim for claim in named if not claim.doubtful]
            wanted = {claim[:2] for claim in certain or named}
            notes = notes if certain else [_BY_NAME]
        elif identified and all(claim.doubtful for claim in found):
            continue
        if len(wanted) != 1:
            raise ValueError(f"its OME-XML puts several planes on page {page}; which one is there cannot be told")
        settled[page] = wanted.pop()
    return settled, notes


@dataclass(frozen=True)
class _Finder:
    """Walks the planes and pages of a file's images."""

    shares: Sequence[Share]
    pages: int
    shape_of: ShapeOf
    _lengths: dict[int, dict[str, int]] = field(default_factory=dict)
    _sample_wise: dict[int, bool] = field(default_factory=dict)

    @cached_property
    def _first_pages(self) -> Counter[int]:
        """How many blocks begin at a page."""
        return Counter(block.page or 0 for share in self.shares for block in share.blocks)

    def blocks(self) -> Iterator[tuple[int, Block]]:
        """All blocks with the number of their image; one for all planes where an image has none."""
        for image, share in enumerate(self.shares):
            for block in share.blocks or (Block(page=share.start, count=self._total(image)),):
                yield image, block

    def lengths(self, image: int) -> dict[str, int]:
        """Planes of an image along each axis, as its first page has them."""
        if image not in self._lengths:
            share = self.shares[image]
            starts = [page for block in share.blocks if (page := block.page or 0) < self.pages]
            self._lengths[image] = share.lengths(self.shape_of(min([*starts, *([] if starts else [share.start])])))
        return self._lengths[image]

    def run(self, image: int, block: Block) -> Iterable[tuple[int, int]]:
        """Planes and pages of a block, as far as there are such."""
        if self.is_beyond(image, block):
            return ()
        share, firsts = self.shares[image], self._firsts(image, block)
        start = sum(first * stride for first, stride in zip(firsts, self._strides(image), strict=True))
        count, step = self._count(image, block), 1
        if wide := self._wide(image, block):
            count, step = wide, self._strides(image)[share.axes.index("C")]
        stop = min(start + count * step, self._total(image))
        return zip(range(start, stop, step), range(block.page or 0, self.pages), strict=False)

    def is_beyond(self, image: int, block: Block) -> bool:
        """Whether a block begins with a plane that its image does not have."""
        lengths, firsts = self.lengths(image), self._firsts(image, block)
        return any(first >= lengths[axis] for first, axis in zip(firsts, self.shares[image].axes, strict=True))

    def lacks_pages(self, image: int, block: Block) -> bool:
        """Whether a block speaks of pages beyond the last one."""
        return (block.page or 0) + self._count(image, block) > self.pages

    def planes(self, image: int, pages: dict[int, int]) -> tuple[OmePlane, ...]:
        """The planes of an image in dimension order, by the page of each."""
        axes, lengths = self.shares[image].axes.lower(), self.lengths(image)
        steps = list(zip(axes, self._strides(image), strict=True))

        def index(plane: int) -> dict[str, int]:
            return {axis: plane // stride % lengths[axis.upper()] for axis, stride in steps}

        return tuple(OmePlane(page, **index(plane)) for plane, page in sorted(pages.items()))  # type: ignore[arg-type]

    def pages_as_planes(self) -> list[tuple[OmePlane, ...]]:
        """All pages as unknown planes of the first image that has the size of the first page, or of the very first."""
        shape = self.shape_of(0)
        sizes = [(share.sizes["X"], share.sizes["Y"]) for share in self.shares]
        chosen = sizes.index((shape.width, shape.height)) if (shape.width, shape.height) in sizes else 0
        planes = tuple(map(_unknown, range(self.pages)))
        return [planes if number == chosen else () for number in range(len(self.shares))]

    def _firsts(self, image: int, block: Block) -> tuple[int, ...]:
        """The index of a block's first plane on each axis."""
        if not self._counts_samples(image):
            return block.first
        axis = self.shares[image].axes.index("C")
        return (*block.first[:axis], block.first[axis] // self._samples_in(image), *block.first[axis + 1 :])

    def _counts_samples(self, image: int) -> bool:
        """Whether the blocks of an image count the samples of colour one by one along C, as some writers do."""
        if image not in self._sample_wise:
            share, samples = self.shares[image], self._samples_in(image)
            firsts = [block.first[share.axes.index("C")] for block in share.blocks]
            beyond = max(firsts, default=0) >= self.lengths(image)["C"]
            self._sample_wise[image] = samples > 1 and beyond and not any(first % samples for first in firsts)
        return self._sample_wise[image]

    def _samples_in(self, image: int) -> int:
        """Samples of each plane, as C counts them."""
        return self.shares[image].sizes["C"] // self.lengths(image)["C"]

    def _count(self, image: int, block: Block) -> int:
        """Pages that a block speaks of."""
        return block.count if block.count is not None else 1 if block.page is not None else self._total(image)

    def _wide(self, image: int, block: Block) -> int:
        """Pages of one sample that a block takes for one page of colour; 0 where it does not, or others have them."""
        share, page = self.shares[image], block.page or 0
        channel = self._firsts(image, block)[share.axes.index("C")]
        if share.samples == 1 or self._samples_in(image) > 1 or self._count(image, block) != 1 or channel:
            return 0
        begun = sum(self._first_pages[number] for number in range(page, page + share.samples))
        return 0 if begun > bool(share.blocks) else share.samples

    def _total(self, image: int) -> int:
        return math.prod(self.lengths(image)[axis] for axis in "ZCT")

    def _strides(self, image: int) -> list[int]:
        """Planes from one index to the next on each axis."""
        axes, lengths = self.shares[image].axes, self.lengths(image)
        return [math.prod(lengths[axis] for axis in axes[:index]) for index in range(len(axes))]
