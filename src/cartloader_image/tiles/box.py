"""Where a placed picture lies on the map: a box in map units, out of whatever spatial reference it is placed in."""

from __future__ import annotations

import math

import numpy as np
from affine import Affine

from cartloader_image.crs import WEB_MERCATOR, is_web_mercator, short_name
from cartloader_image.errors import BoundsError
from cartloader_image.tiles.grid import HALF_MAP, MapBox

_STEPS = 32
"""Steps along each side of a box in which its way over the map is followed."""
_THERE_AND_BACK, _EXACT = 1e-3, 1.0
"""Share of a box, or units of its reference, by which a point may come back elsewhere from the map: a datum is known to
a metre or so, and what was wrapped around the globe comes back far away."""


def map_box(size: tuple[int, int], affine: Affine, crs: str, name: str) -> tuple[MapBox, float]:
    """The bounding box on the map of a picture of ``size`` (rows, columns), and how close its pixels lie there.

    ``affine`` takes its pixel corners ``(column, row)`` to the spatial reference ``crs``; the results are in map units.

    Raises:
        BoundsError: it crosses the antimeridian, reaches beyond the map, or lies where the reference is not defined;
            ``name`` begins the sentence.
    """
    rows, columns = size
    corners = [affine @ (x, y) for x in (0, columns) for y in (0, rows)]
    xs, ys = zip(*corners, strict=True)
    box = MapBox(min(xs), min(ys), max(xs), max(ys))
    if not is_web_mercator(crs):
        return _reprojected(size, box, crs, name)
    return box, _closest(affine)


def _closest(affine: Affine) -> float:
    """How close pixels lie, sheared or not: the smaller singular value, which is the determinant by the greater one."""
    a, b, d, e = affine.a, affine.b, affine.d, affine.e
    greater = (math.hypot(a + e, b - d) + math.hypot(a - e, b + d)) / 2
    return float(abs(affine.determinant) / greater)


def _reprojected(size: tuple[int, int], box: MapBox, crs: str, name: str) -> tuple[MapBox, float]:
    """`map_box` for a box of another reference."""
    from rasterio.warp import calculate_default_transform  # noqa: PLC0415  (0.3 s that the map's own reference should not cost)

    _follow(box, crs, name)
    try:
        transform, width, height = calculate_default_transform(
            crs, WEB_MERCATOR, size[1], size[0], box.left, box.bottom, box.right, box.top
        )
    except Exception:  # noqa: BLE001  (PROJ's and GDAL's own, of many classes)
        raise _beyond(name, box, crs) from None
    left, top = transform @ (0, 0)
    right, bottom = transform @ (width, height)
    found, pixel = MapBox(left, bottom, right, top), min(transform.a, -transform.e)
    if not (np.isfinite([left, bottom, right, top]).all() and pixel > 0):
        raise _beyond(name, box, crs)
    return found, pixel


def _follow(box: MapBox, crs: str, name: str) -> None:
    """Make sure that a net of points over a box lies on the map in one piece, and that each comes back from there."""
    from rasterio.warp import transform  # noqa: PLC0415  (as above)

    across, down = np.linspace(box.left, box.right, _STEPS + 1), np.linspace(box.bottom, box.top, _STEPS + 1)
    xs, ys = (net.ravel() for net in np.meshgrid(across, down))
    try:
        there = transform(crs, WEB_MERCATOR, xs, ys)
        back = np.array(transform(WEB_MERCATOR, crs, *there)[:2])
    except Exception:  # noqa: BLE001  (PROJ's and GDAL's own, of many classes)
        raise _beyond(name, box, crs) from None
    x, y = np.array(there[:2]).reshape(2, _STEPS + 1, _STEPS + 1)
    if not (np.isfinite(x).all() and np.isfinite(y).all()) or np.abs([x, y]).max() > HALF_MAP * (1 + 1e-9):
        raise _beyond(name, box, crs)
    if max(np.abs(np.diff(x, axis=axis)).max() for axis in (0, 1)) > HALF_MAP:
        raise BoundsError(
            f"{name}: crosses the antimeridian (180° of longitude), where the map ends; cut the picture in two there, "
            "or check the bounds and --srs"
        )
    astray = np.abs(back - [xs, ys]).max(axis=1)
    size = np.array([box.right - box.left, box.top - box.bottom])
    if not (astray <= np.maximum(_THERE_AND_BACK * size, _EXACT)).all():
        raise _beyond(name, box, crs)


def _beyond(name: str, box: MapBox, crs: str) -> BoundsError:
    corners = ",".join(f"{edge:.12g}" for edge in (box.left, box.top, box.right, box.bottom))
    return BoundsError(
        f"{name}: lies beyond the map, or where {short_name(crs)} is not defined: {corners}; check the bounds and --srs"
    )
