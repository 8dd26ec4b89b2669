"""An archive of two million tiles, as a slide of a terapixel has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path

from pmtiles.tile import TileType, zxy_to_tileid

from support.archives import read_archive, read_tile

from cartloader_image.tiles.archive import ArchiveWriter
from cartloader_image.tiles.grid import MapBox
from cartloader_image.tiles.pyramid import Tile

folder = Path(sys.argv[1])
FLAT = b"the same tile" * 9
writer, count = ArchiveWriter(folder), 0
for zoom in range(12, 5, -1):
    first = zxy_to_tileid(zoom, 0, 0)
    for tile_id in range(first, first + 3 * 4 ** (zoom - 1) // 8):
        flat = tile_id % 9 == 0 or tile_id % 1000 < 100
        writer.add(Tile(tile_id, FLAT if flat else b"tile %d" % tile_id + b"." * (tile_id % 50)))
        count += 1
assert writer.finish(folder / "a.pmtiles", TileType.PNG, MapBox(-9, -9, 9, 9), {"name": "large"}) == count
writer.close()
archive = read_archive(folder / "a.pmtiles")
assert archive.header.addressed_tiles_count == count > 2_000_000
assert archive.header.leaf_directory_length > 0
for tile_id in (zxy_to_tileid(12, 0, 0) + 777, zxy_to_tileid(7, 0, 0) + 13):
    assert read_tile(folder / "a.pmtiles", tile_id).startswith(b"tile %d" % tile_id)
flat_id = zxy_to_tileid(12, 0, 0) // 1000 * 1000 + 5005
assert read_tile(folder / "a.pmtiles", flat_id) == FLAT
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print("peak", peak // 1000, "MB,", count, "tiles,", len(archive.entries), "entries")
assert peak < 500_000
"""


@pytest.mark.slow
def test_two_million_tiles_take_less_than_500_megabytes(tmp_path: Path) -> None:
    tests = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], env=tests, check=True)
