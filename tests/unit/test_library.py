"""The front door: what a script or a notebook calls."""

from __future__ import annotations

import doctest
import io
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from support.maps import write_ome

import cartloader_image as cl
from cartloader_image.library import Imported
from cartloader_image.report import Quiet


def picture(rows: int, columns: int) -> np.ndarray:
    """Smooth detail, so that a shift shows in the numbers."""
    random = np.random.default_rng(3)
    detail = ndimage.gaussian_filter(random.normal(size=(rows, columns, 3)), (4, 4, 0))
    return (128 + detail * 900).clip(0, 255).astype(np.uint8)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "module", ["cartloader_image", "archive", "inspection.pictures", "layout", "library", "window"]
)
def test_the_examples_are_true(module: str) -> None:
    name = module if module == cl.__name__ else f"{cl.__name__}.{module}"
    tried = doctest.testmod(import_module(name), raise_on_error=False)
    assert tried.attempted
    assert not tried.failed


def test_the_example_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    [example] = re.findall(r"<!-- test: python -->\n```python\n(.*?)```", text, re.DOTALL)
    cl.write_sample("morphology.ome.tif", size=1024)
    seen: dict[str, Any] = {}
    exec(example, seen)
    assert "0.2125 µm per pixel, 2 planes: 0 (DAPI), 1 (membrane)" in capsys.readouterr().out
    assert seen["pixels"].shape == (480, 800, 4)
    assert seen["pixels"][..., 3].all()


def test_every_public_function_has_an_example() -> None:
    finder = doctest.DocTestFinder(recurse=False)
    functions = [name for name in cl.__all__ if name.islower() and not name.startswith("_")]
    assert len(functions) == 6
    for name in functions:
        assert finder.find(getattr(cl, name), name)[0].examples, name


def test_the_import_loads_nothing() -> None:
    code = "import sys; before = set(sys.modules); import cartloader_image; print(*sorted(set(sys.modules) - before))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "pydantic", "PIL", "rasterio", "tifffile", "pathlib"} & {*run.stdout.split()}
    assert set(cl.__all__) <= set(dir(cl))
    with pytest.raises(AttributeError, match="no attribute 'import_picture'"):
        cl.import_picture  # noqa: B018


def test_neither_prefect_nor_rich_is_needed() -> None:
    code = (
        "import sys, cartloader_image as cl\n"
        "cl.import_image(cl.write_sample('a.ome.tif', size=256), out_dir='map', img_id='a', page=0)\n"
        "print({name.split('.')[0] for name in sys.modules} & {'prefect', 'rich'})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("set()\n", "")


@pytest.mark.parametrize("bounds", [(100, 200, 228, 120), (100, 120, 228, 200), (228, 200, 100, 120)])
def test_an_archive_shows_the_image_by_its_own_bounds(bounds: tuple[float, float, float, float]) -> None:
    pixels = picture(400, 640)
    Image.fromarray(pixels).save("a.png")
    image = cl.import_image("a.png", out_dir="map", img_id="a", georef_bounds=cl.Bounds(*bounds))
    assert image.tiles is not None
    with cl.open_archive(image.tiles.path) as archive:
        shown = archive.read(bounds, size=640)
        piece = archive.read((bounds[0], bounds[1], (bounds[0] + bounds[2]) / 2, bounds[3]), size=400)
    assert shown.shape == (400, 640, 4)
    inner = slice(8, -8)
    assert (shown[inner, inner, 3] == 255).all()
    shifts = {
        (row, column): np.square(
            np.roll(pixels, (row, column), (0, 1))[inner, inner] - shown[inner, inner, :3].astype(float)
        ).mean()
        for row in (-1, 0, 1)
        for column in (-1, 0, 1)
    }
    assert min(shifts, key=shifts.__getitem__) == (0, 0)
    # A parabola through the errors has its foot where the picture lies.
    for before, after in (((-1, 0), (1, 0)), ((0, -1), (0, 1))):
        foot = (shifts[before] - shifts[after]) / (2 * (shifts[before] + shifts[after] - 2 * shifts[0, 0]))
        assert abs(foot) < 0.05, "pixels"
    assert piece.shape == (400, 320, 4)
    np.testing.assert_allclose(piece[inner, inner, :3], shown[inner, 8:312, :3], atol=12)


def test_beyond_the_picture_an_archive_is_transparent() -> None:
    image = cl.import_image(cl.write_sample("a.ome.tif", size=256), out_dir="map", img_id="a", page=0)
    assert image.tiles is not None
    archive = cl.open_archive(image.tiles.path)
    seen = archive.read((-54.4, 0, 108.8, 54.4), size=30)[2:-2, :, 3]
    np.testing.assert_array_equal(seen > 127, np.repeat([[False, True, False]], 6, axis=0).repeat(10, axis=1))
    assert archive.bounds.width == pytest.approx(54.4, rel=1e-4)
    assert archive.tile(0, 0, 0) is None
    finest = archive.zooms[-1]
    middle = 1 << (finest - 1)
    data = archive.tile(finest, middle, middle - 1)
    assert data is not None
    assert Image.open(io.BytesIO(data)).size == (archive.tile_size,) * 2
    for place in ((-1, 0, 0), (3, 8, 0), (3, 0, 8), (40, 0, 0)):
        with pytest.raises(cl.UsageError, match="the map has zooms from 0 to 31"):
            archive.tile(*place)
    with pytest.raises(cl.UsageError, match="have no area"):
        archive.read((1, 1, 1, 2))
    with pytest.raises(cl.ArchiveError, match="tiles of zoom"):
        archive.read((-1e7, -1e7, 1e7, 1e7), size=10**8)
    assert "data:image/webp;base64," in archive._repr_html_()
    assert isinstance(image, Imported)
    assert archive._repr_html_().partition("<figcap")[0] in str(image._repr_html_())
    assert f"{image.tiles.path}</figcaption>" in str(image._repr_html_())
    assert Imported(img_id="a")._repr_html_() is None
    archive.close()
    archive.close()


def test_what_is_wrong_is_an_error_of_its_own() -> None:
    slide = cl.write_sample("a.ome.tif", size=256)
    with pytest.raises(cl.UsageError, match="2 planes and no --page"):
        cl.import_image(slide, out_dir="map", img_id="a")
    with pytest.raises(cl.UsageError, match=r"--colour is no option \(did you mean --colorize"):
        cl.import_image(slide, out_dir="map", img_id="a", colour="cyan")
    with pytest.raises(cl.UsageError, match="cannot be an image id"):
        cl.import_image(slide, out_dir="map", img_id="a b", page=0)
    with pytest.raises(cl.InputError, match="cannot be read"):
        cl.import_image("none.tif", out_dir="map", img_id="a")
    with pytest.raises(cl.ArchiveError, match="is no PMTiles archive"):
        cl.open_archive(slide)
    assert not Path("map").exists()


def test_a_report_is_told() -> None:
    stages = set()

    class Heard(Quiet):
        def progress(self, stage: str, done: int, total: int) -> None:
            if done == total:
                stages.add(str(stage))

    slide = cl.write_sample("a.ome.tif", size=256)
    image = cl.import_image(slide, out_dir="map", img_id="a", page=0, update_catalog=True, report=Heard())
    assert {"ome2png", "png2pmtiles"} <= stages
    assert Path("map/catalog.yaml").exists()
    assert image.raster is not None


def test_what_an_image_holds() -> None:
    found = cl.inspect(write_ome(Path("a.ome.tif"), np.zeros((30, 40, 3), np.uint8), 0.5))
    assert (found.kind, found.series[0].pixel_size) == ("OME-TIFF", (0.5, 0.5))
    assert str(found) == "a.ome.tif  OME-TIFF, 40 × 30 uint8 RGB, 0.5 µm per pixel"
    Image.new("L", (40, 30)).save("a.png")
    assert str(cl.inspect("a.png")) == "a.png  PNG, 40 × 30 uint8, no pixel size"
    with pytest.raises(cl.InputError, match=r"a\.txt"):
        cl.inspect(Path("a.txt"))
