"""A z stack whose planes are files of their own: which these are."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from cartloader_image.errors import InputError


def stack_of(image: Path, pattern: str | None) -> list[Path]:
    """The other files of the z stack to which an image belongs, by a pattern of their names; not what an import made.

    Raises:
        InputError: their folder cannot be read; one that is missing has no files.
    """
    if not pattern:
        return []
    try:
        beside = sorted(image.parent.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{image.parent}: cannot be read ({error.strerror}); check --z-stack") from None
    return [
        path
        for path in beside
        if fnmatchcase(path.name, pattern) and path.name != image.name and not path.name.endswith(".geotif.tif")
    ]
