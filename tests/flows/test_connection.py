"""Which Prefect server a command uses: the one that is configured, or this user's own where none is."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import prefect
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.context import refresh_global_settings_context
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings
from support.maps import write_ome
from support.processes import eventually, free_port, process
from support.rasters import smooth
from support.tools import require_tools

from cartloader_flows.cli import connection
from cartloader_flows.cli.connection import own_address, use_own_server

NOWHERE = "http://127.0.0.1:1/api"
MAJOR, MINOR = map(int, prefect.__version__.split(".")[:2])


def cartloader(home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """An import in a home of Prefect where the server of all tests is noted as the user's own."""
    server = SubprocessASGIServer().server_process
    assert server
    (home / "server.pid").write_text(f"{server.pid}")
    slide = write_ome(home / "slide.ome.tif", smooth(80, 60, 1), 0.2)
    argv = ["import_image", "--png2pmtiles", "--in-img", slide, "--img-id", "own", "--out-dir", home / "map"]
    return subprocess.run(
        [Path(sys.executable).with_name("cartloader"), *argv],
        env=os.environ | {"PREFECT_HOME": f"{home}"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_own_server_is_used_and_a_line_says_its_address(server: str, tmp_path: Path) -> None:
    run = cartloader(tmp_path)
    first, *lines = run.stderr.splitlines()
    assert (run.returncode, first) == (0, f"Prefect server  {server.removesuffix('/api')}")
    assert all(line.startswith("own  ") for line in lines)
    with get_client(sync_client=True) as client:
        (found,) = client.read_flow_runs(flow_run_filter=FlowRunFilter(name={"any_": ["own → map"]}))
    assert found.state
    assert found.state.is_completed()
    assert not (tmp_path / "profiles.toml").exists()


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("configured", ["environment", "profile"])
def test_what_is_configured_wins(configured: str, tmp_path: Path) -> None:
    if configured == "profile":
        profiles = f'active = "mine"\n[profiles.mine]\nPREFECT_API_URL = "{NOWHERE}"\n'
        (tmp_path / "profiles.toml").write_text(profiles)
    run = cartloader(tmp_path, **({"PREFECT_API_URL": NOWHERE} if configured == "environment" else {}))
    assert run.returncode == 1
    assert run.stderr.startswith(f"Prefect cannot run this (Failed to reach API at {NOWHERE}/)")
    assert run.stderr.count("\n") == 1


@pytest.fixture
def pid_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where this process looks for the number of the user's own server, as long as no API is configured."""
    with (
        monkeypatch.context() as patch,
        temporary_settings({PREFECT_HOME: tmp_path}, restore_defaults={PREFECT_API_URL}),
    ):
        patch.setenv("PREFECT_API_URL", "")
        yield tmp_path / "server.pid"
    refresh_global_settings_context()


@contextmanager
def serving(port: int, *before: str, application: str = "prefect.server.api.server:create_app") -> Iterator[int]:
    """A process with the command line of a Prefect server, which does nothing."""
    with process(*before, "/bin/sh", "-c", "sleep 300; :", "sh", application, "--port", f"{port}") as started:
        assert eventually(lambda: application in Path(f"/proc/{started.pid}/cmdline").read_text())  # just after exec
        yield started.pid


def test_only_a_process_that_is_a_prefect_server_counts(pid_file: Path) -> None:
    assert own_address() is None
    with serving(4321) as number:
        pid_file.write_text(f"{number}")
        assert own_address() == "http://127.0.0.1:4321"
    assert own_address() is None, "it has ended"
    with serving(4321, application="prefect worker") as number:  # the number was given anew
        pid_file.write_text(f"{number}")
        assert own_address() is None
    for nothing in ("", "none", "0", "-1"):
        pid_file.write_text(nothing)
        assert own_address() is None


def test_a_server_of_another_user_does_not_count(pid_file: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can start a process of another user")
    require_tools("setpriv")
    with serving(4321, "setpriv", "--reuid=65534", "--clear-groups") as number:
        assert eventually(lambda: Path(f"/proc/{number}").stat().st_uid == 65534)
        pid_file.write_text(f"{number}")
        assert own_address() is None


def test_a_server_that_does_not_answer_is_not_waited_for(
    pid_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for port in (free_port(), silent.getsockname()[1]):
            with serving(port) as number:
                pid_file.write_text(f"{number}")
                use_own_server()
            assert capsys.readouterr().err == f"Prefect server  http://127.0.0.1:{port}  not used: it does not answer\n"
            assert not os.environ["PREFECT_API_URL"]


@contextmanager
def answering(answers: dict[str, object]) -> Iterator[int]:
    """A server that answers some paths with JSON; gives its port."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path.removeprefix("/api/"))
            self.send_response(401 if answer is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield listening.server_address[1]
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (f"{MAJOR}.{MINOR}.0", ""),
        (f"{MAJOR}.{MINOR + 1}.0.dev1", ""),
        (f"{MAJOR}.{MINOR - 1}.9", f"of Prefect {MAJOR}.{MINOR - 1}.9, and this is {prefect.__version__}"),
        (f"{MAJOR + 1}.{MINOR}.0", f"of Prefect {MAJOR + 1}.{MINOR}.0, and this is {prefect.__version__}"),
        ("new", "does not tell its version"),
        (None, "it asks who you are: PREFECT_API_AUTH_STRING must be what its --auth-file has"),
    ],
)
def test_a_server_may_be_newer_within_its_major_version(
    version: str | None, words: str, pid_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering({"health": True, "admin/version": version}) as port, serving(port) as number:
        pid_file.write_text(f"{number}")
        use_own_server()
    line = capsys.readouterr().err
    assert line.startswith(f"Prefect server  http://127.0.0.1:{port}")
    assert line.count("\n") == 1
    assert words in line
    assert ("not used" in line) == bool(words)
    assert os.environ["PREFECT_API_URL"] == ("" if words else f"http://127.0.0.1:{port}/api")
