"""Files that hold an affine: tables of numbers, NumPy arrays, and JSON with axes or without."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from cartloader_image.budget import USUAL, Budget, Cost
from cartloader_image.errors import InputError, shortened
from cartloader_image.system.reading import read_file
from cartloader_image.system.texts import text_of
from cartloader_image.units import LENGTHS, length_of
from cartloader_image.values import number

_TAKES = "--georef-affine takes a matrix of 2 × 3 or 3 × 3 numbers"
_NGFF = "the affine of NGFF or SpatialData"
_COMPOSED = {"sequence", "inverseOf", "bijection", "byDimension"}
"""Transformations of NGFF whose parts say nothing by themselves."""
_NUMPY = b"\x93NUMPY"


@dataclass(frozen=True)
class AffineFile:
    """An affine as its file has it: from ``(column, row)`` of a picture to some frame."""

    affine: Affine
    centred: bool = False
    """Whether it counts from the centre of the first pixel, and not from its corner."""
    unit: float = 0.0
    """µm per unit of the frame, 0 where the file does not say."""


def read_affine(file: Path, budget: Budget = USUAL) -> AffineFile:
    """The affine of a table, a NumPy array or JSON, told apart by their first bytes.

    Raises:
        InputError: it cannot be read or holds something else.
    """
    try:
        if read_file(file, len(_NUMPY)) == _NUMPY:
            return AffineFile(_checked(_numpy(file, budget), file))
    except OSError:
        pass  # said below
    text = text_of(file, "--georef-affine", budget)
    if text.lstrip().startswith(("[", "{")):
        return _json(text, file)
    return AffineFile(table_affine(text, file, "--georef-affine"))


def table(text: str) -> list[list[str]]:
    """The cells of each line, by tab, semicolon, comma or blanks; without comments and what is empty at an end."""
    lines = [line for line in text.splitlines() if line.strip(" \t,;") and not line.lstrip().startswith("#")]
    delimiter = next((one for one in "\t;," if lines and one in lines[0]), None)
    return [[cell.strip(" \"'") for cell in line.rstrip(" \t,;").split(delimiter)] for line in lines]


def table_affine(text: str, file: Path, name: str) -> Affine:
    """The affine in a table of numbers, of which ``name`` is the option.

    Names of columns may stand above it, and names of rows before it if those of columns begin with an empty cell, as
    pandas writes them; ``0,1,2`` are such names where the rest is a matrix.

    Raises:
        InputError: it holds something else.
    """
    takes, rows = _TAKES.replace("--georef-affine", name), table(text)
    first = rows[0] if rows else []
    counted = first == ["0", "1", "2"] and (len(rows) == 4 or not _ends(rows[-1]))
    if first[:1] == [""]:
        rows = [row[1:] for row in rows[1:]]
    elif counted or not any(map(_is_number, first)):
        rows = rows[1:]
    if wrong := [cell for row in rows for cell in row if not _is_number(cell)]:
        raise InputError(f"{file}: {takes}, found {shortened(wrong[0])!r}")
    return _checked([[number(cell) for cell in row] for row in rows], file, takes)


def _ends(row: list[str]) -> bool:
    """Whether it is the last row of a 3 × 3 matrix without perspective."""
    return all(map(_is_number, row)) and [number(cell) for cell in row] == [0, 0, 1]


def _is_number(cell: str) -> bool:
    try:
        number(cell)
    except ValueError:
        return False
    return True


def _checked(values: Any, file: Path, takes: str = _TAKES) -> Affine:
    """The affine of 2 × 3 or 3 × 3 numbers.

    Raises:
        InputError: they are others, not finite, or have a perspective.
    """
    shapes = {len(row) if isinstance(row, Sequence | np.ndarray) else 0 for row in values}
    if not (len(values) in {2, 3} and shapes == {3}):
        found = f"{len(values)} rows of {', '.join(map(str, sorted(shapes)))} values" if len(values) else "nothing"
        raise InputError(f"{file}: {takes}, found {found}")
    flat = [value for row in values for value in row]
    if any(isinstance(value, bool) or not isinstance(value, int | float | np.number) for value in flat):
        raise InputError(f"{file}: {takes}, and some of these are no numbers")
    try:
        matrix = np.array([[float(value) for value in row] for row in values])
    except OverflowError:  # of a whole number that JSON has
        matrix = np.full((2, 3), np.inf)
    if not np.isfinite(matrix).all():
        raise InputError(f"{file}: {takes} that are finite, found {matrix.tolist()}")
    if len(matrix) == 3 and matrix[2].tolist() != [0, 0, 1]:
        last = ",".join(f"{value:g}" for value in matrix[2])
        raise InputError(f"{file}: the last row of the matrix is {last}, a perspective; it must be 0,0,1")
    return Affine(*matrix[:2].ravel())


def _numpy(file: Path, budget: Budget) -> NDArray[Any]:
    data = read_file(file, budget.most(Cost.TEXT) + 1)
    budget.check(file, Cost.TEXT, len(data))
    try:
        values = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # noqa: BLE001  (whatever numpy meets in a damaged file)
        raise InputError(f"{file}: is no NumPy array that can be read ({' '.join(str(error).split())})") from None
    if values.ndim != 2 or values.dtype.kind not in "iuf":
        raise InputError(f"{file}: {_TAKES}, found an array of {values.dtype} and shape {values.shape}")
    return np.asarray(values)


def _json(text: str, file: Path) -> AffineFile:
    try:
        said = json.loads(text)
        objects = list(_objects(said))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: is no JSON that can be read ({error})") from None
    return AffineFile(_checked(said, file)) if isinstance(said, list) else _ngff(objects, file)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """All objects of a document, but for those that are a part of another transformation."""
    if isinstance(value, list):
        for one in value:
            yield from _objects(one)
    elif isinstance(value, dict) and value.get("type") not in _COMPOSED:
        yield value
        yield from _objects(list(value.values()))


def _ngff(objects: list[dict[str, Any]], file: Path) -> AffineFile:
    """The affine of NGFF (RFC-5) as SpatialData also writes it: rows and columns go by the axes of its two systems.

    NGFF's points are counted from the centre of the first pixel (RFC-5, Coordinate convention), SpatialData's from its
    corner (its `compute_coordinates` gives centres at one half). The latter names the unit of pixels ``unit``.
    """
    found = [one for one in objects if one.get("type") == "affine"]
    if len(found) != 1 or not isinstance(found[0].get("affine"), list):
        raise InputError(f"{file}: {_TAKES}, or {_NGFF}, found {len(found)} affines in its JSON; keep just the one")
    axes = [axis for one in objects if isinstance(one.get("axes"), list) for axis in one["axes"]]
    centred = not any(isinstance(axis, dict) and axis.get("unit") == "unit" for axis in axes)
    systems = {one["name"]: one for one in objects if isinstance(one.get("name"), str) and "axes" in one}
    inputs, outputs = (_axes(found[0].get(side), systems, side, file) for side in ("input", "output"))
    if unit := inputs["x"] or inputs["y"]:
        raise InputError(
            f"{file}: the input of its affine is in units of {unit:g} µm, not in pixels; give the matrix from pixels"
        )
    try:
        matrix = np.array(found[0]["affine"], float)
    except (OverflowError, TypeError, ValueError):
        matrix = np.empty(0)
    rows, columns, names = len(outputs), len(inputs), [list(inputs), list(outputs)]
    if matrix.shape not in {(rows, columns + 1), (rows + 1, columns + 1)} or not np.isfinite(matrix).all():
        raise InputError(f"{file}: its affine is no matrix of numbers with a row and a column for each axis of {names}")
    across, down = list(inputs).index("x"), list(inputs).index("y")
    x, y = list(outputs).index("x"), list(outputs).index("y")
    mixed = np.delete(matrix[[x, y], :columns], [across, down], axis=1)
    others = np.delete(matrix[:rows], [x, y], axis=0)[:, [across, down]]
    if mixed.any() or others.any() or (len(matrix) > rows and matrix[rows].tolist() != [0] * columns + [1]):
        raise InputError(f"{file}: its affine mixes x and y with other axes of {names}; a picture has just these two")
    units = {outputs["x"], outputs["y"]}
    if len(units) > 1:
        raise InputError(f"{file}: its axes x and y have units of {units} µm; give both the same one")
    return AffineFile(Affine(*matrix[[x, y]][:, [across, down, columns]].ravel()), centred, units.pop())


def _axes(system: Any, systems: dict[str, dict[str, Any]], side: str, file: Path) -> dict[str, float]:
    """The axes of one side of an affine in their order, each with its unit in µm, 0 where that is no length."""
    system = systems.get(system) if isinstance(system, str) else system
    axes = system.get("axes") if isinstance(system, dict) else system
    described = [one if isinstance(one, dict) else {"name": one} for one in (axes if isinstance(axes, list) else [])]
    units = {str(one.get("name")): length_of(str(one.get("unit", "")), LENGTHS) or 0.0 for one in described}
    if not {"x", "y"} <= units.keys() or len(units) < len(described):
        raise InputError(
            f"{file}: the {side} of its affine has no axes x and y by name, found {list(units)}; write them, or give "
            "the bare matrix as a list of rows for x and y"
        )
    return units
