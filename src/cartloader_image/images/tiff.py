"""TIFF and OME-TIFF: which planes a file holds, and which pages are their levels and masks.

tifffile parses the file; which page is which plane of an OME-TIFF is decided here from the OME-XML, so that the missing
siblings of a multi-file set do not matter.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from tifffile import TiffPage

from cartloader_image.budget import USUAL, Budget, Cost
from cartloader_image.errors import CartloaderError, InputError, reading, shortened, visible
from cartloader_image.images.damage import Damage
from cartloader_image.images.directories import opened
from cartloader_image.images.ome import Ome, OmeImage, is_ome, named_in, read_ome
from cartloader_image.images.ome_levels import further_levels
from cartloader_image.images.ome_planes import PageShape
from cartloader_image.images.pages import mended, page_at, size_of
from cartloader_image.images.photometric import scheme_of
from cartloader_image.logs import silenced

_REDUCED, _MASK = 1, 4
"""Bits of NewSubfileType."""


@dataclass(frozen=True, eq=False)
class PlaneRef:
    """One plane of a series."""

    label: str
    """Its coordinates for people, such as ``z=3, DAPI``."""
    find: Callable[[], tuple[TiffPage, ...]]
    """Parses the pages that hold the plane, finest level first: a file of 10,000 planes has 10,000 pages."""
    offset: int = 0
    """Bytes to skip from the start of the page's data, where many planes lie behind one page."""
    sample: int | None = None
    """The one sample of the page that is this plane, where each is a channel of its own."""
    z: int = 0
    c: int = 0
    t: int = 0

    @cached_property
    def levels(self) -> tuple[TiffPage, ...]:
        """The pages that hold the plane, finest level first.

        Raises:
            InputError: one of them cannot be parsed.
        """
        return self.find()


@dataclass(frozen=True)
class Series:
    """Planes of one size, and what OME says of them."""

    planes: tuple[PlaneRef, ...]
    channels: tuple[str, ...]
    """Channel names by index; empty texts where they have none."""
    ome: OmeImage | None = None


@dataclass(frozen=True)
class Tiff:
    """An open TIFF: its series, and its first page for what is said of the whole file."""

    path: Path
    file: tifffile.TiffFile
    first: TiffPage
    series: tuple[Series, ...]
    descriptor: int
    size: int
    """Bytes of the file."""
    opened: ExitStack
    """What is to be closed with the file."""
    notes: tuple[str, ...] = ()
    """What was guessed to tell pages and planes apart."""
    lost: str = ""
    """The file of the set that holds the OME metadata and is not there."""
    damage: Damage = field(default_factory=Damage)
    """What is met of it as pixels are read."""

    def mask_of(self, page: TiffPage) -> TiffPage | None:
        """The page of the same size that is the mask of a page: it follows it, with its overviews between at most.

        Raises:
            InputError: a page that follows cannot be parsed.
        """
        with reading(self.path, "TIFF"):
            if page.index == -1:
                return None
            for index in range(_top_index(page) + 1, len(self.file.pages)):
                following = page_at(self.file, index)
                kind, same = int(following.subfiletype), size_of(following) == size_of(page)
                if kind & _MASK and same:
                    return following
                if same or not kind & (_MASK | _REDUCED):
                    return None
        return None


@silenced()
def metadata_file(path: Path, budget: Budget = USUAL) -> Path | None:
    """The file beside a TIFF that it names for its OME metadata, if that is there; None also for a damaged TIFF."""
    with suppress(CartloaderError), reading(path, "TIFF"), opened(path, budget) as file:
        description = file.pages.first.description
        return named_in(description, path, budget) if is_ome(description) else None
    return None


@contextmanager
def open_tiff(path: Path, budget: Budget = USUAL) -> Iterator[Tiff]:
    """Open a TIFF and list what it holds, reading no pixels.

    Raises:
        InputError: it cannot be opened, holds no picture, or costs more than is taken.
        MetadataError: its OME-XML is broken.
    """
    with silenced(), ExitStack() as stack:
        with reading(path, "TIFF"):
            file = stack.enter_context(opened(path, budget))
            first = page_at(file, 0)
            ome = Ome()
            if is_ome(first.description):
                ome = read_ome(first.description, path, len(file.pages), partial(_shape_of, file), budget)
            series = tuple(_ome_series(path, file, ome, budget)) or tuple(_plain_series(path, file, budget))
        if not series:
            raise InputError(f"{path}: holds no picture")
        descriptor = os.open(path, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        size = os.fstat(descriptor).st_size
        yield Tiff(path, file, first, series, descriptor, size, stack, ome.notes if ome.images else (), ome.lost)


def _shape_of(file: tifffile.TiffFile, index: int) -> PageShape:
    page = page_at(file, index)
    return PageShape(page.imagelength, page.imagewidth, page.samplesperpixel)


def _ome_series(path: Path, file: tifffile.TiffFile, ome: Ome, budget: Budget) -> Iterator[Series]:
    levels = further_levels(file, ome)
    for image, lower in zip(ome.images, levels, strict=True):
        samples = _samples(page_at(file, image.planes[0].page))
        count = (max(plane.c for plane in image.planes) + 1) * len(samples)
        budget.check(path, Cost.CHANNELS, count)
        # Some writers list the samples of RGB as channels: their names mean nothing here.
        names = image.channels if image.samples == 1 or len(image.channels) <= count else ()
        names = (*names, *[""] * (count - len(names)))
        in_time = any(plane.t for plane in image.planes)
        planes = []
        for number, plane in enumerate(image.planes):
            find = partial(_ome_levels, path, file, plane.page, [pages[number] for pages in lower])
            for index, sample in enumerate(samples):
                c = plane.c * len(samples) + index
                label = f"page {plane.page}"
                if plane.attributed:
                    parts = [f"z={plane.z}"] if image.depth > 1 else []
                    parts += [f"t={plane.t}"] if in_time else []
                    parts += [names[c] or (f"channel {c}" if len(names) > 1 else "")]
                    label = visible(shortened(", ".join(filter(None, parts)), 120))
                planes.append(PlaneRef(label, find, 0, sample, plane.z, c, plane.t))
        yield Series(tuple(planes), names, image)


def _ome_levels(path: Path, file: tifffile.TiffFile, index: int, lower: list[int]) -> tuple[TiffPage, ...]:
    """A page and its lower levels: its SubIFDs, or other top-level pages."""
    with reading(path, "TIFF"):
        page = page_at(file, index)
        subs = [mended(file, sub.aspage()) for sub in page.pages or () if sub is not None]
        return page, *(subs or [page_at(file, further) for further in lower])


def _top_index(page: TiffPage) -> int:
    """The number of the top-level page that a page is, or belongs to."""
    index: Any = page.index
    return int(index[0] if isinstance(index, tuple) else index)


def _plain_series(path: Path, file: tifffile.TiffFile, budget: Budget) -> Iterator[Series]:
    """The series that tifffile finds in files of all other kinds."""
    if not file.flags:  # nothing tells tifffile how they belong together: it compares all with all
        budget.check(path, Cost.MIXED_PAGES, len(file.pages))
    for found in file.series:
        budget.check(path, Cost.PLANES, len(found.pages))
        pages: list[Any] = list(found.pages)
        if not pages or pages[0] is None:
            continue
        first = mended(file, pages[0].aspage())
        if int(first.subfiletype) & _MASK:
            continue
        # One page may stand for many planes, whose pixels follow one another behind it.
        behind = found.size // (first.size or 1) if len(pages) == 1 else len(pages)
        budget.check(path, Cost.PLANES, behind)
        sizes = next((found.shape[:n] for n in range(len(found.shape)) if math.prod(found.shape[:n]) == behind), ())
        levels = [list(level.pages) for level in found.levels]
        samples = _samples(first)
        planes: list[PlaneRef] = []
        for index in range(behind):
            number = index if len(pages) > 1 else 0
            if pages[number] is None:
                continue
            where = {}
            if sizes:
                where = dict(zip(found.axes, map(int, np.unravel_index(index, sizes)), strict=False))
            find = partial(_plain_levels, path, file, [level[number] for level in levels if number < len(level)])
            offset = index * first.nbytes if len(pages) == 1 else 0
            for position, sample in enumerate(samples):
                parts = [f"{_AXES.get(axis, axis.lower())}={value}" for axis, value in where.items()]
                parts += [f"sample {sample}"] if sample is not None else []
                c = where.get("C", 0) * len(samples) + position
                planes.append(PlaneRef(", ".join(parts), find, offset, sample, where.get("Z", 0), c, where.get("T", 0)))
        if planes:
            yield Series(tuple(planes), ("",) * (1 + max(plane.c for plane in planes)))


def _plain_levels(path: Path, file: tifffile.TiffFile, pages: list[Any]) -> tuple[TiffPage, ...]:
    with reading(path, "TIFF"):
        return tuple(mended(file, page.aspage()) for page in pages if page is not None)


_AXES = {"C": "channel", "Q": "page", "I": "page"}


def _samples(page: TiffPage) -> list[int] | list[None]:
    """The samples of a page that are planes of their own, or a single None where they are one picture."""
    return list(range(page.samplesperpixel)) if scheme_of(page).separate else [None]
