"""What is found in a folder: runs, and the layers that their images make."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path

from cartloader_image.errors import CartloaderError
from cartloader_image.images.kinds import is_tiff
from cartloader_image.images.tiff import open_tiff
from cartloader_image.palette import BLUE, BLUISH_GREEN, ORANGE, REDDISH_PURPLE, SKY_BLUE, VERMILION, YELLOW
from cartloader_image.values import made_id, stem_of

_NUCLEI, _OTHERS = BLUE, (ORANGE, REDDISH_PURPLE, BLUISH_GREEN, YELLOW, VERMILION, SKY_BLUE)
_NAMES_OF_NUCLEI = re.compile(r"dapi|hoechst|nuclei|nucleus|draq5|syto|\bdna\b|histone", re.IGNORECASE)
_PICTURES = {".tif", ".tiff", ".btf", ".tf8", ".png", ".jpg", ".jpeg", ".svs", ".ndpi", ".scn", ".qptiff"}
_OURS = (".geotif.tif", ".transform.png")
"""Files that an import makes."""


@dataclass(frozen=True)
class Layer:
    """An image of a run as an entry of a mapping."""

    img_id: str
    path: Path
    options: dict[str, str | Path] = field(default_factory=dict)
    because: str = ""
    """What it rests on."""
    lacking: str = ""
    """Why it cannot be imported like this, so that it is commented out."""


@dataclass(frozen=True)
class Run:
    """The images of one run."""

    what: str
    """Such as ``a Xenium run``."""
    folder: Path
    layers: tuple[Layer, ...]


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, if it is there, by their suffixes; not those that an import has made."""
    if not folder.is_dir():
        return []
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in _PICTURES and not path.name.endswith(_OURS) and path.is_file()
    ]


def colours(stains: list[str]) -> dict[str, str]:
    """A colour for each stain, blue for nuclei."""
    others = cycle(_OTHERS)
    return {stain: _NUCLEI if _NAMES_OF_NUCLEI.search(stain) else next(others) for stain in dict.fromkeys(stains)}


def stains_of(path: Path) -> Iterator[tuple[str, dict[str, str | Path]]]:
    """The name of each channel of an image's first series, and the options that choose it; all of its z as maximum.

    One that cannot be read counts as one without a name: its import tells best what is wrong with it.
    """
    found = list[tuple[str, dict[str, str | Path]]]()
    try:
        if is_tiff(path):
            with open_tiff(path) as tiff:
                series = tiff.series[0]
                channels = sorted({plane.c for plane in series.planes})
                for c in channels:
                    name = series.channels[c]
                    chosen: dict[str, str | Path] = {}
                    if len(channels) > 1:
                        named = name and not name.isdecimal() and series.channels.count(name) == 1
                        chosen["channel"] = name if named else f"{c}"
                    if len({plane.z for plane in series.planes if plane.c == c}) > 1:
                        chosen["z_project"] = "max"
                    found.append((name, chosen))
    except CartloaderError:
        found.clear()
    yield from found or [("", {})]


def layers_of(path: Path, options: dict[str, str | Path], because: str) -> list[Layer]:
    """A layer for each channel of an image, called by the channel's name where there are several."""
    stains = list(stains_of(path))
    if len(stains) == 1:
        return [Layer(made_id(stem_of(path)), path, stains[0][1] | options, because)]
    names = [name or f"channel-{number}" for number, (name, _) in enumerate(stains)]
    shades = colours(names)
    return [
        Layer(made_id(f"{stem_of(path)}-{name}"), path, stained(shades[name]) | chosen | options, because)
        for name, (_, chosen) in zip(names, stains, strict=True)
    ]


def stained(colour: str) -> dict[str, str | Path]:
    """How a stain is shown so that each lets through what lies under it."""
    return {"colorize": colour, "alpha": "intensity"}


def named_apart(layers: list[Layer]) -> list[Layer]:
    """Layers whose ids differ, whatever their case: a later one of the same name has a number."""
    taken = set[str]()
    result = []
    for layer in layers:
        name, number = layer.img_id, 2
        while name.casefold() in taken:
            name, number = f"{layer.img_id}-{number}", number + 1
        taken.add(name.casefold())
        result.append(replace(layer, img_id=name))
    return result
