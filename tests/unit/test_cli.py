"""The command line: how it is read, what it refuses, and its help."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cartloader_flows.cli.main import main
from cartloader_flows.cli.options import (
    CheckOverlayCommand,
    ImportCommand,
    InfoCommand,
    PreviewCommand,
    SampleCommand,
    VerifyCommand,
)
from cartloader_flows.cli.parser import GROUPS, Parser
from cartloader_image.kernels import door
from cartloader_image.options import Options, option
from cartloader_image.params import ImportOptions
from cartloader_image.version import __version__

FILES = ["--in-img", "a.tif", "--img-id", "a", "--out-dir", "out"]


def read(*argv: str) -> dict[str, Any]:
    return Parser("x", "x", "x", ImportCommand, ImportOptions).read(argv)


@pytest.mark.parametrize(
    "model",
    [ImportOptions, ImportCommand, SampleCommand, PreviewCommand, InfoCommand, VerifyCommand, CheckOverlayCommand],
)
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
        (["info"], "FILE is missing; see cartloader info --help"),
        (["verify", "--json"], "ARCHIVE.pmtiles is missing"),
        (["verify", "a.pmtiles", "--depth"], "--depth is no option (did you mean --deep?)"),
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


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"cartloader {__version__}, kernels: {door.state()}\n"


@pytest.mark.parametrize(
    "argv", [["--help"], ["import_image", "--help"], ["sample", "--help"], ["preview", "-h"], ["info", "-h"]]
)
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
