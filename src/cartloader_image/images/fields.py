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
from typing import NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from cartloader_image.action_params import RasterParams
from cartloader_image.budget import Cost
from cartloader_image.errors import InputError, UsageError, shortened
from cartloader_image.images.stack import FIELD, fields_of
from cartloader_image.system.texts import pieces_of, text_of
from cartloader_image.values import PixelSize, number
from cartloader_image.window import Window

_PIXELS, _MM = ("x_global_px", "y_global_px"), (("x_global_mm", "y_global_mm"), ("x_mm", "y_mm"))
_TX = ("fov", "x_local_px", "y_local_px", "x_global_px", "y_global_px")
_APART = 5
"""Pixels that transcripts of a field lie apart at least if they are to tell how its axes run."""
_SLOPE, _OFF = 0.01, 2.0
"""How far a local pixel may be from a global one, as its share, and a field from where another one has it, in pixels:
local positions are rounded to whole pixels."""
_BEYOND = 1.1
"""How far transcripts may reach, in a picture's own size: a bit beyond its edge; in smaller copies they reach far."""
_AWAY = 1.5
"""How far positions may be from the corners of fields that transcripts have there, in a picture's own size: some
exports have them 80 pixels off."""
_SHARED = 0.25
"""Share of two fields that overlap, above which something is probably wrong."""
_FAR = 1e12
"""Pixels beyond which a position is none."""
_FEW = 10

Point = tuple[float, float]
Points = NDArray[np.float64]
"""``(n, 2)``: x and y."""


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
    there = {fov: place for fov, place in positions.items() if fov in pictures}
    frame = _frame(there, size, params)
    steps = (np.array(list(there.values())) * frame.along + frame.offset) * frame.axes  # as columns and rows count
    first = steps.min(axis=0)
    corners = np.rint(steps - first).astype(int).tolist()
    by_field = dict(zip(there, map(tuple, corners), strict=True))
    _check_apart(by_field, table)
    height, width = max(row for _, row in corners) + size[0], max(column for column, _ in corners) + size[1]
    params.budget.check(table, Cost.PIXELS, height * width)
    fields = tuple(
        (pictures[fov], Window(row, row + size[0], column, column + size[1]))
        for fov, (column, row) in zip(there, corners, strict=True)
    )
    notes = (*_left_out(positions, pictures, table), *frame.notes, *_crowded(by_field, size))
    slide = Affine.scale(*map(float, frame.axes)) @ Affine.translation(*map(float, first))
    return Mosaic(fields, height, width, slide, notes)


def _check_apart(corners: Mapping[int, Point], table: Path) -> None:
    """Refuse a field that another one covers wholly: one of the two is not where it was taken."""
    fields = dict[Point, int]()
    for fov, corner in corners.items():
        if (other := fields.setdefault(corner, fov)) != fov:
            raise InputError(
                f"{table}: has fields {other} and {fov} at one place; keep the line of the one that counts"
            )


def _crowded(corners: Mapping[int, Point], size: tuple[int, int]) -> Iterable[str]:
    """A note on the first two fields that share much: microscopes let neighbours share a rim at most."""
    cells = dict[Point, list[int]]()
    for fov, place in corners.items():
        column, row = place[0] // size[1], place[1] // size[0]
        for other in (one for x in (-1, 0, 1) for y in (-1, 0, 1) for one in cells.get((column + x, row + y), ())):
            across, up = (
                max(1 - abs(a - b) / length, 0) for a, b, length in zip(place, corners[other], size[::-1], strict=True)
            )
            if across * up > _SHARED:
                yield f"fields {other} and {fov} share {across * up:.0%}; are pictures and pixels of the right size?"
                return
        cells.setdefault((column, row), []).append(fov)


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
    if names is None or {columns.count(name) for name in ("fov", *names)} != {1}:
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
        if any(map(str.strip, row[len(columns) :])):
            raise InputError(f"{table}: line {rows.line_num} has more cells than there are names of columns; add those")
        try:
            fov, x, y = (number(row[place]) for place in places)
        except (IndexError, ValueError):
            fov = x = y = math.nan
        x, y = x * scale, y * scale
        if not abs(fov) + abs(x) + abs(y) < _FAR or fov != fov // 1:
            raise InputError(f"{table}: line {rows.line_num} has no number and position of a field")
        if int(fov) in found:
            raise InputError(f"{table}: has field {int(fov)} twice; keep the lines of one slide")
        found[int(fov)] = (x, y)
    return found


class _Frame(NamedTuple):
    """From a field's position to the pixel of the slide at which its picture begins."""

    axes: Point
    """1 where the slide's x (y) grows with the columns (rows) of a picture, else -1."""
    offset: Point
    """What is to be added to a position."""
    along: Point = (1.0, 1.0)
    """-1 where the positions' x (y) runs against that of the slide."""
    notes: tuple[str, ...] = ()


def _frame(positions: Mapping[int, Point], size: tuple[int, int], params: RasterParams) -> _Frame:
    axes = None
    if params.fov_axes:
        across, upright = params.fov_axes.split(",")
        axes = (1.0 if across == "right" else -1.0, -1.0 if upright == "up" else 1.0)
    if params.fov_transcripts:
        return _by_transcripts(params.fov_transcripts, positions, size, axes, params)
    assert axes is not None, "the options fit together"
    assert params.fov_corner is not None, "the options fit together"
    lower, right = params.fov_corner.startswith("lower"), params.fov_corner.endswith("right")
    return _Frame(axes, (-axes[0] * size[1] * right, -axes[1] * size[0] * lower))


def _by_transcripts(
    file: Path, positions: Mapping[int, Point], size: tuple[int, int], axes: Point | None, params: RasterParams
) -> _Frame:
    """The frame as transcripts prove it: each lies in a picture (local) and on the slide (global)."""
    table = params.fov_positions
    told = _seen(file, positions, params)
    if not all(_spread(told, positions)):
        raise InputError(
            f"{file}: what was looked through has transcripts of {len(told)} fields of {table}, too few to tell how "
            "these lie in x and in y; thin it out to some of each field, or give both --fov-axes and --fov-corner"
        )
    taken, first = dict[int, Point](), dict[int, Point]()
    for fov, (local, reach) in told.items():
        if reach[0] > size[1] * _BEYOND or reach[1] > size[0] * _BEYOND:
            raise InputError(
                f"{file}: transcripts of field {fov} reach {reach[0]:,.0f} × {reach[1]:,.0f} pixels, and its picture "
                f"has {size[1]:,} × {size[0]:,}; give the pictures at full size"
            )
        taken[fov] = axes or _upright(file, local)
        edges = zip(local @ (0, 0), local @ (size[1], size[0]), taken[fov], strict=True)
        x, y = (min(one, other) if sign > 0 else max(one, other) for one, other, sign in edges)
        first[fov] = x, y
    begin, named = np.array(list(first.values())), np.array([positions[fov] for fov in first])
    along = np.where(np.ptp(begin - named, axis=0) <= np.ptp(begin + named, axis=0), 1.0, -1.0)
    offsets = begin - along * named
    if len(set(taken.values())) > 1 or np.ptp(offsets, axis=0).max() > _OFF:
        raise InputError(f"{file}: does not have its fields where {table} has them; give the tables of one run")
    x, y = offsets.mean(axis=0)
    if (along > 0).all() and (abs(x) > size[1] * _AWAY or abs(y) > size[0] * _AWAY):
        raise InputError(
            f"{file}: has its fields {x:,.0f} and {y:,.0f} pixels away from where {table} has them; give the tables of "
            "one run, or place them by their positions alone with --fov-axes and --fov-corner"
        )
    against = [name for name, sign in zip("xy", along, strict=True) if sign < 0]
    notes = [f"{' and '.join(against)} of {table and table.name} run against {file.name}, which is taken to be right"]
    (local, _), *_ = told.values()
    if axes and (axes[0] != local.a or (local.a != local.e and axes[1] != local.e)):
        told_axes = _words(local.a, local.e)
        notes.append(f"--fov-axes {params.fov_axes} is not what {file.name} has ({told_axes}); is it right?")
    return _Frame(next(iter(taken.values())), (x, y), (along[0], along[1]), tuple(notes[not against :]))


def _spread(some: Iterable[int], positions: Mapping[int, Point]) -> list[bool]:
    """Whether some of the fields are apart in x and in y, as far as all of them are."""
    among, whole = (np.array([positions[fov] for fov in fovs] or [(np.nan, np.nan)]) for fovs in (some, positions))
    need = np.minimum(np.ptp(whole, axis=0), _APART)
    return [bool(axis) for axis in np.ptp(among, axis=0) >= need]


def _upright(file: Path, local: Affine) -> Point:
    """Which way the slide's axes run in a picture, by how they run in its local pixels.

    No instrument sees a slide mirrored. So where these are, as in the first public runs, either their rows are counted
    from below, or the slide's y is: the table does not tell.
    """
    if local.a * local.e > 0:
        raise UsageError(
            f"{file}: does not tell whether its y_local_px counts rows from above, or from below as in the first "
            f"public runs; give --fov-axes {_words(local.a, local.e)} if from above, or {_words(local.a, -local.e)} if "
            "from below"
        )
    return local.a, local.e


def _words(x: float, y: float) -> str:
    """The value of ``--fov-axes`` for which way x and y of the slide run with columns and rows."""
    return f"{'right' if x > 0 else 'left'},{'down' if y > 0 else 'up'}"


def _seen(file: Path, positions: Mapping[int, Point], params: RasterParams) -> dict[int, tuple[Affine, Point]]:
    """Local → global pixels of some fields by a table of transcripts, and how far these reach in each.

    The table is looked through until there are fields enough.
    """
    rows, found, places = dict[int, Points](), dict[int, Points](), list[int]()
    width = 0
    for piece in pieces_of(file, "--fov-transcripts", params.budget):
        lines = list(filter(None, csv.reader(io.StringIO(piece))))
        if not places:
            columns = [name.strip().lower() for name in lines.pop(0)] if lines else []
            if lacking := [name for name in _TX if name not in columns]:
                raise InputError(
                    f"{file}: --fov-transcripts takes a table with {', '.join(_TX)}; it has no {lacking[0]}"
                )
            places, width = [columns.index(name) for name in _TX], len(columns)
        if any(len(line) > width for line in lines):
            raise InputError(f"{file}: a line of it has more cells than there are names of columns; add those")
        try:
            table = np.array([[number(line[place]) for place in places] for line in lines]).reshape(-1, len(_TX))
        except (IndexError, ValueError):
            raise InputError(f"{file}: a line of it lacks a number of {', '.join(_TX)}") from None
        there = {*table[:, 0].tolist()}
        for fov in filter(there.__contains__, positions):
            rows[fov] = np.vstack([rows.get(fov, table[:0, 1:]), table[table[:, 0] == fov, 1:]])
            if (np.ptp(rows[fov][:, :2], axis=0) > _APART).all():
                found[fov] = rows[fov]
        if all(_spread(found, positions)):
            break
    return {fov: _fitted(file, fov, *np.split(some, 2, axis=1)) for fov, some in found.items()}


def _fitted(file: Path, fov: int, local: Points, there: Points) -> tuple[Affine, Point]:
    """Local → global pixels of one field, which may differ in sign and by a shift."""
    moved = local - local.mean(axis=0)
    slopes = (moved * there).sum(axis=0) / (moved**2).sum(axis=0)
    if (abs(abs(slopes) - 1) > _SLOPE + 1 / np.ptp(local, axis=0)).any():
        raise InputError(
            f"{file}: x_global_px and y_global_px of field {fov} are not its x_local_px and y_local_px moved, but "
            f"stretched by {slopes[0]:.4g} and {slopes[1]:.4g}; give both --fov-axes and --fov-corner"
        )
    signs = np.sign(slopes)
    shift = (there - signs * local).mean(axis=0)
    affine = Affine(float(signs[0]), 0, float(shift[0]), 0, float(signs[1]), float(shift[1]))
    return affine, (float(local[:, 0].max()), float(local[:, 1].max()))
