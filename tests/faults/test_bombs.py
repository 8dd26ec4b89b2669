"""Inputs that ask for far more than they are: refused at once, or imported at no great cost."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from support.bombs import BOMBS, CATALOGS

MEMORY = 300 << 20
"""Bytes that a whole command may take, of which 60 to 90 MB are Python and its libraries."""
SECONDS = 20
"""Of one core; on a quiet machine none takes 4."""
_MEASURED = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
sys.stderr.write(done.stderr)
print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""
"""A small process starts the command: a child's peak counts that of the process that it is forked from."""


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def said(folder: Path, *argv: str) -> tuple[int, str]:
    """Exit code and last line of the command, which has not taken too much."""
    command = [Path(sys.executable).with_name("cartloader"), "import_image", "--direct", *argv]
    where = ["--out-dir", "map", *([] if "--in-json" in argv else ["--img-id", "dapi"])]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *command, *where],
        cwd=folder, capture_output=True, text=True, check=True, preexec_fn=limited,
    )  # fmt: skip
    code, peak = map(int, done.stdout.split())
    assert peak <= MEMORY, f"{peak >> 20} MB"
    return code, (done.stderr.strip().splitlines() or [""])[-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_next_to_nothing(tmp_path: Path, name: str) -> None:
    make, sentence = BOMBS[name]
    code, last = said(tmp_path, *make(tmp_path))
    assert "bug" not in last
    if not sentence:
        assert code == 0, last
        return
    assert code in {1, 2}
    assert re.search(sentence, last), last
    assert not list(tmp_path.glob("map/*"))


@pytest.mark.slow
@pytest.mark.parametrize("name", CATALOGS)
def test_a_catalog_costs_next_to_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "catalog.yaml").write_text(CATALOGS[name])
    sample = [Path(sys.executable).with_name("cartloader"), "sample", "--size", "256", "a.ome.tif"]
    subprocess.run(sample, cwd=tmp_path, check=True, capture_output=True)
    argv = ["--ome2png", "--png2pmtiles", "--update-catalog", "--in-img", "a.ome.tif", "--page", "0"]
    code, last = said(tmp_path, *argv, "--catalog-yaml", "catalog.yaml")
    assert "bug" not in last
    if code:
        assert (tmp_path / "catalog.yaml").read_text() == CATALOGS[name]
        assert "catalog.yaml: " in last
