"""Where an image lies: by bounds, a matrix, its metadata, or as the mosaic that fields of view make."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from cartloader_image.options import Options, exclusive, in_group, option
from cartloader_image.values import FilePath, Finite, GeorefBounds, UmPerPixel, joined, read_detect

Axes = Literal["right,up", "right,down", "left,up", "left,down"]
Corner = Literal["upper-left", "upper-right", "lower-left", "lower-right"]
SOURCES = (
    "fov_positions", "georef_bounds", "georef_bounds_tsv", "georef_pixel_tsv", "georef_affine", "xenium_alignment",
    "georef_landmarks", "georef_detect",
)  # fmt: skip
"""The ways to say where an image lies, of which one can be given."""


class FieldOptions(Options):
    """Where the fields of view lie whose pictures are one image."""

    fov_positions: FilePath | None = Field(None, **in_group("georeference"))
    """Positions of fields of view (*_fov_positions_file.csv of CosMx): the image, and those beside it whose names have
    another number in their F001, become one."""
    fov_transcripts: FilePath | None = Field(None, **in_group("georeference"))
    """Transcripts of these fields (*_tx_file.csv of CosMx), which tell which corner a position means, and which way x
    and y run."""
    fov_axes: Annotated[Axes | None, BeforeValidator(joined)] = Field(None, **in_group("georeference", "X,Y"))
    """Which way x and y of the slide run in the stored picture of a field, such as right,up; unless given, as
    --fov-transcripts have it."""
    fov_corner: Corner | None = Field(None, **in_group("georeference"))
    """Corner of the stored picture that a position means, where there is no --fov-transcripts."""

    def fit_together(self) -> None:
        """Make sure that what is said of positions goes with some."""
        super().fit_together()
        exclusive(self, "fov_transcripts", "fov_corner")
        for name in ("fov_transcripts", "fov_axes", "fov_corner"):
            if getattr(self, name) and not self.fov_positions:
                raise ValueError(f"{option(name)} goes with --fov-positions; give both or none")
        if self.fov_positions and not self.fov_transcripts and not (self.fov_axes and self.fov_corner):
            raise ValueError(
                "--fov-positions does not say which corner of a field it means, nor which way y runs: give the "
                "*_tx_file.csv of the run with --fov-transcripts, or both --fov-axes and --fov-corner"
            )


class PlacementOptions(FieldOptions):
    """Where the image lies on the map."""

    micron2pixel_csv: FilePath | None = Field(None, **in_group("ome2png"))
    """Vizgen's 3×3 matrix from µm to pixels (micron_to_mosaic_pixel_transform.csv)."""
    pixel_size: UmPerPixel | None = Field(None, **in_group("ome2png", "SIZE"))
    """Pixel size in µm, or x,y, when the metadata has none or to overrule it; or the file that says it:
    scalefactors_json.json, experiment.xenium, or *_ExptConfig.txt or *_fov_positions_file.csv of CosMx."""
    stage_position: bool = Field(False, **in_group("ome2png"))
    """Keep the plane's stage position as the corner instead of 0,0; or the place in its slide of what QuPath, ImageJ
    (xorigin, yorigin) or libvips (OpenSlide's bounds) cut out."""
    georef_bounds: GeorefBounds | None = Field(None, **in_group("georeference", "ULX,ULY,LRX,LRY"))
    """Map coordinates of the image's outer corners: ulx,uly,lrx,lry."""
    georef_bounds_tsv: FilePath | None = Field(None, **in_group("georeference"))
    """File of one line with ulx,uly,lrx,lry, by tab or comma."""
    georef_pixel_tsv: FilePath | None = Field(None, **in_group("georeference"))
    """FICTURE pixel TSV, gzip or plain, whose header holds OFFSET_X, OFFSET_Y, SIZE_X and SIZE_Y."""
    georef_affine: FilePath | None = Field(None, **in_group("georeference"))
    """Matrix from the stored picture's pixels (column, row) to µm: a table of 2 × 3 or 3 × 3 numbers, .npy, a JSON
    list, an affine of NGFF or SpatialData, or an archive of cartloader, whose placing is taken again."""
    georef_affine_origin: Literal["corner", "center"] | None = Field(None, **in_group("georeference"))
    """Where --georef-affine has the pixel coordinates 0,0: at the corner of the first pixel or at its center; unless
    given, the corner, and the center for NGFF."""
    georef_affine_unit: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None, **in_group("georeference")
    )
    """µm per unit of what --georef-affine leads to; unless given, 1, or what the axes of NGFF say."""
    xenium_alignment: FilePath | None = Field(None, **in_group("georeference"))
    """Xenium Explorer's matrix from an image to the DAPI image (…_imagealignment.csv); the µm per pixel are those of
    experiment.xenium beside it or up to two folders above, or else 0.2125."""
    georef_landmarks: FilePath | None = Field(None, **in_group("georeference"))
    """Pairs of points to fit a matrix to: columns col,row,x,y (pixels and µm), or Xenium Explorer's key points."""
    landmark_model: Literal["affine", "similarity", "rigid"] = Field("affine", **in_group("georeference"))
    """What --georef-landmarks may do to the picture: anything that keeps lines parallel; turn, scale and shift; or turn
    and shift."""
    georef_detect: Annotated[Literal["OME"] | None, BeforeValidator(read_detect)] = Field(
        None, **in_group("georeference")
    )
    """Take the bounds from the image's own metadata: OME-XML, a GeoTIFF's or world file's georeference, the scanner's
    µm per pixel, or resolution tags in cm or inch."""
    georef_offset_x: Finite = Field(0.0, **in_group("georeference"))
    """Move the image by this many map units in x."""
    georef_offset_y: Finite = Field(0.0, **in_group("georeference"))
    """Move the image by this many map units in y."""
    srs: str = Field("EPSG:3857", pattern=r"^\S(.*\S)?$", **in_group("png2pmtiles", "CODE"))
    """Spatial reference of the bounds; another one than EPSG:3857 is really reprojected."""

    def fit_together(self) -> None:
        """Make sure that there is one source of bounds at most."""
        super().fit_together()
        for index, first in enumerate(SOURCES):
            for second in SOURCES[index + 1 :]:
                exclusive(self, first, second)
        for source in SOURCES[:-1]:
            for other in ("micron2pixel_csv", "pixel_size", "stage_position"):
                sized = source == "fov_positions" or (source, self.landmark_model) == ("georef_landmarks", "rigid")
                if (sized, other) != (True, "pixel_size"):
                    exclusive(self, source, other)
        for source, *others in (
            ("georef_affine", "georef_affine_origin", "georef_affine_unit"),
            ("georef_landmarks", "landmark_model"),
        ):
            for other in others:
                if getattr(self, source) is None and getattr(self, other) != type(self).model_fields[other].default:
                    raise ValueError(f"{option(other)} goes with {option(source)}; give both or none")
        exclusive(self, "georef_detect", "micron2pixel_csv")
        exclusive(self, "micron2pixel_csv", "pixel_size")
        exclusive(self, "micron2pixel_csv", "stage_position")

    @property
    def names_a_source(self) -> bool:
        """Whether a ``--georef-*`` source of bounds is given."""
        return any(getattr(self, source) for source in SOURCES)
