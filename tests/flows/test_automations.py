"""What others are told by the server: by `deployments/automations.yaml`, by events, and what runs it as a service."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.pages import ROOT
from support.processes import eventually
from support.servers import Home
from support.tools import require_tools

BIN = Path(sys.executable).parent
DEPLOYMENTS = ROOT / "deployments"


@contextmanager
def listening() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A webhook on this machine; its address, and what it was told."""
    told: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Hook) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/", told
        finally:
            server.shutdown()
            thread.join()


def events(api: str) -> dict[str, dict[str, Any]]:
    """What was told of images, by the name of the event."""
    chosen = {"filter": {"event": {"prefix": ["cartloader.image."]}}}
    found = httpx.post(f"{api}/events/filter", json=chosen).raise_for_status().json()["events"]
    return {one["event"]: one["payload"] for one in found}


@pytest.mark.slow
def test_a_run_that_failed_is_told_of_once(slide: Path, tmp_path: Path) -> None:
    """What a server was about to do when SQLite refused it may be lost or done twice; then it is played again."""
    for number in range(5):
        home, folder = Home(tmp_path / f"home{number}"), tmp_path / f"run{number}"
        folder.mkdir()
        try:
            assert home.start().returncode == 0
            told, found = failed(home, slide, folder)
        finally:
            home.command("stop")
        assert not home.servers()
        if len(told) == 1 or "database is locked" not in home.log.read_text():
            break
    assert [one["text"] for one in told] == ["import-images many.yaml → map, 2 images Failed – 1 of 2 images failed: b"]
    assert f"http://127.0.0.1:{home.port}/" in told[0]["link"]
    assert found["cartloader.image.imported"]["archive"] == f"{folder}/map/a.pmtiles"
    assert len(found["cartloader.image.imported"]["xxh3_128"]) == 32
    assert found["cartloader.image.failed"]["id"] == "b"
    assert "none.tif" in found["cartloader.image.failed"]["why"]


def failed(home: Home, slide: Path, folder: Path) -> tuple[list[dict[str, str]], dict[str, dict[str, Any]]]:
    """What a webhook hears of a run of which an image fails, and the events of its images."""
    api = f"http://127.0.0.1:{home.port}/api"
    environment = home.environment | {"PREFECT_API_URL": api}
    (folder / "many.yaml").write_text(f"a: {slide}\nb: none.tif\n")
    argv = ["import_image", "--png2pmtiles", "--in-json", folder / "many.yaml", "--out-dir", folder / "map"]
    with listening() as (address, told):
        block = (
            "from prefect.blocks.webhook import Webhook; "
            f"print(Webhook(url={address!r}).save('cartloader', overwrite=True))"
        )
        known = subprocess.run(
            [sys.executable, "-c", block], env=environment, check=True, capture_output=True, text=True
        ).stdout.split()[-1]
        filled = folder / "automations.yaml"
        filled.write_text((DEPLOYMENTS / "automations.yaml").read_text().replace("WEBHOOK", known))
        subprocess.run([BIN / "prefect", "automation", "create", "--from-file", filled], env=environment, check=True)
        run = subprocess.run([BIN / "cartloader", *argv], env=environment, check=False, capture_output=True)
        assert run.returncode == 1
        eventually(lambda: len(told) > 0, 60)
        eventually(lambda: len(told) > 1, 5)
    eventually(lambda: len(events(api)) == 2, 30)  # they are written some at a time
    return told, events(api)


@pytest.mark.parametrize("unit", ["cartloader-server.service", "cartloader-worker.service"])
def test_a_unit_is_what_systemd_understands(unit: str, tmp_path: Path) -> None:
    require_tools("systemd-analyze")
    text = (DEPLOYMENTS / unit).read_text().replace("/opt/cartloader/.venv/bin", f"{BIN}")
    (tmp_path / unit).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", tmp_path / unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
