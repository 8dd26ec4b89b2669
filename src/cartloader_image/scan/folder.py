"""A folder → the mapping of all images in it that can be imported, with what each of its lines rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from cartloader_image.errors import CartloaderError, InputError, UsageError, sentence
from cartloader_image.params import ImportOptions
from cartloader_image.recipe.entries import printable
from cartloader_image.recipe.job import explain, single_job
from cartloader_image.recipe.opened import opened
from cartloader_image.recipe.plan import raster_params
from cartloader_image.scan import cosmx, merscope, space_ranger, xenium
from cartloader_image.scan.layers import Layer, Run, layers_of, named_apart, pictures_in
from cartloader_image.scan.xenium import made_after

_VENDORS: tuple[Callable[[Path], Run | None], ...] = (
    xenium.recognise,
    merscope.recognise,
    space_ranger.recognise,
    cosmx.recognise,
)


def scan(folder: Path) -> list[Run]:
    """The runs in a folder, or in the folders in it; where it is no run, its pictures as they are.

    Each layer that is not lacking anything was opened and placed: its import would begin.

    Raises:
        InputError: the folder cannot be read.
        UsageError: it holds neither a run nor a picture.
    """
    folder = folder.absolute()  # what it is called counts
    try:
        if not folder.is_dir():
            raise UsageError(f"{folder}: is no directory; give the folder of a run, or of pictures")
        runs = _recognised(folder)
        if not runs:
            runs = [run for inner in sorted(folder.iterdir()) if inner.is_dir() for run in _recognised(inner)]
            runs = _with_those_beside(folder, runs)
        if not runs and (pictures := pictures_in(folder)):
            layers = [layer for path in pictures for layer in layers_of(path, {}, "its own metadata")]
            runs = [Run("a folder of pictures", folder, tuple(layers))]
    except OSError as error:
        raise InputError(f"{error.filename or folder}: cannot be read ({error.strerror or error})") from None
    if not runs:
        raise UsageError(
            f"{folder}: holds no run of Xenium, MERSCOPE, Visium or CosMx, and no picture; give the folder that has "
            "its images, or name one with cartloader import_image --in-img"
        )
    several = len(runs) > 1
    layers = [
        replace(layer, img_id=f"{run.folder.name}-{layer.img_id}") if several else layer
        for run in runs
        for layer in run.layers
    ]
    apart = iter(named_apart(layers))
    return [replace(run, layers=tuple(_tried(next(apart)) for _ in run.layers)) for run in runs]


def _recognised(folder: Path) -> list[Run]:
    return [run for recognise in _VENDORS if (run := recognise(folder))]


def _with_those_beside(folder: Path, runs: list[Run]) -> list[Run]:
    """Runs with the pictures beside their folders, as published data sets of Xenium have stains made after the run."""
    known = {layer.path for run in runs for layer in run.layers}
    pictures = [path for path in pictures_in(folder) if path not in known]
    if not runs or not pictures:
        return runs
    if any((run.folder / "experiment.xenium").is_file() for run in runs):
        layers = made_after(folder, pictures)
    else:
        lacking = "it lies beside the folder of a run, and nothing says where in it it belongs"
        layers = [replace(layer, lacking=lacking) for path in pictures for layer in layers_of(path, {}, "")]
    if len(runs) == 1:
        return [replace(runs[0], layers=(*runs[0].layers, *layers))]
    return [*runs, Run("pictures beside them", folder, tuple(layers))]


def _tried(layer: Layer) -> Layer:
    """A layer with what opening and placing it tells: what it is, or why it cannot be imported."""
    if layer.lacking:
        return layer
    if printable(str(layer.path)) != str(layer.path):
        return replace(layer, lacking="a mapping cannot hold its name, which is no text in UTF-8; rename it")
    try:
        options = ImportOptions.model_validate({"png2pmtiles": True} | layer.options)
        params = raster_params(single_job(layer.path, layer.img_id, Path("map"), options))
        assert params is not None, "the image is read"
        with opened(params) as image:
            told = [image.description, layer.because, *(f"note: {note}" for note in image.notes)]
            return replace(layer, because="\n".join(told))
    except ValidationError as error:
        return replace(layer, lacking=explain(error))
    except CartloaderError as error:
        return replace(layer, lacking=sentence(error).removeprefix(f"{layer.path}: "))
