"""Every orientation, frame and axis direction, from the file to the decoded tiles, against numpy."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.maps import HALF_MAP, import_picture, look, write_ome

ZOOM, TILE = 12, 256
UNIT = 2 * HALF_MAP / (TILE * 2**ZOOM)
"""Map units per level pixel: a picture with such pixels on the grid is shown bit for bit."""
EVERY_TURN = list(product([None, 90, 180, 270], [False, True], [False, True]))


def four_corners(rows: int = 40, columns: int = 72) -> NDArray[np.uint8]:
    """A picture that no turn or flip maps to itself, with four different corners and a different middle."""
    picture = np.random.default_rng(7).integers(60, 200, (rows, columns, 3), np.uint8)
    picture[:9, :9], picture[:9, -9:], picture[-9:, :9], picture[-9:, -9:] = (
        (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)
    )  # fmt: skip
    return picture


def turned(picture: NDArray[np.uint8], rotate: int | None, vertical: bool, horizontal: bool) -> NDArray[np.uint8]:
    """What an image viewer does: clockwise first, then flips."""
    picture = np.rot90(picture, -(rotate or 0) // 90)
    picture = np.flipud(picture) if vertical else picture
    return np.fliplr(picture) if horizontal else picture


def as_the_map_shows(picture: NDArray[np.uint8], y_down: bool, x_left: bool) -> NDArray[np.uint8]:
    """A placed picture with north at the top."""
    picture = np.flipud(picture) if y_down else picture
    return np.fliplr(picture) if x_left else picture


@pytest.mark.parametrize("frame", ["image", "map"])
@pytest.mark.parametrize("y_down", [False, True])
@pytest.mark.parametrize(("rotate", "vertical", "horizontal"), EVERY_TURN)
def test_explicit_bounds_hold_the_finished_picture(
    tmp_path: Path, rotate: int | None, vertical: bool, horizontal: bool, y_down: bool, frame: str
) -> None:
    picture = four_corners()
    Image.fromarray(picture).save(tmp_path / "picture.png")
    laid = turned(picture, rotate, vertical, horizontal)
    for x_left in (False, True):
        row, column = 5, -31  # of the upper-left level pixel, from the middle of the map
        xs = [column * UNIT, (column + laid.shape[1]) * UNIT]
        ys = [-row * UNIT, -(row + laid.shape[0]) * UNIT]
        (ulx, lrx), (uly, lry) = xs[::-1] if x_left else xs, ys[::-1] if y_down else ys
        archive = import_picture(
            tmp_path / "picture.png", tmp_path / f"out-{x_left}", georef_bounds=f"{ulx},{uly},{lrx},{lry}",
            rotate=rotate, flip_vertical=vertical, flip_horizontal=horizontal, orient_frame=frame, blocksize=TILE,
        )  # fmt: skip
        if frame == "image":
            expected = as_the_map_shows(laid, y_down, x_left)
        else:
            expected = turned(as_the_map_shows(picture, y_down, x_left), rotate, vertical, horizontal)
        half = TILE * 2**ZOOM // 2
        shown = look(archive, ZOOM, TILE).window(
            half + row - 1, half + row + laid.shape[0] + 1, half + column - 1, half + column + laid.shape[1] + 1
        )
        np.testing.assert_array_equal(shown[1:-1, 1:-1, :3], expected)
        assert (shown[1:-1, 1:-1, 3] == 255).all()
        border = np.ones(shown.shape[:2], bool)
        border[1:-1, 1:-1] = False
        assert not shown[border].any()


@pytest.mark.parametrize("frame", ["image", "map"])
@pytest.mark.parametrize(("rotate", "vertical", "horizontal"), EVERY_TURN)
def test_the_bounds_of_metadata_turn_with_the_picture_about_its_low_corner(
    tmp_path: Path, rotate: int | None, vertical: bool, horizontal: bool, frame: str
) -> None:
    picture = four_corners()
    path = write_ome(tmp_path / "picture.ome.tif", picture, UNIT)
    archive = import_picture(
        path, tmp_path / "out", rotate=rotate, flip_vertical=vertical, flip_horizontal=horizontal,
        orient_frame=frame, blocksize=TILE,
    )  # fmt: skip
    laid = turned(picture, rotate, vertical, horizontal)
    expected = np.flipud(laid) if frame == "image" else turned(np.flipud(picture), rotate, vertical, horizontal)
    half = TILE * 2**ZOOM // 2
    shown = look(archive, ZOOM, TILE).window(half - laid.shape[0], half, half, half + laid.shape[1])
    np.testing.assert_array_equal(shown[..., :3], expected)
    assert (shown[..., 3] == 255).all()
