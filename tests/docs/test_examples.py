"""The pages for newcomers and for each instrument: their commands run as printed, and lead to where the data lie."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from support import vendors
from support.archives import read_archive
from support.maps import look, psnr
from support.pages import DOCS, examples, run_example, tools
from support.tools import require_tools

from cartloader_flows.cli.main import main

RADIUS = 6378137
Box = tuple[float, float, float, float]
"""West, south, east, north, in µm."""


def follow(page: str, folder: Path, make: Callable[[Path], None]) -> Path:
    """Run all commands of a page on the files of an instrument; gives the directory of the map."""
    if needed := tools(DOCS / page):
        require_tools(*needed)
    make(folder)
    for commands in examples(DOCS / page):
        done = run_example(commands, folder, direct=True)
        assert done.returncode == 0, done.stderr
    return folder / "map"


def box(archive: Path) -> Box:
    """Where an archive says that it lies: degrees back to µm by the formulas of the Mercator projection."""
    west, south, east, north = map(float, read_archive(archive).metadata["bounds"].split(","))
    x, y = (RADIUS * np.radians([west, east]), RADIUS * np.arcsinh(np.tan(np.radians([south, north]))))
    return x[0], y[0], x[1], y[1]


def boxes(folder: Path) -> dict[str, Box]:
    """The archives of a map."""
    return {path.stem: box(path) for path in folder.glob("*.pmtiles")}


def centre_of(archive: Path, colour: tuple[int, int, int]) -> tuple[float, float]:
    """Where on the map the pixels of about a colour have their centre, in µm."""
    view = look(archive, int(read_archive(archive).metadata["maxzoom"]))
    near = np.abs(view.rgba[..., :3].astype(int) - colour).max(axis=-1) < 40
    rows, columns = np.nonzero(near & (view.rgba[..., 3] > 127))
    half = np.pi * RADIUS
    return (
        (view.column + columns.mean() + 0.5) * view.resolution - half,
        half - (view.row + rows.mean() + 0.5) * view.resolution,
    )


def listed(folder: Path) -> list[str]:
    """The layers of a map's catalog."""
    return list(yaml.safe_load((folder / "catalog.yaml").read_text())["assets"]["basemap"])


@pytest.mark.slow
def test_first_map(tmp_path: Path) -> None:
    map_folder = follow("first-map.md", tmp_path, lambda _: None)
    assert boxes(map_folder) == {name: pytest.approx((0, 0, 217.6, 217.6), abs=0.01) for name in ("dapi", "membrane")}
    assert listed(map_folder) == ["dapi", "membrane"]
    assert (map_folder / "dapi.mk").exists()
    nuclei = Image.open(tmp_path / "dapi.png").convert("RGB").resize((400, 400), Image.Resampling.BOX)
    with Image.open(DOCS / "first-map.png") as shown:
        assert psnr(np.asarray(nuclei), np.asarray(shown.convert("RGB"))) > 30, "run python docs/make_first_map.py"


def test_placing(tmp_path: Path) -> None:
    map_folder = follow("placing.md", tmp_path, vendors.registered)
    matrix = np.array([[0.00235, 0.27403, 171.69], [-0.27403, 0.00235, 155.33]])
    corners = matrix @ [[0, 90, 0, 90], [0, 0, 60, 60], [1, 1, 1, 1]]
    lies = (*corners.min(axis=1), *corners.max(axis=1))
    assert boxes(map_folder) == {"he": pytest.approx(lies, abs=0.01), "he-points": pytest.approx(lies, abs=0.3)}
    middle = matrix @ [vendors.SPOT / 2, vendors.SPOT / 2, 1]
    assert centre_of(map_folder / "he.pmtiles", (255, 0, 0)) == pytest.approx(middle, abs=0.1)
    fit = read_archive(map_folder / "he-points.pmtiles").metadata["cartloader"]["placing"]["landmarks"]
    assert 0 < fit["worst"] < 0.2


def test_xenium(tmp_path: Path) -> None:
    map_folder = follow("vendors/xenium.md", tmp_path, vendors.xenium)
    found = boxes(map_folder)
    corners = vendors.ALIGNMENT @ [[0, 90, 0, 90], [0, 0, 60, 60], [1, 1, 1, 1]] * vendors.UM_XENIUM
    assert found.pop("he") == pytest.approx((*corners[:2].min(axis=1), *corners[:2].max(axis=1)), abs=0.01)
    whole = pytest.approx((0, 0, 200 * vendors.UM_XENIUM, 150 * vendors.UM_XENIUM), abs=0.01)
    names = ["dapi", "nuclei", "boundary", "rna", "protein", "dapi-max"]
    assert found == dict.fromkeys(names, whole)
    assert listed(map_folder) == [*names, "he"]
    stains = ["DAPI", "ATP1A1-CD45-E-Cadherin", "18S", "AlphaSMA-Vimentin", "morphology"]
    assert boxes(tmp_path / "whole-run") == dict.fromkeys(stains, whole)
    middle = vendors.ALIGNMENT @ [vendors.SPOT / 2, vendors.SPOT / 2, 1] * vendors.UM_XENIUM
    assert centre_of(map_folder / "he.pmtiles", (255, 0, 0)) == pytest.approx(middle[:2], abs=0.1)


@pytest.mark.slow
def test_merscope(tmp_path: Path) -> None:
    map_folder = follow("vendors/merscope.md", tmp_path, vendors.merscope)
    (x, left), (y, top) = vendors.MOSAIC
    expected = pytest.approx((-left / x, -top / y, (120 - left) / x, (90 - top) / y), abs=0.01)
    names = ["dapi", "nuclei", "rna", "boundary", "dapi-max", "dapi-max-too"]
    assert boxes(map_folder) == dict.fromkeys(names, expected)
    assert boxes(tmp_path / "whole-run") == dict.fromkeys(["DAPI-z3", "DAPI-z4", "PolyT-z3", "Cellbound1-z3"], expected)


@pytest.mark.slow
def test_visium_hd(tmp_path: Path) -> None:
    map_folder = follow("vendors/visium-hd.md", tmp_path, vendors.visium_hd)
    expected = pytest.approx((0, 0, 160 * vendors.UM_VISIUM, 120 * vendors.UM_VISIUM), abs=0.01)
    assert boxes(map_folder) == {"he": expected, "he-small": expected}
    assert boxes(tmp_path / "whole-run") == {"tissue_image": expected, "tissue_hires_image": expected}
    first = vendors.SPOT / 2 * vendors.UM_VISIUM
    assert centre_of(map_folder / "he.pmtiles", (255, 0, 0)) == pytest.approx((first, first), abs=0.1)


@pytest.mark.parametrize(("x", "y"), [(1, -1), pytest.param(-1, 1, marks=pytest.mark.slow)])
def test_cosmx(tmp_path: Path, x: int, y: int) -> None:
    map_folder = follow("vendors/cosmx.md", tmp_path, lambda folder: vendors.cosmx(folder, x=x, y=y))
    left, bottom = (vendors.UM_COSMX * edge for edge in vendors.SLIDE)
    everything = left, bottom, left + 160 * vendors.UM_COSMX, bottom + 120 * vendors.UM_COSMX
    assert boxes(map_folder) == dict.fromkeys(["cosmx", "dapi"], pytest.approx(everything, abs=0.01))
    assert boxes(tmp_path / "whole-run").keys() == {"CellComposite", *"BGYRU"}
    for fov, (column, row) in vendors.FOVS.items():
        middle = left + (column + 40) * vendors.UM_COSMX, bottom + (row + 30) * vendors.UM_COSMX
        assert centre_of(map_folder / "cosmx.pmtiles", vendors.COLOURS[fov]) == pytest.approx(middle, abs=0.1)


@pytest.mark.slow
def test_slide_scanner(tmp_path: Path) -> None:
    map_folder = follow("vendors/slide-scanner.md", tmp_path, vendors.slide_scanner)
    width, height = 96 * 0.499, 64 * 0.499
    assert boxes(map_folder) == {
        "he": pytest.approx((0, 0, width, height), abs=0.01),
        "export": pytest.approx((0, 0, 48, 32), abs=0.01),
        "he-moved": pytest.approx((1200, -350.5, 1200 + width, height - 350.5), abs=0.01),
        "he-turned": pytest.approx((1200, 300, 1216, 324), abs=0.01),
    }


def test_the_examples_of_the_help_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["import_image", "--help"])
    text = capsys.readouterr().out
    before_options = text[: text.index("options:\n")]
    commands = re.findall(r"^    (cartloader import_image(?:.*\\\n)*.*)$", before_options, re.MULTILINE)
    assert len(commands) == 3
    vendors.readme(tmp_path)
    (tmp_path / "images.yaml").write_text("{red: {path: histology.png, pixel-size: 1}}")
    for command in commands:
        done = run_example(command, tmp_path, direct=True)
        assert done.returncode == 0, done.stderr
    assert listed(tmp_path / "map") == ["dapi", "he", "red"]
