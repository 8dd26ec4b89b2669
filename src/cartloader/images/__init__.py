"""Images as people bring them, opened as planes that are read window by window."""

from __future__ import annotations

from pathlib import Path

from cartloader.errors import InputError
from cartloader.params import GeoreferenceParams

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_tiff(path: Path) -> bool:
    """Whether the file starts as a TIFF or BigTIFF does, whatever its name says.

    Raises:
        InputError: the file cannot be read, or is empty.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); --in-img takes a TIFF, PNG or JPEG file"
        ) from None
    if not start:
        raise InputError(f"{path}: is empty; --in-img takes a TIFF, PNG or JPEG file")
    return start in _TIFF_STARTS


def world_files(path: Path) -> list[Path]:
    """The world files that stand beside an image: ``.tfw``, ``.tifw`` or ``.wld`` for a ``.tif``, or in capitals."""
    suffix = path.suffix or "."
    names = {f"{suffix[:2]}{suffix[-1]}w", f"{suffix}w", ".wld"}
    names |= {name.lower() for name in names} | {name.upper() for name in names}
    return [beside for name in sorted(names) if (beside := path.with_name(path.stem + name)).is_file()]


def inputs(params: GeoreferenceParams) -> list[Path]:
    """The files that the first action reads: the image, those of options, and those beside it that say more of it."""
    named = [value for _, value in params if isinstance(value, Path)]
    return [*named, *companions(params.in_img)]


def companions(path: Path) -> list[Path]:
    """The files beside an image that its size, place or meaning may be read from."""
    others = [path.with_name(f"{path.name}.aux.xml"), *sorted(path.parent.glob("*.companion.ome"))]
    return [*world_files(path), *(other for other in others if other.is_file())]
