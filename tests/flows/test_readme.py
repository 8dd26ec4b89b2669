"""The README's examples, run as printed, on files of the names that they give."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cartloader_image.tiles.archive import read_archive

README = Path(__file__).parents[2] / "README.md"
EXAMPLES = re.findall(r"<!-- test -->\n```bash\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of somebody who reads the README."""
    noise = np.random.default_rng(5)
    planes = noise.integers(0, 4000, (2, 90, 120), np.uint16)
    metadata = {"axes": "CYX", "PhysicalSizeX": 0.2125, "PhysicalSizeY": 0.2125}
    tifffile.imwrite(tmp_path / "morphology.ome.tif", planes, metadata=metadata, photometric="minisblack")
    tifffile.imwrite(tmp_path / "mosaic_DAPI_z3.tif", planes[0])
    Image.fromarray(noise.integers(0, 255, (100, 100, 3), np.uint8)).save(tmp_path / "histology.png")
    (tmp_path / "bounds.tsv").write_text("6690\t6772\t7367\t7449\n")
    header = b"##K=12;TOPK=3\n##OFFSET_X=6690;OFFSET_Y=6772;SIZE_X=676;SIZE_Y=676;SCALE=100\n#BLOCK\tX\tY\n0\t1\t2\n"
    (tmp_path / "decode.pixel.sorted.tsv.gz").write_bytes(gzip.compress(header))
    (tmp_path / "micron_to_mosaic_pixel_transform.csv").write_text("9.26 0 -125.5\n0 9.26 121.6\n0 0 1\n")
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
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PREFECT_API_URL": server}
    done = subprocess.run(
        ["bash", "-euc", example], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
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
