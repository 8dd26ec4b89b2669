"""Microscope and histology images as PMTiles raster layers that lie exactly under spatial-omics data.

Examples:
    >>> import cartloader_image as cl
    >>> slide = cl.write_sample("slide.ome.tif", size=256)
    >>> print(cl.inspect(slide))
    slide.ome.tif  OME-TIFF, 256 × 256 uint16, 0.2125 µm per pixel, 2 planes: 0 (DAPI), 1 (membrane)
    >>> image = cl.import_image(slide, out_dir="map", img_id="dapi", channel="DAPI", colorize="cyan")
    >>> cl.open_archive(image.tiles.path).read(size=64).shape
    (64, 64, 4)

All names are loaded when they are used first, so that the import itself takes a few milliseconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from cartloader_image.version import __version__

if TYPE_CHECKING:
    from cartloader_image.archive import Archive, open_archive
    from cartloader_image.errors import (
        ArchiveError,
        BoundsError,
        CartloaderError,
        CatalogError,
        DiskError,
        InputError,
        MetadataError,
        OverlayError,
        StoppedError,
        ToolError,
        UsageError,
    )
    from cartloader_image.inspection.pictures import Inspection, inspect
    from cartloader_image.library import import_image, preview, verify, write_sample
    from cartloader_image.params import ImportOptions
    from cartloader_image.report import Report
    from cartloader_image.results import ImageResult
    from cartloader_image.tiles.findings import Finding
    from cartloader_image.tiles.verify import Verification
    from cartloader_image.values import Bounds

__all__ = [
    "Archive",
    "ArchiveError",
    "Bounds",
    "BoundsError",
    "CartloaderError",
    "CatalogError",
    "DiskError",
    "Finding",
    "ImageResult",
    "ImportOptions",
    "InputError",
    "Inspection",
    "MetadataError",
    "OverlayError",
    "Report",
    "StoppedError",
    "ToolError",
    "UsageError",
    "Verification",
    "__version__",
    "import_image",
    "inspect",
    "open_archive",
    "preview",
    "verify",
    "write_sample",
]

_ROOMS = {
    "archive": ("Archive", "open_archive"),
    "inspection.pictures": ("Inspection", "inspect"),
    "library": ("import_image", "preview", "verify", "write_sample"),
    "params": ("ImportOptions",),
    "report": ("Report",),
    "results": ("ImageResult",),
    "tiles.findings": ("Finding",),
    "tiles.verify": ("Verification",),
    "values": ("Bounds",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_ROOM_OF.get(name, 'errors')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
