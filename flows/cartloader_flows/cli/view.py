"""`cartloader view`: archives on a map, in the browser; and `cartloader export-page`: the same as a folder of files."""

from __future__ import annotations

import os
import secrets
import sys
import threading
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from cartloader_flows.cli.options import ExportPageCommand, ViewCommand
from cartloader_flows.cli.parser import parsed
from cartloader_flows.cli.summary import size
from cartloader_image.errors import InputError, UsageError

if TYPE_CHECKING:
    from cartloader_image.viewer.shown import Layer


def view(argv: Sequence[str]) -> int:
    """Show archives on a map, in the browser, until Ctrl-C."""
    usage = (
        "cartloader view [--points FILE [--group COLUMN]] [--title TEXT] [--port N] [--no-browser] "
        "[--snippet LIBRARY [--url URL]] OUT_DIR|catalog.yaml|FILE.pmtiles ..."
    )
    command = parsed(ViewCommand, argv, usage, f"{view.__doc__}")
    if command.group and not command.points:
        raise UsageError("--group is a column of --points; give its table as well")
    if command.snippet or command.url:
        return _print_snippet(command)
    from cartloader_image.points.table import Table  # noqa: PLC0415  (--help must not wait for numpy)
    from cartloader_image.viewer import loading, server, shown  # noqa: PLC0415

    layers, token = shown.layers_of(command.sources), secrets.token_urlsafe(16)
    points = loading.Loading(Table(command.points, command.group)) if command.points else None
    app = server.application(layers, command.page_title, token, points)
    listener = server.bound(command.port)
    address = f"http://{server.LOOPBACK}:{listener.getsockname()[1]}/{token}/"
    _tell_problems(layers)
    print(f"{address}  (Ctrl-C ends it)", flush=True)
    if not command.no_browser and _has_screen():
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    try:
        if points:
            points.start()
        with suppress(KeyboardInterrupt):  # the way to end it is no failure
            server.serving(app).run(sockets=[listener])
    finally:
        if points:
            points.stop()
    if points and points.problem:
        raise InputError(points.problem)
    return 0


def _print_snippet(command: ViewCommand) -> int:
    if not command.snippet:
        raise UsageError("--url is for --snippet, which says what code is printed")
    from cartloader_image.viewer import shown, snippet  # noqa: PLC0415  (see above)

    layers = shown.layers_of(command.sources)
    code = snippet.snippet(command.snippet, layers, command.url)
    _tell_problems(layers)
    print(code, end="")
    return 0


def export_page(argv: Sequence[str]) -> int:
    """Write the map page as a folder of files, for any web server that answers range requests."""
    usage = "cartloader export-page [--title TEXT] OUT_DIR|catalog.yaml|FILE.pmtiles ... SITE_DIR"
    command = parsed(ExportPageCommand, argv, usage, f"{export_page.__doc__}")
    from cartloader_image.viewer import export, shown  # noqa: PLC0415  (--help must not wait for numpy)

    layers = shown.layers_of(command.sources)
    files = export.export(layers, command.page_title, command.site_dir)
    _tell_problems(layers)
    print(f"{command.site_dir}  {len(files):,} files, {size(sum(file.stat().st_size for file in files))}")
    return 0


def _tell_problems(layers: Sequence[Layer]) -> None:
    for layer in layers:
        if layer.problem:
            print(f"{layer.path}: {layer.problem}", file=sys.stderr)


def _has_screen() -> bool:
    """Whether a browser would have a window of its own; one in the terminal would take it away from here."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
