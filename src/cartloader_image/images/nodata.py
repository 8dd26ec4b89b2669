"""Stored values that mean no data: what a file or a user calls so, and which pixels have them."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from defusedxml import DefusedXmlException, ElementTree
from numpy.typing import NDArray

from cartloader_image.errors import UsageError
from cartloader_image.images.beside import aux_file
from cartloader_image.layout import Pixels

NONE = "none"
"""What is asked for where nothing is to count as no data."""


def nodata_value(chosen: str | None, declared: object, dtype: np.dtype[Any]) -> float | int | None:
    """The value that means no data in samples of a type: as chosen, else as the file declares it; None for none.

    A value that the type cannot hold is that of no pixel.

    Raises:
        UsageError: such a value is chosen.
    """
    if chosen == NONE:
        return None
    if chosen is not None:
        value = _number(chosen)
        if not _holds(dtype, value):
            raise UsageError(f"--nodata {chosen}: is no value of {dtype} pixels; give one that they can have, or none")
        return value
    try:
        value = _number(str(declared).strip().strip("\0"))
    except ValueError:  # nothing, or nothing that is a number
        return None
    return value if _holds(dtype, value) else None


def _number(text: str) -> float | int:
    """A whole number exactly, as 64 bits hold it, else a float.

    Raises:
        ValueError: it is none.
    """
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,20}", text) else float(text)


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


def declared_beside(path: Path) -> str | None:
    """The value in the file that GDAL keeps beside a picture."""
    return aux_text(path, "PAMRasterBand/NoDataValue")


def aux_text(path: Path, element: str) -> str | None:
    """The text of an element of the file that GDAL keeps beside a picture; None where there is none."""
    aux = aux_file(path)
    try:
        text: str | None = ElementTree.parse(aux).findtext(element) if aux else None
    except (ElementTree.ParseError, DefusedXmlException, OSError, ValueError, RecursionError):
        return None
    return text
