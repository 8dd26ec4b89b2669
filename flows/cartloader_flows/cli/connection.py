"""How a command reaches Prefect: its settings, and this user's own server where no other is configured."""

from __future__ import annotations

import os
import sys
from base64 import b64encode
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
_SERVERS = {"cartloader_flows.prefect_server", "prefect.server.api.server:create_app"}
"""What the command line of a process names that is a server of Prefect: by `cartloader server start`, or by Prefect's
own ``prefect server start --background``."""


def configure(*, debug: bool) -> None:
    """Give Prefect its settings, before it is imported."""
    for name, value in (PREFECT_SETTINGS | ({} if debug else QUIET_SETTINGS)).items():
        os.environ.setdefault(name, value)


def use_own_server() -> None:
    """Have this process use the Prefect server that its user has here, and say so, unless an API is configured."""
    from prefect.context import refresh_global_settings_context  # noqa: PLC0415  (2 s, which only a flow should pay)
    from prefect.settings import PREFECT_API_URL  # noqa: PLC0415

    if PREFECT_API_URL.value() or (server := own_address()) is None:
        return
    if trouble := _trouble(server):
        print(f"Prefect server  {server}  not used: {trouble}", file=sys.stderr)
        return
    print(f"Prefect server  {server}", file=sys.stderr)
    # For the processes that this one starts as well; the user's profile stays as it is.
    os.environ["PREFECT_API_URL"] = f"{server}/api"
    refresh_global_settings_context()


def own_address() -> str | None:
    """The address of the Prefect server that this user has in the background here; None where there is none.

    The process says it itself, by its command line: a note could be out of date. Nothing tells it without /proc.
    """
    if (number := in_background()) is None:
        return None
    try:
        words = _words(number)
        if Path(f"/proc/{number}").stat().st_uid != os.geteuid() or not _SERVERS.intersection(words):
            return None
        said = {name: words[words.index(name) + 1] for name in ("--host", "--port") if name in words}
        return address(int(said["--port"]), said.get("--host", "127.0.0.1"))
    except (OSError, ValueError, LookupError):
        return None


def in_background() -> int | None:
    """The process that is noted as the server in the background, while it lives.

    The note outlives a restart of the machine; then its number may be another program's.
    """
    try:
        number = int(pid_file().read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return number if is_alive(number) else None


def home() -> Path:
    """Where Prefect keeps its database, and where the log of the server is."""
    from prefect.settings import PREFECT_HOME  # noqa: PLC0415  (a second, which --help need not wait)

    return Path(PREFECT_HOME.value())


def pid_file() -> Path:
    """Where the process of the server in the background is noted, by Prefect's own command as well."""
    return home() / "server.pid"


def is_alive(number: int) -> bool:
    """Whether a process is a server of Prefect; one that has ended has no command line, as a zombie or not at all."""
    try:
        os.kill(number, 0)
        return bool(_SERVERS.intersection(_words(number)))
    except ProcessLookupError:
        return False
    except OSError:  # another user's, or a system without /proc
        return True


def _words(number: int) -> list[str]:
    """The command line of a process."""
    return os.fsdecode(Path(f"/proc/{number}/cmdline").read_bytes()).split("\0")


def answers(server: str) -> bool:
    """Whether a healthy Prefect server is at this address."""
    try:
        answer = _ask(server, "health")
        return bool(answer.status_code == httpx.codes.OK and answer.json() is True)
    except (httpx.HTTPError, ValueError):
        return False


def address(port: int, host: str = "127.0.0.1") -> str:
    """Where a server on this machine is reached that listens there; one that listens everywhere does so here."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (it is only looked for)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _trouble(server: str) -> str | None:
    """Why a server here cannot be used; as Prefect has it, it may be newer than its clients, within a major version."""
    from prefect import __version__  # noqa: PLC0415  (see use_own_server)

    if not answers(server):
        return "it does not answer"
    if asks_who_one_is(server):
        return "it asks who you are: PREFECT_API_AUTH_STRING must be what its --auth-file has"
    try:
        version = f"{_ask(server, 'admin/version').json()}"
        (major, minor), (our_major, our_minor) = _release(version), _release(__version__)
    except (httpx.HTTPError, ValueError):
        return "it does not tell its version"
    suits = major == our_major and minor >= our_minor
    return None if suits else f"it is of Prefect {version}, and this is {__version__}"


def asks_who_one_is(server: str, *, as_stranger: bool = False) -> bool:
    """Whether a server does not let us in, or does not let in who brings no password."""
    try:
        return _ask(server, "admin/version", as_stranger=as_stranger).status_code == httpx.codes.UNAUTHORIZED
    except httpx.HTTPError:
        return False


def _release(version: str) -> tuple[int, int]:
    """Major and minor version."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def _ask(server: str, path: str, *, as_stranger: bool = False) -> httpx.Response:
    from prefect.settings import PREFECT_API_AUTH_STRING  # noqa: PLC0415  (see use_own_server)

    known = None if as_stranger else PREFECT_API_AUTH_STRING.value()
    return httpx.get(
        f"{server}/api/{path}",
        headers={"Authorization": f"Basic {b64encode(known.encode()).decode()}"} if known else None,
        timeout=_PATIENCE,
        trust_env=False,
    )
