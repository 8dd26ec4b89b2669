"""The law that places and turns a picture, in its own frame and on the map."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from support.places import covered, edges, placed
from support.rasters import Raster, noise, params_for

from cartloader_image.errors import BoundsError, UsageError
from cartloader_image.recipe import actions

EVERY_TURN = list(product([None, 90, 180, 270], [False, True], [False, True]))


@pytest.fixture
def picture(raster: Raster) -> Path:
    """A PNG of 20 rows and 40 columns."""
    return raster("a.png", 20, 40, dtype=np.uint8)


@pytest.mark.parametrize("frame", ["image", "map"])
@pytest.mark.parametrize(("rotate", "vertical", "horizontal"), EVERY_TURN)
def test_explicit_bounds_are_those_of_the_finished_picture(
    picture: Path, rotate: int | None, vertical: bool, horizontal: bool, frame: str
) -> None:
    for ulx, uly, lrx, lry in ((-10, 5, 30, 45), (30, 5, -10, 45), (-10, 45, 30, 5), (30, 45, -10, 5)):
        found = placed(
            picture, georef_bounds=f"{ulx},{uly},{lrx},{lry}", rotate=rotate, flip_vertical=vertical,
            flip_horizontal=horizontal, orient_frame=frame, georef_offset_x=100, georef_offset_y=-7,
        )  # fmt: skip
        assert covered(found, 40, 20) == pytest.approx((90, -2, 130, 38))


@pytest.mark.parametrize("frame", ["image", "map"])
@pytest.mark.parametrize(("rotate", "vertical", "horizontal"), EVERY_TURN)
def test_metadata_bounds_turn_about_their_low_corner(
    picture: Path, rotate: int | None, vertical: bool, horizontal: bool, frame: str
) -> None:
    found = placed(
        picture, pixel_size="0.5", rotate=rotate, flip_vertical=vertical, flip_horizontal=horizontal,
        orient_frame=frame, georef_offset_x=3, georef_offset_y=-4,
    )  # fmt: skip
    assert edges(found.bounds) == (3, -4, 23, 6)  # as stored
    width, height = (10, 20) if rotate in {90, 270} else (20, 10)
    assert covered(found, 40, 20) == pytest.approx((3, -4, 3 + width, -4 + height))
    assert found.pixel_size == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("frame", ["image", "map"])
@pytest.mark.parametrize("uly_above", [False, True])
@pytest.mark.parametrize(("rotate", "vertical", "horizontal"), EVERY_TURN)
def test_gdal_puts_every_pixel_where_the_law_says(
    tmp_path: Path, rotate: int | None, vertical: bool, horizontal: bool, uly_above: bool, frame: str
) -> None:
    """The map, cell by cell: numpy turns the picture, GDAL reads the finished GeoTIFF."""
    pixels = noise((3, 5))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    height, width = (5, 3) if rotate in {90, 270} else (3, 5)
    ys = (height, 0) if uly_above else (0, height)

    def laid(array: Any) -> Any:
        array = np.rot90(array, -(rotate or 0) // 90)
        array = np.flipud(array) if vertical else array
        return np.fliplr(array) if horizontal else array

    actions.georeference(
        params_for(
            tmp_path / "a.png", georef_bounds=f"0,{ys[0]},{width},{ys[1]}", rotate=rotate, flip_vertical=vertical,
            flip_horizontal=horizontal, orient_frame=frame,
        )
    )  # fmt: skip
    # north up: an image viewer's picture is upside down on the map where y grows with its rows
    if frame == "image":
        expected = laid(pixels) if uly_above else np.flipud(laid(pixels))
    else:
        expected = laid(pixels if uly_above else np.flipud(pixels))
    with rasterio.open(tmp_path / "out" / "picture.geotif.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), pixels)  # as stored
        for row, column in np.ndindex(3, 5):
            x, y = dataset.transform @ (column + 0.5, row + 0.5)
            assert (x % 1, y % 1) == (0.5, 0.5)
            assert expected[height - 1 - int(y), int(x)] == pixels[row, column]


def test_bounds_of_the_unturned_picture_are_refused(picture: Path) -> None:
    with pytest.raises(UsageError) as error:
        placed(picture, georef_bounds="10,20,50,40", rotate=90)
    assert "fit the picture before its quarter turn" in str(error.value)
    assert str(error.value).endswith("give 10,20,30,60")
    placed(picture, georef_bounds="10,20,30,60", rotate=90)
    placed(picture, georef_bounds="10,20,50,40", rotate=180)
    with pytest.raises(UsageError, match=r"give 30,60,10,20$"):
        placed(picture, georef_bounds="50,40,10,20", rotate=270)
    with pytest.raises(UsageError):
        placed(picture, georef_bounds="0,0,40.7,20", rotate=90)  # 1.75 % from square
    placed(picture, georef_bounds="0,0,40.9,20", rotate=90)  # 2.25 %: no telling what is meant


def test_pixels_that_are_not_square_are_told(picture: Path) -> None:
    for bounds, notes in (("0,0,40,20", 0), ("0,0,40.7,20", 0), ("0,0,40.9,20", 1), ("0,0,20,40", 1)):
        assert len(placed(picture, georef_bounds=bounds).notes) == notes, bounds


@pytest.mark.parametrize("bounds", ["0,0,0,5", "0,5,5,5", "1,1,1,1"])
def test_bounds_without_area(picture: Path, bounds: str) -> None:
    with pytest.raises(BoundsError, match="have no area"):
        placed(picture, georef_bounds=bounds)


@pytest.mark.parametrize(
    "options",
    [
        {"georef_bounds": "-1e308,0,1e308,1"}, {"pixel_size": "1e308"}, {"pixel_size": "1e-323"},
        {"georef_bounds": "0,0,1e-323,1"},
    ],
)  # fmt: skip
def test_numbers_beyond_all_measure(picture: Path, options: dict[str, Any]) -> None:
    with pytest.raises(BoundsError, match=r"beyond all measure|have no area"):
        placed(picture, **options)


def test_a_size_in_micrometres_is_no_place_in_degrees(picture: Path) -> None:
    with pytest.raises(UsageError, match=r"--srs EPSG:4326: is in degrees.*give --georef-bounds in degrees"):
        placed(picture, srs="EPSG:4326", pixel_size="0.5")
    assert placed(picture, srs="EPSG:4326", georef_bounds="8,48,9,47").crs == "EPSG:4326"
