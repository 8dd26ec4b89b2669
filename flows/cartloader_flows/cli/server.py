"""`cartloader server`: a Prefect server that stays, on this machine; thin over `prefect server`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from cartloader_flows.cli.options import ServerCommand
from cartloader_flows.cli.parser import parsed
from cartloader_flows.cli.runs import PREFECT_SETTINGS
from cartloader_image.errors import ToolError, UsageError

_STARTING, _STOPPING = 120, 20
"""Seconds that a server has; a new database takes half a minute on a slow machine."""


def server(argv: Sequence[str]) -> int:
    """Start, look for, or stop a Prefect server on this machine, with its UI."""
    usage = "cartloader server {start,status,stop} [--port N]"
    command = parsed(ServerCommand, argv, usage, f"{server.__doc__}")
    return {"start": _start, "status": _status, "stop": _stop}[command.do](command.port)


def _start(port: int) -> int:
    began = time.monotonic()
    if not _answers(port):
        _refuse_to_start(port)
        # The page of the UI would ask port 4200 otherwise.
        own = {"PREFECT_SERVER_UI_API_URL": f"{_address(port)}/api"}
        told = _prefect(["start", "--background", "--port", f"{port}"], own)
        while not _answers(port):
            if told.returncode or not _in_background() or time.monotonic() > began + _STARTING:
                raise ToolError(
                    f"the Prefect server does not answer at {_address(port)}; `prefect server start --port {port}` "
                    "shows why"
                )
            time.sleep(0.2)
    print(
        f"Prefect server  {_address(port)}  ready after {time.monotonic() - began:.0f} s\n"
        f"  use it          export PREFECT_API_URL={_address(port)}/api\n"
        f"  stop it         cartloader server stop"
    )
    return 0


def _refuse_to_start(port: int) -> None:
    if _is_taken(port):
        raise UsageError(f"--port {port}: another program has this port; choose another one")
    if number := _in_background():
        raise UsageError(
            f"--port {port}: a Prefect server runs already (process {number}), but does not answer there; there can be "
            "one for each PREFECT_HOME, and cartloader server stop ends it"
        )
    _note().unlink(missing_ok=True)  # of a server that has ended by itself


def _status(port: int) -> int:
    if not _answers(port):
        print(f"no Prefect server answers at {_address(port)}; cartloader server start starts one", file=sys.stderr)
        return 1
    print(f"Prefect server  {_address(port)}  answers")
    return 0


def _stop(_port: int) -> int:
    number = _in_background()
    if number is None:
        print("no Prefect server runs in the background")
        return 0
    told = _prefect(["stop"], {})
    if told.returncode:
        raise ToolError(f"prefect server stop failed ({' '.join((told.stdout + told.stderr).split())})")
    until = time.monotonic() + _STOPPING
    while _is_alive(number):
        if time.monotonic() > until:
            raise ToolError(f"the Prefect server (process {number}) does not end within {_STOPPING} s; kill it")
        time.sleep(0.1)
    print("stopped")
    return 0


def _in_background() -> int | None:
    """The process that Prefect has noted as its server in the background, while it lives.

    The note outlives a restart of the machine; then its number may be another program's.
    """
    try:
        number = int(_note().read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return number if _is_alive(number) else None


def _note() -> Path:
    """Where Prefect notes the process of its server in the background."""
    from prefect.settings import PREFECT_HOME  # noqa: PLC0415  (a second, which --help need not wait)

    return Path(PREFECT_HOME.value(), "server.pid")


def _is_alive(number: int) -> bool:
    """Whether a process is a server of Prefect; one that has ended has no command line, as a zombie or not at all."""
    try:
        os.kill(number, 0)
        return b"prefect" in Path(f"/proc/{number}/cmdline").read_bytes()
    except ProcessLookupError:
        return False
    except OSError:  # another user's, or a system without /proc
        return True


def _prefect(argv: list[str], own: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  (a list of arguments: no shell reads them)
        [sys.executable, "-m", "prefect", "--no-prompt", "server", *argv],
        env=PREFECT_SETTINGS | own | os.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _address(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _answers(port: int) -> bool:
    """Whether a healthy Prefect server is there."""
    try:
        answer = httpx.get(f"{_address(port)}/api/health", timeout=5, trust_env=False)
        return bool(answer.status_code == httpx.codes.OK and answer.json() is True)
    except (httpx.HTTPError, ValueError):
        return False


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
