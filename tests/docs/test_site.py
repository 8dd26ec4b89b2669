"""The docs as a site: built strictly, complete, and never in need of another host."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright
from support.pages import DOCS, ROOT
from support.processes import plainly_served
from support.tools import require_tools

LOADS = {"src", "srcset", "data", "poster", "action", "background"}
"""Attributes whose address a browser fetches; ``href`` is fetched in a link alone."""
KNOWN = {
    "https://api.github.com/": "for the stars of a repo_url, of which there is none",
    "https://${": "the same of GitLab",
    "https://unpkg.com/mermaid@": "for diagrams of Mermaid, of which there are none",
    "https://unpkg.com/resize-observer-polyfill": "for browsers of before 2020",
    "http://www.w3.org/": "the name of SVG",
}
"""Addresses that the theme's scripts have in them, and why they are not fetched."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built anew; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    # --quiet would keep the warnings from being counted.
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


class Fetched(HTMLParser):
    """What a browser fetches for a page, the texts of its styles included."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.styles = ""
        self._in_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        for name, value in attrs:
            if name in LOADS or (name == "href" and tag == "link"):
                self.addresses.append(value or "")
            elif name == "style":
                self.styles += value or ""

    def handle_data(self, data: str) -> None:
        self.styles += data if self._in_style else ""


def outside(style: str) -> list[str]:
    """Addresses of other hosts that a style sheet fetches."""
    return re.findall(r"""(?:url\(|@import)\s*["']?\s*((?:https?:)?//[^"')\s]+)""", style)


def test_it_has_every_page_and_no_script_of_ours(site: Path) -> None:
    expected = {page.relative_to(DOCS).with_suffix("").as_posix() for page in DOCS.rglob("*.md")}
    built = {page.parent.relative_to(site).as_posix() for page in pages(site) if page.name == "index.html"}
    assert built == expected | {".", "changelog", "contributing"}
    assert not list(site.rglob("*.py"))
    api = (site / "api" / "index.html").read_text(encoding="utf-8")
    for name in ("cartloader_image.import_image", "cartloader_image.params.ImportOptions"):
        assert f'id="{name}"' in api
    assert (site / "deployments" / "compose.yaml").read_bytes() == (ROOT / "deployments" / "compose.yaml").read_bytes()


def test_its_pages_and_styles_name_no_other_host(site: Path) -> None:
    assert len(pages(site)) > 15
    for page in pages(site):
        found = Fetched(page.read_text(encoding="utf-8"))
        assert len(found.addresses) > 3
        assert [one for one in found.addresses if re.match(r"\s*(https?:)?//", one)] == [], page
        assert outside(found.styles) == [], page
    sheets = list(site.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        assert outside(sheet.read_text(encoding="utf-8")) == [], sheet


def test_what_it_looks_for_in_styles_is_found() -> None:
    style = '@import "//a.org/b.css"; i { src: url(https://a.org/c.woff) } b { src: url("d.woff") }'
    assert outside(style) == ["//a.org/b.css", "https://a.org/c.woff"]


def test_its_scripts_name_no_other_host_that_is_not_known(site: Path) -> None:
    scripts = list(site.rglob("*.js"))
    assert scripts
    for script in scripts:
        for address in re.findall(r"""["'`](https?://[^"'`\s]+)""", script.read_text(encoding="utf-8")):
            assert address.startswith(tuple(KNOWN)), f"{script.name} may fetch {address}"
    for page in pages(site):
        text = page.read_text(encoding="utf-8")
        assert 'class="mermaid"' not in text
        assert 'data-md-component="source"' not in text, "a repo_url asks GitHub for its stars"


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """The site on a port of this machine."""
    with plainly_served(site) as found:
        yield found


def test_a_browser_asks_no_other_host(address: str) -> None:
    require_tools("chromium")
    asked: list[str] = []
    with sync_playwright() as playwright:
        alone = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", alone]
        )
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        for path in ("404.html", "api/", "vendors/xenium/", ""):
            page.goto(f"{address}{path}")
        page.locator("label[for='__palette_1']").first.click()
        page.get_by_role("textbox", name="Search").click()
        page.keyboard.type("micron2pixel")
        expect(page.locator(".md-search-result__link").first).to_be_visible(timeout=60_000)
        browser.close()
    assert f"{address}search/search_index.json" in asked
    assert [one for one in asked if not one.startswith((address, "data:", "blob:"))] == []
