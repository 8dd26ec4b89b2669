"""Affines as they come: made by chance, and as files have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from affine import Affine


def by_chance(seed: int, *, y_down: bool) -> Affine:
    """Any turn, mirrored or not, sheared by up to 0.2, with pixels of 0.2 to 5 µm, somewhere on the map."""
    random = np.random.default_rng(seed)
    scale = 0.2 * 25 ** random.uniform()
    shear = Affine(1, random.uniform(-0.2, 0.2), 0, 0, 1, 0)
    flip = Affine.scale(random.choice([-1, 1]), 1)
    turn = Affine.rotation(random.uniform(0, 360))
    here = Affine.translation(*random.uniform(-1e4, 1e4, 2))
    sides = Affine.scale(scale * random.uniform(0.8, 1.25), scale * (1 if y_down else -1))
    return here @ turn @ shear @ flip @ sides


def rows(affine: Affine, separator: str = ",") -> str:
    """Two rows of three numbers."""
    return "\n".join(separator.join(map(repr, row)) for row in (affine[:3], affine[3:6])) + "\n"


def write_affine(path: Path, affine: Affine) -> Path:
    path.write_text(rows(affine))
    return path
