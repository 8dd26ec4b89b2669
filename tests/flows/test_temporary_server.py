"""The server that a run starts for itself: it ends with the run, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL
from support.processes import eventually, with_environment

from cartloader_flows.temporary_server import ensure_server

CARTLOADER = Path(sys.executable).with_name("cartloader")


@pytest.mark.usefixtures("server")
def test_where_a_server_is_configured_there_is_no_other(capfd: pytest.CaptureFixture[str]) -> None:
    before = PREFECT_API_URL.value()
    ensure_server()
    assert PREFECT_API_URL.value() == before
    assert capfd.readouterr() == ("", "")


@contextmanager
def started(slide: Path, home: Path) -> Iterator[subprocess.Popen[str]]:
    """A run with a server of its own, which has said so; its processes have the home in their environment."""
    argv = ["import_image", "--png2pmtiles", "--in-img", slide, "--img-id", "a", "--out-dir", slide.parent / "map"]
    environment = os.environ | {"PREFECT_HOME": f"{home}"}
    environment.pop("PREFECT_API_URL", None)
    with subprocess.Popen(
        [CARTLOADER, *argv], env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        assert run.stderr
        assert (
            run.stderr.readline()
            == "starting a temporary Prefect server (15 s); to keep one: cartloader server start\n"
        )
        assert eventually(lambda: len(with_environment("PREFECT_HOME", f"{home}")) == 2)
        yield run


@pytest.mark.slow
def test_a_run_that_is_killed_takes_its_server_with_it(slide: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    for wait_for in ("", "a  ome2png"):  # while the server starts, and while it works
        with started(slide, home) as run:
            assert run.stderr
            while wait_for and wait_for not in run.stderr.readline():
                assert run.poll() is None
            run.kill()
        assert eventually(lambda: not with_environment("PREFECT_HOME", f"{home}"), 20)


@pytest.mark.slow
def test_ctrl_c_at_the_terminal_reaches_the_run_and_the_server_ends_with_it(slide: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with started(slide, home) as run:
        os.killpg(run.pid, signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert said == "interrupted\n"
    assert eventually(lambda: not with_environment("PREFECT_HOME", f"{home}"), 20)
