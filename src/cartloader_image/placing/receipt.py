"""By what an image was placed: what its archive, its page and the summary tell, so that it can be done again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from affine import Affine

from cartloader_image.action_params import RasterParams
from cartloader_image.images.beside import aux_file, world_files
from cartloader_image.images.source import Source
from cartloader_image.placing.landmarks import Fit
from cartloader_image.placing.matrices import Matrix
from cartloader_image.results import LandmarkFit, Placing
from cartloader_image.system.files import sha256

_BY_FILE = {"georef_bounds_tsv": "bounds", "georef_pixel_tsv": "pixel tsv", "micron2pixel_csv": "vizgen"}


@dataclass(frozen=True)
class Receipt:
    """What says where an image lies."""

    origin: str = ""
    """``bounds``, ``pixel tsv``, ``vizgen``, ``affine``, ``archive``, ``xenium alignment``, ``landmarks``,
    ``fields of view``, ``pixel size``, ``ome``, ``world file``, ``georeference``, or ``detected`` and where the µm per
    pixel stand."""
    files: tuple[Path, ...] = ()
    """The files that say it, but for the image itself."""
    full_size: tuple[int, int] = (0, 0)
    """Width and height of the image in pixels, before any shrinking."""
    fit: Fit | None = None
    """How well landmarks agree with it."""

    def record(self, affine: Affine) -> Placing:
        """It with the affine that came of it, and what its files are.

        Raises:
            OSError: one cannot be read any more.
        """
        fit = self.fit and LandmarkFit(
            model=self.fit.model, residuals=self.fit.residuals, rms=self.fit.rms, worst=self.fit.worst
        )
        return Placing(
            origin=self.origin,
            affine=affine[:6],
            files={file.name: sha256(file) for file in self.files},
            full_size=self.full_size,
            landmarks=fit,
        )


NOTHING = Receipt()


def receipt_of(source: Source, params: RasterParams, matrix: Matrix | None) -> Receipt:
    """What the place of an image rests on; ``matrix`` is the one that places it, if any does."""
    height, width = source.full_size
    if matrix:
        return Receipt(matrix.origin, matrix.files, (width, height), matrix.fit)
    return Receipt(*_boxed(source, params), (width, height))


def _boxed(source: Source, params: RasterParams) -> tuple[str, tuple[Path, ...]]:
    if params.georef_bounds:
        return "bounds", ()
    for name, origin in _BY_FILE.items():
        if file := getattr(params, name):
            return origin, (file,)
    if size := params.pixel_size:
        return "pixel size", (size,) if isinstance(size, Path) else ()
    if source.pixel_size:
        return "ome", ()
    if source.georeference:
        beside = tuple(filter(None, (*world_files(params.in_img), aux_file(params.in_img))))
        return "world file" if world_files(params.in_img) else "georeference", beside
    return f"detected ({source.detectable[1]})" if source.detectable else "", ()
