"""What beside a picture speaks against the place that it gets: notes, since none of it is proof.

Looked at are a few files by their usual names, in the picture's folder and the folders above it, and of each a few
kilobytes. What is compressed as a whole, or a Parquet table, is left alone: its beginning would tell of one corner.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from cartloader_image.action_params import RasterParams
from cartloader_image.crs import WEB_MERCATOR
from cartloader_image.errors import CartloaderError
from cartloader_image.images.beside import experiment_file
from cartloader_image.images.source import Source
from cartloader_image.images.stack import field_kind
from cartloader_image.placing.bounds import bounds_from_pixel_tsv
from cartloader_image.placing.extent import Extent
from cartloader_image.placing.placement import Placement
from cartloader_image.placing.scale import sizes_of_fields
from cartloader_image.points.columns import KNOWN
from cartloader_image.system.reading import open_file
from cartloader_image.system.texts import text_of
from cartloader_image.values import PixelSize, number

_ASTRAY = 0.05
"""Share by which pixels may be larger or smaller than the metadata say."""
_TRANSCRIPTS = {known.file: (known.x, known.y) for known in KNOWN if known.file}
"""Tables of transcripts, and their columns in µm."""
_POSITIONS = "*fov_positions_file.csv*"
_PLACES, _BYTES = 64, 4096
"""How many places of a table are looked at, evenly over it, and how much is read at each."""
_MARGIN = 0.1
"""Share of their own box by which transcripts may lie beyond those that were looked at."""


def doubts(source: Source, placement: Placement, params: RasterParams) -> Iterator[str]:
    """Sentences about what does not fit the place of a picture, where that is in µm."""
    if placement.crs != WEB_MERCATOR:
        return
    yield from _of_size(source, placement, params)
    yield from _of_stains(source, placement, params)
    yield from _of_field(placement, params)
    corners = [(x, y) for x in (0, source.plane.width) for y in (0, source.plane.height)]
    xs, ys = zip(*(placement.affine @ corner for corner in corners), strict=True)
    box = Extent(min(xs), min(ys), max(xs), max(ys))
    others = list(_data(params.in_img, params))
    if others and not any(box.meets(there) for _, there in others):
        name, there = others[0]
        yield f"it lies at {box} µm, away from all that is in {name} beside it ({there} µm); is its place right?"


def _of_size(source: Source, placement: Placement, params: RasterParams) -> Iterator[str]:
    """Pixels of another size than the metadata say, unless the size is what was asked for."""
    said = _said(source, params)
    if not said:
        return
    plane, (height, width) = source.plane, source.full_size
    shares = plane.width / width, plane.height / height
    found = [size * share for size, share in zip(placement.pixel_size, shares, strict=True)]
    if any(abs(size / own - 1) > _ASTRAY for size, own in zip(found, said, strict=True)):
        (x, y), whose = said, "the positions of its fields" if params.fov_positions else "its metadata"
        yield (
            f"its pixels are {found[0]:.6g} × {found[1]:.6g} µm where it is put, and {x:.6g} × {y:.6g} µm by {whose}; "
            "is it the right place?"
        )


def _said(source: Source, params: RasterParams) -> tuple[float, float] | None:
    """µm per pixel by the metadata, or by the positions of fields, which are turned into µm by what is asked for."""
    if not params.fov_positions:
        return None if isinstance(params.pixel_size, PixelSize) else source.pixel_size
    sizes = sizes_of_fields(text_of(params.fov_positions, "--fov-positions", params.budget))
    return (sizes[0], sizes[-1]) if sizes else None


def _of_stains(source: Source, placement: Placement, params: RasterParams) -> Iterator[str]:
    """A picture in colour that nothing brings into the frame of the Xenium run in whose folder it lies."""
    asked = params.names_a_source and not params.georef_detect
    moved = placement.bounds.ulx or placement.bounds.uly
    if source.plane.layout.colours != 3 or asked or moved or isinstance(params.pixel_size, Path):
        return
    with suppress(CartloaderError):
        if experiment_file(params.in_img):
            yield (
                "it is in colour and lies at 0,0 by its own pixel size, in the folder of a Xenium run "
                "(experiment.xenium); a stain made after the run has its place there by an alignment file, "
                "--xenium-alignment"
            )


def _of_field(placement: Placement, params: RasterParams) -> Iterator[str]:
    """A field of view by itself in the corner, where a table beside it says its place."""
    moved = placement.bounds.ulx or placement.bounds.uly
    if params.names_a_source or moved or not field_kind(params.in_img):
        return
    folder = params.in_img.absolute().parent
    tables = [table for there in (folder, *folder.parents[:2]) for table in sorted(there.glob(_POSITIONS))]
    if tables:
        yield f"it is one field of view, and lies at 0,0; {tables[0].name} says where, and goes to --fov-positions"


def _data(picture: Path, params: RasterParams) -> Iterator[tuple[str, Extent]]:
    """The names of the tables that belong to a picture by where they lie, and where what they speak of lies."""
    folder = picture.absolute().parent
    for path in chain(sorted(folder.glob("*.pixel.sorted.tsv.gz")), sorted(folder.glob("*.pixel.sorted.tsv"))):
        with suppress(CartloaderError):  # nobody asked for it
            found = bounds_from_pixel_tsv(path, params.budget)
            yield path.name, Extent(found.ulx, found.uly, found.lrx, found.lry)
    for path in (there / name for there in (folder, folder.parent) for name in _TRANSCRIPTS):
        with suppress(OSError, UnicodeDecodeError, ValueError, csv.Error):
            if path.is_file() and (box := _box_of(path)):
                yield path.name, box


def _box_of(table: Path) -> Extent | None:
    """About where the transcripts of a table lie, by those of some places in it; None where none are found."""
    names = _TRANSCRIPTS[table.name]
    points = list[tuple[float, float]]()
    with open_file(table) as file:
        header = next(csv.reader([file.readline(_BYTES).decode()]))
        columns = [header.index(name) for name in names]
        first, size = file.tell(), table.stat().st_size
        for place in range(_PLACES):
            file.seek(first + (size - first) * place // _PLACES)
            # What comes before the first line break, and after the last one, is a part of a row.
            lines = file.read(_BYTES).split(b"\n")[1 if place else 0 : -1]
            for row in csv.reader(line.decode() for line in lines):
                if len(row) == len(header):
                    x, y = (number(row[column]) for column in columns)
                    points += [(x, y)] if math.isfinite(x + y) else []
    if not points:
        return None
    xs, ys = zip(*points, strict=True)
    across, up = _MARGIN * (max(xs) - min(xs)), _MARGIN * (max(ys) - min(ys))
    return Extent(min(xs) - across, min(ys) - up, max(xs) + across, max(ys) + up)
