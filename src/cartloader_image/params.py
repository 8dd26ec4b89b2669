"""Every option once: type, unit, range, help. The command line, the flow's schema and the docs come from here.

The groups are small frozen models; `ImportOptions` is all of them together.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from cartloader_image.budget import Budget
from cartloader_image.options import Complete, Options, exclusive, in_group
from cartloader_image.placement_params import PlacementOptions
from cartloader_image.run_params import CatalogOptions, OverlayOptions, RunOptions
from cartloader_image.tile_formats import TILE_FORMATS
from cartloader_image.values import (
    Colour,
    Finite,
    InputCost,
    NamePattern,
    Nodata,
    ProgramName,
    Quantile,
    joined,
)

TOOLS = ("gdal_translate", "gdaladdo", "gdalinfo", "pmtiles")
"""The programs of ``--engine gdal``, by the names of their options."""


class ActionOptions(Options):
    """What is to be done."""

    ome2png: bool = Field(False, **in_group("actions"))
    """Write one plane of a TIFF or OME-TIFF as an 8-bit PNG, with its bounds and colour mode (as stored, before
    orientation)."""
    png2pmtiles: bool = Field(False, **in_group("actions"))
    """Cut the image into map tiles: GeoTIFF, PMTiles and the asset JSON."""
    georeference: bool = Field(False, **in_group("actions"))
    """Place the image by one --georef-* source, any of which implies it, or else by its own metadata."""
    update_catalog: bool = Field(False, **in_group("actions"))
    """Add the PMTiles to the catalog as a basemap, creating the catalog when it is missing."""


class OrientationOptions(Options):
    """How the picture is turned before it is cut."""

    rotate: Literal[90, 180, 270] | None = Field(None, **in_group("actions"))
    """Rotate clockwise by this many degrees, before flips."""
    flip_vertical: bool = Field(False, **in_group("actions"))
    """Flip top and bottom, after rotation."""
    flip_horizontal: bool = Field(False, **in_group("actions"))
    """Flip left and right, after rotation."""
    orient_frame: Literal["image", "map"] = Field("image", **in_group("georeference"))
    """Turn the picture as an image viewer shows the stored file (image), or as the map shows it once placed (map); they
    differ for quarter turns when y grows downwards."""

    @model_validator(mode="before")
    @classmethod
    def _read_rotation(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(turn := values.get("rotate"), str) and turn.strip().isdigit():
            return {**values, "rotate": int(turn)}
        return values


class PlaneOptions(Options):
    """Which plane of a TIFF is read."""

    page: int | None = Field(None, ge=0, **in_group("ome2png"))
    """Index of the plane inside the series, the first is 0; needed when there is more than one plane."""
    channel: Annotated[str, BeforeValidator(joined)] | None = Field(None, **in_group("ome2png", "NAME"))
    """Channel of the plane, by OME name or by index."""
    z: int | None = Field(None, ge=0, **in_group("ome2png"))
    """Z index of the plane, the first is 0."""
    z_project: Literal["max"] | None = Field(None, **in_group("ome2png"))
    """Take the maximum over all z of the channel."""
    z_stack: NamePattern | None = Field(None, **in_group("ome2png", "PATTERN"))
    """Files beside the image that hold the other z of its stack, such as mosaic_DAPI_z*.tif; with --z-project max."""
    level: int = Field(0, ge=0, **in_group("ome2png"))
    """Level of the resolution pyramid, 0 is the finest."""
    series: int = Field(0, ge=0, **in_group("ome2png"))
    """Index of the series (the OME Image)."""

    def fit_together(self) -> None:
        """Make sure that the plane is chosen in one way."""
        super().fit_together()
        exclusive(self, "page", "channel")
        exclusive(self, "page", "z")
        exclusive(self, "page", "z_project")
        exclusive(self, "z", "z_project")
        if self.z_stack and not self.z_project:
            raise ValueError("--z-stack goes with --z-project max; give both or none")


class BackgroundOptions(Options):
    """What lies where a picture has nothing."""

    background: Literal["white", "black", "transparent"] | None = Field(None, **in_group("png2pmtiles"))
    """What is shown for tiles that the file leaves out, and beyond the edge in JPEG tiles; unless given, the value 0
    and white."""


class PixelOptions(BackgroundOptions):
    """How stored values become 8-bit pixels."""

    nodata: Nodata | None = Field(None, **in_group("ome2png", "VALUE"))
    """Stored value that means no data: such pixels are transparent and do not count in quantiles; none shows also what
    the file itself or a mask calls so."""
    damaged: Literal["refuse", "keep"] = Field("refuse", **in_group("ome2png"))
    """Refuse an image with damaged strips or tiles, or keep them as their decoder leaves them, with a note that counts
    them."""
    alpha: Literal["intensity"] | None = Field(None, **in_group("ome2png"))
    """Make each pixel of a mono image as opaque as it is bright, so that a stain lets through what lies under it."""
    upper_thres_quantile: Quantile | None = Field(None, **in_group("ome2png"))
    """Quantile of the plane's values that is shown brightest."""
    upper_thres_intensity: Finite | None = Field(None, **in_group("ome2png"))
    """Stored value that is shown brightest."""
    lower_thres_quantile: Quantile | None = Field(None, **in_group("ome2png"))
    """Quantile of the plane's values that is shown darkest."""
    lower_thres_intensity: Finite | None = Field(None, **in_group("ome2png"))
    """Stored value that is shown darkest."""
    transparent_below: int | None = Field(None, ge=0, le=255, **in_group("ome2png"))
    """Make pixels transparent whose 8-bit value is below this (colour: where every band is)."""
    colorize: Colour | None = Field(None, **in_group("ome2png", "COLOUR"))
    """Colour for a mono image: RRGGBB, #RRGGBB, #RGB or a CSS name."""
    shrink_factor: Annotated[float, Field(ge=1, allow_inf_nan=False)] = Field(1.0, **in_group("ome2png"))
    """Downsample by this factor (area average) before anything else; the bounds stay."""
    high_memory: bool = Field(False, **in_group("ome2png"))
    """Allow the whole plane in memory; the result is the same."""
    max_input_cost: InputCost = Field(1.0, **in_group("ome2png", "FACTOR"))
    """Take inputs that cost this many times more than is taken unless given: of planes, pages, metadata and the like;
    docs/formats.md has the limits."""
    mono: bool = Field(False, **in_group("png2pmtiles"))
    """Insist that the image has one band; the layout is detected, a wrong claim is an error."""
    rgba: bool = Field(False, **in_group("png2pmtiles"))
    """Insist that the image has colour and alpha; the layout is detected, a wrong claim is an error."""

    @property
    def budget(self) -> Budget:
        """What the input may cost."""
        return Budget(self.max_input_cost)

    def fit_together(self) -> None:
        """Make sure that thresholds make sense, and that claims and looks do not contradict each other."""
        super().fit_together()
        exclusive(self, "upper_thres_quantile", "upper_thres_intensity")
        exclusive(self, "lower_thres_quantile", "lower_thres_intensity")
        exclusive(self, "mono", "rgba")
        exclusive(self, "rgba", "colorize")
        for kind in ("quantile", "intensity"):
            low, high = (getattr(self, f"{side}_thres_{kind}") for side in ("lower", "upper"))
            if low is not None and high is not None and high <= low:
                raise ValueError(f"--upper-thres-{kind} {high:g} must be above --lower-thres-{kind} {low:g}")


class TileOptions(BackgroundOptions):
    """How the placed image becomes tiles."""

    resample: Literal["near", "bilinear", "cubic", "cubicspline", "lanczos", "average", "mode"] = Field(
        "cubic", **in_group("png2pmtiles")
    )
    """Resampling kernel at the finest zoom, with GDAL's definitions."""
    blocksize: Literal[256, 512, 1024] = Field(512, **in_group("png2pmtiles"))
    """Tile size in pixels."""
    tile_format: Literal["png", "webp", "webp-lossy", "jpeg"] = Field("png", **in_group("png2pmtiles"))
    """Tile format; webp is lossless, jpeg is refused where the image can be transparent."""
    tile_quality: int | None = Field(None, ge=1, le=100, **in_group("png2pmtiles"))
    """Quality of webp-lossy (80 unless given) and jpeg (90 unless given)."""
    min_zoom: int | None = Field(None, ge=0, le=24, **in_group("png2pmtiles"))
    """Coarsest zoom; unless given, one zoom beyond the one at which the image fits one tile."""
    max_zoom: int | None = Field(None, ge=0, le=24, **in_group("png2pmtiles"))
    """Finest zoom; unless given, the first that is at least as fine as the image."""
    preview: bool = Field(False, **in_group("png2pmtiles"))
    """Draw ID.preview.png, too: all of the picture in at most 1,024 pixels a side, with its place and a scale bar."""
    engine: Literal["native", "gdal"] | None = Field(None, **in_group("png2pmtiles"))
    """native works in this process and needs no tool; gdal runs the command-line tools. Unless given: native, or gdal
    where the path of a tool is given."""
    shards: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] | None = Field(None, **in_group("png2pmtiles", "N"))
    """Processes that cut the tiles of one image, for many cores and gigapixels; auto: where they are worth it."""
    pmtiles: ProgramName | None = Field(None, **in_group("tools", "PROGRAM"))
    """Path of the go-pmtiles program; selects --engine gdal."""
    gdal_translate: ProgramName | None = Field(None, **in_group("tools", "PROGRAM"))
    """Path of gdal_translate; selects --engine gdal."""
    gdaladdo: ProgramName | None = Field(None, **in_group("tools", "PROGRAM"))
    """Path of gdaladdo; selects --engine gdal."""
    gdalinfo: ProgramName | None = Field(None, **in_group("tools", "PROGRAM"))
    """Path of gdalinfo; selects --engine gdal."""
    tool_timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, **in_group("tools", "SECONDS")
    )
    """Seconds after which a call of a tool is stopped and tried again; unless given, ten minutes and ten seconds for
    each million pixels of the finest zoom."""

    @model_validator(mode="before")
    @classmethod
    def _read_blocksize(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(size := values.get("blocksize"), str) and size.strip().isdigit():
            return {**values, "blocksize": int(size)}
        return values

    def fit_together(self) -> None:
        """Make sure that there is a zoom, and that the engine can write the tiles."""
        super().fit_together()
        if self.min_zoom is not None and self.max_zoom is not None and self.min_zoom > self.max_zoom:
            raise ValueError(f"--min-zoom {self.min_zoom} must not be above --max-zoom {self.max_zoom}")
        if not self.cuts_tiles:
            return
        form = TILE_FORMATS[self.tile_format]
        if self.chosen_engine == "gdal" and form.gdal is None:
            raise ValueError(
                f"--tile-format {self.tile_format}: the tools of --engine gdal write png or jpeg; choose one of them, "
                "or --engine native"
            )
        if not form.transparent and self.background == "transparent":
            raise ValueError(
                "--background transparent: JPEG tiles have no transparency beyond the picture's edge; choose white or "
                "black, or --tile-format png or webp"
            )
        if not form.transparent and self.background == "white" and self.chosen_engine == "gdal":
            raise ValueError(
                "--background white: JPEG tiles of --engine gdal are black beyond the picture's edge; choose --engine "
                "native, or --background black"
            )
        if self.tile_quality is not None and form.quality is None:
            raise ValueError(f"--tile-quality is for webp-lossy and jpeg; --tile-format {self.tile_format} is lossless")

    @property
    def cuts_tiles(self) -> bool:
        """Whether anything is cut."""
        return True

    @property
    def chosen_engine(self) -> Literal["native", "gdal"]:
        """The engine by name, or by a tool's path that only one engine uses."""
        return self.engine or ("gdal" if any(getattr(self, tool) for tool in TOOLS) else "native")


class SharedOptions(
    RunOptions, CatalogOptions, OverlayOptions, TileOptions, PlacementOptions, PixelOptions, PlaneOptions,
    OrientationOptions, ActionOptions,
):  # fmt: skip
    """Everything that can be asked for all images of a mapping; the options of an image itself complete it."""

    @property
    def cuts_tiles(self) -> bool:
        """Whether the image becomes tiles."""
        return self.png2pmtiles

    @property
    def orients(self) -> bool:
        """Whether the picture is turned or flipped."""
        return bool(self.rotate or self.flip_vertical or self.flip_horizontal)

    @property
    def reads_the_image(self) -> bool:
        """Whether any action needs the image itself, not just its finished archive."""
        return self.ome2png or self.png2pmtiles or self.georeference or self.names_a_source or self.orients


class ImportOptions(Complete, SharedOptions):
    """Everything that can be asked for one image, but for the image itself, its id and the output directory."""
