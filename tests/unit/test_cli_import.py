"""Imports from the command line, in this process and without Prefect: what they print and how they end."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tifffile
import yaml
from support.rasters import noise

from cartloader_flows.cli.display import StoppedError
from cartloader_flows.cli.main import main
from cartloader_flows.cli.summary import summary, view_command
from cartloader_image.recipe import actions
from cartloader_image.results import ImageResult, RunResult, TilesResult


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_out_dir_is_no_file(slide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["import_image", "--png2pmtiles", "--in-img", str(slide), "--img-id", "a", "--out-dir", str(slide)]
    assert main(argv) == 2
    assert "slide.ome.tif is no directory; give one" in capsys.readouterr().err


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
    assert lines[2] == "  placed by ome: 0.25,0,0,0,0.25,0"
    assert re.fullmatch(r"  map/dapi\.pmtiles  [\d,.]+ \w+, z\d+–\d+, \d+ tiles, verified", lines[3])
    assert lines[4].startswith("  map/dapi.geotif.tif, dapi.transform.png, ")
    assert lines[4].endswith("dapi.json, dapi_assets.json")
    assert re.fullmatch(r"  done in [\d.]+ s \(ome2png [\d.]+ s, png2pmtiles [\d.]+ s\)", lines[5])
    assert lines[6:] == ["catalog  map/catalog.yaml  + basemap dapi"]
    stages = re.findall(r"^dapi  (\w+)  [\d.]+ s$", err, re.MULTILINE)
    assert len(stages) == len(err.splitlines()) == len(set(stages))
    assert {"ome2png", "png2pmtiles"} <= set(stages)


@pytest.mark.parametrize("n_jobs", ["1", "3"])
def test_one_image_fails_the_others_are_done(slide: Path, n_jobs: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("many.yaml").write_text(f"a: {slide}\nb: none.tif\nc: {{path: {slide}, page: 7}}\nd: {slide}\n")
    argv = ["import_image", "--direct", "--png2pmtiles", "--update-catalog", "--n-jobs", n_jobs]
    assert main([*argv, "--in-json", "many.yaml", "--out-dir", "map"]) == 1
    out, err = capsys.readouterr()
    (catalog,) = (line for line in out.splitlines() if line.startswith("catalog"))
    assert catalog == "catalog  map/catalog.yaml  + basemap a, + basemap d"
    assert err.splitlines()[-3] == "2 of 4 images failed: b, c"
    assert err.splitlines()[-2].startswith("b  none.tif: cannot be read")
    assert err.splitlines()[-1].startswith(f"c  {slide}: --page 7 is out of range")
    assert yaml.safe_load(Path("map/catalog.yaml").read_text())["assets"]["basemap"] == {
        "a": "a.pmtiles",
        "d": "d.pmtiles",
    }


def import_slide(slide: Path, *argv: str) -> int:
    given = ["--in-img", str(slide), "--img-id", "a", "--out-dir", "map"]
    return main(["import_image", "--direct", "--png2pmtiles", *given, *argv])


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_comes_after_the_work_changes_nothing(
    slide: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def signalled(*args: Any) -> str:
        os.kill(os.getpid(), number)
        return summary(*args)

    monkeypatch.setattr("cartloader_flows.cli.import_image.summary", signalled)
    assert import_slide(slide) == 0
    assert "done in" in capsys.readouterr().out
    slide.write_bytes(b"")
    assert import_slide(slide) == 1


def test_the_last_moments_of_a_process_are_no_part_of_its_work(slide: Path) -> None:
    argv = ["import_image", "--direct", "--png2pmtiles", "--in-img", str(slide), "--img-id", "a", "--out-dir", "map"]
    code = (
        f"import atexit, os, sys; sys.argv[1:] = {argv}\n"
        "from cartloader_flows.cli.main import main\n"
        f"atexit.register(lambda: [os.kill(os.getpid(), number) for number in (2, 15, 1)])\n"
        "sys.exit(main())"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_sample_can_be_imported_and_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_in_a_terminal_the_last_line_says_how_to_look_at_it(
    slide: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ["import_image", "--direct", "--png2pmtiles", "--in-img", str(slide), "--img-id", "a"]

    def last_line(*more: str) -> str:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        assert main([*argv, *more]) == 0
        return capsys.readouterr().out.splitlines()[-1]

    assert last_line("--out-dir", "my map") == "look at it:  cartloader view 'my map'"
    assert last_line("--out-dir", "my map", "--update-catalog") == "look at it:  cartloader view 'my map'"
    # The catalog that is there now need not list it.
    assert last_line("--out-dir", "my map") == "look at it:  cartloader view 'my map/a.pmtiles'"
    elsewhere = ("--update-catalog", "--catalog-yaml", "c.yaml")
    assert last_line("--out-dir", "map", *elsewhere) == "look at it:  cartloader view c.yaml"
    monkeypatch.setattr("cartloader_flows.cli.summary.find_spec", lambda _: None)
    assert last_line("--out-dir", "map") == (
        "look at it:  cartloader view map  (after pip install 'cartloader-image[view]')"
    )
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    assert main([*argv, "--out-dir", "map"]) == 0
    assert "look at it" not in capsys.readouterr().out


def test_many_archives_that_no_catalog_lists_are_looked_at_together(tmp_path: Path) -> None:
    tiles = [
        TilesResult(files=(Path(f"map/{name}.pmtiles"),), min_zoom=1, max_zoom=2, tiles=3, size=4) for name in "ab"
    ]
    images = tuple(ImageResult(img_id=one.path.stem, tiles=one) for one in tiles)
    result = RunResult(images=images, catalogs=())
    assert view_command(result, Path("map")) == "cartloader view map"
    Path("map").mkdir()
    Path("map/catalog.yaml").touch()
    assert view_command(result, Path("map")) == "cartloader view map/*.pmtiles"
    assert view_command(RunResult(images=(ImageResult(img_id="a"),), catalogs=()), Path("map")) == ""
