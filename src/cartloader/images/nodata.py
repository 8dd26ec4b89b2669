"""Stored values that mean no data: what a file or a user calls so, and which pixels have them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cartloader.errors import UsageError
from cartloader.images.plane import Pixels

NONE = "none"
"""What is asked for where nothing is to count as no data."""


def nodata_value(asked: str | None, told: object, dtype: np.dtype[Any]) -> float | None:
    """The value that means no data in samples of a type: as asked for, else as the file tells; None for no such value.

    A value that the type cannot hold is that of no pixel.

    Raises:
        UsageError: such a value is asked for.
    """
    if asked == NONE:
        return None
    if asked is not None:
        value = float(asked)
        if not _holds(dtype, value):
            raise UsageError(f"--nodata {asked}: is no value of {dtype} pixels; give one that they can have, or none")
        return value
    try:
        found = float(str(told).strip().strip("\0"))
    except ValueError:  # nothing, or nothing that is a number
        return None
    return found if _holds(dtype, found) else None


def _holds(dtype: np.dtype[Any], value: float) -> bool:
    if dtype.kind == "f":
        return True
    top, low = (1, 0) if dtype.kind == "b" else (np.iinfo(dtype).max, np.iinfo(dtype).min)
    return math.isfinite(value) and value == int(value) and low <= int(value) <= top


def has_no_data(colours: Pixels, value: float) -> NDArray[np.bool_]:
    """The pixels ``(rows, columns)`` whose colours ``(rows, columns, bands)`` all are the value."""
    if math.isnan(value):
        return np.asarray(np.isnan(colours).all(axis=-1))
    with np.errstate(over="ignore"):
        return np.asarray((colours == colours.dtype.type(value)).all(axis=-1))
