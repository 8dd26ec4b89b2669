"""What an import of a picture would do, and which options it needs: by trying it as far as it goes without pixels."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from cartloader_image.errors import BoundsError, CartloaderError, MetadataError, sentence
from cartloader_image.images.source import Source
from cartloader_image.options import option
from cartloader_image.params import ImportOptions
from cartloader_image.recipe.job import ImageJob, single_job
from cartloader_image.recipe.opened import placed
from cartloader_image.recipe.plan import FirstParams, ImportPlan, plan_of, raster_params
from cartloader_image.values import PixelSize, made_id, stem_of

_OUT_DIR = Path("map")
"""Where the command writes to; whoever types it gives another."""
_PLACEHOLDER = "UM_PER_PIXEL"
"""In the command, for a pixel size that nobody has told."""


class Choice(NamedTuple):
    """An option without which the import would not do."""

    option: str
    value: str | None
    """What the command has; None where only a person knows it."""
    why: str


class Needs(NamedTuple):
    """What an import takes, as far as that can be told without pixels."""

    min_zoom: int
    max_zoom: int
    tiles: int
    """At most, where some turn out to be transparent."""
    disk: tuple[int, int]
    """Bytes at the largest moment, from a picture that compresses well to one that does not."""
    memory: int
    """Bytes of the process at the largest moment."""


@dataclass(frozen=True)
class ImportInfo:
    """What ``cartloader import_image`` would do with a picture."""

    command: str
    """For a shell; where it is not ``ready``, words in capitals stand for what has to be found out."""
    ready: bool
    """Whether the command works as it is."""
    choices: tuple[Choice, ...]
    """Options that it needs beside the files."""
    needs: Needs | None = None
    """Where the picture's place is known."""
    notes: tuple[str, ...] = ()
    """What would be noted beside what is said of the picture itself."""
    refused: str = ""
    """Why it would not be imported, whatever the choices."""


@dataclass(frozen=True)
class Attempt:
    """The import of a picture to map tiles by a command that makes just the choices that it has to."""

    path: Path
    choices: tuple[Choice, ...] = ()

    @cached_property
    def job(self) -> ImageJob:
        """What the command asks for."""
        chosen = {_field(choice): choice.value for choice in self.choices}
        options = ImportOptions.model_validate({"png2pmtiles": True} | chosen)
        return single_job(self.path, image_id(self.path), _OUT_DIR, options)

    @cached_property
    def params(self) -> FirstParams:
        """The parameters of its first action.

        Raises:
            InputError: the picture cannot be read.
        """
        params = raster_params(self.job)
        assert params is not None, "the image is read"
        return params

    def planned(self, source: Source) -> ImportInfo:
        """What comes of it, given the open picture."""
        try:
            plan = plan_of(self.job, self.params, placed(source, self.params))
        except (BoundsError, MetadataError) as error:
            try:
                placed(source, self.params.model_copy(update={"pixel_size": PixelSize(1, 1)}))
            except CartloaderError as other:
                return self.refused(other)
            return self._info(Choice("--pixel-size", None, self._why(error)))
        except CartloaderError as error:
            return self.refused(error)
        return self._info(needs=_needs(plan), notes=tuple(note for note in plan.notes if note not in source.notes))

    def refused(self, error: CartloaderError) -> ImportInfo:
        """What comes of it, where it ends with an error before it begins."""
        return self._info(refused=self._why(error))

    def _info(self, *missing: Choice, **found: Any) -> ImportInfo:
        choices = (*self.choices, *missing)
        chosen = [word for choice in choices for word in (choice.option, choice.value or _PLACEHOLDER)]
        files = ["--in-img", str(self.path)]
        out = ["--out-dir", str(_OUT_DIR), "--img-id", self.job.out.img_id]
        command = shlex.join(["cartloader", "import_image", "--png2pmtiles", *files, *chosen, *out])
        return ImportInfo(command, "needs" in found, choices, **found)

    def _why(self, error: CartloaderError) -> str:
        """The sentence of an error without the name of the file or image that it is about."""
        text = sentence(error)
        return text.removeprefix(f"{self.path}: ").removeprefix(f"{self.job.out.img_id}: ")


def image_id(path: Path) -> str:
    """An image id made of the name of a file."""
    return made_id(stem_of(path))


def _field(choice: Choice) -> str:
    return next(name for name in ImportOptions.model_fields if option(name) == choice.option)


def _needs(plan: ImportPlan) -> Needs:
    pyramid = plan.pyramid
    assert pyramid is not None, "tiles are asked for"
    disk = plan.disk.low, plan.disk.high
    return Needs(pyramid.min_zoom, pyramid.max_zoom, pyramid.tile_count(), disk, plan.memory)
