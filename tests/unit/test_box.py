"""Where pictures of other spatial references lie on the map, and which do not."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.crs import CRS
from rasterio.warp import transform
from support.affines import by_chance
from support.rasters import params_for

from cartloader_image.action_params import Png2PmtilesParams
from cartloader_image.crs import crs_name
from cartloader_image.engines.common import plan
from cartloader_image.errors import BoundsError, CartloaderError
from cartloader_image.images.source import open_source
from cartloader_image.placing.placement import place
from cartloader_image.tiles.box import map_box
from cartloader_image.tiles.grid import FINEST_ZOOM, HALF_MAP, MapBox, plan_pyramid, resolution
from cartloader_image.values import Bounds

SIZE = (40, 60)


def placed(crs: str, *bounds: float) -> tuple[MapBox, float]:
    return map_box(SIZE, Bounds(*bounds).affine(*SIZE), crs, "x")


@settings(deadline=None, database=None, max_examples=100)
@given(st.floats(-360, 360), st.floats(-84, 80), st.floats(0.01, 300), st.floats(0.01, 4))
def test_degrees_lie_on_the_map_or_are_refused(left: float, bottom: float, width: float, height: float) -> None:
    """Longitude is a straight line from -180 to 180; whatever leaves it is said to."""
    inside = left >= -180 and left + width <= 180
    if not inside:
        with pytest.raises(BoundsError, match=r"antimeridian|beyond the map"):
            placed("EPSG:4326", left, bottom + height, left + width, bottom)
        return
    box, pixel = placed("EPSG:4326", left, bottom + height, left + width, bottom)
    wide = math.radians(width) * HALF_MAP / math.pi
    assert box.left == pytest.approx(math.radians(left) * HALF_MAP / math.pi, abs=pixel)
    assert box.right - box.left == pytest.approx(wide, abs=pixel)


@pytest.mark.parametrize(
    ("crs", "bounds", "why"),
    [
        ("EPSG:4326", (178, -15, 182, -18), "crosses the antimeridian"),
        ("EPSG:4326", (-182, -15, -178, -18), "crosses the antimeridian"),
        ("EPSG:4326", (182, -15, 184, -18), "beyond the map"),
        ("EPSG:4326", (-180, 90, 180, -90), "beyond the map"),
        ("EPSG:4326", (10, 86, 12, 85), "beyond the map"),
        ("EPSG:4326", (45, 120, 46, 119), "beyond the map"),
        ("EPSG:32660", (700_000, 1e6, 1_100_000, 9e5), "crosses the antimeridian"),
        ("EPSG:32632", (1e9, 5e6, 1.1e9, 4e6), "beyond the map"),
        ("EPSG:32632", (0, 5e7, 1e6, 4.9e7), "beyond the map"),
        ("EPSG:3031", (-1e6, 1e6, 1e6, -1e6), "beyond the map|antimeridian"),
        ("EPSG:3031", (-1e5, -2e6, 1e5, -2.1e6), "crosses the antimeridian"),
        ("EPSG:3413", (-4e6, 4e6, 4e6, -4e6), "beyond the map|antimeridian"),
        ("EPSG:3031", (-4e7, 4e7, 4e7, -4e7), "beyond the map|antimeridian"),
    ],
)
def test_boxes_that_the_map_does_not_hold(crs: str, bounds: tuple[float, ...], why: str) -> None:
    with pytest.raises(BoundsError, match=f"^x: .*({why})"):
        placed(crs, *bounds)


@pytest.mark.parametrize(
    ("crs", "bounds"),
    [
        ("EPSG:4326", (176, -15, 179.9, -18)), ("EPSG:4326", (-180, 85, 180, -85)), ("EPSG:4326", (176, 3, 180, 1)),
        ("EPSG:4326", (179.9, -15, 176, -18)), ("EPSG:32632", (499_000, 5_001_000, 501_000, 4_999_000)),
        ("EPSG:3031", (2e6, 2e6, 2.1e6, 1.9e6)), ("EPSG:2056", (2.6e6, 1.2e6, 2.601e6, 1.199e6)),
        ("EPSG:28992", (155_000, 463_000, 155_000.05, 462_999.95)),
    ],
)  # fmt: skip
def test_every_pixel_of_a_box_lies_in_it(crs: str, bounds: tuple[float, ...]) -> None:
    box, pixel = placed(crs, *bounds)
    affine = Bounds(*bounds).affine(*SIZE)
    rows, columns = np.mgrid[0 : SIZE[0] + 1, 0 : SIZE[1] + 1]
    xs, ys = affine @ (columns.ravel(), rows.ravel())
    x, y = np.array(transform(crs, "EPSG:3857", xs, ys)[:2])
    assert box.left - pixel <= x.min() <= x.max() <= box.right + pixel
    assert box.bottom - pixel <= y.min() <= y.max() <= box.top + pixel
    assert box.left == pytest.approx(x.min(), abs=pixel)
    assert box.top == pytest.approx(y.max(), abs=pixel)


def test_the_name_of_a_reference() -> None:
    for crs in (
        "EPSG:32632",
        "epsg:32632",
        CRS.from_epsg(32632).to_wkt(),
        CRS.from_epsg(32632).to_wkt(version="WKT2_2019"),
    ):
        assert crs_name(crs) == "EPSG:32632"
    for crs in ("EPSG:3857", "epsg:900913", CRS.from_epsg(3857).to_wkt()):
        assert crs_name(crs) == "EPSG:3857"
    for crs in ("+proj=laea +lat_0=10 +lon_0=20", "OGC:CRS84"):
        assert CRS.from_user_input(crs_name(crs)) == CRS.from_user_input(crs)
        assert crs_name(crs_name(crs)) == crs_name(crs)
        assert "[" in crs_name(crs)


SENSELESS = [0.0, 1e308, -1e308, math.nan, math.inf, 5e-324, 1e-12, 1.0, -1.0, 1e7, 180.0, -190.0]
REFERENCES = [
    "", "garbage", "GEOGCS[", "EPSG:3857", "EPSG:4326", "EPSG:32660", "EPSG:3031", "EPSG:2193", "EPSG:4978",
    "EPSG:5703", "EPSG:7415", "ESRI:54012", 'LOCAL_CS["s",UNIT["metre",1]]', 'LOCAL_CS["s"]',
]  # fmt: skip


@settings(deadline=None, database=None, max_examples=200)
@given(st.sampled_from(REFERENCES), st.lists(st.sampled_from(SENSELESS) | st.floats(-200, 200), min_size=6, max_size=6))
def test_whatever_a_file_says_of_its_place_it_lies_on_the_map_or_is_refused(crs: str, numbers: list[float]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.png"
        Image.new("L", (40, 20)).save(path)
        said = f"<SRS>{escape(crs)}</SRS><GeoTransform>{','.join(map(str, numbers))}</GeoTransform>"
        path.with_name("a.png.aux.xml").write_text(f"<PAMDataset>{said}</PAMDataset>")
        params = params_for(path)
        try:
            with open_source(params) as source:
                found = place(source, params)
            pyramid = plan((20, 40), found.affine, found.crs, 1, Png2PmtilesParams(out=params.out))
        except CartloaderError:
            return
    assert pyramid.tile_count() > 0
    assert min(pyramid.extent(pyramid.base_zoom).shape) > 0
    for corner in ((0, 0), (40, 0), (0, 20), (40, 20)):
        assert all(map(math.isfinite, found.affine @ corner))


# Pixels too small for any zoom


@pytest.mark.parametrize("tile", [256, 512, 1024])
def test_no_zoom_is_beyond_the_finest(tile: int) -> None:
    finest = resolution(FINEST_ZOOM, tile)
    for pixel in (finest * 1.5, finest, finest / 2, finest / 50):
        size = 1000 * pixel
        pyramid = plan_pyramid(MapBox(7, 7, 7 + size, 7 + size), pixel, tile, None, None, "x")
        too_small = pixel < finest * 0.99
        assert (pyramid.base_zoom, pyramid.max_zoom) == (FINEST_ZOOM, FINEST_ZOOM)
        assert len(pyramid.notes) == too_small
        assert min(pyramid.extent(FINEST_ZOOM).shape) >= 1
        coarser = plan_pyramid(MapBox(7, 7, 7 + size, 7 + size), pixel, tile, None, 20, "x")
        assert (coarser.base_zoom, coarser.max_zoom, coarser.notes) == (FINEST_ZOOM, 20, ())
    for far in (0.2, 0.45, 0.9):  # less than a pixel, with or without the centre of one
        box = MapBox(far * finest, 0, (far + 0.09) * finest, finest / 50)
        pyramid = plan_pyramid(box, finest / 1000, tile, None, None, "x")
        extent = pyramid.extent(FINEST_ZOOM)
        assert extent.shape == (1, 1)
        assert extent.column0 == HALF_MAP / finest
        assert extent.row1 == HALF_MAP / finest


@pytest.mark.parametrize("edge", [math.nan, math.inf, 3e7])
def test_what_is_not_on_the_map(edge: float) -> None:
    with pytest.raises(BoundsError, match="lies outside the map"):
        plan_pyramid(MapBox(0, 0, edge, 1), 1, 512, None, None, "x")


def test_the_map_itself_needs_no_reference() -> None:
    assert map_box(SIZE, Affine(2, 0, 10, 0, -3, 7), "EPSG:3857", "x") == (MapBox(10, -113, 130, 7), 2)


@given(st.integers(0, 1000), st.booleans())
def test_pixels_lie_as_close_as_the_smallest_singular_value(seed: int, y_down: bool) -> None:
    affine = by_chance(seed, y_down=y_down)
    closest = np.linalg.svd([[affine.a, affine.b], [affine.d, affine.e]], compute_uv=False)[-1]
    assert map_box(SIZE, affine, "EPSG:3857", "x")[1] == pytest.approx(closest, rel=1e-12)
