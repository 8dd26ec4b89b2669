"""How a command reaches Prefect: its settings, and this user's own server where no other is configured."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import httpx

PREFECT_SETTINGS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}
"""Settings of Prefect, unless the user's environment says otherwise."""
QUIET_SETTINGS = {
    # What Prefect logs goes to its server; the terminal belongs to the bars and the summary.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
}
_PATIENCE = 5
"""Seconds that a server has to answer: it may be busy, and a temporary one takes three times as long to start."""
_SERVER = "prefect.server.api.server:create_app"
"""What the command line of a process names that is a server of Prefect."""


def configure(*, debug: bool) -> None:
    """Give Prefect its settings, before it is imported."""
    for name, value in (PREFECT_SETTINGS | ({} if debug else QUIET_SETTINGS)).items():
        os.environ.setdefault(name, value)


def use_own_server() -> None:
    """Have this process use the Prefect server that its user has here, and say so, unless an API is configured."""
    from prefect.context import refresh_global_settings_context  # noqa: PLC0415  (2 s, which only a flow should pay)
    from prefect.settings import PREFECT_API_URL  # noqa: PLC0415

    if PREFECT_API_URL.value() or (port := own_port()) is None:
        return
    if trouble := _trouble(port):
        print(f"Prefect server  {address(port)}  not used: {trouble}", file=sys.stderr)
        return
    print(f"Prefect server  {address(port)}", file=sys.stderr)
    # For the processes that this one starts as well; the user's profile stays as it is.
    os.environ["PREFECT_API_URL"] = f"{address(port)}/api"
    refresh_global_settings_context()


def own_port() -> int | None:
    """The port of the Prefect server that this user has in the background here; None where there is none.

    The process says it itself, by its command line: a note could be out of date. Nothing tells it without /proc.
    """
    if (number := in_background()) is None:
        return None
    process = Path("/proc", f"{number}")
    try:
        words = os.fsdecode((process / "cmdline").read_bytes()).split("\0")
        is_own = process.stat().st_uid == os.geteuid() and _SERVER in words
        return int(words[words.index("--port") + 1]) if is_own else None
    except (OSError, ValueError):
        return None


def in_background() -> int | None:
    """The process that Prefect has noted as its server in the background, while it lives.

    The note outlives a restart of the machine; then its number may be another program's.
    """
    try:
        number = int(pid_file().read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return number if is_alive(number) else None


def pid_file() -> Path:
    """Where Prefect notes the process of its server in the background."""
    from prefect.settings import PREFECT_HOME  # noqa: PLC0415  (a second, which --help need not wait)

    return Path(PREFECT_HOME.value(), "server.pid")


def is_alive(number: int) -> bool:
    """Whether a process is a server of Prefect; one that has ended has no command line, as a zombie or not at all."""
    try:
        os.kill(number, 0)
        return b"prefect" in Path(f"/proc/{number}/cmdline").read_bytes()
    except ProcessLookupError:
        return False
    except OSError:  # another user's, or a system without /proc
        return True


def answers(port: int) -> bool:
    """Whether a healthy Prefect server is there."""
    try:
        answer = _ask(port, "health")
        return bool(answer.status_code == httpx.codes.OK and answer.json() is True)
    except (httpx.HTTPError, ValueError):
        return False


def address(port: int) -> str:
    """Of a server on this machine."""
    return f"http://127.0.0.1:{port}"


def _trouble(port: int) -> str | None:
    """Why a server here cannot be used; as Prefect has it, it may be newer than its clients, within a major version."""
    from prefect import __version__  # noqa: PLC0415  (see use_own_server)

    if not answers(port):
        return "it does not answer"
    try:
        version = f"{_ask(port, 'admin/version').json()}"
        (major, minor), (our_major, our_minor) = _release(version), _release(__version__)
    except (httpx.HTTPError, ValueError):
        return "it does not tell its version"
    suits = major == our_major and minor >= our_minor
    return None if suits else f"it is of Prefect {version}, and this is {__version__}"


def _release(version: str) -> tuple[int, int]:
    """Major and minor version."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def _ask(port: int, path: str) -> httpx.Response:
    return httpx.get(f"{address(port)}/api/{path}", timeout=_PATIENCE, trust_env=False)
