"""Images to measure with: a stained or fluorescent tissue of any size, with the noise of a camera.

A field of 4096² pixels, all tissue, is painted by `cartloader.sample` and mirrored into larger pictures: nothing is flat
or repeats within the reach of a codec, and a picture of 32768² costs no more to paint than one of 4096².
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from cartloader.sample import TILE, Tissue

FIELD = 4096
"""Pixels a side of what is painted; larger pictures mirror it."""
PIXEL_SIZE = 0.2125
"""µm; that of Xenium, whose finest zoom is then 1.42 times as fine as the image."""
_HAEMATOXYLIN, _EOSIN = (1.04, 1.12, 0.46), (0.04, 0.60, 0.07)
"""Optical density of each stain in red, green and blue where it is dense."""
_WHITE, _NOISE = 243.0, 1.5

Picture = NDArray[Any]


def _fluorescence(tissue: Tissue, top: int, left: int) -> Picture:
    return tissue.painted(0, top, left)


def _stained(tissue: Tissue, top: int, left: int) -> Picture:
    """Two dyes that absorb light (Beer and Lambert), and a camera's noise; ``(rows, columns, 3) uint8``."""
    nuclei, membranes = (np.clip(tissue.painted(channel, top, left) - 105.0, 0, None) for channel in (0, 1))
    density = nuclei[..., None] / 3500 * _HAEMATOXYLIN + membranes[..., None] / 1500 * _EOSIN
    noise = np.random.default_rng([top, left]).normal(0, _NOISE, density.shape)
    return np.clip(_WHITE * np.exp(-density) + noise, 0, 255).astype(np.uint8)


INPUTS: dict[str, tuple[Callable[[Tissue, int, int], Picture], str]] = {
    "rgb": (_stained, "lzw"),
    "uint16": (_fluorescence, "zlib"),
    "jpeg2000": (_fluorescence, "jpeg2000"),
}
"""How each kind of input is painted and compressed; JPEG-2000 is reversible."""


def make_input(kind: str, size: int, folder: Path) -> Path:
    """The OME-TIFF of a kind and size; made once, then kept."""
    path = folder / f"{kind}-{size}.ome.tif"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    paint, compression = INPUTS[kind]
    field = _painted(paint, min(size, FIELD))
    colour = field.ndim == 3
    made = path.with_suffix(".part")
    with tifffile.TiffWriter(made, ome=True, bigtiff=field.itemsize * size * size * (3 if colour else 1) > 3 << 30) as file:
        file.write(
            _tiles(field, size),
            shape=(size, size, 3) if colour else (size, size),
            dtype=field.dtype,
            tile=(TILE, TILE),
            compression=compression,
            photometric="rgb" if colour else "minisblack",
            maxworkers=os.cpu_count(),
            metadata={
                "axes": "YXS" if colour else "YX",
                "PhysicalSizeX": PIXEL_SIZE,
                "PhysicalSizeXUnit": "µm",
                "PhysicalSizeY": PIXEL_SIZE,
                "PhysicalSizeYUnit": "µm",
            },
        )
    made.replace(path)
    return path


def _painted(paint: Callable[[Tissue, int, int], Picture], size: int) -> Picture:
    tissue = Tissue.grown(3 * size, seed=0)
    first = size // TILE * TILE  # the middle third, where no edge of the tissue is to be seen
    corners = [(top, left) for top in range(0, size, TILE) for left in range(0, size, TILE)]
    with ThreadPoolExecutor() as pool:
        parts = list(pool.map(lambda corner: paint(tissue, first + corner[0], first + corner[1]), corners))
    field = np.empty((size, size, *parts[0].shape[2:]), parts[0].dtype)
    for (top, left), part in zip(corners, parts, strict=True):
        field[top : top + TILE, left : left + TILE] = part[: size - top, : size - left]
    return field


def _tiles(field: Picture, size: int) -> Iterator[Picture]:
    """Tiles of the field and its mirror images, row by row; those at the end are filled up with zeros."""
    for top in range(0, size, TILE):
        for left in range(0, size, TILE):
            rows, columns = (_mirrored(start, size, len(field)) for start in (top, left))
            part = field[np.ix_(rows, columns)]
            tile = np.zeros((TILE, TILE, *part.shape[2:]), part.dtype)
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile


def _mirrored(start: int, size: int, period: int) -> NDArray[np.int_]:
    place = np.arange(start, min(start + TILE, size)) % (2 * period)
    return np.minimum(place, 2 * period - 1 - place)
