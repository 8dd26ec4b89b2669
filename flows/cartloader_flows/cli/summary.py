"""The end of a run in a few lines: numbers with their units, thousands separated."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from textwrap import TextWrapper
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cartloader_image.recipe.plan import ImportPlan
    from cartloader_image.results import CatalogResult, ImageResult, RunResult, ToolUse


def summary(result: RunResult, sources: Mapping[str, str], width: int | None = None) -> str:
    """All finished images and updated catalogs, one line or a small block each.

    Args:
        result: What was done.
        sources: File names by id.
        width: Of the terminal, where notes that are longer take several lines; None where each line stays whole.
    """
    blocks = [image_lines(image, sources[image.img_id], width) for image in result.images]
    blocks += [list(map(catalog_line, result.catalogs)), note_lines("note: ", result.notes, width)]
    return "\n".join(line for block in blocks for line in block)


def image_lines(image: ImageResult, source: str, width: int | None = None) -> list[str]:
    """What became of one image; nothing for one that only entered a catalog."""
    details: list[str] = []
    files: list[Path] = []
    description = ""
    if image.raster:
        description = f"  {image.raster.description}"
        details.append(f"shown {image.raster.shown}")
        if placing := image.raster.placing:
            details.append(f"placed by {placing}")
            details += [f"landmarks: {placing.landmarks}"] if placing.landmarks else []
        files += image.raster.files
    if image.tiles:
        tiles = image.tiles
        zooms = zooms_and_tiles(tiles.min_zoom, tiles.max_zoom, tiles.tiles)
        details.append(f"{tiles.path}  {size(tiles.size)}, {zooms}, verified")
        files += tiles.files[1:]
        if tiles.tools:
            details.append(f"tools: {tool_words(tiles.tools)}")
    if image.overlay:
        details.append(str(image.overlay))
        files += image.overlay.files
    notes = note_lines("  note: ", image.notes, width)
    if not details and not notes:
        return []
    if files:
        details.append(", ".join([str(files[0]), *(file.name for file in files[1:])]))
    if image.cached:
        details.append("nothing to do: as made before")
    else:
        stages = ", ".join(f"{stage} {duration(seconds)}" for stage, seconds in image.seconds.items())
        by_stage = f" ({stages})" if len(image.seconds) > 1 else ""
        wait = f", after {duration(image.waited)} of waiting" if image.waited >= 0.05 else ""
        details.append(f"done in {duration(sum(image.seconds.values()))}{by_stage}{wait}")
    return [f"{image.img_id}  {source}{description}", *notes, *(f"  {line}" for line in details)]


def note_lines(head: str, notes: Iterable[str], width: int | None) -> list[str]:
    """Each note behind a head, below which its further lines begin."""
    if width is None:
        return [f"{head}{note}" for note in notes]
    wrapper = TextWrapper(
        max(width, 40), initial_indent=head, subsequent_indent=" " * len(head), break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    return [line for note in notes for line in wrapper.wrap(note)]


def tool_words(uses: Sequence[ToolUse]) -> str:
    """What the calls of external tools took, by tool; the memory is that of the largest."""
    seconds: dict[str, float] = {}
    for use in uses:
        seconds[use.tool] = seconds.get(use.tool, 0) + use.seconds
    each = ", ".join(f"{tool} {duration(taken)}" for tool, taken in seconds.items())
    return f"{each}; at most {size(max(use.memory for use in uses))} of memory"


def plan_lines(plan: ImportPlan, width: int | None = None) -> list[str]:
    """What an import would do, and what it takes."""
    job = plan.job
    source = f"  {job.in_img.name}  {plan.description}" if plan.description and job.in_img else ""
    lines = [f"{job.out.img_id}{source}"]
    for step in plan.steps:
        first, *others = (
            f"{path if index == 0 else path.name}{f' ({between(taken.low, taken.high)})' if taken else ''}"
            for index, (path, taken) in enumerate(step.files)
        )
        lines.append(f"  {step.name:<15} {', '.join([first, *others])}")
    if pyramid := plan.pyramid:
        count = zooms_and_tiles(pyramid.min_zoom, pyramid.max_zoom, pyramid.tile_count())
        lines.append(f"  tiles           {count}{'' if plan.exact else ' at most, as transparent ones are not stored'}")
    disk = between(plan.disk.low, plan.disk.high)
    shards = f" in {plan.shards} processes" if plan.shards > 1 else ""
    lines.append(f"  needs           {disk} of disk ({size(plan.free)} free), {size(plan.memory)} of memory{shards}")
    return lines + note_lines("  note            ", plan.notes, width)


def view_command(result: RunResult, out_dir: Path) -> str:
    """The command that shows what was imported, and what it needs where that is not here; empty where nothing was."""
    own = out_dir / "catalog.yaml"
    shown = [out_dir if catalog.path == own else catalog.path for catalog in result.catalogs]
    words = shlex.join(map(str, shown))
    if not shown:
        archives = [image.tiles.path for image in result.images if image.tiles]
        if not archives:
            return ""
        # Of a directory that has a catalog, what that lists would be shown.
        words = shlex.quote(str(archives[0] if len(archives) == 1 and own.exists() else out_dir))
        words += "/*.pmtiles" if len(archives) > 1 and own.exists() else ""
    lack = "" if find_spec("maplibre") else "  (after pip install 'cartloader-image[view]')"
    return f"cartloader view {words}{lack}"


def between(low: int, high: int) -> str:
    """One size, or from one to another."""
    return size(low) if size(low) == size(high) else f"{size(low)} to {size(high)}"


def zooms_and_tiles(min_zoom: int, max_zoom: int, tiles: int) -> str:
    """``z13–19, 724 tiles``."""
    zooms = f"z{min_zoom}–{max_zoom}" if min_zoom < max_zoom else f"z{max_zoom}"
    return f"{zooms}, {tiles:,} tile{'' if tiles == 1 else 's'}"


def catalog_line(catalog: CatalogResult) -> str:
    """What changed in one catalog."""
    changes = [f"+ basemap {name}" for name in catalog.added]
    # An archive of the name can have been there without being listed.
    changes += [
        f"{name}.pmtiles replaced" if name in catalog.added else f"basemap {name} replaced" for name in catalog.replaced
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
