"""What an image holds, before anything is done with it."""

from __future__ import annotations

import html
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from cartloader_image.action_params import GeoreferenceParams, Ome2PngParams, OutputPrefix
from cartloader_image.crs import short_name
from cartloader_image.images.kinds import is_tiff, plain_kind
from cartloader_image.images.ome import is_ome
from cartloader_image.images.source import Source, describe, open_source
from cartloader_image.images.tiff import open_tiff

_LISTED = 12
"""Planes that a line lists."""


@dataclass(frozen=True)
class SeriesInfo:
    """One picture of a file: an OME Image, the levels of a scan, or all there is."""

    description: str
    """Size, type and bands of its planes."""
    planes: tuple[str, ...]
    """What each is, such as ``z=3, DAPI``, by its index for the option ``page``; empty texts where nothing is said."""
    channels: tuple[str, ...]
    """Names by index."""
    levels: tuple[tuple[int, int], ...]
    """Width and height in pixels by index for the option ``level``, the finest first."""
    pixel_size: tuple[float, float] | None
    """µm in x and y, where the file says it in a way that is believed."""
    crs: str | None
    """``EPSG:…`` or WKT of a georeference of its own."""
    notes: tuple[str, ...]
    """What was guessed or mended, and why there is no pixel size where something like one is there."""

    def __str__(self) -> str:
        size = self.pixel_size and " × ".join(dict.fromkeys(f"{value:.6g}" for value in self.pixel_size))
        parts = [self.description, f"{size} µm per pixel" if size else "no pixel size"]
        if len(self.planes) > 1:
            listed = [f"{index} ({label})" if label else f"{index}" for index, label in enumerate(self.planes)]
            more = f" and {len(listed) - _LISTED:,} more" if len(listed) > _LISTED else ""
            parts.append(f"{len(listed):,} planes: {', '.join(listed[:_LISTED])}{more}")
        if len(self.levels) > 1:
            parts.append(f"{len(self.levels)} levels")
        if self.crs:
            parts.append(short_name(self.crs))
        return ", ".join(parts)


@dataclass(frozen=True)
class Inspection:
    """What an image holds."""

    path: Path
    kind: str
    """``OME-TIFF``, ``TIFF``, ``PNG``, ``JPEG``, ``JPEG 2000`` or ``picture``."""
    series: tuple[SeriesInfo, ...]
    """By index for the option ``series``."""

    def __str__(self) -> str:
        first = self.series[0]
        lines = [f"  series {index}: {one}" for index, one in enumerate(self.series) if index]
        return "\n".join([f"{self.path.name}  {self.kind}, {first}", *lines])

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


def inspect(path: str | PathLike[str]) -> Inspection:
    """Look at an image without reading its pixels.

    Args:
        path: PNG, JPEG, TIFF or OME-TIFF.

    Raises:
        InputError: it cannot be read.
        MetadataError: its metadata are broken.

    Examples:
        >>> from cartloader_image import write_sample
        >>> found = inspect(write_sample("slide.ome.tif", size=256))
        >>> found.series[0].channels, found.series[0].pixel_size
        (('DAPI', 'membrane'), (0.2125, 0.2125))
    """
    path = Path(path)
    out = OutputPrefix(out_dir=Path(), img_id="inspected")
    if not is_tiff(path):
        with open_source(GeoreferenceParams(in_img=path, out=out)) as source:
            size = source.plane.width, source.plane.height
            return Inspection(path, plain_kind(path) or "picture", (_info(source, ("",), (), (size,)),))
    with open_tiff(path) as tiff:
        kind = "OME-TIFF" if is_ome(tiff.first.description) else "TIFF"
        series = tiff.series
        levels = [tuple((page.imagewidth, page.imagelength) for page in one.planes[0].levels) for one in series]
    found = []
    for index, one in enumerate(series):
        with open_source(Ome2PngParams(in_img=path, out=out, page=0, series=index)) as source:
            found.append(_info(source, tuple(plane.label for plane in one.planes), one.channels, levels[index]))
    return Inspection(path, kind, tuple(found))


def _info(
    source: Source, planes: tuple[str, ...], channels: tuple[str, ...], levels: tuple[tuple[int, int], ...]
) -> SeriesInfo:
    problem = (f"{source.pixel_size_problem}",) if source.pixel_size_problem else ()
    return SeriesInfo(
        description=describe(source.plane),
        planes=planes,
        channels=channels,
        levels=levels,
        pixel_size=source.pixel_size,
        crs=source.georeference[1] if source.georeference else None,
        notes=(*source.notes, *problem),
    )
