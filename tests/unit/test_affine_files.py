"""Files that hold a matrix: tables, arrays, JSON, NGFF, archives; and what they lead to beside other options."""

from __future__ import annotations

import gzip
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from affine import Affine
from numpy.typing import NDArray
from support.affines import rows, write_affine
from support.maps import import_picture
from support.places import edges, placed
from support.rasters import Raster, noise, params_for, with_source, write_pages

from cartloader_image.budget import Budget, Cost
from cartloader_image.errors import BoundsError, CartloaderError, InputError, UsageError
from cartloader_image.images.beside import inputs
from cartloader_image.params import ImportOptions
from cartloader_image.placing.affine_files import read_affine
from cartloader_image.recipe import actions

MATRIX = Affine(0.5, -0.25, 100.5, 0.125, 0.75, -7)
NUMBERS = [[0.5, -0.25, 100.5], [0.125, 0.75, -7]]
LAST = [0, 0, 1]


@pytest.fixture
def picture(raster: Raster) -> Path:
    """A PNG of 20 rows and 40 columns."""
    return raster("a.png", 20, 40, dtype=np.uint8)


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def npy(array: NDArray[Any]) -> bytes:
    data = BytesIO()
    np.save(data, array, allow_pickle=True)
    return data.getvalue()


def ngff(
    inputs: str = "yxc", outputs: str = "yx", unit: str = "micrometer", pixels: str = "", **more: Any
) -> dict[str, Any]:
    """`MATRIX` from and to axes in any order, as NGFF has it; other axes stay as they are."""
    place = {"x": 0, "y": 1}
    matrix = [
        [NUMBERS[place[out]][place[name]] if {out, name} <= place.keys() else float(out == name) for name in inputs]
        + [NUMBERS[place[out]][2] if out in place else 0.0]
        for out in outputs
    ]
    sides = {
        side: {"name": side, "axes": [{"name": name} | ({"unit": unit} if name in place else {}) for name in names]}
        for side, names, unit in (("input", inputs, pixels), ("output", outputs, unit))
    }
    return {"type": "affine", "affine": matrix, **sides, **more}


TABLES = {
    "commas": rows(MATRIX),
    "tabs": rows(MATRIX, "\t"),
    "blanks": rows(MATRIX, "   "),
    "semicolons": rows(MATRIX, ";"),
    "a byte order mark and the line ends of Windows": "\ufeff" + rows(MATRIX).replace("\n", "\r\n"),
    "three rows": rows(MATRIX) + "0,0,1\n",
    "a header": "a,b,tx\n" + rows(MATRIX) + "0,0,1\n",
    "the rows of pandas": ",0,1,2\n" + "".join(f"{n},{line}\n" for n, line in enumerate(rows(MATRIX).splitlines())),
    "the columns of pandas": "0,1,2\n" + rows(MATRIX),
    "the columns of pandas above three rows": "0,1,2\n" + rows(MATRIX) + "0.0,0.0,1.0\n",
    "a comment": "# from the registration\n\n" + rows(MATRIX) + "\n\n",
    "numpy.savetxt": "\n".join(" ".join(f"{value:.18e}" for value in row) for row in [*NUMBERS, LAST]),
    "an end": rows(MATRIX).replace("\n", ",\n"),
    "JSON": json.dumps(NUMBERS),
    "JSON of three rows": f"\n {json.dumps([*NUMBERS, LAST])}",
}  # fmt: skip


@pytest.mark.parametrize("kind", TABLES)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_matrix_as_text(tmp_path: Path, kind: str, zipped: bool) -> None:
    data = TABLES[kind].encode()
    found = read_affine(written(tmp_path / "m", gzip.compress(data) if zipped else data))
    assert (found.affine, found.centred, found.unit) == (MATRIX, False, 0)


def test_a_matrix_whose_first_row_counts_is_no_header(tmp_path: Path) -> None:
    assert read_affine(written(tmp_path / "m", "0 1 2\n-1 0 5\n0 0 1")).affine == Affine(0, 1, 2, -1, 0, 5)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16"])
def test_a_matrix_of_numpy(tmp_path: Path, dtype: str) -> None:
    array = np.array([*NUMBERS, LAST]).astype(dtype)
    for part in (array, array[:2], np.asfortranarray(array)):
        assert read_affine(written(tmp_path / "m", npy(part))).affine == Affine(*array[:2].ravel())


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("", "takes a matrix of 2 × 3 or 3 × 3 numbers, found nothing"),
        ("1 2 3", "found 1 rows of 3 values"),
        ("1 2 3 4\n1 2 3 4", "found 2 rows of 4 values"),
        ("1 2 3\n1 2", "found 2 rows of 2, 3 values"),
        ("1,2,3\n4,five,6", "found 'five'"),
        ("a,b,c\nd,e,f\n1,2,3", "found 'd'"),
        ("a,2,3\n4,5,6", "found 'a'"),
        ("1,,3\n4,5,6", "found ''"),
        ("1,2,3\n4,1_0,6", "found '1_0'"),
        ("1,2,nan\n4,5,6", "that are finite"),
        ("1,2,3\n4,5,6\n0,0,2", "the last row of the matrix is 0,0,2, a perspective"),
        ("1,2,3\n4,5,6\n1e-12,0,1", "a perspective; it must be 0,0,1"),
        ("[1, 2, 3, 4, 5, 6]", "found 6 rows of 0 values"),
        ("[[1, 2, 3], [4, 5, true]]", "some of these are no numbers"),
        ('[[1, 2, 3], [4, 5, "6"]]', "some of these are no numbers"),
        ("[[1, 2", "is no JSON"),
        (f"[[1, 2, 3], [4, 5, 1{'0' * 400}]]", "that are finite"),
        (json.dumps(ngff(affine=[[1, 2, 3, 10**400]] * 2)), "is no matrix of numbers"),
        ("[" * 100_000, "is no JSON"),
        ("{}", "found 0 affines"),
        (b"\x80\xff", "is no text file"),
        (npy(np.zeros((2, 2, 3))), r"shape \(2, 2, 3\)"),
        (npy(np.zeros((4, 4))), "found 4 rows of 4 values"),
        (npy(np.zeros((2, 3), complex)), "an array of complex128"),
        (npy(np.array([[1, 2, None], [4, 5, 6]])), "is no NumPy array that can be read .*allow_pickle=False"),
        (npy(np.zeros((2, 3)))[:-8], "is no NumPy array"),
    ],
)
def test_what_is_no_matrix(tmp_path: Path, data: str | bytes, what: str) -> None:
    path = written(tmp_path / "m.csv", data)
    with pytest.raises(InputError, match=what) as error:
        read_affine(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_matrix_is_small(tmp_path: Path) -> None:
    budget = Budget(500 / Cost.TEXT.most)
    for data in (rows(MATRIX).ljust(501), npy(np.zeros((200, 3)))):
        with pytest.raises(InputError, match="bytes of text, more than the 500 that are taken"):
            read_affine(written(tmp_path / "m", data), budget)


@pytest.mark.parametrize("inputs", ["xy", "yx", "yxc", "cyx", "tczyx"])
@pytest.mark.parametrize("outputs", ["xy", "yx", "cyx"])
@pytest.mark.parametrize("form", ["affine alone", "homogeneous", "by name", "spatialdata", "names"])
def test_the_axes_of_ngff(tmp_path: Path, inputs: str, outputs: str, form: str) -> None:
    said = ngff(inputs, outputs, pixels="unit" if form == "spatialdata" else "")
    if form == "homogeneous":
        said["affine"].append([0] * len(inputs) + [1])
    if form == "by name":
        named = {**said, "input": "input", "output": "output"}
        said = {"coordinateSystems": [said["input"], said["output"]], "coordinateTransformations": [named]}
    if form == "spatialdata":
        others = [{"type": "identity", "input": said["input"]}, {"type": "sequence", "transformations": [ngff("xy")]}]
        said = {"multiscales": [{"axes": [], "coordinateTransformations": [*others, said]}]}
    if form == "names":
        said |= {"input": list(inputs), "output": list(outputs)}
    found = read_affine(written(tmp_path / "m.json", json.dumps(said)))
    assert (found.affine, found.centred, found.unit) == (MATRIX, form != "spatialdata", 0 if form == "names" else 1)


@pytest.mark.parametrize(
    ("unit", "micrometres"), [("micrometer", 1), ("nanometer", 1e-3), ("millimeter", 1e3), ("unit", 0), ("pixel", 0)]
)
def test_the_unit_of_ngff(tmp_path: Path, unit: str, micrometres: float) -> None:
    found = read_affine(written(tmp_path / "m.json", json.dumps(ngff(unit=unit))))
    assert (found.unit, found.centred) == (micrometres, unit != "unit")  # which is SpatialData's, from the corner


def mixed(row: int, column: int) -> dict[str, Any]:
    said = ngff("cyx", "cyx")
    said["affine"][row][column] = 0.5
    return said


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (ngff(type="scale"), "found 0 affines"),
        ({"type": "sequence", "transformations": [ngff()]}, "found 0 affines"),
        (ngff(input=ngff()["output"]), "is in units of 1 µm, not in pixels"),
        ({"coordinateTransformations": [ngff(), ngff()]}, "found 2 affines"),
        (ngff("ab", "xy"), r"the input of its affine has no axes x and y by name, found \['a', 'b'\]"),
        (ngff(output="somewhere"), r"the output of its affine has no axes x and y by name, found \[\]"),
        (ngff(affine=[[1, 2], [3, 4]]), "is no matrix of numbers with a row and a column for each axis"),
        (ngff(affine=[[1, 2, 3], [4]]), "is no matrix of numbers"),
        (mixed(1, 0), "mixes x and y with other axes"),
        (mixed(0, 2), "mixes x and y with other axes"),
    ],
)
def test_what_is_no_affine_of_ngff(tmp_path: Path, said: dict[str, Any], what: str) -> None:
    with pytest.raises(InputError, match=what):
        read_affine(written(tmp_path / "m.json", json.dumps(said)))


def test_a_matrix_leads_from_the_corner_of_the_first_pixel(picture: Path, tmp_path: Path) -> None:
    matrix = write_affine(tmp_path / "m.csv", MATRIX)
    found = placed(picture, georef_affine=matrix)
    assert (found.affine, found.crs, found.receipt.origin) == (MATRIX, "EPSG:3857", "affine")
    assert edges(found.bounds) == (95.5, -7, 120.5, 13)  # the box of its corners, in which y grows with the rows
    flipped = write_affine(tmp_path / "f.csv", MATRIX @ Affine(-1, 0, 40, 0, -1, 20))
    assert edges(placed(picture, georef_affine=flipped).bounds) == (120.5, 13, 95.5, -7)
    assert placed(picture, georef_affine=matrix, georef_affine_unit=2).affine == Affine.scale(2) @ MATRIX
    assert placed(picture, georef_affine=matrix, georef_offset_x=3, georef_offset_y=-4).affine == (
        Affine.translation(3, -4) @ MATRIX
    )
    centred = placed(picture, georef_affine=matrix, georef_affine_origin="center")
    assert centred.affine @ (0.5, 0.5) == MATRIX @ (0, 0)


def test_ngff_counts_from_the_centre_unless_told_otherwise(picture: Path, tmp_path: Path) -> None:
    matrix = written(tmp_path / "m.json", json.dumps(ngff(unit="millimeter")))
    found = placed(picture, georef_affine=matrix)
    assert found.affine @ (0.5, 0.5) == pytest.approx((100_500, -7000))
    assert "from the centre of the first pixel" in found.notes[0]
    found = placed(picture, georef_affine=matrix, georef_affine_origin="corner", georef_affine_unit=1000)
    assert (found.affine.almost_equals(Affine.scale(1000) @ MATRIX), len(found.notes)) == (True, 1)  # not square
    with pytest.raises(UsageError, match=r"--georef-affine-unit 1: the axes of .* have a unit of 1000 µm"):
        placed(picture, georef_affine=matrix, georef_affine_unit=1)


@pytest.mark.parametrize("options", [{"shrink_factor": 3}, {"level": 1}, {"level": 1, "shrink_factor": 2}])
def test_a_matrix_is_that_of_the_picture_at_full_size(tmp_path: Path, options: dict[str, Any]) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(noise((80, 60)), subifds=1, tile=(16, 16))
        tif.write(noise((40, 30)), subfiletype=1, tile=(16, 16))
    path = tmp_path / "a.tif"
    found = placed(path, georef_affine=write_affine(tmp_path / "m.csv", MATRIX), **options)
    whole = placed(path, georef_affine=tmp_path / "m.csv")
    assert whole.affine == MATRIX
    assert found.bounds == whole.bounds
    height, width = with_source(path, lambda source: (source.plane.height, source.plane.width), **options)
    assert width < 60
    for across, down in ((0, 0), (1, 0), (0, 1)):
        assert found.affine @ (across * width, down * height) == pytest.approx(MATRIX @ (across * 60, down * 80))


@pytest.mark.parametrize("turn", [{"rotate": 90}, {"flip_vertical": True}, {"flip_horizontal": True}])
def test_a_matrix_says_all_of_the_orientation(picture: Path, tmp_path: Path, turn: dict[str, Any]) -> None:
    matrix = write_affine(tmp_path / "m.csv", MATRIX)
    with pytest.raises(UsageError, match="lays down the picture as it is stored"):
        placed(picture, georef_affine=matrix, **turn)
    vizgen = written(tmp_path / "v.csv", "9 1 0\n0 9 0\n0 0 1")
    with pytest.raises(UsageError, match="lays down the picture as it is stored"):
        placed(picture, micron2pixel_csv=vizgen, **turn)
    straight = written(tmp_path / "v.csv", "9 0 0\n0 9 0\n0 0 1")
    assert placed(picture, micron2pixel_csv=straight, **turn)


@pytest.mark.parametrize(
    ("text", "error", "what"),
    [
        ("1 2 3\n2 4 6", InputError, "gives the picture no area"),
        ("0 0 3\n0 0 6", InputError, "gives the picture no area"),
        ("1e300 0 0\n0 1e-300 6", InputError, "gives the picture no area"),
        ("1e308 0 0\n0 1e308 0", BoundsError, "beyond all measure"),
    ],
)
def test_a_matrix_without_area(
    picture: Path, tmp_path: Path, text: str, error: type[CartloaderError], what: str
) -> None:
    with pytest.raises(error, match=what):
        placed(picture, georef_affine=written(tmp_path / "m.csv", text))


def test_a_matrix_leads_to_no_degrees(picture: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--srs EPSG:4326: is in degrees"):
        placed(picture, georef_affine=write_affine(tmp_path / "m.csv", MATRIX), srs="EPSG:4326")


def test_vizgen_turned_and_sheared(picture: Path, tmp_path: Path) -> None:
    to_pixels = Affine(9.259, 0.001, -125.5, -0.5, 9.259, -300)
    path = written(tmp_path / "v.csv", rows(to_pixels, " ") + "0 0 1")
    found = placed(picture, micron2pixel_csv=path)
    assert (to_pixels @ found.affine).almost_equals(Affine.identity(), 1e-9)
    assert found.receipt.origin == "vizgen"


@pytest.mark.parametrize("folder", [".", "images", "images/aligned"])
def test_the_pixel_of_an_alignment_is_that_of_its_run(picture: Path, tmp_path: Path, folder: str) -> None:
    run = tmp_path / "run"
    (run / folder).mkdir(parents=True)
    alignment = write_affine(run / folder / "he_imagealignment.csv", MATRIX)
    found = placed(picture, xenium_alignment=alignment)
    assert found.affine == Affine.scale(0.2125) @ MATRIX
    assert "a pixel of the DAPI image is taken for 0.2125 µm" in found.notes[0]
    manifest = written(run / "experiment.xenium", json.dumps({"pixel_size": 0.25}))
    found = placed(picture, xenium_alignment=alignment)
    assert found.affine == Affine.scale(0.25) @ MATRIX
    assert [file.name for file in found.receipt.files] == ["he_imagealignment.csv", "experiment.xenium"]
    assert manifest in inputs(params_for(picture, xenium_alignment=alignment))  # so that it counts for what was made


@pytest.mark.parametrize(
    "text", ["{}", '{"pixel_size": 0}', '{"pixel_size": "0.2125"}', '{"pixel_size": true}', "[]", "x"]
)
def test_a_run_without_a_pixel_size(picture: Path, tmp_path: Path, text: str) -> None:
    written(tmp_path / "experiment.xenium", text)
    with pytest.raises(InputError, match=r"experiment.xenium: has no pixel_size in µm; .*--georef-affine-unit"):
        placed(picture, xenium_alignment=write_affine(tmp_path / "m.csv", MATRIX))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"georef_bounds": "0,0,1,1", "georef_affine": "m"}, "--georef-bounds and --georef-affine exclude each other"),
        ({"xenium_alignment": "m", "georef_affine": "m"}, "--georef-affine and --xenium-alignment exclude"),
        ({"georef_affine": "m", "pixel_size": "1"}, "--georef-affine and --pixel-size exclude"),
        ({"georef_affine": "m", "stage_position": True}, "--georef-affine and --stage-position exclude"),
        ({"xenium_alignment": "m", "micron2pixel_csv": "m"}, "--xenium-alignment and --micron2pixel-csv exclude"),
        ({"georef_affine_unit": 2}, "--georef-affine-unit goes with --georef-affine; give both or none"),
        ({"xenium_alignment": "m", "georef_affine_origin": "center"}, "--georef-affine-origin goes with"),
        ({"landmark_model": "rigid"}, "--landmark-model goes with --georef-landmarks"),
        ({"georef_landmarks": "m", "pixel_size": "1"}, "--georef-landmarks and --pixel-size exclude"),
    ],
)
def test_options_of_a_matrix(options: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        ImportOptions.model_validate(options)


def test_the_affine_beside_the_png_places_it_again(tmp_path: Path) -> None:
    path = write_pages(tmp_path / "a.tif", [noise((60, 90))])
    matrix = write_affine(tmp_path / "m.csv", MATRIX)
    actions.ome2png(params_for(path, georef_affine=matrix, shrink_factor=3))
    out = tmp_path / "out"
    again = placed(out / "picture.transform.png", georef_affine=out / "picture.transform.affine.csv")
    assert again.affine == placed(path, georef_affine=matrix, shrink_factor=3).affine
    assert (out / "picture.transform.bounds.csv").read_text().strip() == str(again.bounds)


def test_an_archive_places_another_picture_of_its_pixel_grid(raster: Raster, tmp_path: Path) -> None:
    first, second = (raster(f"{name}.png", 20, 40, dtype=np.uint8) for name in ("first", "second"))
    matrix = write_affine(tmp_path / "m.csv", MATRIX)
    for options in ({}, {"shrink_factor": 2}):
        archive = import_picture(first, tmp_path / "out", georef_affine=matrix, **options)
        found = placed(second, georef_affine=archive)
        assert found.affine.almost_equals(MATRIX, 1e-12)
        assert (found.receipt.origin, found.receipt.files) == ("archive", (archive,))
        assert placed(second, georef_affine=archive, georef_offset_x=5).affine.c == pytest.approx(105.5)
    with pytest.raises(UsageError, match=r"has 41 × 20 pixels, and .* places a picture of 40 × 20"):
        placed(raster("third.png", 20, 41, dtype=np.uint8), georef_affine=archive)
    with pytest.raises(UsageError, match="an archive's matrix has its own origin and unit"):
        placed(second, georef_affine=archive, georef_affine_unit=2)
    with pytest.raises(UsageError, match=r"--srs EPSG:32633: .* is placed in EPSG:3857"):
        placed(second, georef_affine=archive, srs="EPSG:32633")


def test_an_archive_that_tells_nothing(picture: Path, tmp_path: Path) -> None:
    whole = import_picture(picture, tmp_path / "out", georef_bounds="0,0,40,20").read_bytes()
    for data in (whole[:60], whole[:127], whole[:200], b"PMTiles" + b"\xff" * 300):
        with pytest.raises(InputError, match=r"do not say how its picture was placed|than the .* that are taken"):
            placed(picture, georef_affine=written(tmp_path / "a.pmtiles", data))
