"""`cartloader info`: what an image, an archive or a catalog holds, for a person or as JSON."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cartloader_flows.cli.options import InfoCommand
from cartloader_flows.cli.parser import parsed
from cartloader_flows.cli.summary import between, note_lines, size, zooms_and_tiles
from cartloader_image.budget import Budget
from cartloader_image.crs import short_name
from cartloader_image.errors import shortened, visible
from cartloader_image.system.reading import read_file

if TYPE_CHECKING:
    from cartloader_image.inspection.archives import ArchiveInfo
    from cartloader_image.inspection.catalogs import BasemapInfo, CatalogInfo
    from cartloader_image.inspection.imports import ImportInfo
    from cartloader_image.inspection.pictures import Inspection, SeriesInfo

_SHOWN = 8
"""Series and levels that a person is shown; a plate has hundreds."""
_LONGEST = 200
"""Characters of a text of the file."""
_MAGIC = b"PMTiles"


def info(argv: Sequence[str]) -> int:
    """Show what an image, an archive or a catalog holds, and how an image is imported."""
    command = parsed(InfoCommand, argv, "cartloader info [--json] [--max-input-cost FACTOR] FILE", f"{info.__doc__}")
    what, found, lines = _looked_at(command.file, command.max_input_cost)
    if command.as_json:
        print(json.dumps({"what": what, **_plain(found)}, indent=2))
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print("\n".join(lines(found, width)))
    return 0


def _looked_at(path: Path, cost: float = 1) -> tuple[str, Any, Any]:
    """What a file is, what it holds, and what makes lines of that; nothing is imported that it has no use for."""
    if path.suffix.lower() in {".yaml", ".yml"}:
        from cartloader_image.inspection.catalogs import inspect_catalog  # noqa: PLC0415

        return "catalog", inspect_catalog(path, Budget(cost)), _catalog_lines
    if path.suffix.lower() == ".pmtiles" or _begins_as_archive(path):
        from cartloader_image.inspection.archives import inspect_archive  # noqa: PLC0415

        return "archive", inspect_archive(path), _archive_lines
    from cartloader_image.inspection.pictures import inspect  # noqa: PLC0415

    return "image", inspect(path, max_input_cost=cost), _image_lines


def _begins_as_archive(path: Path) -> bool:
    return path.is_file() and read_file(path, len(_MAGIC)) == _MAGIC


def _plain(value: Any) -> Any:
    """A value as JSON has it: objects by the names of their fields; no number that JSON lacks."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return str(value) if isinstance(value, Path) else value


def _rows(rows: Iterable[tuple[str, str]], width: int | None) -> Iterator[str]:
    for name, text in rows:
        yield from note_lines(f"  {visible(name):<15} ", [visible(text)], width)


def _image_lines(found: Inspection, width: int | None) -> Iterator[str]:
    from cartloader_image.kernels import door  # noqa: PLC0415  (--help must not wait for numpy)

    several = f", {len(found.series):,} series" if len(found.series) > 1 else ""
    yield f"{visible(found.path.name)}  {found.kind}, {size(found.bytes)}{several}"
    for index, one in enumerate(found.series[:_SHOWN]):
        yield from _rows(_series_rows(one, f"series {index}" if several else "image"), width)
        if not one.import_image.refused:
            yield f"{'':<18}{visible(one.import_image.command)}"
    if not door.there():
        yield from _rows([("kernels", f"{door.state()}; the import takes about twice as long")], width)
    if len(found.series) > _SHOWN:
        yield f"  and {len(found.series) - _SHOWN:,} more series, which --json has"


def _series_rows(one: SeriesInfo, name: str) -> Iterator[tuple[str, str]]:
    yield name, f"{one.description}, {one.resolution}"
    if len(one.planes) > 1:
        yield "planes", f"{len(one.planes):,}: {one.listed_planes}"
    if len(one.levels) > 1:
        listed = ", ".join(f"{level.width:,} × {level.height:,}" for level in one.levels[:_SHOWN])
        yield "levels", f"{len(one.levels)}: {listed}{' …' if len(one.levels) > _SHOWN else ''}"
    if one.storage:
        photometric, codec, pieces, piece = one.storage
        yield "stored as", f"{photometric}, {codec}, {pieces}s of {piece.width:,} × {piece.height:,}"
    if one.crs:
        yield "reference", short_name(one.crs)
    text = _import_text(one.import_image)
    for note in (*one.notes, *one.import_image.notes):
        if note not in text:
            yield "note", note
    yield "import", text


def _import_text(found: ImportInfo) -> str:
    if needs := found.needs:
        tiles, disk = zooms_and_tiles(needs.min_zoom, needs.max_zoom, needs.tiles), between(*needs.disk)
        return f"{tiles}; takes {disk} of disk and {size(needs.memory)} of memory"
    if found.refused:
        return f"is refused: {found.refused}"
    return f"lacks {found.choices[-1].option}: {found.choices[-1].why}"


def _archive_lines(found: ArchiveInfo, width: int | None) -> Iterator[str]:
    header = found.header
    yield f"{visible(found.path.name)}  PMTiles 3, {size(found.bytes)}, {found.tile_type} tiles"
    yield from _rows(_archive_rows(found), width)
    yield f"  {'zoom':<15} {'tiles':>13} {'different':>13} {'size':>9}"
    for one in found.zooms:
        yield f"  {one.zoom:<15} {one.tiles:>13,} {one.contents:>13,} {size(one.bytes):>9}"
    counts = header.addressed_tiles_count, header.tile_contents_count, header.tile_data_length
    yield f"  {'by the header':<15} {counts[0]:>13,} {counts[1]:>13,} {size(counts[2]):>9}"


def _archive_rows(found: ArchiveInfo) -> Iterator[tuple[str, str]]:
    header = found.header
    if found.bounds:
        yield "place", f"{found.bounds.rounded} µm (ulx,uly,lrx,lry)"
    west, south, east, north = header.bounds
    centre = f"{header.center_lon_e7 / 1e7:g},{header.center_lat_e7 / 1e7:g} at zoom {header.center_zoom}"
    yield "degrees", f"{west:g},{south:g},{east:g},{north:g}, centre {centre}"
    yield "zooms", f"{header.min_zoom} to {header.max_zoom} by the header"
    order = "clustered" if header.clustered else "not clustered"
    yield "compressed by", f"{found.tile_compression} (tiles), {found.internal_compression} (directories); {order}"
    for index, (name, value) in enumerate(_metadata(found.metadata)):
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield "" if index else "metadata", f"{shortened(name, 40)}: {shortened(text, _LONGEST)}"


def _metadata(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """What an archive says of itself, our own words one by one; nothing that is empty."""
    for key, value in document.items():
        own = value.items() if key == "cartloader" and isinstance(value, dict) else {None: value}.items()
        for name, part in own:
            if part not in (None, [], {}):
                yield key if name is None else f"{key}.{name}", part


def _catalog_lines(found: CatalogInfo, width: int | None) -> Iterator[str]:
    count = f"{len(found.basemaps):,} basemap{'' if len(found.basemaps) == 1 else 's'}"
    title = f"{visible(shortened(found.title))}, " if found.title else ""
    yield f"{visible(found.path.name)}  {title}{count}"
    yield from _rows(((shortened(one.id, 40), _basemap_text(one)) for one in found.basemaps), width)


def _basemap_text(one: BasemapInfo) -> str:
    if one.zooms is None:
        return f"{shortened(one.file)}  {one.problem}"
    low, high = one.zooms
    return f"{shortened(one.file)}  {size(one.bytes)}, {f'z{low}–{high}' if low < high else f'z{high}'}"
