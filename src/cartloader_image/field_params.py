"""How the fields of view of a CosMx run become one image: the table of their positions, and what it leaves open."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from cartloader_image.options import Options, exclusive, in_group, option
from cartloader_image.values import FilePath, joined

Axes = Literal["right,up", "right,down", "left,up", "left,down"]
Corner = Literal["upper-left", "upper-right", "lower-left", "lower-right"]


class FieldOptions(Options):
    """Where the fields of view lie whose pictures are one image."""

    fov_positions: FilePath | None = Field(None, **in_group("georeference"))
    """Positions of fields of view (*_fov_positions_file.csv of CosMx): the image, and those beside it whose names have
    another number in their F001, become one."""
    fov_transcripts: FilePath | None = Field(None, **in_group("georeference"))
    """Transcripts of these fields (*_tx_file.csv of CosMx), whose first lines tell which corner a position means, and
    which way x and y run."""
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
