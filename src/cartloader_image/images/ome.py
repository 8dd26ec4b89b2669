"""OME-XML: what an OME-TIFF says about its images: sizes, pixel sizes with their units, channels, planes.

Reference: the OME data model (schema 2016-06 and its forerunners, whose element names are the same). Which page holds
which plane is settled in `cartloader_image.images.ome_planes`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

from defusedxml import DefusedXmlException, ElementTree, EntitiesForbidden

from cartloader_image.budget import USUAL, Budget, Cost
from cartloader_image.errors import CartloaderError, MetadataError, shortened
from cartloader_image.images.directories import opened
from cartloader_image.images.kinds import TIFF
from cartloader_image.images.ome_planes import Block, OmePlane, ShapeOf, Share, attribute, in_turn, same_name
from cartloader_image.system.reading import open_file

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


_CLAIMS = 4
"""How often each plane may be said to be somewhere, on the average, such as once for each sample."""
_MARKS = "\ufeff\xef\xbb\xbf"
"""A byte order mark, as a character and as the bytes of UTF-8 read as Latin-1."""


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
    elsewhere: dict[str, str] = field(default_factory=dict)
    """The file of the set that holds a channel, by the channel's name."""


@dataclass(frozen=True)
class Ome:
    """What an OME-XML block says of the file that carries it."""

    images: tuple[OmeImage, ...] = ()
    notes: tuple[str, ...] = ()
    """What was guessed to tell pages and planes apart."""
    lost: str = ""
    """The file that the block names for its metadata and that is not there."""


def is_ome(description: str) -> bool:
    """Whether an ImageDescription is an OME-XML document; comments may stand before it and after it."""
    return re.match(r"\s*<(\?xml|!--|(\w+:)?OME\b)", description.lstrip(_MARKS)) is not None and "OME>" in description


def read_ome(xml: str, path: Path, pages: int, shape_of: ShapeOf, budget: Budget = USUAL) -> Ome:
    """The images that an OME-XML block describes and that have planes in this file.

    ``path`` is the TIFF that carries ``xml``, ``pages`` its number of top-level pages, and ``shape_of`` looks at one.
    Where the block only names a file with the metadata, that is read. Planes in other files of a set are left out.

    Raises:
        MetadataError: the block, or the file with the metadata, is no valid OME-XML, or cannot be true of this file.
    """
    root = _parse(xml, path, budget)
    own_id = _identity(root.get("UUID", ""))
    if (name := _metadata_name(root)) is not None:
        companion = _beside(path, name)
        if companion is None:
            return Ome(lost=shortened(name) or "another file")
        root = _parse(_companion_text(companion, budget), companion, budget)
        if _metadata_name(root) is not None:
            return Ome(lost=shortened(name))
    return _Reader(path, own_id, pages, shape_of, budget).read(root)


def named_in(xml: str, path: Path, budget: Budget = USUAL) -> Path | None:
    """The file beside ``path`` that an OME-XML block names for its metadata; None where there is none.

    Raises:
        MetadataError: the block is no valid OME-XML.
    """
    if "BinaryOnly" not in xml:  # metadata of a whole plate take long to parse
        return None
    return _beside(path, _metadata_name(_parse(xml, path, budget)) or "")


def _metadata_name(root: Element) -> str | None:
    """The file that a block names for its metadata, without directories; None where the block has them itself."""
    binary_only = _child(root, "BinaryOnly")
    return _file_name(binary_only.get("MetadataFile", "")) if binary_only is not None else None


def _beside(path: Path, name: str) -> Path | None:
    """The other file of a name in the directory of ``path``, in whatever case and form; None where there is none."""
    if not name:
        return None
    with suppress(OSError, ValueError):  # a name that no file can have, a directory that cannot be listed
        if (companion := path.with_name(name)).is_file():
            return companion if companion.name != path.name else None
        others = (file for file in path.parent.iterdir() if file.name != path.name)
        return next((file for file in others if same_name(name, file.name) and file.is_file()), None)
    return None


def _file_name(text: str) -> str:
    """The last part of a path as any system writes it: directories are those of the machine that wrote the file."""
    return PureWindowsPath(text.strip()).name


def _identity(uuid: str) -> str:
    """A UUID in the one form that all of its spellings have (RFC 4122: case does not matter)."""
    return uuid.strip().lower().removeprefix("urn:").removeprefix("uuid:").strip("{}")


def _parse(xml: str | bytes, path: Path, budget: Budget) -> Element:
    budget.check_xml(path, xml)
    try:
        root: Element = ElementTree.fromstring(_document(xml))
    except EntitiesForbidden:
        raise MetadataError(
            f"{path}: its OME-XML defines entities, which OME-XML never needs and may be harmful"
        ) from None
    # LookupError: an unknown encoding
    except (ElementTree.ParseError, DefusedXmlException, ValueError, LookupError, RecursionError) as error:
        raise MetadataError(f"{path}: its OME-XML cannot be parsed ({error})") from None
    return root


def _document(xml: str | bytes) -> str | bytes:
    """The document alone: without a byte order mark before it, comments, and what follows its end."""
    if isinstance(xml, bytes):
        return xml.strip()
    xml = "".join(_between_comments(xml))
    end = list(re.finditer(r"</(?:\w+:)?OME\s*>", xml))
    return xml[: end[-1].end()].lstrip(_MARKS).strip() if end else xml.strip("\0").lstrip(_MARKS).strip()


def _between_comments(xml: str) -> Iterator[str]:
    """The pieces of a document beside its comments; one that does not end is none."""
    start = 0
    while (begin := xml.find("<!--", start)) >= 0 and (end := xml.find("-->", begin + 4)) >= 0:
        yield xml[start:begin]
        start = end + 3
    yield xml[start:]


def _companion_text(path: Path, budget: Budget) -> str | bytes:
    """The document in a companion file, or in the first page of another OME-TIFF.

    Text is UTF-8 whatever it declares, as some writers declare UTF-16 and write UTF-8; else what it declares.
    """
    try:
        with open_file(path) as raw:
            data = raw.read(4)
            if not data.startswith(TIFF):
                budget.check(path, Cost.XML, os.fstat(raw.fileno()).st_size)
                data += raw.read()
        if data.startswith(TIFF):
            with opened(path, budget) as file:
                return file.pages.first.description
    except CartloaderError:
        raise
    except OSError as error:
        raise MetadataError(f"{path}: the companion file cannot be read ({error.strerror})") from None
    except Exception as error:  # whatever tifffile meets in a damaged file
        raise MetadataError(f"{path}: is no TIFF that can be read ({error})") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data


def _children(element: Element, tag: str) -> Iterator[Element]:
    """Children by local name: the namespace tells the schema's version, and all versions are alike here."""
    return (child for child in element if isinstance(child.tag, str) and child.tag.rpartition("}")[2] == tag)


def _child(element: Element, tag: str) -> Element | None:
    return next(_children(element, tag), None)


@dataclass(frozen=True)
class _Reader:
    """Reads ``<Image>`` elements as seen from one file of a set."""

    path: Path
    own_id: str
    pages: int
    shape_of: ShapeOf
    budget: Budget

    def read(self, root: Element) -> Ome:
        """All images with planes here, and how their planes were told apart."""
        found = [(element, pixels) for element in _children(root, "Image") for pixels in _children(element, "Pixels")]
        wanted = [self._wanted(pixels) for _, pixels in found]
        try:
            if len(wanted) > 1 and not any(share.blocks for share in wanted):
                wanted = in_turn(wanted, self.pages, self.shape_of)
            planes, notes = attribute(
                wanted, self.path.name, self.own_id, self.pages, self.shape_of, _CLAIMS * self.budget.most(Cost.PLANES)
            )
        except ValueError as error:
            raise MetadataError(f"{self.path}: {error}") from None
        images = [
            self._image(element, pixels, share, own)
            for (element, pixels), share, own in zip(found, wanted, planes, strict=True)
            if own
        ]
        here = self.shape_of(0)
        fitting = [(share.sizes["X"], share.sizes["Y"]) == (here.width, here.height) for share in wanted]
        sizes = {
            _pixel_size(pixels)[0] for (_, pixels), fits in zip(found, fitting, strict=True) if fits or not any(fitting)
        }
        if len(sizes) > 1 and any(not plane.attributed for own in planes for plane in own):
            problem = "its OME-XML has images of several pixel sizes, and which one this is cannot be told"
            images = [replace(image, pixel_size=None, pixel_size_problem=problem) for image in images]
        return Ome(tuple(images), notes)

    def _wanted(self, pixels: Element) -> Share:
        """The planes that an image has, in whatever file."""
        order = pixels.get("DimensionOrder", "XYCZT")
        if sorted(order) != sorted("XYCZT") or order[:2] != "XY":
            raise MetadataError(
                f'{self.path}: its OME-XML has DimensionOrder="{shortened(order)}", which is no order of XYZCT'
            )
        sizes = {axis: self._number(pixels, f"Size{axis}", 1, least=1) for axis in "XYZCT"}
        samples = [self._number(channel, "SamplesPerPixel", 1, least=1) for channel in _children(pixels, "Channel")]
        blocks = [self._block(element, order[2:]) for element in _children(pixels, "TiffData")]
        for count in samples:
            self.budget.check(self.path, Cost.CHANNELS, count)
        # One that says nothing means all planes, from the first page on, as none at all does.
        return Share(order[2:], sizes, max(samples, default=1), tuple(blocks) if {*blocks} - {Block()} else ())

    def _block(self, element: Element, axes: str) -> Block:
        uuid = _child(element, "UUID")
        page = self._number(element, "IFD", 0) if "IFD" in element.attrib else None
        count = next(
            (self._number(element, name, 1) for name in ("PlaneCount", "NumPlanes") if element.get(name)), None
        )
        return Block(
            first=tuple(self._number(element, f"First{axis}", 0) for axis in axes),
            page=page,
            count=count,
            file=_file_name(uuid.get("FileName", "")) if uuid is not None else "",
            uuid=_identity(uuid.text or "") if uuid is not None else "",
        )

    def _image(self, element: Element, pixels: Element, share: Share, planes: tuple[OmePlane, ...]) -> OmeImage:
        # LogicalChannel: before the schema of 2010
        channels = [*_children(pixels, "Channel")] or [*_children(element, "LogicalChannel")]
        names = tuple(channel.get("Name", "").strip() for channel in channels)
        pixel_size, problem = _pixel_size(pixels)
        samples = share.samples_on(self.shape_of(planes[0].page))
        known = all(plane.attributed for plane in planes)
        there = {plane.c for plane in planes}
        return OmeImage(
            name=element.get("Name", ""),
            width=share.sizes["X"],
            height=share.sizes["Y"],
            channels=names if known else (),
            depth=share.sizes["Z"],
            samples=samples,
            planes=planes,
            pixel_size=pixel_size,
            pixel_size_problem=problem,
            positions=dict(self._positions(pixels)) if known else {},
            elsewhere={names[c]: shortened(file) for c, file in share.elsewhere(there).items() if c < len(names)},
        )

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
                f'{self.path}: its OME-XML has {name}="{shortened(text)}", which is no whole number of at least {least}'
            )
        return int(text)


def _length(element: Element, name: str, default: str = "µm") -> tuple[float | None, str]:
    """A length in µm, or None and the reason; ``default`` is the schema's unit where none is given."""
    text, unit = element.get(name), element.get(f"{name}Unit", default).strip()
    if text is None:
        return None, f"{name} is missing"
    if unit not in MICROMETRES:
        return None, f"{name} is in {shortened(unit)}, which is no unit of length"
    try:
        value = float(text) * MICROMETRES[unit]
    except ValueError:
        return None, f"{name} is {shortened(text)!r}, which is no number"
    return (value, "") if math.isfinite(value) else (None, f"{name} is {text}")


def _pixel_size(pixels: Element) -> tuple[tuple[float, float] | None, str]:
    """PhysicalSizeX and Y, each with its own unit."""
    (x, x_problem), (y, y_problem) = _length(pixels, "PhysicalSizeX"), _length(pixels, "PhysicalSizeY")
    if x is None or y is None:
        return None, x_problem or y_problem
    if min(x, y) <= 0:
        return None, f"PhysicalSizeX × Y is {x:g} × {y:g} µm"
    return (x, y), ""
