"""How large files and memory become, from what is known before an import: sizes, types, and a look at some pixels."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cartloader_image.errors import UsageError
from cartloader_image.images.mosaic import PlacedParts
from cartloader_image.images.plane import Plane
from cartloader_image.images.shrunk import Shrunk
from cartloader_image.intensity import Rescale, find_thresholds, needs_statistics
from cartloader_image.layout import Pixels
from cartloader_image.params import PixelOptions, TileOptions
from cartloader_image.rasters.png import BAND_BYTES, encode_png
from cartloader_image.rasters.store import Bytes
from cartloader_image.system.gdal import CACHE
from cartloader_image.system.parallel import cores
from cartloader_image.tile_formats import TILE_FORMATS
from cartloader_image.tiles.encode import Encode, encoding, primary_colour
from cartloader_image.tiles.grid import Pyramid
from cartloader_image.tiles.pyramid import CHUNK_PIXELS
from cartloader_image.tiles.resampling import halved, resampled
from cartloader_image.window import Window

Shares = tuple[float, float]
"""Compressed bytes to raw ones, at least and at most."""

_LOOKS = 4
"""Places along each axis at which pixels are looked at."""
_SIDE = 512
_SMALLEST = 64
"""Pixels a side of a piece below which its compression no longer tells of a tile's."""
_SLACK = 0.25
"""By how much the whole may differ from the mean of the looks, beside their own standard error."""
_MB = 1_000_000
PROCESS, _GDAL, _WARPER = 70 * _MB, 28 * _MB, 20 * _MB
"""Python with the libraries of the craft; GDAL where it is needed, and its warper with its caches, for each band."""
_GDAL_TOOL = 60 * _MB
_OVERLAY, _TURNS, _TURN = 200 * _MB, 8, 60 * _MB
"""Of a picture that is held against points, at the most pixels that are looked at: in all, and for each of the turns
that are tried at a time; measured, with the points, to a quarter."""
_BAND_COPIES = 5
"""Copies of a band of the PNG: as read, framed, filtered, compressed."""
_TILE_BYTES, _FILE_BYTES = 4000, 2000
"""What a tile takes at most although hardly anything is in it, and what any file does."""


@dataclass(frozen=True)
class Range:
    """A size in bytes that depends on the pixels: at least and, as pictures go, at most."""

    low: int
    high: int

    @classmethod
    def of(cls, size: int, shares: Shares = (1, 1), tiles: int = 0) -> Range:
        """A size that is known, or shares of it; at most with what a file and its tiles take in any case."""
        return cls(round(size * shares[0]), round(size * shares[1]) + _FILE_BYTES + tiles * _TILE_BYTES)

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)


def spooled_bytes(plane: Plane, options: PixelOptions) -> int:
    """Bytes of a decoded plane that is kept because it is needed twice; 0 for one that is not."""
    if plane.stored or not needs_statistics(plane.dtype, options):
        return 0
    return plane.height * plane.width * _pixel_bytes(plane)


def _pixel_bytes(plane: Plane) -> int:
    return plane.layout.bands * plane.dtype.itemsize


def memory(
    plane: Plane, options: PixelOptions, bands: int, pyramid: Pyramid | None, *, gdal: bool, warps: bool, shards: int
) -> int:
    """Bytes of all processes at their largest moment, put together from what their threads hold at one time.

    ``bands`` are those that the tiles are made from, by so many ``shards``. Measured with 1 to 8 threads on images of
    5 to 67 megapixels, it is within a quarter of what was used; that of GDAL's warper varies from run to run, up to
    half as much again.
    """
    threads = cores()
    blocks = math.ceil(plane.height / plane.block[0]) * math.ceil(plane.width / plane.block[1])
    decoding = min(threads, blocks) * plane.copies * math.prod(plane.block) * _pixel_bytes(plane)
    if isinstance(plane, Shrunk):
        decoding += (min(threads, blocks) if plane.concurrent else 1) * plane.working_bytes
    if options.high_memory:
        decoding += spooled_bytes(plane, options)
    source = plane.plane if isinstance(plane, Shrunk) else plane
    if isinstance(source, PlacedParts):
        decoding += source.working_bytes
    by_gdal = not source.concurrent
    held = min(CACHE, source.height * source.width * _pixel_bytes(source)) if by_gdal else 0
    writing = threads * _BAND_COPIES * min(BAND_BYTES, plane.height * plane.width * bands)
    tiling = 0.0
    if pyramid:
        tiling = _tiling(bands, pyramid, max(threads // shards, 1)) + (bands * _WARPER if warps else 0)
        if shards > 1:
            tiling = shards * (PROCESS + tiling)
    return PROCESS + (_GDAL if by_gdal or gdal or warps else 0) + held + round(max(decoding, writing, tiling))


def _tiling(bands: int, pyramid: Pyramid, threads: int) -> float:
    """Bytes of the chunks that a process holds as it cuts tiles."""
    extent = pyramid.extent(pyramid.base_zoom).shape
    chunk, whole = (bands * math.prod(edges) for edges in ([min(CHUNK_PIXELS, edge) for edge in extent], extent))
    # Finished chunks wait with all their zooms; those at work hold their source as well.
    return min((threads + 2) * chunk, whole) * 4 / 3 + min(threads * chunk, whole)


def tool_memory(size: tuple[int, int], bands: int, pyramid: Pyramid) -> int:
    """Bytes of ``gdal_translate`` as it cuts a picture of ``size`` (rows, columns): the largest of the tools.

    GDAL keeps what it reads and writes, tiles always with four bands, in a cache of 5 % of the machine's memory.
    """
    cache = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 20
    held = math.prod(size) * bands + math.prod(pyramid.extent(pyramid.base_zoom).shape) * 4
    return _GDAL_TOOL + min(cache, held)


def overlay_memory(points: Path) -> int:
    """Bytes of a process that holds a picture against points: at 28 bytes each, they are as large as their file."""
    return PROCESS + _OVERLAY + min(cores(), _TURNS) * _TURN + points.stat().st_size


def usual_shares(tile_format: str) -> Shares:
    """Compressed bytes to raw ones, of pictures that were not looked at."""
    return TILE_FORMATS[tile_format].shares


class Looks:
    """Some pixels of a plane, rescaled as its own statistics say: what they compress to tells of the whole."""

    def __init__(self, plane: Plane, options: PixelOptions) -> None:
        """Read a few blocks; none where that would take long."""
        self._pieces: list[Bytes] = []
        self._primary = primary_colour(options.colorize)
        if not plane.concurrent or math.prod(plane.block) > BAND_BYTES * 4:
            return
        stored = list(_looked_at(plane))
        try:
            thresholds = find_thresholds(
                plane.dtype, plane.layout.colours, options, lambda _, work: map(work, stored), masked=plane.masked
            )
        except UsageError:
            if not needs_statistics(plane.dtype, options):
                raise
            return  # the whole plane may have a range where these pieces have none
        rescale = Rescale(plane.dtype, plane.layout, thresholds, options)
        self._pieces = [rescale(piece) for piece in stored]

    def png(self) -> Shares:
        """What the PNG deliverable is to its pixels."""
        return self._shares("png", [len(encode_png(piece)) / piece.size for piece in self._pieces])

    def tiles(self, options: TileOptions, pyramid: Pyramid, size: tuple[int, int]) -> Shares:
        """What the tiles of a picture of ``size`` (rows, columns) are to their pixels."""
        counts = {
            zoom: math.prod(pyramid.extent(zoom).shape) for zoom in range(pyramid.base_zoom, pyramid.min_zoom - 1, -1)
        }
        enlarged = math.sqrt(counts[pyramid.base_zoom] / math.prod(size))
        encode, found = encoding(options.tile_format, options.tile_quality, self._primary), []
        for piece in self._pieces:
            side = math.ceil(_SIDE / enlarged)
            level = piece[:side, :side]
            if self._primary:
                level = level[..., [self._primary.index(True), *range(3, piece.shape[2])]]
            region = (0, level.shape[0], 0, level.shape[1])
            rows, columns = (max(round(edge * enlarged), 4) for edge in level.shape[:2])
            level = resampled(level, (rows, columns), "cubic", region, alpha=False)
            share, compressed, raw = 0.0, 0.0, 0
            for zoom, count in counts.items():
                if min(level.shape[:2]) >= _SMALLEST or zoom == pyramid.base_zoom:
                    share = _mean_size(encode, level, pyramid, zoom) / (math.prod(level.shape[:2]) * piece.shape[2])
                    level = halved(level[: level.shape[0] // 2 * 2, : level.shape[1] // 2 * 2])
                if zoom <= pyramid.max_zoom:
                    compressed, raw = compressed + share * count, raw + count
            found.append(compressed / raw)
        return self._shares(options.tile_format, found)

    @staticmethod
    def _shares(tile_format: str, found: list[float]) -> Shares:
        if len(found) < 2:
            return usual_shares(tile_format)
        mean, error = statistics.mean(found), statistics.stdev(found) / math.sqrt(len(found))
        return max(mean * (1 - _SLACK) - 2 * error, 0), mean * (1 + _SLACK) + 2 * error


def _mean_size(encode: Encode, pixels: Bytes, pyramid: Pyramid, zoom: int) -> float:
    """Bytes of a tile of these pixels; at the edge of an opaque picture it has alpha.

    Those that are transparent or equal to others, as flat ones are, take none.
    """
    if (pixels == pixels[0, 0]).all():
        return 0
    size = len(encode(pixels))
    if pixels.shape[2] in {2, 4}:
        return size
    tiles = pyramid.tile_range(zoom).shape
    inner = math.prod(max(edge - 2, 0) for edge in tiles) / math.prod(tiles)
    alpha = np.full((*pixels.shape[:2], 1), 255, np.uint8)
    return inner * size + (1 - inner) * len(encode(np.concatenate([pixels, alpha], axis=2)))


def _looked_at(plane: Plane) -> Iterator[Pixels]:
    """Up to 512² pixels of the blocks at a few places, spread over the plane."""
    starts = [
        sorted({(2 * n + 1) * size // (2 * _LOOKS) // block * block for n in range(_LOOKS)})
        for size, block in zip((plane.height, plane.width), plane.block, strict=True)
    ]
    for row in starts[0]:
        for column in starts[1]:
            edges = min(row + plane.block[0], plane.height), min(column + plane.block[1], plane.width)
            pixels = plane.read(Window(row, edges[0], column, edges[1]))
            top, left = (max((edge - _SIDE) // 2, 0) for edge in pixels.shape[:2])
            yield np.ascontiguousarray(pixels[top : top + _SIDE, left : left + _SIDE])
