"""Small archives that ask for a lot: refused, or done, in little memory, whatever looks at them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.archive_bombs import bombs

TESTS = Path(__file__).parents[1]
MEMORY = 300
"""Megabytes, of which the program itself has 55."""
HARMLESS = {"metadata: blanks", "a PNG of 4096² that is true"}


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """What one program says that looks at all of them: its memory is the most that any took."""
    folder = tmp_path_factory.mktemp("bombs")
    for name, data in bombs():
        assert len(data) < 1_200_000
        (folder / f"{name}.pmtiles").write_bytes(data)
    argv = [sys.executable, "-m", "support.archive_bombs", *map(str, sorted(folder.iterdir()))]
    done = subprocess.run(
        argv, env={**os.environ, "PYTHONPATH": str(TESTS)}, capture_output=True, text=True, check=True
    )
    assert len(done.stdout.splitlines()) == len(list(folder.iterdir()))
    print(done.stdout)  # name, seconds of preview and of verify, MB, words
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_all_are_looked_at_in_little_memory(lines: list[list[str]]) -> None:
    assert len(lines) > 25
    assert max(int(line[3]) for line in lines) <= MEMORY


def test_all_are_refused_but_the_harmless(lines: list[list[str]]) -> None:
    for name, *_, drawn, found in lines:
        assert (found == "good") == (name in HARMLESS), (name, found)
        # Metadata are not needed to draw an archive.
        assert (drawn == "drawn") == (name in HARMLESS or name.startswith("metadata")), (name, drawn)
