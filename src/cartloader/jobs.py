"""From what a user asks to what is done: one `ImageJob` per image, and the order of its actions.

The order is written once, here; `Actions` says who carries it out: the functions of `cartloader.actions` themselves,
or the Prefect tasks around them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import yaml
from pydantic import ValidationError

from cartloader.errors import CartloaderError, InputError, UsageError, sentence
from cartloader.images import is_tiff
from cartloader.params import (
    TOOLS,
    CatalogOptions,
    GeoreferenceParams,
    ImportOptions,
    Ome2PngParams,
    Options,
    OutputPrefix,
    Png2PmtilesParams,
    UpdateCatalogParams,
    check_actions,
    option,
    subset,
)
from cartloader.report import Report, quiet
from cartloader.results import CatalogResult, ImageResult, RasterResult, RunResult, TilesResult
from cartloader.values import check_image_id

T = TypeVar("T")


class ImageJob(Options):
    """One image to import: where it is, where its files go, and everything else that was asked for it."""

    in_img: Path | None
    """None only where the finished archive is all that is needed (``--update-catalog`` alone)."""
    out: OutputPrefix
    options: ImportOptions
    notes: tuple[str, ...] = ()
    """What a person should know of how it was understood."""


class Actions(Protocol):
    """Who carries out the actions."""

    def ome2png(self, params: Ome2PngParams, report: Report, /) -> RasterResult:
        """One plane of a TIFF → GeoTIFF and PNG."""

    def georeference(self, params: GeoreferenceParams, report: Report, /) -> RasterResult:
        """A plain picture → GeoTIFF."""

    def png2pmtiles(self, params: Png2PmtilesParams, report: Report, /) -> TilesResult:
        """GeoTIFF → PMTiles and asset JSON."""

    def update_catalog(self, params: UpdateCatalogParams, /) -> CatalogResult:
        """Archives → catalog."""


def explain(error: ValidationError) -> str:
    """The first complaint of pydantic as one sentence that names the option as it is typed.

    A user can mend one thing at a time; the sentence gives the value and what would be right.
    """
    first = error.errors()[0]
    name = option(str(first["loc"][0])) if first["loc"] else ""
    message = str(first["msg"]).removeprefix("Value error, ").replace("Input should be", "should be")
    if first["type"] == "missing":
        return f"{name} is missing; see cartloader import_image --help"
    if first["type"] == "extra_forbidden":
        return f"{name} is no option; see cartloader import_image --help"
    if not name or message.startswith("--"):
        return message
    value = first["input"]
    shown = f" {value}" if isinstance(value, (str, int, float)) and str(value) not in message else ""
    return f"{name}{shown}: {message}"


def single_job(in_img: Path | None, img_id: str, out_dir: Path, options: ImportOptions) -> ImageJob:
    """The job of one image, checked as far as it can be without reading anything.

    Raises:
        UsageError: no action, a missing image, or an id that cannot be one.
    """
    check_actions(options)
    if in_img is None and options.reads_the_image:
        raise UsageError("--in-img is missing; name the image, or a mapping of images with --in-json")
    try:
        check_image_id(img_id)
    except ValueError as error:
        raise UsageError(f"--img-id: {error}") from None
    return ImageJob(in_img=in_img, out=OutputPrefix(out_dir=out_dir, img_id=img_id), options=options)


def check_out_dir(out_dir: Path) -> None:
    """Make sure that files can be written below a directory, without creating it.

    Raises:
        UsageError: it is a file, lies below one, or may not be written.
    """
    there = out_dir.absolute()
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir():
        raise UsageError(f"--out-dir {out_dir}: {there} is no directory; give one, it is created when it is missing")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UsageError(f"--out-dir {out_dir}: {there} cannot be written; give a directory of your own")


def mapped_jobs(in_json: Path, out_dir: Path, options: ImportOptions, img_ids: list[str] | None) -> list[ImageJob]:
    """The jobs of a JSON or YAML mapping from ids to paths, or to objects of a ``path`` and options of their own.

    Relative paths in the mapping are relative to its file; an image's own options win over ``options``.

    Raises:
        InputError: the mapping cannot be read.
        UsageError: it is no such mapping, ids collide, or an option in it is wrong.
    """
    entries = _entries(in_json)
    chosen = dict.fromkeys(img_ids or entries)
    if unknown := [name for name in chosen if name not in entries]:
        raise UsageError(f"--img-id {unknown[0]} is not in {in_json}; it has {', '.join(entries)}")
    return [_mapped_job(in_json, name, entries[name], out_dir, options) for name in chosen]


def settled_images(jobs: list[ImageJob], settled: float) -> dict[str, str]:
    """The images that are there and complete, by id, each with a text that changes when it or its options do.

    An image that is not there yet, or was written to in the last ``settled`` seconds, is still on its way.
    """
    found: dict[str, str] = {}
    for job in jobs:
        assert job.in_img is not None
        with suppress(FileNotFoundError):
            state = job.in_img.stat()
            if state.st_mtime <= time.time() - settled:
                stamp = f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns} {state.st_ino}"
                found[job.out.img_id] = f"{stamp} {job.model_dump_json(exclude_defaults=True)}"
    return found


def _entries(in_json: Path) -> dict[str, object]:
    try:
        loaded: object = yaml.safe_load(in_json.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{in_json}: cannot be read ({error.strerror}); --in-json takes a JSON or YAML file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        at = f" (line {where.line + 1})" if where is not None else ""
        raise UsageError(f"{in_json}: neither JSON nor YAML{at}; --in-json takes a mapping of ids to paths") from None
    if isinstance(loaded, dict) and isinstance(loaded.get("IMAGES"), dict):
        loaded = loaded["IMAGES"]
    if not isinstance(loaded, dict) or not loaded:
        raise UsageError(f"{in_json}: a mapping of image ids to paths is needed, such as {{dapi: dapi.ome.tif}}")
    seen: dict[str, str] = {}
    for name in map(str, loaded):
        try:
            check_image_id(name)
        except ValueError as error:
            raise UsageError(f"{in_json}: {error}") from None
        if (other := seen.setdefault(name.lower(), name)) != name:
            raise UsageError(f"{in_json}: ids {other} and {name} differ only in case; rename one")
    return {str(name): value for name, value in loaded.items()}


def _mapped_job(in_json: Path, img_id: str, entry: object, out_dir: Path, options: ImportOptions) -> ImageJob:
    own = {"path": entry} if isinstance(entry, str) else entry
    if not isinstance(own, Mapping) or not isinstance(own.get("path"), str):
        raise UsageError(f"{in_json}: {img_id} needs a path, or an object with a path and options")
    own = {str(name).replace("-", "_"): value for name, value in own.items()}
    path = in_json.parent / own.pop("path")
    own = {name: _beside(in_json, name, value) for name, value in own.items()}
    try:
        # Only what was set is carried over, so that the models check base and own options together.
        merged = ImportOptions(**(options.model_dump(exclude_unset=True) | own))
        return single_job(path, img_id, out_dir, merged)
    except ValidationError as error:
        raise UsageError(f"{in_json}: {img_id}: {explain(error)}") from None
    except UsageError as error:
        raise UsageError(f"{in_json}: {img_id}: {error}") from None


def _beside(in_json: Path, name: str, value: Any) -> Any:
    """Paths in a mapping are relative to its file, those of tools too."""
    if name in TOOLS and isinstance(value, str) and "/" in value:
        return str(in_json.parent / value)
    is_path = name in {"micron2pixel_csv", "georef_bounds_tsv", "georef_pixel_tsv", "catalog_yaml"}
    return in_json.parent / value if is_path and isinstance(value, str) else value


def import_one(job: ImageJob, actions: Actions, report: Report = quiet) -> ImageResult:
    """Do what the job asks, but for the catalog: all images of a run enter it together.

    Raises:
        CartloaderError: as the actions do, or because the disk cannot hold what they would write.
    """
    from cartloader.plan import plan_import  # noqa: PLC0415  (--help must not wait for numpy)

    options, seconds = job.options, dict[str, float]()
    for note in job.notes:
        report.note(note)
    plan_import(job).check_disk(report)

    def timed(name: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        result = work()
        seconds[name] = round(time.perf_counter() - start, 3)
        return result

    raster = tiles = None
    params = raster_params(job)
    if isinstance(params, Ome2PngParams):
        plane = params
        raster = timed("ome2png", lambda: actions.ome2png(plane, report))
    elif params is not None:
        picture = params
        raster = timed("georeference", lambda: actions.georeference(picture, report))
    if options.png2pmtiles:
        cut = subset(Png2PmtilesParams, options, out=job.out)
        tiles = timed("png2pmtiles", lambda: actions.png2pmtiles(cut, report))
    return ImageResult(img_id=job.out.img_id, raster=raster, tiles=tiles, seconds=seconds, asked=job.notes)


def raster_params(job: ImageJob) -> GeoreferenceParams | None:
    """The parameters of the first action, `Ome2PngParams` for a TIFF; None where the image itself is not needed.

    Raises:
        InputError: the image cannot be read.
        UsageError: an option does not suit its kind.
    """
    if not job.options.reads_the_image:
        return None
    assert job.in_img is not None
    files = {"in_img": job.in_img, "out": job.out}
    if job.options.ome2png or is_tiff(job.in_img):
        return subset(Ome2PngParams, job.options, png=job.options.ome2png, **files)
    refuse_plane_options(job)
    return subset(GeoreferenceParams, job.options, **files)


class RunError(CartloaderError):
    """A part of a run failed; the rest of it is done.

    Parameters:
        message: what failed, in one sentence.
        result: everything that was finished.
        failures: why each of the others failed, by image id; a catalog goes by its path.
    """

    def __init__(self, message: str, result: RunResult, failures: dict[str, Exception]) -> None:
        super().__init__(message, result, failures)
        self.message = message
        self.result = result
        self.failures = failures

    def __str__(self) -> str:
        return self.message

    def table(self) -> str:
        """One line for each failure: what failed, and why."""
        width = max(map(len, self.failures))
        return "\n".join(f"{name:<{width}}  {sentence(error, name)}" for name, error in self.failures.items())


def gather(jobs: list[ImageJob], attempts: Iterable[Callable[[], ImageResult]], actions: Actions) -> RunResult:
    """Wait for every image, then enter the finished ones into their catalogs, each catalog once.

    An attempt gives the result of the job at its place, or raises; the others go on.

    Raises:
        RunError: an image or a catalog failed.
    """
    finished: list[ImageJob] = []
    images: list[ImageResult] = []
    catalogs: list[CatalogResult] = []
    failures: dict[str, Exception] = {}
    for job, attempt in zip(jobs, attempts, strict=True):
        try:
            images.append(attempt())
            finished.append(job)
        except Exception as error:  # noqa: BLE001  (whatever is wrong with one image is no matter of the others)
            failures[job.out.img_id] = error
    failed = ", ".join(failures)
    message = f"{len(failures)} of {len(jobs)} images failed: {failed}" if failures else ""
    for update in catalog_updates(finished):
        try:
            catalogs.append(actions.update_catalog(update))
        except Exception as error:  # noqa: BLE001  (the images are done all the same, and must be reported)
            failures[str(update.catalog_yaml)] = error
            message += f"{'; ' if message else ''}{update.catalog_yaml} is not updated"
    if failures:
        if len(jobs) == len(failures) == 1:
            message = next(sentence(error, name) for name, error in failures.items())
        raise RunError(message, RunResult(images=tuple(images), catalogs=tuple(catalogs)), failures)
    return RunResult(images=tuple(images), catalogs=tuple(catalogs))


def refuse_plane_options(job: ImageJob) -> None:
    """Make sure that nobody chooses among the planes of a picture that has just one.

    Raises:
        UsageError: an option of TIFF planes is given.
    """
    for name in ("page", "channel", "z", "z_project", "level", "series"):
        if getattr(job.options, name):
            raise UsageError(f"{option(name)}: {job.in_img} is no TIFF and has just one plane; leave the option out")


def catalog_updates(jobs: list[ImageJob]) -> list[UpdateCatalogParams]:
    """One update for each catalog that finished images ask for, in the order in which the images were given."""
    updates: dict[Path, dict[str, Path]] = {}
    for job in jobs:
        if job.options.update_catalog:
            updates.setdefault(catalog_path(job), {})[job.out.img_id] = job.out.path(".pmtiles")
    title = jobs[0].out.out_dir.resolve().name if jobs else ""
    return [UpdateCatalogParams(catalog_yaml=path, basemaps=found, title=title) for path, found in updates.items()]


def catalog_path(job: ImageJob) -> Path:
    """The catalog that this image enters."""
    own: CatalogOptions = job.options
    return own.catalog_yaml or job.out.out_dir / "catalog.yaml"
