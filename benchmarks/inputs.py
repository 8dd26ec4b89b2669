"""Images to measure with: a stained or fluorescent tissue of any size, with the noise of a camera.

Pieces of a field that is all tissue make pictures of any size, each from another place and turned another way: nothing
is flat or repeats within the reach of a codec, in the image as in its PNG, and no two tiles are equal.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from skimage import data

from cartloader_image.sample import TILE, Tissue

FIELD = 4096
"""Pixels a side of the fluorescent field."""
PIXEL_SIZE = 0.2125
"""µm; that of Xenium, whose finest zoom is then 1.42 times as fine as the image."""
Picture = NDArray[Any]


def _stained() -> Picture:
    """A photograph of stained colon glands that scikit-image comes with, 512² pixels."""
    photograph: Picture = data.immunohistochemistry()
    return photograph


def _fluorescence() -> Picture:
    """Nuclei as a camera of 16 bits sees them, from the middle of a tissue of which no edge is to be seen."""
    tissue = Tissue.grown(3 * FIELD, seed=0)
    corners = [(top, left) for top in range(0, FIELD, TILE) for left in range(0, FIELD, TILE)]
    field = np.empty((FIELD, FIELD), np.uint16)
    with ThreadPoolExecutor() as pool:
        parts = pool.map(lambda corner: tissue.painted(0, FIELD + corner[0], FIELD + corner[1]), corners)
        for (top, left), part in zip(corners, parts, strict=True):
            field[top : top + TILE, left : left + TILE] = part
    return field


INPUTS: dict[str, tuple[Callable[[], Picture], str]] = {
    "rgb": (_stained, "lzw"),
    "uint16": (_fluorescence, "zlib"),
    "jpeg2000": (_fluorescence, "jpeg2000"),
}
"""The field and the codec of each kind of input; JPEG-2000 is reversible."""


def make_input(kind: str, size: int, folder: Path) -> Path:
    """The OME-TIFF of a kind and size; made once, then kept.

    A process of its own makes it: the kernel would count this one's memory as that of the commands it measures.
    """
    path = folder / f"{kind}-{size}.ome.tif"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, __file__, kind, str(size), path], check=True)
    return path


def write_input(kind: str, size: int, path: Path) -> None:
    """Paint the field, mirror it and compress it."""
    paint, compression = INPUTS[kind]
    field = paint()
    colour = field.ndim == 3
    made = path.with_suffix(".part")
    with tifffile.TiffWriter(made, ome=True, bigtiff=field.itemsize * size**2 * (3 if colour else 1) > 3 << 30) as file:
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


def _tiles(field: Picture, size: int) -> Iterator[Picture]:
    """Pieces of the field, each from a place and laid down in a way drawn by lot, row by row."""
    mirrored = np.concatenate([field, field[::-1]])
    mirrored = np.concatenate([mirrored, mirrored[:, ::-1]], axis=1)
    random = np.random.default_rng(0)
    for _ in range(math.ceil(size / TILE) ** 2):
        top, left = random.integers(0, len(mirrored) - TILE, 2, endpoint=True)
        piece = mirrored[top : top + TILE, left : left + TILE]
        yield np.ascontiguousarray(np.rot90(piece, random.integers(4)))


if __name__ == "__main__":
    write_input(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
