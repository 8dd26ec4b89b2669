"""The store of tiles, against one array in memory."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.rasters import noise

from cartloader_image.rasters.store import TileStore
from cartloader_image.window import Window


@settings(max_examples=150, deadline=None, database=None)
@given(
    st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 3, 4]), st.sampled_from([8, 16, 64]), st.data()
)  # fmt: skip
def test_random_windows(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, bands: int, tile: int, data: st.DataObject
) -> None:
    def window() -> Window:
        row0, row1 = sorted(data.draw(st.tuples(st.integers(0, height - 1), st.integers(0, height - 1))))
        column0, column1 = sorted(data.draw(st.tuples(st.integers(0, width - 1), st.integers(0, width - 1))))
        return Window(row0, row1 + 1, column0, column1 + 1)

    expected = np.zeros((height, width, bands), np.uint8)
    with TileStore.create(tmp_path_factory.mktemp("store") / "a", height, width, bands, tile) as store:
        for seed in range(data.draw(st.integers(0, 5))):
            box = window()
            pixels = noise((*box.shape, bands), seed=seed)
            store.write(box.row0, box.column0, pixels)
            expected[box.row0 : box.row1, box.column0 : box.column1] = pixels
        for _ in range(3):
            box = window()
            np.testing.assert_array_equal(store.read(box), expected[box.row0 : box.row1, box.column0 : box.column1])


def test_what_reaches_beyond_is_cut_off(tmp_path: Path) -> None:
    pixels = noise((20, 30, 3))
    with TileStore.create(tmp_path / "a", 25, 33, 3, 16) as store:
        store.write(10, 20, pixels)
        found = store.read(Window(0, 25, 0, 33))
    np.testing.assert_array_equal(found[10:, 20:], pixels[:15, :13])
    found[10:, 20:] = 0
    assert not found.any()


def test_views_are_written_as_they_look(tmp_path: Path) -> None:
    pixels = noise((32, 48, 3))
    for view in (pixels[::-1], pixels.swapaxes(0, 1), pixels[:, ::-1], pixels[::2, ::3]):
        with TileStore.create(tmp_path / "a", *view.shape, 16) as store:
            store.write(0, 0, view)
            np.testing.assert_array_equal(store.read(Window(0, view.shape[0], 0, view.shape[1])), view)


def test_many_threads(tmp_path: Path) -> None:
    pixels = noise((300, 200, 3))
    boxes = [Window(row, min(row + 7, 300), column, min(column + 41, 200)) for row in range(0, 300, 7)
             for column in range(0, 200, 41)]  # fmt: skip
    with TileStore.create(tmp_path / "a", 300, 200, 3, 32) as store, ThreadPoolExecutor(8) as pool:
        cut = [pixels[a:b, c:d] for a, b, c, d in boxes]
        list(pool.map(store.write, [box.row0 for box in boxes], [box.column0 for box in boxes], cut))
        for part, found in zip(cut, pool.map(store.read, boxes), strict=True):
            np.testing.assert_array_equal(found, part)


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    with TileStore.create(tmp_path / "a", 64, 64, 1, 32) as store:
        os.truncate(tmp_path / "a", 2000)
        with pytest.raises(OSError, match="ends before byte"):
            store.read(Window(0, 64, 0, 64))
