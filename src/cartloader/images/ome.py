"""OME-XML: what an OME-TIFF says about its images: sizes, pixel sizes with their units, channels, planes.

Reference: the OME data model (schema 2016-06 and its forerunners, whose element names are the same) and the OME-TIFF
specification's rules for `TiffData`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from defusedxml import ElementTree, EntitiesForbidden

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
    """Names of the ``<Channel>`` elements, an empty text where there is none; there may be fewer than channels."""
    depth: int
    samples: int
    """Samples per pixel: how many of ``SizeC`` are in one plane."""
    planes: tuple[OmePlane, ...]
    pixel_size: tuple[float, float] | None
    """µm per pixel in x and y, if both are given in a unit of length."""
    pixel_size_problem: str = ""
    """Why there is no pixel size, such as ``PhysicalSizeX is in pixel``."""
    positions: dict[tuple[int, int, int], tuple[float, float] | str] = field(default_factory=dict)
    """Stage position of planes by (z, c, t), in µm, or why it is none, such as ``PositionX is in pixel``."""


def is_ome(description: str) -> bool:
    """Whether an ImageDescription is an OME-XML document."""
    return description.rstrip().endswith("OME>") and "<" in description[:200]


def read_ome(xml: str, path: Path, pages: int, samples: int = 1) -> list[OmeImage]:
    """The images that an OME-XML block describes and that have planes in this file.

    ``path`` is the TIFF that carries ``xml``, ``pages`` its number of top-level pages, ``samples`` the samples per
    pixel of the first one. Where the block only names a companion file, that is read if it is there. Planes in other
    files of a set are left out.

    Raises:
        MetadataError: the block, or the companion file, is no valid OME-XML.
    """
    root = _parse(xml, path)
    own_id = root.get("UUID", "")
    binary_only = _child(root, "BinaryOnly")
    if binary_only is not None:
        companion = path.with_name(Path(binary_only.get("MetadataFile", "")).name or ".")
        if not companion.is_file():
            return []
        root = _parse(_companion_text(companion), companion)
    reader = _Reader(path, own_id, _other_names(root, path), pages, samples)
    images = [reader.image(element) for element in _children(root, "Image")]
    return [image for image in images if image is not None]


def _parse(xml: str | bytes, path: Path) -> Element:
    try:
        root: Element = ElementTree.fromstring(xml.strip())
    except EntitiesForbidden:
        raise MetadataError(
            f"{path}: its OME-XML defines entities, which OME-XML never needs and may be harmful"
        ) from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # LookupError: an unknown encoding
        raise MetadataError(f"{path}: its OME-XML cannot be parsed ({error})") from None
    return root


def _companion_text(path: Path) -> str | bytes:
    """UTF-8 whatever the document declares, as some writers declare UTF-16 and write UTF-8; else what it declares."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MetadataError(f"{path}: the companion file cannot be read ({error.strerror})") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data


def _children(element: Element, tag: str) -> Iterator[Element]:
    """Children by local name: the namespace tells the schema's version, and all versions are alike here."""
    return (child for child in element if isinstance(child.tag, str) and child.tag.rpartition("}")[2] == tag)


def _child(element: Element, tag: str) -> Element | None:
    return next(_children(element, tag), None)


def _other_names(root: Element, path: Path) -> frozenset[str]:
    """File names in ``UUID`` elements that mean another file than this one.

    A lone name that is not there is this file's, from before it was renamed.
    """
    uuids = [uuid for uuid in root.iter() if isinstance(uuid.tag, str) and uuid.tag.rpartition("}")[2] == "UUID"]
    names = {uuid.get("FileName", "") for uuid in uuids}
    if len(names) == 1 and not any(name and path.with_name(Path(name).name).exists() for name in names):
        return frozenset()
    return frozenset(name.lower() for name in names) - {path.name.lower()}


@dataclass(frozen=True)
class _Reader:
    """Reads ``<Image>`` elements as seen from one file of a set."""

    path: Path
    own_id: str
    other_names: frozenset[str]
    """Names of the set's other files, in lower case."""
    pages: int
    samples: int

    def image(self, element: Element) -> OmeImage | None:
        """The image with its planes in this file, or None where it has none here."""
        pixels = _child(element, "Pixels")
        if pixels is None:
            return None
        sizes = {axis: self._number(pixels, f"Size{axis}", 1, least=1) for axis in "XYZCT"}
        channels = list(_children(pixels, "Channel"))
        samples = max((self._number(channel, "SamplesPerPixel", 1, least=1) for channel in channels), default=1)
        if samples == 1 and sizes["C"] % self.samples == 0:  # some writers do not say that their pages are RGB
            samples = self.samples
        sizes["C"] = max(sizes["C"] // samples, 1)
        planes = tuple(self._planes(pixels, sizes))
        if not planes:
            return None
        pixel_size, problem = _pixel_size(pixels)
        return OmeImage(
            name=element.get("Name", ""),
            width=sizes["X"],
            height=sizes["Y"],
            channels=tuple(channel.get("Name", "") for channel in channels),
            depth=sizes["Z"],
            samples=samples,
            planes=planes,
            pixel_size=pixel_size,
            pixel_size_problem=problem,
            positions=dict(self._positions(pixels)),
        )

    def _planes(self, pixels: Element, sizes: dict[str, int]) -> Iterator[OmePlane]:
        """Walk the ``TiffData`` blocks; each maps a run of planes, in dimension order, to a run of pages."""
        order = pixels.get("DimensionOrder", "XYZCT")
        if sorted(order) != sorted("XYZCT") or order[:2] != "XY":
            raise MetadataError(f'{self.path}: its OME-XML has DimensionOrder="{order}", which is no order of XYZCT')
        axes = order[2:]  # the fastest first
        strides = {axes[0]: 1, axes[1]: sizes[axes[0]], axes[2]: sizes[axes[0]] * sizes[axes[1]]}
        total = sizes["Z"] * sizes["C"] * sizes["T"]
        found: dict[int, int] = {}
        blocks = list(_children(pixels, "TiffData"))
        for block in blocks:
            first = {axis: self._number(block, f"First{axis}", 0) for axis in axes}
            page = self._number(block, "IFD", 0)
            rest = 1 if "IFD" in block.attrib else self.pages
            count = self._number(block, "PlaneCount", self._number(block, "NumPlanes", rest))
            if not self._is_here(block) or any(first[axis] >= sizes[axis] for axis in axes):
                continue
            start = sum(first[axis] * strides[axis] for axis in axes)
            found.update(zip(range(start, min(start + count, total)), range(page, self.pages), strict=False))
        if not blocks:
            found = dict(zip(range(total), range(self.pages), strict=False))
        for index in sorted(found):
            yield OmePlane(found[index], **{axis.lower(): index // strides[axis] % sizes[axis] for axis in "ZCT"})

    def _is_here(self, block: Element) -> bool:
        """Whether a block's planes are in this file: by UUID, which outlives a renaming, else by file name."""
        uuid = _child(block, "UUID")
        if uuid is None or (self.own_id and (uuid.text or "").strip() == self.own_id):
            return True
        return uuid.get("FileName", "").lower() not in self.other_names

    def _positions(self, pixels: Element) -> Iterator[tuple[tuple[int, int, int], tuple[float, float] | str]]:
        for plane in _children(pixels, "Plane"):
            (x, x_problem), (y, y_problem) = (_length(plane, f"Position{axis}", "reference frame") for axis in "XY")
            if "PositionX" in plane.attrib or "PositionY" in plane.attrib:
                z, c, t = (self._number(plane, name, 0) for name in ("TheZ", "TheC", "TheT"))
                yield (z, c, t), x_problem or y_problem if x is None or y is None else (x, y)

    def _number(self, element: Element, name: str, default: int, least: int = 0) -> int:
        """An attribute that is a whole number."""
        text = element.get(name)
        if text is None:
            return default
        if not re.fullmatch(r"\s*\+?[0-9]{1,18}\s*", text) or int(text) < least:
            raise MetadataError(
                f'{self.path}: its OME-XML has {name}="{text}", which is no whole number of at least {least}'
            )
        return int(text)


def _length(element: Element, name: str, default: str = "µm") -> tuple[float | None, str]:
    """A length in µm, or None and the reason; ``default`` is the schema's unit where none is given."""
    text, unit = element.get(name), element.get(f"{name}Unit", default).strip()
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
