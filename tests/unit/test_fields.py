"""Fields of view as one picture: which files they are, where tables put them, and what is refused."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.rasters import noise, params_for, read_image, read_whole, with_source

from cartloader_image.budget import Cost
from cartloader_image.errors import CartloaderError, InputError, UsageError
from cartloader_image.images.beside import inputs
from cartloader_image.intensity import find_thresholds
from cartloader_image.layout import Pixels
from cartloader_image.params import ImportOptions, PixelOptions, SharedOptions
from cartloader_image.placing.doubts import doubts
from cartloader_image.placing.placement import place
from cartloader_image.recipe.mapping import mapped_jobs, settled_images
from cartloader_image.window import windows

CORNERS = {"fov_axes": "right,up", "fov_corner": "lower-left"}
SIZE = {"pixel_size": "0.12"}
TABLE = "FOV,x_global_px,y_global_px,x_global_mm,y_global_mm\n"


def fields(folder: Path, positions: dict[int, tuple[float, float]], suffix: str = "TIF", **more: Any) -> Path:
    """Pictures of 20 × 30 pixels of fields, the table of their positions, and the first picture."""
    for fov in positions:
        path = folder / f"S1_F{fov:05}.{suffix}"
        if suffix == "TIF":
            tifffile.imwrite(path, noise((2, 20, 30), np.uint16, fov), photometric="minisblack", **more)
        else:
            Image.fromarray(noise((20, 30, 3), np.uint8, fov)).save(path, **more)
    rows = (f"{fov},{x},{y},{x * 0.00012},{y * 0.00012}\n" for fov, (x, y) in positions.items())
    (folder / "positions.csv").write_text(TABLE + "".join(rows))
    return folder / f"S1_F{min(positions):05}.{suffix}"


PLACES = st.integers(-60, 60).map(lambda number: number * 5 + number % 7 / 7)
"""Pixels, none half-way between two, and none on another when rounded."""
AXES = st.sampled_from(["right,up", "right,down", "left,up", "left,down"])


@settings(max_examples=20)
@given(
    st.lists(st.tuples(PLACES, PLACES), min_size=1, max_size=5, unique=True),
    AXES,
    st.sampled_from(["upper-left", "upper-right", "lower-left", "lower-right"]),
)
def test_each_field_lies_within_half_a_pixel_of_its_position(
    tmp_path_factory: pytest.TempPathFactory, positions: list[tuple[float, float]], axes: str, corner: str
) -> None:
    folder = tmp_path_factory.getbasetemp() / "fields"
    folder.mkdir(exist_ok=True)
    image = fields(folder, dict(enumerate(positions, 1)))
    options = {"fov_positions": folder / "positions.csv", "fov_axes": axes, "fov_corner": corner, "page": 1} | SIZE
    params = params_for(image, **options)

    def look(source: Any) -> tuple[Affine, Pixels]:
        return place(source, params).affine, read_whole(source.plane)

    affine, mosaic = with_source(image, look, **options)
    assert (affine.a, affine.e) == pytest.approx(
        (0.12 * (1 if "right" in axes else -1), 0.12 * (-1 if "up" in axes else 1))
    )
    x, y = (0.12 * value for value in positions[-1])
    column, row = ~affine @ (x, y)
    column -= 30 if corner.endswith("right") else 0
    row -= 20 if corner.startswith("lower") else 0
    assert max(abs(column - round(column)), abs(row - round(row))) <= 0.5 + 1e-6
    top, left = round(row), round(column)
    found = mosaic[top : top + 20, left : left + 30, 0]
    np.testing.assert_array_equal(found, noise((2, 20, 30), np.uint16, len(positions))[1])  # the last one is above all


def test_the_size_of_pixels_is_that_of_the_table(tmp_path: Path) -> None:
    image = fields(tmp_path, {1: (100, 900), 2: (130, 880)}, "jpg")
    options = {"fov_positions": tmp_path / "positions.csv", **CORNERS}
    params = params_for(image, **options)
    placement = with_source(image, lambda source: place(source, params), **options)
    assert placement.affine[:6] == pytest.approx((0.12, 0, 12, 0, -0.12, 0.12 * 920))
    assert placement.receipt.origin == "fields of view"
    assert placement.receipt.files == (tmp_path / "positions.csv",)


def test_quantiles_are_those_of_real_pixels(tmp_path: Path) -> None:
    """Of what is in the mosaic: overlaps count once, gaps do not."""
    image = fields(tmp_path, {1: (0, 0), 2: (25, 15), 9: (200, 300)})
    options = {"fov_positions": tmp_path / "positions.csv", "page": 0, **CORNERS}
    mosaic = read_image(image, **options)
    values = mosaic[mosaic[..., 1] > 0, 0]
    assert len(values) == 3 * 600 - 25

    def thresholds(source: Any) -> float:
        def blocks(_: Any, work: Any) -> Iterator[Any]:
            plane = source.plane
            return (work(plane.read(window)) for window in windows(plane.height, plane.width, plane.block))

        options = PixelOptions(upper_thres_quantile=0.3)
        return find_thresholds(source.plane.dtype, 1, options, blocks, masked=source.plane.masked).high.value

    assert with_source(image, thresholds, **options) == np.quantile(values, 0.3, method="inverted_cdf")


def test_mm_alone_take_a_number(tmp_path: Path) -> None:
    image = fields(tmp_path, {1: (0, 0), 2: (30, 0)})
    (tmp_path / "positions.csv").write_text("Slide,FOV,X_mm,Y_mm\n3,1,0.5,13\n3,2,0.5036,13\n")
    options = {"fov_positions": tmp_path / "positions.csv", "page": 0, **CORNERS}
    found = read_image(image, **options, **SIZE)
    np.testing.assert_array_equal(found, np.hstack([noise((2, 20, 30), np.uint16, n)[0] for n in (1, 2)]))
    with pytest.raises(UsageError, match=r"positions\.csv: has positions in mm alone; give the µm per pixel"):
        read_image(image, **options)


def test_what_has_no_picture_or_no_position_is_noted(tmp_path: Path) -> None:
    image = fields(tmp_path, {1: (0, 0), 2: (30, 0), 3: (60, 0)})
    (tmp_path / "positions.csv").write_text(f"{TABLE}4,90,0,0,0\n1,0,0,0,0\n2,30,0,0,0\n")
    options = {"fov_positions": tmp_path / "positions.csv", "page": 0, **CORNERS, **SIZE}
    assert with_source(image, lambda source: source.notes, **options) == (
        "field 4 of positions.csv has no picture beside it",
        "field 3 is left out, without a position in positions.csv",
    )
    assert read_image(image, **options).shape == (20, 60)


def refused(tmp_path: Path, table: str, words: str, **options: Any) -> None:
    (tmp_path / "positions.csv").write_text(table)
    given = {"fov_positions": tmp_path / "positions.csv", "page": 0, **CORNERS, **SIZE} | options
    with pytest.raises(CartloaderError, match=words) as error:
        read_image(tmp_path / "S1_F00001.TIF", **given)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "FOV, x_global_px and y_global_px, or with x_global_mm and y_global_mm, or X_mm and Y_mm; found nothing"),
        ("x_global_px,y_global_px\n1,2", "found x_global_px, y_global_px"),
        ("fov,x_global_px,y_global_px,X_global_px\n1,2,3,4", "found fov, x_global_px, y_global_px, x_global_px"),
        (f"{TABLE}1,0,0\n1,9,9\n", r"positions\.csv: has field 1 twice; keep the lines of one slide"),
        (f"{TABLE}1,0\n", r"line 2 has no number and position of a field"),
        (f"{TABLE}1,nan,0\n", r"line 2 has no number and position of a field"),
        (f"{TABLE}2,0,0\n", r"S1_F00001\.TIF: positions\.csv has no position of field 1"),
        (f"{TABLE}1,0,0\n2,1e308,-1e308\n", r"line 3 has no number and position of a field"),
        (f"{TABLE}1,0,0\n2,1e20,0\n", r"line 3 has no number and position of a field"),
        ("FOV,x_global_px,y_global_px\n'1',1,0,0\n", r"line 2 has more cells than there are names of columns"),
        (f"{TABLE}1,0,0\n2,0,0.4\n", r"positions\.csv: has fields 1 and 2 at one place; keep the line of the one"),
        (f"{TABLE}1,0,0\n2,1e9,1e9\n", r"positions\.csv: has .* pixels in a plane, more than the"),
    ],
)
def test_what_is_no_table_of_positions(tmp_path: Path, table: str, words: str) -> None:
    fields(tmp_path, {1: (0, 0), 2: (30, 0)})
    refused(tmp_path, table, words)


def test_what_is_no_set_of_fields(tmp_path: Path) -> None:
    fields(tmp_path, {1: (0, 0), 2: (30, 0)})
    table = (tmp_path / "positions.csv").read_text()
    refused(tmp_path, table, "--z-stack: does not go with --fov-positions", z_stack="*.TIF", z_project="max", page=None)
    refused(tmp_path, table, "--level: does not go with --fov-positions", level=1)
    tifffile.imwrite(tmp_path / "S1_F00002.TIF", noise((2, 20, 31), np.uint16), photometric="minisblack")
    refused(
        tmp_path,
        table,
        r"F00002\.TIF: is 31 × 20 uint16, .*, and S1_F00001\.TIF beside it is 30 × 20 uint16, .*; fields",
    )
    tifffile.imwrite(tmp_path / "S1_F00002.TIF", noise((2, 20, 30), np.uint8), photometric="minisblack")
    refused(tmp_path, table, r"F00002\.TIF: is 30 × 20 uint8, .*, and")
    (tmp_path / "S1_F002.tif").touch()
    refused(tmp_path, table, r"S1_F002\.tif: is a picture of field 2, as S1_F00002\.TIF is; keep those of one run")
    (tmp_path / "S1_F00001.TIF").rename(tmp_path / "S1.TIF")
    with pytest.raises(UsageError, match=r"S1\.TIF: .* its number at the end of its name, such as CellComposite_F001"):
        read_image(tmp_path / "S1.TIF", fov_positions=tmp_path / "positions.csv", page=0, **CORNERS)


def transcripts(folder: Path, *rows: str) -> Path:
    (folder / "tx.csv").write_text("\n".join(["fov,x_local_px,y_local_px,x_global_px,y_global_px", *rows]))
    return folder / "tx.csv"


def upright(fov: int, x: float, y: float) -> tuple[str, str]:
    """Two transcripts of a field whose lower left corner is at a place of the slide, y upwards."""
    return f"{fov},2,2,{x + 2},{y + 18}", f"{fov},28,17,{x + 28},{y + 3}"


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            ["1,2,2,100,200"],
            r"has transcripts of 0 fields of .*positions\.csv, too few to tell how these lie in x and in",
        ),
        ([*upright(1, 0, 0)], r"has transcripts of 1 fields of .*; thin it out to some of each field, or give both"),
        ([*upright(7, 0, 0)], r"has transcripts of 0 fields of .*positions\.csv"),
        (
            ["1,2,2,100,200", "1,20,20,136,164", *upright(2, 30, 0)],
            "field 1 are not its .* stretched by 2 and -2; give",
        ),
        (["1,2,2,100,200", "1,90,20,188,182", *upright(2, 30, 0)], "1 reach 90 × 20 pixels, and its picture has 30"),
        (
            [*upright(1, 0, 0), *upright(2, 36, 0)],
            r"does not have its fields where .*positions\.csv has them; give the",
        ),
        (
            ["1,2,2,100,200", "1,20,18,118,216", "2,2,2,130,200", "2,20,18,148,216"],
            "does not tell whether its y_local_px .* --fov-axes right,down if from above, or right,up if from below",
        ),
        (["1,2,2,100,x"], "a line of it lacks a number of fov"),
        (["'1',1,2,2,100,200"], "a line of it has more cells than there are names of columns"),
        (
            [*upright(1, 90, 0), *upright(2, 120, 0)],
            r"has its fields 90 and 20 pixels away from where .*positions\.csv has",
        ),
    ],
)
def test_transcripts_that_tell_nothing(tmp_path: Path, rows: list[str], words: str) -> None:
    fields(tmp_path, {1: (0, 0), 2: (30, 0)})
    tables = {"fov_transcripts": transcripts(tmp_path, *rows), "fov_axes": None, "fov_corner": None}
    refused(tmp_path, (tmp_path / "positions.csv").read_text(), words, **tables)
    (tmp_path / "tx.csv").write_text("fov,x,y\n")
    refused(tmp_path, (tmp_path / "positions.csv").read_text(), "it has no x_local_px", **tables)


def test_tables_in_any_case_with_blank_lines_and_those_of_windows(tmp_path: Path) -> None:
    image = fields(tmp_path, {1: (0, 0), 2: (30, 0)})
    for path in (tmp_path / "positions.csv", transcripts(tmp_path, *upright(1, 40, 0), *upright(2, 70, 0))):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().upper().replace(b",", b" ,").replace(b"\n", b"\r\n\r\n"))
    options = {"fov_positions": tmp_path / "positions.csv", "fov_transcripts": tmp_path / "tx.csv", "page": 0}
    params = params_for(image, **options)
    placement = with_source(image, lambda source: place(source, params), **options)
    assert placement.affine[:6] == pytest.approx((0.12, 0, 4.8, 0, -0.12, 2.4))


@pytest.mark.parametrize(
    ("axes", "rows", "told"),
    [("left,up", upright, "right,up"), ("right,down", upright, "right,up"), ("right,up", upright, "")],
)
def test_axes_that_transcripts_speak_against_are_noted(tmp_path: Path, axes: str, rows: Any, told: str) -> None:
    image = fields(tmp_path, {1: (0, 0), 2: (30, 0)})
    table = transcripts(tmp_path, *rows(1, 0, 0), *rows(2, 30, 0))
    options = {"fov_positions": tmp_path / "positions.csv", "fov_transcripts": table, "fov_axes": axes, "page": 0}
    notes = with_source(image, lambda source: source.notes, **options)
    assert notes == ((f"--fov-axes {axes} is not what tx.csv has ({told}); is it right?",) if told else ())


def test_pixels_of_another_size_than_positions_have_are_noted(tmp_path: Path) -> None:
    image = fields(tmp_path, {1: (0, 0), 2: (30, 0)})
    options = {"fov_positions": tmp_path / "positions.csv", "page": 0, **CORNERS}

    def doubted(size: str) -> list[str]:
        params = params_for(image, pixel_size=size, **options)
        return with_source(image, lambda source: list(doubts(source, place(source, params), params)), **options)

    (note,) = doubted("0.18")
    assert note == (
        "its pixels are 0.18 × 0.18 µm where it is put, and 0.12 × 0.12 µm by the positions of its fields; is it the "
        "right place?"
    )
    assert not doubted("0.1203")
    table = (tmp_path / "positions.csv").read_text()
    (tmp_path / "positions.csv").write_text(table.replace("0.0036", "3.6"))
    params = params_for(image, **options)
    with pytest.raises(InputError, match="120 µm per pixel apart; give one size with --pixel-size"):
        with_source(image, lambda source: place(source, params), **options)


@pytest.mark.parametrize(("step", "share"), [(23, 0), (22, 27), (-22, 27), (4, 87)])
def test_fields_that_share_much_are_noted(tmp_path: Path, step: int, share: int) -> None:
    """As where pictures were enlarged, or positions in mm are taken by pixels that are too large."""
    image = fields(tmp_path, {1: (0, 0), 2: (0, 40), 3: (step, 40)})
    options = {"fov_positions": tmp_path / "positions.csv", "page": 0, **CORNERS}
    note = f"fields 2 and 3 share {share}%; are pictures and pixels of the right size?"
    assert with_source(image, lambda source: source.notes, **options) == ((note,) if share else ())


def test_pictures_of_other_kinds_beside_it_are_left_out(tmp_path: Path) -> None:
    """Of another slide, or drawn in another way; not those that were taken after an interruption."""
    image = fields(tmp_path, {1: (0, 0), 2: (30, 0), 3: (60, 0)})
    (tmp_path / "S1_F00003.TIF").rename(tmp_path / "S2_F00003.TIF")
    (tmp_path / "S1_F00002.TIF").rename(tmp_path / "20260101_000000_S1_F00002.TIF")
    options = {"fov_positions": tmp_path / "positions.csv", "page": 0, **CORNERS}
    assert with_source(image, lambda source: source.notes, **options) == (
        "field 3 of positions.csv has no picture beside it",
    )


def test_stains_are_in_one_order(tmp_path: Path) -> None:
    """The page that was chosen would be another stain in some of the fields."""
    fields(tmp_path, {1: (0, 0), 2: (30, 0)}, description='{"ChannelOrder": "BG"}')
    table = (tmp_path / "positions.csv").read_text()
    pixels = noise((2, 20, 30), np.uint16)
    other = {"photometric": "minisblack", "description": '{"ChannelOrder": "GB"}'}
    tifffile.imwrite(tmp_path / "S1_F00002.TIF", pixels, **other)
    refused(tmp_path, table, r"F00002\.TIF: its pages are the stains GB, and those of S1_F00001\.TIF beside it are BG;")
    tifffile.imwrite(tmp_path / "S1_F00002.TIF", pixels[[0, 1, 0]], **other)
    refused(
        tmp_path, table, r"F00002\.TIF: is 30 × 20 uint16, plane 0 of 3 \(page=0\), and S1_F00001\.TIF beside it is"
    )


def test_positions_may_run_against_the_transcripts(tmp_path: Path) -> None:
    """As in some exports of AtoMx 1.3.2, where they are turned by half a turn: the transcripts are what is laid on."""
    image = fields(tmp_path, {1: (0, 0), 2: (-30, 0), 3: (-30, -20)})
    table = transcripts(tmp_path, *upright(1, 500, 900), *upright(2, 530, 900), *upright(3, 530, 920))
    options = {"fov_positions": tmp_path / "positions.csv", "fov_transcripts": table, "page": 0}
    (note,) = with_source(image, lambda source: source.notes, **options)
    assert note == "x and y of positions.csv run against tx.csv, which is taken to be right"
    found = read_image(image, **options)
    one, two, three = (noise((2, 20, 30), np.uint16, n)[0] for n in (1, 2, 3))
    np.testing.assert_array_equal(found[:20, 30:, 0], three)
    np.testing.assert_array_equal(found[20:, :, 0], np.hstack([one, two]))
    slide = with_source(image, lambda source: source.slide, **options)
    assert slide[:6] == (1, 0, 500, 0, -1, 940)


@pytest.mark.parametrize("zipped", [False, True])
def test_transcripts_are_looked_through_until_fields_enough_are_seen(
    tmp_path: Path, zipped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not just the first lines, which are those of one field; but no more than a limit."""
    monkeypatch.setattr("cartloader_image.system.texts._STEP", 1 << 16)
    many = [line for fov in (1, 2, 3) for line in (upright(fov, *{1: (0, 0), 2: (30, 0), 3: (30, 20)}[fov]) * 6000)]
    image = fields(tmp_path, {1: (0, 0), 2: (30, 0), 3: (30, 20)})
    table = transcripts(tmp_path, *many)
    if zipped:
        table.write_bytes(gzip.compress(table.read_bytes(), 1))
    options = {"fov_positions": tmp_path / "positions.csv", "fov_transcripts": table, "page": 0}
    monkeypatch.setattr(Cost.TEXT, "most", 50_000)
    assert with_source(image, lambda source: source.slide, **options)[:6] == (1, 0, 0, 0, -1, 40)
    monkeypatch.setattr(Cost.TABLE, "most", 150_000)
    if zipped:
        with pytest.raises(InputError, match="transcripts of 1 fields of"):
            read_image(image, **options)


def test_positions_alone_do_not_do() -> None:
    """Neither the table nor the pictures tell which corner is meant, and which way y runs."""
    with pytest.raises(ValueError, match=r"give the \*_tx_file\.csv of the run with --fov-transcripts, or both"):
        ImportOptions(fov_positions="a.csv", fov_axes="right,up")
    with pytest.raises(ValueError, match="--fov-corner goes with --fov-positions"):
        ImportOptions(fov_corner="lower-left")
    with pytest.raises(ValueError, match="exclude each other"):
        ImportOptions(fov_positions="a.csv", georef_bounds="0,0,1,1", **CORNERS)


def test_each_field_is_an_input(tmp_path: Path) -> None:
    image = fields(tmp_path, {1: (0, 0), 2: (30, 0)})
    transcripts(tmp_path)
    params = params_for(image, fov_positions=tmp_path / "positions.csv", fov_transcripts=tmp_path / "tx.csv", page=0)
    assert sorted(path.name for path in inputs(params)) == ["S1_F00001.TIF", "S1_F00002.TIF", "positions.csv", "tx.csv"]
    (tmp_path / "m.yaml").write_text(
        "a: {path: S1_F00001.TIF, page: 0, fov-positions: positions.csv, fov_axes: [right, up], fov-corner: lower-left}"
    )
    jobs = mapped_jobs(tmp_path / "m.yaml", tmp_path / "map", SharedOptions(png2pmtiles=True)).jobs
    assert jobs[0].options.fov_positions == tmp_path / "positions.csv"
    for path in tmp_path.iterdir():
        os.utime(path, (1e9, 1e9))
    first = settled_images(jobs, 60)
    os.utime(tmp_path / "S1_F00002.TIF")
    assert (list(first), settled_images(jobs, 60)) == (["a"], {})


def test_damage_is_told_of_the_field_that_has_it(tmp_path: Path) -> None:
    image = fields(tmp_path, {1: (0, 0), 2: (30, 0)}, compression="zlib", rowsperstrip=5)
    data = bytearray((tmp_path / "S1_F00002.TIF").read_bytes())
    with tifffile.TiffFile(tmp_path / "S1_F00002.TIF") as file:
        offset = file.pages[0].dataoffsets[1]
    data[offset : offset + 40] = bytes(40)
    (tmp_path / "S1_F00002.TIF").write_bytes(data)
    options = {"fov_positions": tmp_path / "positions.csv", "page": 0, **CORNERS}
    with pytest.raises(InputError, match=r"S1_F00002\.TIF: .* strip 1"):
        read_image(image, **options)

    def found(source: Any) -> tuple[str, ...]:
        read_whole(source.plane)
        return tuple(source.found())

    (note,) = with_source(image, found, damaged="keep", **options)
    assert note.startswith("S1_F00002.TIF: ")
