"""A sample image to try the program on: a slice of tissue as a fluorescence microscope might see it.

Nuclei lie inside a tissue whose outline, notch, vessel and dense follicle have no symmetry, so that a turned or
flipped picture shows. Everything follows from the seed; any block of the picture can be painted by itself, so that
memory stays small at any size.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import tifffile

from cartloader_image.errors import UsageError
from cartloader_image.system.files import locked, publish

PIXEL_SIZE = 0.2125
"""µm; that of a Xenium morphology image."""
CHANNELS = ("DAPI", "membrane")
SIZES = range(256, 16384 + 1)
"""Pixels on a side."""

TILE = 512
_SMALLEST_LEVEL = 256
_DARK = 105.0
"""What the camera adds to every pixel."""
_GAIN = 3.0
"""Counts per photon, which is what makes bright pixels noisy."""
_READ_NOISE = 6.0
"""Standard deviation of a dark pixel, in counts."""

# Lengths in pixels.
_PITCH = 9.0 / PIXEL_SIZE
"""Mean distance of cells where they are dense."""
_CELL_RADIUS = 6.5 / PIXEL_SIZE
"""How far a cell without neighbours reaches."""
_MEMBRANE = 0.4 / PIXEL_SIZE
"""Half the width of a membrane, as blurred by the optics."""
_CHROMATIN = 0.5 / PIXEL_SIZE
"""Grain of the texture inside a nucleus."""
_UNEVENNESS = 5.0 / PIXEL_SIZE
"""Grain of what is uneven from cell to cell."""
_PERIOD = 1024
"""After which the textures repeat."""

Floats: TypeAlias = npt.NDArray[np.float32]
Pixels: TypeAlias = npt.NDArray[np.uint16]


def write_sample(path: Path, size: int = 2048, seed: int = 0) -> None:
    """Write a pyramidal 16-bit OME-TIFF of two channels, ``DAPI`` and ``membrane``, with its pixel size in µm.

    The same size and seed give the same bytes. An existing file is replaced, whole or not at all.

    Args:
        path: The file to write, best named ``….ome.tif``.
        size: Width and height in pixels, 256 to 16384.
        seed: Another one gives another tissue.

    Raises:
        UsageError: the size is out of range.
        OSError: the file cannot be written.
    """
    if size not in SIZES:
        raise UsageError(f"a sample of {size} pixels: {SIZES[0]} to {SIZES[-1]:,} pixels on a side are possible")
    tissue = Tissue.grown(size, seed)
    levels = 0
    while size >> levels > _SMALLEST_LEVEL:
        levels += 1
    layout: dict[str, Any] = {
        "photometric": "minisblack",
        "tile": (TILE, TILE),
        "compression": "zlib",
        "predictor": True,
    }
    metadata = {
        "axes": "CYX",
        "Name": "sample",
        "Creator": "cartloader",
        "UUID": str(uuid.uuid5(uuid.NAMESPACE_URL, f"cartloader:sample:{size}:{seed}")),
        "PhysicalSizeX": PIXEL_SIZE,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": PIXEL_SIZE,
        "PhysicalSizeYUnit": "µm",
        "Channel": {"Name": list(CHANNELS)},
    }
    with locked(path) as scratch:
        draft = scratch / path.name
        level = np.empty((len(CHANNELS), size // 2, size // 2), np.uint16)
        with tifffile.TiffWriter(draft, ome=True) as file:
            file.write(
                _tiles(tissue, level),
                shape=(len(CHANNELS), size, size),
                dtype=np.uint16,
                subifds=levels,
                software="cartloader",
                resolution=(1e4 / PIXEL_SIZE, 1e4 / PIXEL_SIZE),
                resolutionunit="CENTIMETER",
                metadata=metadata,
                **layout,
            )
            for _ in range(levels):
                file.write(level, subfiletype=1, metadata=None, **layout)
                level = _halved(level)
        publish(draft, path)


def _tiles(tissue: Tissue, halved: Pixels) -> Iterator[Pixels]:
    """The full-size tiles, channel by channel and row by row; the next level of the pyramid is filled on the way."""
    for channel in range(len(CHANNELS)):
        for top in range(0, tissue.size, TILE):
            for left in range(0, tissue.size, TILE):
                tile = tissue.painted(channel, top, left)
                part = _halved(tile[: tissue.size - top, : tissue.size - left])
                rows, columns = part.shape
                halved[channel, top // 2 : top // 2 + rows, left // 2 : left // 2 + columns] = part
                yield tile


def _halved(picture: Pixels) -> Pixels:
    """Means of 2 × 2 pixels, of the last two axes; an odd last row or column is left out."""
    rows, columns = picture.shape[-2] // 2, picture.shape[-1] // 2
    fours = picture[..., : 2 * rows, : 2 * columns].reshape(*picture.shape[:-2], rows, 2, columns, 2)
    means: Pixels = ((fours.sum(axis=(-3, -1), dtype=np.uint32) + 2) // 4).astype(np.uint16)
    return means


@dataclass(frozen=True)
class Tissue:
    """Where the cells are and what they look like; lengths in pixels of the full size."""

    size: int
    seed: int
    centres: Floats
    """``(cells, 2)``: x, y."""
    half_axes: Floats
    """``(cells, 2)`` of the nuclei."""
    angles: Floats
    """``(cells,)``: direction of the first axis, in radians."""
    brightness: Floats
    """``(cells,)``: of nucleus and membrane, around 1."""
    fine: Floats
    """Texture of chromatin, ``(period, period)`` with mean 0 and standard deviation 1."""
    coarse: Floats
    """Texture of what is uneven from cell to cell, likewise."""

    @classmethod
    def grown(cls, size: int, seed: int) -> Self:
        """The tissue of a seed: cells packed like shaken balls, all places taken in the follicle, not all elsewhere."""
        random = np.random.default_rng(seed)
        x, y = np.meshgrid(np.arange(0, size, _PITCH), np.arange(0, size, _PITCH * np.sqrt(0.75)))
        x[1::2] += _PITCH / 2
        places = np.stack([x.ravel(), y.ravel()], axis=-1)
        places += random.uniform(-0.28, 0.28, places.shape) * _PITCH
        x, y = places.T / size
        crowd = _crowd(x, y)
        alive = (_depth(x, y) > 0.012) & (random.random(len(places)) < 0.68 + 0.32 * crowd)
        count, crowd = int(alive.sum()), crowd[alive]
        diameter = np.clip(random.normal(8.2 - 1.6 * crowd, 0.8), 5, 11) / PIXEL_SIZE
        stretch = np.sqrt(random.uniform(1.0, 1.6, count))
        return cls(
            size=size,
            seed=seed,
            centres=places[alive].astype(np.float32),
            half_axes=(np.stack([diameter * stretch, diameter / stretch], axis=-1) / 2).astype(np.float32),
            angles=random.uniform(0, np.pi, count).astype(np.float32),
            brightness=random.lognormal(0.0, 0.3, count).astype(np.float32),
            fine=_texture(random, _CHROMATIN),
            coarse=_texture(random, _UNEVENNESS),
        )

    def painted(self, channel: int, top: int, left: int) -> Pixels:
        """One tile of one channel, ``(512, 512) uint16``, as the camera sees it; beyond the picture it goes on."""
        rows, columns = np.arange(top, top + TILE), np.arange(left, left + TILE)
        x, y = np.meshgrid(*(np.float32(line / self.size) for line in (columns, rows)))
        inside = np.clip(_depth(x, y) / 0.01, 0, 1)
        uneven = _wrapped(self.coarse, rows, columns)
        paint = (self._nuclei, self._membranes)[channel]
        light = inside * (60 + 15 * uneven) + paint(rows, columns, uneven)
        random = np.random.default_rng([self.seed, channel, top, left])
        noise = random.standard_normal(light.shape, np.float32)
        counts = _DARK + light + noise * np.sqrt(_GAIN * np.maximum(light, 0) + _READ_NOISE**2)
        pixels: Pixels = np.clip(np.rint(counts), 0, 65535).astype(np.uint16)
        return pixels

    def _near(self, rows: npt.NDArray[np.int_], columns: npt.NDArray[np.int_], reach: float) -> Iterator[_Near]:
        """The cells that reach into a block, each with the part of the block that it reaches."""
        low = np.array([columns[0], rows[0]]) - reach
        high = np.array([columns[-1], rows[-1]]) + reach
        for cell in np.flatnonzero(np.all((self.centres > low) & (self.centres < high), axis=1)):
            x, y = self.centres[cell]
            across = slice(*np.searchsorted(columns, [x - reach, x + reach]))
            down = slice(*np.searchsorted(rows, [y - reach, y + reach]))
            yield _Near(int(cell), (down, across), columns[across] - x, (rows[down] - y)[:, None])

    def _nuclei(self, rows: npt.NDArray[np.int_], columns: npt.NDArray[np.int_], uneven: Floats) -> Floats:
        light = np.zeros_like(uneven)
        for cell, part, x, y in self._near(rows, columns, 1.8 * float(self.half_axes.max(initial=1))):
            cosine, sine = np.cos(self.angles[cell]), np.sin(self.angles[cell])
            a, b = self.half_axes[cell]
            radius = np.hypot((x * cosine + y * sine) / a, (y * cosine - x * sine) / b)
            body = np.clip((1 - radius) * b / 2.5 + 0.5, 0, 1)
            shift = 37 * cell
            chromatin = _wrapped(self.fine, rows[part[0]] + shift, columns[part[1]] + 3 * shift)
            # A nucleus out of focus glows around the one in focus.
            glow = 0.12 * np.exp(-((radius / 0.9) ** 2))
            light[part] += 2600 * self.brightness[cell] * (body * np.maximum(1 + 0.2 * chromatin, 0.2) + glow)
        return light

    def _membranes(self, rows: npt.NDArray[np.int_], columns: npt.NDArray[np.int_], uneven: Floats) -> Floats:
        """Cells meet half-way between their centres; where none is near, a cell is round."""
        first = np.full_like(uneven, np.inf)
        second = np.full_like(uneven, np.inf)
        brightness = np.zeros_like(uneven)
        for cell, part, x, y in self._near(rows, columns, 2 * _CELL_RADIUS):
            distance = np.hypot(x + 2.0 * uneven[part], y - 2.0 * uneven[part]).astype(np.float32)
            nearer = distance < first[part]
            second[part] = np.where(nearer, first[part], np.minimum(second[part], distance))
            first[part] = np.where(nearer, distance, first[part])
            brightness[part] = np.where(nearer, self.brightness[cell], brightness[part])
        with np.errstate(invalid="ignore"):
            edge = np.fmin((second - first) / 2, _CELL_RADIUS - first)
        membrane = np.exp(-((edge / _MEMBRANE) ** 2))
        cytoplasm = np.clip(edge / _MEMBRANE, 0, 1)
        light: Floats = brightness * (1100 * np.maximum(1 + 0.35 * uneven, 0.1) * membrane + 160 * cytoplasm)
        return light


class _Near(NamedTuple):
    """A cell, where it reaches in a block, and the coordinates of that part from the cell's centre."""

    cell: int
    part: tuple[slice, slice]
    x: Floats
    y: Floats


def _depth(x: Any, y: Any) -> Any:
    """How deep in the tissue a point is, in widths of the picture, at coordinates that go from 0 to 1."""
    angle = np.arctan2(y - 0.51, x - 0.48)
    outline = 0.435 + 0.03 * np.sin(2 * angle + 0.6) + 0.025 * np.sin(3 * angle + 1.9) + 0.008 * np.sin(11 * angle)
    body = outline - np.hypot(x - 0.48, y - 0.51)
    notch = np.hypot(x - 0.76, y - 0.17) - 0.17
    vessel = np.hypot((x - 0.31) / 1.5, y - 0.71) - 0.045
    return np.minimum(np.minimum(body, notch), vessel)


def _crowd(x: Any, y: Any) -> Any:
    """How dense the cells are, 0 to 1: densest in the follicle."""
    return np.exp(-(((x - 0.36) / 0.13) ** 2) - ((y - 0.34) / 0.11) ** 2)


def _texture(random: np.random.Generator, grain: float) -> Floats:
    """Smooth noise that repeats seamlessly: white noise, blurred by a Gaussian of standard deviation ``grain``."""
    frequency = np.fft.fftfreq(_PERIOD)
    blur = np.exp(-2 * (np.pi * grain * frequency) ** 2)
    spectrum = np.fft.fft2(random.standard_normal((_PERIOD, _PERIOD))) * blur * blur[:, None]
    noise = np.fft.ifft2(spectrum).real
    texture: Floats = ((noise - noise.mean()) / noise.std()).astype(np.float32)
    return texture


def _wrapped(texture: Floats, rows: npt.NDArray[np.int_], columns: npt.NDArray[np.int_]) -> Floats:
    return texture[np.ix_(rows % _PERIOD, columns % _PERIOD)]
