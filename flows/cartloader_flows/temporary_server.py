"""A temporary Prefect server for the time of this process, where no server is configured.

It lives as long as the other end of its standard input is open, which this process alone holds: however a process
ends, the system closes what it holds. A session of its own keeps Ctrl-C at the terminal from the server.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import httpx
from prefect.context import refresh_global_settings_context
from prefect.settings import PREFECT_API_URL

_STARTING = "starting a temporary Prefect server (15 s); to keep one: cartloader server start"
_PATIENCE = 90
"""Seconds that the server has to answer; a new database takes half a minute on a slow machine."""
_GRACE = 5
"""Seconds that it has to write down what it knows, once its run has ended."""


def ensure_server() -> None:
    """Start a server and say so, unless one is configured; it ends with this process.

    Prefect would start one by itself, but it would outlive a process that is killed.

    Raises:
        RuntimeError: the server does not answer in time.
    """
    if PREFECT_API_URL.value():
        return
    print(_STARTING, file=sys.stderr, flush=True)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/api"
        server = subprocess.Popen(  # noqa: S603  (a list of arguments: no shell reads them)
            [sys.executable, "-m", __name__, f"{listening.fileno()}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[listening.fileno()],
            start_new_session=True,
        )
    atexit.register(_end, server)
    try:
        # The socket is there already: the question waits in it until the server takes it up.
        httpx.get(f"{address}/health", timeout=_PATIENCE, trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        raise RuntimeError(f"the temporary server does not answer: {error}") from error
    os.environ["PREFECT_API_URL"] = address
    refresh_global_settings_context()


def _end(server: subprocess.Popen[bytes]) -> None:
    assert server.stdin is not None
    server.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        server.wait(2 * _GRACE)
        return
    server.kill()
    server.wait()


def _serve(descriptor: int) -> None:
    """Be the server that listens on this socket, until standard input ends."""
    servers: list[uvicorn.Server] = []

    def end_with_the_run() -> None:
        sys.stdin.buffer.read()
        for server in servers:
            server.should_exit = True
            time.sleep(_GRACE)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=end_with_the_run, daemon=True).start()
    import uvicorn  # noqa: PLC0415  (the run may end meanwhile)
    from prefect.server.api.server import create_app  # noqa: PLC0415  (3 s)

    app = create_app(ephemeral=True, final=True)
    servers.append(uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on")))
    servers[0].run([socket.socket(fileno=descriptor)])
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
