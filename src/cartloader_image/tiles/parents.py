"""Whether the tiles of a zoom show what those of the next one do, however they were made smaller.

Four tiles are halved in two ways, to the darkest and to the brightest of each two by two pixels; what lies between is
what means, medians, modes and single pixels give. Compared are means of large blocks, so that noise, sharpening and
the losses of JPEG cancel out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pmtiles.tile import tileid_to_zxy, zxy_to_tileid

from cartloader_image.errors import ArchiveError
from cartloader_image.tiles.decode import Picture, picture_of
from cartloader_image.tiles.directory import Entries, Numbers
from cartloader_image.tiles.ids import first_id, zoom_of
from cartloader_image.tiles.reader import ArchiveReader

SAMPLE = 64
"""About how many parents are compared unless all are, spread over the zooms."""
_BLOCKS = 4
"""Blocks along each side of a child."""
_APART = 5.0
"""Grey values by which a parent may differ from its children, as root mean square over its blocks: JPEG tiles of
quality 50 differ by 1 or 2."""

Blocks = NDArray[np.float32]


@dataclass(frozen=True)
class Parents:
    """The tiles of an archive that have tiles below them.

    Attributes:
        archive: The archive.
        entries: All its entries.
        size: Width and height of its tiles.
        whole: Whether a tile that is not there shows nothing; else nothing is known of it.
    """

    archive: ArchiveReader
    entries: Entries
    size: tuple[int, int]
    whole: bool

    def ids(self, *, all_of_them: bool) -> Iterator[int]:
        """Parents to compare: all that are not deep inside a run of equal tiles, or a sample from each zoom."""
        entries = self.entries
        tiles = np.unique(np.r_[entries.ids, entries.ids + entries.runs - 1])
        zooms = range(zoom_of(int(tiles[0])), zoom_of(int(tiles[-1])))
        for zoom in zooms:
            own, below = self._of_zoom(tiles, zoom), self._of_zoom(tiles, zoom + 1)
            if not len(own) or not len(below):
                continue
            parents = np.unique(first_id(zoom) + ((below - first_id(zoom + 1)) >> 2))
            if all_of_them:
                parents = np.union1d(parents, own)
            else:
                parents = parents[:: max(len(parents) * len(zooms) // SAMPLE, 1)]
            yield from parents.tolist()

    def differs(self, parent: int) -> bool:
        """Whether a parent shows something else than its children, if all can be decoded; safe from any thread."""
        try:
            return self._differs(parent)
        except ArchiveError:
            return False

    def _differs(self, parent: int) -> bool:
        zoom, x, y = tileid_to_zxy(parent)
        shown = self._premultiplied(parent)
        if (shown is None and not self.whole) or min(self.size) < 2 * _BLOCKS:
            return False
        excess: list[Blocks] = []
        for right, lower in ((0, 0), (1, 0), (0, 1), (1, 1)):
            child = self._premultiplied(zxy_to_tileid(zoom + 1, 2 * x + right, 2 * y + lower))
            if child is None and not self.whole:
                continue
            seen = np.zeros((_BLOCKS, _BLOCKS, 4), np.float32) if shown is None else _quarter(shown, right, lower)
            low, high = (seen * 0, seen * 0) if child is None else _halved(child)
            excess.append(np.maximum(np.maximum(low - seen, seen - high), 0))
        return bool(excess) and float(np.sqrt(np.mean(np.square(excess)))) > _APART

    def _premultiplied(self, tile_id: int) -> NDArray[np.uint8] | None:
        entries = self.entries
        index = int(np.searchsorted(entries.ids, tile_id, "right")) - 1
        if index < 0 or tile_id >= entries.ids[index] + entries.runs[index]:
            return None
        place = int(entries.offsets[index]), int(entries.lengths[index])
        return premultiplied(picture_of(self.archive, tile_id, place, self.size))

    @staticmethod
    def _of_zoom(tiles: Numbers, zoom: int) -> Numbers:
        low, high = np.searchsorted(tiles, [first_id(zoom), first_id(zoom + 1)])
        return tiles[low:high]


def premultiplied(picture: Picture) -> NDArray[np.uint8]:
    """The values of a picture in RGBA times its alpha, in which transparent pixels are all alike."""
    pixels = np.asarray(picture)
    if pixels[..., 3].min() == 255:
        return pixels
    scaled = pixels.astype(np.uint16)
    scaled[..., :3] = scaled[..., :3] * scaled[..., 3:] // 255
    return scaled.astype(np.uint8)


def _quarter(pixels: NDArray[np.uint8], right: int, lower: int) -> Blocks:
    rows, columns = pixels.shape[0] // 2, pixels.shape[1] // 2
    return _means(pixels[lower * rows :, right * columns :][:rows, :columns])


def _halved(pixels: NDArray[np.uint8]) -> tuple[Blocks, Blocks]:
    rows, columns = pixels.shape[0] // 2 * 2, pixels.shape[1] // 2 * 2
    upper, lower = pixels[0:rows:2, :columns], pixels[1:rows:2, :columns]
    low, high = np.minimum(upper, lower), np.maximum(upper, lower)
    return _means(np.minimum(low[:, ::2], low[:, 1::2])), _means(np.maximum(high[:, ::2], high[:, 1::2]))


def _means(pixels: NDArray[np.uint8]) -> Blocks:
    """The means of the blocks of a picture, ``(blocks, blocks, 4)``."""
    rows = np.stack([part.mean(0, dtype=np.float32) for part in np.array_split(pixels, _BLOCKS)])
    return np.stack([part.mean(1) for part in np.array_split(rows, _BLOCKS, axis=1)], axis=1)
