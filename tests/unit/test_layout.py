"""Layouts: their bands, and their names."""

from __future__ import annotations

import pytest

from cartloader_image.layout import Layout


@pytest.mark.parametrize(
    ("bands", "colours", "alpha", "name", "label"),
    [
        (1, 1, False, "mono", ""),
        (2, 1, True, "grey with alpha", " grey + alpha"),
        (3, 3, False, "RGB", " RGB"),
        (4, 3, True, "RGBA", " RGBA"),
    ],
)
def test_each_count_of_bands_is_one_layout(bands: int, colours: int, alpha: bool, name: str, label: str) -> None:
    layout = Layout.of(bands)
    assert layout == Layout(colours, alpha)
    assert (layout.bands, layout.name, layout.label) == (bands, name, label)


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_with_alpha_the_colours_stay(bands: int) -> None:
    assert Layout.of(bands).with_alpha == Layout(Layout.of(bands).colours, alpha=True)
