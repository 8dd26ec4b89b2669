"""What a TIFF says of its size and place beside OME-XML: a scanner's word, ImageJ's calibration, resolution tags.

None of it is believed unless somebody asks for it: many writers put the size of a print there.
"""

from __future__ import annotations

import math
import re

from tifffile import TiffPage

from cartloader_image.errors import shortened
from cartloader_image.units import LENGTHS, length_of

_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_UNITS = {2: ("inch", 25_400.0), 3: ("cm", 10_000.0)}
"""Of ResolutionUnit (TIFF 6.0, section 8), in µm."""
_LENGTHS = LENGTHS | {"inche": 25.4e3, "in": 25.4e3, '"': 25.4e3}
"""µm per unit as people name it in ImageJ."""
_NUMBER = re.compile(r"(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?")
_PHENOIMAGER = "<PerkinElmer-QPI-ImageDescription"
_LEICA = "leica-microsystems.com/scn/"
_AGREE = 0.05
"""Share by which the tags of a scan and its own words may differ in what they say of the same pixels."""
_SIGNED = re.compile(r"-?" + _NUMBER.pattern.replace(",", ""))
_PROPERTY = re.compile(
    r"<name>openslide\.(bounds-(?:x|y|width|height)|level\[0\]\.(?:width|height))</name>\s*<value[^>]*>([^<]{0,40})</"
)
"""A property in the XML that libvips writes into a TIFF."""
Detected = tuple[tuple[float, float], str]
"""µm per pixel in x and y, and where they stand."""


def detectable(description: str, page: TiffPage, series: int) -> Detected | None:
    """The pixel size of a page, where a file says it with something that is often wrong.

    ``description`` is that of the file's first page, ``series`` the index of the series to which the page belongs.
    """
    if description.startswith("Aperio") and (field := re.search(r"\|\s*MPP\s*=([^|\r\n]*)", description)):
        # The scanner speaks of the scan, which is the first series, not of its thumbnail or label.
        return _scanner(field[1].strip()) if series == 0 else None
    words = _words(description, page, series)
    tags = _resolution(page)
    if tags is None:
        return words
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
        return words
    name, micrometres = _UNITS[unit]
    sizes = micrometres / across, micrometres / down
    if words and any(abs(size / said - 1) > _AGREE for size, said in zip(sizes, words[0], strict=True)):
        return None  # the file contradicts itself
    return sizes, f"{across:g} pixels per {name}"


def cut_at(description: str, page: TiffPage) -> tuple[float, float] | str | None:
    """Column and row, in a picture's own pixels, of its first pixel in the slide from which it was cut.

    ImageJ's origin is the pixel at which 0,0 lies; QuPath puts there minus the corner of the part that it writes.
    libvips hands on OpenSlide's properties of the whole slide, of which it has cut out what is scanned.

    Returns:
        The corner; or why what the file says is not of this picture; or None where it says nothing.
    """
    if description.startswith("ImageJ="):
        found = dict(re.findall(r"^([xy])origin=(.*)$", description, re.MULTILINE))
        if all(_SIGNED.fullmatch(value.strip()) for value in found.values()):
            return (-float(found.get("x", 0)), -float(found.get("y", 0))) if found else None
        return f"its ImageJ origin is no number ({shortened(str(found))})"
    return _openslide_bounds(description, page)


def _openslide_bounds(description: str, page: TiffPage) -> tuple[float, float] | str | None:
    facts = dict(_PROPERTY.findall(description))
    whole = facts.get("level[0].width"), facts.get("level[0].height")
    if not facts or whole == (size := (str(page.imagewidth), str(page.imagelength))):
        return (0.0, 0.0) if facts else None
    if (facts.get("bounds-width"), facts.get("bounds-height")) != size:
        return f"the place that OpenSlide tells is that of another picture than one of {' × '.join(size)} pixels"
    if not all(facts.get(name, "").isdecimal() for name in ("bounds-x", "bounds-y")):
        return "OpenSlide tells no place of what was scanned"
    return float(facts["bounds-x"]), float(facts["bounds-y"])


def _words(description: str, page: TiffPage, series: int) -> Detected | None:
    """What a scanner says in the XML of its first page: Akoya's PhenoImager, Leica's SCN400.

    The documents are searched for the few words in question, not parsed: they hold whole scan protocols.
    """
    if _PHENOIMAGER in description:
        found = re.search(r"<PixelSizeMicrons>([^<]{1,40})</", description) if series == 0 else None
        size = _number(found[1]) if found else None
        return ((size, size), f"PixelSizeMicrons {size:g}") if size else None
    if _LEICA not in description:
        return None
    for image in re.findall(r"<image\b.*?</image>", description, re.DOTALL):
        # Of the sizes of an image in pixels, the one of this page; of its view, in nm.
        if not any(_attribute(one, "ifd") == page.index for one in re.findall(r"<dimension\b[^>]*>", image)):
            continue
        view = re.search(r"<view\b[^>]*>", image)
        across, down = (_attribute(view[0], f"size{axis}") if view else None for axis in "XY")
        if across and down:
            return (across / 1000 / page.imagewidth, down / 1000 / page.imagelength), "the view of its SCN image"
    return None


def _attribute(element: str, name: str) -> float | None:
    """A number of an element of XML."""
    found = re.search(rf'\b{name}="([^"]{{1,40}})"', element)
    return float(found[1]) if found and re.fullmatch(_NUMBER, found[1]) else None


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
    size = _number(text)
    return ((size, size), f"Aperio MPP {text}") if size else None


def _number(text: str) -> float | None:
    """A size above 0, in figures of any country."""
    size = float(text.replace(",", ".")) if _NUMBER.fullmatch(text.strip()) else 0
    return size if 0 < size < math.inf else None


def _micrometres(name: str) -> float | None:
    """µm of a unit of length by its name in ImageJ, which writes the micro sign as an escape."""
    return length_of(re.sub(r"\\u(?:00b5|03bc)", "µ", name.casefold()), _LENGTHS)
