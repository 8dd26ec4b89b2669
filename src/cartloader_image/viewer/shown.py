"""Which archives the page shows, where each lies, and what is wrong with those that cannot be shown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cartloader_image.drawing import VECTOR
from cartloader_image.errors import ArchiveError, InputError, sentence
from cartloader_image.inspection.catalogs import inspect_catalog
from cartloader_image.tiles.decode import size_of_tiles
from cartloader_image.tiles.place import place_of
from cartloader_image.tiles.reader import reading
from cartloader_image.tiles.unpack import BROTLI, COMPRESSIONS, ZSTD
from cartloader_image.values import Bounds, made_id

CATALOG = "catalog.yaml"
POINTS = "points"
"""Beside the page, above the tiles of points."""


@dataclass(frozen=True)
class Layer:
    """An archive on the page."""

    id: str
    path: Path
    folder: Path | None = None
    """Beyond which nothing is served, also not by a symbolic link; None for a file that was named itself."""
    problem: str = ""
    """Why it cannot be shown; empty where it can."""
    bounds: Bounds | None = None
    """Where its picture lies, in µm."""
    zooms: tuple[int, int] | None = None
    """The coarsest and the finest."""
    tile: int = 0
    """Pixels a side of its tiles."""
    bytes: int = 0

    @property
    def is_within(self) -> bool:
        """Whether the file lies in the folder that was named, as the system finds it now."""
        return self.folder is None or self.path.resolve().is_relative_to(self.folder)


def layers_of(sources: Sequence[Path]) -> list[Layer]:
    """The archives of files, catalogs and directories, each with an id of its own; the first is on top of the map.

    Of a directory with a ``catalog.yaml`` they are those that it lists, else all that lie in it.

    Raises:
        CatalogError: a catalog cannot be read.
        InputError: a source is missing or holds nothing, or none of the archives can be shown.
    """
    named = [layer for source in sources for layer in _named(source)]
    found: dict[str, Layer] = {}
    for layer in named:
        name, number = layer.id, 2
        while name in found:
            name, number = f"{layer.id} ({number})", number + 1
        found[name] = _looked_at(replace(layer, id=name))
    layers = list(found.values())
    if not layers:
        raise InputError(f"{sources[0]}: lists no basemaps; import_image with --update-catalog adds some")
    if all(layer.problem for layer in layers):
        others = f"; none of the other {len(layers) - 1:,} can be shown either" if len(layers) > 1 else ""
        raise InputError(f"{layers[0].path}: {layers[0].problem}{others}")
    return layers


def listing(layers: Sequence[Layer], title: str, points: str | None = None) -> str:
    """What the page reads first, as JSON: the layers by the addresses of `addresses`, points of that name on top."""
    listed: list[dict[str, Any]] = [
        {
            "id": layer.id,
            "url": address,
            "problem": layer.problem,
            "bounds": edges(layer.bounds) if layer.bounds else None,
            "zooms": layer.zooms,
            "size": layer.tile,
            "bytes": layer.bytes,
        }
        for address, layer in addresses(layers).items()
    ]
    if points:
        listed.insert(0, {"id": f"points of {points}", "url": POINTS, "problem": "", "points": 0})
    return json.dumps({"title": title, "layers": listed}, indent=1)


def addresses(layers: Sequence[Layer]) -> dict[str, Layer]:
    """The address of each archive beside the page; whatever an id holds, it is a plain one."""
    names = (f"archives/{number}-{made_id(layer.id)}.pmtiles" for number, layer in enumerate(layers))
    return dict(zip(names, layers, strict=True))


def edges(bounds: Bounds) -> list[float]:
    """Left, top, right, bottom, in µm."""
    xs, ys = sorted((bounds.ulx, bounds.lrx)), sorted((bounds.uly, bounds.lry))
    return [xs[0], ys[1], xs[1], ys[0]]


def _named(source: Path) -> Iterator[Layer]:
    if not source.exists():
        raise InputError(f"{source}: there is no such file or directory to show")
    if source.is_dir() and not (source / CATALOG).exists():
        archives = sorted(source.glob("*.pmtiles"))
        if not archives:
            raise InputError(f"{source}: has neither a {CATALOG} nor archives (.pmtiles); import_image makes them")
        yield from (Layer(path.stem, path, source.resolve()) for path in archives)
        return
    catalog = source / CATALOG if source.is_dir() else source
    if catalog.suffix.lower() not in {".yaml", ".yml"}:
        yield Layer(source.stem, source)
        return
    folder = catalog.resolve().parent
    for one in inspect_catalog(folder / catalog.resolve().name).basemaps:
        yield Layer(one.id, folder / one.file, folder, one.problem)


def _looked_at(layer: Layer) -> Layer:
    """The layer with what the page has to know of its archive, or with what is wrong with it."""
    if layer.problem:
        return layer
    if not layer.is_within:
        return replace(layer, problem=f"lies outside {layer.folder}; name the file itself to see it")
    try:
        with reading(layer.path) as archive:
            archive.check_size()
            if problem := _unreadable(archive.header.tile_type, archive.header.internal_compression):
                return replace(layer, problem=problem)
            zooms = list(archive.zooms())
            if not zooms:
                return replace(layer, problem="has no tiles")
            bounds, tile = place_of(archive, zooms).bounds, size_of_tiles(archive, zooms[0])[0]
            size = layer.path.stat().st_size
    except (ArchiveError, OSError) as error:
        return replace(layer, problem=sentence(error).removeprefix(f"{layer.path}: "))
    return replace(layer, bounds=bounds, zooms=(zooms[0], zooms[-1]), tile=tile, bytes=size)


def _unreadable(tile_type: int, compression: int) -> str:
    """Why a browser cannot read an archive that is one; empty where it can."""
    if kind := VECTOR.get(tile_type):
        return f"holds vector tiles ({kind}), which are no pictures"
    if compression in {BROTLI, ZSTD}:
        return f"has directories compressed by {COMPRESSIONS[compression]}, which browsers cannot read; gzip is needed"
    return ""
