"""What a TIFF says of its pixel size beside OME-XML: a scanner's word, ImageJ's calibration, resolution tags.

None of it is believed unless somebody asks for it: many writers put the size of a print there.
"""

from __future__ import annotations

import math
import re

from tifffile import TiffPage

from cartloader_image.units import LENGTHS, length_of

_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_UNITS = {2: ("inch", 25_400.0), 3: ("cm", 10_000.0)}
"""Of ResolutionUnit (TIFF 6.0, section 8), in µm."""
_LENGTHS = LENGTHS | {"inche": 25.4e3, "in": 25.4e3, '"': 25.4e3}
"""µm per unit as people name it in ImageJ."""
_NUMBER = re.compile(r"(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")
Detected = tuple[tuple[float, float], str]
"""µm per pixel in x and y, and where they stand."""


def detectable(description: str, page: TiffPage, series: int) -> Detected | None:
    """The pixel size of a page, where a file says it with something that is often wrong.

    ``description`` is that of the file's first page, ``series`` the index of the series to which the page belongs.
    """
    if description.startswith("Aperio") and (field := re.search(r"\|\s*MPP\s*=([^|\r\n]*)", description)):
        # The scanner speaks of the scan, which is the first series, not of its thumbnail or label.
        return _scanner(field[1].strip()) if series == 0 else None
    tags = _resolution(page)
    if tags is None:
        return None
    (across, down), unit = tags
    if description.startswith("ImageJ="):
        names: dict[str, str] = dict(re.findall(r"^(y?unit)=(.*)$", description, re.MULTILINE))
        x = names.get("unit", "").rstrip()
        sizes = _micrometres(x), _micrometres(names.get("yunit", x).rstrip())
        if sizes[0] and sizes[1]:
            return (sizes[0] / across, sizes[1] / down), f"ImageJ unit {x}"
        if x and _RESOLUTION_UNIT not in page.tags:
            unit = 0  # pixels to whatever that is, not to the inch
    if unit not in _UNITS:
        return None
    name, micrometres = _UNITS[unit]
    return (micrometres / across, micrometres / down), f"{across:g} pixels per {name}"


def _resolution(page: TiffPage) -> tuple[tuple[float, float], int] | None:
    """Pixels per unit in x and y, and the unit; None where the tags say nothing."""
    if _X_RESOLUTION not in page.tags or _Y_RESOLUTION not in page.tags:
        return None
    try:
        across, down = (float(number) for number in page.resolution)
        unit = int(page.resolutionunit)
    except (ValueError, TypeError, ZeroDivisionError):  # 0/0, as some writers put it: nothing is known
        return None
    return ((across, down), unit) if 0 < across < math.inf and 0 < down < math.inf else None


def _scanner(text: str) -> Detected | None:
    """Aperio's microns per pixel, with a comma where the scanner's computer writes one."""
    size = float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else 0
    return ((size, size), f"Aperio MPP {text}") if 0 < size < math.inf else None


def _micrometres(name: str) -> float | None:
    """µm of a unit of length by its name in ImageJ, which writes the micro sign as an escape."""
    return length_of(re.sub(r"\\u(?:00b5|03bc)", "µ", name.casefold()), _LENGTHS)
