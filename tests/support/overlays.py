"""Pictures of tissue, and points as they would be measured on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

import cartloader_image as cl
from cartloader_image.placing.orientation import Orientation

BASE = (100.0, 200.0)
"""Where the picture lies right, as it is stored: µm of the corner of its first pixel; y grows with the rows."""


@dataclass
class Case:
    """A stored picture that was imported in a wrong way, and the points of its tissue."""

    archive: Path
    points: Path
    um: float
    size: tuple[int, int]
    """Rows and columns."""
    corner: tuple[float, float]
    """The least x and y of the picture as it was imported."""
    upwards: bool
    """Whether it was imported so that its rows go towards lesser y, in which case a mirrored one would lie right."""
    kind: str


def _nuclei(chance: np.random.Generator, height: int, width: int, count: int) -> NDArray[np.float64]:
    field = np.zeros((height, width))
    np.add.at(field, (chance.integers(height, size=count), chance.integers(width, size=count)), 1)
    return gaussian_filter(field, chance.uniform(2, 4))


def _made(chance: np.random.Generator, kind: str, histology: bool) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A picture, and how dense points are in it."""
    if kind == "real":
        photograph = skimage.data.immunohistochemistry() if histology else skimage.data.cell()
        picture = np.asarray(photograph[:: chance.choice([-1, 1]), : chance.integers(300, 512)])
        values = picture.reshape(*picture.shape[:2], -1).mean(axis=2)
        values = gaussian_filter(values.max() - values if histology else values - values.min(), 1)
        return picture, (values / values.max()) ** 2
    height, width = chance.integers(400, 900, 2)
    density = _nuclei(chance, height, width, height * width // (400 if kind == "tissue" else 3000))
    if kind == "tissue":
        parts = gaussian_filter(chance.normal(size=(height, width)), min(height, width) / 12)
        density *= 1 / (1 + np.exp(-4 * parts / parts.std()))
    density /= density.max()
    noise = 0.05 * gaussian_filter(chance.normal(size=(height, width)), 1)
    shown = (0.8 * density**0.7 + 0.05 + noise).clip(0, 1)
    if histology:
        return (255 * (0.97 - shown[..., None] * [0.7, 0.9, 0.35])).clip(0, 255).astype(np.uint8), density
    return (255 * shown).astype(np.uint8), density


def _empty(chance: np.random.Generator, picture: NDArray[np.uint8], density: NDArray[np.float64]) -> None:
    """Take the tissue out of up to seven tenths of it: a side, or all around an ellipse."""
    height, width = density.shape
    share = chance.uniform(0, 0.7)
    rows, columns = np.indices(density.shape)
    radius = np.hypot(rows / height - 0.5, columns / width - 0.5)
    gone = columns < share * width if chance.random() < 0.5 else radius > np.quantile(radius, 1 - share)
    ground = 249 if picture.ndim == 3 else 6
    picture[gone] = (ground + chance.normal(0, 2, picture[gone].shape)).clip(0, 255)
    density[gone] = 0


def made_case(folder: Path, seed: int, *, signal: bool = True) -> Case:
    """A case by its number; without ``signal``, points that have nothing to do with the picture."""
    chance = np.random.default_rng(seed)
    kind, histology = str(chance.choice(["spots", "tissue", "real"])), bool(chance.random() < 0.5)
    um = float(chance.choice([0.5, 1, 2]))
    picture, density = _made(chance, kind, histology)
    picture = picture.copy()
    _empty(chance, picture, density)
    height, width = density.shape
    count = int(chance.integers(3000, 60000))
    places = np.column_stack([chance.random(count) * width, chance.random(count) * height]) * um
    if signal:  # but for three of ten
        true = chance.choice(density.size, count * 7 // 10, p=(density / density.sum()).ravel())
        rows, columns = np.divmod(true, width)
        places[: len(true)] = (np.column_stack([columns, rows]) + chance.random((len(true), 2))) * um
        places[: len(true)] += chance.normal(0, 1, (len(true), 2))
    np.savetxt(folder / "points.csv", places + BASE, fmt="%.3f", delimiter=",", header="x,y", comments="")
    Image.fromarray(picture).save(folder / "picture.png")
    rotate, upwards = int(chance.choice([0, 90, 180, 270])), bool(chance.random() < 0.5)
    flips = {"flip_horizontal": bool(chance.random() < 0.5), "flip_vertical": bool(chance.random() < 0.5)}
    rows, columns = Orientation.of(rotate, **flips).size(height, width)
    left, low = (float(edge + shift) for edge, shift in zip(BASE, chance.uniform(-150, 150, 2), strict=True))
    corners = [left, low, left + columns * um, low + rows * um]
    if upwards:
        corners[1], corners[3] = corners[3], corners[1]
    turned = flips | ({"rotate": rotate} if rotate else {})
    frame = str(chance.choice(["image", "map"]))
    picture_file, out = folder / "picture.png", folder / "map"
    image = cl.import_image(picture_file, out_dir=out, img_id="a", georef_bounds=corners, orient_frame=frame, **turned)
    assert image.tiles is not None
    kind = "histology" if histology else "fluorescence"
    return Case(image.tiles.path, folder / "points.csv", um, (height, width), (left, low), upwards, kind)


def nuclei(folder: Path, *, shift: tuple[float, float] = (0, 0), transposed: bool = False, seed: int = 1) -> Path:
    """A stain of 0.45 × 0.35 mm, ``picture.png`` with 1 µm per pixel, and its points, which lie where they are told to.

    Returns:
        The picture; its points, of another ``seed`` those of another sample, are in ``points.csv`` beside it.
    """
    rows, columns = np.random.default_rng(1).integers(0, (350, 450), (800, 2)).T
    shown = np.zeros((350, 450))
    np.add.at(shown, (rows, columns), 1)
    if not (folder / "picture.png").exists():
        Image.fromarray((gaussian_filter(shown, 2) * 3000).clip(0, 255).astype(np.uint8)).save(folder / "picture.png")
    rows, columns = np.random.default_rng(seed).integers(0, (350, 450), (800, 2)).T
    places = np.column_stack([columns, rows] if not transposed else [rows, columns]) + 0.5 + shift
    np.savetxt(folder / "points.csv", places, fmt="%.1f", delimiter=",", header="x,y", comments="")
    return folder / "picture.png"
