"""The image of an import, open, placed and checked: opened once, for its plan and for the action that reads it.

Whoever opens it holds it open for a time; in that time, the same context does not open it again. So a plan and the
actions that follow it look at one open file, whether they are called here or by way of Prefect, to whose tasks nothing
can be handed that is not recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from cartloader_image.action_params import Ome2PngParams, RasterParams
from cartloader_image.errors import UsageError
from cartloader_image.images.beside import inputs, manifests, neighbours
from cartloader_image.images.plane import Plane
from cartloader_image.images.source import Source, open_source
from cartloader_image.images.stack import further_images
from cartloader_image.intensity import needs_statistics
from cartloader_image.layout import Layout, full
from cartloader_image.placing.doubts import doubts
from cartloader_image.placing.placement import Placement, place
from cartloader_image.recipe.outputs import refuse_to_overwrite

ParamsT = TypeVar("ParamsT", bound=RasterParams)
FileStates = tuple[tuple[object, ...], ...]
"""What tells whether one of some files has become another one."""


@dataclass(frozen=True)
class OpenImage:
    """An open image, and where it lies."""

    source: Source
    placement: Placement
    _params: RasterParams
    _state: FileStates

    def is_of(self, params: RasterParams) -> bool:
        """Whether it is what opening the image by these parameters would give now."""
        return self._params == params and self._state == _state(params)

    @property
    def description(self) -> str:
        """The image in one line: size, type, plane, pixel size."""
        x, y = self.placement.pixel_size
        size = f"{x:.6g}" if f"{x:.6g}" == f"{y:.6g}" else f"{x:.6g} × {y:.6g}"
        unit = "µm" if self.placement.crs == "EPSG:3857" else "map units"
        return f"{self.source.description}, {size} {unit} per pixel"

    @property
    def notes(self) -> tuple[str, ...]:
        """What was guessed or mended to read and to place it."""
        return (*self.source.notes, *self.placement.notes)


_held: ContextVar[OpenImage | None] = ContextVar("open image", default=None)


@contextmanager
def opened(params: RasterParams) -> Iterator[OpenImage]:
    """The image, open and placed, and all checked that can be without its pixels: that takes a fraction of a second.

    Raises:
        CartloaderError: the input or the options are at fault.
    """
    held = _held.get()
    if held and held.is_of(params):
        yield held
        return
    state = _state(params)
    with open_source(params) as source:
        png = isinstance(params, Ome2PngParams) and params.png
        refuse_to_overwrite(inputs(params), params.out.raster_files(png=png))
        image = placed(source, params, state)
        token = _held.set(image)
        try:
            yield image
        finally:
            _held.reset(token)


def placed(source: Source, params: RasterParams, state: FileStates = ()) -> OpenImage:
    """An open image, checked against what is asked for, where it lies; ``state`` is that of its files beforehand.

    Raises:
        CartloaderError: the input or the options are at fault.
    """
    _check_layout(source.plane, params)
    _check_background(source, params)
    placement = place(source, params)
    notes = (*placement.notes, *doubts(source, placement, params))
    return OpenImage(source, replace(placement, notes=notes), params, state)


def suited(params: ParamsT, source: Source) -> ParamsT:
    """The parameters as they hold for the pixels of a plane, which need not be those that are stored.

    Thresholds are stretched as values of less than 8 bits are. A grey picture that the file itself shows in a colour
    has that colour unless another one is asked for, and is shown as it is: from black to the whole colour.
    """
    update: dict[str, Any] = {
        name: value * source.stretch
        for name in ("lower_thres_intensity", "upper_thres_intensity")
        if (value := getattr(params, name)) is not None
    }
    if source.plane.tint:
        update["colorize"] = params.colorize or source.plane.tint
        if params.upper_thres_quantile is None and source.plane.dtype != np.uint8:
            update.setdefault("upper_thres_intensity", full(source.plane.dtype))
    return params.model_copy(update=update)


def _state(params: RasterParams) -> FileStates:
    """What tells whether one of the files that are read has become another one, or a further one has come."""
    beside = *further_images(params.in_img, params), *manifests(params), *neighbours(params.in_img)
    files = [file for file in (*params.paths().values(), *beside) if file.exists()]
    states = [(file, file.stat()) for file in files]
    return tuple((file, state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns) for file, state in states)


def _check_layout(plane: Plane, params: RasterParams) -> None:
    """Hold the user's claims against what the file has."""
    layout, found = plane.layout, plane.layout.name
    if params.mono and layout != Layout(1, alpha=False):
        raise UsageError(f"--mono: {params.in_img} is {found}; leave --mono out")
    if params.rgba and layout != Layout(3, alpha=True):
        raise UsageError(f"--rgba: {params.in_img} is {found}; leave --rgba out")
    if params.colorize and layout.colours != 1:
        raise UsageError(f"--colorize is for mono images; {params.in_img} is {found}; leave --colorize out")
    if params.alpha and layout.colours != 1:
        raise UsageError(f"--alpha {params.alpha} is for mono images; {params.in_img} is {found}; leave --alpha out")


def _check_background(source: Source, params: RasterParams) -> None:
    """Refuse to paint what a file leaves out where it would count in the plane's statistics."""
    if source.paints and needs_statistics(source.plane.dtype, params):
        raise UsageError(
            f"--background {params.background}: what {params.in_img} leaves out would count in its quantiles; give "
            "--lower-thres-intensity and --upper-thres-intensity, or --background transparent"
        )
