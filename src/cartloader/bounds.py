"""Where an image lies: one function per source of bounds, and the affine from stored pixels to the map.

Map units are those of the spatial reference; under the usual convention 1 unit of EPSG:3857 is 1 µm.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from affine import Affine

from cartloader.errors import BoundsError, InputError, MetadataError, UsageError
from cartloader.images.source import Source
from cartloader.orientation import Orientation
from cartloader.params import GeoreferenceParams, OrientationOptions, PlacementOptions
from cartloader.values import numbers

ASPECT_TOLERANCE = 0.02
"""Pixels that are less far from square than this are square."""


@dataclass(frozen=True)
class Bounds:
    """Map coordinates of the outer corner of the first pixel and the outer corner of the last.

    Either axis may run either way: ``uly < lry`` where y grows with the row, as in the usual µm frame.
    """

    ulx: float
    uly: float
    lrx: float
    lry: float

    def __str__(self) -> str:
        return ",".join(f"{value:.12g}" for value in (self.ulx, self.uly, self.lrx, self.lry))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Four numbers separated by commas, tabs or blanks.

        Raises:
            ValueError: something else.
        """
        return cls(*numbers(text, "ulx,uly,lrx,lry"))

    @property
    def width(self) -> float:
        """Extent in x, always positive."""
        return abs(self.lrx - self.ulx)

    @property
    def height(self) -> float:
        """Extent in y, always positive."""
        return abs(self.lry - self.uly)

    def moved(self, x: float, y: float) -> Bounds:
        """Both corners moved: the size stays."""
        return Bounds(self.ulx + x, self.uly + y, self.lrx + x, self.lry + y)

    def turned(self) -> Bounds:
        """Width and height swapped; the corner with the smallest x and y and the directions of the axes stay."""
        left, low = min(self.ulx, self.lrx), min(self.uly, self.lry)
        x, y = (left, left + self.height), (low, low + self.width)
        x, y = x if self.ulx < self.lrx else x[::-1], y if self.uly < self.lry else y[::-1]
        return Bounds(x[0], y[0], x[1], y[1])

    def affine(self, height: int, width: int) -> Affine:
        """Pixel corner ``(column, row)`` of a picture of that size → map."""
        return Affine(
            (self.lrx - self.ulx) / width, 0, self.ulx, 0, (self.lry - self.uly) / height, self.uly
        )  # fmt: skip


@dataclass(frozen=True)
class Placement:
    """Stored pixel corner ``(column, row)`` → map, orientation included, in a spatial reference."""

    affine: Affine
    crs: str
    """``EPSG:…`` or WKT."""
    bounds: Bounds
    """Bounds of the image as stored, before orientation (of its bounding box, where it lies askew)."""
    orientation: Orientation
    notes: tuple[str, ...] = ()
    """What is odd about it, in sentences that name no path."""

    @property
    def pixel_size(self) -> tuple[float, float]:
        """Map units per stored pixel along its row and its column."""
        a, b, d, e = self.affine.a, self.affine.b, self.affine.d, self.affine.e
        return math.hypot(a, d), math.hypot(b, e)


def place(source: Source, params: GeoreferenceParams) -> Placement:
    """Put the image where the options or its own metadata say, laid down as the orientation says.

    Explicit bounds (``--georef-bounds``, ``-tsv``, ``--georef-pixel-tsv``) are those of the finished picture; all
    others are those of the picture as stored, so that a quarter turn swaps width and height (SPEC: orientation).

    Raises:
        BoundsError: no bounds, or bounds without area.
        UsageError: explicit bounds fit the picture only before its quarter turn.
    """
    height, width = source.plane.height, source.plane.width
    explicit = _explicit(params)
    if explicit is None and params.micron2pixel_csv is None and not params.pixel_size:
        georeference = source.georeference
        if georeference is not None and source.pixel_size is None:
            return _georeferenced(source, georeference, params)
    bounds = explicit or _from_metadata(source, params)
    bounds = bounds.moved(params.georef_offset_x, params.georef_offset_y)
    if not (bounds.width > 0 and bounds.height > 0):
        raise BoundsError(f"{params.in_img}: the bounds {bounds} have no area; ulx and lrx, uly and lry must differ")
    orientation = _in_image_frame(params, bounds.lrx < bounds.ulx, bounds.lry > bounds.uly)
    finished = bounds
    if orientation.transpose:
        finished, bounds = (bounds, bounds.turned()) if explicit else (bounds.turned(), bounds)
    if explicit and orientation.transpose:
        _check_turned_bounds(params, explicit, height, width)
    laid_height, laid_width = orientation.size(height, width)
    affine = finished.affine(laid_height, laid_width) @ orientation.affine(height, width)
    return _with_notes(Placement(affine, params.srs, bounds, orientation))


def _check_turned_bounds(params: GeoreferenceParams, explicit: Bounds, height: int, width: int) -> None:
    """Refuse bounds that somebody measured on the picture before its quarter turn."""
    stored, turned = (_oblong(explicit, *size) for size in ((height, width), (width, height)))
    if stored <= ASPECT_TOLERANCE < turned:
        raise UsageError(
            f"{params.in_img}: the bounds {explicit} fit the picture before its quarter turn; bounds are those of the "
            f"finished picture: give {explicit.turned()}"
        )


def _oblong(bounds: Bounds, height: int, width: int) -> float:
    """How far pixels are from square: 0 for square ones."""
    x, y = bounds.width / width, bounds.height / height
    return max(x, y) / min(x, y) - 1


def _with_notes(placement: Placement) -> Placement:
    x, y = placement.pixel_size
    if max(x, y) / min(x, y) - 1 <= ASPECT_TOLERANCE:
        return placement
    return replace(placement, notes=(f"its pixels are {x:.6g} × {y:.6g} map units, not square; are the bounds right?",))


def _in_image_frame(options: OrientationOptions, mirrored_x: bool, south_up: bool) -> Orientation:
    """The orientation of the stored array; in the map's frame it is seen through the directions of the axes."""
    orientation = Orientation.of(
        options.rotate or 0, flip_vertical=options.flip_vertical, flip_horizontal=options.flip_horizontal
    )
    if options.orient_frame == "image":
        return orientation
    return orientation.seen_through(Orientation(mirror_columns=mirrored_x, mirror_rows=south_up))


def _georeferenced(source: Source, georeference: tuple[Affine, str | None], params: GeoreferenceParams) -> Placement:
    """A picture that carries its own georeference, as stored; only an unturned one may lie askew."""
    affine, crs = georeference
    height, width = source.plane.height, source.plane.width
    full_height, full_width = source.full_size
    affine = Affine.translation(params.georef_offset_x, params.georef_offset_y) @ affine
    if affine.is_degenerate:
        raise BoundsError(f"{params.in_img}: its own georeference gives the image no area; use --georef-bounds")
    corners = [affine @ corner for corner in ((0, 0), (full_width, 0), (0, full_height), (full_width, full_height))]
    if affine.b or affine.d:
        orientation = _in_image_frame(params, mirrored_x=False, south_up=False)
        if orientation.transpose:
            raise UsageError(f"{params.in_img}: lies askew on the map, so that it cannot be turned; leave --rotate out")
        xs, ys = zip(*corners, strict=True)
        bounds = finished = Bounds(min(xs), max(ys), max(xs), min(ys))
        scaled = affine @ Affine.scale(full_width / width, full_height / height)
        placed = scaled @ orientation.affine(height, width)
    else:
        bounds = Bounds(*corners[0], *corners[3])
        orientation = _in_image_frame(params, bounds.lrx < bounds.ulx, bounds.lry > bounds.uly)
        finished = bounds.turned() if orientation.transpose else bounds
        placed = finished.affine(*orientation.size(height, width)) @ orientation.affine(height, width)
    placement = Placement(placed, crs or params.srs, bounds, orientation)
    return _with_notes(placement) if crs is None or params.srs == "EPSG:3857" else placement


def _explicit(params: PlacementOptions) -> Bounds | None:
    if params.georef_bounds:
        return Bounds.parse(params.georef_bounds)
    if params.georef_bounds_tsv:
        return bounds_from_tsv(params.georef_bounds_tsv)
    if params.georef_pixel_tsv:
        return bounds_from_pixel_tsv(params.georef_pixel_tsv)
    return None


def _from_metadata(source: Source, params: GeoreferenceParams) -> Bounds:
    """Bounds of the picture as stored, in µm, from its full size."""
    height, width = source.full_size
    if params.micron2pixel_csv:
        return bounds_from_vizgen(params.micron2pixel_csv, height, width)
    x, y = _pixel_size(source, params)
    corner = (0.0, 0.0)
    if params.stage_position:
        if source.stage_position is None:
            raise MetadataError(f"{params.in_img}: has no stage position for this plane; leave --stage-position out")
        corner = source.stage_position
    return Bounds(corner[0], corner[1], corner[0] + width * x, corner[1] + height * y)


def _pixel_size(source: Source, params: GeoreferenceParams) -> tuple[float, float]:
    if params.pixel_size:
        sizes = [float(part) for part in params.pixel_size.split(",")]
        return sizes[0], sizes[-1]
    if source.pixel_size:
        return source.pixel_size
    if params.georef_detect and source.detectable:
        return source.detectable[0]
    hint = ""
    if source.detectable:
        (x, y), where = source.detectable
        hint = f"; its {where} would be {x:.6g} × {y:.6g} µm, which --georef-detect takes"
    if source.pixel_size_problem:
        raise MetadataError(
            f"{params.in_img}: {source.pixel_size_problem}; give the pixel size in µm with --pixel-size{hint}"
        )
    raise BoundsError(
        f"{params.in_img}: does not say where it lies; give --georef-bounds ulx,uly,lrx,lry or another --georef-* "
        f"source, or the pixel size in µm with --pixel-size{hint}"
    )


def bounds_from_tsv(path: Path) -> Bounds:
    """The bounds in a file of one line, by tab or comma.

    Raises:
        InputError: it cannot be read or holds something else.
    """
    lines = [line for line in _text(path, "--georef-bounds-tsv").splitlines() if line.strip()]
    if len(lines) != 1:
        raise InputError(f"{path}: --georef-bounds-tsv takes one line of ulx,uly,lrx,lry, found {len(lines)} lines")
    try:
        return Bounds.parse(lines[0])
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def bounds_from_pixel_tsv(path: Path) -> Bounds:
    """The bounds of a FICTURE pixel TSV: from its offset to offset + size + 1, in µm.

    The header's comment lines hold ``KEY=value`` pairs separated by ``;``, such as
    ``##OFFSET_X=100;OFFSET_Y=200;SIZE_X=50;SIZE_Y=60;SCALE=100``.

    Raises:
        InputError: it cannot be read or lacks one of the four.
    """
    header = _text(path, "--georef-pixel-tsv", lines_starting_with="#")
    pairs = dict(re.findall(r"([A-Za-z_]+)\s*=\s*([^;\s]+)", header))
    values = []
    for key in ("OFFSET_X", "OFFSET_Y", "SIZE_X", "SIZE_Y"):
        try:
            values.append(float(pairs[key]))
        except KeyError:
            raise InputError(f"{path}: its header comments have no {key}; is it a FICTURE pixel TSV?") from None
        except ValueError:
            raise InputError(f"{path}: {key} is {pairs[key]!r} in its header, which is no number") from None
    x, y, width, height = values
    if not all(map(math.isfinite, values)) or min(width, height) < 0:
        raise InputError(f"{path}: its header says a size of {width:g} × {height:g} at {x:g},{y:g}, which is no area")
    return Bounds(x, y, x + width + 1, y + height + 1)


def bounds_from_vizgen(path: Path, height: int, width: int) -> Bounds:
    """The µm bounds of a mosaic from Vizgen's 3×3 matrix µm → pixel: pixel = a·µm + b on each axis.

    Raises:
        InputError: no 3×3 matrix of numbers, or one that shears or is singular.
    """
    rows = [re.findall(r"[^,\s]+", line) for line in _text(path, "--micron2pixel-csv").splitlines()]
    rows = [row for row in rows if row]
    if [len(row) for row in rows] != [3, 3, 3]:
        found = f"{len(rows)} rows of {', '.join(str(len(row)) for row in rows)} values" if rows else "nothing"
        raise InputError(f"{path}: --micron2pixel-csv takes a 3×3 matrix of numbers, found {_cut(found)}")
    try:
        matrix = np.array([[float(value) for value in row] for row in rows])
    except ValueError as error:
        raise InputError(f"{path}: --micron2pixel-csv takes a 3×3 matrix of numbers ({_cut(str(error))})") from None
    if not np.isfinite(matrix).all():
        raise InputError(f"{path}: --micron2pixel-csv takes a 3×3 matrix of finite numbers, found {matrix.tolist()}")
    (a, shear_x, b), (shear_y, d, e), last = matrix.tolist()
    if shear_x or shear_y or last != [0, 0, 1]:
        raise InputError(f"{path}: the matrix turns or shears the image, of which only scale and shift are supported")
    if not a or not d:
        raise InputError(f"{path}: the matrix has a scale of 0, so that pixels have no size in µm")
    return Bounds((0 - b) / a, (0 - e) / d, (width - b) / a, (height - e) / d)


def _cut(text: str) -> str:
    """The start of a text that may be as long as a file."""
    return text if len(text) <= 80 else f"{text[:80]}…"


def _text(path: Path, name: str, lines_starting_with: str = "") -> str:
    """The text of a small file, plain or gzip; or just its first lines, as far as they start with the given text."""
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
        # utf-8-sig: a spreadsheet puts a byte order mark first
        with gzip.open(path, "rt", encoding="utf-8-sig") if zipped else path.open(encoding="utf-8-sig") as file:
            if not lines_starting_with:
                return file.read(1 << 20)
            head = []
            for line in file:
                if not line.startswith(lines_starting_with):
                    break
                head.append(line)
            return "".join(head)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check {name}") from None
    except (UnicodeDecodeError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: is no text file ({error}); check {name}") from None
