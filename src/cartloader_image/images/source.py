"""Open any image: the plane that was asked for, and what the file says about where it lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from affine import Affine
from tifffile import TiffPage

from cartloader_image.action_params import Ome2PngParams, RasterParams
from cartloader_image.budget import Cost
from cartloader_image.errors import InputError, UsageError
from cartloader_image.images.beside import aux_file, world_files
from cartloader_image.images.calibration import cut_at, detectable
from cartloader_image.images.choice import choose_planes, joined, lost, out_of_range
from cartloader_image.images.fields import mosaic_of, pictures_of_fields
from cartloader_image.images.kinds import is_tiff
from cartloader_image.images.mosaic import PlacedParts
from cartloader_image.images.ome import OmeImage
from cartloader_image.images.photometric import scheme_of
from cartloader_image.images.plane import Plane, Projected
from cartloader_image.images.shrunk import Shrunk
from cartloader_image.images.stack import channel_order, stack_of
from cartloader_image.images.tiff import PlaneRef, Series, Tiff, open_tiff
from cartloader_image.images.tiff_plane import open_plane
from cartloader_image.options import option
from cartloader_image.placement_params import FieldOptions

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
    slide: Affine | None = None
    """Pixel → pixels of the slide of which fields of view are parts."""
    georeference: tuple[Affine, str | None] | None = None
    """Level-0 pixel → map, and the CRS as WKT if there is one."""
    detectable: tuple[tuple[float, float], str] | None = None
    """µm per pixel that are only believed when asked to, and where they stand."""
    stains: str = ""
    """The letters of its file's pages, where it has such."""
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
    with (_mosaic if params.fov_positions else _one)(params) as source:
        yield _shrunk(source, params.shrink_factor)


@contextmanager
def _one(params: RasterParams) -> Iterator[Source]:
    """The plane of one file, or of a z stack of files."""
    if is_tiff(params.in_img):
        with open_tiff(params.in_img, params.budget) as tiff:
            yield tiff_source(tiff, params)
        return
    if isinstance(params, Ome2PngParams):
        raise UsageError(f"--ome2png takes a TIFF or OME-TIFF, which {params.in_img} is not; leave --ome2png out")
    from cartloader_image.images.picture import PicturePlane, georeference_of, open_dataset  # noqa: PLC0415  (0.3 s)

    _check_beside(params)
    with ExitStack() as opened:
        dataset = opened.enter_context(open_dataset(params.in_img))
        picture = PicturePlane(params.in_img, dataset, params, opened)
        yield Source(
            plane=picture,
            full_size=(picture.height, picture.width),
            description=describe(picture),
            stretch=picture.stretch,
            georeference=georeference_of(dataset),
            notes=picture.notes,
            found=picture.damage,
        )


@contextmanager
def _mosaic(params: RasterParams) -> Iterator[Source]:
    """The planes of fields of view as one; each is opened once to see that it is like the others.

    Raises:
        InputError: one of them is not, or they cannot be placed.
        UsageError: an option does not go with fields.
    """
    for name in ("z_stack", "level"):
        if getattr(params, name, None):
            raise UsageError(f"{option(name)}: does not go with --fov-positions; leave it out")
    pictures, own = pictures_of_fields(params.in_img)
    alone = {"shrink_factor": 1.0, **dict.fromkeys(FieldOptions.model_fields)}
    of_field = {path: params.model_copy(update=alone | {"in_img": path}) for path in pictures.values()}
    damage = dict[str, tuple[str, ...]]()
    with ExitStack() as opened:
        first = opened.enter_context(_one(of_field[params.in_img]))  # the settings that it needs stay for all of them
        mosaic = mosaic_of(pictures, first.full_size, own, params)

        @contextmanager
        def open_part(path: Path) -> Iterator[Plane]:
            with _one(of_field[path]) as part:
                yield part.plane
                damage[path.name] = part.found() or damage.get(path.name, ())

        notes = list(mosaic.notes)
        for path, _ in mosaic.fields:
            with _one(of_field[path]) as part:
                _check_alike(path, part, params.in_img, first)
                notes += [note for note in part.notes if note not in notes]
        parts = [(partial(open_part, path), window) for path, window in mosaic.fields]
        plane = PlacedParts(parts, first.plane, mosaic.height, mosaic.width)
        opened.callback(plane.close)

        def found() -> tuple[str, ...]:
            plane.close()
            return tuple(f"{name}: {note}" for name, told in sorted(damage.items()) for note in told)

        which = first.description.removeprefix(describe(first.plane))
        yield Source(
            plane=plane,
            full_size=(plane.height, plane.width),
            description=f"{describe(plane)}{which}, of {len(parts):,} field{'s' * (len(parts) > 1)} of view",
            stretch=first.stretch,
            slide=mosaic.slide,
            notes=tuple(notes),
            found=found,
            paints=first.paints,
        )


def _check_alike(path: Path, part: Source, other: Path, example: Source) -> None:
    """Refuse a field whose pixels are of another kind than those of the others."""
    kinds = [(one.description, one.plane.tint, one.stretch, one.plane.concurrent) for one in (part, example)]
    if kinds[0] != kinds[1]:
        raise InputError(
            f"{path}: is {part.description}, and {other.name} beside it is {example.description}; fields of view of "
            "one image have one size and type"
        )
    if part.stains != example.stains:
        raise InputError(
            f"{path}: its pages are the stains {part.stains or '?'}, and those of {other.name} beside it are "
            f"{example.stains or '?'}; fields of view of one image have their stains in one order"
        )


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
    return replace(
        source, plane=plane, description=f"{source.description}, shrunk to {plane.width:,} × {plane.height:,}"
    )


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
        raise out_of_range(tiff, "--series", params.series, "series", joined(numbers))
    series = tiff.series[params.series]
    chosen = choose_planes(tiff, series, params)
    stack = [(tiff, chosen), *_stack(tiff, params)]
    levels = min(len(ref.levels) for ref in chosen)
    if params.level >= levels:
        sizes = ", ".join(f"{n} ({p.imagewidth:,} × {p.imagelength:,})" for n, p in enumerate(chosen[0].levels))
        raise out_of_range(tiff, "--level", params.level, "levels", sizes)
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
        stains=channel_order(tiff.first.description),
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
        if problem := lost(tiff):
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
