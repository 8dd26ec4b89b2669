"""`cartloader view`: archives on a map, in the browser; and `cartloader export-page`: the same as a folder of files."""

from __future__ import annotations

import os
import secrets
import sys
import threading
import webbrowser
from collections.abc import Sequence
from contextlib import suppress

from cartloader_flows.cli.options import ViewCommand
from cartloader_flows.cli.parser import parsed


def view(argv: Sequence[str]) -> int:
    """Show archives on a map, in the browser, until Ctrl-C."""
    usage = "cartloader view [--port N] [--no-browser] OUT_DIR|catalog.yaml|FILE.pmtiles ..."
    command = parsed(ViewCommand, argv, usage, f"{view.__doc__}")
    from cartloader_image.viewer import server, shown  # noqa: PLC0415  (--help must not wait for numpy)

    layers, token = shown.layers_of(command.sources), secrets.token_urlsafe(16)
    app = server.application(layers, command.title, token)
    listener = server.bound(command.port)
    address = f"http://{server.LOOPBACK}:{listener.getsockname()[1]}/{token}/"
    for layer in layers:
        if layer.problem:
            print(f"{layer.path}: cannot be shown, as it {layer.problem}", file=sys.stderr)
    print(f"{address}  (Ctrl-C ends it)", flush=True)
    if not command.no_browser and _has_screen():
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    with suppress(KeyboardInterrupt):  # the way to end it is no failure
        server.serving(app).run(sockets=[listener])
    return 0


def _has_screen() -> bool:
    """Whether a browser would have a window of its own; one in the terminal would take it away from here."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
