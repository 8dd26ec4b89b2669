"""How a picture lies on the map page, as docs/orientation.md and docs/overlay.md tell it, with the pictures in them."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser
from support.overlays import nuclei
from support.pages import DOCS
from support.viewing import SCREENSHOTS, Look, chromium, looking, unit, viewing

import cartloader_image as cl

pytestmark = pytest.mark.slow
RED, YELLOW = (214, 39, 40), (255, 187, 0)
"""Of the stored picture's first pixel, and of the first one of its last row."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def sized(look: Look, width: int, height: int) -> None:
    """A window without the panel."""
    look.page.set_viewport_size({"width": width, "height": height})
    look.page.goto(look.address)
    look.settled()
    look.page.get_by_role("button", name="Fold").click()


def test_rows_grow_with_y_unless_the_bounds_say_otherwise(browser: Browser, tmp_path: Path) -> None:
    """One stored picture of 96 × 64 µm four times: bounds from its pixel size, bounds of the other way, two turns."""
    stored = runpy.run_path(str(DOCS / "make_orientation.py"))["stored"]()
    Image.fromarray(stored).save(tmp_path / "f.png")
    ways: dict[str, dict[str, object]] = {
        "y-downwards": {"pixel_size": "1"},
        "y-upwards": {"georef_bounds": "120,64,216,0"},
        "rotate-90": {"pixel_size": "1", "rotate": 90, "georef_offset_x": 240.0},
        "rotate-90-map": {"pixel_size": "1", "rotate": 90, "orient_frame": "map", "georef_offset_x": 328.0},
    }
    for name, options in ways.items():
        cl.import_image(tmp_path / "f.png", out_dir=tmp_path / "map", img_id=name, update_catalog=True, **options)
    with viewing(tmp_path / "map") as address:
        look = looking(browser, address)
        width, height = 900, 330
        sized(look, width, height)
        zoom, (middle, centre) = 17.3, (204, 42)
        seen = look.at(middle, centre, zoom, outlines=1).astype(int)

        def place(x: float, y: float) -> tuple[float, float]:
            return width / 2 + (x - middle) / unit(zoom), height / 2 - (y - centre) / unit(zoom)

        def colour(x: float, y: float) -> list[int]:
            column, row = place(x, y)
            return [int(band) for band in seen[round(row), round(column)]]

        # Where the first pixel lies, and the first one of the last row.
        corners = [((9, 9), (9, 55)), ((129, 55), (129, 9)), ((295, 9), (249, 9)), ((337, 87), (383, 87))]
        for red, yellow in corners:
            np.testing.assert_allclose(colour(*red), RED, atol=12)
            np.testing.assert_allclose(colour(*yellow), YELLOW, atol=12)
        look.page.mouse.move(*place(9, 9))
        assert look.place() == pytest.approx((9, 9), abs=0.5)
        look.shoot("orientation-page")
        assert look.console == []
        look.page.close()


def test_a_picture_that_is_turned_the_wrong_way_beside_one_that_lies_right(browser: Browser, tmp_path: Path) -> None:
    picture = nuclei(tmp_path, transposed=True)
    options = {"wrong": {}, "right": {"rotate": 90, "flip_horizontal": True}}
    found = []
    for name, turn in options.items():
        out = tmp_path / name
        image = cl.import_image(
            picture, out_dir=out, img_id=name, pixel_size="1", colorize="#3a7bff",
            check_points=tmp_path / "points.csv", update_catalog=True, **turn,
        )  # fmt: skip
        assert image.overlay is not None
        found.append(image.overlay.lies)
        with viewing(out, "--points", tmp_path / "points.csv") as address:
            look = looking(browser, address)
            sized(look, 440, 420)
            look.at(180, 205, 18.0, outlines=1)
            look.shoot(f"overlay-{name}")
            assert look.console == []
            look.page.close()
    assert found == ["wrong", "right"]
    both = Image.new("RGB", (890, 420), "white")
    for place, name in ((0, "wrong"), (450, "right")):
        with Image.open(SCREENSHOTS / f"overlay-{name}.png") as shot:
            both.paste(shot, (place, 0))
    both.save(SCREENSHOTS / "overlay-turn.png")
