"""Tiles of every format, decoded by Pillow."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pmtiles.tile import TileType
from support.archives import encoded
from support.rasters import as_rgba, noise, smooth

from cartloader_image.tile_formats import TILE_FORMATS
from cartloader_image.tiles.encode import encoding, primary_colour
from cartloader_image.values import Rgb

Pixels = NDArray[np.uint8]
sides, bands = st.integers(1, 40), st.integers(1, 4)
PRIMARIES = [(True, False, False), (False, True, True), (True, True, True)]


def rgba(data: bytes) -> Pixels:
    return np.asarray(Image.open(BytesIO(data)).convert("RGBA"))


@pytest.mark.parametrize("name", TILE_FORMATS)
def test_a_format_is_what_the_header_and_the_metadata_say(name: str) -> None:
    data = encoding(name, None)(smooth(64, 64, 3))
    kind = {"PNG": (TileType.PNG, "png"), "WEBP": (TileType.WEBP, "webp"), "JPEG": (TileType.JPEG, "jpg")}
    assert (TileType(TILE_FORMATS[name].tile_type), TILE_FORMATS[name].extension) == kind[
        str(Image.open(BytesIO(data)).format)
    ]


@pytest.mark.parametrize("name", ["png", "webp"])
@given(sides, sides, bands, st.booleans())
def test_nothing_is_lost(name: str, rows: int, columns: int, count: int, clear: bool) -> None:
    """Not even colours that nobody sees, under alpha 0."""
    pixels = noise((rows, columns, count))
    if clear and count in {2, 4}:
        pixels[: -(-rows // 2), :, -1] = 0
    np.testing.assert_array_equal(rgba(encoding(name, None)(pixels)), as_rgba(pixels))


@pytest.mark.parametrize("name", ["png", "webp"])
@given(sides, sides, st.integers(1, 2), st.sampled_from(PRIMARIES))
def test_a_grey_picture_in_a_primary_colour(
    name: str, rows: int, columns: int, count: int, primary: tuple[bool, bool, bool]
) -> None:
    pixels = noise((rows, columns, count))
    expected = as_rgba(pixels) * np.array([*primary, True])
    np.testing.assert_array_equal(rgba(encoding(name, None, primary)(pixels)), expected)


LOSSY = {"jpeg": ("JPEG", 90), "webp-lossy": ("WEBP", 80)}


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("quality", [None, 30])
@pytest.mark.parametrize("count", [1, 3])
def test_the_quality_is_that_of_pillow_with_a_default(name: str, quality: int | None, count: int) -> None:
    kind, default = LOSSY[name]
    picture = smooth(64, 96, count)
    expected = encoded(picture, kind, quality=quality or default, **({"method": 0} if kind == "WEBP" else {}))
    assert encoding(name, quality)(picture.reshape(64, 96, count)) == expected


@pytest.mark.parametrize(("background", "beyond"), [(None, 255), ("white", 255), ("black", 0)])
@given(st.lists(st.integers(0, 255), min_size=2, max_size=4).filter(lambda values: len(values) != 3))
@example([77, 255])
@example([77, 128])
@example([9, 99, 200, 0])
def test_a_jpeg_shows_what_lies_beyond_through_its_alpha(
    background: str | None, beyond: int, values: list[int]
) -> None:
    flat = np.full((16, 16, len(values)), values, np.uint8)
    expected = [(value * values[-1] + beyond * (255 - values[-1])) / 255 for value in values[:-1]]
    found = rgba(encoding("jpeg", 100, background=background)(flat))[..., :3]
    assert np.abs(found - (expected * 3)[:3]).max() <= 2


@given(st.binary(min_size=3, max_size=3) | st.sampled_from([b"\0\0\0", b"\0\xff\xff", b"\7\7\7", b"\7\0\7", b"\1\2\0"]))
def test_a_primary_colour_shows_one_and_the_same_picture_in_all_of_its_bands(colour: bytes) -> None:
    """Every grey value, coloured band by band: what is not 0 all over is alike, and there is something."""
    ramp = np.arange(256)[:, None] * np.frombuffer(colour, np.uint8) // 255
    lit = ramp.any(axis=0)
    alike = lit.any() and (np.ptp(ramp[:, lit], axis=1) == 0).all()
    assert primary_colour(Rgb(*colour)) == (tuple(lit.tolist()) if alike else None)
    assert primary_colour(None) is None
