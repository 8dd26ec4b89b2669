"""One Prefect server for all tests of the flows, with a home and a database of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cartloader_flows.cli.connection import PREFECT_SETTINGS, QUIET_SETTINGS

# Prefect reads its environment once, when it is imported.
_home = TemporaryDirectory(prefix="prefect-home-")
os.environ.pop("PREFECT_API_URL", None)
os.environ.update(PREFECT_SETTINGS | QUIET_SETTINGS | {"PREFECT_HOME": _home.name})


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a Prefect server that the flows of this process use, and other processes may."""
    from prefect.settings import PREFECT_API_URL  # noqa: PLC0415
    from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415

    with prefect_test_harness(server_startup_timeout=90):
        yield str(PREFECT_API_URL.value())
    _home.cleanup()


@pytest.fixture(scope="session")
def worker(server: str) -> Iterator[dict[str, str]]:
    """A worker for three runs at a time that has the deployments of the file; gives the environment of its server."""
    environment = os.environ | {"PREFECT_API_URL": server}
    prefect = Path(sys.executable).with_name("prefect")
    deployments = Path(__file__).parents[2] / "deployments"
    for argv in (["work-pool", "create", "cartloader", "--type", "process"], ["--no-prompt", "deploy", "--all"]):
        subprocess.run([prefect, *argv], cwd=deployments, env=environment, check=True, capture_output=True)
    argv = [prefect, "worker", "start", "--pool", "cartloader", "--limit", "3"]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        yield environment
        process.terminate()
