"""OME-XML: what an OME-TIFF says about its images: sizes, pixel sizes with their units, channels, planes.

Reference: the OME data model (schema 2016-06 and its forerunners, whose element names are the same) and the OME-TIFF
specification's rules for `TiffData`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from defusedxml import ElementTree

from cartloader.errors import MetadataError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element  # the type only; parsing is defusedxml's

MICROMETRES = {
    "ym": 1e-18, "zm": 1e-15, "am": 1e-12, "fm": 1e-9, "pm": 1e-6, "nm": 1e-3, "\u00b5m": 1.0, "\u03bcm": 1.0,
    "um": 1.0, "micron": 1.0, "mm": 1e3, "cm": 1e4, "dm": 1e5, "m": 1e6, "dam": 1e7, "hm": 1e8, "km": 1e9, "Mm": 1e12,
    "Gm": 1e15, "Tm": 1e18, "Pm": 1e21, "Em": 1e24, "Zm": 1e27, "Ym": 1e30, "\u00c5": 1e-4, "\u212b": 1e-4,
    "thou": 25.4, "li": 25.4e3 / 12, "in": 25.4e3, "ft": 304.8e3, "yd": 914.4e3, "mi": 1609.344e6,
    "pt": 25.4e3 / 72, "ua": 149597870700e6, "ly": 9460730472580800e6, "pc": 648000 / math.pi * 149597870700e6,
}  # fmt: skip
"""µm per length unit of the OME data model; micro and ångström signs by both of their code points."""


@dataclass(frozen=True)
class OmePlane:
    """One 2-D plane of an `OmeImage`: its indices, and the top-level page of this file that holds it."""

    page: int
    z: int
    c: int
    t: int


@dataclass(frozen=True)
class OmeImage:
    """One ``<Image>``, with those of its planes that are in this file, in the order of its dimensions."""

    name: str
    width: int
    height: int
    channels: tuple[str, ...]
    """Channel names, by C index; an empty text where there is none."""
    depth: int
    planes: tuple[OmePlane, ...]
    pixel_size: tuple[float, float] | None
    """µm per pixel in x and y, if both are given in a unit of length."""
    pixel_size_problem: str = ""
    """Why there is no pixel size, such as ``PhysicalSizeX is in pixel``."""
    positions: dict[tuple[int, int, int], tuple[float, float]] = field(default_factory=dict)
    """Stage position of planes by (z, c, t), in µm."""


def is_ome(description: str) -> bool:
    """Whether an ImageDescription is an OME-XML document."""
    return description.rstrip().endswith("OME>") and "<" in description[:200]


def read_ome(xml: str, path: Path, pages: int) -> list[OmeImage]:
    """The images that an OME-XML block describes and that have planes in this file.

    ``path`` is the TIFF that carries ``xml`` and ``pages`` its number of top-level pages. Where the block only names a
    companion file, that is read if it is there. Planes in other files of a set are left out.

    Raises:
        MetadataError: the block is no valid XML.
    """
    root = _parse(xml, path)
    own_id = root.get("UUID", "")
    binary_only = _child(root, "BinaryOnly")
    if binary_only is not None:
        companion = path.with_name(Path(binary_only.get("MetadataFile", "")).name or ".")
        if not companion.is_file():
            return []
        root = _parse(companion.read_text(encoding="utf-8"), companion)
    images = [_image(element, own_id, path.name, pages) for element in _children(root, "Image")]
    return [image for image in images if image is not None]


def _parse(xml: str, path: Path) -> Element:
    try:
        root: Element = ElementTree.fromstring(xml.strip().rstrip("\0"))
    except (ElementTree.ParseError, ValueError) as error:
        raise MetadataError(f"{path}: its OME-XML cannot be parsed ({error})") from None
    return root


def _children(element: Element, tag: str) -> Iterator[Element]:
    """Children by local name: the namespace tells the schema's version, and all versions are alike here."""
    return (child for child in element if isinstance(child.tag, str) and child.tag.rpartition("}")[2] == tag)


def _child(element: Element, tag: str) -> Element | None:
    return next(_children(element, tag), None)


def _image(element: Element, own_id: str, file_name: str, pages: int) -> OmeImage | None:
    pixels = _child(element, "Pixels")
    if pixels is None:
        return None
    channels = list(_children(pixels, "Channel"))
    samples = max((int(channel.get("SamplesPerPixel", 1)) for channel in channels), default=1)
    sizes = {axis: max(int(pixels.get(f"Size{axis}", 1)), 1) for axis in "XYZCT"}
    sizes["C"] = max(sizes["C"] // samples, 1)
    planes = list(_planes(pixels, sizes, own_id, file_name, pages))
    if not planes:
        return None
    names = [channel.get("Name", "") for channel in channels][: sizes["C"]]
    pixel_size, problem = _pixel_size(pixels)
    return OmeImage(
        name=element.get("Name", ""),
        width=sizes["X"],
        height=sizes["Y"],
        channels=(*names, *[""] * (sizes["C"] - len(names))),
        depth=sizes["Z"],
        planes=tuple(planes),
        pixel_size=pixel_size,
        pixel_size_problem=problem,
        positions=dict(_positions(pixels)),
    )


def _planes(pixels: Element, sizes: dict[str, int], own_id: str, file_name: str, pages: int) -> Iterator[OmePlane]:
    """Walk the ``TiffData`` blocks; each maps a run of planes, in dimension order, to a run of pages."""
    axes = [axis for axis in pixels.get("DimensionOrder", "XYZCT") if axis in "ZCT"]  # the fastest first
    strides = {axes[0]: 1, axes[1]: sizes[axes[0]], axes[2]: sizes[axes[0]] * sizes[axes[1]]}
    total = sizes["Z"] * sizes["C"] * sizes["T"]
    found: dict[int, int] = {}
    blocks = list(_children(pixels, "TiffData"))
    for block in blocks:
        first = {axis: int(block.get(f"First{axis}", 0)) for axis in axes}
        if not _in_this_file(block, own_id, file_name) or any(first[axis] >= sizes[axis] for axis in axes):
            continue
        count = block.get("PlaneCount", block.get("NumPlanes", "1" if "IFD" in block.attrib else None))
        start = sum(first[axis] * strides[axis] for axis in axes)
        stop = min(start + (pages if count is None else int(count)), total)
        found.update(zip(range(start, stop), range(int(block.get("IFD", 0)), pages), strict=False))
    if not blocks:
        found = dict(zip(range(total), range(pages), strict=False))
    for index in sorted(found):
        yield OmePlane(found[index], **{axis.lower(): index // strides[axis] % sizes[axis] for axis in "ZCT"})


def _in_this_file(block: Element, own_id: str, file_name: str) -> bool:
    """Whether a block's planes are here: by UUID, which outlives a renaming, else by file name."""
    uuid = _child(block, "UUID")
    if uuid is None:
        return True
    if own_id and (uuid.text or "").strip() == own_id:
        return True
    return uuid.get("FileName", file_name).lower() == file_name.lower()


def _length(element: Element, name: str) -> tuple[float | None, str]:
    """A length in µm, or None and the reason; the schema's default unit is µm."""
    text, unit = element.get(name), element.get(f"{name}Unit", "µm").strip()
    if text is None:
        return None, f"{name} is missing"
    if unit not in MICROMETRES:
        return None, f"{name} is in {unit}, which is no unit of length"
    try:
        value = float(text) * MICROMETRES[unit]
    except ValueError:
        return None, f"{name} is {text!r}, which is no number"
    return (value, "") if math.isfinite(value) else (None, f"{name} is {text}")


def _pixel_size(pixels: Element) -> tuple[tuple[float, float] | None, str]:
    """PhysicalSizeX and Y, each with its own unit."""
    (x, x_problem), (y, y_problem) = _length(pixels, "PhysicalSizeX"), _length(pixels, "PhysicalSizeY")
    if x is None or y is None:
        return None, x_problem or y_problem
    if min(x, y) <= 0:
        return None, f"PhysicalSizeX × Y is {x:g} × {y:g} µm"
    return (x, y), ""


def _positions(pixels: Element) -> Iterator[tuple[tuple[int, int, int], tuple[float, float]]]:
    for plane in _children(pixels, "Plane"):
        (x, _), (y, _) = _length(plane, "PositionX"), _length(plane, "PositionY")
        if x is not None and y is not None:
            yield (int(plane.get("TheZ", 0)), int(plane.get("TheC", 0)), int(plane.get("TheT", 0))), (x, y)
