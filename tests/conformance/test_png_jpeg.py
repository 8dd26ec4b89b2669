"""PNG of every colour type and depth by the specification and Pillow, JPEG of every kind by Pillow."""

from __future__ import annotations

import io
from itertools import product
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from support.pngs import Png, pngs
from support.rasters import read_whole, smooth, with_source

PNGS = pngs()


def test_there_are_all_kinds_of_png() -> None:
    assert len({str(png) for png in PNGS}) == 78


@pytest.mark.parametrize("png", PNGS, ids=str)
def test_a_png(tmp_path: Path, png: Png) -> None:
    (tmp_path / "a.png").write_bytes(png.encode())
    found, alpha = with_source(tmp_path / "a.png", lambda source: (read_whole(source.plane), source.plane.layout.alpha))
    wanted = png.shown
    assert alpha == (wanted.shape[-1] in {2, 4})
    assert found.dtype == (np.uint16 if png.depth == 16 else np.uint8)
    np.testing.assert_array_equal(found, wanted)


# Pillow takes all 16 bits of a transparent grey or colour, and scales values of 2 and 4 bits before it looks for it.
WITH_PILLOW = [
    png for png in PNGS if png.depth in {1, 8} or (png.depth < 16 and not png.clear.startswith("key"))
]  # fmt: skip


@pytest.mark.parametrize("png", [png for png in WITH_PILLOW if png.clear != "key with more bits"], ids=str)
def test_pillow_shows_the_same(png: Png) -> None:
    wanted = png.shown
    with Image.open(io.BytesIO(png.encode())) as picture:
        bands = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[wanted.shape[-1]]
        shown = np.asarray(picture.convert("RGBA").convert(bands)).reshape(wanted.shape)
    np.testing.assert_array_equal(shown, wanted)


JPEGS: dict[str, Any] = {
    f"{mode}-{sampling}{'-progressive' * progressive}": (mode, {"subsampling": sampling, "progressive": progressive})
    for mode, sampling, progressive in product(("RGB", "CMYK"), (0, 1, 2), (False, True))
}
JPEGS |= {f"L{'-progressive' * more}": ("L", {"progressive": more}) for more in (False, True)}
JPEGS |= {"RGB-stored": ("RGB", {"keep_rgb": True}), "optimized": ("RGB", {"optimize": True})}
JPEGS |= {"restarts": ("RGB", {"restart_marker_blocks": 3})}


def check_jpeg(path: Path, *, slack: int) -> None:
    with Image.open(path) as picture:
        shown = np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))
    found = with_source(path, lambda source: read_whole(source.plane))
    assert found.shape[-1] == (1 if shown.ndim == 2 else 3)
    assert np.abs(found.astype(int) - shown.reshape(found.shape)).max() <= slack


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg(tmp_path: Path, kind: str) -> None:
    mode, options = JPEGS[kind]
    bands = {"L": 1, "RGB": 3, "CMYK": 4}[mode]
    Image.fromarray(smooth(61, 53, bands), mode=mode).save(tmp_path / "a.jpg", quality=90, **options)
    # Two decoders of YCbCr, which round in other places where colours are spread over more pixels.
    check_jpeg(tmp_path / "a.jpg", slack=1 if mode == "L" or "keep_rgb" in options else 4)


@pytest.mark.parametrize("outer", ["CMYK", "YCCK"])
def test_a_jpeg_of_inks(tmp_path: Path, outer: str) -> None:
    data = imagecodecs.jpeg_encode(smooth(61, 53, 4), level=95, colorspace="CMYK", outcolorspace=outer)
    (tmp_path / "a.jpg").write_bytes(data)
    check_jpeg(tmp_path / "a.jpg", slack=4)
