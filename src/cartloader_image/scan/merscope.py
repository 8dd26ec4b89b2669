"""A region of a MERSCOPE run: a mosaic for each stain and z plane, all placed by one matrix."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

from cartloader_image.scan.layers import Layer, Run, colours, stained
from cartloader_image.values import made_id

_MOSAIC = re.compile(r"mosaic_(.+)_z(\d+)\.tiff?", re.IGNORECASE)
_MATRIX = "micron_to_mosaic_pixel_transform.csv"


def recognise(folder: Path) -> Run | None:
    """The images of a region, if the folder is that of one, or the ``images`` in it."""
    images = folder / "images" if (folder / "images").is_dir() else folder
    mosaics = sorted(
        (match[1], int(match[2]), path) for path in images.iterdir() if (match := _MOSAIC.fullmatch(path.name))
    )
    if not mosaics:
        return None
    matrix = images / _MATRIX
    options: dict[str, str | Path] = {"micron2pixel_csv": matrix} if matrix.is_file() else {}
    lacking = "" if options else f"there is no {_MATRIX} beside it, which would say where it lies"
    shades = colours([stain for stain, _, _ in mosaics])
    layers = [
        Layer(
            made_id(f"{stain}-z{z}"),
            path,
            stained(shades[stain]) | options,
            "" if lacking else f"{_MATRIX} places it",
            lacking,
        )
        for stain, z, path in mosaics
    ]
    whole = [
        Layer(
            made_id(f"{stain}-max"),
            images / pattern,
            stained(shade) | {"z_project": "max"} | options,
            lacking=lacking
            or "it is the maximum over the z planes, each of which has an entry; take it instead of them",
        )
        for stain, shade in shades.items()
        if (pattern := _pattern([path for other, _, path in mosaics if other == stain]))
    ]
    return Run("a MERSCOPE region", folder, (*layers, *whole))


def _pattern(planes: list[Path]) -> str:
    """What the names of some planes of a stain fit and none beside them, as of a stain ``DAPI_z1``; else nothing."""
    start = escape(planes[0].name[: planes[0].name.lower().rindex("_z") + 2])
    names = [path.name for path in planes[0].parent.iterdir()]
    for digits in ("*", "[0-9]"):
        pattern = f"{start}{digits}{planes[0].suffix}"
        if {name for name in names if fnmatchcase(name, pattern)} == {path.name for path in planes} and planes[1:]:
            return pattern
    return ""
