"""All tiles of a pyramid, from the finest zoom to the coarsest, in little memory and on all cores.

The zooms are made in passes. A pass walks over a zoom in *chunks* of up to 2048² level pixels on the Hilbert curve,
halves each chunk as often as whole tiles remain, and cuts tiles at every step. Halved once more, a chunk is kept on
disk (at 512-pixel tiles, a 64th of its pixels): the next pass begins there. A coarser pixel is made of four finer
ones, all in the same chunk, so that there is no seam.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from pmtiles.tile import tileid_to_zxy, zxy_to_tileid

from cartloader_image.layout import Layout
from cartloader_image.rasters.store import Bytes, TileStore
from cartloader_image.system.parallel import in_order
from cartloader_image.tiles.coverage import Coverage
from cartloader_image.tiles.encode import Encode
from cartloader_image.tiles.grid import Pyramid
from cartloader_image.tiles.levels import Kept, Level
from cartloader_image.tiles.resampling import halved, opaque, straight
from cartloader_image.window import Window

CHUNK_PIXELS = 2048
"""Side of a chunk: large enough that what is read around it is little, small enough for a few to be in memory."""
_SHARE = 4
"""Tiles that a thread encodes at once."""


@dataclass(frozen=True)
class Tile:
    """One finished tile."""

    tile_id: int
    data: bytes | memoryview


@dataclass(frozen=True)
class _Cut:
    """The pixels of a tile; None where nothing of it is seen."""

    tile_id: int
    pixels: Bytes | None


@dataclass(frozen=True)
class _Patch:
    """The level pixels of a window at one zoom."""

    zoom: int
    window: Window
    pixels: Bytes


@dataclass(frozen=True)
class Pass:
    """The zooms ``top … bottom`` (the finest first), made chunk by chunk; a chunk is one tile of the bottom zoom."""

    top: int
    bottom: int


def passes(pyramid: Pyramid) -> list[Pass]:
    """How the zooms are grouped; a pass goes down by as many zooms as a chunk can be halved into whole tiles."""
    steps = int(math.log2(CHUNK_PIXELS // pyramid.tile))
    result, top = [], pyramid.base_zoom
    while top >= pyramid.min_zoom:
        bottom = max(top - steps, pyramid.min_zoom)
        result.append(Pass(top, bottom))
        top = bottom - 1
    return result


def kept_pixels(pyramid: Pyramid) -> int:
    """Pixels that are kept on disk between passes."""
    starts = [part.top for part in passes(pyramid)[1:]]
    return sum(math.prod(kept_window(pyramid, zoom).shape) for zoom in starts)


def kept_window(pyramid: Pyramid, zoom: int) -> Window:
    """The level pixels of a zoom that are kept: whole tiles."""
    return pyramid.extent(zoom).on_grid(pyramid.tile)


class Cutter:
    """Cuts the tiles of a pyramid from its base level."""

    def __init__(
        self, base: Level, pyramid: Pyramid, encode: Encode, scratch: Path, *, threads: int, nearest: bool = False
    ) -> None:
        self._base, self._pyramid, self._encode, self._scratch = base, pyramid, encode, scratch
        self._threads, self._nearest = threads, nearest
        self._opaque = not base.layout.alpha
        self._coverage = Coverage(pyramid, nearest=nearest)

    def tiles(self, keep: Callable[[Tile], None]) -> Iterator[int]:
        """Make all tiles, and have those kept of which something is seen, from any thread; how many at each step."""
        return self._made(chain(self._first(0, 1), self._rest()), keep)

    def shard(self, number: int, count: int, keep: Callable[[Tile], None]) -> Iterator[int]:
        """The same for one of so many shards of the first pass, perhaps in a process of its own.

        When all shards are done, `rest` makes what is left of what they leave in the scratch directory.
        """
        return self._made(self._first(number, count), keep)

    def rest(self, keep: Callable[[Tile], None]) -> Iterator[int]:
        """The same for all passes but the first."""
        return self._made(self._rest(), keep)

    def _made(self, chunks: Iterator[list[_Cut]], keep: Callable[[Tile], None]) -> Iterator[int]:
        def finish(some: list[_Cut]) -> int:
            for cut in some:
                if cut.pixels is not None:
                    keep(Tile(cut.tile_id, self._encode(cut.pixels)))
            return len(some)

        # Chunks and encoding have threads of their own, so that no core waits for the last chunk of a pass.
        shares = (cuts[at : at + _SHARE] for cuts in chunks for at in range(0, len(cuts), _SHARE))
        return in_order(finish, shares, self._threads)

    def _first(self, number: int, count: int) -> Iterator[list[_Cut]]:
        """The tiles of a share of the first pass, chunk by chunk."""
        return self._pass(passes(self._pyramid)[0], self._base, number, count)

    def _rest(self) -> Iterator[list[_Cut]]:
        """Those of the other passes."""
        for part in passes(self._pyramid)[1:]:
            with self._kept(part.top) as store:
                level = Kept(store, kept_window(self._pyramid, part.top), self._pyramid.extent(part.top))
                yield from self._pass(part, level, 0, 1)

    def _kept(self, zoom: int) -> TileStore:
        """The store of a zoom; the pixels of a chunk are a tile of it, whole pages of the file."""
        size, bands = kept_window(self._pyramid, zoom).shape, self._base.layout.bands
        return TileStore.create(self._scratch / f"zoom-{zoom}", *size, bands, self._pyramid.tile // 2)

    def _pass(self, part: Pass, level: Level, number: int, count: int) -> Iterator[list[_Cut]]:
        tiles = self._pyramid.tile_range(part.bottom)
        ids = sorted(zxy_to_tileid(part.bottom, x, y) for y, x in tiles.places())
        below = part.bottom - 1
        with self._kept(below) if below >= self._pyramid.min_zoom else nullcontext() as store:

            def work(chunk_id: int) -> list[_Cut]:
                return self._chunk(part, level, store, chunk_id)

            shard = ids[len(ids) * number // count : len(ids) * (number + 1) // count]
            yield from in_order(work, shard, self._threads)

    def _chunk(self, part: Pass, level: Level, store: TileStore | None, chunk_id: int) -> list[_Cut]:
        _, x, y = tileid_to_zxy(chunk_id)
        side = self._pyramid.tile << (part.top - part.bottom)
        halvings = part.top - part.bottom + (store is not None)
        window = Window.cell(y, x, side).intersect(self._pyramid.extent(part.top).on_grid(1 << halvings))
        patch = _Patch(part.top, window, level.read(window))
        tiles = self._tiles(patch)
        while patch.zoom > part.bottom:
            patch = self._halve(patch)
            tiles += self._tiles(patch)
        if store is not None:
            patch = self._halve(patch)
            place = patch.window.relative_to(kept_window(self._pyramid, patch.zoom))
            store.write(place.row0, place.column0, _widened(patch.pixels, store.bands))
        return tiles

    def _halve(self, patch: _Patch) -> _Patch:
        pixels = halved(patch.pixels, nearest=self._nearest)
        return _Patch(patch.zoom - 1, patch.window.cells(2), pixels)

    def _tiles(self, patch: _Patch) -> list[_Cut]:
        """The tiles of a patch, by id; nothing for a zoom that is not kept."""
        if patch.zoom > self._pyramid.max_zoom:
            return []
        tile = self._pyramid.tile
        there = patch.window.cells(tile).intersect(self._pyramid.tile_range(patch.zoom))
        places = sorted((zxy_to_tileid(patch.zoom, x, y), y, x) for y, x in there.places())
        return [_Cut(tile_id, self._cut(patch, Window.cell(y, x, tile))) for tile_id, y, x in places]

    def _cut(self, patch: _Patch, window: Window) -> Bytes | None:
        """One tile with the alpha that it needs; None where nothing of it is seen."""
        inside = window.intersect(patch.window)
        pixels = patch.pixels[inside.within(patch.window)]
        alpha, seen = None, pixels
        has_alpha = Layout.of(pixels.shape[2]).alpha
        if has_alpha:
            alpha, seen = pixels[..., -1:], pixels[..., :-1]
        elif self._opaque:
            alpha = self._coverage.alpha(patch.zoom, inside)
        if alpha is not None and not alpha.max():
            return None
        whole = inside == window
        if whole and (alpha is None or alpha.min() == 255):
            return opaque(pixels) if has_alpha else seen
        if has_alpha:
            pixels = straight(pixels)
            if whole:
                return pixels
            alpha, seen = pixels[..., -1:], pixels[..., :-1]
        result = np.zeros((*window.shape, seen.shape[2] + 1), np.uint8)
        part = result[inside.within(window)]
        part[..., :-1] = seen if alpha is None else seen * (alpha > 0)
        part[..., -1:] = 255 if alpha is None else alpha
        return result


def _widened(pixels: Bytes, bands: int) -> Bytes:
    """The pixels with so many bands: opaque ones get an alpha that says so where there is to be one."""
    if pixels.shape[2] == bands:
        return pixels
    return np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], axis=2)
