"""µm per pixel by the file in which an instrument says it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.places import bounds_of
from support.rasters import Raster, params_for

from cartloader_image.errors import CartloaderError, InputError, MetadataError, UsageError
from cartloader_image.images.beside import inputs
from cartloader_image.params import ImportOptions, SharedOptions
from cartloader_image.recipe.mapping import mapped_jobs
from cartloader_image.values import PixelSize

SPOTS = {"spot_diameter_fullres": 130.0, "tissue_hires_scalef": 0.25, "tissue_lowres_scalef": 0.1}
BINS = {"microns_per_pixel": 0.3, "spot_diameter_fullres": 26.6, "tissue_hires_scalef": 0.25}
FULL = 160, 120


def scales(folder: Path, facts: Any, *, beside: bool = True) -> Path:
    """``scalefactors_json.json``, and the pictures of its scales beside it."""
    folder.mkdir(exist_ok=True)
    for name in ("hires", "lowres"):
        if beside and f"tissue_{name}_scalef" in facts:
            size = (round(length * facts[f"tissue_{name}_scalef"]) for length in FULL)
            Image.new("RGB", tuple(size)).save(folder / f"tissue_{name}_image.png")
    (folder / "scalefactors_json.json").write_text(json.dumps(facts))
    return folder / "scalefactors_json.json"


def picture(path: Path, size: tuple[int, int]) -> Path:
    Image.new("RGB", size).save(path)
    return path


@pytest.mark.parametrize(("facts", "um"), [(SPOTS, 0.5), (BINS, 0.3)])
@pytest.mark.parametrize("factor", [1, 4])
def test_space_ranger_speaks_of_the_image_that_it_was_given(tmp_path: Path, facts: Any, um: float, factor: int) -> None:
    """And of those that it made of it, which are known by their sizes: the place is the same."""
    file = scales(tmp_path / "spatial", facts)
    path = picture(tmp_path / "tissue.png", (FULL[0] // factor, FULL[1] // factor))
    assert bounds_of(path, pixel_size=file) == pytest.approx((0, 0, FULL[0] * um, FULL[1] * um))


@pytest.mark.parametrize(
    ("name", "scale"),
    [("tissue_hires_image.png", 0.25), ("tissue_lowres_image.png", 0.1), ("detected_tissue_image.jpg", 0.25)],
)
def test_its_own_pictures_are_known_by_their_names(tmp_path: Path, name: str, scale: float) -> None:
    file = scales(tmp_path / "spatial", SPOTS, beside=False)
    assert bounds_of(picture(tmp_path / name, (40, 30)), pixel_size=file) == pytest.approx(
        (0, 0, 40 * 0.5 / scale, 30 * 0.5 / scale)
    )


def test_its_rounding_is_allowed_for(tmp_path: Path) -> None:
    for width in range(157, 164):  # a hires picture of 40 columns comes of each
        (tmp_path / f"{width}").mkdir()
        path = picture(tmp_path / f"{width}" / "tissue.png", (width, 120))
        assert bounds_of(path, pixel_size=scales(tmp_path / f"{width}", SPOTS))[2] == pytest.approx(width * 0.5)


@pytest.mark.parametrize(
    ("facts", "beside", "size", "words"),
    [
        (SPOTS, True, (100, 75), r"its 100 × 75 pixels fit none by tissue_hires_image.png, tissue_lowres_"),
        (SPOTS, True, (120, 160), "fit none by"),
        (SPOTS, True, (160, 130), "fit none by"),
        (SPOTS, False, FULL, r"neither its name nor a tissue_hires_image.png .* full 0.5, hires 2, lowres 5$"),
        ({**BINS, "tissue_hires_scalef": 1.003}, True, FULL, "fit full and hires by tissue_hires_image.png; give"),
    ],
)
def test_another_picture_is_refused(
    tmp_path: Path, facts: Any, beside: bool, size: tuple[int, int], words: str
) -> None:
    file = scales(tmp_path / "spatial", facts, beside=beside)
    with pytest.raises(MetadataError, match=words):
        bounds_of(picture(tmp_path / "tissue.png", size), pixel_size=file)


def test_a_picture_without_a_scale_is_refused(tmp_path: Path) -> None:
    file = scales(tmp_path / "spatial", BINS)
    with pytest.raises(MetadataError, match=r"scalefactors_json.json has no scale for it"):
        bounds_of(picture(tmp_path / "tissue_lowres_image.png", (16, 12)), pixel_size=file)


@pytest.mark.parametrize(
    ("name", "text", "um"),
    [
        ("experiment.xenium", '{"run_name": "a", "pixel_size": 0.2125}', 0.2125),
        ("x_ExptConfig.txt", "Image Rows: 4256\r\nImPixel_nm: 120.280945\r\nUpsampling Rate: 10\r\n", 0.120280945),
        (
            "S0_fov_positions_file.csv",
            "FOV,x_global_px,y_global_px,x_global_mm,y_global_mm\n1,0,90000,0,10.8\n2,4256,85744,0.51072,10.28928\n",
            0.12,
        ),
        (
            "row_fov_positions_file.csv",
            "x_global_px,x_global_mm,y_global_px,y_global_mm\n0,1,5,1\n10,1.0012,5,1\n",
            0.12,
        ),
        ("x_ExptConfig.json", '{\n  "Image Rows": "4256",\n  "ImPixel_nm": "120.280945"\n}', 0.120280945),
    ],
)
def test_instruments_speak_of_their_own_images(raster: Raster, tmp_path: Path, name: str, text: str, um: float) -> None:
    (tmp_path / name).write_text(text)
    path = raster("a.tif", 20, 40)
    assert bounds_of(path, pixel_size=tmp_path / name) == pytest.approx((0, 0, 40 * um, 20 * um))


def test_a_xenium_run_makes_no_picture_in_colour(tmp_path: Path) -> None:
    (tmp_path / "experiment.xenium").write_text('{"pixel_size": 0.2125}')
    (tmp_path / "x_ExptConfig.txt").write_text("ImPixel_nm: 120\n")
    path = picture(tmp_path / "he.png", (40, 20))
    with pytest.raises(
        UsageError, match=r"is in colour, and experiment\.xenium speaks of the images that the run itself"
    ):
        bounds_of(path, pixel_size=tmp_path / "experiment.xenium")
    assert bounds_of(path, pixel_size=tmp_path / "x_ExptConfig.txt") == pytest.approx((0, 0, 4.8, 2.4))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "says no pixel size"), ("[1]", "says no pixel size"), ("{}", "says no pixel size"),
        ('{"pixel_size": 0}', "pixel_size is '0', which is no size"),
        ('{"pixel_size": 120}', "has a pixel_size of 120, and only of experiment.xenium is it known to be in µm"),
        ('{"pixel_size": "x"}', "pixel_size is 'x', which is no size"), ('{"pixel_size": NaN}', "is 'nan'"),
        ('{"microns_per_pixel": null}', "microns_per_pixel is 'None'"), ("[" * 9999, "says no pixel size"),
        ("x_global_px,x_global_mm,y_global_px,y_global_mm\n0,0,0,0\n9,1,9,2", r"111\.111 and 222\.222 µm per pixel"),
        ("x_global_px,x_global_mm,y_global_px,y_global_mm\n5,5,5,5\n", "says no pixel size"),
        ("x_global_px,x_global_mm,y_global_px,y_global_mm\n0,0,0,0\n9,x,9,2", "says no pixel size"),
        ("x_global_px,x_global_mm,y_global_px,y_global_mm\n0,0,0,0\n9,nan,9,2", "says no pixel size"),
        ("x" * 200_000, "says no pixel size"),
        ("x_global_px,y_global_px\n0,0\n9,9\n", "says no pixel size"),
        ("ImPixel_nm: e", "ImPixel_nm is 'e'"), ("\xff", "is no text file"),
        ('{"spot_diameter_fullres": 9, "tissue_hires_scalef": -1}', "tissue_hires_scalef is '-1'"),
    ],
)  # fmt: skip
def test_a_file_without_a_size(raster: Raster, tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "s.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=rf"s\.json: .*{words}"):
        bounds_of(raster("a.tif", 20, 40), pixel_size=tmp_path / "s.json")


def test_a_file_that_is_not_there(raster: Raster, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"experiment\.xenium: cannot be read .*; check --pixel-size"):
        bounds_of(raster("a.tif", 20, 40), pixel_size=tmp_path / "experiment.xenium")


@pytest.mark.parametrize("text", ["0.5", "0.5,1", "2e-1", " 7 "])
def test_what_reads_as_numbers_is_numbers(text: str) -> None:
    assert isinstance(ImportOptions(pixel_size=text).pixel_size, PixelSize)


@pytest.mark.parametrize("text", ["./5", "5.json", "10x/0.5", "~/a", "scalefactors_json.json"])
def test_a_file_has_a_slash_or_a_suffix(text: str) -> None:
    options = ImportOptions(pixel_size=text)
    assert list(options.paths()) == ["pixel_size"]
    assert ImportOptions.model_validate(options.model_dump()) == options
    assert options.absolute().paths()["pixel_size"].is_absolute()


@pytest.mark.parametrize("text", ["0.5um", "abc", "0", "-1", "1,2,3", "nan", ""])
def test_what_is_neither(text: str) -> None:
    with pytest.raises(ValueError, match=r"or give the file that says it, such as scalefactors_json\.json"):
        ImportOptions(pixel_size=text)


def test_a_mapping_names_it_from_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "m.yaml").write_text(
        "a: {path: a.png, pixel-size: spatial/scales.json}\nb: {path: b.png, pixel_size: [1, 2]}\nc: {path: c.png, "
        "pixel_size: ./5}"
    )
    jobs = mapped_jobs(tmp_path / "run" / "m.yaml", tmp_path / "out", SharedOptions(png2pmtiles=True)).jobs
    assert [job.options.pixel_size for job in jobs] == [
        tmp_path / "run" / "spatial" / "scales.json",
        PixelSize(1, 2),
        tmp_path / "run" / "5",
    ]


def test_it_is_an_input_of_the_import(raster: Raster, tmp_path: Path) -> None:
    """Of the cache, the Makefile and the dry run, which all take theirs from here."""
    file = scales(tmp_path / "spatial", SPOTS)
    found = inputs(params_for(raster("a.tif", 20, 40), pixel_size=file))
    assert {path.name for path in found} == {
        "a.tif", "scalefactors_json.json", "tissue_hires_image.png", "tissue_lowres_image.png"
    }  # fmt: skip


@pytest.mark.parametrize("option", ["georef_bounds", "micron2pixel_csv"])
def test_one_source_of_size(raster: Raster, option: str) -> None:
    with pytest.raises((ValueError, CartloaderError), match="exclude each other"):
        bounds_of(raster("a.tif", 20, 40), **{"pixel_size": "a.json", option: "0,0,1,1"})
