"""The header of a PMTiles archive: its first 127 bytes, which say where the rest is.

Reference: the PMTiles v3 specification, section 3. Names are those of the ``pmtiles`` package.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, Self

MAGIC = b"PMTiles\x03"
"""How an archive of version 3 begins."""
_LAYOUT = struct.Struct("<8x11Q6B4iB2i")
HEADER_BYTES = _LAYOUT.size


class Header(NamedTuple):
    """What a header says, in its order; offsets and lengths in bytes, degrees times 10**7."""

    root_offset: int
    root_length: int
    metadata_offset: int
    metadata_length: int
    leaf_directory_offset: int
    leaf_directory_length: int
    tile_data_offset: int
    tile_data_length: int
    addressed_tiles_count: int
    tile_entries_count: int
    tile_contents_count: int
    clustered: int
    internal_compression: int
    tile_compression: int
    tile_type: int
    min_zoom: int
    max_zoom: int
    min_lon_e7: int
    min_lat_e7: int
    max_lon_e7: int
    max_lat_e7: int
    center_zoom: int
    center_lon_e7: int
    center_lat_e7: int

    @classmethod
    def parse(cls, start: bytes) -> Self:
        """The header at the start of an archive.

        Raises:
            ValueError: there is none of version 3; the text goes on after the name of the file.
        """
        if start[:7] != MAGIC[:7]:
            raise ValueError("is no PMTiles archive; `pmtiles convert` makes one of MBTiles")
        if start[:8] != MAGIC or len(start) < HEADER_BYTES:
            version = f"of version {start[7]}" if start[7:8] not in {b"", MAGIC[7:]} else "cut off"
            raise ValueError(f"is a PMTiles archive {version}; one of version 3 is needed")
        return cls(*_LAYOUT.unpack_from(start))

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north, in degrees."""
        west, south, east, north = (edge / 1e7 for edge in self[17:21])
        return west, south, east, north

    @property
    def end(self) -> int:
        """The byte behind its sections: what is shorter is cut off."""
        root, metadata, leaves, tiles = self[:2], self[2:4], self[4:6], self[6:8]
        return max(map(sum, (root, metadata, leaves, tiles)))
