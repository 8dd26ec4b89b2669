"""What options are read as is what their texts say, and their texts say what they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageColor

from cartloader_image.params import ImportOptions
from cartloader_image.values import Bounds, PixelSize, Rgb

numbers = st.floats(allow_nan=False, allow_infinity=False)
sizes = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
options = st.builds(
    ImportOptions,
    georef_bounds=st.builds(Bounds, numbers, numbers, numbers, numbers) | st.none(),
    colorize=st.builds(Rgb, *[st.integers(0, 255)] * 3) | st.none(),
    pmtiles=st.sampled_from(["pmtiles", "./pmtiles", "bin/pmtiles", "/bin/pmtiles"]),
)


@given(options)
def test_options_survive_json(given_options: ImportOptions) -> None:
    assert ImportOptions.model_validate_json(given_options.model_dump_json()) == given_options


@given(st.builds(PixelSize, sizes, sizes))
def test_a_pixel_size_survives_its_text(size: PixelSize) -> None:
    assert PixelSize.parse(str(size)) == size


@pytest.mark.parametrize("text", ["cyan", "#0ff", "00ffff", "#00FFFF", " Cyan "])
def test_a_colour_has_many_spellings(text: str) -> None:
    assert Rgb.parse(text) == ImageColor.getrgb("cyan")


@pytest.mark.parametrize("text", ["cyanish", "#12345", "1234567", "#gggggg", ""])
def test_what_is_no_colour_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no colour; use RRGGBB, #RRGGBB, #RGB or a CSS name such as cyan"):
        Rgb.parse(text)


def test_a_program_is_a_path_by_its_slash() -> None:
    chosen = ImportOptions(pmtiles="./pmtiles", gdalinfo="gdalinfo", gdaladdo=None)
    assert list(chosen.paths()) == ["pmtiles"]
    assert chosen.absolute().gdalinfo == "gdalinfo"
    assert chosen.absolute().pmtiles != "./pmtiles"
