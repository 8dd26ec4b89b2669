"""The table of tile formats against the options, the PMTiles package and Pillow."""

from __future__ import annotations

from io import BytesIO
from typing import get_args

import numpy as np
import pytest
from PIL import Image
from pmtiles.tile import TileType
from support.rasters import smooth

from cartloader_image.params import TileOptions
from cartloader_image.tile_formats import TILE_FORMATS
from cartloader_image.tiles.encode import encoding


def test_each_format_that_can_be_asked_for_has_a_row() -> None:
    assert get_args(TileOptions.model_fields["tile_format"].annotation) == tuple(TILE_FORMATS)


@pytest.mark.parametrize("name", TILE_FORMATS)
def test_a_row_says_what_its_tiles_are(name: str) -> None:
    form, pixels = TILE_FORMATS[name], smooth(64, 64, 4)
    pixels[..., 3] = 255
    pixels[:16, :16, 3] = 0
    with Image.open(BytesIO(encoding(name, None)(pixels))) as picture:
        picture.load()
        assert picture.format == form.encoder == TileType(form.tile_type).name
        assert ("A" in picture.getbands()) == form.transparent
        found = np.asarray(picture.convert("RGBA"))
    assert np.array_equal(found, pixels) == (form.quality is None)
    assert (found[..., 3] == (pixels[..., 3] if form.transparent else 255)).all()


@pytest.mark.parametrize("name", [name for name, form in TILE_FORMATS.items() if form.quality])
def test_the_quality_of_a_row_is_the_one_that_is_taken_unasked(name: str) -> None:
    pixels = smooth(64, 64, 3)
    encoded = {quality: encoding(name, quality)(pixels) for quality in (None, TILE_FORMATS[name].quality, 5)}
    assert encoded[None] == encoded[TILE_FORMATS[name].quality] != encoded[5]
