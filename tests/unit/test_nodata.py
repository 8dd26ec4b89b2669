"""Pixels without data: nodata values and masks of TIFF and PNG, against GDAL's own masks and numpy's statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import Resampling
from support.rasters import noise, ome_xml, params_for, read_image, read_whole, with_source, write_pages

from cartloader_image.action_params import Ome2PngParams, OutputPrefix
from cartloader_image.errors import InputError, UsageError
from cartloader_image.layout import full
from cartloader_image.recipe import actions

AFFINE = rasterio.Affine(1, 0, 1000, 0, -1, 2000)


def write(
    path: Path, picture: NDArray[Any], mask: NDArray[np.bool_] | None = None, *, inside: bool = True, **how: Any
) -> Path:
    """A GeoTIFF by GDAL, with a mask in the file or beside it."""
    bands = picture[None] if picture.ndim == 2 else np.moveaxis(picture, -1, 0)
    profile = {"driver": "GTiff", "height": bands.shape[1], "width": bands.shape[2], "count": len(bands)}
    profile |= {"dtype": bands.dtype, "transform": AFFINE, "crs": "EPSG:3857"} | how
    profile |= {"photometric": "rgb"} if len(bands) == 3 else {}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside), rasterio.open(path, "w", **profile) as dataset:
        dataset.write(bands)
        if mask is not None:
            dataset.write_mask(mask)
    return path


def gdal_mask(path: Path) -> NDArray[np.bool_]:
    with rasterio.open(path) as dataset:
        found: NDArray[np.bool_] = dataset.dataset_mask() > 0
        return found


def patches(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Where there is data: not in a box at a corner, not in a hole."""
    there = np.ones(shape, bool)
    there[:11, :17] = False
    there[20:23, 30:33] = False
    return there


KINDS = [("u1", 0), ("u1", 255), ("u2", 0), ("u2", 65535), ("i2", -9999), ("u4", 7), ("f4", -9999.5), ("f8", np.nan)]


@pytest.mark.parametrize(("dtype", "value"), KINDS)
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("how", [{}, {"compress": "lzw", "tiled": True, "blockxsize": 16, "blockysize": 16}])
def test_a_nodata_value_is_transparent(
    tmp_path: Path, dtype: str, value: float, bands: int, how: dict[str, Any]
) -> None:
    there = patches((40, 50))
    picture = noise((40, 50, bands), dtype)
    picture[(picture == value).any(axis=-1)] = 1
    picture[~there] = value
    if bands > 1:
        picture[30, 40, 0] = value  # by chance: the pixel has data
    path = write(tmp_path / "a.tif", picture if bands > 1 else picture[..., 0], nodata=value, **how)
    expected = gdal_mask(path)
    np.testing.assert_array_equal(expected, there)
    read = read_image(path)
    assert read.shape[2] == bands + 1
    np.testing.assert_array_equal(read[..., -1], np.where(there, full(read.dtype), 0))
    np.testing.assert_array_equal(read[there][:, :-1], picture[there])
    shown = read_image(path, nodata="none")
    np.testing.assert_array_equal(shown, picture if bands > 1 else picture[..., 0])


@pytest.mark.parametrize("value", ["-1", "256", "1.5", "nan", "inf"])
def test_a_value_that_pixels_cannot_have(tmp_path: Path, value: str) -> None:
    picture = noise((40, 50))
    with pytest.raises(UsageError, match=rf"--nodata {value}: is no value of uint8 pixels"):
        read_image(write(tmp_path / "a.tif", picture), nodata=value)
    tag = [(42113, 2, len(value) + 1, value, True)]
    tifffile.imwrite(tmp_path / "b.tif", picture, extratags=tag)
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif"), picture)


def test_a_value_by_hand_goes_before_that_of_the_file(tmp_path: Path) -> None:
    picture = np.array([[1, 2], [3, 1]], np.uint8)
    path = write(tmp_path / "a.tif", picture, nodata=2)
    assert read_image(path, nodata="1")[..., 1].tolist() == [[0, 255], [255, 0]]
    Image.fromarray(picture).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", nodata="1")[..., 1].tolist() == [[0, 255], [255, 0]]
    assert read_image(tmp_path / "a.png").ndim == 2


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("how", [{}, {"compress": "deflate", "tiled": True, "blockxsize": 16, "blockysize": 16}])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("bands", [1, 3])
def test_masks(tmp_path: Path, inside: bool, how: dict[str, Any], dtype: str, bands: int) -> None:
    there = patches((40, 50))
    picture = noise((40, 50, bands), dtype)
    path = write(tmp_path / "a.tif", picture, there, inside=inside, **how)
    assert (tmp_path / "a.tif.msk").exists() != inside
    np.testing.assert_array_equal(gdal_mask(path), there)
    read = read_image(path)
    np.testing.assert_array_equal(read[..., -1] > 0, there)
    np.testing.assert_array_equal(read[there][:, :-1], picture[there])
    assert read_image(path, nodata="none").shape[2:] == picture.shape[2:][: bands - 1]


@pytest.mark.parametrize("inside", [True, False])
def test_each_level_has_its_own_mask(tmp_path: Path, inside: bool) -> None:
    there = patches((64, 96))
    path = write(tmp_path / "a.tif", noise((64, 96)), there, inside=inside, tiled=True, blockxsize=16, blockysize=16)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside), rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4], Resampling.nearest)
    np.testing.assert_array_equal(read_image(path)[..., -1] > 0, there)
    with rasterio.open(path, overview_level=0) as dataset:
        expected = dataset.dataset_mask() > 0
    lower = with_source(path, lambda source: read_whole(source.plane), level=1)
    np.testing.assert_array_equal(lower[..., -1] > 0, expected)


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "b.tif", noise((30, 50)), patches((30, 50)), inside=False)
    path = write(tmp_path / "a.tif", noise((40, 50)))
    (tmp_path / "b.tif.msk").rename(tmp_path / "a.tif.msk")
    with pytest.raises(InputError, match=r"a\.tif\.msk: is no mask of 50 × 40 pixels; .* --nodata none"):
        read_image(path)
    assert read_image(path, nodata="none").shape == (40, 50)


def test_a_mask_beside_a_png(tmp_path: Path) -> None:
    there, picture = patches((40, 50)), noise((40, 50, 3))
    write(tmp_path / "b.tif", picture, there, inside=False)
    (tmp_path / "b.tif.msk").rename(tmp_path / "a.png.msk")
    Image.fromarray(picture).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read[..., 3] > 0, there)
    np.testing.assert_array_equal(read[there][:, :3], picture[there])


@pytest.mark.parametrize("dtype", ["u2", "i2", "f4"])
@pytest.mark.parametrize("way", ["nodata", "mask"])
def test_statistics_leave_them_out(tmp_path: Path, dtype: str, way: str) -> None:
    there = patches((40, 50))
    picture = (noise((40, 50), "u1").astype(np.int64) + 1000).astype(dtype)
    picture[~there] = 0
    path = write(tmp_path / "a.tif", picture, None if way == "nodata" else there, nodata=0 if way == "nodata" else None)
    out = OutputPrefix(out_dir=tmp_path / "out", img_id="x")
    params = Ome2PngParams(in_img=path, out=out, lower_thres_quantile=0.1, upper_thres_quantile=0.9)
    actions.ome2png(params)
    low, high = np.quantile(picture[there].astype(np.float64), [0.1, 0.9], method="inverted_cdf")
    expected = np.trunc(255 * ((picture.clip(low, high) - low) / (high - low)))
    shown = np.asarray(Image.open(out.path(".transform.png")))
    np.testing.assert_array_equal(shown[..., 3], np.where(there, 255, 0))
    np.testing.assert_array_equal(shown[there][:, 0], expected[there])


def test_a_projection_takes_what_has_data(tmp_path: Path) -> None:
    pages = [np.array([[9, 200, 9]], np.uint8), np.array([[5, 9, 9]], np.uint8)]
    xml = ome_xml("<TiffData/>", SizeX=3, SizeY=1, SizeZ=2)
    path = write_pages(tmp_path / "a.tif", pages, xml, extratags=[(42113, 2, 2, "9", True)])
    projected = read_image(path, z_project="max")
    assert projected[..., 1].tolist() == [[255, 255, 0]]
    assert projected[0, :2, 0].tolist() == [5, 200]


def test_the_geotiff_says_so_to_the_tiler(tmp_path: Path) -> None:
    picture = np.full((64, 64), 200, np.uint8)
    picture[:, 32:] = 0
    path = write(tmp_path / "a.tif", picture, nodata=0)
    out = OutputPrefix(out_dir=tmp_path / "out", img_id="x")
    actions.ome2png(Ome2PngParams(in_img=path, out=out, png=False))
    with rasterio.open(out.path(".geotif.tif")) as dataset:
        assert dataset.count == 4
        np.testing.assert_array_equal(dataset.read(4)[:, [0, 31, 32, 63]], [[255, 255, 0, 0]] * 64)


# What the file leaves out


def sparse(path: Path, picture: NDArray[Any], **how: Any) -> Path:
    """Tiles of 16 pixels, of which those on the diagonal are left out."""
    rows, columns, bands = picture.shape
    profile = {"driver": "GTiff", "height": rows, "width": columns, "count": bands, "dtype": picture.dtype}
    profile |= {
        "tiled": True,
        "blockxsize": 16,
        "blockysize": 16,
        "compress": "lzw",
        "sparse_ok": True,
        "transform": AFFINE,
    }
    with rasterio.open(path, "w", **profile, **how) as dataset:
        for _, window in dataset.block_windows():
            if window.row_off != window.col_off:
                piece = picture[window.toslices()]
                dataset.write(np.moveaxis(piece, -1, 0), window=window)
    return path


@pytest.mark.parametrize(("dtype", "white"), [("u1", 255), ("u2", 65535), ("f4", np.inf)])
@pytest.mark.parametrize("bands", [1, 3])
def test_background(tmp_path: Path, dtype: str, white: float, bands: int) -> None:
    picture = np.abs(noise((40, 50, bands), dtype))
    left_out = np.zeros((40, 50), bool)
    for corner in (0, 16, 32):
        left_out[corner : corner + 16, corner : corner + 16] = True
    path = sparse(tmp_path / "a.tif", picture, photometric="rgb" if bands > 1 else "minisblack")

    def read(**options: Any) -> NDArray[Any]:
        given = {"lower_thres_intensity": 0, "upper_thres_intensity": 1000} if options.get("background") else {}
        found: NDArray[Any] = with_source(path, lambda source: read_whole(source.plane), **given, **options)
        return found

    if dtype != "u1":
        with (
            pytest.raises(UsageError, match=r"--background white: what .* leaves out would count in its quantiles"),
            actions.opened(params_for(path, background="white")),
        ):
            pass

    np.testing.assert_array_equal(read(), np.where(left_out[..., None], 0, picture))
    np.testing.assert_array_equal(read(background="white"), np.where(left_out[..., None], white, picture))
    transparent = read(background="transparent")
    np.testing.assert_array_equal(transparent[..., -1] == 0, left_out)
    np.testing.assert_array_equal(transparent[~left_out][:, :-1], picture[~left_out])


def test_the_background_of_inverted_grey(tmp_path: Path) -> None:
    path = sparse(tmp_path / "a.tif", noise((40, 50, 1)), photometric="miniswhite")
    assert read_image(path)[0, 0] == 255
    assert read_image(path, background="white")[0, 0] == 255
    assert read_image(path, background="black")[0, 0] == 0


def test_a_whole_file_has_no_background(tmp_path: Path) -> None:
    path = write_pages(tmp_path / "a.tif", [noise((40, 50))], compression="zlib", tile=(16, 16))
    assert read_image(path, background="transparent").shape == (40, 50)


@pytest.mark.parametrize("value", [7, 0, None])
def test_what_a_file_with_nodata_leaves_out_has_none(tmp_path: Path, value: int | None) -> None:
    picture = noise((40, 50, 1), "u2")
    picture[picture == value] = 1
    path = sparse(tmp_path / "a.tif", picture, nodata=value)
    with rasterio.open(path) as dataset:
        stored, there = dataset.read(1), dataset.dataset_mask() > 0
    read = with_source(path, lambda source: read_whole(source.plane))
    np.testing.assert_array_equal(read[..., 0], stored)
    if value is not None:
        np.testing.assert_array_equal(read[..., 1] > 0, there)
    np.testing.assert_array_equal(read_image(path, nodata="none"), stored)


@pytest.mark.parametrize(("dtype", "value"), [("u8", 2**64 - 1), ("i8", 2**53 + 1), ("u8", 2**53 + 1)])
def test_whole_numbers_of_64_bits_are_exact(tmp_path: Path, dtype: str, value: int) -> None:
    picture = np.array([[value, value - 1, 5]], dtype)
    tifffile.imwrite(tmp_path / "a.tif", picture, extratags=[(42113, 2, 0, f"{value}", True)])
    for options in ({}, {"nodata": f"{value}"}):
        assert (read_image(tmp_path / "a.tif", **options)[0, :, 1] > 0).tolist() == [False, True, True]


def test_a_value_beside_a_tiff(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.array([[1, 2], [3, 2]], np.uint8))
    band = '<PAMRasterBand band="1"><NoDataValue>2</NoDataValue></PAMRasterBand>'
    (tmp_path / "a.tif.aux.xml").write_text(f"<PAMDataset>{band}</PAMDataset>")
    np.testing.assert_array_equal(read_image(path)[..., 1] > 0, gdal_mask(path))
    assert not gdal_mask(path).all()


@pytest.mark.parametrize(("background", "shade"), [("white", 255), ("black", 0)])
def test_a_background_is_seen_where_a_file_with_nodata_leaves_out(tmp_path: Path, background: str, shade: int) -> None:
    picture = np.full((48, 48, 1), 90, np.uint8)
    picture[:16, 16:30] = 7  # a whole tile of it GDAL would leave out
    path = sparse(tmp_path / "a.tif", picture, nodata=7)
    read = read_image(path, background=background)
    assert read[0, 0].tolist() == [shade, 255]
    assert read[0, 20, 1] == 0
    assert read[0, 40].tolist() == [90, 255]
