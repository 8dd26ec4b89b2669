"""Ids of tiles: whole numbers that count the tiles of all zooms, those of one zoom along a Hilbert curve."""

from __future__ import annotations

from pmtiles.tile import tileid_to_zxy

FINEST = 31
"""The finest zoom whose tile ids are whole numbers of 63 bits."""


def first_id(zoom: int) -> int:
    """The id of the first tile of a zoom: all those of the zooms above come before."""
    return int((4**zoom - 1) // 3)


TILES = first_id(FINEST + 1)
"""Ids of tiles end before this one."""


def zoom_of(tile_id: int) -> int:
    """The zoom of a tile."""
    return ((3 * tile_id + 1).bit_length() - 1) // 2


def name_of(tile_id: int) -> str:
    """A tile as people write it: zoom, column and row."""
    return "/".join(map(str, tileid_to_zxy(tile_id)))
