"""The gdal engine: raster → PMTiles by the command-line tools of GDAL and go-pmtiles, step by step on files.

The tools work inside the scratch directory on files with plain names, so that no path of a user's ever has to survive
their own reading of names. Placing, enlarging beyond the image and leaving zooms out are settled here, where the tools
have a will of their own; ``gdalinfo -json`` checks each step.
"""

from __future__ import annotations

import functools
import json
import math
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine

from cartloader_image.action_params import Png2PmtilesParams
from cartloader_image.crs import is_web_mercator
from cartloader_image.engines.common import Tiled, metadata, plan
from cartloader_image.engines.toolbox import Toolbox, toolbox
from cartloader_image.errors import ArchiveError, ToolError, UsageError
from cartloader_image.rasters.geotiff import Placed
from cartloader_image.report import Report, Stage
from cartloader_image.results import ToolUse
from cartloader_image.system.tools import Finished, RunTool, ToolCall
from cartloader_image.tile_formats import TILE_FORMATS, TileFormat
from cartloader_image.tiles.archive import NOTHING_VISIBLE, extent_metadata, verify
from cartloader_image.tiles.grid import HALF_MAP, Pyramid, resolution

PICTURE, PLACED, BASE, TILES, ARCHIVE = "picture.tif", "placed.tif", "base.mbtiles", "tiles.mbtiles", "picture.pmtiles"
"""The files of an import in its scratch directory, in the order in which they are made."""
_SLOWEST, _AT_LEAST = 1e5, 600
"""Pixels in a second of a tool that still works, a tenth of what it usually does; seconds that any may take."""
_BEYOND_DOUBT = 1e-7
"""GDAL takes a pixel size equal to a zoom's resolution now for finer, now for coarser; so much larger it is coarser."""
FINEST = 22
"""GDAL opens no MBTiles of a finer zoom."""
_KERNELS = {"near": "nearest"}
"""Names of kernels that GDAL's tools have another name for."""


@dataclass(frozen=True)
class Recipe:
    """The calls that turn one placed picture into tiles."""

    toolbox: Toolbox
    params: Png2PmtilesParams
    size: tuple[int, int]
    """Rows and columns of the picture as stored."""
    affine: Affine
    crs: str
    pyramid: Pyramid
    folder: Path

    def __post_init__(self) -> None:
        """Make sure that the tools can do it.

        Raises:
            UsageError: the picture needs a zoom that they do not have.
        """
        if self.pyramid.base_zoom > FINEST:
            raise UsageError(
                f"--engine gdal: {self.params.out.img_id} needs zoom {self.pyramid.base_zoom}, and GDAL's MBTiles end "
                f"at zoom {FINEST}; use --engine native, and leave the paths of the tools out"
            )

    def calls(self) -> list[ToolCall]:
        """The calls that make something, in order; between them the results are checked and marked."""
        levels = self.pyramid.base_zoom - self.pyramid.min_zoom
        return [self.place(), self.cut(), *([self.coarsen(levels)] if levels else []), self.convert()]

    def place(self) -> ToolCall:
        """The picture as a GeoTIFF in its box, not turned yet."""
        rows, columns = self.size
        corners = [self.fitted @ (x, y) for x in (0, columns) for y in (0, rows)]
        xs, ys = zip(*corners, strict=True)
        # The box as stored, where the picture is not turned.
        left, right = (min(xs), max(xs)) if self.fitted.a >= 0 else (max(xs), min(xs))
        upper, lower = (max(ys), min(ys)) if self.fitted.e <= 0 else (min(ys), max(ys))
        bounds = [repr(float(edge)) for edge in (left, upper, right, lower)]
        more = ["-co", "TILED=YES", "-a_srs", self.crs, "-a_ullr", *bounds]
        return self._call("gdal_translate", Stage.PLACING, ["-of", "GTiff", *more, PICTURE, PLACED], PLACED)

    def cut(self) -> ToolCall:
        """The finest tiles."""
        made = {
            "TILE_FORMAT": self._format.gdal,
            "ZOOM_LEVEL_STRATEGY": "UPPER",
            "RESAMPLING": self._kernel.upper(),
            "BLOCKSIZE": self.params.blocksize,
            **({"QUALITY": self._quality} if self._quality else {}),
        }
        options = ["-of", "MBTILES", "-ot", "Byte", *_settings("-co", made)]
        if (outsize := self.outsize) != self.size:
            options += ["-outsize", str(outsize[1]), str(outsize[0]), "-r", self._kernel]
        return self._call("gdal_translate", Stage.TILES, [*options, PLACED, BASE], BASE)

    def coarsen(self, levels: int) -> ToolCall:
        """The coarser tiles, in a copy."""
        factors = [str(2**step) for step in range(1, levels + 1)]
        words = ["-r", self._kernel, *self._quality_option, TILES, *factors]
        return self._call("gdaladdo", Stage.OVERVIEWS, words, TILES, copies=BASE)

    def coarsen_once(self, zoom: int, columns: range, rows: range) -> ToolCall:
        """One more zoom, coarser than ``zoom``, whose tiles are given as MBTiles counts them: rows from the bottom.

        `gdaladdo` stops where a picture has 256 pixels or a side of one. It goes on where the picture is said to be
        larger: as large as the tiles that are to be made.
        """
        side = 2 * HALF_MAP / 2 ** (zoom - 1)
        edges = {
            "MINX": -HALF_MAP + columns[0] // 2 * side,
            "MAXX": -HALF_MAP + (columns[-1] // 2 + 1) * side,
            "MINY": -HALF_MAP + rows[0] // 2 * side,
            "MAXY": -HALF_MAP + (rows[-1] // 2 + 1) * side,
        }
        options = {"ZOOM_LEVEL": zoom, "USE_BOUNDS": "NO", **{name: repr(edge) for name, edge in edges.items()}}
        words = ["-r", self._kernel, *self._quality_option, *_settings("-oo", options), TILES, "2"]
        return self._call("gdaladdo", Stage.OVERVIEWS, words, zoom=zoom - 1)

    def convert(self) -> ToolCall:
        """The archive."""
        return self._call("pmtiles", Stage.PMTILES, ["convert", "--force", "--tmpdir=.", TILES, ARCHIVE], ARCHIVE)

    def look(self, name: str) -> ToolCall:
        """What is in a file."""
        return self._call("gdalinfo", Stage.CHECKING, ["-json", name], answers=True)

    @functools.cached_property
    def outsize(self) -> tuple[int, int]:
        """Rows and columns to which the picture is enlarged first, where GDAL would choose a coarser zoom.

        That is so for a ``--max-zoom`` beyond the image, and for oblong pixels: GDAL weighs their sides, and the finer
        one counts. It then has the pixels of the zoom, so that the tiles are not resampled a second time.
        """
        if not is_web_mercator(self.crs) or self._gdal_pixel(self.size) < 2 * self._fine:
            return self.size
        sides = math.hypot(self.affine.b, self.affine.e), math.hypot(self.affine.a, self.affine.d)
        rows, columns = (max(round(n * side / self._fine), 1) for n, side in zip(self.size, sides, strict=True))
        return rows, columns

    @functools.cached_property
    def fitted(self) -> Affine:
        """The affine of the picture as it is placed for GDAL.

        An enlarged picture lies on the pixels of the zoom, any other where it is; both are larger about the middle by
        a breath where GDAL could not tell two zooms apart.
        """
        if not is_web_mercator(self.crs):
            return self.affine
        affine = self.affine if self.outsize == self.size else self._on_grid()
        pixel, scale = self._gdal_pixel(self.outsize), 1.0
        if pixel < self._fine * (1 + _BEYOND_DOUBT):
            scale = self._fine * (1 + _BEYOND_DOUBT) / pixel
        elif pixel > 2 * self._fine * (1 - _BEYOND_DOUBT):
            scale = 2 * self._fine * (1 - _BEYOND_DOUBT) / pixel
        rows, columns = self.size
        middle = Affine.translation(columns / 2, rows / 2)
        fitted: Affine = affine @ middle @ Affine.scale(scale) @ ~middle
        return fitted

    def _on_grid(self) -> Affine:
        """The affine by which the enlarged picture has whole pixels of the zoom, moved by half of one at most."""
        rows, columns = self.size
        height, width = (edge * self._fine for edge in self.outsize)
        turn = np.sign([[self.affine.a, self.affine.b], [self.affine.d, self.affine.e]])
        linear = turn * [width / columns, height / rows]
        corners = linear @ [[0, columns, 0, columns], [0, 0, rows, rows]]
        box = self.pyramid.box
        left, top = (round((edge + HALF_MAP) / self._fine) * self._fine for edge in (box.left, -box.top))
        x, y = -HALF_MAP + left - corners[0].min(), HALF_MAP - top - corners[1].max()
        return Affine(linear[0, 0], linear[0, 1], x, linear[1, 0], linear[1, 1], y)

    @property
    def _fine(self) -> float:
        """Map units of a pixel of the finest zoom."""
        return resolution(self.pyramid.base_zoom, self.pyramid.tile)

    def _gdal_pixel(self, size: tuple[int, int]) -> float:
        """The pixel size by which GDAL chooses the zoom: diagonal by diagonal (GDALSuggestedWarpOutput)."""
        if size != self.size:
            return self._fine
        rows, columns = size
        width = abs(self.affine.a) * columns + abs(self.affine.b) * rows
        height = abs(self.affine.d) * columns + abs(self.affine.e) * rows
        return math.hypot(width, height) / math.hypot(*size)

    @property
    def _kernel(self) -> str:
        return _KERNELS.get(self.params.resample, self.params.resample)

    @property
    def _quality_option(self) -> list[str]:
        return _settings("-oo", {"QUALITY": self._quality}) if self._quality else []

    @property
    def _quality(self) -> int | None:
        return self._format.quality and (self.params.tile_quality or self._format.quality)

    @property
    def _format(self) -> TileFormat:
        return TILE_FORMATS[self.params.tile_format]

    def _call(self, tool: str, stage: Stage, arguments: list[str], makes: str | None = None, **more: Any) -> ToolCall:
        pixels = math.prod(self.pyramid.extent(self.pyramid.base_zoom).shape)
        return ToolCall(
            img_id=self.params.out.img_id,
            stage=stage,
            program=getattr(self.toolbox, tool),
            arguments=tuple(arguments),
            folder=self.folder,
            timeout=self.params.tool_timeout or _AT_LEAST + pixels / _SLOWEST,
            makes=makes,
            **more,
        )


def _settings(flag: str, values: Mapping[str, object]) -> list[str]:
    """Settings of a driver as GDAL's tools take them."""
    return [word for name, value in values.items() for word in (flag, f"{name}={value}")]


def tile(placed: Placed, params: Png2PmtilesParams, scratch: Path, report: Report, run_tool: RunTool) -> Tiled:
    """Run the recipe; ``run_tool`` carries out each call with its attempts.

    Raises:
        ArchiveError: no pixel of the picture is visible.
        ToolError: a tool is missing, fails, or makes something else than it should.
    """
    store = placed.store
    size = store.height, store.width
    pyramid = plan(size, placed.affine, placed.crs, store.bands, params)
    made = Recipe(toolbox(params), params, size, placed.affine, placed.crs, pyramid, scratch)
    uses: list[ToolUse] = []

    def do(call: ToolCall) -> Finished:
        finished = run_tool(call, report)
        uses.append(finished.use)
        return finished

    def look(name: str) -> dict[str, Any]:
        return _read_info(do(made.look(name)), name)

    (scratch / PICTURE).symlink_to(placed.path.absolute())
    do(made.place())
    if made.fitted.b or made.fitted.d:
        _turn(scratch / PLACED, made.fitted)
    _check_placed(look(PLACED), made, store.bands)
    do(made.cut())
    zoom = _zoom_of(look(BASE))
    (scratch / PLACED).unlink()
    notes = pyramid.notes
    if zoom > pyramid.min_zoom:
        notes += _coarsen(made, zoom, do)
        if _zoom_of(look(TILES)) != zoom:
            raise ToolError(f"gdaladdo: its tiles are not at zoom {zoom} any more; is another program at work there?")
        (scratch / BASE).unlink()
    else:
        (scratch / BASE).rename(scratch / TILES)
    tools = {"engine": "gdal", "tools": made.toolbox.versions}
    counts = _mark(scratch / TILES, made, metadata(placed, params, notes, **tools))
    do(made.convert())
    verify(scratch / ARCHIVE, sum(counts.values()))
    files = {".pmtiles": scratch / ARCHIVE, ".pmtiles.mbtiles": scratch / TILES}
    for note in notes:
        report.note(note)
    return Tiled(files, min(counts), max(counts), sum(counts.values()), tuple(uses), notes)


def _coarsen(made: Recipe, zoom: int, do: Callable[[ToolCall], Finished]) -> tuple[str, ...]:
    """Make all zooms that are coarser than ``zoom``, in as many calls as gdaladdo needs; gives notes about it."""
    do(made.coarsen(zoom - made.pyramid.min_zoom))
    before = zoom + 1
    coarsest, columns, rows = _coarsest(made.folder / TILES)
    while made.pyramid.min_zoom < coarsest < before:
        before = coarsest
        do(made.coarsen_once(coarsest, columns, rows))
        coarsest, columns, rows = _coarsest(made.folder / TILES)
    if coarsest == made.pyramid.min_zoom:
        return ()
    return (f"gdaladdo finds nothing to show beyond zoom {coarsest}: the picture is too small there",)


def _read_info(finished: Finished, name: str) -> dict[str, Any]:
    try:
        info: dict[str, Any] = json.loads(finished.output)
    except ValueError as error:
        raise ToolError(f"gdalinfo: what it says of {name} is no JSON ({error})") from error
    return info


def _turn(path: Path, affine: Affine) -> None:
    """Give the picture its orientation, which ``-a_ullr`` cannot express."""
    import rasterio  # noqa: PLC0415  (0.5 s that only this engine should cost)

    with rasterio.open(path, "r+") as dataset:
        dataset.transform = affine


def _check_placed(info: dict[str, Any], made: Recipe, bands: int) -> None:
    """Hold the placed GeoTIFF against the picture."""
    x, across, over, y, down, along = info["geoTransform"]
    wanted = np.array(made.fitted[:6]).reshape(2, 3)
    found = np.array([[across, over, x], [down, along, y]])
    pixel = np.abs(wanted[:, :2]).max()
    for what, expected, is_so in (
        ("size", f"{made.size[1]} × {made.size[0]}", info["size"] == [made.size[1], made.size[0]]),
        ("bands", f"{bands} of bytes", [band["type"] for band in info["bands"]] == ["Byte"] * bands),
        ("place", str(wanted.tolist()), bool(np.abs(found - wanted).max() <= pixel / 1000)),
    ):
        if not is_so:
            raise ToolError(f"gdal_translate: the {what} of the GeoTIFF should be {expected}; gdalinfo tells another")


def _zoom_of(info: dict[str, Any]) -> int:
    """The zoom of the finest tiles."""
    try:
        return int(info["metadata"][""]["ZOOM_LEVEL"])
    except (LookupError, ValueError) as error:
        raise ToolError("gdalinfo: finds no zoom in the tiles that were made") from error


def _coarsest(path: Path) -> tuple[int, range, range]:
    """The coarsest zoom of the tiles, and its columns and rows."""
    with closing(sqlite3.connect(path)) as database:
        zoom, left, right, low, high = database.execute(
            "SELECT zoom_level, min(tile_column), max(tile_column), min(tile_row), max(tile_row) FROM tiles "
            "GROUP BY zoom_level ORDER BY zoom_level LIMIT 1"
        ).fetchone() or (0, 0, 0, 0, 0)
    return zoom, range(left, right + 1), range(low, high + 1)


def _mark(path: Path, made: Recipe, told: dict[str, Any]) -> dict[int, int]:
    """Leave out the zooms that are not asked for, and write what the archive is to say of itself.

    go-pmtiles takes bounds, centre and zooms of the header from the rows, the metadata from the row ``json``.

    Returns:
        The number of tiles by zoom.

    Raises:
        ArchiveError: there is no tile at all.
    """
    pyramid = made.pyramid
    with closing(sqlite3.connect(path)) as database:
        trims = pyramid.max_zoom < pyramid.base_zoom
        if trims:
            database.execute("DELETE FROM tiles WHERE zoom_level > ?", (pyramid.max_zoom,))
        counts = dict(database.execute("SELECT zoom_level, count(*) FROM tiles GROUP BY zoom_level"))
        if not counts and trims:
            raise ToolError(
                f"gdaladdo finds nothing to show at zoom {pyramid.max_zoom}: the picture is too small there; choose a "
                "finer --max-zoom, or --engine native"
            )
        if not counts:
            raise ArchiveError(NOTHING_VISIBLE)
        extent = extent_metadata(min(counts), max(counts), pyramid.box)
        rows = {"name": told["name"], "type": told["type"], "format": told["format"], **extent}
        rows["json"] = json.dumps({**told, **extent})
        database.execute("DELETE FROM metadata")
        database.executemany("INSERT INTO metadata VALUES (?, ?)", [(name, str(value)) for name, value in rows.items()])
        database.commit()
        if trims:
            database.execute("VACUUM")
    return counts
