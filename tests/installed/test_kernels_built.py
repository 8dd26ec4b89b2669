"""The build hook: what a wheel holds with a compiler and without one."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cartloader_image.kernels import build

ROOT = Path(__file__).parents[2]


def wheel(folder: Path, **environment: str) -> tuple[Path, str]:
    """Build one; what was said of it."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    run = subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=True, capture_output=True, text=True)
    [made] = folder.glob("*.whl")
    return made, run.stdout + run.stderr


@pytest.mark.skipif(build.compiler() is None, reason="there is no compiler")
@pytest.mark.slow
def test_with_a_compiler_it_holds_the_library_and_is_of_a_platform(tmp_path: Path) -> None:
    made, _ = wheel(tmp_path)
    assert made.name.split("-")[2:4] == ["py3", "none"]
    assert not made.stem.endswith("-any")
    names = zipfile.ZipFile(made).namelist()
    assert {f"cartloader_image/kernels/{name}" for name in ("_kernels.so", "kernels.c", "door.py")} <= set(names)


def test_without_a_compiler_it_is_of_python_alone_and_says_so(tmp_path: Path) -> None:
    made, said = wheel(tmp_path, CC="no-such-compiler")
    assert made.name.endswith("-py3-none-any.whl")
    assert not [name for name in zipfile.ZipFile(made).namelist() if name.endswith(".so")]
    assert "the kernels are not built: no-such-compiler failed" in " ".join(said.split())
