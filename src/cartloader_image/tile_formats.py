"""Tile formats: one row of one table for each, with all that the options, the engines and the forecast ask of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class TileFormat:
    """What is known of tiles of one format."""

    extension: str
    """As the metadata of an archive name the format."""
    tile_type: int
    """As its header does (PMTiles v3, section 3.2)."""
    shares: tuple[float, float]
    """Compressed bytes to raw ones: from a slide that is nearly all background to one that is full of a camera's noise;
    only noise itself is larger."""
    encoder: str
    """As Pillow names it; PNG is written by `cartloader_image.rasters.png`."""
    settings: dict[str, bool | int] = field(default_factory=dict)
    """The encoder's, beside the quality."""
    quality: int | None = None
    """Unless another one is asked for; None for a format that loses nothing."""
    transparent: bool = True
    """Whether it has alpha."""
    gdal: str | None = None
    """As GDAL's MBTiles name it, if they are written by ``--engine gdal``."""


TILE_FORMATS = {
    "png": TileFormat("png", 2, (0.02, 0.8), "PNG", gdal="PNG"),
    "webp": TileFormat("webp", 4, (0.01, 0.65), "WEBP", {"lossless": True, "method": 0, "quality": 0, "exact": True}),
    "webp-lossy": TileFormat("webp", 4, (0.003, 0.2), "WEBP", {"method": 0}, quality=80),
    "jpeg": TileFormat("jpg", 3, (0.01, 0.35), "JPEG", quality=90, transparent=False, gdal="JPEG"),
}
"""By their names on the command line."""
