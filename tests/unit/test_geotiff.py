"""The placed GeoTIFF as GDAL sees it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from affine import Affine
from rasterio.enums import ColorInterp
from support.rasters import noise
from support.tools import require_tools

from cartloader_image.crs import is_web_mercator
from cartloader_image.errors import BoundsError, InputError
from cartloader_image.placing.orientation import Orientation
from cartloader_image.placing.placement import Placement
from cartloader_image.rasters.geotiff import UNKNOWN_DIGEST, create_geotiff, open_geotiff, stamp
from cartloader_image.values import Bounds
from cartloader_image.window import Window

TURNED = Affine(0.0, -0.25, 900.5, 0.5, 0.0, -70.25)


def placement(affine: Affine = TURNED, crs: str = "EPSG:3857") -> Placement:
    return Placement(affine, crs, Bounds(0, 0, 1, 1), Orientation())


@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (30, 40), (512, 512), (600, 1100)])
def test_gdal_reads_what_was_written(tmp_path: Path, size: tuple[int, int], bands: int) -> None:
    path, pixels = tmp_path / "a.tif", noise((*size, bands))
    with create_geotiff(path, *size, bands, placement(), {"note": "µ"}) as store:
        store.write(0, 0, pixels)
    with rasterio.open(path) as dataset:
        np.testing.assert_array_equal(np.moveaxis(dataset.read(), 0, -1), pixels)
        assert dataset.crs.to_epsg() == 3857
        assert dataset.transform == TURNED
        assert dataset.tags().get("AREA_OR_POINT") == "Area"
        assert (dataset.colorinterp[-1] == ColorInterp.alpha) == (bands == 4)
        assert dataset.block_shapes == [(512, 512)] * bands
    with tifffile.TiffFile(path) as page:
        np.testing.assert_array_equal(page.asarray().reshape(pixels.shape), pixels)
    with open_geotiff(path) as placed:
        assert (placed.affine, placed.crs, placed.origin) == (TURNED, "EPSG:3857", {"note": "µ"})
        np.testing.assert_array_equal(placed.store.read(Window(0, size[0], 0, size[1])), pixels)


@pytest.mark.parametrize(("crs", "code"), [("EPSG:3857", 3857), ("EPSG:32633", 32633)])
def test_gdalinfo_agrees(tmp_path: Path, crs: str, code: int) -> None:
    require_tools("gdalinfo")
    path = tmp_path / "a.tif"
    with create_geotiff(path, 30, 40, 3, placement(crs=crs), {}) as store:
        store.write(0, 0, noise((30, 40, 3)))
    done = subprocess.run(["gdalinfo", "-json", path], capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert not done.stderr
    assert found["size"] == [40, 30]
    assert found["geoTransform"] == [TURNED.c, TURNED.a, TURNED.b, TURNED.f, TURNED.d, TURNED.e]
    assert found["coordinateSystem"]["wkt"].rstrip("]").endswith(f'"EPSG",{code}')


@pytest.mark.parametrize("affine", [TURNED, Affine(0.5, 0, 10, 0, -0.25, 20), Affine(0.5, 0, 10, 0, 0.25, 20)])
@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326", rasterio.crs.CRS.from_epsg(32633).to_wkt()])
def test_any_other_spatial_reference(tmp_path: Path, crs: str, affine: Affine) -> None:
    path, pixels = tmp_path / "a.tif", noise((30, 40, 3))
    with create_geotiff(path, 30, 40, 3, placement(affine, crs), {"a": 1}) as store:
        store.write(0, 0, pixels)
    with rasterio.open(path) as dataset:
        assert dataset.crs == rasterio.crs.CRS.from_user_input(crs)
        assert dataset.transform == affine
        np.testing.assert_array_equal(np.moveaxis(dataset.read(), 0, -1), pixels)
    with open_geotiff(path) as placed:
        assert rasterio.crs.CRS.from_wkt(placed.crs) == rasterio.crs.CRS.from_user_input(crs)
        assert (placed.affine, placed.origin) == (affine, {"a": 1})
        np.testing.assert_array_equal(placed.store.read(Window(0, 30, 0, 40)), pixels)


@pytest.mark.parametrize("crs", ["EPSG:999999", "moon", "EPSG:"])
def test_an_unknown_spatial_reference(tmp_path: Path, crs: str) -> None:
    with pytest.raises(BoundsError, match=f"--srs {crs}: is no spatial reference"):
        create_geotiff(tmp_path / "a.tif", 30, 40, 3, placement(crs=crs), {})


def test_web_mercator_by_any_name() -> None:
    assert is_web_mercator("EPSG:3857")
    assert is_web_mercator("epsg:900913")
    assert is_web_mercator(rasterio.crs.CRS.from_epsg(3857).to_wkt())
    assert not is_web_mercator(rasterio.crs.CRS.from_epsg(32633).to_wkt())
    assert not is_web_mercator("EPSG:4326")


def test_more_than_four_gigabytes(tmp_path: Path) -> None:
    path, size = tmp_path / "a.tif", (40_000, 40_000)
    corner = noise((5, 6, 3))
    with create_geotiff(path, *size, 3, placement(), {}) as store:
        store.write(39_995, 39_994, corner)
        np.testing.assert_array_equal(store.read(Window(39_995, 40_000, 39_994, 40_000)), corner)
    assert path.stat().st_size > 4 << 30
    assert path.stat().st_blocks * 512 < 64 << 20  # sparse: what is not written takes no disk
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff
    with rasterio.open(path) as dataset:
        found = dataset.read(window=((39_995, 40_000), (39_994, 40_000)))
    np.testing.assert_array_equal(np.moveaxis(found, 0, -1), corner)


def test_what_is_not_ours(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "strips.tif", noise((30, 40)))
    tifffile.imwrite(tmp_path / "deflated.tif", noise((30, 40)), tile=(16, 16), compression="zlib")
    tifffile.imwrite(tmp_path / "plain.tif", noise((512, 512)), tile=(512, 512))
    (tmp_path / "text.tif").write_text("hello")
    (tmp_path / "empty.tif").write_bytes(b"")
    for name in ("strips", "deflated", "plain", "text", "empty", "missing"):
        unfit = pytest.raises(InputError, match="is no GeoTIFF that cartloader wrote")
        with unfit as error, open_geotiff(tmp_path / f"{name}.tif"):
            pass
        assert "\n" not in str(error.value)


def test_an_error_of_the_caller_comes_out_as_it_is(tmp_path: Path) -> None:
    with create_geotiff(tmp_path / "a.tif", 3, 4, 1, placement(), {}):
        pass
    with pytest.raises(KeyError, match="mine"), open_geotiff(tmp_path / "a.tif"):
        raise KeyError("mine")


def test_the_same_bytes_every_time(tmp_path: Path) -> None:
    pixels = noise((600, 700, 3))
    for name in "ab":
        with create_geotiff(tmp_path / name, 600, 700, 3, placement(), {"x": 1, "y": [1.5]}) as store:
            store.write(0, 0, pixels)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:32633"])
def test_the_digest_comes_when_the_pixels_are_written(tmp_path: Path, crs: str) -> None:
    path, pixels, digest = tmp_path / "a.tif", noise((600, 40, 3)), "0123456789abcdef" * 4
    origin = {"input_sha256": UNKNOWN_DIGEST, "note": "x" * 3000}
    with create_geotiff(path, 600, 40, 3, placement(crs=crs), origin) as store:
        store.write(0, 0, pixels)
    stamp(path, digest, ())
    with open_geotiff(path) as placed:
        assert placed.origin == origin | {"input_sha256": digest}
        np.testing.assert_array_equal(placed.store.read(Window(0, 600, 0, 40)), pixels)
    assert UNKNOWN_DIGEST.encode() not in path.read_bytes() or crs != "EPSG:3857"
