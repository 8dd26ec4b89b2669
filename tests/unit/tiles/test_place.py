"""Where an archive's tiles and bounds are, in shares of the world: against PROJ, and against all tiles one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.warp import transform
from support.archives import write_archive
from support.maps import HALF_MAP

from cartloader_image.tiles import place
from cartloader_image.tiles.place import Box, box_of, tiles_box
from cartloader_image.tiles.reader import reading

POLE = 85.0511287798


def shares(west: float, south: float, east: float, north: float) -> list[float]:
    """Left, top, right and bottom, by PROJ."""
    xs, ys = transform("EPSG:4326", "EPSG:3857", [west, east], [north, south])
    left, right = (0.5 + x / (2 * HALF_MAP) for x in xs)
    top, bottom = (0.5 - y / (2 * HALF_MAP) for y in ys)
    return [left, top, right, bottom]


def edges(box: Box | None) -> list[float]:
    assert box is not None
    return [box.left, box.top, box.right, box.bottom]


ends = st.tuples(st.floats(-180, 179), st.floats(-85, 84), st.floats(1e-3, 360), st.floats(1e-3, 170))


@given(ends)
def test_bounds_in_degrees_are_where_proj_has_them(values: tuple[float, float, float, float]) -> None:
    west, south, width, height = values
    bounds = [west, south, min(west + width, 180), min(south + height, 85)]
    assert edges(box_of(bounds)) == pytest.approx(shares(*bounds), abs=1e-9)
    assert box_of(",".join(map(str, bounds))) == box_of(map(str, bounds)) == box_of(bounds)


def test_beyond_the_map_nothing_is_drawn() -> None:
    assert edges(box_of([-180, -90, 180, 90])) == pytest.approx([0, 0, 1, 1], abs=1e-9)
    assert edges(box_of([-180.0005, 0, 180.0005, POLE + 1])) == pytest.approx([0, 0, 1, 0.5], abs=1e-9)
    assert edges(box_of([0, -89, 90, 0])) == pytest.approx([0.5, 0.5, 0.75, 1], abs=1e-9)


@pytest.mark.parametrize(
    "bounds",
    [
        None, "", "nothing", "1,2,3", "1,2,3,4,5", [1, 2, 3], [1, 2, 3, None], 7, "nan,0,1,1", [0, 0, float("inf"), 1],
        [2, 0, 1, 1], [1, 0, 1, 1], [0, 1, 1, 1], [0, 2, 1, 1], [-181, 0, 1, 1], [0, 0, 181, 1], [0, -91, 1, 1],
        [0, 0, 1, 91], [0, 86, 1, 89], [0, -89, 1, -86],
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_box_on_the_map(bounds: Any) -> None:
    assert box_of(bounds) is None


boxes = st.tuples(*[st.integers(0, 9)] * 4).map(lambda ends: Box(*ends))


def cells(box: Box) -> set[tuple[float, float]]:
    return {
        (x, y) for x in range(-9, 20) for y in range(-9, 20) if box.left <= x < box.right and box.top <= y < box.bottom
    }


@given(boxes, boxes)
def test_boxes_are_sets_of_points(one: Box, other: Box) -> None:
    assert cells(one.within(other)) == cells(one) & cells(other)
    assert one.is_empty == (not cells(one))
    assert edges(one.grown(2)) == [one.left - 2, one.top - 2, one.right + 2, one.bottom + 2]


@st.composite
def places(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """Tiles of two zooms, many of them neighbours."""
    zoom = draw(st.integers(0, 7))
    found = set()
    for side_of in (zoom, zoom + 1):
        side = 2**side_of
        x, y = draw(st.integers(0, side - 1)), draw(st.integers(0, side - 1))
        width, height = draw(st.integers(1, 9)), draw(st.integers(1, 9))
        found |= {(side_of, x + i, y + j) for i in range(width) for j in range(height) if max(x + i, y + j) < side}
    return sorted(found)


@given(places(), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_box_of_all_tiles_of_a_zoom(tmp_path: Path, some: list[tuple[int, int, int]], equal: bool) -> None:
    path = write_archive(tmp_path / "a.pmtiles", {tile: b"flat" if equal else str(tile).encode() for tile in some})
    with reading(path) as archive:
        for zoom in {zoom for zoom, _, _ in some}:
            xs, ys = ([tile[axis] for tile in some if tile[0] == zoom] for axis in (1, 2))
            expected = [min(xs), min(ys), max(xs) + 1, max(ys) + 1]
            assert edges(tiles_box(archive, zoom)) == [edge / 2**zoom for edge in expected]


def test_of_too_many_tiles_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_archive(tmp_path / "a.pmtiles", {(5, x, 7): b"%d" % x for x in range(10)})
    with reading(path) as archive:
        for most, known in ((10, True), (9, False)):
            monkeypatch.setattr(place, "_LOOKED_AT", most)
            assert (tiles_box(archive, 5) is not None) == known
