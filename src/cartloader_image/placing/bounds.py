"""Bounds: where an image lies, and the files that say it.

Map units are those of the spatial reference; under the usual convention 1 unit of EPSG:3857 is 1 µm.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
from affine import Affine

from cartloader_image.budget import USUAL, Budget
from cartloader_image.errors import InputError, shortened
from cartloader_image.system.texts import text_of
from cartloader_image.values import Bounds, number

_ROUNDING = 1e-9
"""Pixels' share by which a matrix may shear a picture and still be the rounding of one that does not."""


def bounds_from_tsv(path: Path, budget: Budget = USUAL) -> Bounds:
    """The bounds in a file of one line, by tab or comma.

    Raises:
        InputError: it cannot be read or holds something else.
    """
    lines = [line for line in text_of(path, "--georef-bounds-tsv", budget).splitlines() if line.strip()]
    if len(lines) != 1:
        raise InputError(f"{path}: --georef-bounds-tsv takes one line of ulx,uly,lrx,lry, found {len(lines)} lines")
    try:
        return Bounds.parse(lines[0])
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def bounds_from_pixel_tsv(path: Path, budget: Budget = USUAL) -> Bounds:
    """The bounds of a FICTURE pixel TSV: from its offset to offset + size + 1, in µm.

    The header's comment lines hold ``KEY=value`` pairs separated by ``;``, such as
    ``##OFFSET_X=100;OFFSET_Y=200;SIZE_X=50;SIZE_Y=60;SCALE=100``.

    Raises:
        InputError: it cannot be read or lacks one of the four.
    """
    header = text_of(path, "--georef-pixel-tsv", budget, lines_starting_with="#")
    pairs = dict(re.findall(r"(?<![A-Za-z_])([A-Za-z_]+)\s*=\s*([^;\s]+)", header))
    values = []
    for key in ("OFFSET_X", "OFFSET_Y", "SIZE_X", "SIZE_Y"):
        try:
            values.append(number(pairs[key]))
        except KeyError:
            raise InputError(f"{path}: its header comments have no {key}; is it a FICTURE pixel TSV?") from None
        except ValueError:
            raise InputError(f"{path}: {key} is {shortened(pairs[key])!r} in its header, which is no number") from None
    x, y, width, height = values
    if not all(map(math.isfinite, values)) or min(width, height) < 0:
        raise InputError(f"{path}: its header says a size of {width:g} × {height:g} at {x:g},{y:g}, which is no area")
    return Bounds(x, y, x + width + 1, y + height + 1)


def bounds_from_vizgen(path: Path, height: int, width: int, budget: Budget = USUAL) -> Bounds:
    """The µm bounds of a mosaic from Vizgen's 3×3 matrix µm → pixel that does not turn: pixel = a·µm + b on each axis.

    Raises:
        InputError: as `micron2pixel` does.
    """
    a, _, b, _, d, e, *_ = micron2pixel(path, height, width, budget)
    return Bounds((0 - b) / a, (0 - e) / d, (width - b) / a, (height - e) / d)


def micron2pixel(path: Path, height: int, width: int, budget: Budget = USUAL) -> Affine:
    """Vizgen's 3×3 matrix µm → pixel corner of a mosaic; what is the rounding of 0 is 0.

    Raises:
        InputError: no 3×3 matrix of numbers, one that is singular, or one with a perspective.
    """
    lines = [line for line in text_of(path, "--micron2pixel-csv", budget).splitlines() if line.strip(", \t")]
    rows = [re.findall(r"[^,\s]+", line) for line in lines[:4]]
    if [len(row) for row in rows] != [3, 3, 3]:
        found = f"{len(lines)} rows of {', '.join(str(len(row)) for row in rows)} values" if rows else "nothing"
        raise InputError(f"{path}: --micron2pixel-csv takes a 3×3 matrix of numbers, found {shortened(found)}")
    try:
        matrix = np.array([[number(value) for value in row] for row in rows])
    except ValueError as error:
        raise InputError(
            f"{path}: --micron2pixel-csv takes a 3×3 matrix of numbers ({shortened(str(error))})"
        ) from None
    if not np.isfinite(matrix).all():
        raise InputError(f"{path}: --micron2pixel-csv takes a 3×3 matrix of finite numbers, found {matrix.tolist()}")
    (a, shear_x, b), (shear_y, d, e), tilt = matrix.tolist()
    most = _ROUNDING * (1 + 1e-6)
    # How far the last pixel of a side is out of line, as a share of that side.
    if max(abs(shear_x), abs(shear_y)) and abs(shear_x) <= most * abs(d) and abs(shear_y) <= most * abs(a):
        shear_x = shear_y = 0.0
    affine = Affine(a, shear_x, b, shear_y, d, e)
    if affine.is_degenerate:
        raise InputError(f"{path}: the matrix has a scale of 0, so that pixels have no size in µm")
    across, down, _ = np.array(tilt) @ np.linalg.inv([[a, shear_x, 0], [shear_y, d, 0], [0, 0, 1]])
    if max(abs(across) * width, abs(down) * height, abs(tilt[2] - 1)) > most:
        raise InputError(f"{path}: the last row of the matrix is {tilt}, a perspective; it must be 0, 0, 1")
    return affine
