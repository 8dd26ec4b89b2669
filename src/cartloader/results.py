"""What the actions hand back: small frozen models that survive JSON, so that a cached task can return them."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict


class Result(BaseModel):
    """A frozen result."""

    model_config = ConfigDict(frozen=True)


class RasterResult(Result):
    """A placed GeoTIFF and what was written beside it."""

    geotif: Path
    files: tuple[Path, ...]
    """All files written, the GeoTIFF included."""
    description: str
    """The image in one line: size, type, plane, µm per pixel."""
    shown: str
    """Which stored values are shown from black to full, and why, such as ``0 … 4,812 of 65,535 (quantile 0.999)``."""


class ToolUse(Result):
    """What one call of an external tool took."""

    tool: str
    stage: str
    """What it did."""
    seconds: float
    memory: int
    """Bytes of its largest process at its peak; 0 where the system does not tell."""


class TilesResult(Result):
    """A verified archive and its asset JSON."""

    path: Path
    asset: Path
    min_zoom: int
    max_zoom: int
    tiles: int
    size: int
    """Bytes of the archive."""
    tools: tuple[ToolUse, ...] = ()
    """The calls that made it, none for the native engine."""


class CatalogResult(Result):
    """An updated catalog."""

    path: Path
    added: tuple[str, ...]
    replaced: tuple[str, ...]
    diff: str
    """Unified diff of the file before and after; empty when nothing had to change."""


class ImageResult(Result):
    """One finished image."""

    img_id: str
    raster: RasterResult | None = None
    tiles: TilesResult | None = None
    seconds: dict[str, float] = {}
    """Wall time by action."""


class RunResult(Result):
    """The finished images of a run, and the catalogs they entered."""

    images: tuple[ImageResult, ...]
    catalogs: tuple[CatalogResult, ...]
