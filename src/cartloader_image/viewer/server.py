"""The page and its archives, served to this machine alone.

Three walls: the socket listens on the loopback interface; the path begins with a random token, which other programs and
users of the machine do not know; and the header Host must name the loopback interface, so that no page of another site
reads the archives under a name of its own that leads here (DNS rebinding).
"""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
from collections.abc import Sequence
from hmac import compare_digest
from importlib.util import find_spec
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cartloader_image.errors import ToolError, UsageError
from cartloader_image.viewer.dots import COLOURS, FINEST, Choice
from cartloader_image.viewer.loading import Loading
from cartloader_image.viewer.shown import POINTS, Layer, addresses, listing

LOOPBACK = "127.0.0.1"
_HOSTS = {LOOPBACK, "localhost"}
_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".pmtiles": "application/vnd.pmtiles",
}
_HEADERS = {
    # MapLibre makes its worker of a blob; its pictures of a blob or data; everything else comes from here.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "worker-src blob:; child-src blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}

_TILE = 1 << 20
"""Bytes that are read at once at most."""


def page_files() -> dict[str, Path]:
    """The files of the page by their names beside it: ours, and MapLibre GL as its package ships it.

    Raises:
        ToolError: that package is missing.
    """
    package = find_spec("maplibre")
    if package is None or not package.submodule_search_locations:
        raise ToolError("the page needs the package maplibre; pip install 'cartloader-image[view]'")
    scripts = Path(package.submodule_search_locations[0]) / "srcjs"
    files = {path.name: path for path in Path(__file__).with_name("page").iterdir() if path.suffix in _TYPES}
    files |= {name: scripts / name for name in ("maplibre-gl.js", "maplibre-gl.css")}
    if missing := [path for path in files.values() if not path.is_file()]:
        raise ToolError(f"{missing[0]}: is missing; pip install --force-reinstall 'cartloader-image[view]'")
    return files


def application(layers: Sequence[Layer], title: str, token: str, points: Loading | None = None) -> ASGIApp:
    """What answers to requests: the page below ``/TOKEN/``, and nothing else.

    Args:
        layers: What it shows.
        title: What it is called.
        token: The secret part of its address.
        points: Points to draw on top, as soon as they are there.
    """
    files: dict[str, Path | Layer] = {**page_files(), **addresses(layers)}
    files[""] = files["index.html"]
    ours = token.encode()
    text = listing(layers, title, points.name if points else None)

    def answer(request: Request) -> Response:
        if not compare_digest(request.path_params["token"].encode(), ours):
            return _missing()
        name = request.path_params["name"]
        if name == "map.json":
            return Response(text, media_type="application/json")
        return _file(files[name], request) if name in files else _missing()

    async def endpoint(request: Request) -> Response:
        name, query = request.path_params["name"], request.query_params.get("groups", "")
        if points and name.startswith(f"{POINTS}/") and compare_digest(request.path_params["token"].encode(), ours):
            return await run_in_threadpool(_dots, points, name.removeprefix(f"{POINTS}/"), query)
        return answer(request)  # not in a thread: it takes less time than the way there

    async def without_slash(request: Request) -> Response:
        there = compare_digest(request.path_params["token"].encode(), ours)
        return RedirectResponse(f"/{token}/") if there else _missing()

    routes = [Route("/{token}", without_slash), Route("/{token}/{name:path}", endpoint)]
    return Starlette(routes=routes, middleware=[Middleware(_Guard)])


def _missing() -> Response:
    return PlainTextResponse("not found", 404)


def _dots(points: Loading, name: str, groups: str) -> Response:
    if name == "state":
        return JSONResponse(points.known())
    tile = re.fullmatch(r"(\d{1,2})/(\d{1,8})/(\d{1,8})", name)
    choice = _choice(groups)
    if not tile or points.dots is None or (groups and not choice):
        return _missing()
    z, x, y = map(int, tile.groups())
    data = points.dots.tile(z, x, y, choice) if z <= FINEST else None
    return Response(data, media_type="image/png") if data else Response(status_code=204)


def _choice(text: str) -> Choice | None:
    """The groups that the page asks for, such as ``3,-0,7;1``; None where it asks for none.

    They are a number for each colour, those with ``-`` not drawn; and whether all others are.
    """
    found = re.fullmatch(r"((?:-?\d{1,5},?)*);([01])", text)
    numbers = found[1].strip(",").split(",") if found and found[1] else []
    if not found or len(numbers) > len(COLOURS):
        return None
    shown = tuple(None if number.startswith("-") else int(number) for number in numbers)
    return Choice(shown, tuple(int(number[1:]) for number in numbers if number.startswith("-")), found[2] == "1")


def _file(wanted: Path | Layer, request: Request) -> Response:
    """A file as it is, or the part of it that the header Range asks for."""
    path = wanted.path if isinstance(wanted, Layer) else wanted
    if isinstance(wanted, Layer) and not wanted.is_within:
        return _missing()
    try:
        state = path.stat()
    except OSError:
        return _missing()
    if not stat.S_ISREG(state.st_mode):
        return _missing()
    whole = FileResponse(path, media_type=_TYPES.get(path.suffix.lower()), stat_result=state)
    return _tile(path, request, whole, state.st_size) or whole


def _tile(path: Path, request: Request, whole: FileResponse, size: int) -> Response | None:
    """A small part of a file, read and sent at once, for which `FileResponse` goes to a thread and back four times.

    None where that has to answer: to any other request.
    """
    span = re.fullmatch(r"bytes=([0-9]{1,18})-([0-9]{1,18})", request.headers.get("range", ""))
    if not span or "if-range" in request.headers or request.method != "GET":
        return None
    first, last = int(span[1]), min(int(span[2]), size - 1)
    if not 0 <= last - first < _TILE:
        return None
    try:
        with path.open("rb", buffering=0) as file:
            data = os.pread(file.fileno(), last - first + 1, first)
    except OSError:
        return _missing()
    headers = {name: whole.headers[name] for name in ("accept-ranges", "etag", "last-modified")}
    headers["content-range"] = f"bytes {first}-{last}/{size}"
    return Response(data, 206, headers, whole.media_type)


class _Guard:
    """Refuses requests that were sent to another name, and tells the browser what the page may load."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or (hosts[0].rpartition(":")[0] not in _HOSTS and hosts[0] not in _HOSTS):
            await PlainTextResponse("forbidden", 403)(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *ours]
            await send(message)

        await self._app(scope, receive, with_headers)


def bound(port: int | None) -> socket.socket:
    """A socket that listens on the loopback interface; a free port unless one is given.

    Raises:
        UsageError: the port is taken, or may not be used.
    """
    # With the protocol named, asyncio sends each answer at once; else tiles wait 40 ms for one another (Nagle).
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port or 0))
        listener.listen(128)
    except OSError as error:
        listener.close()
        why = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise UsageError(f"--port {port}: {why}; give another, or leave it out for a free one") from error
    return listener


def serving(app: ASGIApp) -> uvicorn.Server:
    """What answers, on a socket that its ``run`` is given, until a signal ends it."""
    config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", timeout_graceful_shutdown=1)
    config.server_header = config.date_header = False
    return uvicorn.Server(config)
