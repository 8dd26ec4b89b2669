"""The commands and their own options; those of the import itself are `cartloader_image.params.ImportOptions`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from cartloader_image.action_params import OutputPrefix
from cartloader_image.errors import UsageError
from cartloader_image.options import Options, exclusive, in_group
from cartloader_image.params import ImportOptions, SharedOptions
from cartloader_image.recipe.job import check_out_dir, single_job
from cartloader_image.recipe.mapping import Mapped, mapped_jobs
from cartloader_image.recipe.outputs import check_files
from cartloader_image.run_params import FanOutOptions
from cartloader_image.values import FilePath, ImageId, InputCost, ProgramName


def _positional(metavar: str) -> dict[str, Any]:
    return {"json_schema_extra": {"positional": True, "metavar": metavar}}


class ImportCommand(FanOutOptions):
    """Which images are imported, where to, and how the command goes about it."""

    in_img: FilePath | None = Field(None, **in_group("in/out"))
    """Image to import: OME-TIFF, TIFF, PNG, JPEG or GeoTIFF."""
    in_json: FilePath | None = Field(None, **in_group("in/out"))
    """Images to import, instead of --in-img: a JSON or YAML mapping of ids to paths, or to objects of a path and
    options of their own; or a CSV or TSV sheet of them. Relative paths are relative to the mapping."""
    img_id: list[ImageId] = Field([], **in_group("in/out", "ID"))
    """Prefix of the output files and id of the basemap; with --in-json it selects an image, may be repeated, and
    without it all are imported."""
    out_dir: FilePath = Field(**in_group("in/out"))
    """Directory of the output files; created when it is missing. Required."""
    direct: bool = Field(False, **in_group("run"))
    """Run without Prefect, in this process: no record of the run, the same files."""
    dry_run: bool = Field(False, **in_group("run"))
    """Print the plan: the steps and their files, zooms, number of tiles, disk and memory; write the Makefile; run
    nothing."""
    makefn: ProgramName | None = Field(None, **in_group("run", "FILE"))
    """Makefile of the import of one image, written before it runs, or by --dry-run; unless given, --dry-run writes
    OUT_DIR/ID.mk. A name without a directory lies in --out-dir."""
    debug: bool = Field(False, **in_group("run"))
    """Show tracebacks and verbose logs."""

    @model_validator(mode="after")
    def _one_source_of_images(self) -> Self:
        exclusive(self, "in_img", "in_json")
        if not self.in_json and len(self.img_id) != 1:
            lack = "is missing" if not self.img_id else f"is given {len(self.img_id)} times"
            raise ValueError(f"--img-id {lack}; one image (--in-img) needs one id, many images go into --in-json")
        return self

    @model_validator(mode="after")
    def _dask_suits(self) -> Self:
        if self.task_runner == "dask":
            exclusive(self, "task_runner", "direct")
            if not self.in_json:
                raise ValueError("--task-runner dask spreads the images of a mapping; name one with --in-json")
        return self

    @property
    def makefile(self) -> Path | None:
        """Where the Makefile goes, if it is asked for by name."""
        if not self.makefn:
            return None
        return self.makefn.path or self.out_dir / self.makefn

    def jobs(self, options: SharedOptions) -> Mapped:
        """The images to import, and notes about the command as a whole.

        Raises:
            InputError: the mapping cannot be read.
            UsageError: something in the command line or in the mapping is wrong.
        """
        check_out_dir(self.out_dir)
        if not self.in_json:
            assert isinstance(options, ImportOptions)
            job = single_job(self.in_img, self.img_id[0], self.out_dir, options)
            check_files([job], makefile=self.makefile)
            return Mapped([job], ("--n-jobs does nothing for one image",) if self.n_jobs > 1 else ())
        asked = mapped_jobs(self.in_json, self.out_dir, options, self.img_id, Path.cwd())
        if self.makefn and len(asked.jobs) > 1:
            raise UsageError(
                f"--makefn {self.makefn}: is for one image, not for {len(asked.jobs)}; choose one by --img-id, or "
                "leave --makefn out: --dry-run writes a Makefile for each"
            )
        if self.makefile:
            check_files(asked.jobs, self.in_json, self.makefile)
        return asked


class ActionCommand(Options):
    """One action by itself, on the files of one image."""

    out_dir: FilePath = Field(**in_group("in/out"))
    """Directory of the output files; created when it is missing. Required."""
    img_id: ImageId = Field(**in_group("in/out", "ID"))
    """Prefix of the output files. Required."""
    debug: bool = Field(False, **in_group("run"))
    """Show tracebacks and verbose logs."""

    def params(self) -> dict[str, Any]:
        """The parameters of the action beside its options."""
        return {"out": OutputPrefix(out_dir=self.out_dir, img_id=self.img_id)}


class PictureCommand(ActionCommand):
    """The action that reads a plain picture."""

    in_img: FilePath = Field(**in_group("in/out"))
    """Image to read. Required."""

    def params(self) -> dict[str, Any]:
        """The parameters of the action beside its options."""
        return super().params() | {"in_img": self.in_img}


class PlaneCommand(PictureCommand):
    """The action that reads a plane of a TIFF."""

    geotiff_only: bool = Field(False, **in_group("ome2png"))
    """Write just the GeoTIFF: no PNG, bounds or colour mode."""

    def params(self) -> dict[str, Any]:
        """The parameters of the action beside its options."""
        return super().params() | {"png": not self.geotiff_only}


class ServerCommand(Options):
    """What is done with the Prefect server of this machine."""

    do: Literal["start", "status", "stop"] = Field(**_positional("{start,status,stop}"))
    """start it and wait until it answers; tell whether it does, its process and its log; stop it."""
    port: int | None = Field(None, ge=1, le=65535)
    """Port of the server and its UI; unless given, that of the server that runs, or 4200."""
    host: str = Field("127.0.0.1", min_length=1)
    """Address of this machine that a server listens on when it is started, such as 0.0.0.0 for all of them. One that
    other machines reach must ask who they are: --auth-file."""
    auth_file: FilePath | None = None
    """File of one line, NAME:PASSWORD, that nobody else can read: the server, when it is started, answers those who
    know it."""


class SampleCommand(Options):
    """Where a sample image goes, and how large it is."""

    out: FilePath = Field(**_positional("OUT.ome.tif"))
    """File to write."""
    size: int = Field(2048, ge=256, le=16384)
    """Width and height in pixels."""


class PreviewCommand(Options):
    """The picture of an archive."""

    archive: FilePath = Field(**_positional("ARCHIVE.pmtiles"))
    """Archive to draw."""
    out: FilePath = Field(**_positional("OUT.png"))
    """Picture to write: .png, or .jpg or .jpeg on white."""
    size: int = Field(1024, ge=16, le=16384)
    """Longest side of the picture in pixels; an archive that has no more is not enlarged, and a note says so."""
    points: FilePath | None = None
    """Points in µm to draw on it, such as transcripts: a table as check-overlay takes it."""


class ScanCommand(Options):
    """A folder of images, and the mapping that imports them."""

    run_dir: FilePath = Field(**_positional("RUN_DIR"))
    """Folder of a Xenium, MERSCOPE, Visium HD, Visium or CosMx run, or of pictures."""
    out: FilePath | None = Field(None, json_schema_extra={"metavar": "IMAGES.yaml"})
    """File to write; unless given, the mapping is printed. Paths in it are relative to where it lies."""


class PageCommand(Options):
    """What the map page shows."""

    sources: list[FilePath] = Field(min_length=1, **_positional("OUT_DIR|catalog.yaml|FILE.pmtiles"))
    """Directories, catalogs and archives to show; the first is on top. Of a directory with a catalog.yaml, what that
    lists."""

    title: str = ""
    """Title of the page; the name of the directory or file unless given."""

    @property
    def page_title(self) -> str:
        """What the page is called."""
        first = self.sources[0].resolve()
        return self.title or (first.parent.name if first.suffix in {".yaml", ".yml"} else first.name)


class ViewCommand(PageCommand):
    """The map page in a browser of this machine."""

    points: FilePath | None = None
    """Points in µm to draw on top, such as transcripts: a table as check-overlay takes it."""
    group: str | None = Field(None, json_schema_extra={"metavar": "COLUMN"})
    """Column of names by which the page can colour the points; gene, feature_name, K1 and the like unless given."""
    port: int | None = Field(None, ge=1, le=65535)
    """Port of the page on 127.0.0.1; a free one unless given."""
    no_browser: bool = False
    """Print the address and open no browser."""
    snippet: Literal["maplibre", "deckgl", "leaflet", "openlayers", "qgis"] | None = None
    """Print code that shows the archives by this library in a page of your own, or in QGIS, and do no more."""
    url: str | None = Field(None, json_schema_extra={"metavar": "URL"})
    """Where the archives lie on the web, for --snippet: the folder, or the archive itself if there is just one."""


class ExportPageCommand(PageCommand):
    """The map page as a folder of files."""

    site_dir: FilePath = Field(**_positional("SITE_DIR"))
    """Directory to write; it must not be there, or be empty."""


class InfoCommand(Options):
    """What a file holds."""

    file: FilePath = Field(**_positional("FILE"))
    """Image, archive or catalog to look at."""
    as_json: bool = Field(False, alias="json")
    """Print it as JSON, for scripts."""
    max_input_cost: InputCost = Field(1.0, json_schema_extra={"metavar": "FACTOR"})
    """Look at inputs that cost this many times more than is taken unless given, as --max-input-cost of import_image."""


class VerifyCommand(Options):
    """Archives that are to be proved good."""

    archives: list[FilePath] = Field(min_length=1, **_positional("ARCHIVE.pmtiles"))
    """Archives to look at, of any program."""
    deep: bool = False
    """Compare each tile with the four of the next zoom, not just some of each zoom."""
    as_json: bool = Field(False, alias="json")
    """Print a line of JSON for each archive, for scripts."""


class CheckOverlayCommand(Options):
    """A picture, and points that should lie on it."""

    archive: FilePath = Field(**_positional("ARCHIVE.pmtiles"))
    """Archive of the picture."""
    points: FilePath
    """Points in µm: a table in CSV or TSV, plain or in gzip, or Parquet, with the columns of Xenium, MERSCOPE, FICTURE
    or CartoScope, or x and y."""
    kind: Literal["fluorescence", "histology"] | None = None
    """Whether points are many where the picture is bright, or where it is dark and blue; found out unless given."""
    as_json: bool = Field(False, alias="json")
    """Print a line of JSON, for scripts."""
