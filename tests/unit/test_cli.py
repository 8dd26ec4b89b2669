"""The command line: how it is read, what it refuses, what it prints and how it ends."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from support.maps import write_ome
from support.processes import eventually
from support.rasters import noise

from cartloader_flows.cli.display import StoppedError
from cartloader_flows.cli.main import main
from cartloader_flows.cli.options import ImportCommand, PreviewCommand, SampleCommand
from cartloader_flows.cli.parser import GROUPS, Parser
from cartloader_image.options import Options, option
from cartloader_image.params import ImportOptions
from cartloader_image.recipe import actions
from cartloader_image.version import __version__

FILES = ["--in-img", "a.tif", "--img-id", "a", "--out-dir", "out"]


def read(*argv: str) -> dict[str, Any]:
    return Parser("x", "x", "x", ImportCommand, ImportOptions).read(argv)


@pytest.fixture
def slide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small OME-TIFF in the working directory."""
    monkeypatch.chdir(tmp_path)
    return write_ome(Path("slide.ome.tif"), np.arange(60 * 80, dtype=np.uint16).reshape(60, 80))


@pytest.mark.parametrize("model", [ImportOptions, ImportCommand, SampleCommand, PreviewCommand])
def test_every_field_is_described_and_in_a_group_of_the_help(model: type[Options]) -> None:
    for name, field in model.model_fields.items():
        assert field.description, name
        extra = field.json_schema_extra
        if model in (ImportOptions, ImportCommand):
            assert isinstance(extra, dict), name
            assert extra["group"] in GROUPS, name


@pytest.mark.parametrize(
    ("argv", "given"),
    [
        ("--ome2png --rotate 90", {"ome2png": True, "rotate": "90"}),
        ("--georef-bounds -1,2,3,4", {"georef_bounds": "-1,2,3,4"}),
        ("--georef-bounds=-1,2,3,4", {"georef_bounds": "-1,2,3,4"}),
        ("--lower-thres-intensity -5 --mono", {"lower_thres_intensity": "-5", "mono": True}),
        ("--georef-offset-x -.5e3", {"georef_offset_x": "-.5e3"}),
        ("--in-img -odd.tif", {"in_img": "-odd.tif"}),
        ("--georef-detect", {"georef_detect": "OME"}),
        ("--georef-detect ome --rgba", {"georef_detect": "ome", "rgba": True}),
        ("--gdal_translate x", {"gdal_translate": "x"}),
        ("--gdal-translate x", {"gdal_translate": "x"}),
        ("--in_img a_b.tif --georef_bounds -1,2,3,4", {"in_img": "a_b.tif", "georef_bounds": "-1,2,3,4"}),
        ("--georef_bounds=-1,2,3,4 --high_memory", {"georef_bounds": "-1,2,3,4", "high_memory": True}),
        ("--georef_offset-x -.5e3 --georef_detect", {"georef_offset_x": "-.5e3", "georef_detect": "OME"}),
        ("--gdal-translate=a_b --channel a_b=c_d", {"gdal_translate": "a_b", "channel": "a_b=c_d"}),
        ("--img-id a --img-id b", {"img_id": ["a", "b"]}),
    ],
)
def test_the_command_line_is_read(argv: str, given: dict[str, Any]) -> None:
    assert read(*argv.split()) == given


@pytest.mark.parametrize("name", ImportOptions.model_fields | ImportCommand.model_fields)
def test_every_field_has_an_option(name: str) -> None:
    flag = (ImportOptions.model_fields | ImportCommand.model_fields)[name].annotation is bool
    assert name in read(*([option(name)] if flag else [option(name), "1"]))


def test_the_name_of_a_source_of_bounds_has_no_case() -> None:
    for text in ("OME", "ome", True):
        assert ImportOptions.model_validate({"georef_detect": text}).georef_detect == "OME"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ([], "COMMAND is missing; see cartloader --help"),
        (["import"], "import is no command (did you mean import_image?); choose one of import_image, sample"),
        (["import_image"], "no action: choose at least one of --ome2png, --png2pmtiles, --georeference"),
        (["import_image", *FILES], "no action: choose at least one of"),
        (["import_image", "--png2pmtiles"], "--out-dir is missing"),
        (["import_image", "--png2pmtiles", "--out-dir", "out", "--in-img", "a.tif"], "--img-id is missing"),
        (["import_image", "--png2pmtiles", *FILES, "--img-id", "b"], "--img-id is given 2 times"),
        (["import_image", "--png2pmtiles", "--out-dir", "out", "--img-id", "a"], "--in-img is missing"),
        (["import_image", "--png2pmtiles", *FILES, "--in-json", "b"], "--in-img and --in-json exclude each other"),
        (
            ["import_image", "--png2pmtiles", *FILES, "--n-jobs", "0"],
            "--n-jobs 0: should be greater than or equal to 1",
        ),
        (
            ["import_image", "--png2pmtiles", *FILES, "--pmtiles", "p", "--tile-format", "webp"],
            "--tile-format webp: the tools of --engine gdal write png or jpeg",
        ),
        (
            ["import_image", "--png2pmtiles", *FILES, "--tool-timeout=-3"],
            "--tool-timeout -3: should be greater than 0",
        ),
        (["png2pmtiles", "--out-dir", "out"], "--img-id is missing"),
        (["ome2png", "--out-dir", "out", "--img-id", "a"], "--in-img is missing"),
        (["png2pmtiles", "--in-img", "a", "--out-dir", "out", "--img-id", "a"], "--in-img is no option"),
        (["import_image", "--png2pmtiles", *FILES[:3], "a b", *FILES[4:]], "--img-id: 'a b' cannot be an image id"),
        (
            ["import_image", "--png2pmtiles", "--img-id", ""],
            "--img-id: the value is empty; is a shell variable not set?",
        ),
        (["import_image", "--png2pmtiles", "--img-id"], "--img-id: a value is missing"),
        (["import_image", "--png2pmtiles", "--in-img", "--out-dir", "out"], "--in-img: a value is missing"),
        (["import_image", "--png2pmtiles", "--gdal-translate"], "--gdal_translate: a value is missing"),
        (["import_image", "--png2pmtiles", "--mono=yes"], "--mono: takes no value, found 'yes'"),
        (["importimage"], "importimage is no command (did you mean import_image?); choose one of import_image"),
        (["server", "strat"], "strat is no command (did you mean start?); choose one of start, status, stop"),
        (
            ["import_image", "--png2pm"],
            "--png2pm is no option (did you mean --png2pmtiles?); see",
        ),
        (["import_image", "--colourize", "red"], "--colourize is no option (did you mean --colorize?); see"),
        (["import_image", "--in_image=a.tif"], "--in_image is no option (did you mean --in-img?)"),
        (["import_image", "--Georef_Bound", "-1,2"], "--Georef_Bound is no option (did you mean --georef-bounds?)"),
        (["import_image", "-in-img", "a.tif"], "-in-img is no option (did you mean --in-img?)"),
        (["import_image", "—png2pmtiles"], "—png2pmtiles belongs to no option (did you mean --png2pmtiles?)"),
        (["import_image", "--qwxz"], "--qwxz is no option; see cartloader import_image --help"),
        (["import-image", "--png2pmtiles"], "--out-dir is missing"),
        (["import_image", "--png2pmtiles", "a.tif"], "a.tif belongs to no option"),
        (["import_image", "--georef-detect", "NDPI"], "--georef-detect NDPI: should be 'OME'"),
        (["import_image", "--lower-thres-intensity", "-5", "--upper-thres-intensity", "-6"], "must be above"),
        (["import_image", "--georef-bounds", "-1,2,3,nan"], "four numbers are needed"),
        (["sample"], "OUT.ome.tif is missing; see cartloader sample --help"),
        (["sample", "a.ome.tif", "--size", "1"], "--size 1: should be greater than or equal to 256"),
        (["preview", "a.pmtiles"], "OUT.png is missing"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_2(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert err.count("\n") == 1
    assert not out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["import_image", "--direct", "--png2pmtiles", *FILES], "a.tif: cannot be read (No such file or directory)"),
        (
            ["import_image", "--png2pmtiles", "--in-json", "m.yaml", "--out-dir", "o"],
            "m.yaml: cannot be read (No such file",
        ),
        (["preview", "a.pmtiles", "a.png"], "a.pmtiles: "),
        (["preview", "--", "--odd_name.pmtiles", "a.png"], "--odd_name.pmtiles: "),
    ],
)
def test_a_missing_file_is_one_sentence_and_exit_1(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 1
    out, err = capsys.readouterr()
    assert words in err
    assert err.count("\n") == 1
    assert not out


def test_the_out_dir_is_no_file(slide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["import_image", "--png2pmtiles", "--in-img", str(slide), "--img-id", "a", "--out-dir", str(slide)]
    assert main(argv) == 2
    assert "slide.ome.tif is no directory; give one" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"cartloader {__version__}\n"


@pytest.mark.parametrize("argv", [["--help"], ["import_image", "--help"], ["sample", "--help"], ["preview", "-h"]])
def test_help_fits_80_columns(
    argv: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80


def test_the_help_of_the_import_says_groups_ranges_and_defaults(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main(["import_image", "--help"])
    text = capsys.readouterr().out
    places = [text.index(f"\n{title}:\n") for title in GROUPS.values()]
    assert places == sorted(places)
    flat = " ".join(text.split())
    for words in ("[default: cubic]", "[0 to 255]", "[from 1; default: 1]", "[default: 512]", "--rotate {90,180,270}"):
        assert words in flat


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from cartloader_flows.cli.main import main\n"
        "try: main(['import_image', '--help'])\n"
        "except SystemExit: pass\n"
        "print({name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "rich", "prefect", "httpx", "tifffile", "rasterio", "PIL", "imagecodecs"}
    assert not heavy & set(re.findall(r"'(\w+)'", run.stderr))


def test_the_help_of_the_command_itself_needs_no_models() -> None:
    code = (
        "import sys; from cartloader_flows.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('pydantic' in sys.modules, file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "import_image" in run.stdout
    assert run.stderr == "False\n"


def test_a_direct_import_never_imports_prefect_and_survives_an_old_locale(slide: Path) -> None:
    argv = ["import_image", "--direct", "--png2pmtiles", "--in-img", str(slide), "--img-id", "a", "--out-dir", "map"]
    code = (
        f"import sys; from cartloader_flows.cli.main import main; assert main({argv}) == 0\n"
        "avoided = {'prefect', 'cartloader_tasks', 'httpx', 'rich'}\n"
        "print([name for name in sys.modules if name.split('.')[0] in avoided])"
    )
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert run.stdout.endswith("[]\n")
    assert Path("map/a.pmtiles").stat().st_size


def test_a_direct_import_ends_with_a_summary(slide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["import_image", "--direct", "--ome2png", "--png2pmtiles", "--update-catalog"]
    assert main([*argv, "--in-img", str(slide), "--img-id", "dapi", "--out-dir", "map"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert re.fullmatch(r"dapi  slide\.ome\.tif  80 × 60 uint16, .*", lines[0])
    assert lines[1].startswith("  shown 0 … ")
    assert re.fullmatch(r"  map/dapi\.pmtiles  [\d,.]+ \w+, z\d+–\d+, \d+ tiles, verified", lines[2])
    assert lines[3].startswith("  map/dapi.geotif.tif, dapi.transform.png, ")
    assert lines[3].endswith("dapi.json, dapi_assets.json")
    assert re.fullmatch(r"  done in [\d.]+ s \(ome2png [\d.]+ s, png2pmtiles [\d.]+ s\)", lines[4])
    assert lines[5:] == ["catalog  map/catalog.yaml  + basemap dapi"]
    stages = re.findall(r"^dapi  (\w+)  [\d.]+ s$", err, re.MULTILINE)
    assert len(stages) == len(err.splitlines()) == len(set(stages))
    assert {"ome2png", "png2pmtiles"} <= set(stages)


@pytest.mark.parametrize("n_jobs", ["1", "3"])
def test_one_image_fails_the_others_are_done(slide: Path, n_jobs: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("many.yaml").write_text(f"a: {slide}\nb: none.tif\nc: {{path: {slide}, page: 7}}\nd: {slide}\n")
    argv = ["import_image", "--direct", "--png2pmtiles", "--update-catalog", "--n-jobs", n_jobs]
    assert main([*argv, "--in-json", "many.yaml", "--out-dir", "map"]) == 1
    out, err = capsys.readouterr()
    assert [line for line in out.splitlines() if not line.startswith(" ")][
        2
    ] == "catalog  map/catalog.yaml  + basemap a, + basemap d"
    assert err.splitlines()[-3] == "2 of 4 images failed: b, c"
    assert err.splitlines()[-2].startswith("b  none.tif: cannot be read")
    assert err.splitlines()[-1].startswith("c  slide.ome.tif: --page 7 is out of range")
    assert yaml.safe_load(Path("map/catalog.yaml").read_text())["assets"]["basemap"] == {
        "a": "a.pmtiles",
        "d": "d.pmtiles",
    }


def import_slide(slide: Path, *argv: str) -> int:
    return main(
        [
            "import_image",
            "--direct",
            "--png2pmtiles",
            "--in-img",
            str(slide),
            "--img-id",
            "a",
            "--out-dir",
            "map",
            *argv,
        ]
    )


def test_wrong_use_that_only_the_image_tells_is_exit_2(slide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert import_slide(slide, "--page", "7") == 2
    assert "--page 7 is out of range" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "map/a.tmp"), 1, "map/a.tmp: No space left on device"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "a: No space left on device"),
        (OSError("cannot identify\nthis"), 1, "a: cannot identify this"),
        (MemoryError(), 1, "a: the memory is not enough; import fewer images at a time (--n-jobs)"),
        (
            ZeroDivisionError("by\nzero"),
            1,
            "ZeroDivisionError: by zero; this is a bug of cartloader: --debug shows where",
        ),
        (KeyboardInterrupt(), 130, "interrupted"),
        (StoppedError("interrupted"), 130, "interrupted"),
    ],
)
def test_what_goes_wrong_is_one_line(
    slide: Path,
    error: BaseException,
    code: int,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(actions, "ome2png", fail)
    assert import_slide(slide) == code
    err = capsys.readouterr().err
    assert err.startswith(sentence)
    assert err.count("\n") == 1
    if code == 1:
        assert import_slide(slide, "--debug") == 1
        assert "Traceback" in capsys.readouterr().err


def test_prefect_records_no_path_that_is_no_text(slide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["import_image", "--png2pmtiles", "--img-id", "a", "--out-dir", "map", "--in-img"]
    odd = slide.rename(os.fsdecode(b"l\xff.ome.tif"))
    assert main([*argv, str(odd)]) == 2
    assert r"--in-img l\udcff.ome.tif: is not in UTF-8, which Prefect's records need" in capsys.readouterr().err
    assert main([*argv, str(odd), "--direct"]) == 0


def test_ctrl_c_stops_the_images_in_other_threads(
    slide: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = []
    pressed = iter([signal.SIGINT])

    def endless(_params: object, report: Any) -> None:
        try:
            while True:
                report.check()
                for number in pressed:  # once, by whichever image comes first
                    os.kill(os.getpid(), number)
                time.sleep(0.01)
        finally:
            ended.append(threading.current_thread())

    monkeypatch.setattr(actions, "ome2png", endless)
    Path("many.yaml").write_text(f"a: {slide}\nb: {slide}\nc: {slide}\n")
    argv = ["import_image", "--direct", "--png2pmtiles", "--in-json", "many.yaml", "--out-dir", "map", "--n-jobs", "2"]
    assert main(argv) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert eventually(lambda: bool(ended))
    assert len(ended) <= 2
    assert threading.main_thread() not in ended
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_sample_can_be_imported_and_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sample", "s.ome.tif", "--size", "256"]) == 0
    assert import_slide(Path("s.ome.tif"), "--page", "0") == 0
    assert main(["preview", "map/a.pmtiles", "a.png", "--size", "100"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "a.png"
    assert Path("a.png").read_bytes().startswith(b"\x89PNG")


def test_notes_are_said_at_once_in_the_summary_and_beforehand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise((60, 80, 5)), photometric="rgb", planarconfig="contig")
    argv = ["import_image", "--direct", "--png2pmtiles", "--in-img", str(tmp_path / "a.tif"), "--img-id", "a"]
    argv += ["--out-dir", str(tmp_path / "map"), "--pixel-size", "0.5"]
    note = "its 2 further samples of a pixel, which the file does not call alpha, are left out"
    assert main([*argv, "--dry-run"]) == 0
    assert f"  note            {note}" in capsys.readouterr().out
    assert main(argv) == 0
    said = capsys.readouterr()
    assert f"a  {note}" in said.err
    assert f"  note: {note}" in said.out
