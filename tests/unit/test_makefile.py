"""The Makefile of an import, run by make itself: whatever the paths, the same files, and nothing done twice."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from support.rasters import Raster
from support.tools import require_tools

from cartloader_flows.cli.main import main
from cartloader_flows.cli.options import ActionCommand, PictureCommand, PlaneCommand
from cartloader_flows.cli.parser import Parser
from cartloader_image.action_params import GeoreferenceParams, Ome2PngParams, OutputPrefix, Png2PmtilesParams
from cartloader_image.errors import UsageError
from cartloader_image.images.beside import inputs
from cartloader_image.options import Options
from cartloader_image.params import ImportOptions
from cartloader_image.recipe.job import single_job
from cartloader_image.recipe.makefile import arguments, makefile
from cartloader_image.recipe.plan import planned

IMPORT = ["--ome2png", "--png2pmtiles", "--update-catalog"]


@pytest.fixture(autouse=True)
def _make() -> None:
    require_tools("make")


def make(path: Path, *words: str) -> str:
    """Run make from a directory that has nothing to do with the image; returns what it prints."""
    done = subprocess.run(["make", "-f", path, *words], cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_done(path: Path) -> bool:
    return subprocess.run(["make", "-q", "-f", path], cwd="/", capture_output=True, check=False).returncode == 0


def verbs(printed: str) -> list[str]:
    """The actions that make runs, by what it prints of them."""
    words = [
        line.split()[1]
        for line in printed.splitlines()
        if "/cartloader-image " in line and not line.startswith("test ")
    ]
    return ["update_catalog" if word == "import_image" else word for word in words]


def dry_run(slide: Path, out: Path, *options: str, actions: list[str] = IMPORT) -> Path:
    argv = ["import_image", "--dry-run", *actions, *options, "--in-img", str(slide), "--out-dir", str(out)]
    assert main([*argv, "--img-id", "a"]) == 0
    return out / "a.mk"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith("a.mk")}


@pytest.mark.parametrize("engine", ["native", pytest.param("gdal", marks=pytest.mark.slow)])
def test_make_writes_the_same_bytes(slide: Path, tmp_path: Path, engine: str) -> None:
    if engine == "gdal":
        require_tools()
    out = tmp_path / "map"
    path = dry_run(slide, out, "--engine", engine, "--colorize", "cyan", "--rotate", "90")
    make(path, "-j", "4")
    expected = contents(out)
    shutil.rmtree(out)
    argv = ["import_image", "--direct", *IMPORT, "--in-img", str(slide), "--out-dir", str(out), "--img-id", "a"]
    assert main([*argv, "--engine", engine, "--colorize", "cyan", "--rotate", "90"]) == 0
    assert contents(out) == expected
    assert len(expected) == (9 if engine == "native" else 10)


def test_a_picture_by_bounds_and_an_existing_archive(raster: Raster, tmp_path: Path) -> None:
    picture = raster("a.png", bands=3, dtype=np.uint8)
    bounds = tmp_path / "bounds.tsv"
    bounds.write_text("-1\t-2\t39\t28\n")
    path = dry_run(picture, tmp_path / "map", "--georef-bounds-tsv", str(bounds), actions=["--png2pmtiles"])
    assert verbs(make(path)) == ["georeference", "png2pmtiles"]
    os.utime(bounds)
    assert verbs(make(path)) == ["georeference", "png2pmtiles"]
    catalog = dry_run(picture, tmp_path / "map", actions=["--update-catalog"])
    assert verbs(make(catalog)) == ["update_catalog"]
    assert "a: a.pmtiles" in (tmp_path / "map" / "catalog.yaml").read_text()


@pytest.mark.slow
def test_what_is_made_anew(slide: Path, tmp_path: Path) -> None:
    everything = ["ome2png", "png2pmtiles", "update_catalog"]
    path = dry_run(slide, tmp_path / "map")
    assert not is_done(path)
    assert verbs(make(path, "-n")) == everything
    assert sorted(file.name for file in path.parent.iterdir()) == ["a.mk"], "make -n only tells"
    assert verbs(make(path)) == everything
    assert is_done(path)

    os.utime(slide)
    assert verbs(make(path, "-n")) == everything
    assert verbs(make(path, "-j", "4")) == everything
    assert is_done(path)

    dry_run(slide, tmp_path / "map", "--resample", "lanczos")
    assert verbs(make(path)) == ["png2pmtiles", "update_catalog"]
    dry_run(slide, tmp_path / "map", "--resample", "lanczos", "--colorize", "red")
    assert verbs(make(path)) == everything
    dry_run(slide, tmp_path / "map", "--resample", "lanczos", "--colorize", "red")
    assert is_done(path)

    (path.parent / "a.transform.png").unlink()
    assert not is_done(path)
    make(path)
    assert (path.parent / "a.transform.png").exists()
    assert verbs(make(path, "a.pmtiles")) in ([], ["png2pmtiles"])


# All that a name may hold on this system but for letters, and pairs that make reads in a way of its own.
ODD = [*map(chr, [*range(32, 47), *range(58, 65), *range(91, 97), *range(123, 127)]), "\t", "é", "µ 片"]
PAIRS = ["\\ ", "\\#", "\\\\ ", "$(x)", "${x}", "%%", "a=b", "::", "&& x", "`x`", "(1)", "~", "* ?", "$$", "'\"", ".."]


def odd_folders() -> list[str]:
    whole = [f"a{character}b" for character in [*ODD, *PAIRS]]
    return [*whole, *(f"{character} x" for character in ODD if character not in " .")]


def test_any_path(raster: Raster, tmp_path: Path) -> None:
    """Each odd name for the directories of the input and of the output, and in the name of the input."""
    small = raster("slide.ome.tif", 6, 8)
    for number, name in enumerate(odd_folders()):
        slide = tmp_path / str(number) / name / f"s{name}.tif"
        slide.parent.mkdir(parents=True)
        shutil.copy(small, slide)
        options = ImportOptions(png2pmtiles=True)
        job = single_job(slide, "a", slide.parent / "map", options)
        path = slide.parent / f"m{name}.mk"
        with planned(job) as plan:
            path.write_text(makefile(plan, path))
        # A stand-in for cartloader: it must be given the paths, and it makes what the rule says.
        program = tmp_path / "program"
        program.write_text(STAND_IN)
        program.chmod(0o755)
        make(path, f"CARTLOADER={program}")
        said = (slide.parent / "map" / "said").read_text().split("\0")
        assert f"--in-img={slide}" in said
        assert f"--out-dir={slide.parent / 'map'}" in said
        assert is_done(path), name
        os.utime(slide, (2e9, 2e9))
        assert not is_done(path), name


STAND_IN = r"""#!/bin/sh
for word; do printf '%s\0' "$word" >> said; done
case "$1" in
    ome2png) touch a.geotif.tif;;
    png2pmtiles) touch a.pmtiles a.json a_assets.json;;
esac
"""


def test_what_make_cannot_name_is_refused(slide: Path, tmp_path: Path) -> None:
    for name, words in (("a\nb", "line break"), ("a(1)", "without ')' at its end")):
        odd = tmp_path / name
        shutil.copy(slide, odd)
        job = single_job(odd, "a", tmp_path / "map", ImportOptions(png2pmtiles=True))
        with pytest.raises(UsageError, match=r"^--makefn: ") as caught, planned(job) as plan:
            makefile(plan, tmp_path / "a.mk")
        assert words in str(caught.value)


def test_no_other_file_is_overwritten(slide: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = slide.read_bytes()
    (tmp_path / "notes.mk").write_text("all:\n")
    argv = ["import_image", "--dry-run", "--png2pmtiles", "--in-img", str(slide), "--out-dir", str(tmp_path / "map")]
    for name, words in (
        (tmp_path / "notes.mk", "is no Makefile of cartloader"),
        (slide, "slide.ome.tif: is what this import writes, as the Makefile"),
        ("a.json", "a.json: would be a file of a and the Makefile; choose other names"),
    ):
        assert main([*argv, "--img-id", "a", "--makefn", str(name)]) == 2
        assert words in capsys.readouterr().err
    assert slide.read_bytes() == before
    assert (tmp_path / "notes.mk").read_text() == "all:\n"


@pytest.mark.slow
def test_each_image_enters_a_shared_catalog(slide: Path, tmp_path: Path) -> None:
    """Also one whose first attempt failed, after another one has succeeded; and again when the catalog is gone."""
    catalog = tmp_path / "the;c%t [a]#log.yaml"
    paths = {}
    for name in "ab":
        argv = ["import_image", "--dry-run", *IMPORT, "--in-img", str(slide), "--out-dir", str(tmp_path / "map")]
        assert main([*argv, "--img-id", name, "--catalog-yaml", str(catalog)]) == 0
        paths[name] = tmp_path / "map" / f"{name}.mk"
    catalog.write_text("- broken")
    assert subprocess.run(["make", "-f", paths["a"]], capture_output=True, check=False).returncode
    catalog.unlink()
    make(paths["b"])
    make(paths["a"])
    assert list(yaml.safe_load(catalog.read_text())["assets"]["basemap"]) == ["b", "a"]
    assert is_done(paths["a"])
    catalog.unlink()
    make(paths["a"])
    assert catalog.exists()


@pytest.mark.slow
def test_a_target_is_found_from_its_own_directory(slide: Path, tmp_path: Path) -> None:
    path = dry_run(slide, tmp_path / "map")
    make(path)
    os.utime(slide)
    argv = ["make", "-f", path, "-j", "4", "a.pmtiles", "a.json"]
    inside = os.environ | {"CARTLOADER_INSIDE": "1"}
    done = subprocess.run(argv, cwd=path.parent, env=inside, capture_output=True, text=True, check=True)
    assert verbs(done.stdout) == ["ome2png", "png2pmtiles"]


def test_a_relative_path_holds_in_any_directory(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    argv = ["import_image", "--direct", "--png2pmtiles", "--in-img", slide.name, "--out-dir", "map", "--img-id", "a"]
    assert main([*argv, "--makefn", "beside.mk"]) == 0, "the Makefile is written, and the import runs"
    assert (tmp_path / "map" / "a.pmtiles").exists()
    assert (tmp_path / "map" / "beside.mk").exists(), "a name without a directory lies in the output directory"
    assert main([*argv, "--makefn", "./mine.mk"]) == 0
    shutil.rmtree("map")
    make(tmp_path / "mine.mk")
    assert (tmp_path / "map" / "a.pmtiles").exists()
    many = tmp_path / "many.yaml"
    many.write_text(f"a: {slide.name}\nb: {slide.name}\n")
    capsys.readouterr()
    assert main(["import_image", "--png2pmtiles", "--in-json", "many.yaml", "--out-dir", "o", "--makefn", "m.mk"]) == 2
    assert "--makefn m.mk: is for one image, not for 2" in capsys.readouterr().err


def test_an_input_may_have_files_beside_it(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    for name in ("a.png", "a.pgw", "a.png.aux.xml", "b.wld", "x.companion.ome"):
        (tmp_path / name).write_text("")
    params = GeoreferenceParams(in_img=image, out=OutputPrefix(out_dir=tmp_path, img_id="a"))
    assert [path.name for path in inputs(params)] == ["a.png", "a.pgw", "a.png.aux.xml", "x.companion.ome"]


OUT = OutputPrefix(out_dir=Path("/o d"), img_id="x")
numbers = st.floats(-1e9, 1e9, allow_nan=False)
placing = st.fixed_dictionaries(
    {"in_img": st.just(Path("/in put.tif")), "out": st.just(OUT)},
    optional={
        "rotate": st.sampled_from([90, 180, 270]),
        "flip_vertical": st.booleans(),
        "georef_bounds": st.tuples(numbers, numbers, numbers, numbers).map(lambda four: ",".join(map(repr, four))),
        "georef_offset_x": numbers,
        "colorize": st.sampled_from(["#00ffff", "red"]),
        "upper_thres_intensity": st.floats(1, 1e9),
        "lower_thres_quantile": st.floats(0, 1),
        "shrink_factor": st.floats(1, 100),
        "transparent_below": st.integers(0, 255),
        "srs": st.sampled_from(["EPSG:3857", "EPSG:32631", 'PROJCS["a b"]']),
    },
)
plane = st.fixed_dictionaries(
    {"png": st.booleans()},
    optional={"channel": st.sampled_from(["DAPI", "-1", "a b", "0", "=x"]), "z_project": st.just("max")},
)
cutting = st.fixed_dictionaries(
    {"out": st.just(OUT)},
    optional={
        "resample": st.sampled_from(["near", "lanczos"]),
        "blocksize": st.sampled_from([256, 1024]),
        "tile_format": st.sampled_from(["jpeg", "png"]),
        "max_zoom": st.integers(5, 24),
        "min_zoom": st.integers(0, 5),
        "pmtiles": st.sampled_from(["/a b/pmtiles", "-x"]),
        "tool_timeout": st.floats(0.1, 1e6),
    },
)


def parsed(command: type[ActionCommand], model: type[Options], params: Any) -> Options:
    given = Parser("x", "x", "x", command, model).read(arguments(params))
    own = {name: given.pop(name) for name in command.model_fields if name in given}
    return model.model_validate(given | command.model_validate(own).params())


@given(placing, plane, cutting)
def test_the_arguments_say_the_parameters(placed: dict[str, Any], chosen: dict[str, Any], cut: dict[str, Any]) -> None:
    for command, params in (
        (PictureCommand, GeoreferenceParams(**placed)),
        (PlaneCommand, Ome2PngParams(**placed, **chosen)),
        (ActionCommand, Png2PmtilesParams(**cut)),
    ):
        assert parsed(command, type(params), params) == params
