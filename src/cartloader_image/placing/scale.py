"""µm per pixel from the file in which an instrument or its pipeline says it: the values of ``--pixel-size FILE``.

Each such file speaks of certain pictures. One of which that cannot be made sure is refused, with the numbers that would
do for each that it may be.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cartloader_image.action_params import RasterParams
from cartloader_image.errors import InputError, MetadataError, UsageError, shortened
from cartloader_image.images.beside import SPACE_RANGER, pictures_beside
from cartloader_image.images.kinds import png_size
from cartloader_image.images.source import Source
from cartloader_image.system.texts import text_of
from cartloader_image.values import PixelSize, number

_SPOT = 65.0
"""µm of the spot whose diameter is ``spot_diameter_fullres`` (Space Ranger's page on its spatial outputs)."""
_ALIKE = 1e-3
"""Share of a pixel size below which two of them are the same."""
_FIELDS = 0.05, 1.0
"""µm per pixel that fields of view may have: of instruments so far, 0.12 and 0.18."""
_NANOMETRES = re.compile(r"^\W*ImPixel_nm\W+([0-9.eE+-]+)", re.MULTILINE)
"""A line of ``RunSummary/*_ExptConfig.txt`` of a CosMx run, such as ``ImPixel_nm: 120.280945``."""
_TAKEN = "scalefactors_json.json, experiment.xenium, or *_ExptConfig.txt or *_fov_positions_file.csv of CosMx"


def asked_pixel_size(source: Source, params: RasterParams) -> PixelSize | None:
    """What ``--pixel-size`` says of a picture, in numbers or by a file, or else the positions of fields of view.

    None where neither is given.

    Raises:
        InputError: the file cannot be read, or says no pixel size.
        MetadataError: which of Space Ranger's pictures this is cannot be told, or it is none of them.
        UsageError: the file speaks of other pictures.
    """
    file = params.pixel_size or params.fov_positions
    if not isinstance(file, Path):
        return file
    text = text_of(file, "--pixel-size" if params.pixel_size else "--fov-positions", params.budget)
    facts = _object(text)
    if {"microns_per_pixel", "spot_diameter_fullres"} & facts.keys():
        return _space_ranger(file, facts, params.in_img, source.full_size)
    if "pixel_size" in facts:
        if source.plane.layout.colours == 3:
            raise UsageError(
                f"{params.in_img}: is in colour, and {file.name} speaks of the images that the run itself made; give "
                "the pixel size of this one in µm, or what places it"
            )
        micrometres = _positive(file, facts, "pixel_size")
        if file.suffix != ".xenium":
            raise InputError(
                f"{file}: has a pixel_size of {micrometres:g}, and only of experiment.xenium is it known to be in µm; "
                "give it in µm with --pixel-size"
            )
    elif found := _NANOMETRES.search(text):
        micrometres = _positive(file, {"ImPixel_nm": found[1]}, "ImPixel_nm") / 1000
    elif sizes := sizes_of_fields(text):
        if max(sizes) / min(sizes) - 1 > _ALIKE or not _FIELDS[0] < sizes[0] < _FIELDS[1]:
            raise InputError(
                f"{file}: its fields of view are {' and '.join(f'{size:.6g}' for size in sizes)} µm per pixel "
                "apart; give one size with --pixel-size"
            )
        micrometres = sizes[0]
    else:
        raise InputError(f"{file}: says no pixel size that is known; --pixel-size takes µm, or {_TAKEN}")
    return PixelSize(micrometres, micrometres)


def _object(text: str) -> Mapping[str, Any]:
    """What a text says that is an object of JSON; nothing where it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def sizes_of_fields(text: str) -> list[float]:
    """µm per pixel in x and y by how far fields of view are apart, in a table that has it in mm and in pixels."""
    sizes = []
    with suppress(KeyError, TypeError, ValueError, csv.Error):
        header, _, lines = text.partition("\n")
        names = [name.strip().lower() for name in next(csv.reader([header]))]
        rows = list(csv.DictReader(io.StringIO(lines), names))
        for axis in "xy":
            places = [(number(row[f"{axis}_global_px"]), number(row[f"{axis}_global_mm"])) for row in rows]
            (pixels, mm), (other_pixels, other_mm) = min(places), max(places)
            if other_pixels > pixels:
                sizes.append(abs(other_mm - mm) / (other_pixels - pixels) * 1000)
    return sizes if all(0 < size < math.inf for size in sizes) else []


def _positive(file: Path, facts: Mapping[str, Any], name: str) -> float:
    """A fact that is a number above 0.

    Raises:
        InputError: it is missing, or something else.
    """
    try:
        value = float(facts[name])
    except KeyError:
        raise InputError(f"{file}: has no {name}; give the pixel size in µm with --pixel-size") from None
    except (TypeError, ValueError):
        value = math.nan
    if not 0 < value < math.inf:
        found = shortened(str(facts[name]))
        raise InputError(f"{file}: {name} is {found!r}, which is no size; give it in µm with --pixel-size")
    return value


def _space_ranger(file: Path, facts: Mapping[str, Any], picture: Path, size: tuple[int, int]) -> PixelSize:
    """The pixel size of the image that Space Ranger was given, or of one of those that it made of it."""
    if "microns_per_pixel" in facts:  # Visium HD, where spots are bins of another size
        full = _positive(file, facts, "microns_per_pixel")
    else:
        full = _SPOT / _positive(file, facts, "spot_diameter_fullres")
    scales = {"full": 1.0} | {
        name: _positive(file, facts, f"tissue_{name}_scalef")
        for name in ("hires", "lowres")
        if f"tissue_{name}_scalef" in facts
    }
    known = SPACE_RANGER.get(picture.stem)
    fitting = [known] if known else _of_that_size(file, scales, size)
    if fitting and all(name in scales for name in fitting):
        found = [full / scales[name] for name in fitting]
        if max(found) / min(found) - 1 < _ALIKE:
            return PixelSize(found[0], found[0])
    said = ", ".join(f"{name} {full / scale:.6g}" for name, scale in scales.items())
    height, width = size
    beside = [other.name for other in pictures_beside(file)]
    why = f"its {width:,} × {height:,} pixels fit {' and '.join(fitting) or 'none'} by {', '.join(beside)}"
    if known:
        why = f"{file.name} has no scale for it"
    elif not beside:
        why = f"neither its name nor a tissue_hires_image.png beside {file.name} tells"
    raise MetadataError(
        f"{picture}: which picture of Space Ranger's it is cannot be told: {why}; give its µm with --pixel-size: {said}"
    )


def _of_that_size(file: Path, scales: Mapping[str, float], size: tuple[int, int]) -> list[str]:
    """The pictures by their scales that have this size, as those beside the file tell.

    Space Ranger rounds the sizes of its smaller pictures, so that they are compared to a pixel of those.
    """
    fitting = set(scales)
    others = [(other, SPACE_RANGER[other.stem]) for other in pictures_beside(file)]
    measured = False
    for other, name in others:
        if name not in scales or not (there := png_size(other)):
            continue
        measured = True
        fitting = {
            one
            for one in fitting
            if all(
                abs(length * scales[name] / scales[one] - known) <= max(1, scales[name] / scales[one])
                for length, known in zip(size, there, strict=True)
            )
        }
    return sorted(fitting) if measured else []
