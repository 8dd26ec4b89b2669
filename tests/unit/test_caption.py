"""The picture beside an archive: all of it, above a line with a scale bar."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cartloader_image as cl
from cartloader_image.drawing import captioned, render_preview
from cartloader_image.values import Bounds


@pytest.mark.parametrize(
    ("extent", "width", "bar"),
    [(1000, 500, 100), (4096, 1024, 250), (90_000, 1000, 222), (3.9, 600, 77), (1000, 40, 8), (1, 1, 1)],
)
def test_the_bar_is_as_long_as_it_says(extent: float, width: int, bar: int) -> None:
    """200 µm, 1 mm, 20 mm, 0.5 µm and 200 µm: the longest of 1, 2 and 5 that takes at most a quarter."""
    picture = Image.new("RGBA", (width, 30), (9, 200, 9, 255))
    final = captioned(picture, Bounds(0, 30, extent, 0), "a")
    assert final.size == (width, 30 + 28)
    pixels = np.asarray(final)
    np.testing.assert_array_equal(pixels[:30], np.asarray(picture))
    dark = (pixels[30 + 14, 8:, :3] < 60).all(axis=1)
    if width > bar + 8:
        assert np.argmin(dark) == bar


@pytest.mark.parametrize("width", [900, 260])
def test_words_stand_at_the_right(width: int) -> None:
    """All of them where there is room, or the name alone."""
    pixels = np.asarray(captioned(Image.new("RGBA", (width, 9)), Bounds(0, 9, 1000, 0), "dapi"))
    inked = np.flatnonzero((pixels[9:, :, 0] < 200).any(axis=0))
    assert width - 20 < inked.max() < width


@pytest.mark.parametrize("preview", [False, True])
def test_an_import_draws_it(tmp_path: Path, preview: bool) -> None:
    slide = cl.write_sample(tmp_path / "slide.ome.tif", size=300)
    image = cl.import_image(slide, out_dir=tmp_path / "map", img_id="dapi", page=0, preview=preview)
    assert image.tiles is not None
    there = tmp_path / "map" / "dapi.preview.png"
    assert there.exists() == (there in image.tiles.files) == preview
    if preview:
        shown = np.asarray(Image.open(there))
        np.testing.assert_array_equal(shown[:-28], np.asarray(render_preview(image.tiles.path)))
        cl.import_image(slide, out_dir=tmp_path / "map", img_id="dapi", page=0, rotate=180)
        assert not there.exists()  # it would show another picture
