"""Images as people bring them, opened as planes that are read window by window."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from cartloader_image.action_params import RasterParams
from cartloader_image.errors import InputError
from cartloader_image.images.kinds import TIFF, beginning


def is_tiff(path: Path) -> bool:
    """Whether the file starts as a TIFF or BigTIFF does, whatever its name says.

    Raises:
        InputError: the file cannot be read, or is of a kind that is known not to be
            (see `cartloader_image.images.kinds`).
    """
    return beginning(path).startswith(TIFF)


def world_files(path: Path) -> list[Path]:
    """The world files that stand beside an image: ``.tfw``, ``.tifw`` or ``.wld`` for a ``.tif``, or in capitals."""
    suffix = path.suffix or "."
    names = {f"{suffix[:2]}{suffix[-1]}w", f"{suffix}w", ".wld"}
    names |= {name.lower() for name in names} | {name.upper() for name in names}
    return [beside for name in sorted(names) if _is_file(beside := path.parent / (path.stem + name))]


def inputs(params: RasterParams) -> list[Path]:
    """The files that the first action reads: the image, those of options, and those beside it that say more of it."""
    named = [value for _, value in params if isinstance(value, Path)]
    return [*named, *companions(params.in_img)]


def companions(path: Path) -> list[Path]:
    """The files beside an image that its size, place or meaning may be read from."""
    others = neighbours(path)
    with suppress(InputError):  # its reader tells best what is wrong with it
        if is_tiff(path):
            from cartloader_image.images.tiff import metadata_file  # noqa: PLC0415  (this module is there before tifffile)

            others += [file for file in [metadata_file(path)] if file and file not in others]
    return others


def neighbours(path: Path) -> list[Path]:
    """Those of the companions that are known by their names."""
    others = [path.parent / f"{path.name}{suffix}" for suffix in (".aux.xml", ".msk")]
    with suppress(OSError, ValueError):  # a directory that may be entered, but not listed
        others += sorted(path.parent.glob("*.companion.ome"))
    return [*world_files(path), *filter(_is_file, others)]


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a name that is too long, or may not be looked at, is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
