"""The map page and archives as they come: ours, of other programs, damaged, and exchanged while somebody looks."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from PIL import Image
from playwright.sync_api import Browser, expect
from starlette.staticfiles import StaticFiles
from support.archives import tiles_of
from support.maps import blobs, save
from support.processes import plainly_served
from support.tools import require_tools
from support.viewing import HEIGHT, WIDTH, chromium, looking, unit, viewing

from cartloader_flows.cli.main import main
from cartloader_image import import_image, write_sample
from cartloader_image.tiles.grid import HALF_MAP
from cartloader_image.tiles.reader import reading
from cartloader_image.viewer.server import bound

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map of two channels, one under the other, and a copy that is cut off."""
    folder = tmp_path_factory.mktemp("sample")
    slide = write_sample(folder / "slide.ome.tif")
    for name, channel, colour in (("nuclei", "DAPI", "cyan"), ("membranes", "membrane", "orange")):
        import_image(
            slide, out_dir=folder / "tissue", img_id=name, channel=channel, colorize=colour, update_catalog=True
        )
    return folder / "tissue"


def test_the_page_as_people_see_it(browser: Browser, sample: Path) -> None:
    with viewing(sample) as address:
        began = time.monotonic()
        look = looking(browser, address)
        look.page.goto(address)
        look.settled()
        print(f"first picture after {time.monotonic() - began:.2f} s")
        look.shoot("view-dark")
        look.page.get_by_label("Blending of nuclei").select_option("screen")
        look.shoot("view-screen")
        look.page.keyboard.press("Escape")
        look.page.get_by_role("button", name="Swipe").click()
        look.shoot("view-swipe")
        look.page.get_by_role("button", name="Swipe").click()
        look.page.get_by_role("button", name="Light").click()
        look.page.get_by_role("button", name="Measure").click()
        look.page.mouse.click(600, 300)
        look.page.mouse.click(800, 420)
        look.page.wait_for_timeout(6500)  # until the message is gone
        look.shoot("view-light-measure")
        look.page.get_by_role("button", name="Fold").click()
        look.page.set_viewport_size({"width": 420, "height": 760})
        look.shoot("view-narrow")
        assert look.console == []
        look.page.close()


def damaged(path: Path, out: Path, zoom: int) -> Path:
    """A copy whose tiles of a zoom are no pictures."""
    data = bytearray(path.read_bytes())
    with reading(path) as archive:
        for entries in archive.entries(zoom):
            for offset, length in zip(entries.offsets, entries.lengths, strict=True):
                start = archive.header.tile_data_offset + int(offset)
                data[start : start + int(length)] = bytes(int(length))
    out.write_bytes(data)
    return out


def test_what_is_broken_is_told_and_the_rest_is_shown(browser: Browser, sample: Path, tmp_path: Path) -> None:
    good = shutil.copy(sample / "nuclei.pmtiles", tmp_path / "good.pmtiles")
    (tmp_path / "cut.pmtiles").write_bytes(good.read_bytes()[:-5000])
    (tmp_path / "text.pmtiles").write_text("no archive")
    damaged(good, tmp_path / "holes.pmtiles", 17)
    with viewing(tmp_path) as address:
        look = looking(browser, address)
        look.page.goto(address)
        look.settled()

        def problem(name: str) -> str:
            item = look.page.locator("#layers li", has=look.page.get_by_text(name, exact=True))
            return item.locator(".problem").inner_text()

        assert problem("cut") == "Cannot be shown: is cut off."
        assert problem("text").startswith("Cannot be shown: is no PMTiles archive")
        assert problem("holes").startswith("Tile 17/")
        assert problem("holes").endswith("is no picture that can be decoded.")
        assert problem("good") == ""
        expect(look.page.get_by_role("checkbox", name="Show cut")).to_be_disabled()
        look.page.get_by_role("checkbox", name="Show holes").uncheck()
        shown = look.picture()[100:600, 500:1000]
        assert shown[..., 2].max() > 200, "the good one is there"
        look.shoot("view-broken")
        assert look.console == []
        look.page.close()


def test_an_archive_that_is_exchanged_is_told(browser: Browser, sample: Path, tmp_path: Path) -> None:
    shutil.copy(sample / "nuclei.pmtiles", tmp_path / "a.pmtiles")
    with viewing(tmp_path) as address:
        look = looking(browser, address)
        look.page.goto(address)
        look.settled()
        (tmp_path / "b").write_bytes((sample / "membranes.pmtiles").read_bytes())
        (tmp_path / "b").rename(tmp_path / "a.pmtiles")
        look.page.get_by_role("button", name="Zoom in").click()
        expect(look.page.locator(".problem")).to_contain_text(
            "has changed since the page was opened; load the page again"
        )
        look.page.close()


def test_an_archive_of_other_programs_lies_where_they_put_it(browser: Browser, tmp_path: Path) -> None:
    require_tools("gdal_translate", "gdaladdo", "pmtiles")

    def run(*argv: str) -> None:
        subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True)

    save(tmp_path / "a.png", blobs(700, 600, 3))
    run("gdal_translate", "-q", "-a_srs", "EPSG:3857", "-a_ullr", "-20", "110", "70", "0", "a.png", "a.tif")
    run("gdal_translate", "-q", "-of", "MBTILES", "-co", "TILE_FORMAT=PNG", "a.tif", "a.mbtiles")
    run("gdaladdo", "-q", "a.mbtiles", "2", "4")
    run("pmtiles", "convert", "a.mbtiles", "foreign.pmtiles")
    tiles = tiles_of(tmp_path / "foreign.pmtiles")
    zoom = max(z for z, _, _ in tiles)
    side = 2 * HALF_MAP / 2**zoom
    places = [(x, y) for z, x, y in tiles if z == zoom]
    columns, rows = (sorted({place[axis] for place in places}) for axis in (0, 1))
    whole = Image.new("RGBA", (256 * len(columns), 256 * len(rows)))
    for x, y in places:
        picture = Image.open(BytesIO(tiles[zoom, x, y])).convert("RGBA")
        whole.paste(picture, (256 * (x - columns[0]), 256 * (y - rows[0])))
    with viewing(tmp_path / "foreign.pmtiles") as address:
        look = looking(browser, address)
        middle = columns[0] + 1, rows[0] + 1
        seen = look.at(middle[0] * side - HALF_MAP, HALF_MAP - middle[1] * side, zoom - 1)
        pixels = np.asarray(whole).astype(float)
        box = slice(HEIGHT // 2 - 200, HEIGHT // 2 + 200), slice(WIDTH // 2 - 150, WIDTH // 2 + 150)
        part = pixels[256 - 200 : 256 + 200, 256 - 150 : 256 + 150]
        alpha = part[..., 3:] / 255
        assert alpha.max() == 1
        assert np.abs(seen[box] - (part[..., :3] * alpha + np.array([11, 13, 16]) * (1 - alpha))).max() <= 2
        look.page.get_by_role("button", name="Outlines").click()
        outline = look.page.locator("#overlay rect").bounding_box()
        assert outline
        assert outline["width"] * unit(zoom - 1) == pytest.approx(90, rel=0.02)
        assert outline["height"] * unit(zoom - 1) == pytest.approx(110, rel=0.02)
        assert look.console == []
        look.page.close()


def test_points_lie_on_the_picture_and_have_the_colours_of_their_groups(
    browser: Browser, sample: Path, tmp_path: Path
) -> None:
    random = np.random.default_rng(2)
    places = random.uniform(50, 380, (4000, 2))
    places[0] = places[1] = 220, 220
    places = places[(np.abs(places - 220).max(axis=1) > 3) | (np.arange(4000) < 1)]
    table, genes = tmp_path / "transcripts.csv", [f"GENE{rank}" for rank in random.geometric(0.15, len(places))]
    genes[0] = "RARE"
    rows = (f"{x},{y},{gene}\n" for (x, y), gene in zip(places, genes, strict=True))
    table.write_text("x_location,y_location,feature_name\n" + "".join(rows))
    with viewing(sample, "--points", table) as address:
        look = looking(browser, address)

        def seen() -> list[int]:
            box = look.picture().astype(int)[HEIGHT // 2 - 1 : HEIGHT // 2 + 1, WIDTH // 2 - 1 : WIDTH // 2 + 1]
            assert np.ptp(box.reshape(-1, 3), axis=0).max() <= 3
            return [int(value) for value in box[0, 0]]

        def looks_like(colour: str) -> bool:
            return max(abs(a - b) for a, b in zip(seen(), bytes.fromhex(colour), strict=True)) <= 3

        look.at(220, 220, 20)
        expect(look.page.locator("#layers li").first.locator(".facts")).to_have_text(f"{len(places):,} points")
        assert looks_like("ffd34d")
        look.page.get_by_label("Colour by feature_name").check()
        assert looks_like("aaaaaa"), "one of the others"
        look.page.locator(".legend").get_by_role("checkbox", name="others").uncheck()
        assert not looks_like("aaaaaa")
        find = look.page.get_by_label("Find a feature_name")
        find.fill("rar")
        assert look.page.locator("datalist option").evaluate_all("all => all.map(one => one.value)") == ["RARE"]
        find.fill("rare")
        find.press("Enter")
        expect(look.page.locator("#message")).to_have_text("RARE is shown in place of GENE7")
        assert looks_like("cc79a7")
        look.page.wait_for_timeout(300)
        kept = look.page.url
        look.page.goto("about:blank")
        look.page.goto(kept)
        expect(look.page.locator(".legend .group").nth(6)).to_have_text("RARE")
        assert looks_like("cc79a7")
        look.page.get_by_role("button", name="Show all").click()
        look.page.get_by_role("button", name="Hide all").click()
        assert not looks_like("cc79a7")
        look.page.get_by_role("button", name="Show all").click()
        look.at(200, 200, 16, outlines=1, groups="0,1,2,3,4,5,6;0")
        look.page.get_by_role("button", name="Whole map").click()
        look.shoot("view-points")
        look.page.get_by_role("button", name="Light").click()
        look.shoot("view-points-light")
        assert look.console == []
        look.page.close()


def test_points_that_cannot_be_read_are_told(browser: Browser, sample: Path, tmp_path: Path) -> None:
    table = tmp_path / "transcripts.csv"
    table.write_text("x,y\n" + "1,2\n" * 9 + "3,b\n")
    argv = [sys.executable, "-m", "cartloader_image", "view", "--no-browser", str(sample), "--points", str(table)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        look = looking(browser, address := process.stdout.readline().split()[0])
        look.page.goto(address)
        look.settled()
        expect(look.page.locator(".problem").first).to_contain_text("Cannot be shown: ")
        expect(look.page.locator(".problem").first).to_contain_text("transcripts.csv: ")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 1
        assert "transcripts.csv: " in process.stderr.read()
        look.page.close()


@contextmanager
def static(site: Path) -> Iterator[str]:
    """A plain server of files."""
    server = uvicorn.Server(uvicorn.Config(StaticFiles(directory=site, html=True), log_level="error", lifespan="off"))
    with bound(None) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        server.should_exit = True
        thread.join()


def test_an_exported_page_is_shown_by_a_plain_server(browser: Browser, sample: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert main(["export-page", str(sample), str(site)]) == 0
    with static(site) as address, viewing(sample) as live:
        exported, served = looking(browser, address), looking(browser, live)
        seen = exported.at(200, 200, 18)
        np.testing.assert_array_equal(seen[60:660, 390:1100], served.at(200, 200, 18)[60:660, 390:1100])
        assert seen[60:660, 390:1100].max() > 200
        assert exported.console == []
        assert [url for url in exported.asked if not url.startswith((address, "blob:", "data:"))] == []
        exported.page.close()
        served.page.close()


def test_a_server_without_ranges_is_told(browser: Browser, sample: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert main(["export-page", str(sample), str(site)]) == 0
    with plainly_served(site) as address:
        look = looking(browser, address)
        look.page.goto(address)
        expect(look.page.locator(".problem").first).to_have_text(
            "Cannot be shown: the web server answers no range requests; use one that does."
        )
        look.page.close()
