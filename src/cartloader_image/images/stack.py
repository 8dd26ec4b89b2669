"""The other files that belong to an image: planes of its z stack, or the fields of view beside it."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

from cartloader_image.errors import InputError
from cartloader_image.options import Options

FIELD = re.compile(r"_F(\d+)(\.[A-Za-z]+)$", re.IGNORECASE)
"""How the name of a field's picture ends, such as ``CellComposite_F001.jpg``."""
_STARTED = re.compile(r"^\d{8}_\d{6}_")
"""When it was taken, before that: a run that was interrupted has two such times."""
_ORDER = re.compile(r'"ChannelOrder":\s*"([^"]*)"')


def channel_order(description: str) -> str:
    """A letter for each page of a field's stains, as CosMx describes them; none where it is no such description."""
    found = _ORDER.search(description)
    return found[1] if found else ""


def further_images(image: Path, options: Options) -> list[Path]:
    """The other files whose pixels an image is made of, by its options.

    Raises:
        InputError: their folder cannot be read.
    """
    others = stack_of(image, getattr(options, "z_stack", None))
    if getattr(options, "fov_positions", None):
        others += [path for paths in fields_of(image).values() for path in paths if path != image]
    return others


def stack_of(image: Path, pattern: str | None) -> list[Path]:
    """The other files of the z stack to which an image belongs, by a pattern of their names; not what an import made.

    Raises:
        InputError: their folder cannot be read; one that is missing has no files.
    """
    if not pattern:
        return []
    return [
        path
        for path in _beside(image, "--z-stack")
        if fnmatchcase(path.name, pattern) and path.name != image.name and not path.name.endswith(".geotif.tif")
    ]


def fields_of(image: Path) -> dict[int, list[Path]]:
    """The pictures of fields of view by their numbers, in the folder of one and of its kind.

    Raises:
        InputError: their folder cannot be read; one that is missing has no files.
    """
    found = dict[int, list[Path]]()
    for path in _beside(image, "--fov-positions") if field_kind(image) else ():
        if (match := FIELD.search(path.name)) and field_kind(path) == field_kind(image):
            found.setdefault(int(match[1]), []).append(path)
    return dict(sorted(found.items()))


def field_kind(path: Path) -> str:
    """What the names of a slide's fields have in common, beside the time: nothing where it is no picture of a field."""
    return _STARTED.sub("", FIELD.sub(r"_F\2", path.name)).lower() if FIELD.search(path.name) else ""


def _beside(image: Path, name: str) -> list[Path]:
    try:
        return sorted(image.parent.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{image.parent}: cannot be read ({error.strerror}); check {name}") from None
