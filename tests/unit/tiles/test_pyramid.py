"""All tiles of a picture in memory, against the whole picture made smaller by numpy."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pmtiles.tile import zxy_to_tileid
from support.maps import HALF_MAP
from support.rasters import as_rgba, noise

from cartloader_image.layout import Layout
from cartloader_image.tiles.grid import MapBox, Pyramid, plan_pyramid
from cartloader_image.tiles.ids import zoom_of
from cartloader_image.tiles.pyramid import CHUNK_PIXELS, Cutter, Tile, kept_pixels, passes
from cartloader_image.tiles.resampling import premultiplied, straight
from cartloader_image.window import Window

Pixels = NDArray[np.uint8]
TILE, BASE = 256, 12
MIDDLE = TILE * 2**BASE // 2
"""The level pixel behind the middle of the map, where four chunks meet at every zoom."""
BEFORE, BEHIND = 190, 530
"""Level pixels of the picture on each side of it."""


def planned(zooms: int) -> Pyramid:
    """A picture of ``BEFORE + BEHIND`` level pixels a side, with its zooms from the base on."""
    unit = 2 * HALF_MAP / (TILE * 2**BASE)
    box = MapBox(-BEFORE * unit, -BEHIND * unit, BEHIND * unit, BEFORE * unit)
    return plan_pyramid(box, unit, TILE, BASE - zooms, None, "x")


class InMemory:
    """A zoom that goes on beyond its edge as all do."""

    def __init__(self, picture: Pixels) -> None:
        self.picture, self.layout = picture, Layout.of(picture.shape[2])

    def read(self, window: Window) -> Pixels:
        first = MIDDLE - BEFORE
        rows, columns = np.arange(window.row0, window.row1) - first, np.arange(window.column0, window.column1) - first
        height, width = self.picture.shape[:2]
        pixels = self.picture[np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))]
        if self.layout.alpha:
            pixels[(rows < 0) | (rows >= height)] = 0
            pixels[:, (columns < 0) | (columns >= width)] = 0
        return pixels


def as_array(pixels: Pixels) -> bytes:
    data = BytesIO()
    np.save(data, pixels)
    return data.getvalue()


def cut(picture: Pixels, pyramid: Pyramid, scratch: Path) -> dict[int, Pixels]:
    """Each zoom as one RGBA picture of whole tiles, once it is sure that each of its tiles came once."""
    level = InMemory(premultiplied(picture) if picture.shape[2] in {2, 4} else picture)
    encoded, shown = list[Tile](), {}
    steps = [*Cutter(level, pyramid, as_array, scratch, threads=2, nearest=True).tiles(encoded.append)]
    assert sum(steps) == pyramid.tile_count()
    assert len({tile.tile_id for tile in encoded}) == len(encoded)
    for zoom in pyramid.zooms:
        row0, row1, column0, column1 = pyramid.tile_range(zoom)
        whole = np.zeros(((row1 - row0) * TILE, (column1 - column0) * TILE, 4), np.uint8)
        places = {zxy_to_tileid(zoom, x, y): (x, y) for x in range(column0, column1) for y in range(row0, row1)}
        tiles = [tile for tile in encoded if zoom_of(tile.tile_id) == zoom]
        assert {tile.tile_id for tile in tiles} <= places.keys()
        for tile in tiles:
            x, y = places[tile.tile_id]
            pixels = np.load(BytesIO(tile.data))
            assert pixels.shape[:2] == (TILE, TILE)
            whole[(y - row0) * TILE :, (x - column0) * TILE :][:TILE, :TILE] = as_rgba(pixels)
        shown[zoom] = whole
    return shown


def sampled(picture: Pixels, pyramid: Pyramid, zoom: int) -> Pixels:
    """One of so many pixels of the picture, as one RGBA picture of all tiles of a zoom, transparent beyond its edge."""
    step = 1 << (BASE - zoom)
    edges = pyramid.tile_range(zoom)
    rows, columns = (
        np.arange(first * TILE, last * TILE) * step - (MIDDLE - BEFORE) for first, last in (edges[:2], edges[2:])
    )
    within = [(line >= 0) & (line < BEFORE + BEHIND) for line in (rows, columns)]
    whole = np.zeros((len(rows), len(columns), 4), np.uint8)
    whole[np.ix_(*within)] = as_rgba(picture[np.ix_(rows[within[0]], columns[within[1]])])
    return whole


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_without_filtering_each_pixel_is_one_of_the_picture(tmp_path: Path, count: int) -> None:
    """At every zoom of two passes, to the bit, on both sides of the seams between chunks."""
    picture = noise((BEFORE + BEHIND, BEFORE + BEHIND, count))
    if count in {2, 4}:
        picture = straight(premultiplied(picture))
    pyramid = planned(zooms=6)
    assert len(passes(pyramid)) == 2
    shown = cut(picture, pyramid, tmp_path)
    for zoom in pyramid.zooms:
        np.testing.assert_array_equal(shown[zoom], sampled(picture, pyramid, zoom))
    assert kept_pixels(pyramid) * count == sum(file.stat().st_size for file in tmp_path.iterdir())


def test_a_tile_in_which_nothing_is_seen_is_not_kept(tmp_path: Path) -> None:
    picture = np.zeros((BEFORE + BEHIND, BEFORE + BEHIND, 4), np.uint8)
    picture[BEFORE + 300, BEFORE + 20] = 255
    level, pyramid = InMemory(picture), planned(zooms=2)
    tiles = list[Tile]()
    steps = [*Cutter(level, pyramid, as_array, tmp_path, threads=1, nearest=True).tiles(tiles.append)]
    x, y = MIDDLE // TILE, MIDDLE // TILE + 1
    expected = [zxy_to_tileid(BASE - step, x >> step, y >> step) for step in range(3)]
    assert [tile.tile_id for tile in tiles] == expected
    assert sum(steps) == pyramid.tile_count()


@given(st.sampled_from([256, 512, 1024]), st.integers(0, 24), st.integers(0, 24))
def test_passes_make_each_zoom_once_in_chunks_that_fit_in_memory(tile: int, one: int, other: int) -> None:
    coarsest, base = sorted((one, other))
    pyramid = Pyramid(MapBox(-9e5, -8e5, 7e5, 6e5), tile, base, coarsest, base)
    parts = passes(pyramid)
    assert [zoom for part in parts for zoom in range(part.top, part.bottom - 1, -1)] == [*pyramid.zooms]
    assert all(tile << (part.top - part.bottom) <= CHUNK_PIXELS for part in parts)
    assert all(tile << (part.top - part.bottom + 1) > CHUNK_PIXELS for part in parts[:-1])
