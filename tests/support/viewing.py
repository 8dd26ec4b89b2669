"""The map page as its users have it: the command in a process of its own, and a browser that looks."""

from __future__ import annotations

import itertools
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from cartloader_image.tiles.grid import HALF_MAP
from support.pages import ROOT
from support.tools import require_tools

Pixels = NDArray[np.uint8]
WIDTH, HEIGHT = 1200, 800
SCREENSHOTS = ROOT / "build" / "screenshots"
COUNT = itertools.count()
GO = """hash => new Promise(done => {
    addEventListener("hashchange", () => setTimeout(done), { once: true });
    location.hash = hash;
})"""


@contextmanager
def viewing(*sources: Path | str) -> Iterator[str]:
    """The address of the page that shows them."""
    argv = [sys.executable, "-m", "cartloader_image", "view", "--no-browser", *map(str, sources)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().split()[0]
        finally:
            process.send_signal(signal.SIGINT)
            try:
                assert process.wait(20) == 0
            finally:
                process.kill()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's, which reaches no host but this one."""
    require_tools("chromium")
    alone = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", alone]
        )
        yield browser
        browser.close()


def unit(zoom: float) -> float:
    """µm per pixel of the window."""
    return float(2 * HALF_MAP / (512 * 2.0**zoom))


@dataclass
class Look:
    """The page, and what it was seen to do."""

    page: Page
    address: str
    console: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def at(self, x: float, y: float, zoom: float, **more: Any) -> Pixels:
        """Go to a place in µm; what is seen there."""
        values = {"x": x, "y": y, "z": zoom, "outlines": 0} | more
        if self.page.url == "about:blank":
            self.page.goto(self.address)
            self.settled()
        self.page.evaluate(GO, f"#{urlencode(values, doseq=True)}&t={next(COUNT)}")
        return self.picture()

    def picture(self) -> Pixels:
        self.settled()
        return self.screenshot()

    def screenshot(self) -> Pixels:
        """What is seen now."""
        return np.asarray(Image.open(BytesIO(self.page.screenshot())).convert("RGB"))

    def shoot(self, name: str) -> None:
        """Keep a picture of the page for people."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.settled()
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")

    def settled(self) -> None:
        expect(self.page.locator("#maps")).to_have_attribute("aria-busy", "false", timeout=20_000)

    def place(self) -> tuple[float, float]:
        """The µm that the page tells."""
        found = re.search(r"x (\S+)\s+y (\S+) µm", self.page.locator("#place").inner_text())
        assert found
        x, y = (float(text.replace("−", "-").replace(",", "")) for text in found.groups())
        return x, y


def looking(browser: Browser, address: str, **more: Any) -> Look:
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, **more)
    look = Look(page, address)
    page.on("console", lambda message: look.console.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: look.console.append(str(error)))
    page.on("request", lambda request: look.asked.append(request.url))
    return look
