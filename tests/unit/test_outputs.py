"""An import writes over nothing that it reads, and no file twice."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from PIL import Image

from cartloader_flows.cli.main import main
from cartloader_image.errors import UsageError
from cartloader_image.params import ImportOptions, SharedOptions
from cartloader_image.recipe.job import single_job
from cartloader_image.recipe.mapping import mapped_jobs
from cartloader_image.recipe.outputs import check_files, files_of

EVERYTHING = ["--ome2png", "--png2pmtiles", "--update-catalog"]
ALL = ImportOptions(ome2png=True, png2pmtiles=True, update_catalog=True)


def state(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("actions", [["--ome2png"], ["--png2pmtiles"], EVERYTHING, ["--georeference"]])
def test_the_files_that_are_told_are_those_that_are_made(slide: Path, tmp_path: Path, actions: list[str]) -> None:
    out = tmp_path / "map"
    argv = ["import_image", "--direct", *actions, "--in-img", str(slide), "--out-dir", str(out), "--img-id", "a"]
    assert main(argv) == 0
    options = ImportOptions.model_validate({action[2:].replace("-", "_"): True for action in actions})
    planned = {path.name for path in files_of(single_job(slide, "a", out, options))}
    assert planned | ({"catalog.yaml"} if options.update_catalog else set()) == set(state(out))


SOURCES = [
    "a.geotif.tif",
    "a.transform.png",
    "a.pmtiles",
    "a.json",
    "a_assets.json",
    "catalog.yaml",
    "b.transform.bounds.csv",
]


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize(
    ("source", "spelling"),
    [
        ("mapping", "plain"),
        ("mapping", "link"),
        *product(
            ["in_img", "georef_bounds_tsv", "georef_pixel_tsv", "micron2pixel_csv", "pixel_size"],
            ["plain", "link", "link there", "missing"],
        ),
    ],
)
def test_no_source_of_any_kind_is_written_over(tmp_path: Path, name: str, source: str, spelling: str) -> None:
    out, slide = tmp_path / "map", tmp_path / "slide.tif"
    out.mkdir()
    slide.touch()
    file = out / name
    if spelling == "link there":  # the place of the output leads elsewhere
        (tmp_path / "real").write_text("source")
        file.symlink_to(tmp_path / "real")
    elif spelling != "missing":
        file.write_text(f"id,path\na,{slide}\nb,{slide}\n" if file.suffix == ".csv" else f"a: {slide}\nb: {slide}\n")
    given = file
    if spelling == "link":
        given = tmp_path / "link"
        given.symlink_to(Path("map") / ".." / "map" / name)
    mapping = given if source == "mapping" else tmp_path / "m.yaml"
    if source != "mapping":
        entry = {"in_img": f"{{path: {given}}}"}.get(source, f"{{path: {slide}, {source}: {given}}}")
        mapping.write_text(f"a: {entry}\nb: {slide}\n")
    before = state(tmp_path)
    with pytest.raises(UsageError, match="is what this import writes") as caught:
        mapped_jobs(mapping, out, ALL)
    assert str(given) in str(caught.value)
    assert state(tmp_path) == before


def test_what_an_import_does_not_write_is_a_source_like_any_other(slide: Path, tmp_path: Path) -> None:
    """Such as the picture and the bounds that another import of the same id has made."""
    out = tmp_path / "map"
    argv = ["import_image", "--direct", "--out-dir", str(out), "--img-id", "a"]
    assert main([*argv, "--ome2png", "--in-img", str(slide)]) == 0
    bounds = ["--georef-bounds-tsv", str(out / "a.transform.bounds.csv")]
    assert main([*argv, "--png2pmtiles", "--in-img", str(out / "a.transform.png"), *bounds]) == 0
    assert (out / "a.pmtiles").exists()


def test_a_refused_source_is_unharmed_also_for_an_action_by_itself(
    slide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "map"
    argv = ["ome2png", "--in-img", str(slide), "--out-dir", str(out), "--img-id", "a"]
    assert main(argv) == 0
    before = state(tmp_path)
    assert main([*argv, "--georef-bounds-tsv", str(out / "a.transform.bounds.csv")]) == 2
    assert "a.transform.bounds.csv: is what this import writes" in capsys.readouterr().err
    assert main(["ome2png", "--in-img", str(out / "a.geotif.tif"), *argv[3:]]) == 2
    assert "a.geotif.tif: is what this import writes" in capsys.readouterr().err
    assert state(tmp_path) == before


@pytest.mark.parametrize(
    ("ids", "clash"),
    [
        (["a", "a_assets"], True),
        (["a", "A_assets"], True),
        (["a", "A_ASSETS"], True),
        (["a_assets", "a_assets_assets"], True),
        (["a", "a.transform", "a.pmtiles", "a.geotif", "a.mk", "a.json", "catalog", "a_asset", "b_assets"], False),
    ],
)
def test_ids_whose_files_collide_are_refused(tmp_path: Path, ids: list[str], clash: bool) -> None:
    mapping = tmp_path / "m.yaml"
    mapping.write_text("".join(f"{name}: x.tif\n" for name in ids))
    options = SharedOptions(ome2png=True, png2pmtiles=True, update_catalog=True, engine="gdal")
    if clash:
        with pytest.raises(UsageError) as caught:
            mapped_jobs(mapping, tmp_path / "map", options)
        assert f"a file of {ids[0]} and a file of {ids[1]}; choose other names" in str(caught.value)
        mapped_jobs(mapping, tmp_path / "map", options, [ids[0]])
        mapped_jobs(mapping, tmp_path / "map", SharedOptions(update_catalog=True))
    else:
        jobs = mapped_jobs(mapping, tmp_path / "map", options).jobs
        files = [f"{file}".lower() for job in jobs for file in files_of(job)]
        assert len(set(files)) >= len(files) - len(jobs)  # each archive is where the catalog wants it, too


def test_a_catalog_is_no_file_of_an_image(tmp_path: Path) -> None:
    options = ImportOptions(png2pmtiles=True, update_catalog=True, catalog_yaml=tmp_path / "map" / "a.json")
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match=r"a\.json: would be a file of a and the catalog"):
        check_files([single_job(tmp_path / "a.png", "a", tmp_path / "map", options)])


def test_a_catalog_behind_a_link_is_no_source(slide: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "m.yaml"
    mapping.write_text(f"a: {slide}\n")
    (tmp_path / "catalog.yaml").symlink_to(mapping)
    with pytest.raises(UsageError, match=r"m\.yaml: is what this import writes, as the catalog"):
        mapped_jobs(mapping, tmp_path, SharedOptions(update_catalog=True))
