"""A picture under a matrix lies where the matrix says, pixel by pixel, and looks as GDAL's warper draws it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.warp import reproject
from scipy import ndimage
from support.affines import by_chance, write_affine
from support.archives import read_archive
from support.maps import HALF_MAP, MapView, import_picture, look, psnr, save
from support.tools import require_tools

from cartloader_image.tiles.levels import Askew

HEIGHT, WIDTH, POINTS = 120, 150, 50
GROUND = 80
"""Grey that leaves room for what kernels draw around a point."""
FEW = [(seed, seed % 2 == 0) for seed in range(12)]
MANY = [(seed, y_down) for seed in range(100, 200) for y_down in (False, True)]


def view_of(archive: Path) -> MapView:
    return look(archive, read_archive(archive).header.max_zoom, 256)


def level(affine: Affine, view: MapView) -> Affine:
    """Picture pixel → pixel of the view."""
    size = view.resolution
    to_level = Affine(1 / size, 0, HALF_MAP / size - view.column, 0, -1 / size, HALF_MAP / size - view.row)
    return to_level @ affine


def points(path: Path) -> NDArray[np.float64]:
    """Write a picture of bright pixels that lie apart, and give their centres, column and row."""
    cells = np.random.default_rng(1).permutation(80)[:POINTS]  # of 10 × 8
    columns, lines = 14 + cells % 10 * 13, 14 + cells // 10 * 13
    picture = np.full((HEIGHT, WIDTH, 1), GROUND, np.uint8)
    picture[lines, columns] = 255
    save(path, picture)
    return np.stack([columns + 0.5, lines + 0.5], axis=1)


def check_points(folder: Path, seed: int, *, y_down: bool) -> None:
    affine, centres = by_chance(seed, y_down=y_down), points(folder / "a.png")
    matrix = write_affine(folder / "m.csv", affine)
    view = view_of(import_picture(folder / "a.png", folder / "out", georef_affine=matrix, blocksize=256))
    there = level(affine, view)
    lit = (view.rgba[..., 0].astype(float) - GROUND) * (view.rgba[..., 3] == 255)
    ys, xs = np.mgrid[: lit.shape[0], : lit.shape[1]] + 0.5
    for centre in centres:
        x, y = there @ tuple(centre)
        # what lies nearer than 4 pixels of the picture: all that a cubic kernel lights
        across, down = ~there @ (xs, ys)
        near = np.where(np.hypot(across - centre[0], down - centre[1]) < 4, lit, 0)
        assert near.sum() > 0
        found = np.array([(near * xs).sum(), (near * ys).sum()]) / near.sum()
        assert np.abs(found - [x, y]).max() <= 0.1


@pytest.mark.parametrize(("seed", "y_down"), FEW)
def test_points_lie_where_the_matrix_says(tmp_path: Path, seed: int, y_down: bool) -> None:
    check_points(tmp_path, seed, y_down=y_down)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "y_down"), MANY)
def test_many_points_lie_where_the_matrix_says(tmp_path: Path, seed: int, y_down: bool) -> None:
    check_points(tmp_path, seed, y_down=y_down)


def smooth(sigma: float) -> NDArray[np.uint8]:
    noise = np.random.default_rng(5).normal(size=(300, 400, 3))
    picture = ndimage.gaussian_filter(noise, (sigma, sigma, 0))
    return ((picture - picture.min()) / np.ptp(picture) * 255).astype(np.uint8)


@pytest.mark.parametrize(("seed", "y_down"), [(0, True), (1, False), (2, True), (3, False)])
def test_a_matrix_draws_what_gdal_draws(tmp_path: Path, seed: int, y_down: bool) -> None:
    affine, picture = by_chance(seed, y_down=y_down), smooth(1.5)
    matrix = write_affine(tmp_path / "m.csv", affine)
    path = save(tmp_path / "a.png", picture)
    view = view_of(import_picture(path, tmp_path / "out", georef_affine=matrix, blocksize=256))
    expected = np.zeros((3, *view.rgba.shape[:2]), np.uint8)
    # Near the corners of a turned picture GDAL takes its pixels for smaller than they are, unless it is told.
    reproject(
        np.ascontiguousarray(np.moveaxis(picture, -1, 0)), expected, src_transform=level(affine, view),
        src_crs="EPSG:3857", dst_transform=Affine.identity(), dst_crs="EPSG:3857", resampling=Resampling.cubic,
        tolerance=0, XSCALE=1, YSCALE=1,
    )  # fmt: skip
    core = ndimage.binary_erosion(view.rgba[..., 3] == 255, iterations=6)
    assert core.sum() > 50_000
    assert psnr(view.rgba[core][:, :3], np.moveaxis(expected, 0, -1)[core]) >= 55


@pytest.mark.parametrize(("angle", "scale"), [(30, (0.3, 0.3)), pytest.param(45, (0.3, -0.7), marks=pytest.mark.slow)])
def test_the_tools_of_gdal_put_it_at_the_same_place(tmp_path: Path, angle: float, scale: tuple[float, float]) -> None:
    """By themselves they would choose a coarser zoom, and blur the picture near its corners."""
    require_tools()
    affine = Affine.translation(50, 40) @ Affine.rotation(angle) @ Affine.scale(*scale)
    matrix, path = write_affine(tmp_path / "m.csv", affine), save(tmp_path / "a.png", smooth(1.5))
    ours = view_of(import_picture(path, tmp_path / "native", georef_affine=matrix, blocksize=256))
    theirs = view_of(import_picture(path, tmp_path / "gdal", georef_affine=matrix, blocksize=256, engine="gdal"))
    assert theirs.zoom == ours.zoom
    box = (ours.row, ours.row + ours.rgba.shape[0], ours.column, ours.column + ours.rgba.shape[1])
    drawn = theirs.window(*box)
    core = ndimage.binary_erosion(ours.rgba[..., 3] == 255, iterations=6)
    assert core.sum() > 100_000
    assert psnr(ours.rgba[core], drawn[core]) >= 45


@pytest.mark.parametrize("quarter", range(4))
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_quarter_turn_by_a_matrix_keeps_every_pixel(tmp_path: Path, quarter: int, mirrored: bool) -> None:
    """Also with the rounding of a cosine in it; at the resolution of a zoom, nothing is resampled."""
    size = 2 * HALF_MAP / (256 << 17)
    exact = Affine.rotation(90 * quarter)
    turn = Affine(exact.a + 1e-17, exact.b + 1e-17, 0, exact.d - 1e-17, exact.e, 0)
    affine = turn @ Affine.scale(-size if mirrored else size, size)
    picture = np.random.default_rng(quarter).integers(0, 255, (64, 96, 3), np.uint8)
    matrix, path = write_affine(tmp_path / "m.csv", affine), save(tmp_path / "a.png", picture)
    view = view_of(import_picture(path, tmp_path / "out", georef_affine=matrix, blocksize=256))
    assert view.zoom == 17
    there = level(affine, view)
    rows_, columns = np.mgrid[:64, :96] + 0.5
    xs, ys = there @ (columns, rows_)
    np.testing.assert_array_equal(view.rgba[ys.astype(int), xs.astype(int), :3], picture)
    assert (view.rgba[..., 3] == 255).sum() == picture[..., 0].size


EXAMPLE = ((0.011071028838929093, 1.2895790134339569, 807.9788953065927),
           (-1.2895790134339569, 0.011071028838929093, 73097.655174759), (0, 0, 1))  # fmt: skip
"""An alignment of Xenium Explorer, and where it puts pixel 0,0 of the H&E image: 10x Genomics, "How can I convert
coordinates between H&E image and Xenium data" (kb.10xgenomics.com, article 35386990499853)."""


def test_the_published_example_of_an_alignment(tmp_path: Path) -> None:
    """At three corners, as rasterio reads them from the GeoTIFF, and as marks beside them lie in the tiles."""
    alignment = tmp_path / "he_imagealignment.csv"
    alignment.write_text("\n".join(",".join(map(repr, row)) for row in EXAMPLE))
    width, height = 700, 500
    picture = np.zeros((height, width, 3), np.uint8)
    marks = [(8, 8), (width - 9, 8), (8, height - 9)]
    for band, (column, row) in enumerate(marks):
        picture[row - 2 : row + 3, column - 2 : column + 3, band] = 255
    path = save(tmp_path / "a.png", picture)
    view = view_of(import_picture(path, tmp_path / "out", xenium_alignment=alignment, blocksize=256))
    with rasterio.open(tmp_path / "out/picture.geotif.tif") as dataset:
        transform = dataset.transform
    assert transform @ (0, 0) == pytest.approx((171.6955153, 15533.2517247), abs=1e-6)  # 807.98, 73097.66 pixels
    for column, row in ((0, 0), (width, 0), (0, height)):
        x, y, _ = np.array(EXAMPLE) @ [column, row, 1] * 0.2125
        assert transform @ (column, row) == pytest.approx((x, y), rel=1e-12)
    for band, (column, row) in enumerate(marks):
        x, y, _ = np.array(EXAMPLE) @ [column + 0.5, row + 0.5, 1] * 0.2125
        down, across = ndimage.center_of_mass(view.rgba[..., band].astype(float))
        found = (
            (across + 0.5 + view.column) * view.resolution - HALF_MAP,
            HALF_MAP - (down + 0.5 + view.row) * view.resolution,
        )
        assert found == pytest.approx((x, y), abs=0.1 * view.resolution)


@pytest.mark.parametrize("bands", [1, 3])
def test_what_lies_within_a_picture_needs_no_alpha_to_be_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bands: int
) -> None:
    monkeypatch.setattr("cartloader_image.tiles.pyramid.CHUNK_PIXELS", 512)
    matrix = write_affine(tmp_path / "m.csv", Affine.rotation(20) @ Affine.scale(0.3))
    noise = np.random.default_rng(bands).integers(0, 255, (1500, 1600, bands), np.uint8)
    path, holds, seen = save(tmp_path / "a.png", noise), Askew._holds, list[bool]()

    def archive(name: str) -> bytes:
        return import_picture(path, tmp_path / name, georef_affine=matrix, blocksize=256, min_zoom=12).read_bytes()

    monkeypatch.setattr(Askew, "_holds", lambda level, window: seen.append(holds(level, window)) or seen[-1])
    found = archive("one")
    if seen:  # the kernels are there
        assert {*seen} == {True, False}
    monkeypatch.setattr(Askew, "_holds", lambda *_: False)
    assert found == archive("other")
