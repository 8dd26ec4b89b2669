"""The files beside an image that say more of it: its size, its place, or which of its pixels mean anything."""

from __future__ import annotations

import stat
from contextlib import suppress
from pathlib import Path

from cartloader_image.action_params import RasterParams
from cartloader_image.budget import USUAL, Budget
from cartloader_image.errors import InputError
from cartloader_image.images.kinds import is_tiff
from cartloader_image.images.stack import further_images
from cartloader_image.images.tiff import metadata_file
from cartloader_image.system.reading import special

SPACE_RANGER = {"tissue_hires_image": "hires", "aligned_fiducials": "hires", "detected_tissue_image": "hires",
                "tissue_lowres_image": "lowres"}  # fmt: skip
"""Pictures that Space Ranger makes of the one that it is given, by their names, and which of its scales they have."""


def inputs(params: RasterParams) -> list[Path]:
    """The files that the first action reads: the image, those of options, and those beside it that say more of it."""
    named = [value for _, value in params if isinstance(value, Path)]
    if isinstance(params.pixel_size, Path):
        named += pictures_beside(params.pixel_size)
    images = [params.in_img, *further_images(params.in_img, params)]
    more = (file for image in images for file in companions(image, params.budget))
    return [*named, *manifests(params), *images[1:], *more]


def pictures_beside(scales: Path) -> list[Path]:
    """The pictures beside a file of their scales by whose sizes another one is known."""
    names = ("tissue_hires_image.png", "tissue_lowres_image.png")
    return [beside for name in names if _is_file(beside := scales.parent / name)]


def manifests(params: RasterParams) -> list[Path]:
    """The manifests of the Xenium runs that files of options belong to: they say how large their pixels are."""
    files = filter(None, (params.xenium_alignment, params.georef_landmarks))
    return [manifest for file in files if (manifest := experiment_file(file))]


def experiment_file(path: Path) -> Path | None:
    """The manifest of a Xenium run that lies beside a file, or up to two folders above it."""
    folders = path.absolute().parents[:3]
    return next((file for folder in folders if _is_file(file := folder / "experiment.xenium")), None)


def companions(path: Path, budget: Budget = USUAL) -> list[Path]:
    """The files beside an image that its size, place or meaning may be read from."""
    others = neighbours(path)
    with suppress(InputError):  # its reader tells best what is wrong with it
        if is_tiff(path) and (companion := metadata_file(path, budget)) and companion not in others:
            others.append(companion)
    return others


def neighbours(path: Path) -> list[Path]:
    """Those of the companions that are known by their names."""
    others = [aux_file(path), mask_file(path)]
    with suppress(OSError, ValueError):  # a directory that may be entered, but not listed
        others += [file for file in sorted(path.parent.glob("*.companion.ome")) if file.is_file()]
    return [*world_files(path), *filter(None, others)]


def world_files(path: Path) -> list[Path]:
    """The world files that stand beside an image: ``.tfw``, ``.tifw`` or ``.wld`` for a ``.tif``, or in capitals."""
    suffix = path.suffix or "."
    names = {f"{suffix[:2]}{suffix[-1]}w", f"{suffix}w", ".wld"}
    names |= {name.lower() for name in names} | {name.upper() for name in names}
    return [beside for name in sorted(names) if _is_file(beside := path.parent / (path.stem + name))]


def aux_file(path: Path) -> Path | None:
    """The file in which GDAL keeps what a picture has no room for, such as its spatial reference."""
    return _with_more(path, ".aux.xml")


def mask_file(path: Path) -> Path | None:
    """The file in which GDAL keeps the mask of a picture."""
    return _with_more(path, ".msk")


def _with_more(path: Path, suffix: str) -> Path | None:
    """The file whose name is that of another one and a suffix; None where there is none."""
    beside = path.parent / f"{path.name}{suffix}"
    return beside if _is_file(beside) else None


def _is_file(path: Path) -> bool:
    """Whether there is such a file; a name that is too long, or may not be looked at, is none.

    Raises:
        InputError: there is something at which GDAL would wait for ever.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    if what := special(mode):
        raise InputError(f"{path}: is {what}, not a file; remove it")
    return stat.S_ISREG(mode)
