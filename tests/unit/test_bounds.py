"""Files that hold bounds: a line of them, a FICTURE pixel TSV, Vizgen's matrix."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
import tifffile
from affine import Affine
from support.places import bounds_of, edges
from support.rasters import noise

from cartloader_image.budget import Budget, Cost
from cartloader_image.errors import InputError
from cartloader_image.placing.bounds import bounds_from_pixel_tsv, bounds_from_tsv, bounds_from_vizgen, micron2pixel
from cartloader_image.values import Bounds


def matrix_of(path: Path) -> Bounds:
    return bounds_from_vizgen(path, 1, 1)


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    "text",
    ["-1,2.5,3e2,-4", "-1\t2.5\t300\t-4\n", "-1,2.5,300,-4\r\n", "\n -1 2.5 300 -4 \n\n", "\ufeff-1,2.5,300,-4\r\n",
     "-1, 2.5, 300, -4"],
)  # fmt: skip
@pytest.mark.parametrize("zipped", [False, True])
def test_bounds_in_a_file(tmp_path: Path, text: str, zipped: bool) -> None:
    data = gzip.compress(text.encode()) if zipped else text.encode()
    assert edges(bounds_from_tsv(written(tmp_path / "a.tsv", data))) == (-1, 2.5, 300, -4)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"1,2,3", r"four numbers are needed \(ulx,uly,lrx,lry\), found 3"),
        (b"1,2,3,4,5", "found 5"),
        (b"1,2,x,4", "found '1,2,x,4'"),
        (b"1,2,nan,4", "found '1,2,nan,4'"),
        (b"0,0,1_0,20", "found '0,0,1_0,20'"),
        (b"", "takes one line of ulx,uly,lrx,lry, found 0 lines"),
        (b"1,2,3,4\n5,6,7,8", "found 2 lines"),
        (b"\x80\xff", "is no text file"),
        (gzip.compress(b"1,2,3,4", mtime=0)[:-9], "is no text file|cannot be read"),
        (b"\x1f\x8b" + b"\xff" * 30, "is no text file|cannot be read"),
    ],
)
def test_what_is_no_bounds_file(tmp_path: Path, data: bytes, what: str) -> None:
    with pytest.raises(InputError, match=what) as error:
        bounds_from_tsv(written(tmp_path / "a.tsv", data))
    assert str(error.value).startswith(f"{tmp_path}/a.tsv: ")
    assert "\n" not in str(error.value)


_NO_TEXT = "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"
_CUT_OFF = "Compressed file ended before the end-of-stream marker was reached"


@pytest.mark.parametrize(
    ("read", "data", "sentence"),
    [
        (bounds_from_tsv, b"", "--georef-bounds-tsv takes one line of ulx,uly,lrx,lry, found 0 lines"),
        (bounds_from_tsv, b"\xff", f"is no text file ({_NO_TEXT}); check --georef-bounds-tsv"),
        (bounds_from_pixel_tsv, b"", "its header comments have no OFFSET_X; is it a FICTURE pixel TSV?"),
        (bounds_from_pixel_tsv, b"#OFFSET_X=a", "OFFSET_X is 'a' in its header, which is no number"),
        (bounds_from_pixel_tsv, b"#OFFSET_X=1;OFFSET_Y=2\n#SIZE_X=-1;SIZE_Y=4",
         "its header says a size of -1 × 4 at 1,2, which is no area"),
        (bounds_from_pixel_tsv, gzip.compress(b"#O", mtime=0)[:-8],
         f"is no text file ({_CUT_OFF}); check --georef-pixel-tsv"),
        (matrix_of, b"a b c\n1 2 3\n4 5 6",
         "--micron2pixel-csv takes a 3×3 matrix of numbers (could not convert string to float: 'a')"),
        (matrix_of, b"1 2", "--micron2pixel-csv takes a 3×3 matrix of numbers, found 1 rows of 2 values"),
        (matrix_of, b"\xff", f"is no text file ({_NO_TEXT}); check --micron2pixel-csv"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_sentence(tmp_path: Path, read: Callable[[Path], Bounds], data: bytes, sentence: str) -> None:
    path = written(tmp_path / "a.tsv", data)
    with pytest.raises(InputError) as error:
        read(path)
    assert str(error.value) == f"{path}: {sentence}"


def test_a_missing_file_names_the_option(tmp_path: Path) -> None:
    for read, option in (
        (bounds_from_tsv, "--georef-bounds-tsv"),
        (bounds_from_pixel_tsv, "--georef-pixel-tsv"),
        (matrix_of, "--micron2pixel-csv"),
    ):
        with pytest.raises(InputError) as error:
            read(tmp_path / "none")
        assert str(error.value) == f"{tmp_path}/none: cannot be read (No such file or directory); check {option}"


FICTURE = [
    "##K=12;TOPK=3\n##OFFSET_X=-5.5;OFFSET_Y=200;SIZE_X=50;SIZE_Y=60;SCALE=100\n#BLOCK\tX\tY\n1\t2\t3\n",
    "##OFFSET_X = -5.5 ; OFFSET_Y = 200\r\n## SIZE_X = 50;SIZE_Y=60\r\n",
    "#OFFSET_X=-5.5;OFFSET_Y=2e2;SIZE_X=50.0;SIZE_Y=60",
    "#OFFSET_X=-5.5\n#OFFSET_Y=200;SIZE_X=50\n#SIZE_Y=60\nSIZE_Y=7\n",
]


@pytest.mark.parametrize("header", FICTURE)
@pytest.mark.parametrize("zipped", [False, True])
def test_the_header_of_a_pixel_tsv(tmp_path: Path, header: str, zipped: bool) -> None:
    data = gzip.compress(header.encode()) if zipped else header.encode()
    assert edges(bounds_from_pixel_tsv(written(tmp_path / "a.tsv", data))) == (-5.5, 200, 45.5, 261)


def test_a_pixel_tsv_of_one_place_is_one_unit_wide(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", "#OFFSET_X=0;OFFSET_Y=7;SIZE_X=0;SIZE_Y=0.5\n")
    assert edges(bounds_from_pixel_tsv(path)) == (0, 7, 1, 8.5)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(("read", "text"), [(bounds_from_tsv, "0,7,1,8"), (bounds_from_pixel_tsv, FICTURE[2])])
def test_a_text_is_read_to_its_limit_and_no_further(
    tmp_path: Path, read: Callable[[Path, Budget], Bounds], text: str, zipped: bool
) -> None:
    budget = Budget(100 / Cost.TEXT.most)
    for size, fits in ((100, True), (101, False)):
        data = text.ljust(size, " ").encode()
        path = written(tmp_path / "a.tsv", gzip.compress(data) if zipped else data)
        if fits:
            assert edges(read(path, budget)) == edges(read(path, Budget()))
        else:
            with pytest.raises(InputError, match="has 101 bytes of text, more than the 100 that are taken"):
                read(path, budget)


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
    assert edges(bounds_from_vizgen(path, 80, 60)) == (25, -2, 40, 8)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "takes a 3×3 matrix of numbers, found nothing"),
        ("1 0 0\n0 1 0\n", "found 2 rows of 3, 3 values"),
        ("1 0 0\n0 1\n0 0 1", "found 3 rows of 3, 2, 3 values"),
        ("1 0 0\n0 one 0\n0 0 1", "'one'"),
        ("1 0 0\n0 inf 0\n0 0 1", "finite numbers"),
        ("1 0 0\n0 1 0\n1e-9 0 1", r"last row .* is \[1e-09, 0.0, 1.0\], a perspective"),
        ("1 0 0\n0 1 0\n0 0 2", r"last row .* is \[0.0, 0.0, 2.0\], a perspective"),
        ("1 0 0\n0 1 0\n0 1 1", r"last row .* is \[0.0, 1.0, 1.0\], a perspective"),
        ("1 2 5\n2 4 0\n0 0 1", "a scale of 0"),
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
    assert edges(bounds_from_vizgen(path, 80, 60)) == edges(Bounds(100 / 9.25, -2, 160 / 9.25, 8))


@pytest.mark.parametrize(("a", "d"), [(0.125, 16), (16, 0.125), (-0.125, 16)])
@pytest.mark.parametrize("entry", ["shear x", "shear y", "tilt x", "tilt y", "one"])
def test_vizgen_shear_is_a_share_of_the_picture(tmp_path: Path, a: float, d: float, entry: str) -> None:
    """A billionth of a side at its last pixel is rounding, a tenth more is not; of 80 rows and 60 columns."""
    whole = {"shear x": d, "shear y": a, "tilt x": a / 60, "tilt y": d / 80, "one": 1}
    for share, sheared in ((0.9e-9, False), (1.1e-9, True), (-1.1e-9, True)):
        off = dict.fromkeys(whole, 0.0) | {entry: share * whole[entry]}
        rows = [[a, off["shear x"], 4], [off["shear y"], d, 4], [off["tilt x"], off["tilt y"], 1 + off["one"]]]
        path = written(tmp_path / "a.csv", "\n".join(",".join(map(repr, row)) for row in rows))
        if sheared and entry.startswith("shear"):
            assert micron2pixel(path, 80, 60) == Affine(a, off["shear x"], 4, off["shear y"], d, 4)
        elif sheared:
            with pytest.raises(InputError, match="perspective"):
                micron2pixel(path, 80, 60)
        else:
            assert micron2pixel(path, 80, 60) == Affine(a, 0, 4, 0, d, 4)
            assert edges(bounds_from_vizgen(path, 80, 60)) == (-4 / a, -4 / d, 56 / a, 76 / d)


def test_vizgen_keeps_the_extent_at_lower_levels(tmp_path: Path) -> None:
    matrix = written(tmp_path / "m.csv", "4 0 -100\n0 8 16\n0 0 1")
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(noise((80, 60)), subifds=1, tile=(16, 16))
        tif.write(noise((40, 30)), subfiletype=1, tile=(16, 16))
    for options in ({}, {"level": 1}, {"shrink_factor": 7}, {"level": 1, "shrink_factor": 2}):
        assert bounds_of(tmp_path / "a.tif", micron2pixel_csv=matrix, **options) == (25, -2, 40, 8)
