"""The end of a run in a few lines: numbers with their units, thousands separated."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cartloader.results import CatalogResult, ImageResult, RunResult


def summary(result: RunResult, sources: Mapping[str, str]) -> str:
    """All finished images and updated catalogs, one line or a small block each; ``sources`` are file names by id."""
    blocks = [image_lines(image, sources[image.img_id]) for image in result.images]
    return "\n".join(line for block in [*blocks, map(catalog_line, result.catalogs)] for line in block)


def image_lines(image: ImageResult, source: str) -> list[str]:
    """What became of one image; nothing for one that only entered a catalog."""
    details: list[str] = []
    files: list[Path] = []
    description = ""
    if image.raster:
        description = f"  {image.raster.description}"
        details.append(f"shown {image.raster.shown}")
        files += image.raster.files
    if image.tiles:
        tiles = image.tiles
        zooms = f"z{tiles.min_zoom}–{tiles.max_zoom}" if tiles.min_zoom < tiles.max_zoom else f"z{tiles.max_zoom}"
        count = f"{tiles.tiles:,} tile{'' if tiles.tiles == 1 else 's'}"
        details.append(f"{tiles.path}  {size(tiles.size)}, {zooms}, {count}, verified")
        files.append(tiles.asset)
    if not details:
        return []
    if files:
        details.append(", ".join([str(files[0]), *(file.name for file in files[1:])]))
    stages = ", ".join(f"{stage} {duration(seconds)}" for stage, seconds in image.seconds.items())
    details.append(
        f"done in {duration(sum(image.seconds.values()))}" + (f" ({stages})" if len(image.seconds) > 1 else "")
    )
    return [f"{image.img_id}  {source}{description}", *(f"  {line}" for line in details)]


def catalog_line(catalog: CatalogResult) -> str:
    """What changed in one catalog."""
    changes = [f"+ basemap {name}" for name in catalog.added] + [
        f"basemap {name} replaced" for name in catalog.replaced
    ]
    return f"catalog  {catalog.path}  {', '.join(changes) if catalog.diff else 'nothing to change'}"


def size(count: int) -> str:
    """Bytes to three digits or so: ``850 bytes``, ``1.2 MB``, ``861 MB``."""
    value, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while value >= 999.5 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{value:,.1f} {units[0]}" if value < 10 and units[0] != "bytes" else f"{value:,.0f} {units[0]}"


def duration(seconds: float) -> str:
    """Wall time: ``0.4 s``, ``1:32``, ``2:05:10``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
