"""Which of the eight turns, and which shift, lay a picture best over a density: masked correlation, by Fourier.

All arrays are ``(rows, columns) float64`` on one grid of square pixels. The correlation over what both know of each
other (Padfield, Masked Object Registration in the Fourier Domain, 2012) is scaled by the square root of the share of
that, so that a sliver that agrees by chance does not win.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cartloader_image.placing.orientation import Orientation
from cartloader_image.system.parallel import cores, in_order

Values = NDArray[np.float64]
TURNS = [Orientation(*bits) for bits in itertools.product((False, True), repeat=3)]
"""All eight, the picture as it is coming first."""
_LEAST_SHARED = 0.25
"""Share of the smaller one of two areas that they must have in common."""
_ROUND = 64
"""Sizes that the Fourier transform likes are multiples of it, as far as they are needed here."""


@dataclass(frozen=True)
class Known:
    """Values, and where they are known."""

    values: Values
    mask: Values
    """1 where they are, 0 elsewhere, and shares between."""

    def sharpened(self, pixels: float) -> Known:
        """Without what changes but slowly, which tells little of the place: less the mean around each."""
        around = blurred(self.mask, pixels)
        mean = blurred(self.values * self.mask, pixels) / np.maximum(around, 1e-3)
        return Known((self.values - mean) * self.mask, self.mask)

    def turned(self, turn: Orientation) -> Known:
        """Laid down another way."""
        return Known(turn.view(self.values), turn.view(self.mask))


def blurred(values: Values, sigma: float) -> Values:
    """A Gaussian over both axes; the picture is 0 beyond its edge."""
    reach = math.ceil(3 * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        lines = np.moveaxis(values, axis, 0)
        padded = np.pad(lines, ((reach, reach), (0, 0)))
        summed = sum(weight * padded[start : start + len(lines)] for start, weight in enumerate(weights))
        values = np.moveaxis(np.asarray(summed), 0, axis)
    return values


def agreement(fixed: Known, moving: Known, reach: int, turns: list[Orientation]) -> list[Values]:
    """How well ``moving``, turned, agrees with ``fixed`` at each shift; -1 … 1.

    Args:
        fixed: What is compared with.
        moving: What is turned and shifted. Turned, its corner of the least row and column stays.
        reach: Pixels by which it is shifted at most.
        turns: The ways to turn it.

    Returns:
        For each turn ``(2 * reach + 1, 2 * reach + 1)``: element ``(i, j)`` is for a corner at row ``i`` and column
        ``j`` of ``fixed``.
    """
    size = [-(-max(side, moved + 2 * reach) // _ROUND) * _ROUND for side, moved in
            zip(fixed.values.shape, [max(moving.values.shape)] * 2, strict=True)]  # fmt: skip

    def spectra(known: Known) -> list[NDArray[np.complex128]]:
        layers = (known.mask, known.values * known.mask, known.values**2 * known.mask)
        return [np.fft.rfft2(layer, size) for layer in layers]

    ones, sums, squares = spectra(fixed)

    def surface(turn: Orientation) -> Values:
        there, moved, moved_squares = (np.conj(spectrum) for spectrum in spectra(moving.turned(turn)))

        def lagged(product: NDArray[np.complex128]) -> Values:
            return np.fft.irfft2(product, size)[: 2 * reach + 1, : 2 * reach + 1]

        shared = np.maximum(lagged(ones * there), 1e-9)
        sum_fixed, sum_moved = lagged(sums * there), lagged(ones * moved)
        covariance = lagged(sums * moved) - sum_fixed * sum_moved / shared
        spread_fixed = lagged(squares * there) - sum_fixed**2 / shared
        spread_moved = lagged(ones * moved_squares) - sum_moved**2 / shared
        spread = np.sqrt(np.maximum(spread_fixed, 0) * np.maximum(spread_moved, 0))
        least = max(1e-6 * float(spread.max()), 1e-12)
        share = shared / min(fixed.mask.sum(), moving.mask.sum())
        found = np.where(spread > least, covariance / np.maximum(spread, least), 0) * np.sqrt(np.minimum(share, 1))
        return np.where(share >= _LEAST_SHARED, found, 0)

    return list(in_order(surface, turns, cores()))


def peak(surface: Values, near: tuple[float, float, float] | None = None) -> tuple[float, float, float]:
    """The greatest value, and its row and column by a parabola through its neighbours.

    Args:
        surface: As `agreement` makes it.
        near: A row and a column, and how far from them it is looked for along each axis.
    """
    if near is not None:
        (rows, columns), (row, column, far) = np.indices(surface.shape), near
        surface = np.where((abs(rows - row) <= far) & (abs(columns - column) <= far), surface, -1)
    row, column = (int(index) for index in np.unravel_index(np.argmax(surface), surface.shape))

    def between(line: Values, at: int) -> float:
        if not 0 < at < len(line) - 1:
            return at
        before, here, after = line[at - 1 : at + 2]
        bend = before - 2 * here + after
        return at + (0.5 * (before - after) / bend if bend < 0 else 0)

    return float(surface[row, column]), between(surface[:, column], row), between(surface[row], column)


def elsewhere(surface: Values, at: tuple[float, float], far: float) -> float:
    """The greatest value that lies further from a row and a column than that along an axis; -1 where none does."""
    rows, columns = np.indices(surface.shape)
    return float(surface[(abs(rows - at[0]) > far) | (abs(columns - at[1]) > far)].max(initial=-1))
