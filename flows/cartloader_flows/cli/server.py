"""`cartloader server`: a Prefect server that stays, on this machine, in a process and a session of its own."""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from cartloader_flows.cli.connection import (
    PREFECT_SETTINGS,
    address,
    answers,
    asks_who_one_is,
    home,
    in_background,
    is_alive,
    own_address,
    pid_file,
)
from cartloader_flows.cli.options import ServerCommand
from cartloader_flows.cli.parser import parsed
from cartloader_flows.cli.summary import duration
from cartloader_image.errors import ToolError, UsageError

_PORT = 4200
"""Of a server that does not run yet, unless another one is chosen."""
_SILENCE, _STOPPING = 90, 20
"""Seconds that a starting server may do nothing, as its database can be locked; and that one has to end."""
_TOLD_EVERY = 10.0
"""Seconds between two lines about a server that takes long to start."""
_TICK = 0.2
"""Seconds between two looks."""
_SERVER_SETTINGS = {
    "NO_COLOR": "1",
    # A log of weeks needs dates.
    "PREFECT_LOGGING_FORMATTERS_STANDARD_DATEFMT": "%Y-%m-%d %H:%M:%S",
}


def server(argv: Sequence[str]) -> int:
    """Start, look for, or stop a Prefect server on this machine, with its UI."""
    usage = "cartloader server {start,status,stop} [--port N] [--host ADDRESS] [--auth-file FILE]"
    command = parsed(ServerCommand, argv, usage, f"{server.__doc__}")
    return {"start": _start, "status": _status, "stop": _stop}[command.do](command)


def _address(command: ServerCommand) -> str:
    return address(command.port, command.host) if command.port else own_address() or address(_PORT, command.host)


def _start(command: ServerCommand) -> int:
    began, at, auth = time.monotonic(), _address(command), _auth(command)
    if not answers(at):
        from filelock import FileLock  # noqa: PLC0415  (--help need not wait for it)

        home().mkdir(parents=True, exist_ok=True)
        with FileLock(home() / "server.lock"):  # of two starts at once, the second one finds the server of the first
            number = _starting(at) or _begin(at, command.host, auth)
        _wait_for(number, at)
    if command.auth_file and not asks_who_one_is(at, as_stranger=True):
        raise UsageError(f"--auth-file: a Prefect server runs at {at} that asks nobody who they are; stop it first")
    password = f' PREFECT_API_AUTH_STRING="$(cat {shlex.quote(str(command.auth_file))})"' if command.auth_file else ""
    print(
        f"Prefect server  {at}  ready after {duration(time.monotonic() - began)}\n"
        f"  use it          export PREFECT_API_URL={at}/api{password}\n"
        f"  stop it         cartloader server stop"
    )
    return 0


def _auth(command: ServerCommand) -> dict[str, str]:
    """What makes a server ask who one is, which other machines may reach only so.

    Raises:
        UsageError: they could reach one that does not, or the file of the password is none.
    """
    from prefect.settings import PREFECT_SERVER_API_AUTH_STRING  # noqa: PLC0415  (a second, which --help need not wait)

    if command.auth_file is None:
        if not (_is_here(command.host) or PREFECT_SERVER_API_AUTH_STRING.value()):
            raise UsageError(
                f"--host {command.host}: whoever reaches a Prefect server can run programs as its workers do; give "
                "--auth-file with a file of NAME:PASSWORD, or listen on 127.0.0.1 alone"
            )
        return {}
    from cartloader_image.budget import USUAL  # noqa: PLC0415  (see above)
    from cartloader_image.system.texts import text_of  # noqa: PLC0415

    text = text_of(command.auth_file, "--auth-file", USUAL).strip()
    if not re.fullmatch(r"[!-9;-~]+:[!-~]+", text):
        raise UsageError(f"--auth-file {command.auth_file}: one line NAME:PASSWORD is needed, in ASCII without blanks")
    if command.auth_file.stat().st_mode & 0o077:
        raise UsageError(f"--auth-file {command.auth_file}: others can read it; chmod 600, and choose another password")
    return {"PREFECT_SERVER_API_AUTH_STRING": text}


def _is_here(host: str) -> bool:
    """Whether only this machine reaches what listens on a host.

    Raises:
        UsageError: there is no such host.
    """
    try:
        found = {str(one[4][0]) for one in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise UsageError(f"--host {host}: is no address of this machine ({error.strerror})") from None
    return all(ipaddress.ip_address(one.partition("%")[0]).is_loopback for one in found)


def _starting(at: str) -> int | None:
    """The process of the server that another one has started just now; None where there is none.

    Raises:
        UsageError: it is at another address, or another program has the port.
    """
    if number := in_background():
        if own_address() != at:
            raise UsageError(
                f"{at}: a Prefect server runs already (process {number}), but not there; there can be one for each "
                "PREFECT_HOME, and cartloader server stop ends it"
            )
        return number
    port = int(at.rpartition(":")[2])
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise UsageError(f"--port {port}: another program has this port; choose another one")
    return None


def _begin(at: str, host: str, auth: dict[str, str]) -> int:
    """Start the server; its process."""
    # The page of the UI would ask port 4200 otherwise, and messages would have no link to it.
    own = _SERVER_SETTINGS | {"PREFECT_SERVER_UI_API_URL": f"{at}/api", "PREFECT_UI_URL": at}
    argv = ["--host", host, "--port", at.rpartition(":")[2]]
    with _log().open("ab") as log:
        started = subprocess.Popen(  # noqa: S603  (a list of arguments: no shell reads them)
            [sys.executable, "-m", "cartloader_flows.prefect_server", _log(), *argv],
            env=PREFECT_SETTINGS | own | os.environ | auth,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    pid_file().write_text(f"{started.pid}", encoding="ascii")
    return started.pid


def _wait_for(number: int, at: str) -> None:
    """Wait until the server answers, as long as it lives and does something.

    Raises:
        ToolError: it has ended, or does nothing.
    """
    began = latest = told = time.monotonic()
    done = _work(number)
    while not answers(at):
        if not is_alive(number):
            raise ToolError(f"the Prefect server has ended by itself ({_last_words()}); its log is {_log()}")
        now = time.monotonic()
        if (more := _work(number)) != done:
            done, latest = more, now
        elif now > latest + _SILENCE:
            raise ToolError(
                f"the Prefect server (process {number}) has done nothing for {_SILENCE} s; its log is {_log()}, and "
                "cartloader server stop ends it"
            )
        if now > told + _TOLD_EVERY:
            told = now
            print(f"Prefect server  {at}  still starting after {now - began:.0f} s", file=sys.stderr)
        time.sleep(_TICK)


def _work(number: int) -> tuple[str, ...]:
    """What a process has done so far, in no unit: its processor time, where the system tells, and its log's length."""
    done = [f"{_log().stat().st_size}"]
    with suppress(OSError):  # it has just ended, or a system without /proc
        # Behind the name, which may have blanks: fields 3 and following; 14 and 15 are its time.
        done += Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
    return tuple(done)


def _status(command: ServerCommand) -> int:
    at, number = _address(command), in_background()
    own = number is not None and own_address() == at
    process = f"\n  process         {number}, for {_age()}\n  log             {_log()}" if own else ""
    if answers(at):
        print(f"Prefect server  {at}  answers{process}")
        return 0
    if own:
        print(f"Prefect server  {at}  does not answer{process}", file=sys.stderr)
    else:
        print(f"no Prefect server answers at {at}; cartloader server start starts one", file=sys.stderr)
    return 1


def _stop(_command: ServerCommand) -> int:
    number = in_background()
    if number is None:
        print("no Prefect server runs in the background")
        return 0
    for last_word, seconds in ((signal.SIGTERM, _STOPPING), (signal.SIGKILL, _STOPPING)):
        with suppress(ProcessLookupError):
            os.kill(number, last_word)
        until = time.monotonic() + seconds
        while is_alive(number) and time.monotonic() < until:
            time.sleep(_TICK)
        if not is_alive(number):
            pid_file().unlink(missing_ok=True)
            print("stopped" if last_word is signal.SIGTERM else f"killed: it did not end within {_STOPPING} s")
            return 0
    raise ToolError(f"the Prefect server (process {number}) does not end, not even killed")


def _log() -> Path:
    return home() / "server.log"


def _last_words() -> str:
    """The last line of the log."""
    lines = _log().read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "without a word")


def _age() -> str:
    """For how long the server in the background has been there, by its note."""
    return duration(max(0.0, time.time() - pid_file().stat().st_mtime))
