"""Where a file says that it lies: GeoTIFF keys, world files, GDAL's own notes; and in which spatial reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from support.places import bounds_of, covered, edges, placed
from support.rasters import Raster, noise, write_pages

from cartloader_image.crs import crs_name
from cartloader_image.errors import BoundsError, UsageError


@pytest.fixture
def picture(raster: Raster) -> Path:
    """A PNG of 20 rows and 40 columns."""
    return raster("a.png", 20, 40, dtype=np.uint8)


def geotiff(path: Path, affine: Affine, crs: str | None = "EPSG:32633") -> Path:
    profile = {"driver": "GTiff", "height": 20, "width": 40, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, transform=affine, crs=crs) as dataset:
        dataset.write(noise((20, 40)), 1)
    return path


@pytest.mark.parametrize("options", [{}, {"shrink_factor": 4}])
def test_a_geotiff_lies_where_it_says(tmp_path: Path, options: dict[str, Any]) -> None:
    path = geotiff(tmp_path / "a.tif", Affine(2, 0, 1000, 0, -2, 5000))
    found = placed(path, georef_offset_x=1, **options)
    assert edges(found.bounds) == (1001, 5000, 1081, 4960)
    assert "32633" in found.crs
    assert found.pixel_size == (2 * options.get("shrink_factor", 1),) * 2
    assert bounds_of(path, georef_bounds="0,0,40,20") == (0, 0, 40, 20)
    assert placed(path, georef_bounds="0,0,40,20").crs == "EPSG:3857"


def test_a_geotiff_turns_about_its_low_corner(tmp_path: Path) -> None:
    path = geotiff(tmp_path / "a.tif", Affine(2, 0, 1000, 0, -2, 5000))
    found = placed(path, rotate=90)
    assert covered(found, 40, 20) == (1000, 4960, 1040, 5040)


def test_a_geotiff_that_lies_askew(tmp_path: Path) -> None:
    affine = Affine.translation(10, 20) @ Affine.rotation(30) @ Affine.scale(2, -2)
    path = geotiff(tmp_path / "a.tif", affine)
    assert placed(path).affine.almost_equals(affine, 1e-9)
    with pytest.raises(UsageError, match="lies askew on the map, so that it cannot be turned"):
        placed(path, rotate=90)


@pytest.mark.parametrize(
    ("name", "world"), [("a.png", "a.pgw"), ("a.png", "a.wld"), ("a.jpg", "a.jgw"), ("a.tif", "a.tfw")]
)
def test_a_world_file(raster: Raster, tmp_path: Path, name: str, world: str) -> None:
    path = raster(name, 20, 40, dtype=np.uint8)
    # it speaks of the centre of the first pixel
    (tmp_path / world).write_text("2\n0\n0\n-2\n1001\n4999\n")
    found = placed(path)
    assert (edges(found.bounds), found.crs) == ((1000, 5000, 1080, 4960), "EPSG:3857")
    assert placed(path, srs="EPSG:32633").crs == "EPSG:32633"


@pytest.mark.parametrize(
    "text",
    [
        "1\n0\n0\nnan\n10\n20", "inf\n0\n0\n-1\n10\n20", "1\n0\n0\n-1\n10\n1e999", "0\n0\n0\n0\n0\n0",
        "1\n0\n0\n0\n10\n20", "1\n1\n1\n1\n10\n20", "", "1\n2\n3", "1\n0\n0\n-1\n10\ntwenty", "1 0 0 -1 10 20 30",
        "\xff\xfe\n0\n0\n-1\n10\n20", "hello", "1_0\n0\n0\n-1\n0\n0\n",
        "1\n0\n0\n-1\n5\n5\n" + " " * 4096 + "7",
    ],
)  # fmt: skip
@pytest.mark.parametrize(("name", "world"), [("a.png", "a.pgw"), ("a.tif", "a.tfw"), ("a.tif", "a.TFW")])
def test_a_world_file_that_is_no_place(raster: Raster, tmp_path: Path, name: str, world: str, text: str) -> None:
    path = raster(name, 20, 40, dtype=np.uint8)
    (tmp_path / world).write_bytes(text.encode("latin-1"))
    with pytest.raises(BoundsError, match=f"{world}: is no world file of six finite numbers.*--georef-bounds"):
        placed(path)
    assert bounds_of(path, pixel_size="1") == (0, 0, 40, 20)
    assert bounds_of(path, georef_bounds="0,0,4,2") == (0, 0, 4, 2)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e308", "0"])
@pytest.mark.parametrize("at", range(6))
def test_a_georeference_that_is_no_place(picture: Path, number: str, at: int) -> None:
    """All six of GDAL's numbers beside a picture, one of them senseless."""
    numbers = ["5", "1", "0", "7", "0", "-1"]
    numbers[at] = number
    text = f"<PAMDataset><GeoTransform>{','.join(numbers)}</GeoTransform></PAMDataset>"
    picture.with_name("a.png.aux.xml").write_text(text)
    if at in {0, 2, 3, 4} and number == "0":
        assert np.isfinite(placed(picture).affine[:6]).all()
    else:
        with pytest.raises(
            BoundsError, match=r"a\.png: (its georeference \(a\.png\.aux\.xml\) .*--georef|.* have no area)"
        ):
            placed(picture)


def test_keys_that_name_no_reference(tmp_path: Path) -> None:
    """GDAL makes a local reference without a unit of a directory that only says that pixels are points."""
    path = geotiff(tmp_path / "a.tif", Affine(0.5, 0, 1000, 0, -0.5, 2000), None)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(AREA_OR_POINT="Point")
    found = placed(path)
    assert (found.crs, found.bounds.width, found.bounds.height) == ("EPSG:3857", 20, 10)


def test_a_reference_of_the_files_own_goes_before_srs_and_is_told(tmp_path: Path) -> None:
    path = geotiff(tmp_path / "a.tif", Affine(0.5, 0, 1000, 0, -0.5, 2000), "EPSG:32632")
    assert placed(path).notes == ()
    assert placed(path, srs="EPSG:32632").notes == ()
    (note,) = placed(path, srs="EPSG:25832").notes
    assert note == "--srs EPSG:25832 does nothing: the file has a spatial reference of its own"


# Local spatial references

UNITS = {
    'UNIT["metre",1]': 1e6, 'UNIT["Meter",1]': 1e6, 'UNIT["micrometre",1e-6]': 1, 'UNIT["µm",1e-6]': 1,
    'UNIT["millimetre",0.001]': 1e3, 'UNIT["nanometre",1e-9]': 1e-3, 'UNIT["inch",0.0254]': 25_400,
    'UNIT["US survey foot",0.304800609601219]': 304_800.609601219, 'UNIT["unknown",1e-6]': 1,
}  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("kind", ["local", "engineering", "file"])
def test_a_local_frame_with_a_length_is_in_micrometres(raster: Raster, tmp_path: Path, unit: str, kind: str) -> None:
    crs, size = f'LOCAL_CS["slide",{unit}]', UNITS[unit]
    if kind == "engineering":
        length = unit.replace("UNIT", "LENGTHUNIT")
        crs = f'ENGCRS["slide",EDATUM["glass"],CS[Cartesian,2],AXIS["x",east],AXIS["y",south],{length}]'
    expected = pytest.approx((10 * size, 50 * size, 90 * size, 10 * size), rel=1e-9)
    if kind == "file":
        path = geotiff(tmp_path / "a.tif", Affine(2, 0, 10, 0, -2, 50), crs)
        found = placed(path)
        assert bounds_of(path, georef_offset_x=3)[0] == pytest.approx(10 * size + 3)
        assert bounds_of(path, pixel_size="0.5") == (0, 0, 20, 10)
    else:
        path = raster("a.png", 20, 40, dtype=np.uint8)
        found = placed(path, srs=crs, georef_bounds="10,50,90,10")
        assert bounds_of(path, srs=crs, pixel_size="0.5") == (0, 0, 20, 10)
    assert found.crs == "EPSG:3857"
    assert edges(found.bounds) == expected
    assert "taken as the map's own frame" in found.notes[0]


@pytest.mark.parametrize(
    ("crs", "why"),
    [
        ('LOCAL_CS["s",UNIT["unknown",1]]', r"without a unit of length \(unknown\)"),
        ('LOCAL_CS["s",UNIT["pixel",1]]', "without a unit of length"),
        ('LOCAL_CS["s",UNIT["pixel",0.5]]', "without a unit of length"),
        ('LOCAL_CS["s",UNIT["degree",0.0174532925199433]]', "without a unit of length"),
        ('LOCAL_CS["s",UNIT["micrometre",1]]', "whose micrometre is 1 m long"),
        ('LOCAL_CS["s",UNIT["mystery",0]]', "without a unit of length"),
        ('LOCAL_CS["s"]', "without a unit of length"),
        ('ENGCRS["s",EDATUM["d"],CS[ordinal,2],AXIS["x",east],AXIS["y",south]]', "without a unit of length"),
        ("EPSG:5703", "is one of heights"), ("EPSG:4978", "is a geocentric one"),
        ("moon", "no spatial reference that PROJ knows"), ("[1]", "no spatial reference that PROJ knows"),
    ],
)  # fmt: skip
def test_references_in_which_no_picture_lies(picture: Path, tmp_path: Path, crs: str, why: str) -> None:
    with pytest.raises(BoundsError, match=why) as error:
        placed(picture, srs=crs, georef_bounds="0,0,4,2")
    assert str(error.value).startswith("--srs ")


@pytest.mark.parametrize("keys", [[], [3076, 0, 1, 32767, 3077, 34736, 1, 0]])
def test_a_file_in_a_local_frame_without_a_length(tmp_path: Path, keys: list[int]) -> None:
    """By its GeoTIFF keys: a citation, and at most a unit that is 1 of nothing."""
    directory = [1, 1, 0, 2 + len(keys) // 4, 1025, 0, 1, 1, 1026, 34737, 6, 0, *keys]
    tags = [
        (33550, "d", 3, (1.0, 1.0, 0.0)), (33922, "d", 6, (0.0, 0.0, 0.0, 10.0, 50.0, 0.0)),
        (34735, "H", len(directory), directory), (34736, "d", 1, (1.0,)), (34737, "s", 0, "stage|"),
    ]  # fmt: skip
    path = write_pages(tmp_path / "a.tif", [noise((20, 40))], extratags=tags)
    with pytest.raises(BoundsError, match=r"a\.tif: its spatial reference is a local .*--georef-bounds.*--pixel-size"):
        placed(path)
    assert bounds_of(path, pixel_size="0.5") == (0, 0, 20, 10)
    assert bounds_of(path, georef_bounds="0,0,4,2") == (0, 0, 4, 2)


def test_of_a_compound_reference_the_horizontal_part_counts(picture: Path) -> None:
    found = placed(picture, srs="EPSG:7415", georef_bounds="155000,463000,155100,462950")
    assert crs_name(found.crs) == "EPSG:28992"


def test_longitudes_that_cross_the_antimeridian_eastwards(picture: Path) -> None:
    with pytest.raises(BoundsError, match="longitudes from 170 to -170 cross the antimeridian"):
        placed(picture, srs="EPSG:4326", georef_bounds="170,3,-170,-7")
    placed(picture, srs="EPSG:4326", georef_bounds="17,3,-17,-14")  # mirrored
    placed(picture, georef_bounds="170,3,-170,-167")


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_local_reference_beside_a_picture_needs_its_unit(raster: Raster, tmp_path: Path, name: str) -> None:
    path = raster(name, 20, 40, dtype=np.uint8)
    aux = (
        '<PAMDataset><SRS>LOCAL_CS["stage"{}]</SRS><GeoTransform>10, 0.01, 0, 20, 0, -0.01</GeoTransform></PAMDataset>'
    )
    (tmp_path / f"{name}.aux.xml").write_text(aux.format(',UNIT["millimetre",0.001]'))
    assert bounds_of(path) == pytest.approx((10_000, 20_000, 10_400, 19_800))
    (tmp_path / f"{name}.aux.xml").write_text(aux.format(""))
    with pytest.raises(BoundsError, match=r"local one without a unit of length.*--georef-bounds.*--pixel-size"):
        placed(path)
    assert bounds_of(path, pixel_size="2") == (0, 0, 80, 40)
