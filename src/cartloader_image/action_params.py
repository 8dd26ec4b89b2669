"""The parameters of each action: the groups of options that matter to it, and the files that it works on.

A cache key made of an action's parameters changes exactly when its result may.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field

from cartloader_image.options import Complete, Options, in_group
from cartloader_image.params import (
    ImportOptions,
    OrientationOptions,
    PixelOptions,
    PlaneOptions,
    TileOptions,
)
from cartloader_image.placement_params import PlacementOptions
from cartloader_image.run_params import OverlayOptions
from cartloader_image.values import FilePath, ImageId

OptionsT = TypeVar("OptionsT", bound=Options)


class OutputPrefix(Options):
    """Where the files of one image go: ``<out_dir>/<img_id>`` and a suffix."""

    out_dir: Path
    img_id: ImageId

    def path(self, suffix: str) -> Path:
        """The output file with this suffix, such as ``.pmtiles``."""
        return self.out_dir / f"{self.img_id}{suffix}"

    def raster_files(self, *, png: bool) -> tuple[Path, ...]:
        """The files of the first action, the GeoTIFF first."""
        beside = ("png", "bounds.csv", "affine.csv", "color.csv") if png else ()
        return tuple(self.path(suffix) for suffix in (".geotif.tif", *(f".transform.{name}" for name in beside)))

    @property
    def overlay_files(self) -> tuple[Path, ...]:
        """What was found out about points, and a picture of them on the image."""
        return self.path(".overlay.json"), self.path(".overlay.png")

    @property
    def asset_files(self) -> tuple[Path, ...]:
        """The asset JSON under its two names: pipelines look for either."""
        return self.path(".json"), self.path("_assets.json")


class RasterParams(Complete, PlacementOptions, PixelOptions, OrientationOptions):
    """An image → a placed 8-bit GeoTIFF."""

    in_img: Path
    out: OutputPrefix


class GeoreferenceParams(RasterParams):
    """A PNG, JPEG or other plain picture → a placed 8-bit GeoTIFF."""


class Ome2PngParams(RasterParams, PlaneOptions):
    """One plane of a TIFF → a placed 8-bit GeoTIFF and, with ``png``, a PNG, its bounds and its colour mode."""

    png: bool = True


class Png2PmtilesParams(Complete, TileOptions):
    """The placed GeoTIFF of one image → its PMTiles archive and asset JSON."""

    out: OutputPrefix


class CheckPointsParams(Complete, OverlayOptions):
    """The finished archive of one image, and points → whether it lies under them."""

    check_points: FilePath = Field(**in_group("png2pmtiles"))
    """Points in µm under which the picture should lie. Required."""
    out: OutputPrefix


class UpdateCatalogParams(Options):
    """Finished archives, by basemap id → the catalog that lists them."""

    catalog_yaml: Path
    basemaps: dict[ImageId, Path]
    title: str
    """``id`` and ``title`` of the catalog, should it have to be created."""
    max_input_cost: float = 1.0
    """As `PixelOptions` has it, for the catalog that is there."""


def subset(kind: type[OptionsT], options: ImportOptions, **more: Any) -> OptionsT:
    """The action's own parameters: those of ``options`` that it knows, and ``more``."""
    shared = {name: getattr(options, name) for name in kind.model_fields if name in ImportOptions.model_fields}
    return kind(**(shared | more))
