"""How the values of options are read: from the words of a command line as from JSON and YAML."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

IMAGE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def check_image_id(text: str) -> str:
    """The id itself, if it can name files and catalog entries everywhere.

    Raises:
        ValueError: it has white space or another character outside letters, digits, dot, dash and underscore.
    """
    if not IMAGE_ID.fullmatch(text):
        raise ValueError(
            f"{text!r} cannot be an image id; use 1 to 128 letters, digits, '.', '-' or '_', "
            "the first a letter or digit"
        )
    return text


def number(text: str) -> float:
    """The number that a text is, as all programs read it: Python alone takes ``1_0`` for 10.

    Raises:
        ValueError: it is none.
    """
    if "_" in text:
        raise ValueError(f"could not convert string to float: {text[:80]!r}")
    return float(text)


def numbers(text: str, names: str) -> tuple[float, ...]:
    """The finite numbers of a text, separated by commas, tabs or blanks; ``names`` is what they should be.

    Raises:
        ValueError: another count than ``names`` has, or something that is not a finite number.
    """
    wanted = names.split(",")
    count = {1: "one number is", 2: "two numbers are", 4: "four numbers are"}[len(wanted)]
    parts = [part for part in re.split(r"[,\t]|(?<=\S) +(?=\S)", text.strip()) if part.strip()]
    if len(parts) != len(wanted):
        raise ValueError(f"{count} needed ({names}), found {len(parts)}")
    try:
        values = tuple(number(part) for part in parts)
    except ValueError:
        values = (math.nan,)
    if not all(map(math.isfinite, values)):
        raise ValueError(f"{count} needed ({names}), found {text.strip()!r}")
    return values


def joined(value: Any) -> Any:
    """A list of numbers, or a single one, as JSON and YAML give them, in the spelling of the command line."""
    if isinstance(value, (list, tuple)):
        return ",".join(str(part) for part in value)
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _check_bounds(text: str) -> str:
    numbers(text, "ulx,uly,lrx,lry")
    return text.strip()


def _check_pixel_size(text: str) -> str:
    sizes = numbers(text, "x,y" if "," in text else "µm")
    if min(sizes) <= 0:
        raise ValueError(f"a pixel size is greater than 0 µm, found {text}")
    return text.strip()


def _check_colour(text: str) -> str:
    """A colour as ``#rrggbb``, whatever its spelling."""
    import webcolors  # noqa: PLC0415  (30 ms that only a coloured image should pay)

    text = text.strip()
    if re.fullmatch(r"[0-9A-Fa-f]{6}", text):
        text = f"#{text}"
    try:
        return str(webcolors.normalize_hex(text) if text.startswith("#") else webcolors.name_to_hex(text))
    except ValueError:
        raise ValueError(f"{text!r} is no colour; use RRGGBB, #RRGGBB, #RGB or a CSS name such as cyan") from None


def _check_nodata(text: str) -> str:
    """``none``, or a number; nan is one here."""
    text = text.strip().lower()
    try:
        if text != "none":
            number(text)
    except ValueError:
        raise ValueError(f"{text!r} is no stored value; give a number, nan, or none") from None
    return text


def _check_address(text: str) -> str:
    if not re.fullmatch(r"[a-z]+://.+:\d+", text.strip()):
        raise ValueError(f"{text!r} is no address of a Dask scheduler, such as tcp://10.0.0.5:8786")
    return text.strip()


def read_detect(value: Any) -> Any:
    """The source in any case; true and false, as a mapping may say them, are the default one and none."""
    if not isinstance(value, str | bool):
        return value
    said = str(value).strip().upper()
    return {"TRUE": "OME", "YES": "OME", "ON": "OME", "FALSE": None, "NO": None, "OFF": None}.get(said, said)


def _nameable(path: Path) -> Path:
    """The path, if the system can be asked for it at all."""
    if "\0" in str(path):
        raise ValueError("a path has no NUL character in it")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise ValueError("a path has no half of a surrogate pair in it") from None
    return path


def at_home(value: Any) -> Any:
    """A path as it is typed, with the home directory for ``~``, as a shell has it."""
    # Path.expanduser takes ./~ for ~, and fails for a user that is not there.
    return os.path.expanduser(value) if isinstance(value, str) else value  # noqa: PTH111


BoundsText = Annotated[str, BeforeValidator(joined), AfterValidator(_check_bounds)]
PixelSizeText = Annotated[str, BeforeValidator(joined), AfterValidator(_check_pixel_size)]
Colour = Annotated[str, BeforeValidator(joined), AfterValidator(_check_colour)]
Nodata = Annotated[str, BeforeValidator(joined), AfterValidator(_check_nodata)]
DaskAddress = Annotated[str, AfterValidator(_check_address)]
FilePath = Annotated[Path, BeforeValidator(at_home), AfterValidator(_nameable)]
Program = Annotated[str, BeforeValidator(at_home)]
ImageId = Annotated[str, AfterValidator(check_image_id)]
Quantile = Annotated[float, Field(ge=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
