"""An image is opened once for its plan and the actions on it, and again when it has become another one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from support.maps import write_ome

from cartloader_flows.cli.main import main
from cartloader_image.action_params import RasterParams
from cartloader_image.params import ImportOptions
from cartloader_image.rasters.geotiff import open_geotiff
from cartloader_image.recipe import opened
from cartloader_image.recipe.job import single_job
from cartloader_image.recipe.plan import planned
from cartloader_image.report import quiet
from cartloader_image.window import Window


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that are opened, one for each time."""
    names: list[str] = []
    inner = opened.open_source

    def counted(params: RasterParams) -> object:
        names.append(params.in_img.name)
        return inner(params)

    monkeypatch.setattr(opened, "open_source", counted)
    return names


@pytest.mark.parametrize("more", [[], ["--makefn", "a.mk"]], ids=["alone", "with a Makefile"])
def test_a_direct_run_opens_its_image_once(openings: list[str], tmp_path: Path, more: list[str]) -> None:
    path = write_ome(tmp_path / "a.ome.tif", np.zeros((9, 9), np.uint8))
    argv = ["import_image", "--direct", "--ome2png", "--png2pmtiles", "--in-img", str(path), *more]
    assert main([*argv, "--out-dir", str(tmp_path / "map"), "--img-id", "a"]) == 0
    assert openings == ["a.ome.tif"]


def write(path: Path, level: int, left: float) -> None:
    """A picture of one level, and the world file that says where it lies."""
    tifffile.imwrite(path.with_suffix(".new"), np.full((9, 9), level, np.uint8))
    path.with_suffix(".new").replace(path)
    path.with_suffix(".tfw").write_text(f"1\n0\n0\n-1\n{left + 0.5}\n8.5\n")


@pytest.mark.parametrize(("level", "left"), [(77, 0), (0, 100)], ids=["the picture", "its world file"])
def test_what_has_changed_since_the_plan_is_read_anew(
    openings: list[str], tmp_path: Path, level: int, left: float
) -> None:
    path = tmp_path / "a.tif"
    write(path, 0, 0)
    with planned(single_job(path, "a", tmp_path, ImportOptions(georeference=True))) as plan:
        (step,) = plan.steps
        write(path, level, left)
        step.action(step.params, quiet)
    assert openings == ["a.tif", "a.tif"]
    with open_geotiff(tmp_path / "a.geotif.tif") as placed:
        assert placed.store.read(Window(0, 9, 0, 9)).max() == level
        assert placed.affine.c == left
