"""The commands and their own options; those of the import itself are `cartloader.params.ImportOptions`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from cartloader.jobs import ImageJob, check_out_dir, mapped_jobs, single_job
from cartloader.params import ImageId, ImportOptions, Options, exclusive, in_group


def _positional(metavar: str) -> dict[str, Any]:
    return {"json_schema_extra": {"positional": True, "metavar": metavar}}


class ImportCommand(Options):
    """Which images are imported, where to, and how the command goes about it."""

    in_img: Path | None = Field(None, **in_group("in/out"))
    """Image to import: OME-TIFF, TIFF, PNG, JPEG or GeoTIFF."""
    in_json: Path | None = Field(None, **in_group("in/out"))
    """Images to import, instead of --in-img: a JSON or YAML mapping of ids to paths, or to objects of a path and
    options of its own. Relative paths are relative to the mapping."""
    img_id: list[ImageId] = Field([], **in_group("in/out", "ID"))
    """Prefix of the output files and id of the basemap; with --in-json it selects an image, may be repeated, and
    without it all are imported."""
    out_dir: Path = Field(**in_group("in/out"))
    """Directory of the output files; created when it is missing. Required."""
    n_jobs: int = Field(1, ge=1, **in_group("run"))
    """Images at a time."""
    direct: bool = Field(False, **in_group("run"))
    """Run without Prefect, in this process: no record of the run, the same files."""
    dry_run: bool = Field(False, **in_group("run"))
    """Print the plan: the steps and their files, zooms, number of tiles, disk and memory; run nothing."""
    makefn: Path | None = Field(None, **in_group("run"))
    """Makefile to write."""
    debug: bool = Field(False, **in_group("run"))
    """Show tracebacks and verbose logs."""

    @model_validator(mode="after")
    def _one_source_of_images(self) -> Self:
        exclusive(self, "in_img", "in_json")
        if not self.in_json and len(self.img_id) != 1:
            lack = "is missing" if not self.img_id else f"is given {len(self.img_id)} times"
            raise ValueError(f"--img-id {lack}; one image (--in-img) needs one id, many images go into --in-json")
        if self.makefn:
            raise ValueError("--makefn is not built yet; leave it out to run the import")
        return self

    def jobs(self, options: ImportOptions) -> list[ImageJob]:
        """The images to import.

        Raises:
            InputError: the mapping cannot be read.
            UsageError: something in the command line or in the mapping is wrong.
        """
        check_out_dir(self.out_dir)
        if self.in_json:
            return mapped_jobs(self.in_json, self.out_dir, options, list(self.img_id))
        return [single_job(self.in_img, self.img_id[0], self.out_dir, options)]


class SampleCommand(Options):
    """Where a sample image goes, and how large it is."""

    out: Path = Field(**_positional("OUT.ome.tif"))
    """File to write."""
    size: int = Field(2048, ge=256, le=16384)
    """Width and height in pixels."""


class PreviewCommand(Options):
    """The picture of an archive."""

    archive: Path = Field(**_positional("ARCHIVE.pmtiles"))
    """Archive to draw."""
    out: Path = Field(**_positional("OUT.png"))
    """Picture to write."""
    size: int = Field(1024, ge=16, le=16384)
    """Longest side of the picture in pixels."""
