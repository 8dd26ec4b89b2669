"""Where an image lies: the affine from stored pixels to the map, by the options or by the image's own word."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from pathlib import Path

from affine import Affine

from cartloader_image.action_params import RasterParams
from cartloader_image.crs import WEB_MERCATOR, crs_name, is_in_degrees, map_frame
from cartloader_image.errors import BoundsError, MetadataError, UsageError
from cartloader_image.images.beside import aux_file, world_files
from cartloader_image.images.source import Source
from cartloader_image.options import option
from cartloader_image.params import OrientationOptions
from cartloader_image.placing.bounds import bounds_from_pixel_tsv, bounds_from_tsv, bounds_from_vizgen
from cartloader_image.placing.matrices import Matrix, matrix_of
from cartloader_image.placing.orientation import Orientation
from cartloader_image.placing.receipt import NOTHING, Receipt, receipt_of
from cartloader_image.placing.scale import asked_pixel_size
from cartloader_image.system.reading import read_file
from cartloader_image.values import Bounds, number

ASPECT_TOLERANCE = 0.02
"""Pixels that are less far from square than this are square."""
_DISTINCT = 2**-50
"""Share of a coordinate below which two pixels have the same one."""
_LEAST = 1e-300
_HALF_TURN = 180
"""Degrees."""
_WORLD_FILE = 4096
"""Bytes of a world file at most: six numbers are far shorter."""
_INSTEAD = "mend it, or give --georef-bounds, or the pixel size in µm with --pixel-size"


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
    receipt: Receipt = NOTHING
    """By what it was placed."""

    @property
    def pixel_size(self) -> tuple[float, float]:
        """Map units per stored pixel along its row and its column."""
        a, b, d, e = self.affine.a, self.affine.b, self.affine.d, self.affine.e
        return math.hypot(a, d), math.hypot(b, e)


def place(source: Source, params: RasterParams) -> Placement:
    """Put the image where the options or its own metadata say, laid down as the orientation says.

    A matrix says all of it, so that no orientation goes with one.

    Explicit bounds (``--georef-bounds``, ``-tsv``, ``--georef-pixel-tsv``) are those of the finished picture; all
    others are those of the picture as stored, so that a quarter turn swaps width and height.

    Raises:
        BoundsError: no bounds, bounds without area, or a spatial reference in which no picture can lie.
        InputError: a file that says it cannot be read, or is none.
        MetadataError: the image does not say what an option asks of it.
        UsageError: explicit bounds fit the picture only before its quarter turn, or orientation meets a matrix.
    """
    matrix = matrix_of(source, params)
    placement = _boxed(source, params) if matrix is None else _by_matrix(source, matrix, params)
    return replace(placement, receipt=receipt_of(source, params, matrix))


def _boxed(source: Source, params: RasterParams) -> Placement:
    """A picture that lies in bounds, or by its own georeference."""
    height, width = source.plane.height, source.plane.width
    explicit = _explicit(params)
    if explicit is None and params.micron2pixel_csv is None and not params.pixel_size:
        georeference = source.georeference
        if georeference is not None and source.pixel_size is None:
            return _georeferenced(source, georeference, params)
    crs, unit, note = map_frame(params.srs, f"--srs {params.srs}:")
    if explicit is None and is_in_degrees(crs):
        raise UsageError(
            f"--srs {params.srs}: is in degrees, and the place of {params.in_img} would come from its size in µm; "
            "leave --srs out, or give --georef-bounds in degrees"
        )
    # The numbers of a person are in the units of --srs; those of metadata are µm, whatever they are placed in.
    bounds = explicit.scaled(unit) if explicit and not params.georef_pixel_tsv else explicit
    bounds = (bounds or _from_metadata(source, params)).moved(params.georef_offset_x, params.georef_offset_y)
    _check_area(params, bounds, source)
    _check_wrap(params, bounds, crs)
    orientation = _in_image_frame(params, bounds.lrx < bounds.ulx, bounds.lry > bounds.uly)
    finished = bounds
    if orientation.transpose:
        finished, bounds = (bounds, bounds.turned()) if explicit else (bounds.turned(), bounds)
    if explicit and orientation.transpose:
        _check_turned_bounds(params, explicit, height, width)
    laid_height, laid_width = orientation.size(height, width)
    affine = finished.affine(laid_height, laid_width) @ orientation.affine(height, width)
    return _with_notes(Placement(affine, crs, bounds, orientation, (note,) if note and explicit else ()))


def _check_area(params: RasterParams, bounds: Bounds, source: Source) -> None:
    """Refuse bounds between which there is nothing, or whose numbers are beyond all measure."""
    pixel = bounds.width / source.full_size[1], bounds.height / source.full_size[0]
    edges = [abs(edge) for edge in (bounds.ulx, bounds.uly, bounds.lrx, bounds.lry)]
    if not all(map(math.isfinite, (*pixel, *edges))):
        raise BoundsError(f"{params.in_img}: the bounds {bounds} are beyond all measure; check where they come from")
    if min(pixel) <= max(_LEAST, max(edges) * _DISTINCT):
        raise BoundsError(f"{params.in_img}: the bounds {bounds} have no area; ulx and lrx, uly and lry must differ")


def _check_wrap(params: RasterParams, bounds: Bounds, crs: str) -> None:
    """Refuse longitudes that go eastwards over the antimeridian: read as a mirrored picture, they span the globe."""
    if bounds.ulx - bounds.lrx > _HALF_TURN and is_in_degrees(crs):
        raise BoundsError(
            f"{params.in_img}: longitudes from {bounds.ulx:g} to {bounds.lrx:g} cross the antimeridian, where the map "
            "ends; cut the picture in two there, or check the bounds"
        )


def _check_turned_bounds(params: RasterParams, explicit: Bounds, height: int, width: int) -> None:
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


def _with_notes(placement: Placement, right: str = "are the bounds right") -> Placement:
    x, y = placement.pixel_size
    if max(x, y) / min(x, y) - 1 <= ASPECT_TOLERANCE:
        return placement
    return replace(
        placement,
        notes=(
            *placement.notes,
            f"its pixels are {x:.6g} × {y:.6g} map units, not square; {right}?",
        ),
    )


def _in_image_frame(options: OrientationOptions, mirrored_x: bool, south_up: bool) -> Orientation:
    """The orientation of the stored array; in the map's frame it is seen through the directions of the axes."""
    orientation = Orientation.of(
        options.rotate or 0, flip_vertical=options.flip_vertical, flip_horizontal=options.flip_horizontal
    )
    if options.orient_frame == "image":
        return orientation
    return orientation.seen_through(Orientation(mirror_columns=mirrored_x, mirror_rows=south_up))


def _georeferenced(source: Source, georeference: tuple[Affine, str | None], params: RasterParams) -> Placement:
    """A picture that carries its own georeference, as stored; only an unturned one may lie askew."""
    affine, crs = georeference
    height, width = source.plane.height, source.plane.width
    full_height, full_width = source.full_size
    if params.stage_position:
        raise _no_stage_position(source, params)
    _check_own(params, affine, source.full_size)
    whose = f"{params.in_img}: its spatial reference" if crs else f"--srs {params.srs}:"
    frame, unit, note = map_frame(crs or params.srs, whose)
    affine = Affine.translation(params.georef_offset_x, params.georef_offset_y) @ Affine.scale(unit) @ affine
    bounds = _box(affine, source.full_size)
    if affine.b or affine.d:
        orientation = _in_image_frame(params, mirrored_x=False, south_up=False)
        if orientation.transpose:
            raise UsageError(f"{params.in_img}: lies askew on the map, so that it cannot be turned; leave --rotate out")
        scaled = affine @ Affine.scale(full_width / width, full_height / height)
        placed = scaled @ orientation.affine(height, width)
    else:
        orientation = _in_image_frame(params, bounds.lrx < bounds.ulx, bounds.lry > bounds.uly)
        finished = bounds.turned() if orientation.transpose else bounds
        placed = finished.affine(*orientation.size(height, width)) @ orientation.affine(height, width)
    _check_area(params, bounds, source)
    _check_wrap(params, bounds, frame)
    notes = [note] if note else []
    if crs and params.srs != WEB_MERCATOR and crs_name(params.srs) != crs_name(crs):
        notes.append(f"--srs {params.srs} does nothing: the file has a spatial reference of its own")
    placement = Placement(placed, frame, bounds, orientation, tuple(notes))
    return _with_notes(placement) if crs is None or params.srs == WEB_MERCATOR else placement


def _by_matrix(source: Source, matrix: Matrix, params: RasterParams) -> Placement:
    """A picture under a matrix, which is that of the picture as stored and at full size."""
    given = [name for name in ("rotate", "flip_vertical", "flip_horizontal") if getattr(params, name)]
    if given:
        raise UsageError(
            f"{option(given[0])}: the matrix in {matrix.files[0]} lays down the picture as it is stored, turned and "
            "flipped as it says; leave the option out"
        )
    frame, _, _ = map_frame(params.srs, f"--srs {params.srs}:")
    if is_in_degrees(frame):
        raise UsageError(f"--srs {params.srs}: is in degrees, and a matrix leads to µm; leave --srs out")
    affine = Affine.translation(params.georef_offset_x, params.georef_offset_y) @ matrix.affine
    (height, width), (full_height, full_width) = (source.plane.height, source.plane.width), source.full_size
    bounds = _box(affine, source.full_size)
    _check_area(params, bounds, source)
    scaled = affine @ Affine.scale(full_width / width, full_height / height)
    return _with_notes(Placement(scaled, frame, bounds, Orientation(), matrix.notes), "is the matrix right")


def _box(affine: Affine, size: tuple[int, int]) -> Bounds:
    """From a picture's first corner to its last; where it lies askew, those of the box around it, its axes that way."""
    height, width = size
    corners = [affine @ corner for corner in ((0, 0), (width, height), (width, 0), (0, height))]
    if not (affine.b or affine.d):
        return Bounds(*corners[0], *corners[1])
    (left, *_, right), (low, *_, high) = (sorted(axis) for axis in zip(*corners, strict=True))
    x, y = (left, right) if affine.a >= 0 else (right, left), (low, high) if affine.e > 0 else (high, low)
    return Bounds(x[0], y[0], x[1], y[1])


def _check_own(params: RasterParams, affine: Affine, size: tuple[int, int]) -> None:
    """Refuse a georeference of the image's own that gives it no place."""
    check_world_files(params.in_img)
    (height, width), whose = size, _georeference_files(params.in_img)
    corners = [affine @ corner for corner in ((0, 0), (width, 0), (0, height), (width, height))]
    if not all(math.isfinite(value) for value in (*affine[:6], *itertools.chain(*corners))):
        raise BoundsError(f"{params.in_img}: {whose} has numbers beyond all measure; {_INSTEAD}")
    if affine.is_degenerate or not (math.hypot(affine.a, affine.d) and math.hypot(affine.b, affine.e)):
        raise BoundsError(f"{params.in_img}: {whose} gives the image no area; {_INSTEAD}")


def check_world_files(path: Path) -> None:
    """Refuse a world file that is not six numbers: of those that are none, GDAL would make a 0.

    Raises:
        BoundsError: one is not.
    """
    for world in world_files(path):
        data = read_file(world, _WORLD_FILE + 1)
        lines = data.split() if len(data) <= _WORLD_FILE else []
        try:  # a byte that is no text is no number either
            values = [number(line.decode("latin-1").replace(",", ".")) for line in lines]
        except ValueError:
            values = []
        if len(values) != 6 or not all(map(math.isfinite, values)) or values[0] * values[3] == values[1] * values[2]:
            raise BoundsError(
                f"{world}: is no world file of six finite numbers that give the image an area; {_INSTEAD}"
            )


def _georeference_files(path: Path) -> str:
    """What says where an image lies: the image itself, or the files beside it."""
    beside = [file.name for file in (*world_files(path), aux_file(path)) if file]
    return f"its georeference ({', '.join(beside)})" if beside else "its own georeference"


def _explicit(params: RasterParams) -> Bounds | None:
    if params.georef_bounds:
        return params.georef_bounds
    if params.georef_bounds_tsv:
        return bounds_from_tsv(params.georef_bounds_tsv, params.budget)
    if params.georef_pixel_tsv:
        return bounds_from_pixel_tsv(params.georef_pixel_tsv, params.budget)
    return None


def _from_metadata(source: Source, params: RasterParams) -> Bounds:
    """Bounds of the picture as stored, in µm, from its full size."""
    height, width = source.full_size
    if params.micron2pixel_csv:
        return bounds_from_vizgen(params.micron2pixel_csv, height, width, params.budget)
    x, y = _pixel_size(source, params)
    corner = (0.0, 0.0)
    if params.stage_position:
        if source.stage_position:
            corner = source.stage_position
        elif source.cut_at:
            corner = source.cut_at[0] * x, source.cut_at[1] * y
        else:
            raise _no_stage_position(source, params)
    return Bounds(corner[0], corner[1], corner[0] + width * x, corner[1] + height * y)


def _no_stage_position(source: Source, params: RasterParams) -> MetadataError:
    problem = source.stage_position_problem or "has no stage position for this plane"
    return MetadataError(
        f"{params.in_img}: {problem}; leave --stage-position out, and move the image with --georef-offset-x and "
        "--georef-offset-y in µm"
    )


def _pixel_size(source: Source, params: RasterParams) -> tuple[float, float]:
    if asked := asked_pixel_size(source, params):
        return asked
    if source.pixel_size:
        return source.pixel_size
    if params.georef_detect and source.detectable:
        return source.detectable[0]
    check_world_files(params.in_img)
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
