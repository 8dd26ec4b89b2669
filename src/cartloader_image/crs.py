"""Spatial references: which one a text means, and whether it is the map's own frame.

Only a reference that is not the map's own costs the 0.3 s of GDAL and PROJ.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from cartloader_image.errors import BoundsError
from cartloader_image.units import LENGTHS, length_of

if TYPE_CHECKING:
    from rasterio.crs import CRS

WEB_MERCATOR = "EPSG:3857"
LOCAL = ("LOCAL_CS", "ENGCRS", "ENGINEERINGCRS")
"""How the WKT of a local reference begins."""
_LENGTHS = LENGTHS | {
    "metre": 1e6, "meter": 1e6, "kilometre": 1e9, "kilometer": 1e9, "km": 1e9, "foot": 304.8e3,
}  # fmt: skip
"""µm per unit of length; all others are what the reference says in metres."""
_NO_LENGTHS = {"", "unit", "unity", "none", "pixel", "px", "voxel", "degree", "radian", "grad"}
_SAME = 1e-3
"""Relative difference of two lengths that have one name: the feet of the US, for one."""
_NO_FLAT = {"VerticalCRS": "one of heights", "ParametricCRS": "one of parameters", "TemporalCRS": "one of time"}


def is_web_mercator(crs: str) -> bool:
    """Whether a CRS is the map's own."""
    return bool(re.fullmatch(r"EPSG:(3857|900913)", crs.strip(), re.IGNORECASE)) or (
        crs.startswith(("PROJCS", "PROJCRS")) and re.search(r'"EPSG",\s*"?3857"?\]\]\s*$', crs) is not None
    )


def map_frame(crs: str, whose: str) -> tuple[str, float, str]:
    """The reference in which a picture is placed, how many of its units one of ``crs`` is, and a note about that.

    A local (engineering) reference in a unit of length is the map's own frame in µm; of a compound one the horizontal
    part counts; any other is what it is. ``whose`` begins the sentence of an error: ``--srs …`` or a file.

    Raises:
        BoundsError: it is no reference that PROJ knows, or no picture can be placed in it.
    """
    if is_web_mercator(crs):
        return WEB_MERCATOR, 1.0, ""
    said = _described(_parsed(crs, whose))
    if said.get("type") == "CompoundCRS":
        said = said["components"][0]
        crs = _written(_parsed(said, whose))
    axes = said.get("coordinate_system", {}).get("axis", [])
    if said.get("type") == "EngineeringCRS":
        name, micrometres = _local_unit(crs, axes, whose)
        note = f"its local spatial reference, in units of {name}, is taken as the map's own frame in µm"
        return WEB_MERCATOR, micrometres, note
    flaw = _NO_FLAT.get(str(said.get("type")))
    if said.get("type") == "GeodeticCRS" and len(axes) == 3 and not any(axis.get("unit") == "degree" for axis in axes):
        flaw = "a geocentric one"
    if flaw:
        raise BoundsError(f"{whose} is {flaw}, in which no picture lies flat; give --georef-bounds in another --srs")
    return crs, 1.0, ""


def is_in_degrees(crs: str) -> bool:
    """Whether its coordinates are longitude and latitude."""
    return not is_web_mercator(crs) and bool(_parsed(crs, f"--srs {crs}:").is_geographic)


def crs_name(crs: str) -> str:
    """``EPSG:…`` where a reference is exactly one of these, else its WKT."""
    if is_web_mercator(crs):
        return WEB_MERCATOR
    parsed = _parsed(crs, f"--srs {crs}:")
    code = parsed.to_epsg(confidence_threshold=100)
    return f"EPSG:{code}" if code else _written(parsed)


def _parsed(crs: Any, whose: str) -> CRS:
    from rasterio.crs import CRS  # noqa: PLC0415  (see the head)

    if isinstance(crs, str) and re.match(r"(ESRI::)?(?!https?://(www\.)?opengis\.net/def/)(\w+:/|/)", crs.strip()):
        raise BoundsError(f"{whose} is an address or a file, which is not looked up; give the code or the WKT itself")
    try:
        return CRS.from_user_input(crs)
    except Exception:  # noqa: BLE001  (a text that is no reference fails in many ways)
        raise BoundsError(
            f"{whose} is no spatial reference that PROJ knows; an EPSG code such as EPSG:3857 is"
        ) from None


def _described(crs: CRS) -> dict[str, Any]:
    """PROJ's own description (PROJJSON); empty for what it cannot describe."""
    try:
        said: dict[str, Any] = crs.to_dict(projjson=True)
    except Exception:  # noqa: BLE001  (GDAL says it by many classes)
        return {}
    return said


def _written(crs: CRS) -> str:
    """WKT, of the newer version where the older one has no words for it."""
    from rasterio.errors import CRSError  # noqa: PLC0415  (see the head)

    try:
        return str(crs.to_wkt())
    except CRSError:
        return str(crs.to_wkt(version="WKT2_2019"))


def crs_text(crs: CRS | None) -> str | None:
    """The WKT of an open dataset's reference, None where it has none; a word that is none where it has no words."""
    try:
        return _written(crs) if crs else None
    except Exception:  # noqa: BLE001  (GDAL says it by many classes)
        return "unknown"


def _local_unit(crs: str, axes: list[dict[str, Any]], whose: str) -> tuple[str, float]:
    """Name and µm of the unit of a local reference's axes.

    Raises:
        BoundsError: it is no unit of length, or its name and its size contradict each other.
    """
    found = {_named_length(axis.get("unit")) for axis in axes[:2]}
    name, metres = found.pop() if len(found) == 1 else ("", 0.0)
    if crs.startswith(LOCAL) and "UNIT[" not in crs.upper():
        name, metres = "", 0.0  # PROJ would fill in the metre
    key = name.strip().casefold()
    known = length_of(name, _LENGTHS)
    instead = "give --georef-bounds in µm, or the pixel size in µm with --pixel-size"
    # A unit without a name that is a length is one only if its size is told, and is not just the number 1, or that of a
    # degree, whose name GeoTIFF has no place for.
    no_length = key in _NO_LENGTHS or metres == 1 or math.isclose(metres, math.radians(1), rel_tol=_SAME)
    if (not known and no_length) or not 0 < metres < math.inf:
        raise BoundsError(
            f"{whose} is a local one without a unit of length ({name or 'none'}), so that nobody can tell how large "
            f"the picture is; {instead}"
        )
    if known and abs(metres * 1e6 / known - 1) > _SAME:
        raise BoundsError(f"{whose} is a local one whose {name} is {metres:g} m long, which cannot be; {instead}")
    return (name if known else f"{metres * 1e6:g} µm"), metres * 1e6


def _named_length(unit: Any) -> tuple[str, float]:
    """Name and metres of a unit as PROJJSON has it: a word, or an object."""
    if isinstance(unit, dict):
        return str(unit.get("name", "")), float(unit.get("conversion_factor", 0))
    return str(unit or ""), 1.0 if unit == "metre" else 0.0


def short_name(crs: str) -> str:
    """A code as it is, of WKT the name."""
    found = re.match(r'\s*\w+\["([^"]*)"', crs)
    return found[1] if found else crs
