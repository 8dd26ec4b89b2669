"""Archives of pictures of any size and shape, anywhere on the map or beyond it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.archives import read
from support.maps import HALF_MAP, blobs, import_picture, look, save

from cartloader_image.errors import BoundsError


@pytest.mark.parametrize("blocksize", [256, 512, 1024])
@pytest.mark.parametrize("resample", ["cubic", "near", "average"])
def test_pixels_too_small_for_any_zoom_are_tiled_at_the_finest(tmp_path: Path, blocksize: int, resample: str) -> None:
    """As a map twice as fine would show them: each half of the picture has its colour, up to the edge between them."""
    pixels = np.full((500, 500, 3), (200, 30, 90), np.uint8)
    pixels[:, 250:] = (10, 240, 60)
    picture = save(tmp_path / "picture.png", pixels)
    more = {"georef_bounds": "1,2,1.5,1.5", "blocksize": blocksize, "resample": resample}
    archive = import_picture(picture, tmp_path / "out", **more)
    header, metadata = read(archive)
    assert header["max_zoom"] == 24
    (note,) = metadata["cartloader"]["notes"]
    assert note.startswith("its pixels of 0.001 map units are too small for zoom 24")
    view = look(archive, 24, blocksize)
    x = (np.arange(view.rgba.shape[1]) + view.column + 0.5) * view.resolution - HALF_MAP
    y = HALF_MAP - (np.arange(view.rgba.shape[0]) + view.row + 0.5) * view.resolution
    edge = 2 * view.resolution
    inside = ((y > 1.5 + edge) & (y < 2 - edge))[:, None]
    for low, high, colour in ((1, 1.25, (200, 30, 90)), (1.25, 1.5, (10, 240, 60))):
        half = inside & ((x > low + edge) & (x < high - edge))[None, :]
        assert half.sum() > 1000
        assert np.abs(view.rgba[half].astype(int) - [*colour, 255]).max() <= 1
    outside = ~(((y > 1.5 - edge) & (y < 2 + edge))[:, None] & ((x > 1 - edge) & (x < 1.5 + edge))[None, :])
    assert not view.rgba[outside].any()
    coarse = read(import_picture(picture, tmp_path / "coarse", max_zoom=22, **more))
    assert (coarse[0]["max_zoom"], coarse[1]["cartloader"]["notes"]) == (22, [])


@pytest.mark.parametrize("resample", ["cubic", "near", "bilinear"])
@pytest.mark.parametrize("bounds", ["0,0,0.001,0.001", "1,1,1.0001,1.1", "5,7,5.3,7.00001"])
def test_a_picture_of_less_than_a_pixel_is_one(tmp_path: Path, bounds: str, resample: str) -> None:
    picture = save(tmp_path / "picture.png", np.full((50, 50, 3), (200, 30, 90), np.uint8))
    archive = import_picture(picture, tmp_path / "out", georef_bounds=bounds, resample=resample)
    view = look(archive, 24, 512)
    left, top, right, bottom = map(float, bounds.split(","))
    rows, columns = np.nonzero(view.rgba[..., 3])
    assert (view.rgba[rows, columns] == [200, 30, 90, 255]).all()
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == pytest.approx(
        (max(abs(bottom - top) / view.resolution, 1), max((right - left) / view.resolution, 1)), abs=1
    )
    x, y = (columns.mean() + view.column + 0.5) * view.resolution, (rows.mean() + view.row + 0.5) * view.resolution
    assert x - HALF_MAP == pytest.approx((left + right) / 2, abs=view.resolution)
    assert HALF_MAP - y == pytest.approx((top + bottom) / 2, abs=view.resolution)


def test_pictures_that_do_not_lie_on_the_map_are_refused(tmp_path: Path) -> None:
    picture = save(tmp_path / "picture.png", blobs(50, 50, 3))
    with pytest.raises(BoundsError, match="next to nothing beside a pixel of zoom 24"):
        import_picture(picture, tmp_path / "out", georef_bounds="0,0,0.001,0.000001")
    with pytest.raises(BoundsError, match=r"less than a pixel of zoom 24.*choose --resample cubic"):
        import_picture(picture, tmp_path / "out", georef_bounds="0,0,0.001,0.001", resample="mode")
    with pytest.raises(BoundsError, match="outside the map"):
        import_picture(picture, tmp_path / "out", georef_bounds="20037000,0,20037999,999")
    for bounds, why in (("178,-15,182,-18", "antimeridian"), ("10,89,12,87", "beyond the map")):
        with pytest.raises(BoundsError, match=why):
            import_picture(picture, tmp_path / "out", georef_bounds=bounds, srs="EPSG:4326")


def test_the_reference_is_named_in_the_metadata(tmp_path: Path) -> None:
    picture = save(tmp_path / "picture.png", blobs(50, 50, 3))
    for srs, bounds, named in (
        ("EPSG:3857", "0,0,9,9", "EPSG:3857"), ("epsg:32632", "500000,5000000,500009,4999991", "EPSG:32632"),
        ("+proj=laea +lat_0=10 +lon_0=20", "0,9,9,0", "PROJCS["),
        ('LOCAL_CS["s",UNIT["mm",0.001]]', "0,9,9,0", "EPSG:3857"),
    ):  # fmt: skip
        origin = read(import_picture(picture, tmp_path / "out", georef_bounds=bounds, srs=srs))[1]["cartloader"]
        assert origin["crs"].startswith(named)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 700), (600, 2), (513, 511)])
def test_pictures_of_any_shape(tmp_path: Path, rows: int, columns: int) -> None:
    pixels = blobs(rows + 1, columns + 1, 3)[:rows, :columns]
    archive = import_picture(
        save(tmp_path / "picture.png", pixels), tmp_path / "out", georef_bounds=f"1,1,{1 + columns},{1 + rows}"
    )
    view = look(archive, read(archive)[0]["max_zoom"])
    x = (np.arange(view.rgba.shape[1]) + view.column + 0.5) * view.resolution - HALF_MAP
    y = HALF_MAP - (np.arange(view.rgba.shape[0]) + view.row + 0.5) * view.resolution
    centres = ((y > 1) & (y < 1 + rows))[:, None] & ((x > 1) & (x < 1 + columns))[None, :]
    np.testing.assert_array_equal(view.rgba[..., 3] == 255, centres)
