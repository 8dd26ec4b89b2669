"""Code that shows archives in a page or program of somebody else, with all that it has to know of them filled in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cartloader_image.errors import UsageError
from cartloader_image.tiles.grid import lon_lat
from cartloader_image.tiles.reader import reading
from cartloader_image.viewer.shown import Layer, edges

PLACEHOLDER = "https://example.org/map/"
_USUAL = ["id", "url", "tileSize", "minzoom", "maxzoom", "bounds", "attribution"]
_KEYS = {"qgis": ["id", "source"]}
"""What a program has to be told of an archive."""
_DEGREES = 10
"""Digits behind the point: hundredths of a nanometre."""


def snippet(program: str, layers: Sequence[Layer], url: str | None = None) -> str:
    """Code for a program that shows those of the archives that can be shown.

    Args:
        program: The library (``maplibre``, ``deckgl``, ``leaflet``, ``openlayers``), or ``qgis``.
        layers: The archives; the first is on top.
        url: Where they lie on the web: the folder, or the archive itself if there is one. Unless given it is a
            placeholder, or for QGIS where they lie here.

    Raises:
        ArchiveError: an archive is damaged.
        UsageError: two of them have the same name.
    """
    good = [layer for layer in layers if layer.bounds and layer.zooms]
    lefts, tops, rights, bottoms = zip(*(edges(layer.bounds) for layer in good if layer.bounds), strict=True)
    extent = [min(lefts), min(bottoms), max(rights), max(tops)]
    _check_names(good)
    keys = _KEYS.get(program, _USUAL)
    listed = [_facts(layer, url, alone=len(good) == 1) for layer in good]
    lines = [json.dumps({key: one[key] for key in keys if one[key] != ""}, ensure_ascii=False) for one in listed]
    west, south, east, north = _degrees(extent)
    (file,) = Path(__file__).with_name("snippets").glob(f"{program}.*")
    code = file.read_text(encoding="utf-8")
    code = code.replace("BOUNDS", json.dumps([[west, south], [east, north]])).replace("EXTENT", json.dumps(extent))
    return code.replace("LAYERS", "[\n" + "".join(f"  {line},\n" for line in lines) + "]")


def _check_names(layers: Sequence[Layer]) -> None:
    names = [layer.path.name for layer in layers]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise UsageError(f"{twice}: two archives have this name, and one address; print the code of one at a time")


def _facts(layer: Layer, url: str | None, *, alone: bool) -> dict[str, Any]:
    assert layer.bounds
    assert layer.zooms
    left, top, right, bottom = edges(layer.bounds)
    with reading(layer.path) as archive:
        attribution = archive.metadata.get("attribution")
    address = _address(url or PLACEHOLDER, layer, alone=alone)
    return {
        "id": layer.id,
        "url": address,
        "source": f"/vsicurl/{address}" if url else str(layer.path.resolve()),
        "tileSize": layer.tile,
        "minzoom": layer.zooms[0],
        "maxzoom": layer.zooms[1],
        "bounds": _degrees([left, bottom, right, top]),
        "attribution": attribution if isinstance(attribution, str) else "",
    }


def _address(url: str, layer: Layer, *, alone: bool) -> str:
    if alone and url.endswith(".pmtiles"):
        return url
    return f"{url.rstrip('/')}/{quote(layer.path.name)}"


def _degrees(extent: Sequence[float]) -> list[float]:
    """West, south, east, north of an extent in map units."""
    left, bottom, right, top = extent
    return [round(value, _DEGREES) for corner in ((left, bottom), (right, top)) for value in lon_lat(*corner)]
