"""Tiles against those of the next zoom: alike however they were made smaller, and not alike if they show another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pmtiles.tile import tileid_to_zxy, zxy_to_tileid
from support.archives import cut, read_archive, write_archive
from support.maps import blobs

from cartloader_image.tiles.parents import SAMPLE, Parents, premultiplied
from cartloader_image.tiles.reader import reading

Pixels = NDArray[np.uint8]
Place = tuple[int, int, int]


def halved(pixels: Pixels, how: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Pixels:
    """Each pixel out of four, given as the last axis."""
    rows, columns, bands = pixels.shape
    fours = pixels.reshape(rows // 2, 2, columns // 2, 2, bands).transpose(0, 2, 4, 1, 3).reshape(-1, 4).astype(float)
    return how(fours).reshape(rows // 2, columns // 2, bands).astype(np.uint8)


WAYS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "mean": lambda fours: fours.mean(-1),
    "median": lambda fours: np.median(fours, -1),
    "darkest": lambda fours: fours.min(-1),
    "brightest": lambda fours: fours.max(-1),
    **{f"pixel {n}": lambda fours, n=n: fours[..., n] for n in range(4)},  # type: ignore[misc]
}


def differing(path: Path, tiles: dict[Place, bytes], *, whole: bool, size: int = 32) -> list[Place]:
    """The parents of an archive that differ from their children."""
    write_archive(path, tiles)
    with reading(path) as archive:
        parents = Parents(archive, read_archive(path).entries, (size, size), whole)
        return [tileid_to_zxy(tile_id) for tile_id in parents.ids(all_of_them=True) if parents.differs(tile_id)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.pmtiles"


def picture(size: int = 128, bands: int = 3) -> Pixels:
    return np.random.default_rng(8).integers(0, 256, (size, size, bands), np.uint8) // 2 + blobs(size, size, bands) // 2


def slope(pixels: Pixels) -> Pixels:
    """Brighter and brighter down each parent, and across it in another band."""
    rows, columns = np.indices(pixels.shape[:2])
    pixels[..., 0] = rows % 64 * 4
    pixels[..., 1] = columns % 64 * 4
    pixels[..., 2] = 200
    return pixels


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bands", [3, 4])
@pytest.mark.parametrize("sloping", [False, True])
def test_however_tiles_are_made_smaller_they_are_alike(path: Path, way: str, bands: int, sloping: bool) -> None:
    pixels = slope(picture(bands=bands)) if sloping else picture(bands=bands)
    if bands == 4:
        pixels[..., 3] = 255 * (pixels[..., :1] > 120)[..., 0]
        pixels[pixels[..., 3] == 0] = 0
    assert not differing(path, cut(pixels, 5, 8, 4, 32) | cut(halved(pixels, WAYS[way]), 4, 4, 2, 32), whole=True)


def quarter(pixels: Pixels) -> Pixels:
    pixels = pixels.copy()
    pixels[24:, 24:] = 0
    return pixels


OTHERS: dict[str, Callable[[Pixels], Pixels]] = {
    "mirrored": lambda pixels: pixels[:, ::-1],
    "upside down": lambda pixels: pixels[::-1],
    "turned": lambda pixels: pixels.transpose(1, 0, 2),
    "shifted by a quarter": lambda pixels: np.roll(pixels, 8, axis=1),
    "black": lambda pixels: pixels * 0,
    "white": lambda pixels: pixels | 255,
    "bands exchanged": lambda pixels: pixels[..., [1, 2, 0]],
    "its lower right is black": quarter,
}


@pytest.mark.parametrize("other", OTHERS)
def test_another_picture_is_not_alike(path: Path, other: str) -> None:
    """Of a parent, and only that one; a picture that has an edge in its colours across and down."""
    pixels = slope(picture())
    coarse = halved(pixels, WAYS["mean"])
    coarse[32:, :32] = OTHERS[other](coarse[32:, :32])
    assert differing(path, cut(pixels, 5, 8, 4, 32) | cut(coarse, 4, 4, 2, 32), whole=False) == [(4, 4, 3)]


def test_a_tile_that_is_not_there_shows_nothing_if_the_archive_is_whole(path: Path) -> None:
    pixels = picture(64)
    fine, (coarse,) = cut(pixels, 5, 8, 4, 32), [*cut(halved(pixels, WAYS["mean"]), 4, 4, 2, 32).items()]
    for missing in fine:
        some = {place: data for place, data in fine.items() if place != missing} | dict([coarse])
        assert differing(path, some, whole=True) == [(4, 4, 2)]
        assert not differing(path, some, whole=False)
    more = {(4, 0, 0): coarse[1]}
    assert differing(path, fine | more, whole=True) == [(4, 0, 0), (4, 4, 2)]
    assert not differing(path, fine | more, whole=False)


def test_a_missing_tile_that_is_transparent_is_alike(path: Path) -> None:
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:32, :32] = 255
    pixels[32:] = [9, 99, 199, 0]
    fine = cut(pixels, 5, 8, 4, 32)
    del fine[5, 9, 5]
    assert not differing(path, fine | cut(halved(pixels, WAYS["mean"]), 4, 4, 2, 32), whole=True)


@pytest.mark.parametrize(("size", "compared"), [(4, False), (7, False), (8, True)])
def test_tiles_of_hardly_a_pixel_are_not_compared(path: Path, size: int, compared: bool) -> None:
    black, white = (np.full((side, side, 3), value, np.uint8) for side, value in ((2 * size, 0), (size, 255)))
    tiles = cut(black, 5, 8, 4, size) | cut(white, 4, 4, 2, size)
    assert bool(differing(path, tiles, whole=False, size=size)) == compared


def test_damaged_tiles_are_not_told_here(path: Path) -> None:
    pixels = picture(64)
    tiles = cut(pixels, 5, 8, 4, 32) | {(4, 4, 2): b"no tile"}
    assert not differing(path, tiles, whole=True)


@pytest.mark.parametrize("finest", [3, 6])
def test_which_parents_are_compared(path: Path, finest: int) -> None:
    """All of those that are there or have a tile below; or some of each zoom, about so many in all."""
    random = np.random.default_rng(finest)
    zooms = [zoom for zoom in range(finest + 1) if zoom != 1]
    places = [(z, x, y) for z in zooms for x, y in np.ndindex(2**z, 2**z) if random.random() < 0.7 or z == 0]
    write_archive(path, {place: str(place).encode() for place in places})
    with reading(path) as archive:
        parents = Parents(archive, read_archive(path).entries, (32, 32), whole=True)
        every, some = ([*parents.ids(all_of_them=deep)] for deep in (True, False))
    above = {(z - 1, x // 2, y // 2) for z, x, y in places if z - 1 in zooms}
    there = {place for place in places if place[0] + 1 in zooms}
    assert every == sorted(zxy_to_tileid(*place) for place in above | there)
    assert set(some) <= {zxy_to_tileid(*place) for place in above}
    assert {tileid_to_zxy(tile_id)[0] for tile_id in some} == {z for z, _, _ in above}
    assert len(some) == len(above) if len(above) <= 20 else SAMPLE / 4 < len(some) < 3 * SAMPLE


def test_values_times_alpha() -> None:
    pixels = picture(16, 4)
    exact = pixels[..., :3] * (pixels[..., 3:] / 255)
    found = premultiplied(Image.fromarray(pixels))
    assert np.abs(found[..., :3] - exact).max() < 1
    np.testing.assert_array_equal(found[..., 3], pixels[..., 3])
