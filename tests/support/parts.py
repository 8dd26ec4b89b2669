"""PMTiles archives taken apart and put together again, by the ``pmtiles`` package, with anything in them changed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pmtiles.reader import MmapSource, Reader, all_tiles
from pmtiles.tile import Entry, serialize_directory, serialize_header, zxy_to_tileid

HEADER_BYTES = 127
_SECTIONS = ("root", "metadata", "leaf_directory", "tile_data")
_NUMBERS = (
    *(f"{name}_{what}" for name in _SECTIONS for what in ("offset", "length")),
    "addressed_tiles_count", "tile_entries_count", "tile_contents_count",
    "clustered", "internal_compression", "tile_compression", "tile_type", "min_zoom", "max_zoom",
    "min_lon_e7", "min_lat_e7", "max_lon_e7", "max_lat_e7", "center_zoom", "center_lon_e7", "center_lat_e7",
)  # fmt: skip
_SIZES = [8] * 11 + [1] * 6 + [4] * 4 + [1, 4, 4]
PLACES = {name: (8 + sum(_SIZES[:n]), _SIZES[n]) for n, name in enumerate(_NUMBERS)}
"""First byte and length of each number of the header (PMTiles v3, section 3)."""


def with_field(data: bytes, name: str, value: int) -> bytes:
    """An archive with another number in its header."""
    place, size = PLACES[name]
    number = value.to_bytes(size, "little", signed=name.endswith("_e7"))
    return data[:place] + number + data[place + size :]


def field_of(data: bytes, name: str) -> int:
    """A number of an archive's header."""
    place, size = PLACES[name]
    return int.from_bytes(data[place : place + size], "little", signed=name.endswith("_e7"))


@dataclass
class Parts:
    """What an archive is made of; it is put together well unless something is asked for."""

    tiles: dict[int, bytes]
    metadata: dict[str, Any]
    header: dict[str, Any]
    leaf: int = 0
    """Entries of a leaf directory; 0 where the root has them all."""
    text: bytes | None = None
    """Compressed metadata in the place of those."""
    gap: bytes = b""
    """Bytes between the metadata and what follows."""
    entries: list[Entry] = field(default_factory=list)
    """Those of all tiles, each by itself, until they are changed."""
    data: bytes = b""

    @classmethod
    def of(cls, path: Path) -> Self:
        """Those of an archive."""
        with path.open("rb") as file:
            source = MmapSource(file)
            reader = Reader(source)
            tiles = {zxy_to_tileid(*place): data for place, data in all_tiles(source)}
            return cls(dict(sorted(tiles.items())), dict(reader.metadata()), dict(reader.header())).laid()

    def laid(self) -> Self:
        """With the tiles in the order of their ids, equal ones once."""
        self.entries, places, self.data = [], dict[bytes, int](), b""
        for tile_id, tile in sorted(self.tiles.items()):
            if tile not in places:
                places[tile] = len(self.data)
                self.data += tile
            self.entries.append(Entry(tile_id, places[tile], len(tile), 1))
        return self

    def with_tiles(self, tiles: Mapping[int, bytes]) -> Self:
        """With other tiles."""
        self.tiles = {**self.tiles, **tiles}
        return self.laid()

    def index(self, tile_id: int) -> int:
        return next(n for n, entry in enumerate(self.entries) if entry.tile_id == tile_id)

    def change(self, tile_id: int, **values: int) -> Self:
        """With another entry in place of a tile's."""
        entry = self.entries[self.index(tile_id)]
        for name, value in values.items():
            setattr(entry, name, value)
        return self

    def build(self, root: bytes | None = None, leaves: bytes = b"", **header: int) -> bytes:
        """The archive, with other directories or numbers of the header where they are given."""
        entries = self.entries
        if self.leaf and root is None:
            top = []
            for start in range(0, len(entries), self.leaf):
                some = serialize_directory(entries[start : start + self.leaf])
                top.append(Entry(entries[start].tile_id, len(leaves), len(some), 0))
                leaves += some
            entries = top
        root = serialize_directory(entries) if root is None else root
        text = gzip.compress(json.dumps(self.metadata).encode(), mtime=0) if self.text is None else self.text
        fields, end = dict(self.header), HEADER_BYTES
        for name, part in (
            ("root", root),
            ("metadata", text + self.gap),
            ("leaf_directory", leaves),
            ("tile_data", self.data),
        ):
            fields[f"{name}_offset"], fields[f"{name}_length"] = end, len(part)
            end += len(part)
        fields["metadata_length"] = len(text)
        fields["addressed_tiles_count"] = sum(entry.run_length for entry in self.entries)
        fields["tile_entries_count"] = len(self.entries)
        fields["tile_contents_count"] = len({(entry.offset, entry.length) for entry in self.entries})
        data = serialize_header(fields) + root + text + self.gap + leaves + self.data
        for name, value in header.items():
            data = with_field(data, name, value)
        return data
