"""The dihedral group, by its laws and against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cartloader_image.placing.orientation import Orientation

orientations = st.builds(
    Orientation.of, st.sampled_from([0, 90, 180, 270]), flip_vertical=st.booleans(), flip_horizontal=st.booleans()
)
sizes = st.integers(1, 9)


def picture_of(rows: int, columns: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    return np.arange(rows * columns).reshape(rows, columns)


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_a_turn_is_clockwise_as_a_viewer_shows_it(rotate: int) -> None:
    np.testing.assert_array_equal(
        Orientation.of(rotate).view(picture_of(2, 3)), np.rot90(picture_of(2, 3), -rotate // 90)
    )


@given(st.sampled_from([0, 90, 180, 270]), st.booleans(), st.booleans(), sizes, sizes)
def test_flips_come_after_the_turn(rotate: int, vertical: bool, horizontal: bool, rows: int, columns: int) -> None:
    expected = np.rot90(picture_of(rows, columns), -rotate // 90)
    expected = np.flipud(expected) if vertical else expected
    expected = np.fliplr(expected) if horizontal else expected
    orientation = Orientation.of(rotate, flip_vertical=vertical, flip_horizontal=horizontal)
    laid = orientation.view(picture_of(rows, columns))
    np.testing.assert_array_equal(laid, expected)
    assert laid.shape == orientation.size(rows, columns)


@given(orientations, sizes, sizes)
def test_the_affine_says_what_the_view_shows(orientation: Orientation, rows: int, columns: int) -> None:
    picture = picture_of(rows, columns)
    laid = orientation.view(picture)
    for row, column in np.ndindex(rows, columns):
        x, y = orientation.affine(rows, columns) @ (column + 0.5, row + 0.5)
        assert laid[int(y), int(x)] == picture[row, column]


@given(orientations, sizes, sizes, st.data())
def test_a_window_of_the_laid_down_picture_is_a_stored_window(
    orientation: Orientation, rows: int, columns: int, data: st.DataObject
) -> None:
    picture = picture_of(rows, columns)
    height, width = orientation.size(rows, columns)
    row0, row1 = sorted(data.draw(st.tuples(st.integers(0, height), st.integers(0, height))))
    column0, column1 = sorted(data.draw(st.tuples(st.integers(0, width), st.integers(0, width))))
    a, b, c, d = orientation.window((row0, row1, column0, column1), rows, columns)
    np.testing.assert_array_equal(
        orientation.view(picture[a:b, c:d]), orientation.view(picture)[row0:row1, column0:column1]
    )


@given(orientations, orientations, orientations, sizes, sizes)
def test_it_is_a_group(one: Orientation, two: Orientation, three: Orientation, rows: int, columns: int) -> None:
    picture = picture_of(rows, columns)
    np.testing.assert_array_equal(one.then(two).view(picture), two.view(one.view(picture)))
    assert one.then(two).then(three) == one.then(two.then(three))
    assert one.then(Orientation()) == one == Orientation().then(one)


def test_there_are_eight_of_them() -> None:
    every = {
        Orientation.of(rotate, flip_vertical=vertical, flip_horizontal=horizontal)
        for rotate in (0, 90, 180, 270) for vertical in (False, True) for horizontal in (False, True)
    }  # fmt: skip
    assert len(every) == 8
    assert all(any(one.then(other) == Orientation() for other in every) for one in every)
    assert all(one.then(one.inverse) == one.inverse.then(one) == Orientation() for one in every)
    assert Orientation.of(180, flip_vertical=True, flip_horizontal=True) == Orientation()


@given(orientations, st.booleans(), st.booleans(), sizes, sizes)
def test_seen_through_a_mirror(orientation: Orientation, across: bool, down: bool, rows: int, columns: int) -> None:
    mirror = Orientation(mirror_columns=across, mirror_rows=down)
    picture = picture_of(rows, columns)
    stored = orientation.seen_through(mirror)
    np.testing.assert_array_equal(mirror.view(stored.view(picture)), orientation.view(mirror.view(picture)))


@pytest.mark.parametrize("rotate", [-90, 45, 360])
def test_other_angles_are_refused(rotate: int) -> None:
    with pytest.raises(ValueError, match=f"rotate is {rotate}; it must be 0, 90, 180 or 270"):
        Orientation.of(rotate)
