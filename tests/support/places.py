"""Where cartloader finds that a picture lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cartloader_image.images.source import open_source
from cartloader_image.placing.placement import Placement, place
from cartloader_image.values import Bounds
from support.rasters import params_for

Box = tuple[float, float, float, float]


def placed(path: Path, **options: Any) -> Placement:
    """The placement of a picture by itself and the options."""
    params = params_for(path, **options)
    with open_source(params) as source:
        return place(source, params)


def edges(bounds: Bounds) -> Box:
    """``ulx,uly,lrx,lry``."""
    return bounds.ulx, bounds.uly, bounds.lrx, bounds.lry


def bounds_of(path: Path, **options: Any) -> Box:
    """The bounds of a picture as it is stored."""
    return edges(placed(path, **options).bounds)


def covered(placement: Placement, columns: int, rows: int) -> Box:
    """Least x and y and greatest x and y of a picture's corners on the map."""
    xs, ys = zip(*(placement.affine @ (x, y) for x in (0, columns) for y in (0, rows)), strict=True)
    return min(xs), min(ys), max(xs), max(ys)
