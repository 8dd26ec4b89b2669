"""The pixels of the tiles against GDAL's warper on the same grid, and their registration at every zoom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import Resampling
from rasterio.warp import reproject
from scipy import ndimage
from support.archives import read_archive
from support.maps import HALF_MAP, MapView, import_picture, look, psnr, write_ome

from cartloader_image.kernels import door
from cartloader_image.tiles.resampling import is_kernel

BORDER = 4


def texture(rows: int, columns: int, bands: int, seed: int = 3) -> NDArray[np.uint8]:
    """Detail at every scale, with values that reach both ends."""
    noise = np.random.default_rng(seed).normal(size=(rows, columns, bands))
    mixed = sum(ndimage.gaussian_filter(noise, (size, size, 0)) * size for size in (0.6, 1.5, 4, 12))
    scaled = (mixed - np.quantile(mixed, 0.002)) / (np.quantile(mixed, 0.998) - np.quantile(mixed, 0.002))
    return (scaled.clip(0, 1) * 255).astype(np.uint8)


def warped(picture: NDArray[np.uint8], affine: Affine, view: MapView, kernel: Resampling) -> NDArray[np.uint8]:
    """What GDAL makes of a placed picture on the level's exact grid."""
    grid = Affine(view.resolution, 0, view.column * view.resolution - HALF_MAP, 0, -view.resolution,
                  HALF_MAP - view.row * view.resolution)  # fmt: skip
    bands = picture.shape[2]
    result = np.zeros((bands, *view.rgba.shape[:2]), np.uint8)
    reproject(
        np.ascontiguousarray(np.moveaxis(picture, -1, 0)), result, src_transform=affine, src_crs="EPSG:3857",
        dst_transform=grid, dst_crs="EPSG:3857", resampling=kernel, tolerance=0,
    )  # fmt: skip
    return np.moveaxis(result, 0, -1)


def inside(affine: Affine, shape: tuple[int, int], view: MapView, distance: int) -> NDArray[np.bool_]:
    """Level pixels whose centres lie in the picture, more than ``distance`` level pixels from its edge."""
    corners = [affine @ corner for corner in ((0, 0), (shape[1], shape[0]))]
    (x0, x1), (y0, y1) = (sorted(values) for values in zip(*corners, strict=True))
    x = (np.arange(view.rgba.shape[1]) + view.column + 0.5) * view.resolution - HALF_MAP
    y = HALF_MAP - (np.arange(view.rgba.shape[0]) + view.row + 0.5) * view.resolution
    reach = distance * view.resolution
    return ((y > y0 + reach) & (y < y1 - reach))[:, None] & ((x > x0 + reach) & (x < x1 - reach))[None, :]


def check_close(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> None:
    """The same but for ties of rounding; without the kernels, but for the 8 bits that Pillow keeps between the axes."""
    error = np.abs(found.astype(int) - expected)
    if door.there():
        assert error.max() <= 1
        assert error.mean() <= 1e-4
    else:
        assert psnr(found, expected) >= 50
        assert (error <= 4).mean() >= 0.998


PLACES = {
    "y down, Xenium pixels": (0.2125, 0.2125, 0.0, 0.0, True),
    "y up, off the grid": (0.2989, 0.2989, -431.77, 219.3, False),
    "y down, oblong": (0.11, 0.13, 5000.1, -3000.7, True),
    "barely finer than a zoom": (0.1493, 0.1493, 17.3, 3.9, True),
}


@pytest.mark.parametrize("bands", [1, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("place", PLACES)
def test_the_finest_zoom_is_gdals_cubic_on_the_exact_grid(tmp_path: Path, place: str, bands: int) -> None:
    picture = texture(900, 1300, bands)
    dx, dy, ulx, uly, y_down = PLACES[place]
    lry = uly + 900 * dy * (1 if y_down else -1)
    Image.fromarray(picture[..., 0] if bands == 1 else picture).save(tmp_path / "picture.png")
    archive = import_picture(
        tmp_path / "picture.png", tmp_path / "out", georef_bounds=f"{ulx},{uly},{ulx + 1300 * dx},{lry}"
    )
    view = look(archive, read_archive(archive).header.max_zoom)
    affine = Affine(dx, 0, ulx, 0, dy if y_down else -dy, uly)
    expected = warped(picture, affine, view, Resampling.cubic)
    shown = view.rgba[..., :bands]
    core = inside(affine, (900, 1300), view, BORDER)
    check_close(shown[core], expected[core])
    rows, columns = (np.arange(start, start + size) % 512 for start, size in
                     ((view.row, shown.shape[0]), (view.column, shown.shape[1])))  # fmt: skip
    beside = ((rows < 4) | (rows >= 508))[:, None] | ((columns < 4) | (columns >= 508))[None, :]
    whole = np.abs(shown.astype(int) - expected).max(axis=2)
    seam, field = whole[core & beside], whole[core & ~beside]
    assert seam.size > 5000
    assert seam.mean() == pytest.approx(field.mean(), rel=0.1, abs=1e-4)
    assert seam.max() <= field.max() + 1
    edge = inside(affine, (900, 1300), view, 0) & ~core
    assert psnr(shown[edge], expected[edge]) >= 33
    np.testing.assert_array_equal(view.rgba[..., 3] == 255, inside(affine, (900, 1300), view, 0))
    np.testing.assert_array_equal(view.rgba[..., 3] == 0, ~inside(affine, (900, 1300), view, 0))


@pytest.mark.parametrize("kernel", ["near", "bilinear", "lanczos", "cubicspline", "average", "mode"])
def test_every_kernel_is_gdals(tmp_path: Path, kernel: str) -> None:
    picture = texture(400, 500, 3)
    affine = Affine(0.2125, 0, 12.3, 0, 0.2125, 45.6)
    path = tmp_path / "picture.png"
    Image.fromarray(picture).save(path)
    right, bottom = affine @ (500, 400)
    archive = import_picture(path, tmp_path / "out", georef_bounds=f"12.3,45.6,{right},{bottom}", resample=kernel)
    view = look(archive, 19)
    name = {"near": "nearest", "cubicspline": "cubic_spline"}.get(kernel, kernel)
    expected = warped(picture, affine, view, Resampling[name])
    core = inside(affine, (400, 500), view, BORDER)
    if kernel in {"near", "mode"} or not is_kernel(kernel):
        np.testing.assert_array_equal(view.rgba[core][:, :3], expected[core])
    else:
        check_close(view.rgba[core][:, :3], expected[core])
    np.testing.assert_array_equal(view.rgba[..., 3] > 0, inside(affine, (400, 500), view, 0))


def test_another_spatial_reference_is_reprojected(tmp_path: Path) -> None:
    picture = texture(300, 420, 3)
    path = tmp_path / "picture.png"
    Image.fromarray(picture).save(path)
    affine = Affine(0.5, 0, 500100, 0, -0.5, 5300250)
    right, bottom = affine @ (420, 300)
    archive = import_picture(path, tmp_path / "out", georef_bounds=f"500100,5300250,{right},{bottom}", srs="EPSG:32633")
    view = look(archive, read_archive(archive).header.max_zoom)
    grid = Affine(view.resolution, 0, view.column * view.resolution - HALF_MAP, 0, -view.resolution,
                  HALF_MAP - view.row * view.resolution)  # fmt: skip
    expected = np.zeros((3, *view.rgba.shape[:2]), np.uint8)
    reproject(
        np.ascontiguousarray(np.moveaxis(picture, -1, 0)), expected, src_transform=affine, src_crs="EPSG:32633",
        dst_transform=grid, dst_crs="EPSG:3857", resampling=Resampling.cubic, tolerance=0,
    )  # fmt: skip
    seen = view.rgba[..., 3] == 255
    core = ndimage.binary_erosion(seen, iterations=BORDER)
    assert core.sum() > 100_000
    assert psnr(view.rgba[core][:, :3], np.moveaxis(expected, 0, -1)[core]) >= 52


@pytest.mark.parametrize("y_down", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
def test_nothing_moves_at_any_zoom(tmp_path: Path, y_down: bool, alpha: bool) -> None:
    """The centroid of a spot stays where it is on the map, to a hundredth of a pixel of the finest zoom."""
    rows, columns, spot = 1500, 1800, (612.4, 1033.7)
    y, x = np.mgrid[:rows, :columns]
    glow = np.exp(-((y - spot[0] + 0.5) ** 2 + (x - spot[1] + 0.5) ** 2) / (2 * 60**2))
    picture = np.repeat((glow * 250).round().astype(np.uint8)[..., None], 4 if alpha else 1, axis=2)
    if alpha:
        picture[..., 3] = 255
        picture[:300, :300, 3] = 0
    path = tmp_path / "picture.png"
    Image.fromarray(picture if alpha else picture[..., 0]).save(path)
    dx, ulx, uly = 0.2125, -77.7, 33.3
    lry = uly + rows * dx * (1 if y_down else -1)
    archive = import_picture(path, tmp_path / "out", georef_bounds=f"{ulx},{uly},{ulx + columns * dx},{lry}")
    header = read_archive(archive).header
    assert header.max_zoom - header.min_zoom >= 3
    true = np.array([ulx + spot[1] * dx, uly + spot[0] * dx * (1 if y_down else -1)])
    for zoom in range(header.min_zoom, header.max_zoom + 1):
        view = look(archive, zoom)
        light = view.rgba[..., 0].astype(float)
        level_y, level_x = ndimage.center_of_mass(light)
        found = np.array(
            [
                (level_x + 0.5 + view.column) * view.resolution - HALF_MAP,
                HALF_MAP - (level_y + 0.5 + view.row) * view.resolution,
            ]
        )
        # 8-bit rounding of the dim rim moves a coarse zoom's centroid by a few thousandths of its own pixel.
        assert np.abs(found - true).max() < 0.01 * dx + 0.004 * view.resolution, (
            zoom,
            (found - true) / view.resolution,
        )


def test_a_grid_of_single_pixels_stays_on_its_lines(tmp_path: Path) -> None:
    """Bright lines every 64 pixels, on the grid of the zoom: each zoom has them where the one above has."""
    unit = 2 * HALF_MAP / (512 * 2**15)
    picture = np.zeros((512, 512), np.uint8)
    picture[32::64], picture[:, 32::64] = 255, 255
    path = write_ome(tmp_path / "grid.ome.tif", picture, unit)
    archive = import_picture(path, tmp_path / "out")
    for zoom in (15, 14):
        view = look(archive, zoom)
        step, first = 64 >> (15 - zoom), 32 >> (15 - zoom)
        row = view.window(512 * 2**zoom // 2 - (512 >> (15 - zoom)), 512 * 2**zoom // 2, 512 * 2**zoom // 2,
                          512 * 2**zoom // 2 + (512 >> (15 - zoom)))[step // 2 + 3, :, 0]  # fmt: skip
        assert list(np.flatnonzero(row > 100)) == list(range(first, len(row), step))


def centres_inside(affine: Affine, shape: tuple[int, int], view: MapView) -> NDArray[np.bool_]:
    """Level pixels whose centres lie in the picture, whichever way it lies."""
    rows, columns = np.mgrid[: view.rgba.shape[0], : view.rgba.shape[1]]
    x = (columns + view.column + 0.5) * view.resolution - HALF_MAP
    y = HALF_MAP - (rows + view.row + 0.5) * view.resolution
    across, down = ~affine @ (x, y)
    return (across >= 0) & (across < shape[1]) & (down >= 0) & (down < shape[0])


@pytest.mark.parametrize("kernel", ["cubic", "bilinear", "lanczos", "cubicspline"])
@pytest.mark.parametrize(("bands", "angle"), [(1, 0.5), (3, 7.3), (4, -3.0)])
def test_a_picture_that_lies_askew_is_gdals(tmp_path: Path, kernel: str, bands: int, angle: float) -> None:
    """Turned and sheared by its world file, over the seams of tiles; turned by more, GDAL takes pixels for larger."""
    picture = texture(500, 700, bands)
    if bands == 4:  # where it is opaque, GDAL's colours are ours
        picture[..., 3] = 255
        picture[100:200, 300:500, 3] = 0
    affine = Affine.translation(33.3, -44.4) @ Affine.rotation(angle) @ Affine.shear(3, 0) @ Affine.scale(0.2125, -0.25)
    Image.fromarray(picture[..., 0] if bands == 1 else picture).save(tmp_path / "picture.png")
    half = affine @ (0.5, 0.5)
    world = (affine.a, affine.d, affine.b, affine.e, *half)
    (tmp_path / "picture.pgw").write_text("\n".join(f"{number!r}" for number in world))
    archive = import_picture(
        tmp_path / "picture.png", tmp_path / "out", georef_detect=True, resample=kernel, blocksize=256
    )
    view = look(archive, read_archive(archive).header.max_zoom, 256)
    there = centres_inside(affine, (500, 700), view)
    name = {"cubicspline": "cubic_spline"}.get(kernel, kernel)
    expected = warped(picture, affine, view, Resampling[name])
    core = ndimage.binary_erosion(there, iterations=2 * BORDER)
    if bands == 4:
        core &= ndimage.binary_erosion(expected[..., 3] == 255, iterations=2 * BORDER)
        assert core.sum() > 100_000
    else:
        np.testing.assert_array_equal(view.rgba[..., 3] == 255, there)
        np.testing.assert_array_equal(view.rgba[..., 3] > 0, there)
    shown = view.rgba[core][:, : min(bands, 3)]
    error = np.abs(shown.astype(int) - expected[core][:, : min(bands, 3)])
    assert error.max() <= 1
    assert psnr(shown, expected[core][:, : min(bands, 3)]) >= 58


def test_pixels_too_small_for_the_finest_zoom_are_averaged_also_where_they_lie_askew(tmp_path: Path) -> None:
    """A chequerboard of pixels of which nine and more lie in each of the map's: it is grey, and not a pattern."""
    board = np.indices((900, 900)).sum(axis=0).astype(np.uint8) % 2 * 255
    affine = Affine.rotation(10) @ Affine.scale(0.0005, -0.0005)
    Image.fromarray(board).save(tmp_path / "picture.png")
    world = (affine.a, affine.d, affine.b, affine.e, *(affine @ (0.5, 0.5)))
    (tmp_path / "picture.pgw").write_text("\n".join(f"{number!r}" for number in world))
    archive = import_picture(tmp_path / "picture.png", tmp_path / "out", georef_detect=True, resample="cubic")
    view = look(archive, 24)
    core = ndimage.binary_erosion(view.rgba[..., 3] == 255, iterations=BORDER)
    assert core.sum() > 1000
    assert np.abs(view.rgba[core][:, 0].astype(int) - 127.5).max() <= 8
