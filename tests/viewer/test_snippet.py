"""The code for MapLibre draws an archive's tiles at their place, each pixel as one of the window."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from support.archives import cut, tiles_of, write_archive
from support.rasters import noise
from support.viewing import HEIGHT, WIDTH, chromium, looking

from cartloader_image.tiles.grid import HALF_MAP, lon_lat
from cartloader_image.viewer.server import bound, page_files
from cartloader_image.viewer.shown import layers_of
from cartloader_image.viewer.snippet import snippet

pytestmark = pytest.mark.slow
ZOOM, COLUMN, ROW = 19, 2**18 + 4, 2**18 - 8
PAGE = """<!doctype html><link rel="icon" href="data:,"><link rel="stylesheet" href="js/maplibre-gl.css">
<body style="margin: 0"><div id="map" style="height: 100vh"></div><script src="js/maplibre-gl.js"></script>
<script type="module">
const { Map, ScaleControl, addProtocol } = maplibregl;
class Protocol { // in place of that of the package pmtiles, which reads archives itself
  tile = async ({ url }) => {
    const [, z, x, y] = /^pmtiles:[/][/].*[/]a.pmtiles[/](\\d+)[/](\\d+)[/](\\d+)$/.exec(url);
    const answer = await fetch(`tile/${z}/${x}/${y}`);
    return { data: answer.status === 200 ? await answer.arrayBuffer() : null };
  };
}
%s
map.jumpTo({ center: %s, zoom: %s });
</script>"""


@contextmanager
def served(page: str, archive: Path) -> Iterator[str]:
    tiles = tiles_of(archive)

    async def tile(request: Request) -> Response:
        data = tiles.get(tuple(int(request.path_params[name]) for name in "zxy"))
        return Response(data, 200 if data else 204)

    routes = [
        Route("/", lambda _: HTMLResponse(page)),
        Route("/tile/{z}/{x}/{y}", tile),
        Mount("/js", StaticFiles(directory=page_files()["maplibre-gl.js"].parent)),
    ]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="error", lifespan="off"))
    with bound(None) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize("tile", [256, 512, 1024])
def test_the_code_for_maplibre(tmp_path: Path, tile: int) -> None:
    picture, coarse = noise((1024, 1024, 3), seed=tile), noise((512, 512, 3), seed=1)
    tiles = cut(picture, ZOOM, COLUMN, ROW, tile)
    if tile <= 512:
        tiles |= cut(coarse, ZOOM - 1, COLUMN // 2, ROW // 2, tile)
    archive = write_archive(tmp_path / "a.pmtiles", tiles, min_zoom=min(tiles)[0], max_zoom=ZOOM)
    code = re.sub(r"^import .*$", "", snippet("maplibre", layers_of([archive])), flags=re.MULTILINE)
    side = 2 * HALF_MAP / 2**ZOOM * 1024 / tile
    left, top = COLUMN * 2 * HALF_MAP / 2**ZOOM - HALF_MAP, HALF_MAP - ROW * 2 * HALF_MAP / 2**ZOOM
    place = list(lon_lat(left + side / 2, top - side / 2))
    page = PAGE % (code, place, ZOOM + np.log2(tile / 512))
    with served(page, archive) as address, chromium() as browser:
        look = looking(browser, address)
        look.page.goto(address)
        look.page.add_style_tag(content=".maplibregl-control-container { display: none }")
        middle, half, until = (HEIGHT // 2, WIDTH // 2), 380, time.monotonic() + 20
        rows, columns = (slice(at - half, at + half) for at in middle)
        expected, far = picture[512 - half : 512 + half, 512 - half : 512 + half], 255
        while far > 1 and time.monotonic() < until:  # MapLibre tells no end of it where tiles are missing
            far = np.abs(look.screenshot().astype(int)[rows, columns] - expected).max()
        assert far <= 1
        assert look.console == []
