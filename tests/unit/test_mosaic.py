"""A plane of placed parts: what is pasted where, how often parts are read, and how many are open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rasters import ArrayPlane, noise, read_whole

from cartloader_image.images.mosaic import PlacedParts
from cartloader_image.layout import Layout, Pixels
from cartloader_image.system.parallel import in_order
from cartloader_image.window import Window, windows


class Counting(ArrayPlane):
    """A plane that counts how often each of its blocks is read."""

    def __init__(self, pixels: Pixels, counts: Counter[object], **options: Any) -> None:
        super().__init__(pixels, **options)
        self.counts = counts

    def read(self, window: Window) -> Pixels:
        self.counts[window] += 1
        return super().read(window)


def placed(
    parts: list[tuple[Pixels, int, int]], block: tuple[int, int], *, alpha: bool = False
) -> tuple[PlacedParts, list[Counter[object]], Counter[str]]:
    """Pixels at rows and columns as one plane, and how often their blocks are read, and parts opened."""
    counts, opened = [Counter[object]() for _ in parts], Counter[str]()

    @contextmanager
    def opener(number: int) -> Iterator[Counting]:
        opened[f"{number}"] += 1
        opened["now"] += 1
        opened["most"] = max(opened["most"], opened["now"])
        yield Counting(parts[number][0], counts[number], block=block, alpha=alpha)
        opened["now"] -= 1

    placings = [
        (partial(opener, number), Window(row, row + pixels.shape[0], column, column + pixels.shape[1]))
        for number, (pixels, row, column) in enumerate(parts)
    ]
    edges = [(window.row1, window.column1) for _, window in placings]
    height, width = (max(edge) for edge in zip(*edges, strict=True))
    first = ArrayPlane(parts[0][0], block, alpha=alpha)
    return PlacedParts(placings, first, height, width), counts, opened


def pasted(parts: list[tuple[Pixels, int, int]], *, alpha: bool) -> Pixels:
    """The same by numpy, with alpha."""
    edges = [(row + pixels.shape[0], column + pixels.shape[1]) for pixels, row, column in parts]
    height, width = (max(edge) for edge in zip(*edges, strict=True))
    pixels = parts[0][0]
    result = np.zeros((height, width, pixels.shape[2] + (not alpha)), pixels.dtype)
    for pixels, row, column in parts:
        there = result[row : row + pixels.shape[0], column : column + pixels.shape[1]]
        full = np.full((*pixels.shape[:2], 1), np.iinfo(pixels.dtype).max, pixels.dtype)
        above = pixels if alpha else np.concatenate([pixels, full], axis=2)
        there[:] = np.where(above[..., -1:] > 0, above, there)
    return result


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=7),
    st.integers(1, 24),
    st.sampled_from([1, 2, 3, 4]),
    st.booleans(),
    st.integers(0, 2**16),
)
def test_it_is_what_numpy_pastes(corners: list[tuple[int, int]], rows: int, bands: int, whole: bool, seed: int) -> None:
    alpha = not bands % 2
    parts = [(noise((17, 23, bands), np.uint8, seed + n) // 200, *corner) for n, corner in enumerate(corners)]
    plane, _, opened = placed(parts, (rows, 23 if whole else 5), alpha=alpha)
    wanted = pasted(parts, alpha=alpha)
    if not plane.layout.alpha:
        assert (wanted[..., -1] == 255).all()
        wanted = wanted[..., :-1]
    assert plane.layout == Layout.of(wanted.shape[2])
    filled = np.zeros(wanted.shape[:2], bool)
    for row, column in corners:
        filled[row : row + 17, column : column + 23] = True
    assert plane.gaps == plane.masked == (not filled.all())
    np.testing.assert_array_equal(read_whole(plane), wanted)
    random = np.random.default_rng(seed)
    for _ in range(5):
        (row0, row1), (column0, column1) = (np.sort(random.integers(0, size + 1, 2)) for size in wanted.shape[:2])
        window = Window(int(row0), int(row1), int(column0), int(column1))
        if not window.is_empty:
            np.testing.assert_array_equal(plane.read(window), wanted[row0:row1, column0:column1])
    plane.close()
    assert opened["now"] == 0


@pytest.fixture
def many() -> list[tuple[Pixels, int, int]]:
    """Twelve parts in four rows, each a bit off its place in the grid."""
    off = np.random.default_rng(3).integers(0, 4, (12, 2))
    return [
        (noise((40, 30, 1), np.uint16, n), n // 3 * 41 + int(row), n % 3 * 29 + int(column))
        for n, (row, column) in enumerate(off)
    ]


def test_each_block_is_decoded_once_and_few_parts_are_open(
    many: list[tuple[Pixels, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cartloader_image.images.mosaic.cores", lambda: 1)
    plane, counts, opened = placed(many, (8, 30))
    read_whole(plane)
    assert {count for counter in counts for count in counter.values()} == {1}
    assert [opened[f"{number}"] for number in range(12)] == [1] * 12
    assert opened["most"] <= 6 + 2
    plane.close()
    assert opened["now"] == 0


def test_parts_in_one_piece_are_decoded_twice_at_most(
    many: list[tuple[Pixels, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once for each band of windows that they are in, whose windows are narrow."""
    monkeypatch.setattr("cartloader_image.images.mosaic.cores", lambda: 1)
    monkeypatch.setattr("cartloader_image.images.mosaic._LARGE", 100)
    monkeypatch.setattr("cartloader_image.images.mosaic._COLUMNS", 7)
    monkeypatch.setattr("cartloader_image.images.mosaic._HELD", 4 * 40 * 30 * 2 * 2)
    plane, counts, _ = placed(many, (40, 30))
    assert plane.block == (40, 7)
    np.testing.assert_array_equal(read_whole(plane), pasted(many, alpha=False))
    assert max(count for counter in counts for count in counter.values()) <= 2


def test_a_part_is_not_closed_while_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here all the others are read meanwhile, of which none may stay open beside it."""
    monkeypatch.setattr("cartloader_image.images.mosaic.cores", lambda: 0)
    monkeypatch.setattr("cartloader_image.images.mosaic._HELD", 0)
    parts = [(noise((8, 8, 1), np.uint8, n), 0, n * 8) for n in range(3)]
    open_now = set[int]()

    class Slow(ArrayPlane):
        def read(self, window: Window) -> Pixels:
            np.testing.assert_array_equal(plane.read(Window(0, 8, 8, 24)), np.hstack([parts[1][0], parts[2][0]]))
            assert 0 in open_now
            return super().read(window)

    @contextmanager
    def opener(number: int) -> Iterator[ArrayPlane]:
        open_now.add(number)
        yield (ArrayPlane if number else Slow)(parts[number][0])
        open_now.remove(number)

    placings = [(partial(opener, n), Window(0, 8, n * 8, n * 8 + 8)) for n in range(3)]
    plane = PlacedParts(placings, ArrayPlane(parts[0][0]), 8, 24)
    np.testing.assert_array_equal(plane.read(Window(0, 8, 0, 8)), parts[0][0])


def test_threads_see_the_same(many: list[tuple[Pixels, int, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where so few parts may be open that they are closed and opened again all the time."""
    monkeypatch.setattr("cartloader_image.images.mosaic.cores", lambda: 0)
    monkeypatch.setattr("cartloader_image.images.mosaic._HELD", 0)
    plane, _, opened = placed(many, (8, 30))
    wanted = pasted(many, alpha=False)
    blocks = list(windows(plane.height, plane.width, plane.block)) * 3
    for window, pixels in zip(blocks, in_order(plane.read, blocks, 6), strict=True):
        np.testing.assert_array_equal(pixels, wanted[window.within(Window.of(plane.height, plane.width))])
    plane.close()
    assert opened["now"] == 0
