"""Hundreds of small TIFFs of every kind and layout, by three writers: the pixels of each are those that were written.

What is expected follows from the written samples by the rules of the specification; of what JPEG changes, from the
samples as GDAL reads them. What is refused is listed here, and in `docs/formats.md`.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image, ImageCms
from rasterio.errors import NotGeoreferencedWarning
from support.kinds import ASSOCIATED, BASE, COLUMNS, Array, Kind, picture, shown
from support.matrix import Combination, combinations
from support.rasters import params_for, read_whole, with_source
from support.tags import with_entry, with_value
from support.tools import require_tools
from support.writers import PHOTOMETRIC, WRITERS, Layout, spread

from cartloader_image.action_params import Ome2PngParams
from cartloader_image.errors import InputError
from cartloader_image.recipe import actions

ALL = combinations()
FILL_ORDER = 266
UNKNOWN_TO_GDAL = {"jpeg2000", "jpeg2000-33003", "jpeg2000-33005", "jpegxl", "png"}


def write(combination: Combination, folder: Path) -> tuple[Path, Array]:
    """The file, and the samples that it was written from."""
    path, kind, layout = folder / f"{combination}.tif", combination.kind, combination.layout
    stored = picture(kind, smooth=layout.lossy or layout.subsampling != (1, 1))
    if combination.writer == "vips":
        require_tools("vips")
        # of 4 bits it leaves out the last column of an odd number
        stored = stored[:, : COLUMNS - (kind.bits == 4)]
    WRITERS[combination.writer](path, stored, kind, layout)
    return path, stored


def by_gdal(path: Path) -> Array:
    """The samples of a file, where GDAL reads it; YCbCr in JPEG as RGB."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as dataset:
            return np.moveaxis(dataset.read(), 0, -1)


def expected(path: Path, stored: Array, kind: Kind, layout: Layout) -> Array:
    """What must be read, unrounded."""
    if layout.lossy:
        decoded = by_gdal(path)
        if kind.photometric in {"ycbcr", "separated"}:  # converted by GDAL
            return decoded[..., :3]
        return shown(decoded, kind)
    return shown(spread(stored, layout.subsampling), kind) if layout.subsampling != (1, 1) else shown(stored, kind)


def slack(kind: Kind, layout: Layout, alpha: Array | float) -> Any:
    """By how much a value may differ: by nothing where all is a matter of whole numbers."""
    # 8 bits come of it, alpha included
    converted = kind.photometric in {"separated", "ycbcr", "cielab"} or (kind.photometric, kind.dtype) == (
        "palette",
        "u2",
    )
    least = 1e-6 if np.dtype(kind.dtype).kind == "f" else 0.5 + 1e-6 if kind.alpha is not None else 0.0
    least = max(least, 1.0) if converted else least
    if layout.codec == "jpeg2000" and kind == Kind("rgb"):
        least = 3.0  # libvips stores YCbCr in there, rounded
    if layout.lossy:
        least = 6.0 if kind.photometric == "ycbcr" else 2.0  # two decoders of JPEG, which spread colours otherwise
    if kind.extras[:1] == ASSOCIATED and converted:
        return least / np.maximum(alpha, 1e-9)
    return least


def confirm(path: Path, stored: Array, combination: Combination) -> None:
    """GDAL reads what was written, so that a writer and a reader of one family cannot agree on something else."""
    kind, layout = combination.kind, combination.layout
    if layout.lossy or layout.codec in UNKNOWN_TO_GDAL or kind.photometric in {"ycbcr", "cielab", "separated"}:
        return
    seen = 1 if layout.codec != "webp" or kind.alpha is None else stored[..., kind.alpha :] > 0
    np.testing.assert_array_equal(by_gdal(path) * seen, stored * seen)


def check(combination: Combination, folder: Path) -> None:
    """Every plane of a file against what must be read.

    Raises:
        InputError: the file is refused.
    """
    kind, layout = combination.kind, combination.layout
    path, stored = write(combination, folder)
    confirm(path, stored, combination)
    for page in range(kind.planes):
        chosen = {"page": page} if kind.planes > 1 else {}
        found, alpha = with_source(path, lambda source: (read_whole(source.plane), source.plane.layout.alpha), **chosen)
        wanted = expected(path, stored, kind, layout)
        if kind.planes > 1:
            wanted = stored[..., page : page + 1]
        assert alpha == (kind.alpha is not None)
        assert found.shape == wanted.shape
        opaque = wanted[..., -1:] / max(float(wanted[..., -1].max()), 1) if alpha else 1.0
        off = np.abs(found.astype(np.longdouble) - wanted)
        if layout.codec == "webp" and alpha:  # which leaves out what cannot be seen
            off *= wanted[..., -1:] > 0
        assert (off <= slack(kind, layout, opaque)).all(), f"{combination}: off by up to {off.max():g}"


REFUSED_OF_ALL = {"vips-rgb-u2-jpeg2000-tiled": "YCbCr is read with 8 bits per sample only"}
"""Of the whole matrix nothing else is refused."""


@pytest.mark.parametrize("combination", ALL, ids=str)
def test_a_file(tmp_path: Path, combination: Combination) -> None:
    if what := REFUSED_OF_ALL.get(str(combination)):
        with pytest.raises(InputError, match=what):
            check(combination, tmp_path)
    else:
        check(combination, tmp_path)


def test_the_matrix_is_whole() -> None:
    """No writer leaves anything out without being noticed, and each axis has all of its values."""
    assert len({str(one) for one in ALL}) == len(ALL)
    assert Counter(one.writer for one in ALL) == {"tifffile": 418, "gdal": 275, "vips": 69}
    assert {one.kind.photometric for one in ALL} == set(BASE)
    depths = {one.kind.bits or 8 * np.dtype(one.kind.dtype).itemsize for one in ALL}
    assert depths == {*range(1, 18), 24, 31, 32, 64}
    for flag in ("tiled", "planar", "big_endian", "bigtiff"):
        assert Counter(getattr(one.layout, flag) for one in ALL)[True] > 100
    assert {one.layout.predictor for one in ALL} == {1, 2, 3}
    assert len({one.layout.codec for one in ALL}) == 21


@pytest.mark.parametrize("one", [one for one in ALL if one.layout.untagged], ids=str)
def test_a_missing_photometric_interpretation_is_told(tmp_path: Path, one: Combination) -> None:
    notes = " ".join(with_source(write(one, tmp_path)[0], lambda source: source.notes))
    assert "photometric" in notes.lower()


def test_cielab_is_near_what_pillow_shows(tmp_path: Path) -> None:
    """It looks for the colour profile's own white; GDAL's grey is as much as 25 levels off grey."""
    kind = Kind("cielab")
    WRITERS["tifffile"](tmp_path / "a.tif", picture(kind), kind, Layout("lzw"))
    to_rgb = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    with Image.open(tmp_path / "a.tif") as lab:
        wanted = np.asarray(ImageCms.applyTransform(lab, to_rgb)).astype(int)
    assert np.abs(with_source(tmp_path / "a.tif", lambda source: read_whole(source.plane)) - wanted).max() <= 12


@pytest.mark.parametrize("kind", [Kind("miniswhite", "u1", 1), Kind("minisblack", "u1", 4), Kind("rgb", "u2")], ids=str)
@pytest.mark.parametrize("codec", ["none", "lzw", "deflate"])
def test_bytes_whose_bits_run_the_other_way(tmp_path: Path, kind: Kind, codec: str) -> None:
    """FillOrder 2: all bytes of the data are turned, those that a codec made too."""
    path, stored = tmp_path / "a.tif", picture(kind)
    WRITERS["gdal"](path, stored, kind, Layout(codec))
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        pieces = [slice(at, at + size) for at, size in zip(page.dataoffsets, page.databytecounts, strict=True)]
    data, turned = bytearray(path.read_bytes()), bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
    for piece in pieces:
        data[piece] = data[piece].translate(turned)
    path.write_bytes(with_entry(bytes(data), FILL_ORDER, 3, b"\2\0"))
    np.testing.assert_array_equal(by_gdal(path), stored)
    np.testing.assert_array_equal(with_source(path, lambda source: read_whole(source.plane)), shown(stored, kind))


REFUSED = {
    "complex": (Kind("minisblack", "c8"), None, "holds complex numbers, which cannot be shown"),
    "complex colour": (Kind("rgb", "c16"), None, "holds complex numbers, which cannot be shown"),
    **{
        name: (Kind("rgb"), code, f"photometric interpretation {name} cannot be shown")
        for name, code in {"ICCLAB": 9, "ITULAB": 10, "LOGLUV": 32845, "LINEAR_RAW": 34892}.items()
    },
    **{
        name: (Kind("minisblack"), code, f"photometric interpretation {name} cannot be shown")
        for name, code in {"CFA": 32803, "LOGL": 32844, "DEPTH_MAP": 51177}.items()
    },
    "unknown": (Kind("rgb"), 999, "photometric interpretation 999 cannot be shown"),
    "signed white": (Kind("minisblack", "i2"), 0, "MINISWHITE is read for unsigned integers only"),
    "floating white": (Kind("minisblack", "f4"), 0, "MINISWHITE is read for unsigned integers only"),
    "palette of 32 bits": (Kind("minisblack", "u4"), 3, "a palette is read for unsigned integers of at most 16 bits"),
    "palette of signed indices": (Kind("minisblack", "i1"), 3, "a palette is read for unsigned integers"),
    "colour of two samples": (Kind("minisblack", extras="x"), 2, "has 2 samples per pixel, of which no picture"),
    "inks of three samples": (Kind("rgb"), 5, "has 3 samples per pixel, of which no picture can be made"),
    "YCbCr of 16 bits": (Kind("rgb", "u2"), 6, "YCbCr is read with 8 bits per sample only"),
    "CIELAB of 16 bits": (Kind("rgb", "u2"), 8, "CIELAB is read with 8 bits per sample only"),
    "floating inks": (Kind("separated", "f4"), None, "CMYK is read with 8 or 16 bits per sample only"),
}
"""What is written, the interpretation that it is given afterwards, and what is said."""


def refused_in_docs() -> list[str]:
    """The sentences of the table in the docs."""
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    rows = text.partition("**Refused**")[2].partition("## ")[0].splitlines()
    return [row.split("|")[2].strip() for row in rows if row.startswith("|") and not row.startswith("|--")][1:]


def general(sentence: str) -> str:
    """A sentence without the numbers and names of tags that differ from file to file."""
    return re.sub(r"\b([A-Z_]{3,}|YCbCr|\d+)\b", "…", sentence)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("layout", [Layout(), Layout("lzw", tiled=True, big_endian=True)], ids=str)
def test_what_is_refused_is_documented(tmp_path: Path, name: str, layout: Layout) -> None:
    kind, photometric, what = REFUSED[name]
    path = tmp_path / "a.tif"
    WRITERS["tifffile"](path, picture(kind), kind, layout)
    if photometric is not None:
        path.write_bytes(with_value(path.read_bytes(), PHOTOMETRIC, photometric))
    with pytest.raises(InputError, match=re.escape(what)) as error:
        with_source(path, lambda source: read_whole(source.plane))
    assert "\n" not in str(error.value)
    said = general(str(error.value).removeprefix(f"{path}: "))
    assert any(general(sentence) in said for sentence in refused_in_docs()), f"docs/formats.md does not list: {said}"


RAMPS = {
    "red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "cyan": (0, 255, 255), "magenta": (255, 0, 255),
    "yellow": (255, 255, 0), "orange": (255, 128, 0), "grey": (255, 255, 255), "dim": (0, 100, 180),
}  # fmt: skip


def write_ramp(path: Path, colour: tuple[int, int, int], depth: int, layout: Layout) -> Array:
    """A palette from black to a colour; returns the indices."""
    kind = Kind("palette", "u2" if depth > 8 else "u1", depth if depth < 8 else 0)
    stored = picture(kind)
    WRITERS["gdal" if kind.bits else "tifffile"](path, stored, kind, layout)
    ramp = np.linspace(0, 1, 1 << depth) * np.array(colour)[:, None]
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["ColorMap"].overwrite(np.rint(ramp * 257).astype(int).ravel().tolist())
    return stored[..., 0]


@pytest.mark.parametrize("depth", [4, 8, 16])
@pytest.mark.parametrize(("turn", "name"), list(enumerate(RAMPS)))
def test_a_palette_from_black_to_one_colour_is_mono(tmp_path: Path, turn: int, name: str, depth: int) -> None:
    """As it is, it shows its own colour; another one and thresholds work on the indices."""
    layout = [Layout("deflate"), Layout(tiled=True, big_endian=True), Layout("lzw", bigtiff=True)][turn % 3]
    indices, top = write_ramp(tmp_path / "a.tif", RAMPS[name], depth, layout), (1 << depth) - 1
    for colorize, colour in ((None, RAMPS[name]), ("#ff0080", (255, 0, 128))):
        low, high = (top // 5, top // 2) if colorize and depth >= 8 else (0, top)
        given = {"lower_thres_intensity": low, "upper_thres_intensity": high} if low else {}
        params = params_for(tmp_path / "a.tif", pixel_size="1", colorize=colorize, **given)
        assert isinstance(params, Ome2PngParams)
        actions.ome2png(params)
        found = by_gdal(params.out.path(".geotif.tif"))
        part = (indices.clip(low, high) - float(low)) / (high - low)
        assert np.abs(found - part[..., None] * np.array(colour)).max() <= 1
