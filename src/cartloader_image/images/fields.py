"""Fields of view that make one picture: which files they are, and where each lies among them.

Whole pixels are kept as they are: a field lies at the pixel of the mosaic that is nearest to its position. What turns
the slide's axes into those of the pictures is the mosaic's affine alone.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine

from cartloader_image.action_params import RasterParams
from cartloader_image.budget import Cost
from cartloader_image.errors import InputError, UsageError, shortened
from cartloader_image.images.stack import FIELD, fields_of
from cartloader_image.system.texts import beginning_of, text_of
from cartloader_image.values import PixelSize, number
from cartloader_image.window import Window

_PIXELS, _MM = ("x_global_px", "y_global_px"), (("x_global_mm", "y_global_mm"), ("x_mm", "y_mm"))
_TX = ("fov", "x_local_px", "y_local_px", "x_global_px", "y_global_px")
_APART = 5
"""Pixels that transcripts of a field lie apart at least if they are to tell how its axes run."""
_SLOPE, _OFF = 0.01, 2.0
"""How far a local pixel may be from a global one, as its share, and a field from where another one has it, in pixels:
local positions are rounded to whole pixels."""
_FEW = 10

Point = tuple[float, float]


@dataclass(frozen=True)
class Mosaic:
    """Fields of view as parts of one picture, the later ones above."""

    fields: tuple[tuple[Path, Window], ...]
    """The picture of each, and its pixels in the mosaic."""
    height: int
    width: int
    slide: Affine
    """Pixel corner ``(column, row)`` of the mosaic → pixels of the slide (``x_global_px``, ``y_global_px``)."""
    notes: tuple[str, ...]


def pictures_of_fields(image: Path) -> tuple[dict[int, Path], int]:
    """The picture of each field by its number, and the number of the image itself.

    Raises:
        InputError: two pictures are of one field.
        UsageError: the image's name has no number.
    """
    if not (own := FIELD.search(image.name)):
        raise UsageError(
            f"{image}: --fov-positions takes the picture of a field, which has its number at the end of its name, "
            "such as CellComposite_F001.jpg"
        )
    fields = fields_of(image)
    for fov, paths in fields.items():
        if len(paths) > 1:
            raise InputError(
                f"{paths[1]}: is a picture of field {fov}, as {paths[0].name} is; keep those of one run in a folder"
            )
    return {fov: paths[0] for fov, paths in fields.items()} | {int(own[1]): image}, int(own[1])


def mosaic_of(pictures: Mapping[int, Path], size: tuple[int, int], own: int, params: RasterParams) -> Mosaic:
    """Where each field lies, if all have ``size`` (rows, columns).

    Raises:
        InputError: a table cannot be read, contradicts itself or another one, or the mosaic is too large.
        UsageError: it does not tell enough.
    """
    table = params.fov_positions
    assert table is not None, "there are positions"
    positions = read_positions(table, params)
    if own not in positions:
        raise InputError(f"{params.in_img}: {table.name} has no position of field {own}; give the table of this run")
    axes, offset = _frame(positions, size, params)
    there = [fov for fov in positions if fov in pictures]
    steps = np.array([positions[fov] for fov in there]) + offset
    steps *= axes  # the slide's pixels, counted as columns and rows are
    first = steps.min(axis=0)
    corners = np.rint(steps - first).astype(int)
    height, width = corners[:, 1].max() + size[0], corners[:, 0].max() + size[1]
    params.budget.check(table, Cost.PIXELS, int(height) * int(width))
    fields = tuple(
        (pictures[fov], Window(int(row), int(row) + size[0], int(column), int(column) + size[1]))
        for fov, (column, row) in zip(there, corners, strict=True)
    )
    slide = Affine.scale(*map(float, axes)) @ Affine.translation(*map(float, first))
    return Mosaic(fields, int(height), int(width), slide, tuple(_left_out(positions, pictures, table)))


def _left_out(positions: Mapping[int, Point], pictures: Mapping[int, Path], table: Path) -> Iterable[str]:
    if lacking := [fov for fov in positions if fov not in pictures]:
        yield f"{_listed(lacking)} of {table.name} {'has' if len(lacking) == 1 else 'have'} no picture beside it"
    if unknown := [fov for fov in pictures if fov not in positions]:
        left = "is" if len(unknown) == 1 else "are"
        yield f"{_listed(unknown)} {left} left out, without a position in {table.name}"


def _listed(fovs: Sequence[int]) -> str:
    names = ", ".join(map(str, fovs[:_FEW]))
    more = f" and {len(fovs) - _FEW:,} more" if len(fovs) > _FEW else ""
    return f"field{'s' if len(fovs) > 1 else ''} {names}{more}"


def read_positions(table: Path, params: RasterParams) -> dict[int, Point]:
    """The positions of the fields by their numbers, in pixels of the slide, in the order of the table.

    Columns, in any case: ``fov``, and ``x_global_px`` and ``y_global_px``; or, in exports that lack these,
    ``x_global_mm`` and ``y_global_mm``, or ``X_mm`` and ``Y_mm``.

    Raises:
        InputError: it is no such table, or has a field twice.
        UsageError: it has mm alone, and no number says how many µm a pixel is.
    """
    rows = csv.reader(io.StringIO(text_of(table, "--fov-positions", params.budget)))
    columns = [name.strip().lower() for name in next(rows, [])]
    names = next((pair for pair in (_PIXELS, *_MM) if set(pair) < set(columns)), None)
    if "fov" not in columns or names is None:
        raise InputError(
            f"{table}: --fov-positions takes a table with the columns FOV, x_global_px and y_global_px, or with "
            f"x_global_mm and y_global_mm, or X_mm and Y_mm; found {shortened(', '.join(columns)) or 'nothing'}"
        )
    scale = 1.0
    if names in _MM:
        if not isinstance(params.pixel_size, PixelSize) or params.pixel_size.x != params.pixel_size.y:
            raise UsageError(
                f"{table}: has positions in mm alone; give the µm per pixel of the run as a number with --pixel-size"
            )
        scale = 1000 / params.pixel_size.x
    places = [columns.index(name) for name in ("fov", *names)]
    found = dict[int, Point]()
    for row in rows:
        if not any(map(str.strip, row)):
            continue
        try:
            fov, x, y = (number(row[place]) for place in places)
        except (IndexError, ValueError):
            fov = x = y = math.nan
        if not math.isfinite(x + y) or fov != fov // 1:
            raise InputError(f"{table}: line {rows.line_num} has no number and position of a field")
        if int(fov) in found:
            raise InputError(f"{table}: has field {int(fov)} twice; keep the lines of one slide")
        found[int(fov)] = (x * scale, y * scale)
    return found


def _frame(positions: Mapping[int, Point], size: tuple[int, int], params: RasterParams) -> tuple[Point, Point]:
    """Which way the slide's x and y run in the pictures (1 or -1), and from a position to a picture's first corner."""
    (height, width), asked = size, params.fov_axes
    axes = None
    if asked:
        across, upright = asked.split(",")
        axes = (1.0 if across == "right" else -1.0, -1.0 if upright == "up" else 1.0)
    if params.fov_transcripts:
        return _by_transcripts(params.fov_transcripts, positions, size, axes, params)
    assert axes is not None, "the options fit together"
    assert params.fov_corner is not None, "the options fit together"
    lower, right = params.fov_corner.startswith("lower"), params.fov_corner.endswith("right")
    return axes, (-axes[0] * width * right, -axes[1] * height * lower)


def _by_transcripts(
    file: Path, positions: Mapping[int, Point], size: tuple[int, int], axes: Point | None, params: RasterParams
) -> tuple[Point, Point]:
    """The same, as transcripts of some fields prove it: each lies in a picture (local) and on the slide (global)."""
    told = {fov: found for fov, found in _seen(file, params).items() if fov in positions}
    if not told:
        raise InputError(
            f"{file}: its first lines have no field of {params.fov_positions} with transcripts apart from each other; "
            "give those of this run, or both --fov-axes and --fov-corner"
        )
    found = dict[int, tuple[Point, Point]]()
    for fov, (local, reach) in told.items():
        if reach[0] > size[1] + 1 or reach[1] > size[0] + 1:
            raise InputError(
                f"{file}: transcripts of field {fov} reach {reach[0]:,.0f} × {reach[1]:,.0f} pixels, and its picture "
                f"has {size[1]:,} × {size[0]:,}; give the pictures at full size"
            )
        taken = axes or _upright(file, local)
        corners = zip(local @ (0, 0), local @ (size[1], size[0]), strict=True)
        # where the slide's x and y are when a picture is read from its first pixel
        first = [min(edges) if sign > 0 else max(edges) for edges, sign in zip(corners, taken, strict=True)]
        found[fov] = taken, (first[0] - positions[fov][0], first[1] - positions[fov][1])
    one, *others = found
    for other in others:
        if found[other][0] != found[one][0] or math.dist(found[other][1], found[one][1]) > _OFF:
            raise InputError(
                f"{file}: does not have fields {one} and {other} where {params.fov_positions} has them; give the "
                "tables of one run"
            )
    return found[one]


def _upright(file: Path, local: Affine) -> Point:
    """Which way the slide's axes run in a picture, by how they run in its local pixels.

    No instrument sees a slide mirrored. So where these are, as in the first public runs, either their rows are counted
    from below, or the slide's y is: the table does not tell.
    """
    if local.a * local.e > 0:
        across, along, back = ("right", "up", "down") if local.a > 0 else ("left", "down", "up")
        raise UsageError(
            f"{file}: does not tell whether its y_local_px counts rows from above, or from below as in the first "
            f"public runs; give --fov-axes {across},{back} if from above, or {across},{along} if from below"
        )
    return local.a, local.e


def _seen(file: Path, params: RasterParams) -> dict[int, tuple[Affine, Point]]:
    """Local → global pixels of the fields in the first lines of a table of transcripts, and how far these reach."""
    rows = csv.reader(io.StringIO(beginning_of(file, "--fov-transcripts", params.budget)))
    columns = [name.strip().lower() for name in next(rows, [])]
    if lacking := [name for name in _TX if name not in columns]:
        raise InputError(f"{file}: --fov-transcripts takes a table with {', '.join(_TX)}; it has no {lacking[0]}")
    places = [columns.index(name) for name in _TX]
    try:
        table = np.array([[number(row[place]) for place in places] for row in rows if row])
    except (IndexError, ValueError):
        raise InputError(f"{file}: line {rows.line_num} lacks a number of {', '.join(_TX)}") from None
    found = dict[int, tuple[Affine, Point]]()
    for fov in np.unique(table[:, 0]) if len(table) else ():
        local, there = np.split(table[table[:, 0] == fov, 1:], 2, axis=1)
        if (np.ptp(local, axis=0) <= _APART).any():
            continue
        middle = local.mean(axis=0)
        slopes = ((local - middle) * there).sum(axis=0) / ((local - middle) ** 2).sum(axis=0)
        signs = np.sign(slopes)
        if (abs(abs(slopes) - 1) > _SLOPE + 1 / np.ptp(local, axis=0)).any():
            raise InputError(
                f"{file}: x_global_px and y_global_px of field {fov:.0f} are not its x_local_px and y_local_px moved, "
                f"but stretched by {slopes[0]:.4g} and {slopes[1]:.4g}; give both --fov-axes and --fov-corner"
            )
        shift = (there - signs * local).mean(axis=0)
        affine = Affine(float(signs[0]), 0, float(shift[0]), 0, float(signs[1]), float(shift[1]))
        found[int(fov)] = affine, (float(local[:, 0].max()), float(local[:, 1].max()))
    return found
