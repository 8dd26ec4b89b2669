"""What is asked for one image, checked as far as it can be without reading anything."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from cartloader_image.action_params import OutputPrefix
from cartloader_image.errors import UsageError, did_you_mean
from cartloader_image.options import Options, option
from cartloader_image.params import ImportOptions
from cartloader_image.recipe import effects
from cartloader_image.run_params import CatalogOptions
from cartloader_image.values import check_image_id


class ImageJob(Options):
    """One image to import: where it is, where its files go, and everything else that was asked for it."""

    in_img: Path | None
    """None only where the finished archive is all that is needed (``--update-catalog`` alone), or with a ``fault``."""
    out: OutputPrefix
    options: ImportOptions
    notes: tuple[str, ...] = ()
    """What a person should know of how it was understood."""
    fault: str = ""
    """Why it cannot be imported, where that is known before anything is read; the others of its run can be."""

    @property
    def catalog(self) -> Path:
        """The catalog that this image enters."""
        own: CatalogOptions = self.options
        return own.catalog_yaml or self.out.out_dir / "catalog.yaml"

    @property
    def points(self) -> Path | None:
        """The points that its finished archive is held against."""
        return self.options.check_points if self.options.png2pmtiles or self.options.update_catalog else None

    @property
    def sources(self) -> list[tuple[str, Path]]:
        """The files that are read, each with the option that names it."""
        if not self.options.reads_the_image:
            return [("check_points", self.points)] if self.points else []
        named = [(name, path) for name, path in self.options if isinstance(path, Path) and name != "catalog_yaml"]
        return [*([("in_img", self.in_img)] if self.in_img else []), *named]


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
        near = did_you_mean(name, map(option, ImportOptions.model_fields))
        return f"{name} is no option{near}; see cartloader import_image --help"
    if not name or message.startswith("--"):
        return message
    value = first["input"]
    if not isinstance(value, (str, int, float, Path)) or str(value) in message:
        return f"{name}: {message}"
    return f"{name} {value if str(value).isprintable() else repr(str(value))}: {message}"


def single_job(
    in_img: Path | None,
    img_id: str,
    out_dir: Path,
    options: ImportOptions,
    *,
    notes: tuple[str, ...] = (),
    fault: str = "",
) -> ImageJob:
    """The job of one image, checked by itself.

    Raises:
        UsageError: no action, a missing image, or an id that cannot be one.
    """
    effects.check_actions(options)
    if in_img is None and options.reads_the_image and not fault:
        raise UsageError("--in-img is missing; name the image, or a mapping of images with --in-json")
    try:
        check_image_id(img_id)
    except ValueError as error:
        raise UsageError(f"--img-id: {error}") from None
    out = OutputPrefix(out_dir=out_dir, img_id=img_id)
    return ImageJob(in_img=in_img, out=out, options=options, notes=(*notes, *effects.notes(options)), fault=fault)


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
