"""From a mapping and options to jobs, and from attempts to one result."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from support.archives import WORLD, encoded, write_archive
from support.maps import write_ome
from support.rasters import noise

from cartloader_image.action_params import (
    Ome2PngParams,
    OutputPrefix,
    RasterParams,
    UpdateCatalogParams,
)
from cartloader_image.errors import CatalogError, InputError, UsageError
from cartloader_image.options import Options
from cartloader_image.params import ImportOptions
from cartloader_image.recipe.job import ImageJob, check_out_dir, explain, single_job
from cartloader_image.recipe.mapping import mapped_jobs
from cartloader_image.recipe.plan import AnyStep
from cartloader_image.recipe.run import gather, import_one
from cartloader_image.report import Report
from cartloader_image.results import CatalogResult, ImageResult, RasterResult, RunError, TilesResult
from cartloader_image.values import Bounds

OPTIONS = ImportOptions(png2pmtiles=True)


class Recorder:
    """Carries out steps by remembering what they ask for."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Options]] = []

    def __call__(self, step: AnyStep, _report: Report) -> RasterResult | TilesResult:
        self.calls.append((step.name, step.params))
        files = tuple(file for file, _ in step.files)
        if isinstance(step.params, RasterParams):
            return RasterResult(files=files, description="small", shown="all")
        return TilesResult(files=files, min_zoom=1, max_zoom=2, tiles=3, size=4)

    def update_catalog(self, params: UpdateCatalogParams, /) -> CatalogResult:
        self.calls.append(("update_catalog", params))
        return CatalogResult(path=params.catalog_yaml, added=tuple(params.basemaps), replaced=(), diff="+")


def mapping(tmp_path: Path, content: object, name: str = "images.json") -> Path:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def jobs_of(path: Path, options: ImportOptions = OPTIONS, img_ids: list[str] | None = None) -> dict[str, ImageJob]:
    return {job.out.img_id: job for job in mapped_jobs(path, Path("out"), options, img_ids).jobs}


def test_tools_in_a_mapping_are_relative_to_it(tmp_path: Path) -> None:
    jobs = jobs_of(mapping(tmp_path, {"a": {"path": "a.tif", "gdaladdo": "tools/add", "pmtiles": "pmtiles"}}))
    assert jobs["a"].options.gdaladdo == str(tmp_path / "tools/add")
    assert jobs["a"].options.pmtiles == "pmtiles"


def test_a_mapping_names_images_relative_to_itself(tmp_path: Path) -> None:
    jobs = jobs_of(mapping(tmp_path, {"a": "slides/a.tif", "b": "/data/b.png"}))
    assert [job.in_img for job in jobs.values()] == [tmp_path / "slides/a.tif", Path("/data/b.png")]
    assert jobs["a"].out.path(".pmtiles") == Path("out/a.pmtiles")


@pytest.mark.parametrize(
    "text", ["a: a.tif\nb: b.tif\n", '{"a": "a.tif", "b": "b.tif"}', "IMAGES:\n  a: a.tif\n  b: b.tif\n"]
)
def test_json_yaml_and_an_images_key_say_the_same(tmp_path: Path, text: str) -> None:
    assert list(jobs_of(mapping(tmp_path, text))) == ["a", "b"]


def test_ids_select_in_the_order_given(tmp_path: Path) -> None:
    path = mapping(tmp_path, {"a": "a.tif", "b": "b.tif", "c": "c.tif"})
    assert list(jobs_of(path, img_ids=["c", "a", "c"])) == ["c", "a"]
    assert list(jobs_of(path, img_ids=[])) == ["a", "b", "c"]


@pytest.mark.parametrize("spelling", ["flip-vertical", "flip_vertical"])
def test_an_image_has_options_of_its_own(tmp_path: Path, spelling: str) -> None:
    entry = {"path": "a.tif", spelling: True, "georef_bounds": [0, 0, 10, -10], "colorize": "cyan"}
    jobs = jobs_of(mapping(tmp_path, {"a": entry, "b": "b.tif"}), ImportOptions(png2pmtiles=True, colorize="red"))
    assert jobs["a"].options.flip_vertical
    assert jobs["a"].options.georef_bounds == Bounds(0, 0, 10, -10)
    assert [str(job.options.colorize) for job in jobs.values()] == ["#00ffff", "#ff0000"]
    assert not jobs["b"].options.flip_vertical


def test_paths_among_the_own_options_are_relative_to_the_mapping(tmp_path: Path) -> None:
    entry = {"path": "a.png", "georef-bounds-tsv": "bounds.tsv", "catalog-yaml": "/data/catalog.yaml"}
    options = jobs_of(mapping(tmp_path, {"a": entry}))["a"].options
    assert options.georef_bounds_tsv == tmp_path / "bounds.tsv"
    assert options.catalog_yaml == Path("/data/catalog.yaml")


def test_an_action_may_be_asked_for_in_the_mapping_alone(tmp_path: Path) -> None:
    path = mapping(tmp_path, {"a": {"path": "a.tif", "png2pmtiles": True}})
    assert jobs_of(path, ImportOptions())["a"].options.png2pmtiles


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": "a.tif", "A": "b.tif"}, "ids a and A differ only in case"),
        ({"a b": "a.tif"}, "'a b' cannot be an image id"),
        ({"../a": "a.tif"}, "cannot be an image id"),
        ({}, "a mapping of image ids to paths is needed"),
        (["a.tif"], "a mapping of image ids to paths is needed"),
        ({"a": None, "b": {"path": ""}}, "a has no path, so that there is nothing to import"),
        ({"a": ["a.tif"]}, "a needs a path"),
        ({"a": {"path": {"a": "b"}}}, "a needs a path"),
        ({"a": {"colorize": "red"}}, "a needs a path"),
        ({"a": {"path": "a.tif", "colour": "red"}}, "a: --colour is no option"),
        ({"a": {"path": "a.tif", "page": -1}}, "a: --page -1: should be greater than or equal to 0"),
        ({"a": {"path": "a.tif", "mono": True, "rgba": True}}, "a: --mono and --rgba exclude each other"),
        ("a: [b", "neither JSON nor YAML (line 1: expected ',' or ']'"),
    ],
)
def test_a_wrong_mapping_is_refused(tmp_path: Path, content: object, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        jobs_of(mapping(tmp_path, content))
    assert words in str(caught.value)
    assert "images.json" in str(caught.value)


def test_an_own_option_that_excludes_one_of_the_command_line_is_refused(tmp_path: Path) -> None:
    path = mapping(tmp_path, {"a": {"path": "a.tif", "georef-bounds": "0,0,1,1"}})
    with pytest.raises(UsageError, match="a: --georef-bounds and --georef-detect exclude each other"):
        jobs_of(path, ImportOptions(png2pmtiles=True, georef_detect="OME"))


def test_an_unknown_id_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--img-id x is not in .*; it has a, b"):
        jobs_of(mapping(tmp_path, {"a": "a.tif", "b": "b.tif"}), img_ids=["a", "x"])


def test_a_mapping_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json: cannot be read \(No such file or directory\)"):
        jobs_of(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"page": "x"}, "--page x: should be a valid integer, unable to parse string as an integer"),
        ({"rotate": "45"}, "--rotate 45: should be 90, 180 or 270"),
        ({"georef_bounds": "0,0,3"}, "--georef-bounds 0,0,3: four numbers are needed (ulx,uly,lrx,lry), found 3"),
        ({"upper_thres_quantile": 1.5}, "--upper-thres-quantile 1.5: should be less than or equal to 1"),
        (
            {"colorize": "rainbow"},
            "--colorize: 'rainbow' is no colour; use RRGGBB, #RRGGBB, #RGB or a CSS name such as cyan",
        ),
        ({"min_zoom": 9, "max_zoom": 8}, "--min-zoom 9 must not be above --max-zoom 8"),
        ({"catalog_yaml": "a\0b"}, r"--catalog-yaml 'a\x00b': a path has no NUL character in it"),
        ({"catalog_yaml": "\ud800"}, r"--catalog-yaml '\ud800': a path has no half of a surrogate pair in it"),
        ({"gdal_translate": 3}, "--gdal_translate 3: should be a valid string"),
    ],
)
def test_a_refused_option_is_named_as_it_is_typed(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ImportOptions.model_validate(given)
    assert explain(caught.value) == sentence


def test_an_out_dir_may_be_missing_but_no_file(tmp_path: Path) -> None:
    check_out_dir(tmp_path / "new" / "newer")
    check_out_dir(Path("new"))
    file = tmp_path / "file"
    file.touch()
    for path in (file, file / "below"):
        with pytest.raises(UsageError, match="is no directory"):
            check_out_dir(path)


def test_an_out_dir_that_may_not_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # permissions do not bind the superuser of a container
    with pytest.raises(UsageError, match="cannot be written"):
        check_out_dir(tmp_path / "new")


def test_the_catalog_alone_needs_no_image_but_its_archive(tmp_path: Path) -> None:
    job = single_job(None, "a", tmp_path, ImportOptions(update_catalog=True))
    recorder = Recorder()
    with pytest.raises(CatalogError, match=r"a\.pmtiles: there is no such archive"):
        import_one(job, perform=recorder)
    (tmp_path / "a.pmtiles").write_bytes(b"PMTiles")
    with pytest.raises(CatalogError, match=r"a\.pmtiles: is a PMTiles archive cut off; one of version 3 is needed"):
        import_one(job, perform=recorder)
    write_archive(tmp_path / "a.pmtiles", {(0, 0, 0): encoded(noise((256, 256)))}, **WORLD)
    image = import_one(job, perform=recorder)
    assert not recorder.calls
    assert gather([job], [lambda: image], recorder.update_catalog).catalogs[0].added == ("a",)
    with pytest.raises(UsageError, match="--in-img is missing"):
        single_job(None, "a", Path("out"), OPTIONS)


def test_a_tiff_and_a_plain_picture_take_different_ways(tmp_path: Path) -> None:
    recorder = Recorder()
    pixels = np.zeros((9, 9), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "b.png")
    for path in (write_ome(tmp_path / "a.ome.tif", pixels), tmp_path / "b.png"):
        options = OPTIONS if path.suffix == ".tif" else ImportOptions(png2pmtiles=True, pixel_size="1")
        import_one(single_job(path, "i", tmp_path, options), perform=recorder)
    assert [name for name, _ in recorder.calls] == ["ome2png", "png2pmtiles", "georeference", "png2pmtiles"]
    assert isinstance(params := recorder.calls[0][1], Ome2PngParams)
    assert not params.png


@pytest.mark.parametrize("options", [{"page": 1}, {"z_project": "max"}, {"channel": "DAPI"}])
def test_a_plain_picture_has_no_planes_to_choose_from(tmp_path: Path, options: dict[str, Any]) -> None:
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    job = single_job(tmp_path / "b.png", "b", tmp_path, ImportOptions(png2pmtiles=True, **options))
    with pytest.raises(UsageError, match="is no TIFF and has just one plane"):
        import_one(job, perform=Recorder())


def jobs_for_gather(*names: str) -> list[ImageJob]:
    return [
        ImageJob(
            in_img=Path(f"{name}.tif"),
            out=OutputPrefix(out_dir=Path("out"), img_id=name),
            options=ImportOptions(png2pmtiles=True, update_catalog=True),
        )
        for name in names
    ]


def done(img_id: str, catalog: str = "out/catalog.yaml") -> Callable[[], ImageResult]:
    archive = Path("out", f"{img_id}.pmtiles")
    update = UpdateCatalogParams(catalog_yaml=Path(catalog), basemaps={img_id: archive}, title="out")
    return lambda: ImageResult(img_id=img_id, ahead=(update,))


def fails(error: Exception) -> Callable[[], ImageResult]:
    def attempt() -> ImageResult:
        raise error

    return attempt


def test_each_catalog_is_updated_once_with_what_succeeded() -> None:
    recorder = Recorder()
    jobs = jobs_for_gather("a", "b", "c", "d")
    attempts = [done("a"), fails(InputError("b.tif: cannot be read")), done("c", "other.yaml"), done("d")]
    with pytest.raises(RunError) as caught:
        gather(jobs, attempts, recorder.update_catalog)
    assert str(caught.value) == "1 of 4 images failed: b"
    assert caught.value.table() == "b  b.tif: cannot be read"
    assert [image.img_id for image in caught.value.result.images] == ["a", "c", "d"]
    updates = [params for _, params in recorder.calls if isinstance(params, UpdateCatalogParams)]
    assert [(str(update.catalog_yaml), list(update.basemaps)) for update in updates] == [
        ("out/catalog.yaml", ["a", "d"]),
        ("other.yaml", ["c"]),
    ]


def test_a_catalog_that_fails_hides_neither_images_nor_other_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr(recorder, "update_catalog", lambda _: fails(OSError(28, "No space left on device"))())
    with pytest.raises(RunError) as caught:
        gather(jobs_for_gather("a", "b"), [done("a"), fails(ZeroDivisionError("0"))], recorder.update_catalog)
    assert str(caught.value) == "1 of 2 images failed: b; out/catalog.yaml is not updated"
    assert "out/catalog.yaml  out/catalog.yaml: No space left on device" in caught.value.table()
    assert "ZeroDivisionError: 0; this is a bug of cartloader" in caught.value.table()
    assert len(caught.value.result.images) == 1


def test_the_failure_of_a_single_image_is_its_own_sentence() -> None:
    with pytest.raises(RunError) as caught:
        gather(jobs_for_gather("a"), [fails(InputError("a.tif: cannot be read"))], Recorder().update_catalog)
    assert str(caught.value) == "a.tif: cannot be read"
