"""The tools of GDAL: which are there, which will not do, and what they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from affine import Affine
from support.maps import HALF_MAP
from support.tools import require_tools

from cartloader_image.action_params import OutputPrefix, Png2PmtilesParams
from cartloader_image.engines.common import plan
from cartloader_image.engines.gdal_calls import Recipe
from cartloader_image.engines.toolbox import Toolbox, toolbox
from cartloader_image.errors import ToolError, UsageError
from cartloader_image.params import TOOLS


@pytest.fixture(autouse=True)
def _tools() -> None:
    require_tools()


@pytest.mark.parametrize(
    ("option", "make", "words"),
    [
        ("gdaladdo", lambda path: path.mkdir(), "is a directory"),
        ("gdalinfo", lambda path: path.write_text("text"), "is not executable"),
        ("pmtiles", lambda path: (path.write_text("text"), path.chmod(0o755)), "cannot be run (Exec format error)"),
        ("gdal_translate", lambda _: None, "there is no such file"),
        ("gdal_translate", lambda path: path.symlink_to("/bin/ls"), "is not GDAL's"),
        ("pmtiles", lambda path: path.symlink_to("/bin/true"), "is not go-pmtiles"),
    ],
)
def test_a_wrong_tool_is_told_before_the_image_is_decoded(tmp_path: Path, option: str, make: Any, words: str) -> None:
    path = tmp_path / "tool"
    make(path)
    params = Png2PmtilesParams(out=OutputPrefix(out_dir=tmp_path, img_id="x"), **{option: str(path)})
    assert params.chosen_engine == "gdal"
    with pytest.raises((ToolError, UsageError)) as caught:
        toolbox(params)
    assert str(caught.value).startswith(f"--{option} {path}: ")
    assert words in str(caught.value)


def test_an_old_gdal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gdalinfo"
    path.write_text("#!/bin/sh\necho 'GDAL 3.4.1, released 2021/12/27'\n")
    path.chmod(0o755)
    with pytest.raises(ToolError, match=r"is GDAL 3\.4\.1; --engine gdal needs GDAL 3\.6 or newer"):
        toolbox(Png2PmtilesParams(out=OutputPrefix(out_dir=tmp_path, img_id="x"), gdalinfo=str(path)))


def test_a_missing_tool_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"gdal_translate is not installed.*apt install gdal-bin.*--gdal_translate"):
        toolbox(Png2PmtilesParams(out=OutputPrefix(out_dir=tmp_path, img_id="x"), engine="gdal"))


def test_webp_is_refused_before_anything_is_read() -> None:
    with pytest.raises(ValueError, match="write png or jpeg"):
        Png2PmtilesParams(out=OutputPrefix(out_dir=Path("/x"), img_id="x"), engine="gdal", tile_format="webp")


def test_overviews_go_on_beyond_two_million_pixels_a_side() -> None:
    size, params = (2_200_000, 2_600_000), Png2PmtilesParams(out=OutputPrefix(out_dir=Path("/x"), img_id="x"))
    affine = Affine(0.2, 0, 0, 0, 0.2, 0)
    pyramid = plan(size, affine, "EPSG:3857", 1, params)
    tools = Toolbox(*(Path(f"/usr/bin/{name}") for name in TOOLS), versions={})
    recipe = Recipe(tools, params, size, affine, "EPSG:3857", pyramid, Path("/x"))
    factors = [int(word) for word in recipe.calls()[2].arguments if word.isdigit()]
    assert factors == [2**n for n in range(1, len(factors) + 1)]
    side = 2_600_000 * 0.2 / (2 * HALF_MAP / 512 / 2**pyramid.base_zoom)
    assert 256 < side / factors[-2] <= 512
    assert [call.title for call in recipe.calls()] == ["placing", "tiles", "overviews", "pmtiles"]
    assert recipe.coarsen_once(6, range(1), range(1)).title == "zoom 5"
