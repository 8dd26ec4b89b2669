"""Where images lie: every source of bounds, and the law that places them."""

from __future__ import annotations

import gzip
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from affine import Affine
from PIL import Image
from support.rasters import noise, params_for, write_pages

from cartloader_image.crs import crs_name
from cartloader_image.errors import BoundsError, InputError, UsageError
from cartloader_image.images.source import open_source
from cartloader_image.placing.bounds import bounds_from_pixel_tsv, bounds_from_tsv, bounds_from_vizgen
from cartloader_image.placing.placement import Placement, place
from cartloader_image.recipe import actions
from cartloader_image.values import Bounds

EVERY_TURN = list(product([None, 90, 180, 270], [False, True], [False, True]))


def placed(path: Path, **options: Any) -> Placement:
    params = params_for(path, **options)
    with open_source(params) as source:
        return place(source, params)


def values(bounds: Bounds) -> tuple[float, float, float, float]:
    return bounds.ulx, bounds.uly, bounds.lrx, bounds.lry


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A PNG of 20 rows and 40 columns."""
    Image.fromarray(noise((20, 40))).save(tmp_path / "a.png")
    return tmp_path / "a.png"


# Files that hold bounds


@pytest.mark.parametrize(
    "text",
    ["-1,2.5,3e2,-4", "-1\t2.5\t300\t-4\n", "-1,2.5,300,-4\r\n", "\n -1 2.5 300 -4 \n\n", "\ufeff-1,2.5,300,-4\r\n",
     "-1, 2.5, 300, -4"],
)  # fmt: skip
@pytest.mark.parametrize("zipped", [False, True])
def test_bounds_in_a_file(tmp_path: Path, text: str, zipped: bool) -> None:
    data = gzip.compress(text.encode()) if zipped else text.encode()
    assert values(bounds_from_tsv(written(tmp_path / "a.tsv", data))) == (-1, 2.5, 300, -4)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"1,2,3", r"four numbers are needed \(ulx,uly,lrx,lry\), found 3"),
        (b"1,2,3,4,5", "found 5"),
        (b"1,2,x,4", "found '1,2,x,4'"),
        (b"1,2,nan,4", "found '1,2,nan,4'"),
        (b"", "takes one line of ulx,uly,lrx,lry, found 0 lines"),
        (b"1,2,3,4\n5,6,7,8", "found 2 lines"),
        (b"\x80\xff", "is no text file"),
        (gzip.compress(b"1,2,3,4")[:-9], "is no text file|cannot be read"),
        (b"\x1f\x8b" + b"\xff" * 30, "is no text file|cannot be read"),
    ],
)
def test_what_is_no_bounds_file(tmp_path: Path, data: bytes, what: str) -> None:
    with pytest.raises(InputError, match=what) as error:
        bounds_from_tsv(written(tmp_path / "a.tsv", data))
    assert str(error.value).startswith(f"{tmp_path}/a.tsv: ")
    assert "\n" not in str(error.value)


def test_a_missing_file_names_the_option(tmp_path: Path) -> None:
    for read, option in (
        (bounds_from_tsv, "--georef-bounds-tsv"),
        (bounds_from_pixel_tsv, "--georef-pixel-tsv"),
        (lambda path: bounds_from_vizgen(path, 1, 1), "--micron2pixel-csv"),
    ):
        with pytest.raises(InputError, match=f"No such file or directory.*{option}"):
            read(tmp_path / "none")


FICTURE = [
    "##K=12;TOPK=3\n##OFFSET_X=-5.5;OFFSET_Y=200;SIZE_X=50;SIZE_Y=60;SCALE=100\n#BLOCK\tX\tY\n1\t2\t3\n",
    "##OFFSET_X = -5.5 ; OFFSET_Y = 200\r\n## SIZE_X = 50;SIZE_Y=60\r\n",
    "#OFFSET_X=-5.5;OFFSET_Y=2e2;SIZE_X=50.0;SIZE_Y=60",
]


@pytest.mark.parametrize("header", FICTURE)
@pytest.mark.parametrize("zipped", [False, True])
def test_the_header_of_a_pixel_tsv(tmp_path: Path, header: str, zipped: bool) -> None:
    data = gzip.compress(header.encode()) if zipped else header.encode()
    assert values(bounds_from_pixel_tsv(written(tmp_path / "a.tsv", data))) == (-5.5, 200, 45.5, 261)


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ("BLOCK\tX\tY\n", "its header comments have no OFFSET_X; is it a FICTURE pixel TSV"),
        (FICTURE[0].replace("SIZE_Y", "SIZE"), "have no SIZE_Y"),
        ("BLOCK\n" + FICTURE[0], "have no OFFSET_X"),
        (FICTURE[0].replace("SIZE_Y=60", "SIZE_Y=many"), "SIZE_Y is 'many' in its header, which is no number"),
        (FICTURE[0].replace("SIZE_Y=60", "SIZE_Y=-60"), "a size of 50 × -60"),
        (FICTURE[0].replace("OFFSET_X=-5.5", "OFFSET_X=inf"), "at inf,200"),
    ],
)
def test_what_is_no_pixel_tsv(tmp_path: Path, header: str, what: str) -> None:
    with pytest.raises(InputError, match=what):
        bounds_from_pixel_tsv(written(tmp_path / "a.tsv", header))


@pytest.mark.parametrize("separator", [" ", ",", "\t", " , ", ",\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", ",\n"])
def test_vizgen(tmp_path: Path, separator: str, end: str) -> None:
    rows = [["4", "0", "-100"], ["0.0e+00", "8", "16"], ["0", "0", "1"]]
    path = written(tmp_path / "a.csv", end.join(separator.join(row) for row in rows) + end)
    # pixel = 4 µm - 100 across, pixel = 8 µm + 16 down; of a mosaic of 80 rows and 60 columns
    assert values(bounds_from_vizgen(path, 80, 60)) == (25, -2, 40, 8)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "takes a 3×3 matrix of numbers, found nothing"),
        ("1 0 0\n0 1 0\n", "found 2 rows of 3, 3 values"),
        ("1 0 0\n0 1\n0 0 1", "found 3 rows of 3, 2, 3 values"),
        ("1 0 0\n0 one 0\n0 0 1", "'one'"),
        ("1 0 0\n0 inf 0\n0 0 1", "finite numbers"),
        ("1 2e-9 0\n0 1 0\n0 0 1", "turns or shears the image"),
        ("1 0 0\n1e-3 1 0\n0 0 1", "turns or shears the image"),
        ("1 0 0\n0 1 0\n1e-9 0 1", "turns or shears the image"),
        ("1 0 0\n0 1 0\n0 0 2", "turns or shears the image"),
        ("1 0 0\n0 1 0\n0 1 1", "turns or shears the image"),
        ("0 0 5\n0 1 0\n0 0 1", "a scale of 0"),
    ],
)
def test_what_is_no_vizgen_matrix(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(InputError, match=what) as error:
        bounds_from_vizgen(written(tmp_path / "a.csv", text), 10, 10)
    assert str(error.value).startswith(f"{tmp_path}/a.csv: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0, 1e-16, -3e-17, 1e-9, -1e-9])
def test_vizgen_rounding_is_no_shear(tmp_path: Path, share: float) -> None:
    path = written(tmp_path / "a.csv", f"9.25 {8 * share!r} -100\n{9.25 * share!r} 8 16\n0 0 1")
    assert values(bounds_from_vizgen(path, 80, 60)) == values(Bounds(100 / 9.25, -2, 160 / 9.25, 8))


def test_vizgen_keeps_the_extent_at_lower_levels(tmp_path: Path) -> None:
    matrix = written(tmp_path / "m.csv", "4 0 -100\n0 8 16\n0 0 1")
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(noise((80, 60)), subifds=1, tile=(16, 16))
        tif.write(noise((40, 30)), subfiletype=1, tile=(16, 16))
    for options in ({}, {"level": 1}, {"shrink_factor": 7}, {"level": 1, "shrink_factor": 2}):
        assert values(placed(tmp_path / "a.tif", micron2pixel_csv=matrix, **options).bounds) == (25, -2, 40, 8)


# The law


def corners(placement: Placement, width: int, height: int) -> list[tuple[float, float]]:
    return [placement.affine @ corner for corner in ((0, 0), (width, 0), (0, height), (width, height))]


def box(points: list[tuple[float, float]]) -> tuple[float, float, float, float]:
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


@pytest.mark.parametrize("frame", ["image", "map"])
@pytest.mark.parametrize(("rotate", "vertical", "horizontal"), EVERY_TURN)
def test_explicit_bounds_are_those_of_the_finished_picture(
    picture: Path, rotate: int | None, vertical: bool, horizontal: bool, frame: str
) -> None:
    for ulx, uly, lrx, lry in ((-10, 5, 30, 45), (30, 5, -10, 45), (-10, 45, 30, 5), (30, 45, -10, 5)):
        found = placed(
            picture, georef_bounds=f"{ulx},{uly},{lrx},{lry}", rotate=rotate, flip_vertical=vertical,
            flip_horizontal=horizontal, orient_frame=frame, georef_offset_x=100, georef_offset_y=-7,
        )  # fmt: skip
        assert box(corners(found, 40, 20)) == pytest.approx((90, -2, 130, 38))


@pytest.mark.parametrize("frame", ["image", "map"])
@pytest.mark.parametrize(("rotate", "vertical", "horizontal"), EVERY_TURN)
def test_metadata_bounds_turn_about_their_low_corner(
    picture: Path, rotate: int | None, vertical: bool, horizontal: bool, frame: str
) -> None:
    found = placed(
        picture, pixel_size="0.5", rotate=rotate, flip_vertical=vertical, flip_horizontal=horizontal,
        orient_frame=frame, georef_offset_x=3, georef_offset_y=-4,
    )  # fmt: skip
    assert values(found.bounds) == (3, -4, 23, 6)  # as stored
    width, height = (10, 20) if rotate in {90, 270} else (20, 10)
    assert box(corners(found, 40, 20)) == pytest.approx((3, -4, 3 + width, -4 + height))
    assert found.pixel_size == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize("frame", ["image", "map"])
@pytest.mark.parametrize("uly_above", [False, True])
@pytest.mark.parametrize(("rotate", "vertical", "horizontal"), EVERY_TURN)
def test_gdal_puts_every_pixel_where_the_law_says(
    tmp_path: Path, rotate: int | None, vertical: bool, horizontal: bool, uly_above: bool, frame: str
) -> None:
    """The map, cell by cell: numpy turns the picture, GDAL reads the finished GeoTIFF."""
    pixels = noise((3, 5))
    Image.fromarray(pixels).save(tmp_path / "a.png")
    height, width = (5, 3) if rotate in {90, 270} else (3, 5)
    ys = (height, 0) if uly_above else (0, height)

    def laid(array: Any) -> Any:
        array = np.rot90(array, -(rotate or 0) // 90)
        array = np.flipud(array) if vertical else array
        return np.fliplr(array) if horizontal else array

    actions.georeference(
        params_for(
            tmp_path / "a.png", georef_bounds=f"0,{ys[0]},{width},{ys[1]}", rotate=rotate, flip_vertical=vertical,
            flip_horizontal=horizontal, orient_frame=frame,
        )
    )  # fmt: skip
    # north up: an image viewer's picture is upside down on the map where y grows with its rows
    if frame == "image":
        expected = laid(pixels) if uly_above else np.flipud(laid(pixels))
    else:
        expected = laid(pixels if uly_above else np.flipud(pixels))
    with rasterio.open(tmp_path / "out" / "picture.geotif.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(1), pixels)  # as stored
        for row, column in np.ndindex(3, 5):
            x, y = dataset.transform @ (column + 0.5, row + 0.5)
            assert (x % 1, y % 1) == (0.5, 0.5)
            assert expected[height - 1 - int(y), int(x)] == pixels[row, column]


def test_bounds_of_the_unturned_picture_are_refused(picture: Path) -> None:
    with pytest.raises(UsageError) as error:
        placed(picture, georef_bounds="10,20,50,40", rotate=90)
    assert "fit the picture before its quarter turn" in str(error.value)
    assert str(error.value).endswith("give 10,20,30,60")
    placed(picture, georef_bounds="10,20,30,60", rotate=90)
    placed(picture, georef_bounds="10,20,50,40", rotate=180)
    with pytest.raises(UsageError, match=r"give 30,60,10,20$"):
        placed(picture, georef_bounds="50,40,10,20", rotate=270)
    with pytest.raises(UsageError):
        placed(picture, georef_bounds="0,0,40.7,20", rotate=90)  # 1.75 % from square
    placed(picture, georef_bounds="0,0,40.9,20", rotate=90)  # 2.25 %: no telling what is meant


def test_pixels_that_are_not_square_are_told(picture: Path) -> None:
    for bounds, told in (("0,0,40,20", 0), ("0,0,40.7,20", 0), ("0,0,40.9,20", 1), ("0,0,20,40", 1)):
        assert len(placed(picture, georef_bounds=bounds).notes) == told, bounds


@pytest.mark.parametrize("bounds", ["0,0,0,5", "0,5,5,5", "1,1,1,1"])
def test_bounds_without_area(picture: Path, bounds: str) -> None:
    with pytest.raises(BoundsError, match="have no area"):
        placed(picture, georef_bounds=bounds)


# The file's own georeference


def geotiff(path: Path, affine: Affine, crs: str | None = "EPSG:32633", driver: str = "GTiff") -> Path:
    with rasterio.open(
        path, "w", driver=driver, height=20, width=40, count=1, dtype="uint8", transform=affine, crs=crs
    ) as dataset:
        dataset.write(noise((20, 40)), 1)
    return path


@pytest.mark.parametrize("options", [{}, {"shrink_factor": 4}])
def test_a_geotiff_lies_where_it_says(tmp_path: Path, options: dict[str, Any]) -> None:
    path = geotiff(tmp_path / "a.tif", Affine(2, 0, 1000, 0, -2, 5000))
    found = placed(path, georef_offset_x=1, **options)
    assert values(found.bounds) == (1001, 5000, 1081, 4960)
    assert "32633" in found.crs
    assert found.pixel_size == (2 * options.get("shrink_factor", 1),) * 2
    assert values(placed(path, georef_bounds="0,0,40,20").bounds) == (0, 0, 40, 20)
    assert placed(path, georef_bounds="0,0,40,20").crs == "EPSG:3857"


def test_a_geotiff_turns_about_its_low_corner(tmp_path: Path) -> None:
    path = geotiff(tmp_path / "a.tif", Affine(2, 0, 1000, 0, -2, 5000))
    found = placed(path, rotate=90)
    assert box(corners(found, 40, 20)) == (1000, 4960, 1040, 5040)


def test_a_geotiff_that_lies_askew(tmp_path: Path) -> None:
    affine = Affine.translation(10, 20) @ Affine.rotation(30) @ Affine.scale(2, -2)
    path = geotiff(tmp_path / "a.tif", affine)
    assert placed(path).affine.almost_equals(affine, 1e-9)
    with pytest.raises(UsageError, match="lies askew on the map, so that it cannot be turned"):
        placed(path, rotate=90)


@pytest.mark.parametrize(
    ("name", "world"), [("a.png", "a.pgw"), ("a.png", "a.wld"), ("a.jpg", "a.jgw"), ("a.tif", "a.tfw")]
)
def test_a_world_file(tmp_path: Path, name: str, world: str) -> None:
    Image.fromarray(noise((20, 40))).save(tmp_path / name)
    # it speaks of the centre of the first pixel
    (tmp_path / world).write_text("2\n0\n0\n-2\n1001\n4999\n")
    found = placed(tmp_path / name)
    assert (values(found.bounds), found.crs) == ((1000, 5000, 1080, 4960), "EPSG:3857")
    assert placed(tmp_path / name, srs="EPSG:32633").crs == "EPSG:32633"


@pytest.mark.parametrize(
    "text",
    [
        "1\n0\n0\nnan\n10\n20", "inf\n0\n0\n-1\n10\n20", "1\n0\n0\n-1\n10\n1e999", "0\n0\n0\n0\n0\n0",
        "1\n0\n0\n0\n10\n20", "1\n1\n1\n1\n10\n20", "", "1\n2\n3", "1\n0\n0\n-1\n10\ntwenty", "1 0 0 -1 10 20 30",
        "\xff\xfe\n0\n0\n-1\n10\n20", "hello",
    ],
)  # fmt: skip
@pytest.mark.parametrize(("name", "world"), [("a.png", "a.pgw"), ("a.tif", "a.tfw"), ("a.tif", "a.TFW")])
def test_a_world_file_that_is_no_place(tmp_path: Path, name: str, world: str, text: str) -> None:
    Image.fromarray(noise((20, 40))).save(tmp_path / name)
    (tmp_path / world).write_bytes(text.encode("latin-1"))
    with pytest.raises(BoundsError, match=f"{world}: is no world file of six finite numbers.*--georef-bounds"):
        placed(tmp_path / name)
    assert values(placed(tmp_path / name, pixel_size="1").bounds) == (0, 0, 40, 20)
    assert values(placed(tmp_path / name, georef_bounds="0,0,4,2").bounds) == (0, 0, 4, 2)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e308", "0"])
@pytest.mark.parametrize("at", range(6))
def test_a_georeference_that_is_no_place(tmp_path: Path, number: str, at: int) -> None:
    """All six of GDAL's numbers beside a picture, one of them senseless."""
    Image.fromarray(noise((20, 40))).save(tmp_path / "a.png")
    numbers = ["5", "1", "0", "7", "0", "-1"]
    numbers[at] = number
    text = f"<PAMDataset><GeoTransform>{','.join(numbers)}</GeoTransform></PAMDataset>"
    (tmp_path / "a.png.aux.xml").write_text(text)
    if at in {0, 2, 3, 4} and number == "0":
        assert np.isfinite(placed(tmp_path / "a.png").affine[:6]).all()
    else:
        with pytest.raises(
            BoundsError, match=r"a\.png: (its georeference \(a\.png\.aux\.xml\) .*--georef|.* have no area)"
        ):
            placed(tmp_path / "a.png")


@pytest.mark.parametrize(
    "options",
    [
        {"georef_bounds": "-1e308,0,1e308,1"}, {"pixel_size": "1e308"}, {"pixel_size": "1e-323"},
        {"georef_bounds": "0,0,1e-323,1"},
    ],
)  # fmt: skip
def test_numbers_beyond_all_measure(picture: Path, options: dict[str, Any]) -> None:
    with pytest.raises(BoundsError, match=r"beyond all measure|have no area"):
        placed(picture, **options)


# Local spatial references

UNITS = {
    'UNIT["metre",1]': 1e6, 'UNIT["Meter",1]': 1e6, 'UNIT["micrometre",1e-6]': 1, 'UNIT["µm",1e-6]': 1,
    'UNIT["millimetre",0.001]': 1e3, 'UNIT["nanometre",1e-9]': 1e-3, 'UNIT["inch",0.0254]': 25_400,
    'UNIT["US survey foot",0.304800609601219]': 304_800.609601219, 'UNIT["unknown",1e-6]': 1,
}  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("kind", ["local", "engineering", "file"])
def test_a_local_frame_with_a_length_is_in_micrometres(tmp_path: Path, unit: str, kind: str) -> None:
    crs, size = f'LOCAL_CS["slide",{unit}]', UNITS[unit]
    if kind == "engineering":
        length = unit.replace("UNIT", "LENGTHUNIT")
        crs = f'ENGCRS["slide",EDATUM["glass"],CS[Cartesian,2],AXIS["x",east],AXIS["y",south],{length}]'
    expected = pytest.approx((10 * size, 50 * size, 90 * size, 10 * size), rel=1e-9)
    if kind == "file":
        path = geotiff(tmp_path / "a.tif", Affine(2, 0, 10, 0, -2, 50), crs)
        found = placed(path)
        assert values(placed(path, georef_offset_x=3).bounds)[0] == pytest.approx(10 * size + 3)
        assert values(placed(path, pixel_size="0.5").bounds) == (0, 0, 20, 10)
    else:
        path = tmp_path / "a.png"
        Image.fromarray(noise((20, 40))).save(path)
        found = placed(path, srs=crs, georef_bounds="10,50,90,10")
        assert values(placed(path, srs=crs, pixel_size="0.5").bounds) == (0, 0, 20, 10)
    assert found.crs == "EPSG:3857"
    assert values(found.bounds) == expected
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
    assert values(placed(path, pixel_size="0.5").bounds) == (0, 0, 20, 10)
    assert values(placed(path, georef_bounds="0,0,4,2").bounds) == (0, 0, 4, 2)


def test_of_a_compound_reference_the_horizontal_part_counts(picture: Path) -> None:
    found = placed(picture, srs="EPSG:7415", georef_bounds="155000,463000,155100,462950")
    assert crs_name(found.crs) == "EPSG:28992"


def test_longitudes_that_cross_the_antimeridian_eastwards(picture: Path) -> None:
    with pytest.raises(BoundsError, match="longitudes from 170 to -170 cross the antimeridian"):
        placed(picture, srs="EPSG:4326", georef_bounds="170,3,-170,-7")
    placed(picture, srs="EPSG:4326", georef_bounds="17,3,-17,-14")  # mirrored
    placed(picture, georef_bounds="170,3,-170,-167")


# Resolution that is believed only when asked to


@pytest.mark.parametrize(
    ("how", "micrometres"),
    [
        ({"resolution": (10_000, 5_000), "resolutionunit": "CENTIMETER"}, (1, 2)),
        ({"resolution": (25_400, 12_700), "resolutionunit": "INCH"}, (1, 2)),
        ({"imagej": True, "resolution": (4, 2), "metadata": {"unit": "micron"}}, (0.25, 0.5)),
        ({"imagej": True, "resolution": (4, 2), "metadata": {"unit": "um"}}, (0.25, 0.5)),
        *[
            ({"imagej": True, "resolution": (4, 2), "metadata": {"unit": unit}}, (size / 4, size / 2))
            for unit, size in (
                ("microns", 1),
                ("Micron", 1),
                ("micrometer", 1),
                ("micrometres", 1),
                ("\\u00B5m", 1),
                ("\\u03bcm", 1),
                ("nm", 1e-3),
                ("mm", 1e3),
                ("MM", 1e3),
                ("millimeters", 1e3),
                ("cm", 1e4),
                ("inch", 25_400),
                ("Inches", 25_400),
                ('"', 25_400),
            )
        ],
        ({"imagej": True, "resolution": (4, 2), "metadata": {"unit": "um", "yunit": "nm"}}, (0.25, 0.0005)),
        *[
            ({"imagej": True, "resolution": (5, 5), "resolutionunit": 3, "metadata": {"unit": unit}}, (2e3, 2e3))
            for unit in ("", "pixel")
        ],
        *[
            ({"description": f"Aperio Image Library\r\n40x|AppMag = 40{mpp}", "metadata": None}, (size, size))
            for mpp, size in (
                ("|MPP = 0.2498|X = 1", 0.2498),
                ("|MPP=0.25", 0.25),
                ("|MPP = 2.5e-1|", 0.25),
                ("|MPP = 0,25|", 0.25),
            )
        ],
        (
            {"description": "notes: MPP = 5 marker", "metadata": None, "resolution": (2e4, 2e4), "resolutionunit": 3},
            (0.5,) * 2,
        ),
    ],
)
def test_resolution_needs_detection(tmp_path: Path, how: dict[str, Any], micrometres: tuple[float, float]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise((20, 40)), **how)
    with pytest.raises(BoundsError, match=r"does not say where it lies.* µm, which --georef-detect takes"):
        placed(tmp_path / "a.tif")
    found = values(placed(tmp_path / "a.tif", georef_detect="OME").bounds)
    assert found == pytest.approx((0, 0, 40 * micrometres[0], 20 * micrometres[1]), rel=1e-6)


@pytest.mark.parametrize(
    "description",
    [
        None, "MPP = 0.5", "|MPP = 0.5|", "Aperio\n|MPP = 0|", "Aperio\n|MPP = -1|", "Aperio\n|MPP = nan|",
        "Aperio\n|MPP = 1e999|", "Aperio\n|MPP = .|", "Aperio\n|MPP = 1.2.3.4|", "Aperio\n|MPP = 0.5 (old)|",
        "Aperio\nMPP = 0.5",
    ],
)  # fmt: skip
def test_no_resolution_to_detect(tmp_path: Path, description: str | None) -> None:
    path = write_pages(tmp_path / "a.tif", [noise((20, 40))], description)
    with pytest.raises(BoundsError, match="does not say where it lies"):
        placed(path, georef_detect="OME")


@pytest.mark.parametrize("unit", ["pixel", "pixels", "", "wavelength"])
def test_pixels_per_pixel_are_no_resolution(tmp_path: Path, unit: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise((20, 40)), imagej=True, resolution=(4, 4), metadata={"unit": unit})
    with pytest.raises(BoundsError, match="does not say where it lies"):
        placed(tmp_path / "a.tif", georef_detect="OME")


def test_what_aperio_does_not_know_is_not_taken_from_its_tags(tmp_path: Path) -> None:
    more = {"resolution": (30, 30), "resolutionunit": "CENTIMETER"}
    write_pages(tmp_path / "a.tif", [noise((20, 40))], "Aperio\n|MPP = 0|", **more)
    with pytest.raises(BoundsError, match="does not say where it lies"):
        placed(tmp_path / "a.tif", georef_detect="OME")


@pytest.mark.parametrize("fraction", [(0, 0), (0, 1)])
def test_senseless_resolution_tags_are_no_resolution(tmp_path: Path, fraction: tuple[int, int]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise((20, 40)), resolution=(5, 5), resolutionunit="INCH")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages.first.tags["XResolution"].overwrite(fraction)
    assert values(placed(tmp_path / "a.tif", pixel_size="1").bounds) == (0, 0, 40, 20)
    with pytest.raises(BoundsError, match="does not say where it lies"):
        placed(tmp_path / "a.tif", georef_detect="OME")


# A file's own reference, and none


def placed_tiff(path: Path, **how: Any) -> Path:
    profile = {"driver": "GTiff", "height": 20, "width": 40, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, transform=Affine(0.5, 0, 1000, 0, -0.5, 2000), **how) as dataset:
        dataset.write(noise((1, 20, 40)))
    return path


def test_keys_that_name_no_reference(tmp_path: Path) -> None:
    """GDAL makes a local reference without a unit of a directory that only says that pixels are points."""
    path = placed_tiff(tmp_path / "a.tif")
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(AREA_OR_POINT="Point")
    found = placed(path)
    assert (found.crs, found.bounds.width, found.bounds.height) == ("EPSG:3857", 20, 10)


def test_a_reference_of_the_files_own_goes_before_srs_and_is_told(tmp_path: Path) -> None:
    path = placed_tiff(tmp_path / "a.tif", crs="EPSG:32632")
    assert placed(path).notes == ()
    assert placed(path, srs="EPSG:32632").notes == ()
    (note,) = placed(path, srs="EPSG:25832").notes
    assert note == "--srs EPSG:25832 does nothing: the file has a spatial reference of its own"


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_a_local_reference_beside_a_picture_needs_its_unit(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(noise((20, 40))).save(path)
    aux = (
        '<PAMDataset><SRS>LOCAL_CS["stage"{}]</SRS><GeoTransform>10, 0.01, 0, 20, 0, -0.01</GeoTransform></PAMDataset>'
    )
    (tmp_path / f"{name}.aux.xml").write_text(aux.format(',UNIT["millimetre",0.001]'))
    assert values(placed(path).bounds) == pytest.approx((10_000, 20_000, 10_400, 19_800))
    (tmp_path / f"{name}.aux.xml").write_text(aux.format(""))
    with pytest.raises(BoundsError, match=r"local one without a unit of length.*--georef-bounds.*--pixel-size"):
        placed(path)
    assert values(placed(path, pixel_size="2").bounds) == (0, 0, 80, 40)


def test_numbers_are_read_as_all_programs_read_them(tmp_path: Path) -> None:
    Image.fromarray(noise((20, 40))).save(tmp_path / "a.png")
    written(tmp_path / "a.pgw", "1_0\n0\n0\n-1\n0\n0\n")
    with pytest.raises(BoundsError, match=r"a\.pgw: is no world file of six finite numbers"):
        placed(tmp_path / "a.png")
    with pytest.raises(InputError, match="four numbers are needed"):
        bounds_from_tsv(written(tmp_path / "b.tsv", "0,0,1_0,20"))


def test_a_size_in_micrometres_is_no_place_in_degrees(tmp_path: Path) -> None:
    Image.fromarray(noise((20, 40))).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match=r"--srs EPSG:4326: is in degrees.*give --georef-bounds in degrees"):
        placed(tmp_path / "a.png", srs="EPSG:4326", pixel_size="0.5")
    assert placed(tmp_path / "a.png", srs="EPSG:4326", georef_bounds="8,48,9,47").crs == "EPSG:4326"
