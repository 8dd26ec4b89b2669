"""Landmarks: pairs of points, of the picture and of the map, and the matrix that fits them best.

Fits are by least squares over all pairs of ``|A·pixel - µm|²``. An affine is a linear system. A similarity and a rigid
motion are found with points as complex numbers, in which they are ``w = α·z + β``: about the means, the best ``α`` is
``Σ conj(z)·w / Σ |z|²``, and of length 1 the same over its own length.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from cartloader_image.errors import InputError, MetadataError, shortened
from cartloader_image.placing.affine_files import table
from cartloader_image.values import number

Model = Literal["affine", "similarity", "rigid"]
Points = NDArray[np.float64]

_XENIUM = ("alignmentx", "alignmenty", "fixedx", "fixedy")
"""Columns of the key points of Xenium Explorer: of the image, and of the DAPI image, both in pixels."""
_PLAIN = ("col", "row", "x", "y")
_AT_LEAST: dict[Model, int] = {"affine": 3, "similarity": 2, "rigid": 2}
_SLIM = 0.01
"""Width of points to their length, up to which they are a line: errors across it would be a hundred times as large."""
_ASTRAY = 3.0
"""Of the worst residual to the RMS, beyond which a point is probably a mistake."""
_FAR = 1e12
"""Beyond this, nothing has a place."""
_MARGIN = 1.0
"""Pixels beyond the picture at which a point may have been set."""


@dataclass(frozen=True)
class Landmarks:
    """Pairs of points as a file has them."""

    file: Path
    pixels: Points
    """``(n, 2)``: column and row, from the corner of the first pixel."""
    map: Points
    """``(n, 2)``: x and y."""
    in_dapi_pixels: bool
    """Whether x and y are pixels of the DAPI image of a Xenium run."""

    def scaled(self, unit: float) -> Landmarks:
        """With x and y in a unit of which ``unit`` make one of these."""
        return replace(self, map=self.map * unit)


@dataclass(frozen=True)
class Fit:
    """A matrix by landmarks."""

    affine: Affine
    model: Model
    residuals: tuple[float, ...]
    """µm between each point of the map and where the matrix puts its pixel, in the order of the file."""
    notes: tuple[str, ...]

    @property
    def rms(self) -> float:
        """Root of the mean of the residuals' squares, in µm."""
        return float(np.sqrt(np.mean(np.square(self.residuals))))

    @property
    def worst(self) -> float:
        """µm."""
        return max(self.residuals)


def read_landmarks(text: str, file: Path) -> Landmarks:
    """The pairs in a table with columns ``col,row,x,y``, or those of Xenium Explorer's key points, in any order.

    Raises:
        InputError: it has other columns, or a cell that is no number.
    """
    names, *rows = table(text) or [[]]
    plain = [name.strip().casefold() for name in names]
    wanted = next((columns for columns in (_PLAIN, _XENIUM) if set(columns) <= set(plain)), None)
    if wanted is None or len(set(plain)) < len(plain):
        raise InputError(
            f"{file}: --georef-landmarks takes columns col,row,x,y (pixels and µm) or Xenium Explorer's "
            f"fixedX,fixedY,alignmentX,alignmentY, found {shortened(','.join(names))!r}"
        )
    places = [plain.index(name) for name in wanted]
    points = np.empty((len(rows), 4))
    for line, row in enumerate(rows):
        try:
            points[line] = [number(row[place]) for place in places]
        except (IndexError, ValueError):
            raise InputError(
                f"{file}: point {line + 1} is {shortened(','.join(row))!r}, which is not four numbers"
            ) from None
    if not (np.abs(points) < _FAR).all():
        raise InputError(f"{file}: --georef-landmarks takes finite numbers, none beyond {_FAR:g}")
    return Landmarks(file, points[:, :2], points[:, 2:], wanted is _XENIUM)


def fit_landmarks(
    landmarks: Landmarks, model: Model, size: tuple[int, int], pixel_size: tuple[float, float] | None
) -> Fit:
    """The matrix of a kind that fits landmarks in µm best, for a picture of ``size`` (height, width).

    Args:
        landmarks: The pairs.
        model: ``affine``, ``similarity`` (turn, scale and shift) or ``rigid`` (turn and shift).
        size: Height and width of the picture.
        pixel_size: µm per pixel, by which a rigid motion knows the picture's size.

    Raises:
        InputError: the points are too few, lie on a line or beyond the picture, or mirror it.
        MetadataError: a rigid motion is asked for, and no pixel size is known.
    """
    _check_points(landmarks, model, size)
    pixels, there, file = landmarks.pixels, landmarks.map, landmarks.file
    if model == "affine":
        affine = _affine(pixels, there)
    else:
        if model == "rigid" and pixel_size is None:
            raise MetadataError(f"{file}: --landmark-model rigid needs the picture's µm per pixel; give --pixel-size")
        scale = Affine.scale(*pixel_size) if model == "rigid" and pixel_size else Affine.identity()
        affine = _turned(pixels @ np.diag([scale.a, scale.e]), there, rigid=model == "rigid") @ scale
    if _mirrors(pixels, there):
        raise InputError(
            f"{file}: its points mirror the picture; check that no two columns are swapped, and if it is meant, give "
            "the matrix by --georef-affine"
        )
    found = np.stack([affine @ tuple(point) for point in pixels])
    residuals = np.hypot(*(found - there).T)
    fit = Fit(affine, model, tuple(map(float, residuals)), ())
    return replace(fit, notes=_notes(fit))


def _check_points(landmarks: Landmarks, model: Model, size: tuple[int, int]) -> None:
    file, points, (height, width) = landmarks.file, landmarks.pixels, size
    least = _AT_LEAST[model]
    if len(points) < least:
        raise InputError(f"{file}: has {len(points)} points, and --landmark-model {model} needs {least} at least")
    beyond = ((points < -_MARGIN) | (points > np.array([width, height]) + _MARGIN)).any(axis=1)
    if beyond.any():
        index = int(np.flatnonzero(beyond)[0])
        column, row = points[index]
        raise InputError(
            f"{file}: point {index + 1} lies at column {column:g} and row {row:g}, beyond the picture of {width:,} × "
            f"{height:,} pixels; are columns swapped, or is it not the full size?"
        )
    for what, some in (("pixels", points), ("places on the map", landmarks.map)):
        spread = np.linalg.svd(some - some.mean(axis=0), compute_uv=False)
        if spread[0] == 0:
            raise InputError(f"{file}: its {what} are all the same point; give points that lie apart")
        if model == "affine" and spread[1] <= _SLIM * spread[0]:
            raise InputError(
                f"{file}: its {what} lie on a line, which leaves open what is across it; add a point beside the line, "
                "or choose --landmark-model similarity"
            )


def _affine(pixels: Points, there: Points) -> Affine:
    """By linear least squares, about the means for the sake of precision."""
    middle, mean = pixels.mean(axis=0), there.mean(axis=0)
    linear = np.linalg.lstsq(pixels - middle, there - mean, rcond=None)[0].T
    return _about(linear, middle, mean)


def _mirrors(pixels: Points, there: Points) -> bool:
    """Whether a mirrored picture fits better: the sign of the affine's determinant is that of the covariance's."""
    covariance = (pixels - pixels.mean(axis=0)).T @ (there - there.mean(axis=0))
    return bool(np.linalg.det(covariance) < -((_SLIM * np.linalg.norm(covariance)) ** 2))


def _turned(points: Points, there: Points, *, rigid: bool) -> Affine:
    """A turn, with a scale unless it is rigid."""
    middle, mean = points.mean(axis=0), there.mean(axis=0)
    z, w = ((some - about) @ [1, 1j] for some, about in ((points, middle), (there, mean)))
    alpha = np.vdot(z, w) / np.vdot(z, z).real
    if rigid:
        alpha /= abs(alpha)
    return _about(np.array([[alpha.real, -alpha.imag], [alpha.imag, alpha.real]]), middle, mean)


def _about(linear: Points, middle: Points, mean: Points) -> Affine:
    x, y = mean - linear @ middle
    return Affine(linear[0, 0], linear[0, 1], x, linear[1, 0], linear[1, 1], y)


def _notes(fit: Fit) -> tuple[str, ...]:
    if len(fit.residuals) == _AT_LEAST[fit.model] and fit.model != "rigid":
        return (
            f"{len(fit.residuals)} landmarks are as few as a matrix of this kind takes: no residual tells of errors",
        )
    if fit.worst > _ASTRAY * fit.rms:
        index = fit.residuals.index(fit.worst)
        astray = f"landmark {index + 1} is {fit.worst:.3g} µm astray, more than three times the RMS of {fit.rms:.3g} µm"
        return (f"{astray}; is it a mistake?",)
    return ()
