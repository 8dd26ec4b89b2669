"""Zooms and tiles of pictures anywhere on the map, with pixels from 1e-7 map units to the whole of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rasterio.warp import transform
from support.maps import HALF_MAP

from cartloader_image.errors import BoundsError
from cartloader_image.tiles.grid import MapBox, Pyramid, from_lon_lat, lon_lat, natural_zoom, plan_pyramid

ZOOM_0 = 156543.03392804097
"""Map units per pixel of the single tile of zoom 0, of 256 pixels a side, as every description of web maps has it."""
TILES = st.sampled_from([256, 512, 1024])
ALMOST = 1e-5
"""Level pixels within which numbers of 53 bits know an edge at zoom 24."""


def side(zoom: int, tile: int) -> float:
    """Map units per level pixel."""
    return ZOOM_0 * 256 / tile / 2**zoom


@dataclass(frozen=True)
class Picture:
    """Pixels of one size, so many across and down, from the upper left corner."""

    pixel: float
    columns: int
    rows: int
    left: float
    top: float

    @property
    def box(self) -> MapBox:
        return MapBox(self.left, self.top - self.rows * self.pixel, self.left + self.columns * self.pixel, self.top)

    def plan(self, tile: int, min_zoom: int | None = None, max_zoom: int | None = None) -> Pyramid:
        return plan_pyramid(self.box, self.pixel, tile, min_zoom, max_zoom, "x")


@st.composite
def pictures(draw: st.DrawFn, longest: int = 100_000) -> Picture:
    """On the map, each side at least the thousandth of a pixel of zoom 24 that a picture has to be."""
    sides = st.integers(1, longest) | st.sampled_from([256, 512, 1024, 2048])
    columns, rows = draw(sides), draw(sides)
    least, most = max(1e-7, 1e-5 / min(columns, rows)), 2 * HALF_MAP / max(columns, rows)
    of_any_size = st.floats(math.log10(least), math.log10(most)).map(lambda power: min(10**power, most))
    of_a_zoom = st.integers(0, 24).map(lambda zoom: side(zoom, 512)).filter(lambda size: least <= size <= most)
    pixel = draw(of_any_size | of_a_zoom)
    left, top = (draw(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0]))) for _ in range(2))
    left, top = -HALF_MAP + left * (2 * HALF_MAP - columns * pixel), HALF_MAP - top * (2 * HALF_MAP - rows * pixel)
    picture = Picture(pixel, columns, rows, left, top)
    box = picture.box
    assume(-HALF_MAP <= box.left < box.right <= HALF_MAP)
    assume(-HALF_MAP <= box.bottom < box.top <= HALF_MAP)
    return picture


@given(st.floats(-7, math.log10(2 * HALF_MAP)), TILES)
def test_the_natural_zoom_is_the_first_that_is_fine_enough(exponent: float, tile: int) -> None:
    pixel = 10**exponent
    zoom = natural_zoom(pixel, tile)
    assert zoom >= 0
    assert side(zoom, tile) <= pixel * (1 + 2e-6)
    assert zoom == 0 or side(zoom - 1, tile) > pixel


@given(pictures(), TILES)
def test_the_base_zoom_is_the_natural_one_or_the_finest_there_is(picture: Picture, tile: int) -> None:
    pyramid = picture.plan(tile)
    assert 0 <= pyramid.min_zoom <= pyramid.max_zoom == pyramid.base_zoom <= 24
    fine_enough = side(pyramid.base_zoom, tile) <= picture.pixel * (1 + 2e-6)
    assert fine_enough or pyramid.base_zoom == 24
    assert pyramid.base_zoom == 0 or side(pyramid.base_zoom - 1, tile) > picture.pixel
    assert len(pyramid.notes) == (not fine_enough)


@given(pictures(), TILES)
def test_the_coarsest_zoom_is_one_beyond_that_at_which_the_picture_fits_a_tile(picture: Picture, tile: int) -> None:
    pyramid = picture.plan(tile)
    longest = max(picture.columns, picture.rows) * picture.pixel
    pixels = {zoom: longest / side(zoom, tile) for zoom in range(pyramid.base_zoom + 1)}
    assume(abs(pixels[pyramid.base_zoom] % 1 - 0.5) > ALMOST)  # rounded up or down
    whole = round(pixels[pyramid.base_zoom])
    fits = [zoom for zoom in pixels if whole <= tile * 2 ** (pyramid.base_zoom - zoom)]
    assert pyramid.min_zoom == max(max(fits, default=0) - 1, 0)


@given(pictures(), TILES, st.integers(0, 24), st.integers(0, 24))
def test_zooms_that_are_asked_for(picture: Picture, tile: int, first: int, last: int) -> None:
    natural = picture.plan(tile)
    if first > last:
        with pytest.raises(
            BoundsError, match=f"has its finest tiles at zoom {last}; --min-zoom {first} is beyond that"
        ):
            picture.plan(tile, first, last)
        return
    pyramid = picture.plan(tile, first, last)
    assert (pyramid.min_zoom, pyramid.max_zoom) == (first, last)
    assert list(pyramid.zooms) == [*range(last, first - 1, -1)]
    assert pyramid.base_zoom == max(natural.base_zoom, last)
    assert pyramid.notes == ()
    if last <= natural.base_zoom:  # which leaves out tiles, and changes none
        assert all(pyramid.extent(zoom) == natural.extent(zoom) for zoom in pyramid.zooms)


def pixels_of(box: MapBox, zoom: int, tile: int) -> tuple[int, int, int, int]:
    """Rows and columns of the level pixels whose centres a picture holds, or of the one that its own centre lies in.

    In exact fractions of the map, and not where rounding decides.
    """
    size = Fraction(2 * HALF_MAP) / (tile * 2**zoom)
    top, bottom, left, right = (
        (Fraction(HALF_MAP) + edge) / size for edge in map(Fraction, (-box.top, -box.bottom, box.left, box.right))
    )
    found = []
    for first, last in ((top, bottom), (left, right)):
        start, stop = first - Fraction(1, 2), last - Fraction(1, 2)
        assume(all(abs(edge - round(edge)) > ALMOST for edge in (start, stop)))
        if math.ceil(start) < math.ceil(stop):
            found += [math.ceil(start), math.ceil(stop)]
        else:
            middle = (first + last) / 2
            assume(abs(middle - round(middle)) > ALMOST)
            found += [math.floor(middle), math.floor(middle) + 1]
    return found[0], found[1], found[2], found[3]


@given(pictures(), TILES)
def test_the_extent_has_all_pixels_whose_centres_the_picture_holds(picture: Picture, tile: int) -> None:
    pyramid = picture.plan(tile)
    assert pyramid.extent(pyramid.base_zoom) == pixels_of(picture.box, pyramid.base_zoom, tile)


@given(st.integers(-(10**9), 10**9), st.floats(0, 1), st.floats(0.01, 1.2), st.floats(0.01, 1.2), TILES)
def test_a_picture_of_hardly_a_pixel_is_the_one_that_it_is_nearest_to(
    place: int, beside: float, wide: float, high: float, tile: int
) -> None:
    """Too small for zoom 24, with or without the centre of a pixel, or across the line between two."""
    size = side(24, tile)
    left, top = (place + beside) * size, (beside - place) * size
    box = MapBox(left, top - high * size, left + wide * size, top)
    pyramid = plan_pyramid(box, min(wide, high) * size / 99, tile, None, None, "x")
    assert pyramid.base_zoom == 24
    assert pyramid.extent(24) == pixels_of(box, 24, tile)


@given(st.integers(9, 24), TILES, st.integers(1, 60), st.integers(1, 60), st.floats(-1, 1), st.booleans())
def test_pixels_of_a_zooms_own_size_are_as_many_wherever_they_lie(
    zoom: int, tile: int, columns: int, rows: int, place: float, halfway: bool
) -> None:
    """On its grid or half a pixel beside it, where each edge goes through centres."""
    size = side(zoom, tile)
    column = round(place * (tile * 2**zoom / 2 - 61)) + halfway / 2
    picture = Picture(size, columns, rows, column * size, -column * size)
    pyramid = picture.plan(tile)
    assert pyramid.base_zoom == zoom
    assert pyramid.extent(zoom).shape == (rows, columns)


@given(pictures(), TILES)
def test_each_zoom_holds_the_next_one_and_lies_on_the_map(picture: Picture, tile: int) -> None:
    pyramid = picture.plan(tile, min_zoom=0)
    for zoom in range(pyramid.base_zoom + 1):
        (row0, row1, column0, column1), tiles = pyramid.extent(zoom), pyramid.tile_range(zoom)
        assert 0 <= row0 < row1 <= tile * 2**zoom
        assert 0 <= column0 < column1 <= tile * 2**zoom
        assert tiles == (row0 // tile, (row1 - 1) // tile + 1, column0 // tile, (column1 - 1) // tile + 1)
        if zoom < pyramid.base_zoom:
            finer = pyramid.extent(zoom + 1)
            assert (row0, row1) == (finer.row0 // 2, (finer.row1 - 1) // 2 + 1)
            assert (column0, column1) == (finer.column0 // 2, (finer.column1 - 1) // 2 + 1)


@given(st.floats(-0.02, 0.02), st.floats(-0.02, 0.02), st.booleans(), st.booleans(), st.floats(1e-4, 1), TILES)
def test_a_picture_a_hair_beyond_the_map_is_tiled_on_it(
    across: float, up: float, right: bool, bottom: bool, pixel: float, tile: int
) -> None:
    """As far as the map's edge may be rounded, however small the pixels are beside that."""
    left = (HALF_MAP + across - 9 * pixel) if right else (-HALF_MAP + across)
    top = (-HALF_MAP + up + 9 * pixel) if bottom else (HALF_MAP + up)
    pyramid = Picture(pixel, 9, 9, left, top).plan(tile)
    for zoom in pyramid.zooms:
        row0, row1, column0, column1 = pyramid.extent(zoom)
        assert 0 <= row0 < row1 <= tile * 2**zoom
        assert 0 <= column0 < column1 <= tile * 2**zoom


@given(pictures(longest=3_000), TILES, st.integers(0, 24))
def test_tiles_are_counted_as_they_are_found_from_the_finest_to_the_coarsest(
    picture: Picture, tile: int, coarsest: int
) -> None:
    """Those of the base zoom by the centres of its pixels, each coarser one because a finer one lies in it."""
    pyramid = picture.plan(tile)
    pyramid = picture.plan(tile, min(coarsest, pyramid.max_zoom))
    row0, row1, column0, column1 = pixels_of(picture.box, pyramid.base_zoom, tile)
    rows, columns = ({pixel // tile for pixel in range(*ends)} for ends in ((row0, row1), (column0, column1)))
    tiles = {(row, column) for row in rows for column in columns}
    count = len(tiles)
    for _ in range(pyramid.min_zoom, pyramid.base_zoom):
        tiles = {(row // 2, column // 2) for row, column in tiles}
        count += len(tiles)
    assert pyramid.tile_count() == count


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_degrees_are_those_of_proj_and_lead_back(across: float, up: float) -> None:
    x, y = across * HALF_MAP, up * HALF_MAP
    (longitude,), (latitude,) = transform("EPSG:3857", "EPSG:4326", [x], [y])
    assert lon_lat(x, y) == pytest.approx((longitude, latitude), abs=1e-9)
    assert from_lon_lat(*lon_lat(x, y)) == pytest.approx((x, y), abs=1e-6)


@pytest.mark.parametrize("edge", range(4))
def test_a_picture_beyond_the_map_is_refused(edge: int) -> None:
    ends = [-50.0, -50.0, 50.0, 50.0]
    for beyond in (ends[edge] * 1e9, math.copysign(HALF_MAP * (1 + 1e-8), ends[edge])):
        edges = [*ends[:edge], beyond, *ends[edge + 1 :]]
        with pytest.raises(BoundsError, match=r"x: lies outside the map, which ends at ±20,037,508 map units"):
            plan_pyramid(MapBox(*edges), 1, 256, None, None, "x")


@given(TILES, st.booleans())
def test_a_picture_is_at_least_the_thousandth_of_a_pixel(tile: int, high: bool) -> None:
    def plan(thin: float) -> Pyramid:
        width, height = (1, thin) if high else (thin, 1)
        return plan_pyramid(MapBox(1, 1, 1 + width, 1 + height), 1e-9, tile, None, None, "x")

    pixel = side(24, tile)
    assert plan(pixel / 990).extent(24).shape[0 if high else 1] == 1
    with pytest.raises(BoundsError, match="next to nothing beside a pixel of zoom 24"):
        plan(pixel / 1010)


@pytest.mark.parametrize("tile", [256, 512, 1024])
def test_pixels_of_the_finest_zoom_are_not_too_small_for_it(tile: int) -> None:
    """But for what rounding does, which is less than a millionth."""
    for hair, notes in ((-5e-7, 0), (0, 0), (5e-7, 0), (-2e-6, 1)):
        pyramid = Picture(side(24, tile) * (1 + hair), 900, 900, 7, 7).plan(tile)
        assert pyramid.base_zoom == 24
        assert len(pyramid.notes) == notes
