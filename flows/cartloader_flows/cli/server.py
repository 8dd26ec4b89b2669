"""`cartloader server`: a Prefect server that stays, on this machine; thin over `prefect server`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from cartloader_flows.cli.connection import (
    PREFECT_SETTINGS,
    address,
    answers,
    in_background,
    is_alive,
    own_port,
    pid_file,
)
from cartloader_flows.cli.options import ServerCommand
from cartloader_flows.cli.parser import parsed
from cartloader_image.errors import ToolError, UsageError

_PORT = 4200
"""Of a server that does not run yet, unless another one is chosen."""
_STARTING, _STOPPING = 120, 20
"""Seconds that a server has; a new database takes half a minute on a slow machine."""


def server(argv: Sequence[str]) -> int:
    """Start, look for, or stop a Prefect server on this machine, with its UI."""
    usage = "cartloader server {start,status,stop} [--port N]"
    command = parsed(ServerCommand, argv, usage, f"{server.__doc__}")
    return {"start": _start, "status": _status, "stop": _stop}[command.do](command.port or own_port() or _PORT)


def _start(port: int) -> int:
    began = time.monotonic()
    if not answers(port):
        _refuse_to_start(port)
        # The page of the UI would ask port 4200 otherwise.
        own = {"PREFECT_SERVER_UI_API_URL": f"{address(port)}/api"}
        finished = _prefect(["start", "--background", "--port", f"{port}"], own)
        while not answers(port):
            if finished.returncode or not in_background() or time.monotonic() > began + _STARTING:
                raise ToolError(
                    f"the Prefect server does not answer at {address(port)}; `prefect server start --port {port}` "
                    "shows why"
                )
            time.sleep(0.2)
    print(
        f"Prefect server  {address(port)}  ready after {time.monotonic() - began:.0f} s\n"
        f"  use it          export PREFECT_API_URL={address(port)}/api\n"
        f"  stop it         cartloader server stop"
    )
    return 0


def _refuse_to_start(port: int) -> None:
    if number := in_background():
        raise UsageError(
            f"--port {port}: a Prefect server runs already (process {number}), but does not answer there; there can be "
            "one for each PREFECT_HOME, and cartloader server stop ends it"
        )
    if _is_taken(port):
        raise UsageError(f"--port {port}: another program has this port; choose another one")
    pid_file().unlink(missing_ok=True)  # of a server that has ended by itself


def _status(port: int) -> int:
    if not answers(port):
        print(f"no Prefect server answers at {address(port)}; cartloader server start starts one", file=sys.stderr)
        return 1
    print(f"Prefect server  {address(port)}  answers")
    return 0


def _stop(_port: int) -> int:
    number = in_background()
    if number is None:
        print("no Prefect server runs in the background")
        return 0
    finished = _prefect(["stop"], {})
    if finished.returncode:
        raise ToolError(f"prefect server stop failed ({' '.join((finished.stdout + finished.stderr).split())})")
    until = time.monotonic() + _STOPPING
    while is_alive(number):
        if time.monotonic() > until:
            raise ToolError(f"the Prefect server (process {number}) does not end within {_STOPPING} s; kill it")
        time.sleep(0.1)
    print("stopped")
    return 0


def _prefect(argv: list[str], own: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  (a list of arguments: no shell reads them)
        [sys.executable, "-m", "prefect", "--no-prompt", "server", *argv],
        env=PREFECT_SETTINGS | own | os.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
