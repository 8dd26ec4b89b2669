"""A temporary Prefect server for the time of this process, where no server is configured."""

from __future__ import annotations

import signal
import sys
import threading
from concurrent.futures import Future

from prefect.settings import PREFECT_API_URL

_STARTING = "starting a temporary Prefect server (15 s); to keep one: cartloader server start"


def ensure_server() -> None:
    """Start a server and say so, unless one is configured; it ends with this process.

    Prefect would start it by itself, but then Ctrl-C at the terminal ends the server too, and Prefect waits minutes
    for it to record the interruption. A process inherits the signals that its starting thread blocks.

    Raises:
        RuntimeError: the server does not answer in time.
    """
    if PREFECT_API_URL.value():
        return
    print(_STARTING, file=sys.stderr, flush=True)
    from prefect.server.api.server import SubprocessASGIServer  # noqa: PLC0415  (the whole server: 3 s)

    started: Future[None] = Future()

    def start() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            SubprocessASGIServer().start()
        except Exception as error:  # noqa: BLE001  (raised where the result is awaited)
            started.set_exception(error)
        else:
            started.set_result(None)

    threading.Thread(target=start, name="start of the Prefect server", daemon=True).start()
    started.result()
