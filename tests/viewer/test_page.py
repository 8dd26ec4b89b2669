"""The map page in a real browser: what it shows is what the archives hold, where they say, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, expect
from pmtiles.tile import TileType
from support.archives import cut, write_archive
from support.rasters import noise, smooth
from support.viewing import HEIGHT, WIDTH, Look, Pixels, chromium, looking, unit, viewing

from cartloader_image.tiles.grid import HALF_MAP

ZOOM = 19
SLOW = pytest.mark.slow
DARK = np.array([11, 13, 16])
"""The background."""
FREE = (slice(60, 660), slice(390, 1100))
"""Rows and columns of the window on which nothing lies but maps."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


FOCUSED = """() => {
    const one = document.activeElement;
    return one.getAttribute("aria-label") || one.textContent.trim();
}"""
COLUMN, ROW = 2**18 + 3, 2**18 - 7


def pyramid(
    path: Path, tile: int, kind: str, bands: int, column: int = COLUMN, row: int = ROW, **options: Any
) -> Pixels:
    """An archive whose zoom 19 is 1024 pixels wide and high and unlike its zoom 18; returns the finer picture."""
    exact = kind != "JPEG"
    fine = noise((1024, 1024, bands), seed=tile) if exact else smooth(1024, 1024, bands)
    count = 1024 // tile
    coarse = noise((tile * max(count // 2, 1),) * 2 + (bands,), seed=1)
    if bands == 4:
        fine[..., 3] = np.linspace(0, 255, 1024, dtype=np.uint8)
    tiles = cut(fine, ZOOM, column, row, tile, kind, **options)
    tiles |= cut(coarse, ZOOM - 1, column // 2, row // 2, tile, kind, **options)
    write_archive(path, tiles, {"tilesize": tile}, tile_type=TileType[kind], min_zoom=ZOOM - 1, max_zoom=ZOOM)
    if kind == "JPEG":
        for (zoom, x, y), data in tiles.items():
            if zoom == ZOOM:
                rows, columns = (
                    slice((at - first) * tile, (at - first + 1) * tile) for at, first in ((y, row), (x, column))
                )
                fine[rows, columns] = np.asarray(Image.open(BytesIO(data)))
    return fine


def corner(column: float, row: float, zoom: int = ZOOM) -> tuple[float, float]:
    """µm of the upper-left corner of a tile."""
    side = 2 * HALF_MAP / 2**zoom
    return column * side - HALF_MAP, HALF_MAP - row * side


KINDS: dict[str, tuple[int, str, int, dict[str, Any]]] = {
    "png-256": (256, "PNG", 3, {}),
    "rgba-512": (512, "PNG", 4, {}),
    "webp-1024": (1024, "WEBP", 3, {"lossless": True}),
    "jpeg-512": (512, "JPEG", 3, {"quality": 95, "subsampling": 0}),
}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Pixels]]:
    folder = tmp_path_factory.mktemp("kinds")
    return folder, {
        name: pyramid(folder / f"{name}.pmtiles", tile, kind, bands, **options)
        for name, (tile, kind, bands, options) in KINDS.items()
    }


@pytest.fixture(scope="module")
def look(browser: Browser, kinds: tuple[Path, dict[str, Pixels]]) -> Iterator[Look]:
    with viewing(kinds[0]) as address:
        yield looking(browser, address)


def only(*names: str, blend: str = "normal", opacity: float = 1) -> list[str]:
    """The layers of the hash: these, the others hidden."""
    rest = [name for name in KINDS if name not in names]
    return [f"1:{opacity}:{blend}:{name}" for name in names] + [f"0:1:normal:{name}" for name in rest]


def centred(fine: Pixels, tile: int) -> tuple[float, float, float]:
    """Where to look so that a pixel of the picture is one of the window, and its middle that of the window."""
    x, y = corner(COLUMN + 512 / tile, ROW + 512 / tile)
    return x, y, ZOOM + np.log2(tile / 512)


def expected(fine: Pixels, background: Pixels = DARK) -> NDArray[np.float64]:
    """The part of the window that is free, over a background."""
    top, left = HEIGHT // 2 - 512, WIDTH // 2 - 512
    part = fine[FREE[0].start - top : FREE[0].stop - top, FREE[1].start - left : FREE[1].stop - left].astype(float)
    if part.shape[2] == 3:
        return part
    alpha = part[..., 3:] / 255
    return part[..., :3] * alpha + background * (1 - alpha)


@pytest.mark.parametrize("name", ["png-256", *(pytest.param(name, marks=SLOW) for name in list(KINDS)[1:])])
def test_the_canvas_shows_the_tiles(look: Look, kinds: tuple[Path, dict[str, Pixels]], name: str) -> None:
    fine, (tile, kind, bands, _) = kinds[1][name], KINDS[name]
    seen = look.at(*centred(fine, tile), l=only(name))[FREE]
    # WebGL filters between pixels that it is a hair beside; transparent ones are multiplied in 8 bits; JPEG is rounded.
    most = 1 + 2 * (bands == 4) + (kind == "JPEG")
    assert np.abs(seen - expected(fine)).max() <= most


@SLOW
@pytest.mark.parametrize("blend", ["screen", "multiply", "normal"])
def test_layers_are_blended(look: Look, kinds: tuple[Path, dict[str, Pixels]], blend: str) -> None:
    (lower, upper), opacity = ("jpeg-512", "rgba-512"), 0.6
    layers = [f"1:{opacity}:{blend}:{upper}", f"1:1:normal:{lower}", *only()]
    seen = look.at(*centred(kinds[1][upper], 512), l=layers)[FREE]
    below, above = expected(kinds[1][lower]), expected(kinds[1][upper][..., :3])
    mixed = {"normal": above, "multiply": above * below / 255, "screen": above + below - above * below / 255}[blend]
    alpha = expected(np.repeat(kinds[1][upper][..., 3:], 3, axis=2)) / 255 * opacity
    assert np.abs(seen - (mixed * alpha + below * (1 - alpha))).max() <= 6


@SLOW
def test_swiping_shows_one_layer_on_each_side(look: Look, kinds: tuple[Path, dict[str, Pixels]]) -> None:
    left, right = expected(kinds[1]["jpeg-512"]), expected(kinds[1]["rgba-512"])
    place = centred(kinds[1]["jpeg-512"], 512)
    seen = look.at(*place, l=only("jpeg-512"), swipe="0.5:jpeg-512:rgba-512")[FREE]
    middle = WIDTH // 2 - FREE[1].start
    sides = np.r_[0 : middle - 20], np.r_[middle + 20 : seen.shape[1]]
    assert np.abs(seen[:, sides[0]] - left[:, sides[0]]).max() <= 4
    rows = np.r_[0:310, 370 : seen.shape[0]]  # the handle lies between
    assert np.abs(seen[rows][:, sides[1]] - right[rows][:, sides[1]]).max() <= 4
    slider = look.page.get_by_role("slider", name="Divider of the two layers")
    slider.press("Home")
    expect(slider).to_have_attribute("aria-valuenow", "0")
    for _ in range(5):
        slider.press("PageUp")
    slider.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuenow", "52")
    box = slider.bounding_box()
    assert box
    look.page.mouse.move(box["x"] + box["width"] / 2, 200)
    look.page.mouse.down()
    look.page.mouse.move(900, 200, steps=3)
    look.page.mouse.up()
    expect(slider).to_have_attribute("aria-valuenow", "75")
    look.page.get_by_role("button", name="Swipe").click()
    expect(slider).to_be_hidden()


@pytest.mark.parametrize(
    ("zoom", "place"),
    [
        (17.3, "origin"),
        (22.0, "south-east"),
        pytest.param(12.0, "north-west", marks=SLOW),
        pytest.param(12.0, "origin", marks=SLOW),
        pytest.param(17.3, "south-east", marks=SLOW),
        pytest.param(22.0, "north-west", marks=SLOW),
    ],
)
def test_the_micrometres_under_the_pointer_are_right(look: Look, zoom: float, place: str) -> None:
    far = HALF_MAP - 700 * unit(zoom)
    x, y = {"origin": (300.0, 200.0), "north-west": (-far, far), "south-east": (far, -far)}[place]
    look.at(x, y, zoom)
    for px, py in [(345, 62), (601, 399), (1050, 690)]:
        look.page.mouse.move(px, py)
        told = look.place()
        assert told[0] == pytest.approx(x + (px - WIDTH / 2) * unit(zoom), abs=unit(zoom) / 2)
        assert told[1] == pytest.approx(y - (py - HEIGHT / 2) * unit(zoom), abs=unit(zoom) / 2)


@pytest.mark.parametrize(
    ("zoom", "y"),
    [
        (14.7, 10_000_000),
        (22.0, 0),
        *(pytest.param(*each, marks=SLOW) for each in ((3.0, 0), (17.3, 0), (22.0, -10_000_000), (24.0, 0))),
    ],
)
def test_the_scale_bar_is_right_at_every_latitude(look: Look, zoom: float, y: float) -> None:
    look.at(0, y, zoom)
    bar = look.page.locator("#scale")
    number, name = bar.inner_text().split()
    length = float(number) * {"nm": 1e-3, "µm": 1, "mm": 1e3}[name]
    box = bar.bounding_box()
    assert box
    assert 50 < box["width"] < 151
    assert box["width"] * unit(zoom) == pytest.approx(length, rel=0.01)


@SLOW
def test_a_line_tells_its_length(look: Look) -> None:
    look.at(*corner(COLUMN, ROW), 17)
    look.page.keyboard.press("m")
    look.page.mouse.click(500, 300)
    look.page.mouse.click(800, 700)
    expect(look.page.locator("#overlay .length")).to_have_text(f"{500 * unit(17):.4g} µm")
    look.page.keyboard.press("Escape")
    expect(look.page.locator("#overlay .length")).to_have_count(0)
    look.page.get_by_role("button", name="Measure").click()
    canvas = look.page.locator(".control canvas")
    canvas.focus()
    canvas.press("Enter")
    before = look.page.locator("#place").inner_text()
    canvas.press("ArrowRight")
    expect(look.page.locator("#place")).not_to_have_text(before)
    look.settled()
    canvas.press("Enter")
    expect(look.page.locator("#message")).to_have_text(f"Distance: {100 * unit(17):.4g} µm")
    look.page.keyboard.press("Escape")


@SLOW
def test_fine_screens_show_the_pixels_that_there_are(
    browser: Browser, look: Look, kinds: tuple[Path, dict[str, Pixels]]
) -> None:
    fine = looking(browser, look.address, device_scale_factor=2)
    x, y, zoom = centred(kinds[1]["png-256"], 256)
    seen = fine.at(x, y, zoom - 1, l=only("png-256"))
    assert seen.shape == (2 * HEIGHT, 2 * WIDTH, 3)
    part = seen[HEIGHT - 400 : HEIGHT + 400, WIDTH - 400 : WIDTH + 400]
    assert np.abs(part.astype(int) - kinds[1]["png-256"][112:912, 112:912]).max() <= 1
    fine.page.close()


@SLOW
def test_zooming_out_leaves_no_tiles_of_the_finer_zoom(browser: Browser, tmp_path: Path) -> None:
    tiles = {}
    for zoom, colour in ((17, 255), (16, 160), (15, 80)):
        side = 2 ** (zoom - 15)
        picture = np.full((256 * side, 256 * side, 3), colour, np.uint8)
        tiles |= cut(picture, zoom, 2**zoom // 2, 2**zoom // 2 - side, 256)
    write_archive(tmp_path / "zooms.pmtiles", tiles, {}, min_zoom=15, max_zoom=17)
    middle = np.array(corner(2**14 + 0.5, 2**14 - 0.5, 15))
    with viewing(tmp_path / "zooms.pmtiles") as address:
        for _ in range(3):
            look = looking(browser, address)
            for zoom, colour in ((16.6, 255), (15.1, 160), (14.3, 80)):
                seen = look.at(*middle, zoom)[300:500, 500:700]
                assert (seen.min(), seen.max()) == (colour, colour), zoom
            look.page.close()
        fine = looking(browser, address, device_scale_factor=2)
        for zoom, hint in ((13.6, ""), (13.4, ""), (12.6, ""), (12.4, "Zoom in to see it: it has no coarser tiles.")):
            seen = fine.at(*middle, zoom)[HEIGHT, WIDTH]
            assert (fine.page.locator(".far").inner_text(), seen.max() > DARK.max()) == (hint, not hint), zoom
        fine.page.close()


@SLOW
def test_an_address_that_is_no_good_is_taken_as_far_as_it_is(browser: Browser, look: Look) -> None:
    other = looking(browser, look.address)
    other.page.goto(f"{look.address}#x=600&y=400&z=16&swipe=0.5:%25:%25")
    other.settled()
    assert other.place() == (600, 400)
    other.page.close()


@SLOW
def test_a_narrow_window_shows_the_whole_scale_bar(browser: Browser, look: Look) -> None:
    narrow = looking(browser, look.address)
    narrow.page.set_viewport_size({"width": 360, "height": 640})
    narrow.page.goto(f"{look.address}#x=-1234567&y=-7654321&z=16.01")
    narrow.settled()
    for part in ("#scale", "#place"):
        box = narrow.page.locator(part).bounding_box()
        assert box
        assert box["x"] > 0
        assert box["x"] + box["width"] < 360
    narrow.page.close()


def names(look: Look) -> list[str]:
    return look.page.locator("#layers .name").all_inner_texts()


@SLOW
def test_the_panel_orders_hides_and_fades(look: Look, kinds: tuple[Path, dict[str, Pixels]]) -> None:
    page = look.page
    look.at(*centred(kinds[1]["jpeg-512"], 512), l=[f"1:1:normal:{name}" for name in sorted(KINDS)])
    assert names(look) == ["jpeg-512", "png-256", "rgba-512", "webp-1024"]
    page.get_by_role("button", name="Move down jpeg-512").press("Enter")
    assert names(look) == ["png-256", "jpeg-512", "rgba-512", "webp-1024"]
    expect(page.get_by_role("button", name="Move down jpeg-512")).to_be_focused()
    page.locator("li", has_text="webp-1024").locator(".grip").drag_to(page.locator("li", has_text="jpeg-512"))
    assert names(look) == ["png-256", "webp-1024", "jpeg-512", "rgba-512"]
    for name in ("png-256", "webp-1024", "rgba-512"):
        page.get_by_role("checkbox", name=f"Show {name}").uncheck()
    page.get_by_role("slider", name="Opacity of jpeg-512").fill("50")
    seen = look.picture()[FREE]
    assert np.abs(seen - (expected(kinds[1]["jpeg-512"]) + DARK) / 2).max() <= 4
    page.locator("h1").click()
    page.keyboard.press("3")
    expect(page.get_by_role("checkbox", name="Show jpeg-512")).not_to_be_checked()
    seen = look.picture()[FREE]
    np.testing.assert_array_equal(seen, np.broadcast_to(DARK, seen.shape))
    page.keyboard.press("b")
    assert (look.picture()[FREE] == 255).all()
    page.wait_for_timeout(300)
    kept = page.url
    page.goto("about:blank")
    page.goto(kept)
    look.settled()
    assert names(look) == ["png-256", "webp-1024", "jpeg-512", "rgba-512"]
    expect(page.get_by_role("slider", name="Opacity of jpeg-512")).to_have_value("50")
    expect(page.get_by_role("checkbox", name="Show jpeg-512")).not_to_be_checked()
    assert (look.picture()[FREE] == 255).all()


@SLOW
def test_outlines_and_names_lie_where_the_images_do(look: Look) -> None:
    look.at(*corner(COLUMN, ROW), 17, l=only("rgba-512"), outlines=1)
    box = look.page.locator("#overlay rect").bounding_box()
    assert box
    side = 2 * (2 * HALF_MAP / 2**ZOOM) / unit(17)
    for name, value in {"x": WIDTH / 2, "y": HEIGHT / 2, "width": side, "height": side}.items():
        assert box[name] == pytest.approx(value, abs=1.5), name  # the line is as wide
    assert look.page.locator("#overlay text").all_text_contents() == ["rgba-512"]
    look.page.keyboard.press("o")
    expect(look.page.locator("#overlay rect")).to_have_count(0)


@SLOW
def test_zooming_to_a_layer_shows_all_of_it(look: Look) -> None:
    look.at(0, 0, 3, l=only("png-256"), outlines=1)
    look.page.get_by_role("button", name="Zoom to png-256").click()
    box = look.page.locator("#overlay rect").bounding_box()
    assert box
    assert box["x"] > 320
    assert box["y"] > 0
    assert box["x"] + box["width"] < WIDTH
    assert box["y"] + box["height"] < HEIGHT
    assert max(box["width"], box["height"]) > 500


@SLOW
def test_all_can_be_reached_from_the_keyboard(look: Look) -> None:
    look.page.goto("about:blank")
    look.page.goto(look.address)
    look.settled()
    reached = []
    for _ in range(60):
        look.page.keyboard.press("Tab")
        name = look.page.evaluate(FOCUSED)
        if name in reached[:1]:
            break
        reached.append(name)
    wanted = ["Whole map", "Measure", "Swipe", "Outlines", "Light", "Copy link"]
    wanted += [f"{what} png-256" for what in ("Show", "Zoom to", "Opacity of", "Blending of")]
    wanted += ["Map: arrows move it, plus and minus zoom", "Zoom in"]
    assert [name for name in reached if name in wanted] == wanted
    unnamed = """() => [...document.querySelectorAll("button, input, select, [role=slider]")].filter(
        one => !(one.getAttribute("aria-label") || one.textContent.trim() || one.closest("label")))"""
    assert look.page.evaluate(f"({unnamed})().length") == 0


def test_nothing_went_wrong_and_nobody_else_was_asked(look: Look) -> None:
    """The last of those that look at this page."""
    look.at(0, 0, 15)
    assert look.console == []
    assert [url for url in look.asked if not url.startswith((look.address, "blob:http://127.0.0.1:", "data:"))] == []
