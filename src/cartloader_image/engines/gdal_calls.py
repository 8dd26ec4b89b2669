"""The calls of GDAL's tools and of go-pmtiles that turn a placed picture into tiles, step by step on files.

The tools work inside one directory on files with plain names, so that no path of a user's ever has to survive their own
reading of names. Placing, enlarging beyond the image and leaving zooms out are settled here, where the tools have a
will of their own.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine

from cartloader_image.action_params import Png2PmtilesParams
from cartloader_image.crs import is_web_mercator
from cartloader_image.engines.common import timeout
from cartloader_image.engines.toolbox import Toolbox
from cartloader_image.errors import UsageError
from cartloader_image.layout import Layout
from cartloader_image.report import Stage
from cartloader_image.system.tools import ToolCall
from cartloader_image.tile_formats import TILE_FORMATS, TileFormat
from cartloader_image.tiles.grid import HALF_MAP, Pyramid, resolution
from cartloader_image.tiles.levels import resamples

PICTURE, PLACED, BASE, TILES, ARCHIVE = "picture.tif", "placed.tif", "base.mbtiles", "tiles.mbtiles", "picture.pmtiles"
"""The files of an import in its scratch directory, in the order in which they are made."""
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
        creation_options = {
            "TILE_FORMAT": self._format.gdal,
            "ZOOM_LEVEL_STRATEGY": "UPPER",
            "RESAMPLING": self._kernel.upper(),
            "BLOCKSIZE": self.params.blocksize,
            **({"QUALITY": self._quality} if self._quality else {}),
        }
        options = ["-of", "MBTILES", "-ot", "Byte", *_settings("-co", creation_options)]
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
        return self._call("gdaladdo", Stage.OVERVIEWS, words, part=f"zoom {zoom - 1}")

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
        return ToolCall(
            img_id=self.params.out.img_id,
            stage=stage,
            program=getattr(self.toolbox, tool),
            arguments=tuple(arguments),
            folder=self.folder,
            timeout=timeout(self.params, self.pyramid),
            makes=makes,
            **more,
        )


def laid_straight(
    size: tuple[int, int], affine: Affine, crs: str, bands: int, pyramid: Pyramid
) -> tuple[tuple[int, int], Affine, int]:
    """Size (rows, columns), affine and bands of a picture as the tools get it.

    One that lies askew is warped beforehand, onto the pixels of its zoom and with alpha. The tools would take it for
    finer than it is near its corners, and blur it there; and to get its zoom, they would have to enlarge it first.
    """
    if not is_web_mercator(crs) or resamples(affine, crs, "cubic"):
        return size, affine, bands
    extent, fine = pyramid.extent(pyramid.base_zoom), resolution(pyramid.base_zoom, pyramid.tile)
    straight = Affine(fine, 0, extent.column0 * fine - HALF_MAP, 0, -fine, HALF_MAP - extent.row0 * fine)
    return extent.shape, straight, Layout.of(bands).with_alpha.bands


def _settings(flag: str, values: Mapping[str, object]) -> list[str]:
    """Settings of a driver as GDAL's tools take them."""
    return [word for name, value in values.items() for word in (flag, f"{name}={value}")]
