"""Open any image: the plane that was asked for, and what the file says about where it lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from affine import Affine
from tifffile import TiffPage

from cartloader_image.action_params import Ome2PngParams, RasterParams
from cartloader_image.budget import Cost
from cartloader_image.errors import InputError, UsageError, shortened
from cartloader_image.images.beside import aux_file, world_files
from cartloader_image.images.calibration import cut_at, detectable
from cartloader_image.images.kinds import is_tiff
from cartloader_image.images.ome import OmeImage
from cartloader_image.images.photometric import scheme_of
from cartloader_image.images.plane import Plane, Projected
from cartloader_image.images.shrunk import Shrunk
from cartloader_image.images.stack import stack_of
from cartloader_image.images.tiff import PlaneRef, Series, Tiff, open_tiff
from cartloader_image.images.tiff_plane import open_plane
from cartloader_image.options import option
from cartloader_image.params import PlaneOptions

_GEOTIFF_TAGS = {33550, 33922, 34264}
_GEO_KEYS = 34735
_RASTER_TYPE = 1025
"""The key that says whether pixels are areas; alone, it speaks of no spatial reference (GeoTIFF 1.1)."""


@dataclass(frozen=True)
class Source:
    """An open plane and the facts that place it; sizes are those of the finest level, before any shrinking."""

    plane: Plane
    full_size: tuple[int, int]
    """Height and width in pixels of level 0 of the same series."""
    description: str
    """Size, type and plane for people."""
    stretch: float = 1.0
    """By how much the plane's values are greater than the stored ones: those of less than 8 bits are stretched to 8."""
    pixel_size: tuple[float, float] | None = None
    """µm per pixel in x and y from OME metadata."""
    pixel_size_problem: str = ""
    """Why OME metadata have no pixel size."""
    stage_position: tuple[float, float] | None = None
    """µm."""
    stage_position_problem: str = ""
    """Why there is none, where the file has something of that name."""
    cut_at: tuple[float, float] | None = None
    """Column and row, in pixels of the picture, at which its first pixel lies in the slide that it was cut from."""
    georeference: tuple[Affine, str | None] | None = None
    """Level-0 pixel → map, and the CRS as WKT if there is one."""
    detectable: tuple[tuple[float, float], str] | None = None
    """µm per pixel that are only believed when asked to, and where they stand."""
    notes: tuple[str, ...] = ()
    """What was guessed or mended to read the file, in sentences that name no path."""
    found: Callable[[], tuple[str, ...]] = tuple
    """What is to be noted once all pixels were read: the damage in them."""
    paints: bool = False
    """Whether pixels that the file leaves out are white or black, as asked for."""


@contextmanager
def open_source(params: RasterParams) -> Iterator[Source]:
    """Open the plane that the parameters choose, shrunk as they say; no pixels are read yet.

    Raises:
        InputError: the file cannot be read.
        UsageError: the choice of a plane is missing or out of range.
    """
    if is_tiff(params.in_img):
        with open_tiff(params.in_img, params.budget) as tiff:
            yield _shrunk(tiff_source(tiff, params), params.shrink_factor)
        return
    if isinstance(params, Ome2PngParams):
        raise UsageError(f"--ome2png takes a TIFF or OME-TIFF, which {params.in_img} is not; leave --ome2png out")
    from cartloader_image.images.picture import PicturePlane, georeference_of, open_dataset  # noqa: PLC0415  (0.3 s)

    _check_beside(params)
    with ExitStack() as opened:
        dataset = opened.enter_context(open_dataset(params.in_img))
        picture = PicturePlane(params.in_img, dataset, params, opened)
        source = Source(
            plane=picture,
            full_size=(picture.height, picture.width),
            description=describe(picture),
            stretch=picture.stretch,
            georeference=georeference_of(dataset),
            notes=picture.notes,
            found=picture.damage,
        )
        yield _shrunk(source, params.shrink_factor)


def _check_beside(params: RasterParams) -> None:
    """Refuse a file of GDAL's beside the picture that is too large: GDAL would parse it all the same."""
    if aux := aux_file(params.in_img):
        params.budget.check(aux, Cost.XML, aux.stat().st_size)


def describe(plane: Plane) -> str:
    """Size, type and bands of a plane for people."""
    return f"{plane.width:,} × {plane.height:,} {plane.dtype}{plane.layout.label}"


def _shrunk(source: Source, factor: float) -> Source:
    if factor == 1:
        return source
    plane = Shrunk(source.plane, factor)
    description = f"{source.description}, shrunk to {plane.width:,} × {plane.height:,}"
    return Source(**{**source.__dict__, "plane": plane, "description": description})


def tiff_source(tiff: Tiff, params: RasterParams) -> Source:
    """The plane of an open TIFF that the parameters choose, as it is stored; no pixels are read yet.

    Raises:
        InputError: the plane cannot be shown.
        UsageError: the choice of a plane is missing or out of range.
    """
    if not isinstance(params, Ome2PngParams):
        raise InputError(f"{params.in_img}: is a TIFF, which the georeference action does not take; ome2png does")
    _check_beside(params)
    if params.series >= len(tiff.series):
        numbers = [f"{number}" for number in range(len(tiff.series))]
        raise _out_of_range(tiff, "--series", params.series, "series", _joined(numbers))
    series = tiff.series[params.series]
    chosen = choose_planes(tiff, series, params)
    stack = [(tiff, chosen), *_stack(tiff, params)]
    levels = min(len(ref.levels) for ref in chosen)
    if params.level >= levels:
        sizes = ", ".join(f"{n} ({p.imagewidth:,} × {p.imagelength:,})" for n, p in enumerate(chosen[0].levels))
        raise _out_of_range(tiff, "--level", params.level, "levels", sizes)
    planes = [open_plane(one, ref, params.level, params) for one, refs in stack for ref in refs]
    try:
        plane: Plane = planes[0] if len(planes) == 1 else Projected(planes)
    except ValueError as error:
        raise InputError(f"{tiff.path}: {error}") from None
    finest = chosen[0].levels[0]
    scheme = scheme_of(chosen[0].levels[params.level])
    return Source(
        plane=plane,
        full_size=(finest.imagelength, finest.imagewidth),
        description=describe(plane) + _which(series, chosen, params.level) + _files(stack),
        stretch=scheme.stretch,
        georeference=_georeference(tiff, finest),
        **{"detectable": detectable(tiff.first.description, finest, params.series)}
        | _scale_and_position(tiff, series, chosen, finest),
        notes=tuple(dict.fromkeys([*tiff.notes, *scheme.notes])),
        found=tiff.damage.notes,
        paints=any(plane.paints for plane in planes),
    )


def _stack(tiff: Tiff, params: Ome2PngParams) -> Iterator[tuple[Tiff, list[PlaneRef]]]:
    """The same planes in the other files of the z stack."""
    others = stack_of(params.in_img, params.z_stack)
    if params.z_stack and not others:
        raise InputError(f"{params.in_img}: --z-stack {params.z_stack} fits no other file beside it")
    for path in others:
        other = replace(tiff.opened.enter_context(open_tiff(path, params.budget)), damage=tiff.damage)
        if params.series >= len(other.series):
            raise InputError(f"{path}: has no series {params.series}, as {params.in_img.name} has; narrow --z-stack")
        refs = choose_planes(other, other.series[params.series], params)
        if params.level >= min(len(ref.levels) for ref in refs):
            raise InputError(f"{path}: has no level {params.level}, as {params.in_img.name} has; narrow --z-stack")
        yield other, refs


def _files(stack: list[tuple[Tiff, list[PlaneRef]]]) -> str:
    """The files of a stack, where it is in several."""
    first, last = stack[0][0].path.name, stack[-1][0].path.name
    return f", maximum over {len(stack):,} files ({first} … {last})" if len(stack) > 1 else ""


def _scale_and_position(tiff: Tiff, series: Series, chosen: list[PlaneRef], finest: TiffPage) -> dict[str, Any]:
    """Pixel size and stage position of a plane, in µm, and why there are none, by the names that `Source` has for them.

    Programs that crop or resize a picture often leave the metadata of the old one in it, of which nothing is true then,
    its resolution tags included.
    """
    ome = series.ome
    if ome is None:
        if problem := _lost(tiff):
            return {"pixel_size_problem": problem, "stage_position_problem": problem}
        place = cut_at(tiff.first.description, finest)
        return {"stage_position_problem": place} if isinstance(place, str) else {"cut_at": place}
    if (ome.width, ome.height) != (finest.imagewidth, finest.imagelength):
        declared, stored = f"{ome.width:,} × {ome.height:,}", f"{finest.imagewidth:,} × {finest.imagelength:,}"
        problem = f"its OME-XML describes a picture of {declared} pixels, and it has {stored}"
        return {"pixel_size_problem": problem, "detectable": None}
    position = _stage_position(ome, chosen)
    return {
        "pixel_size": ome.pixel_size,
        "pixel_size_problem": ome.pixel_size_problem,
        "stage_position": None if isinstance(position, str) else position,
        "stage_position_problem": position if isinstance(position, str) else "",
    }


def _lost(tiff: Tiff) -> str:
    """What is to be said of metadata that are not there."""
    return f"its metadata are in {tiff.lost}, which is not beside it" if tiff.lost else ""


def _stage_position(ome: OmeImage, chosen: list[PlaneRef]) -> tuple[float, float] | str | None:
    """Where the planes lie, in µm, or why that cannot be told; None where nothing is said of them."""
    found = [ome.positions.get((plane.z, plane.c, plane.t)) for plane in chosen]
    places = [place for place in found if isinstance(place, tuple)]
    if len(places) < len(found):
        problem = next((place for place in found if isinstance(place, str)), None)
        return f"its stage position is no length ({problem})" if problem else None
    spread = [max(axis) - min(axis) for axis in zip(*places, strict=True)]
    if ome.pixel_size and any(far > size for far, size in zip(spread, ome.pixel_size, strict=True)):
        return "the stage positions of the planes that are projected differ by more than a pixel"
    return places[0]


def _which(series: Series, chosen: list[PlaneRef], level: int) -> str:
    text = f", level {level}" if level else ""
    if len(chosen) > 1:
        return f"{text}, maximum of {len(chosen)} planes ({chosen[0].label} … {chosen[-1].label})"
    if len(series.planes) == 1:
        return f"{text}, {chosen[0].label}" if chosen[0].label else text
    label = f" ({chosen[0].label})" if chosen[0].label else ""
    return f"{text}, plane {series.planes.index(chosen[0])} of {len(series.planes)}{label}"


def choose_planes(tiff: Tiff, series: Series, options: PlaneOptions) -> list[PlaneRef]:
    """The one plane that is asked for by page or by names, or all z of a channel for a projection.

    Raises:
        UsageError: none or more than one fits; the sentence lists what there is.
    """
    planes = dict(enumerate(series.planes))
    if options.page is not None:
        if options.page not in planes:
            raise _out_of_range(tiff, "--page", options.page, "planes", _listed(planes))
        return [planes[options.page]]
    if options.channel is not None:
        index = _channel_index(tiff, series, options.channel)
        planes = {number: plane for number, plane in planes.items() if plane.c == index}
    if options.z is not None:
        there = {plane.z: f"{plane.z}" for plane in planes.values()}
        if options.z not in there:
            raise _out_of_range(tiff, "--z", options.z, "z", _joined(list(there.values())))
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
    listed = _joined([f"{index} ({name})" if name else f"{index}" for index, name in names.items()])
    found = "names several channels" if named else "is no channel"
    elsewhere = series.ome.elsewhere if series.ome else {}
    siblings = [f"; {name} is in {file}" for name, file in elsewhere.items() if name.casefold() == wanted.casefold()]
    siblings += [f"; {_lost(tiff)}"] if tiff.lost else []
    raise UsageError(f"{tiff.path}: --channel {wanted} {found}; there are {listed}{''.join(siblings[:1])}")


def _listed(planes: dict[int, PlaneRef]) -> str:
    """``0 (z=0, DAPI), 1 (z=1, DAPI)``: planes by ``--page``."""
    return _joined([f"{number} ({plane.label})" if plane.label else f"{number}" for number, plane in planes.items()])


def _joined(texts: list[str]) -> str:
    """A list, cut in the middle where it is long, and its items at their ends."""
    texts = list(map(shortened, texts))
    return ", ".join(texts) if len(texts) <= 6 else f"{', '.join(texts[:2])} … {texts[-1]}"


def _out_of_range(tiff: Tiff, name: str, value: int, what: str, there: str) -> UsageError:
    return UsageError(f"{tiff.path}: {name} {value} is out of range; its {what}: {there}")


def _georeference(tiff: Tiff, page: TiffPage) -> tuple[Affine, str | None] | None:
    """What GDAL finds in a page, or beside the file; keys that name no reference name none, whatever it makes of it."""
    tagged = bool(_GEOTIFF_TAGS & {tag.code for tag in page.tags})
    aux = aux_file(tiff.path)
    if not (tagged or aux or world_files(tiff.path)):
        return None
    from cartloader_image.images.picture import georeference_of, open_dataset  # noqa: PLC0415  (0.3 s)

    inside = f"GTIFF_DIR:off:{page.offset}:{tiff.path}" if tagged and page.offset != tiff.first.offset else None
    with open_dataset(tiff.path, inside) as dataset:
        found = georeference_of(dataset, declared=tagged)
    keys = page.tags.valueof(_GEO_KEYS)
    named = not isinstance(keys, tuple) or bool({*keys[4::4]} - {_RASTER_TYPE})
    return found if found is None or named or aux else (found[0], None)
