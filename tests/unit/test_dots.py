"""Points are drawn where they are, in every tile that their dot reaches, and nowhere else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from cartloader_image.errors import InputError
from cartloader_image.points.table import Part, Table
from cartloader_image.tiles.grid import HALF_MAP, resolution
from cartloader_image.viewer import loading
from cartloader_image.viewer.dots import COLOURS, REST, TILE, Choice, Dots

places = st.floats(-2e7, 2e7, width=32) | st.floats(-500, 500, width=32)
"""As tables of points are kept in memory."""


def of(points: NDArray[np.floating], groups: NDArray[np.uint16] | None = None, names: str = "") -> Dots:
    """Dots of points that come in two parts."""
    middle = (len(points) + 1) // 2
    parts = (Part(points[part], None if groups is None else groups[part]) for part in np.s_[:middle, middle:])
    return Dots(parts, names)


def alpha(data: bytes | None) -> NDArray[np.uint8]:
    if data is None:
        return np.zeros((TILE, TILE), np.uint8)
    return np.asarray(Image.open(BytesIO(data)).convert("RGBA"))[..., 3]


def pixel(value: float, zoom: int) -> tuple[int, int]:
    """Tile and pixel in it, of a distance from the map's edge."""
    return divmod(int(value / resolution(zoom, TILE)), TILE)


@given(places, places, st.integers(0, 20))
def test_a_point_is_the_middle_of_its_dot(x: float, y: float, zoom: int) -> None:
    (column, right), (row, down) = pixel(x + HALF_MAP, zoom), pixel(HALF_MAP - y, zoom)
    assume(all(6 <= place < TILE - 6 for place in (right, down)))
    rows, columns = np.nonzero(alpha(of(np.array([[x, y]], np.float32)).tile(zoom, column, row)) == 255)
    assert abs(rows.mean() - down) <= 1
    assert abs(columns.mean() - right) <= 1
    assert 5 <= len(rows) <= 69


def test_tiles_join_without_a_seam_and_show_density() -> None:
    random, zoom = np.random.default_rng(5), 14
    points = random.normal(0, 300, (20_000, 2))
    dots = of(points)
    middle = 1 << (zoom - 1)
    whole = np.block(
        [[alpha(dots.tile(zoom, middle - 1 + column, middle - 1 + row)) for column in (0, 1)] for row in (0, 1)]
    )
    unit = resolution(zoom, TILE)
    columns, rows = ((TILE + points * [1, -1] / unit) // 1).astype(int).T
    expected = np.zeros((2 * TILE + 2, 2 * TILE + 2), int)
    np.add.at(expected, (rows + 1, columns + 1), 1)
    near = [expected[1 + down :, 1 + right :][: 2 * TILE, : 2 * TILE] for down in (-1, 0, 1) for right in (-1, 0, 1)]
    counts = np.max(near, axis=0)
    np.testing.assert_array_equal(whole > 0, counts > 0)
    crowd = np.quantile(expected[expected > 0], 0.98)
    np.testing.assert_allclose(whole, np.where(counts > 0, 70 + 185 * np.minimum(counts / crowd, 1), 0), atol=1)


def test_where_no_point_is_there_is_no_tile() -> None:
    dots = of(np.array([[10.0, 10.0], [1e9, 0.0]]))
    assert dots.count == 1
    assert dots.tile(15, 0, 0) is None
    assert dots.tile(3, 7, 7) is None


def test_points_that_are_all_beside_the_map_are_refused() -> None:
    with pytest.raises(InputError, match="none of 1 points lies on the map"):
        of(np.array([[1e9, 0.0]]))


def drawn(dots: Dots, choice: Choice, zoom: int = 14) -> NDArray[np.uint8]:
    """The four tiles around 0,0, with the colours as they are stored."""
    middle = 1 << (zoom - 1)
    whole = np.zeros((2 * TILE, 2 * TILE, 4), np.uint8)
    for row, column in np.ndindex(2, 2):
        data = dots.tile(zoom, middle - 1 + column, middle - 1 + row, choice)
        if data:
            part = np.asarray(Image.open(BytesIO(data)).convert("RGBA"))
            whole[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE] = part
    return whole


def test_groups_have_their_colours_and_can_be_hidden() -> None:
    random, zoom = np.random.default_rng(6), 14
    cells = np.stack(np.meshgrid(np.arange(-40, 40), np.arange(-40, 40)), -1).reshape(-1, 2)
    points = (cells * 12 + 0.5) * resolution(zoom, TILE)  # dots that do not touch each other
    groups = random.choice(5, len(points), p=[0.1, 0.3, 0.35, 0.05, 0.2]).astype(np.uint16)
    dots = of(points, groups, "abcdef")
    counts = {name: int((groups == number).sum()) for number, name in enumerate("abcde")}
    assert dots.names == sorted(counts.items(), key=lambda one: -one[1])
    number = {name: index for index, (name, _) in enumerate(dots.names)}
    expected = {"c": COLOURS[0], "a": COLOURS[2], "b": COLOURS[3], "d": REST}  # and no "e"
    choice = Choice((number["c"], None, number["a"], number["b"]), (number["e"],))
    whole = drawn(dots, choice)
    columns, rows = ((TILE + points * [1, -1] / resolution(zoom, TILE)) // 1).astype(int).T
    for name, column, row in zip(np.array(list("abcde"))[groups], columns, rows, strict=True):
        seen = whole[row, column]
        assert (tuple(seen[:3]), seen[3]) == (expected[name], 255) if name in expected else seen[3] == 0, name
    assert whole[..., 3].any()
    rest = drawn(dots, choice._replace(rest=False))
    np.testing.assert_array_equal(rest[..., 3] > 0, (whole[..., 3] > 0) & (whole[..., :3] != REST).any(axis=2))


def test_where_dots_cover_each_other_an_area_looks_as_mixed_as_it_is() -> None:
    random = np.random.default_rng(7)
    points, groups = random.uniform(-900, 900, (200_000, 2)), (random.random(200_000) < 0.2).astype(np.uint16)
    whole = drawn(of(points, groups, "ab"), Choice((0, 1)))
    seen = whole[whole[..., 3] > 0][:, :3]
    assert (seen == COLOURS[1]).all(axis=1).mean() == pytest.approx(0.2, abs=0.01)
    assert np.isin(seen, COLOURS[:2]).all()


def test_who_ends_it_does_not_wait_for_what_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def parts(_: Table) -> Iterator[Part]:
        ended.wait()
        yield Part(np.zeros((1, 2)))

    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    monkeypatch.setattr(Table, "parts", parts)
    monkeypatch.setattr(loading, "_PATIENCE", 0.01)
    points = loading.Loading(Table(tmp_path / "a.csv"))
    points.start()
    points.stop()
    assert points.known() == {"read": 0}
    ended.set()
    points.join()
    assert points.known() == {"read": 0}, "it was stopped"
