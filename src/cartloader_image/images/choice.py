"""Which planes of a TIFF are meant: by page, or by channel and z; and what there is, where none or several are."""

from __future__ import annotations

from cartloader_image.errors import UsageError, shortened
from cartloader_image.images.tiff import PlaneRef, Series, Tiff
from cartloader_image.options import option
from cartloader_image.params import PlaneOptions


def choose_planes(tiff: Tiff, series: Series, options: PlaneOptions) -> list[PlaneRef]:
    """The one plane that is asked for by page or by names, or all z of a channel for a projection.

    Raises:
        UsageError: none or more than one fits; the sentence lists what there is.
    """
    planes = dict(enumerate(series.planes))
    if options.page is not None:
        if options.page not in planes:
            raise out_of_range(tiff, "--page", options.page, "planes", _listed(planes))
        return [planes[options.page]]
    if options.channel is not None:
        index = _channel_index(tiff, series, options.channel)
        planes = {number: plane for number, plane in planes.items() if plane.c == index}
    if options.z is not None:
        there = {plane.z: f"{plane.z}" for plane in planes.values()}
        if options.z not in there:
            raise out_of_range(tiff, "--z", options.z, "z", joined(list(there.values())))
        planes = {number: plane for number, plane in planes.items() if plane.z == options.z}
    if len(planes) == 1 or (options.z_project and len({(plane.c, plane.t) for plane in planes.values()}) == 1):
        return list(planes.values())
    names = ("channel", "z", "z_project")
    criteria = [f"{option(name)} {value}" for name in names if (value := getattr(options, name)) is not None]
    problem = f"{len(planes)} planes fit {' '.join(criteria)}" if criteria else f"{len(planes)} planes and no --page"
    raise UsageError(
        f"{tiff.path}: {problem}; choose one with --page: {_listed(planes)}, or by --channel, --z or --z-project max"
    )


def _channel_index(tiff: Tiff, series: Series, wanted: str) -> int:
    """A channel by its OME name (case does not matter) or by its index."""
    there = {plane.c for plane in series.planes}
    names = {index: series.channels[index] for index in sorted(there)}
    named = [index for index, name in names.items() if name.casefold() == wanted.casefold()]
    if len(named) == 1:
        return named[0]
    if wanted.isdecimal() and int(wanted) in names:
        return int(wanted)
    listed = joined([f"{index} ({name})" if name else f"{index}" for index, name in names.items()])
    found = "names several channels" if named else "is no channel"
    elsewhere = series.ome.elsewhere if series.ome else {}
    siblings = [f"; {name} is in {file}" for name, file in elsewhere.items() if name.casefold() == wanted.casefold()]
    siblings += [f"; {lost(tiff)}"] if tiff.lost else []
    raise UsageError(f"{tiff.path}: --channel {wanted} {found}; there are {listed}{''.join(siblings[:1])}")


def _listed(planes: dict[int, PlaneRef]) -> str:
    """``0 (z=0, DAPI), 1 (z=1, DAPI)``: planes by ``--page``."""
    return joined([f"{number} ({plane.label})" if plane.label else f"{number}" for number, plane in planes.items()])


def joined(texts: list[str]) -> str:
    """A list, cut in the middle where it is long, and its items at their ends."""
    texts = list(map(shortened, texts))
    return ", ".join(texts) if len(texts) <= 6 else f"{', '.join(texts[:2])} … {texts[-1]}"


def out_of_range(tiff: Tiff, name: str, value: int, what: str, there: str) -> UsageError:
    """The error of a number that is none of those that are there."""
    return UsageError(f"{tiff.path}: {name} {value} is out of range; its {what}: {there}")


def lost(tiff: Tiff) -> str:
    """What is to be said of metadata that are not there."""
    return f"its metadata are in {tiff.lost}, which is not beside it" if tiff.lost else ""
