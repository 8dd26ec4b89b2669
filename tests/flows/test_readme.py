"""The README's examples, run as printed, on files of the names that they give."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from support import vendors
from support.archives import read_archive
from support.pages import README, examples, run_example

EXAMPLES = examples(README)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of somebody who reads the README."""
    vendors.readme(tmp_path)
    return tmp_path


def test_the_readme_has_its_examples() -> None:
    assert len(EXAMPLES) == 7


@pytest.mark.parametrize(
    "example",
    # The first and the last stand for all where time is short.
    [pytest.param(text, marks=[pytest.mark.slow] * (0 < n < len(EXAMPLES) - 1)) for n, text in enumerate(EXAMPLES)],
    ids=range(len(EXAMPLES)),
)
def test_an_example_runs_as_printed(folder: Path, server: str, example: str) -> None:
    done = run_example(example, folder, PREFECT_API_URL=server)
    assert done.returncode == 0, done.stderr
    archives = sorted(path.stem for path in (folder / "map").glob("*.pmtiles"))
    assert archives == sorted(set(re.findall(r"^(\w+)  \S+  \d", done.stdout, re.MULTILINE)))
    assert archives
    for name in archives:
        assert read_archive(folder / "map" / f"{name}.pmtiles").entries
    if "--update-catalog" in example:
        assert "catalog  map/catalog.yaml  + basemap" in done.stdout
    if "histology.png" in example and "in-json" not in example:
        west, south, east, north = map(
            float, read_archive(folder / "map" / "histology.pmtiles").metadata["bounds"].split(",")
        )
        assert (west, east) == pytest.approx(np.degrees([6690 / 6378137, 7367 / 6378137]), abs=1e-8)
        assert (south, north) == pytest.approx(
            np.degrees(np.arctan(np.sinh([6772 / 6378137, 7449 / 6378137]))), abs=1e-8
        )
