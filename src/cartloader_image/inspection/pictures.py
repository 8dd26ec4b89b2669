"""What an image holds, before anything is done with it."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from tifffile import TiffPage

from cartloader_image.budget import Budget
from cartloader_image.crs import short_name
from cartloader_image.errors import CartloaderError
from cartloader_image.images.kinds import is_tiff, plain_kind
from cartloader_image.images.ome import is_ome
from cartloader_image.images.samples import codec_name
from cartloader_image.images.source import Source, describe, open_source, tiff_source
from cartloader_image.images.tiff import Tiff, open_tiff
from cartloader_image.inspection.imports import Attempt, Choice, ImportInfo

_LISTED = 12
"""Planes that a line lists."""


class Size(NamedTuple):
    """Pixels."""

    width: int
    height: int


class Storage(NamedTuple):
    """How a TIFF keeps the pixels of the finest level."""

    photometric: str
    """What samples mean, as TIFF names it: ``MINISBLACK``, ``RGB`` …"""
    codec: str
    """How they are compressed: ``NONE``, ``LZW``, ``ADOBE_DEFLATE`` …"""
    pieces: str
    """``tile`` or ``strip``."""
    piece_size: Size


class Detectable(NamedTuple):
    """µm per pixel that ``--georef-detect`` would believe, and where they stand."""

    pixel_size: tuple[float, float]
    where: str


@dataclass(frozen=True)
class SeriesInfo:
    """One picture of a file: an OME Image, the levels of a scan, or all there is."""

    description: str
    """Size, type and bands of its planes."""
    planes: tuple[str, ...]
    """What each is, such as ``z=3, DAPI``, by its index for the option ``page``; empty texts where nothing is said."""
    channels: tuple[str, ...]
    """Names by index."""
    levels: tuple[Size, ...]
    """Width and height in pixels by index for the option ``level``, the finest first."""
    storage: Storage | None
    """None where it is no TIFF."""
    pixel_size: tuple[float, float] | None
    """µm in x and y, where the file says it in a way that is believed."""
    detectable: Detectable | None
    """What else the file says of it."""
    crs: str | None
    """``EPSG:…`` or WKT of a georeference of its own."""
    notes: tuple[str, ...]
    """What was guessed or mended, and why there is no pixel size where something like one is there."""
    import_image: ImportInfo
    """What the command of this name would do."""

    def __str__(self) -> str:
        parts = [self.description, self.resolution]
        if len(self.planes) > 1:
            parts.append(f"{len(self.planes):,} planes: {self.listed_planes}")
        if len(self.levels) > 1:
            parts.append(f"{len(self.levels)} levels")
        if self.crs:
            parts.append(short_name(self.crs))
        return ", ".join(parts)

    @property
    def resolution(self) -> str:
        """The pixel size with its unit."""
        size = self.pixel_size and " × ".join(dict.fromkeys(f"{value:.6g}" for value in self.pixel_size))
        return f"{size} µm per pixel" if size else "no pixel size"

    @property
    def listed_planes(self) -> str:
        """The planes by their indices, as many as a line has room for."""
        first = enumerate(self.planes[:_LISTED])
        more = f" and {len(self.planes) - _LISTED:,} more" if len(self.planes) > _LISTED else ""
        return ", ".join(f"{index} ({label})" if label else f"{index}" for index, label in first) + more


@dataclass(frozen=True)
class Inspection:
    """What an image holds."""

    path: Path
    kind: str
    """``OME-TIFF``, ``TIFF``, ``PNG``, ``JPEG``, ``JPEG 2000`` or ``picture``."""
    bytes: int
    """Of the file."""
    series: tuple[SeriesInfo, ...]
    """By index for the option ``series``."""

    def __str__(self) -> str:
        first = self.series[0]
        lines = [f"  series {index}: {one}" for index, one in enumerate(self.series) if index]
        return "\n".join([f"{self.path.name}  {self.kind}, {first}", *lines])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def inspect(path: str | PathLike[str], *, max_input_cost: float = 1) -> Inspection:
    """Look at an image without reading its pixels, and at what its import would do.

    Args:
        path: PNG, JPEG, TIFF or OME-TIFF.
        max_input_cost: As the option of this name: how many times more is taken than usually of what costs time and
            memory.

    Raises:
        InputError: it cannot be read.
        MetadataError: its metadata are broken.

    Examples:
        >>> from cartloader_image import write_sample
        >>> [series] = inspect(write_sample("slide.ome.tif", size=256)).series
        >>> series.channels, series.pixel_size
        (('DAPI', 'membrane'), (0.2125, 0.2125))
        >>> series.import_image.command
        'cartloader import_image --png2pmtiles --in-img slide.ome.tif --page 0 --out-dir map --img-id slide'
    """
    path = Path(path)
    more = (
        (Choice("--max-input-cost", f"{max_input_cost:g}", "more is taken than usually"),) if max_input_cost > 1 else ()
    )
    if not is_tiff(path):
        attempt = Attempt(path, more)
        with open_source(attempt.params) as source:
            size = Size(source.plane.width, source.plane.height)
            found = _SaidBy.of(source)
            only = SeriesInfo(describe(source.plane), ("",), (), (size,), None, *found, attempt.planned(source))
            return Inspection(path, plain_kind(path) or "picture", path.stat().st_size, (only,))
    with open_tiff(path, Budget(max_input_cost)) as tiff:
        kind = "OME-TIFF" if is_ome(tiff.first.description) else "TIFF"
        return Inspection(path, kind, tiff.size, tuple(_series(tiff, more)))


def _series(tiff: Tiff, more: tuple[Choice, ...]) -> Iterator[SeriesInfo]:
    for index, one in enumerate(tiff.series):
        levels = one.planes[0].levels
        choices = [Choice("--series", f"{index}", f"one of {len(tiff.series):,} series")] if index else []
        if len(one.planes) > 1:
            choices.append(Choice("--page", "0", f"one of {len(one.planes):,} planes"))
        attempt = Attempt(tiff.path, (*choices, *more))
        description, said = f"{levels[0].imagewidth:,} × {levels[0].imagelength:,} {levels[0].dtype}", _SaidBy()
        try:
            source = tiff_source(tiff, attempt.params)
            description, said, done = describe(source.plane), _SaidBy.of(source), attempt.planned(source)
        except CartloaderError as error:
            done = attempt.refused(error)
        yield SeriesInfo(
            description,
            tuple(plane.label for plane in one.planes),
            one.channels,
            tuple(Size(page.imagewidth, page.imagelength) for page in levels),
            _storage(levels[0]),
            *said,
            done,
        )


def _storage(page: TiffPage) -> Storage:
    width, height = (page.tilewidth, page.tilelength) if page.is_tiled else (page.imagewidth, page.rowsperstrip)
    return Storage(
        photometric=str(getattr(page.photometric, "name", page.photometric)),
        codec=codec_name(page),
        pieces="tile" if page.is_tiled else "strip",
        piece_size=Size(width, height if page.is_tiled else min(height, page.imagelength)),
    )


class _SaidBy(NamedTuple):
    """What an open picture says of its place, and what there is to say of that; fields of `SeriesInfo`."""

    pixel_size: tuple[float, float] | None = None
    detectable: Detectable | None = None
    crs: str | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, source: Source) -> _SaidBy:
        problem = (source.pixel_size_problem,) if source.pixel_size_problem else ()
        return cls(
            source.pixel_size,
            Detectable(*source.detectable) if source.detectable else None,
            source.georeference[1] if source.georeference else None,
            (*source.notes, *problem),
        )
