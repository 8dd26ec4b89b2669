"""What cannot be read: things that are no files, and a disk that fails in the middle of one."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.rasters import write_raster

from cartloader_flows.cli.main import main

CARTLOADER = Path(sys.executable).with_name("cartloader")
HERE = Path(__file__).parents[1] / "support"


IMPORT = ["import_image", "--direct", "--png2pmtiles", "--out-dir", "map", "--img-id", "a"]
PICTURE = [*IMPORT, "--in-img", "picture.png"]
SLIDE = [*IMPORT, "--in-img", "slide.ome.tif"]
PLACED = [*PICTURE, "--georef-bounds", "0,0,10,10"]
CATALOG = ["import_image", "--direct", "--update-catalog", "--out-dir", "map", "--img-id", "a"]
READS = {
    "picture.png": PLACED,
    "picture.pgw": PLACED,
    "picture.png.aux.xml": PLACED,
    "picture.png.msk": PLACED,
    "slide.ome.tif": SLIDE,
    "slide.ome.tif.aux.xml": SLIDE,
    "images.yaml": ["import_image", "--direct", "--png2pmtiles", "--out-dir", "map", "--in-json", "images.yaml"],
    "bounds.tsv": [*PICTURE, "--georef-bounds-tsv", "bounds.tsv"],
    "pixels.tsv": [*PICTURE, "--georef-pixel-tsv", "pixels.tsv"],
    "matrix.csv": [*SLIDE, "--micron2pixel-csv", "matrix.csv"],
    "affine.csv": [*PICTURE, "--georef-affine", "affine.csv"],
    "he_imagealignment.csv": [*PICTURE, "--xenium-alignment", "he_imagealignment.csv"],
    "experiment.xenium": [*PICTURE, "--xenium-alignment", "alignment.csv"],
    "points.csv": [*PICTURE, "--georef-landmarks", "points.csv"],
    "Makefile": [*PLACED, "--makefn", "./Makefile"],
    "map/a.geotif.tif": ["png2pmtiles", "--out-dir", "map", "--img-id", "a"],
    "map/a.pmtiles": ["preview", "map/a.pmtiles", "a.png"],
    "map/catalog.yaml": CATALOG,
}
"""What reads a file."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TIFF, a PNG and a JPEG of a few hundred kilobytes, a mapping, bounds, and a finished map."""
    folder = tmp_path_factory.mktemp("files")
    write_raster(folder / "slide.ome.tif", 300, 400)
    noise = np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8)
    for name in ("picture.png", "picture.jpg"):
        Image.fromarray(noise).save(folder / name)
    (folder / "images.yaml").write_text("a: picture.png\n")
    (folder / "bounds.tsv").write_text("0,0,10,10\n")
    (folder / "alignment.csv").write_text("1,0,0\n0,1,0\n0,0,1\n")
    with chdir(folder):
        assert main([*PLACED, "--update-catalog"]) == 0
    return folder


@pytest.fixture
def folder(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with files of its own."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def _at_once() -> Iterator[None]:
    """Fail a test that waits for somebody to write into a pipe."""

    def give_up(*_: object) -> None:
        raise AssertionError("waits for a pipe")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound, chdir(path.parent):  # the path of a socket is short
        bound.bind(path.name)


def make_zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.usefixtures("_at_once")
@pytest.mark.parametrize(
    ("name", "make"),
    [
        *((name, os.mkfifo) for name in READS),
        *((name, make) for name in ("picture.png", "bounds.tsv", "map/a.pmtiles") for make in (make_socket, make_zero)),
    ],
)
def test_what_is_no_file_is_refused_and_nothing_waits_for_it(
    folder: Path, capsys: pytest.CaptureFixture[str], name: str, make: Callable[[Path], None]
) -> None:
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    capsys.readouterr()
    assert main(READS[name]) in {1, 2}
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith((name, f"{folder / name}: ")) or f" {folder / name}: " in said
    assert any(what in said for what in ("a named pipe", "a socket", "a device", "is no Makefile")), said
    assert not (folder / "map" / ".cartloader").exists()


def test_a_pipe_that_nobody_would_read_is_no_matter(folder: Path) -> None:
    os.mkfifo(folder / "other.companion.ome")
    os.mkfifo(folder / "map" / "b.geotif.tif")
    assert main(PLACED) == 0


@pytest.fixture(scope="session")
def failing_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that lets reads fail in every program that loads it."""
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("no C compiler for it")
    library = tmp_path_factory.mktemp("eio") / "eio.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, HERE / "eio.c", "-ldl"], check=True)
    return library


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("picture.png", 100_000),
        ("slide.ome.tif", 100_000),
        ("images.yaml", 0),
        *(
            pytest.param(name, start, marks=pytest.mark.slow)
            for name, starts in {
                "picture.png": (0, 5_000),
                "picture.jpg": (0, 5_000, 30_000),
                "slide.ome.tif": (0, 5_000),
                "bounds.tsv": (0,),
                "map/a.geotif.tif": (0, 100_000),
                "map/a.pmtiles": (0, 200, 10_000),
            }.items()
            for start in starts
        ),
    ],
)
def test_a_disk_that_fails_is_told_by_the_name_of_the_file(
    folder: Path, failing_disk: Path, name: str, start: int
) -> None:
    argv = READS.get(name) or [word.replace(".png", ".jpg") for word in PLACED]
    environment = os.environ | {"LD_PRELOAD": str(failing_disk), "EIO_PATH": f"{folder / name}", "EIO_FROM": f"{start}"}
    run = subprocess.run([CARTLOADER, *argv], env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 1
    said = run.stderr.splitlines()[-1]
    assert said.startswith(f"{name}: ")
    assert "Input/output error" in said
    assert not (folder / "map" / ".cartloader").exists()


@pytest.mark.slow
@pytest.mark.parametrize("start", [0, 100, 100_000])
def test_a_disk_that_fails_below_the_scratch_is_told_by_the_name_of_the_directory(
    folder: Path, failing_disk: Path, start: int
) -> None:
    environment = os.environ | {"LD_PRELOAD": str(failing_disk), "EIO_PATH": ".cartloader", "EIO_FROM": f"{start}"}
    argv = [CARTLOADER, *(word.replace("map", "other") for word in SLIDE)]
    run = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith("other")
    assert "Input/output error" in run.stderr
