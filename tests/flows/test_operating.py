"""`docs/operating.md` as an operator follows it: its commands run as printed, then the Prefect UI in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Any

import httpx
import pytest
import yaml
from playwright.sync_api import Page, expect, sync_playwright
from support.pages import DOCS, ROOT, examples
from support.processes import eventually, free_port
from support.tools import require_tools

from cartloader_image.sample import write_sample

SCREENSHOTS = ROOT / "build" / "screenshots"
COMMANDS = examples(DOCS / "operating.md")[0].splitlines()

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class House:
    """What the commands have left: a server, a worker, and the map of two images."""

    address: str
    data: Path
    printed: str
    environment: dict[str, str]

    def ask(self, path: str, **chosen: object) -> Any:
        """What the server's API answers."""
        url = f"{self.address}/api/{path}"
        answer = httpx.post(url, json=chosen) if chosen else httpx.get(url)
        return answer.raise_for_status().json()

    def cartloader(self, *argv: str) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).with_name("cartloader")
        return subprocess.run([program, *argv], env=self.environment, capture_output=True, text=True, check=False)

    @property
    def port(self) -> str:
        return self.address.rpartition(":")[2]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data, port = tmp_path_factory.mktemp("data"), free_port()
    write_sample(data / "sample.ome.tif", size=512)
    planes = {"dapi": "page: 0, colorize: cyan", "membrane": "page: 1"}
    (data / "images.yaml").write_text(
        "".join(f"{name}: {{path: sample.ome.tif, {of}}}\n" for name, of in planes.items())
    )
    script = "\n".join(["set -euo pipefail", *COMMANDS[1:]])  # the first installs what this test runs on
    script = script.replace("server start", f"server start --port {port}").replace("4200", f"{port}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PREFECT_HOME": str(tmp_path_factory.mktemp("home")),
        "NO_COLOR": "1",
    }
    output = data / "output.txt"
    with (
        output.open("wb") as sink,
        subprocess.Popen(
            ["bash", "-c", script.replace("/data/", f"{data}/")],
            cwd=ROOT,
            env=environment,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as shell,
    ):
        code = shell.wait(timeout=300)
    running = House(f"http://127.0.0.1:{port}", data, output.read_text(), environment)
    try:
        assert code == 0, running.printed
        yield running
    finally:
        stopped = running.cartloader("server", "stop")
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, SIGKILL)  # the worker
    assert (stopped.returncode, stopped.stdout) == (0, "stopped\n")
    assert running.cartloader("server", "status", "--port", running.port).returncode == 1
    assert running.cartloader("server", "stop").stdout == "no Prefect server runs in the background\n"


def test_ten_commands_lead_to_a_nightly_batch(house: House) -> None:
    assert len(COMMANDS) == 10
    assert f"Prefect server  {house.address}  ready after" in house.printed
    assert "Flow run finished successfully in 'Completed'." in house.printed
    assert sorted(path.name for path in (house.data / "map").glob("*.pmtiles")) == ["dapi.pmtiles", "membrane.pmtiles"]
    catalog = yaml.safe_load((house.data / "map" / "catalog.yaml").read_text())
    assert list(catalog["assets"]["basemap"]) == ["dapi", "membrane"]
    (schedule,) = house.ask("deployments/name/import-images/import-images")["schedules"]
    assert schedule["active"]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("0 2 * * *", "UTC")

    def planned() -> list[str]:
        scheduled = {"state": {"type": {"any_": ["SCHEDULED"]}}}
        return [run["expected_start_time"] for run in house.ask("flow_runs/filter", flow_runs=scheduled)]

    assert eventually(lambda: bool(planned()), 90)
    assert all("T02:00:00" in time for time in planned())


def test_the_server_stays_and_says_so(house: House) -> None:
    for port in ([], ["--port", house.port]):
        status = house.cartloader("server", "status", *port)
        assert status.returncode == 0
        assert status.stdout.startswith(f"Prefect server  {house.address}  answers\n  process ")
        assert status.stdout.endswith("server.log\n")
        started = house.cartloader("server", "start", *port)
        assert started.returncode == 0
        assert f"PREFECT_API_URL={house.address}/api\n" in started.stdout
    other = house.cartloader("server", "start", "--port", str(free_port()))
    assert other.returncode == 2
    assert "a Prefect server runs already" in other.stderr
    assert not house.ask("admin/settings")["server"]["analytics_enabled"]


def test_an_import_finds_the_server(house: House) -> None:
    argv = ["--png2pmtiles", "--page", "0", "--in-img", f"{house.data}/sample.ome.tif", "--img-id", "found"]
    run = house.cartloader("import_image", *argv, "--out-dir", f"{house.data}/found")
    assert (run.returncode, run.stderr.splitlines()[0]) == (0, f"Prefect server  {house.address}")
    assert (
        house.ask("flow_runs/filter", flow_runs={"name": {"any_": ["found → found"]}})[0]["state"]["type"]
        == "COMPLETED"
    )


def test_deployments_are_as_the_docs_say(house: House) -> None:
    found = {one["name"]: one for one in house.ask("deployments/filter", sort="NAME_ASC")}
    assert found.keys() == {"import-image", "import-images", "watch-folder"}
    limits = {name: one["global_concurrency_limit"]["limit"] for name, one in found.items()}
    assert limits == {"import-image": 4, "import-images": 1, "watch-folder": 1}
    assert found["watch-folder"]["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    (watch,) = found["watch-folder"]["schedules"]
    assert not watch["active"]
    assert watch["schedule"]["interval"] == 300
    assert house.ask("v2/concurrency_limits/cartloader-heavy")["limit"] == 2


@pytest.fixture(scope="module")
def page(house: House) -> Iterator[Page]:
    """A page of a browser that finds no other host than this one."""
    require_tools("chromium")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    alone = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", alone]
        )
        yield browser.new_page(viewport={"width": 1200, "height": 900}, base_url=f"{house.address}/v2/")
        browser.close()


def shoot(page: Page, name: str) -> None:
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
    print(f"screenshot: {SCREENSHOTS / name}.png")


@pytest.fixture(scope="module")
def run(house: House) -> dict[str, Any]:
    ended = {"state": {"type": {"any_": ["COMPLETED"]}}, "name": {"any_": ["images.yaml → map, 2 images"]}}
    (found,) = house.ask("flow_runs/filter", flow_runs=ended)
    return dict(found)


def test_the_run_and_its_tasks_are_in_the_ui(page: Page, run: dict[str, Any]) -> None:
    page.goto(f"runs/flow-run/{run['id']}")
    expect(page.get_by_text("images.yaml → map, 2 images").first).to_be_visible(timeout=20000)
    expect(page.get_by_text("Completed").first).to_be_visible()
    expect(page.get_by_text("7 Task runs")).to_be_visible()
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1500)  # the timeline is drawn on a canvas
    shoot(page, "run")
    page.get_by_role("tab", name="Task Runs").click()
    for name in ("dapi", "ome2png dapi", "png2pmtiles membrane", "update_catalog catalog.yaml"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    shoot(page, "tasks")
    page.get_by_role("tab", name="Artifacts").click()
    for name in ("images", "image-dapi", "image-membrane", "catalog-catalog", "progress"):
        expect(page.get_by_text(re.compile(f"^{name}-map-[0-9a-f]{{4}}$")).first).to_be_visible()
    shoot(page, "artifacts")


def test_the_page_of_an_image_shows_it(page: Page, house: House, run: dict[str, Any]) -> None:
    chosen = {"flow_run_id": {"any_": [run["id"]]}, "key": {"like_": "image-dapi-map-%"}}
    (artifact,) = house.ask("artifacts/filter", artifacts=chosen)
    page.goto(f"artifacts/artifact/{artifact['id']}")
    picture = page.get_by_alt_text("dapi as the map shows it")
    expect(picture).to_be_visible(timeout=20000)
    # It is decoded, and is no blank: black ground and bright nuclei, above the line that says where it is.
    width, darkest, brightest = picture.evaluate("""image => {
        const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext('2d')
        canvas.drawImage(image, 0, 0)
        const values = canvas.getImageData(0, 0, image.naturalWidth, image.naturalHeight - 28).data
        const blue = values.filter((_, index) => index % 4 == 2)
        return [image.naturalWidth, blue.reduce((a, b) => Math.min(a, b)), blue.reduce((a, b) => Math.max(a, b))]
    }""")
    assert width == 640
    assert darkest < 20
    assert brightest > 200
    expect(page.get_by_alt_text("values from black to full")).to_be_visible()
    expect(page.get_by_text("µm per pixel").first).to_be_visible()
    shoot(page, "image")


def test_the_form_of_a_deployment_has_help_choices_and_bounds(page: Page, house: House) -> None:
    deployment = house.ask("deployments/name/import-images/import-images")["id"]
    page.goto(f"deployments/deployment/{deployment}/run")
    expect(page.get_by_text("Cut the image into map tiles: GeoTIFF, PMTiles and the asset JSON.")).to_be_visible(
        timeout=20000
    )
    expect(page.get_by_text("png2pmtiles (Optional)")).to_be_visible()
    page.wait_for_load_state("networkidle")
    shoot(page, "form")
    page.locator("button").filter(has_text=re.compile("^cubic$")).click()
    for kernel in ("near", "bilinear", "lanczos", "mode"):
        expect(page.get_by_role("option", name=kernel, exact=True)).to_be_visible()
    shoot(page, "choices")
    page.keyboard.press("Escape")
    jobs = page.locator("input[type=number]").last
    jobs.fill("0")
    before = len(house.ask("flow_runs/filter", sort="ID_DESC"))
    page.get_by_role("button", name="Submit").click()
    assert jobs.evaluate("input => input.validationMessage") == "Value must be greater than or equal to 1."
    shoot(page, "bounds")
    assert len(house.ask("flow_runs/filter", sort="ID_DESC")) == before
