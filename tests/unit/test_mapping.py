"""From a mapping to jobs: options are merged before they are checked, paths are found, one bad path stops no other."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cartloader_flows.cli.main import main
from cartloader_image.errors import UsageError
from cartloader_image.params import ImportOptions, SharedOptions
from cartloader_image.recipe.job import ImageJob
from cartloader_image.recipe.mapping import mapped_jobs, settled_images
from cartloader_image.values import Bounds, PixelSize, Rgb

TILES = SharedOptions(png2pmtiles=True)


def mapping(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "m.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def jobs_of(tmp_path: Path, content: object, options: SharedOptions = TILES, **more: Any) -> dict[str, ImageJob]:
    jobs = mapped_jobs(mapping(tmp_path, content), tmp_path / "map", options, **more).jobs
    return {job.out.img_id: job for job in jobs}


def only_job(tmp_path: Path, entry: object, options: SharedOptions = TILES, **more: Any) -> ImageJob:
    return jobs_of(tmp_path, {"a": entry}, options, **more)["a"]


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(30 * 20, dtype=np.uint16).reshape(20, 30).astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize(
    ("shared", "own"),
    [
        ({"georeference": True}, {"georef_bounds": "0,0,1,1"}),
        ({"tile_quality": 70}, {"tile-format": "webp-lossy"}),
        ({"engine": "native"}, {"pmtiles": "pmtiles", "tile_format": "webp"}),
        ({"min_zoom": 9}, {"max_zoom": "10"}),
        ({"upper_thres_intensity": 9}, {"lower_thres_intensity": "1e0"}),
    ],
)
def test_options_that_complete_each_other_fit(tmp_path: Path, shared: dict[str, Any], own: dict[str, Any]) -> None:
    expected = ImportOptions.model_validate(
        {"png2pmtiles": True} | {k.replace("-", "_"): v for k, v in (shared | own).items()}
    )
    assert only_job(tmp_path, {"path": "a.png", **own}, SharedOptions(png2pmtiles=True, **shared)).options == expected
    swapped = SharedOptions.model_validate({"png2pmtiles": True} | {k.replace("-", "_"): v for k, v in own.items()})
    assert only_job(tmp_path, {"path": "a.png", **shared}, swapped).options == expected


@pytest.mark.parametrize(
    ("shared", "own", "words"),
    [
        ({"tile_quality": 70}, {}, "--tile-quality is for webp-lossy and jpeg"),
        ({"page": 1}, {"channel": "DAPI"}, "--page and --channel exclude each other"),
        ({"max_zoom": 8}, {"min_zoom": 9}, "--min-zoom 9 must not be above --max-zoom 8"),
        ({}, {"page": "1.5"}, "--page 1.5: should be a valid integer"),
        ({}, {"mono": "maybe"}, "--mono maybe: should be a valid boolean"),
        ({}, {"channel": "a\0b"}, r"--channel 'a\x00b' holds a NUL character"),
        ({}, {"srs": "\ud800"}, r"--srs '\ud800' holds half of a surrogate pair"),
        ({}, {"n_jobs": 2}, "--n-jobs is no option"),
    ],
)
def test_what_is_wrong_once_merged_names_image_and_option(
    tmp_path: Path, shared: dict[str, Any], own: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        only_job(tmp_path, {"path": "a.png", **own}, SharedOptions(png2pmtiles=True, **shared))
    assert f"m.json: a: {words}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("page", "010", 10),
        ("colorize", "000777", Rgb(0, 7, 119)),
        ("channel", "007", "007"),
        ("georef_bounds", [1, -2.50, 3, 4], Bounds(1, -2.5, 3, 4)),
        ("pixel_size", 0.2125, PixelSize(0.2125, 0.2125)),
        ("mono", "yes", True),
        ("mono", "Off", False),
        ("georef_detect", True, "OME"),
        ("georef_detect", "no", None),
        ("rotate", 90, 90),
        ("blocksize", "256", 256),
        ("nodata", "none", "none"),
    ],
)
def test_values_are_read_as_those_of_the_command_line(
    tmp_path: Path, name: str, value: object, expected: object
) -> None:
    assert getattr(only_job(tmp_path, {"path": "a.png", name: value}).options, name) == expected


def test_what_is_not_chosen_does_not_matter(tmp_path: Path) -> None:
    others = {"sge": {"transcripts": ["a.tsv"], "page": [[1]]}, "twice": {"path": "b", "page": 1, "PAGE": 1}}
    assert list(jobs_of(tmp_path, {"a": "a.png", **others}, img_ids=["a"])) == ["a"]
    with pytest.raises(UsageError, match=r"m\.json: sge needs a path"):
        jobs_of(tmp_path, {"a": "a.png", **others})


def test_paths_lie_beside_the_mapping_or_else_in_the_working_directory(tmp_path: Path) -> None:
    here, maps = tmp_path / "here", tmp_path / "maps"
    maps.mkdir()
    for path in (here / "both.png", maps / "both.png", here / "far" / "a.png"):
        picture(path)
    (here / "bounds.tsv").write_text("0,0,1,1")
    entry = {"path": "far/a.png", "georef_bounds_tsv": "bounds.tsv", "gdaladdo": "far/a.png", "catalog_yaml": "c.yaml"}
    jobs = jobs_of(maps, {"a": entry, "b": "both.png", "c": "nowhere.png"}, elsewhere=here)
    options = jobs["a"].options
    assert [job.in_img for job in jobs.values()] == [here / "far" / "a.png", maps / "both.png", maps / "nowhere.png"]
    assert (options.georef_bounds_tsv, options.catalog_yaml) == (here / "bounds.tsv", maps / "c.yaml")
    assert options.gdaladdo == str(here / "far" / "a.png")
    taken = [note for note in jobs["a"].notes if "taken from the working directory" in note]
    assert [note.split()[0] for note in taken] == ["far/a.png", "bounds.tsv", "far/a.png"]
    assert not jobs["b"].notes
    assert not jobs["c"].notes
    # A worker's working directory means nothing.
    assert only_job(maps, "far/a.png").in_img == maps / "far" / "a.png"


@pytest.mark.parametrize("beside", [True, False])
def test_a_program_given_by_its_path_is_beside_the_mapping_and_one_by_its_name_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    where = tmp_path if beside else tmp_path / "elsewhere"
    where.mkdir(exist_ok=True)
    monkeypatch.chdir(where)
    (tmp_path / "tool.sh").touch()
    mapping(tmp_path, {"a": {"path": "a.png", "pmtiles": "./tool.sh", "gdaladdo": "tool.sh"}})
    in_json = Path("m.json") if beside else Path("../m.json")
    (job,) = mapped_jobs(in_json, tmp_path / "map", TILES, elsewhere=Path.cwd()).jobs
    assert job.options.pmtiles
    assert Path(job.options.pmtiles).is_absolute()
    assert Path(job.options.pmtiles).samefile(tmp_path / "tool.sh")
    assert job.options.gdaladdo == "tool.sh"


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    entry = {"path": "~/a.png", "georef_bounds_tsv": "~/b.tsv", "pmtiles": "~/bin/pmtiles"}
    job = only_job(tmp_path, entry)
    assert job.in_img == tmp_path / "home" / "a.png"
    assert job.options.georef_bounds_tsv == tmp_path / "home" / "b.tsv"
    assert job.options.pmtiles == str(tmp_path / "home" / "bin" / "pmtiles")
    typed = SharedOptions.model_validate({"catalog_yaml": "~/c.yaml"})
    assert typed.catalog_yaml == tmp_path / "home" / "c.yaml"
    for odd in ("~nobody-there/a.png", "a~/b.png", "./~/a.png"):
        assert only_job(tmp_path, odd).in_img == tmp_path / odd


def test_the_command_line_knows_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    picture(tmp_path / "a.png")
    argv = ["import_image", "--direct", "--png2pmtiles", "--in-img=~/a.png", "--out-dir=~/map", "--img-id=a"]
    assert main([*argv, "--georef-bounds=0,0,30,20", "--makefn=~/a.mk"]) == 0
    assert (tmp_path / "map" / "a.pmtiles").exists()
    assert (tmp_path / "a.mk").exists()


BAD = {"nul": "a\0.png", "half": "\ud800.png", "other half": "\udfff.png"}


@pytest.mark.parametrize("path", BAD.values(), ids=BAD)
@pytest.mark.parametrize("option", ["path", "georef_bounds_tsv", "catalog_yaml", "gdaladdo"])
def test_a_path_that_cannot_be_is_the_failure_of_its_image(
    tmp_path: Path, path: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(tmp_path / "a.png")
    given = f"./{path}"
    bad = {"path": "a.png", "georef_bounds": "0,0,3,2"} | {option: given}
    if option == "georef_bounds_tsv":
        del bad["georef_bounds"]
    many = mapping(tmp_path, {"bad": bad, "good": {"path": "a.png", "georef_bounds": "0,0,3,2"}})
    argv = ["import_image", "--png2pmtiles", "--update-catalog", "--in-json", str(many), "--out-dir"]
    for out, mode in (("map", "--direct"), ("dry", "--dry-run")):
        assert main([*argv, str(tmp_path / out), mode]) == 1
        err = capsys.readouterr().err
        assert repr(given) in err
        assert "this is a bug" not in err
    assert sorted(file.name for file in (tmp_path / "map").iterdir()) == [
        "catalog.yaml",
        "good.geotif.tif",
        "good.json",
        "good.pmtiles",
        "good_assets.json",
    ]
    job = mapped_jobs(many, tmp_path, TILES).jobs[0]
    assert ImageJob.model_validate_json(job.model_dump_json()) == job, "it survives JSON, as Prefect has it"


def test_a_name_that_is_no_text_is_for_runs_without_prefect(
    slide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    slide = slide.rename(folder / "a.ome.tif")
    argv = [
        "import_image",
        "--png2pmtiles",
        "--in-img",
        str(slide),
        "--img-id",
        "a",
        "--out-dir",
        str(tmp_path / "map"),
    ]
    assert main(argv) == 2
    assert (
        "is not in UTF-8, which Prefect's records need; rename it, or go without Prefect by --direct"
        in capsys.readouterr().err
    )
    assert main([*argv, "--direct"]) == 0


def test_what_has_no_path_is_left_out_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(tmp_path / "a.png")
    lacking = {"boundary": None, "rna": {"path": None}, "protein": {"path": ""}}
    many = mapping(tmp_path, {"a": {"path": "a.png", "georef_bounds": "0,0,3,2", "page": None}, **lacking})
    asked = mapped_jobs(many, tmp_path / "map", TILES)
    assert [job.out.img_id for job in asked.jobs] == ["a"]
    assert asked.notes == ("m.json: boundary, rna, protein left out, without a path",)
    argv = ["import_image", "--direct", "--png2pmtiles", "--in-json", str(many), "--out-dir", str(tmp_path / "map")]
    assert main(argv) == 0
    out, err = capsys.readouterr()
    assert out.endswith(f"note: {asked.notes[0]}\n")
    assert f"note: {asked.notes[0]}\n" in err
    with pytest.raises(UsageError, match="boundary has no path, so that there is nothing to import"):
        mapped_jobs(many, tmp_path / "map", TILES, ["a", "boundary"])


def test_images_that_cannot_be_looked_at_are_there_to_fail(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "loop").symlink_to("loop")
    bad = {"below": "a.png/b.png", "loop": "loop", "long": "x" * 300 + ".png", "nul": "a\0b.png"}
    jobs = mapped_jobs(mapping(tmp_path, {"a": "a.png", "gone": "gone.png", **bad}), tmp_path / "map", TILES).jobs
    found = settled_images(jobs, 0)
    assert set(found) == {"a", *bad}
    assert found == settled_images(jobs, 0)


def test_archives_that_are_there_enter_the_catalog(
    slide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "map"
    argv = ["import_image", "--direct", "--out-dir", str(out)]
    assert main([*argv, "--png2pmtiles", "--in-img", str(slide), "--img-id", "there"]) == 0
    (out / "none.pmtiles").write_bytes(b"no archive at all")
    (out / "folder.pmtiles").mkdir()
    many = mapping(tmp_path, dict.fromkeys(["missing", "there", "none", "folder"], "gone.tif"))
    assert main([*argv, "--update-catalog", "--in-json", str(many)]) == 1
    printed = capsys.readouterr()
    assert "+ basemap there" in printed.out
    assert "3 of 4 images failed: missing, none, folder" in printed.err
    assert "basemap:\n    there: there.pmtiles\n" in (out / "catalog.yaml").read_text()
    before = (out / "catalog.yaml").read_bytes()
    assert main([*argv, "--update-catalog", "--in-json", str(many), "--img-id", "missing"]) == 1
    assert (out / "catalog.yaml").read_bytes() == before
