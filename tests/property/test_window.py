"""Laws of windows: each method against sets of pixels, or numpy's own indexing."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cartloader_image.window import Window, windows

_EDGES = st.tuples(st.integers(-20, 20), st.integers(0, 12))
_SIDES = st.tuples(st.integers(-20, 20), st.integers(1, 12))


def _window(down: tuple[int, int], across: tuple[int, int]) -> Window:
    return Window(down[0], sum(down), across[0], sum(across))


anywhere = st.builds(_window, _EDGES, _EDGES)
"""Some of them are empty."""
with_pixels = st.builds(_window, _SIDES, _SIDES)
blocks = st.tuples(st.integers(1, 7), st.integers(1, 7))


def _pixels(window: Window) -> set[tuple[int, int]]:
    return {
        (row, column)
        for row in range(window.row0, window.row1)
        for column in range(window.column0, window.column1)
    }  # fmt: skip


@given(anywhere)
def test_its_places_are_its_pixels_row_by_row(window: Window) -> None:
    assert list(window.places()) == sorted(_pixels(window))
    assert np.prod(window.shape) == len(_pixels(window))


@given(anywhere, anywhere)
def test_the_intersection_is_that_of_the_pixels(one: Window, other: Window) -> None:
    assert _pixels(one.intersect(other)) == _pixels(one) & _pixels(other)
    assert min(one.intersect(other).shape) >= 0
    assert one.intersect(other).is_empty == (not _pixels(one) & _pixels(other))


@given(with_pixels, with_pixels)
def test_clamped_are_the_pixels_of_an_extent_that_are_nearest(window: Window, extent: Window) -> None:
    rows = np.arange(window.row0, window.row1).clip(extent.row0, extent.row1 - 1)
    columns = np.arange(window.column0, window.column1).clip(extent.column0, extent.column1 - 1)
    nearest = {(int(row), int(column)) for row in rows for column in columns}
    assert _pixels(window.clamped(extent)) == nearest


@given(with_pixels, st.integers(0, 5), st.integers(0, 5))
def test_grown_holds_what_is_so_far_away(window: Window, rows: int, columns: int) -> None:
    reached = {
        (row + down, column + across)
        for row, column in _pixels(window)
        for down in range(-rows, rows + 1)
        for across in range(-columns, columns + 1)
    }
    assert _pixels(window.grown(rows, columns)) == reached
    assert window.grown(rows) == window.grown(rows, rows)


@given(with_pixels, blocks)
def test_its_cells_are_those_that_share_a_pixel_with_it(window: Window, block: tuple[int, int]) -> None:
    touched = {(row // block[0], column // block[1]) for row, column in _pixels(window)}
    assert _pixels(window.cells(*block)) == touched
    assert all(_pixels(Window.cell(*place, *block)) & _pixels(window) for place in touched)
    assert window.cells(block[0]) == window.cells(block[0], block[0])


@given(with_pixels, st.integers(1, 7))
def test_on_a_grid_it_is_all_pixels_of_the_squares_that_it_touches(window: Window, step: int) -> None:
    squares = {(row // step, column // step) for row, column in _pixels(window)}
    whole = {(row * step + i, column * step + j) for row, column in squares for i in range(step) for j in range(step)}
    assert _pixels(window.on_grid(step)) == whole


@given(with_pixels, st.integers(0, 4), st.integers(0, 4))
def test_its_cells_on_a_finer_grid_have_its_cells_on_a_coarser_one(window: Window, first: int, second: int) -> None:
    assert window.cells(1 << first).cells(1 << second) == window.cells(1 << first + second)


@given(anywhere, with_pixels)
def test_pixels_are_found_within_those_of_a_window_that_holds_them(one: Window, other: Window) -> None:
    part = one.intersect(other)
    picture = np.arange(60 * 60).reshape(60, 60)
    pixels = picture[other.row0 + 20 : other.row1 + 20, other.column0 + 20 : other.column1 + 20]
    expected = [picture[row + 20, column + 20] for row, column in sorted(_pixels(part))]
    assert pixels[part.within(other)].ravel().tolist() == expected
    assert part.relative_to(other).shape == part.shape


@given(with_pixels, st.integers(1, 30), st.integers(1, 30))
def test_a_mask_of_a_whole_picture_has_the_pixels_of_the_part_that_is_set(
    window: Window, rows: int, columns: int
) -> None:
    whole, mask = Window.of(rows, columns), np.zeros((rows, columns), bool)
    mask[window.intersect(whole).within(whole)] = True
    assert set(map(tuple, np.argwhere(mask).tolist())) == _pixels(window) & _pixels(whole)


@given(st.integers(1, 40), st.integers(1, 40), blocks)
def test_the_windows_of_a_grid_hold_each_pixel_of_a_picture_once(
    rows: int, columns: int, block: tuple[int, int]
) -> None:
    found = list(windows(rows, columns, block))
    assert sorted(place for window in found for place in _pixels(window)) == list(np.ndindex(rows, columns))
    assert found == sorted(found, key=lambda window: (window.row0, window.column0))
    assert all(window.row0 % block[0] == window.column0 % block[1] == 0 for window in found)
