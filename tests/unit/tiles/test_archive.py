"""Archives of any tiles, against those that the ``pmtiles`` package writes of the same ones, and reads."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pmtiles.reader import MemorySource, all_tiles
from pmtiles.tile import Compression, TileType, deserialize_header, tileid_to_zxy, zxy_to_tileid
from pmtiles.writer import Writer
from rasterio.warp import transform

from cartloader_image.errors import ArchiveError
from cartloader_image.tiles import archive
from cartloader_image.tiles.archive import ArchiveWriter
from cartloader_image.tiles.grid import MapBox
from cartloader_image.tiles.pyramid import Tile

Tiles = dict[int, bytes]
BOX = MapBox(-2_000_000.25, 300_000, 5_000_000, 9_000_000.5)
ROOT = 16384 - 127


@st.composite
def tiles(draw: st.DrawFn) -> Tiles:
    """Of zooms that need not follow each other: neighbours and lone ones, most of them equal to others."""
    found = Tiles()
    for zoom in draw(st.sets(st.integers(0, 9), min_size=1, max_size=4)):
        first, count = zxy_to_tileid(zoom, 0, 0), 4**zoom
        ids = draw(st.sets(st.integers(0, min(count, 20) - 1) | st.integers(0, count - 1), min_size=1, max_size=30))
        found |= {first + tile_id: draw(st.sampled_from([b"a", b"bb", b"cc", b"ddd"])) for tile_id in ids}
    return found


def write(some: Tiles, folder: Path, metadata: dict[str, Any] | None = None, threads: int = 1) -> bytes:
    """An archive of tiles that come in no order, from several threads."""
    writer, path = ArchiveWriter(folder), folder / "a.pmtiles"
    tiles = [Tile(*item) for item in some.items()]
    random.Random(len(tiles)).shuffle(tiles)
    with ThreadPoolExecutor(threads) as pool:
        assert [*pool.map(writer.add, tiles)] == [None] * len(tiles)
    assert writer.finish(path, TileType.PNG, BOX, metadata or {}, threads) == len(some)
    writer.close()
    return path.read_bytes()


def expected(some: Tiles) -> bytes:
    """What the package makes of them."""
    file = io.BytesIO()
    writer = Writer(file)
    for tile_id in sorted(some):
        writer.write_tile(tile_id, some[tile_id])
    writer.finalize({"tile_type": TileType.PNG, "tile_compression": Compression.NONE} | dict.fromkeys(PLACE, 0), {})
    return file.getvalue()


PLACE = ("min_lon_e7", "min_lat_e7", "max_lon_e7", "max_lat_e7", "center_lon_e7", "center_lat_e7", "center_zoom")
COUNTS = ("addressed_tiles_count", "tile_entries_count", "tile_contents_count", "clustered")


def section(data: bytes, name: str) -> bytes:
    header = deserialize_header(data[:127])
    start, length = header[f"{name}_offset"], header[f"{name}_length"]
    assert start + length <= len(data)
    return data[start : start + length]


def check(some: Tiles, data: bytes) -> None:
    other = expected(some)
    assert dict(all_tiles(MemorySource(data))) == {tileid_to_zxy(tile_id): tile for tile_id, tile in some.items()}
    assert section(data, "tile_data") == section(other, "tile_data")
    for name in ("root", "leaf_directory"):
        ours, theirs = section(data, name), section(other, name)
        assert (ours and gzip.decompress(ours)) == (theirs and gzip.decompress(theirs))
    header, theirs = deserialize_header(data[:127]), deserialize_header(other[:127])
    assert {name: header[name] for name in COUNTS} == {name: theirs[name] for name in COUNTS}
    zooms = {tileid_to_zxy(tile_id)[0] for tile_id in some}
    assert (header["min_zoom"], header["max_zoom"]) == (min(zooms), max(zooms))
    sections = [(header[f"{name}_offset"], header[f"{name}_length"]) for name in ("root", "metadata", "tile_data")]
    assert sum(length for _, length in sections) + header["leaf_directory_length"] + 127 == len(data)
    assert sum(sections[0]) <= 127 + ROOT


@given(tiles(), st.integers(1, 3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tiles_lie_where_the_package_puts_them(tmp_path: Path, some: Tiles, threads: int) -> None:
    check(some, write(some, tmp_path, threads=threads))


def test_more_tiles_than_the_root_has_room_for(tmp_path: Path) -> None:
    chance = np.random.default_rng(2)
    some = {zxy_to_tileid(12, 0, 0) + int(n): chance.bytes(n % 9 + 1) for n in chance.integers(4**12, size=6_000)}
    data = write(some, tmp_path)
    assert section(data, "leaf_directory")
    check(some, data)


def stopping(done: int) -> Any:
    """A file system that copies at most so many bytes at once, and then no more."""

    def copy(source: int, target: int, size: int, start: int, place: int) -> int:
        nonlocal done
        if not done:
            raise OSError(18, "no")
        size, done = min(size, done), 0
        os.pwrite(target, os.pread(source, size, start), place)
        return size

    return copy


def limping(source: int, target: int, size: int, start: int, place: int) -> int:
    return os.pwrite(target, os.pread(source, min(size, 7), start), place)


@pytest.mark.parametrize("way", [None, stopping(0), stopping(5), limping, lambda *_: 0])
@pytest.mark.parametrize("threads", [1, 3])
def test_however_the_system_copies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: Any, threads: int) -> None:
    """Pieces larger than are copied at once, too."""
    if way is None:
        monkeypatch.delattr(os, "copy_file_range")
    else:
        monkeypatch.setattr(os, "copy_file_range", way)
    monkeypatch.setattr(archive, "_COPY_BYTES", 10)
    some = {tile_id: b"%d" % tile_id * (tile_id % 9 + 1) for tile_id in (*range(5, 15), *range(30, 40))}
    check(some, write(some, tmp_path, threads=threads))


@pytest.mark.parametrize(("zooms", "center"), [((3,), 3), ((2, 3), 3), ((1, 2, 5), 2)])
def test_place_and_zooms_are_told_in_header_and_metadata(tmp_path: Path, zooms: tuple[int, ...], center: int) -> None:
    told = {"name": "x", "minzoom": 99, "cartloader": {"µ": 1}}
    data = write({zxy_to_tileid(zoom, 0, 0): b"a" for zoom in zooms}, tmp_path, told)
    middle = (BOX.left + BOX.right) / 2, (BOX.bottom + BOX.top) / 2
    xs, ys = transform(
        "EPSG:3857", "EPSG:4326", *zip((BOX.left, BOX.bottom), (BOX.right, BOX.top), middle, strict=True)
    )
    places = [degrees for pair in zip(xs, ys, strict=True) for degrees in pair]
    header, metadata = deserialize_header(data[:127]), json.loads(gzip.decompress(section(data, "metadata")))
    assert [header[name] for name in PLACE[:6]] == [round(degrees * 1e7) for degrees in places]
    assert (header["min_zoom"], header["max_zoom"], header["center_zoom"]) == (zooms[0], zooms[-1], center)
    assert header["version"] == 3
    assert header["tile_type"] == TileType.PNG
    assert (header["internal_compression"], header["tile_compression"]) == (Compression.GZIP, Compression.NONE)
    bounds, point = ([*map(float, metadata[name].split(","))] for name in ("bounds", "center"))
    assert bounds == pytest.approx(places[:4], abs=1e-9)
    assert point == pytest.approx([*places[4:], center], abs=1e-9)
    assert metadata == {
        **told, "bounds": metadata["bounds"], "center": metadata["center"], "minzoom": zooms[0], "maxzoom": zooms[-1],
    }  # fmt: skip


def test_an_archive_is_the_same_whenever_it_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = []
    for now in (0, 2e9):
        monkeypatch.setattr("time.time", lambda now=now: now)
        made.append(write({0: b"a"}, tmp_path, {"a": 1}))
    assert made[0] == made[1]


def test_an_archive_has_tiles(tmp_path: Path) -> None:
    with (
        closing(ArchiveWriter(tmp_path)) as writer,
        pytest.raises(ArchiveError, match=r"transparent everywhere.*lower --transparent-below"),
    ):
        writer.finish(tmp_path / "a.pmtiles", TileType.PNG, BOX, {})
    assert not (tmp_path / "a.pmtiles").exists()


def test_equal_tiles_that_follow_each_other_take_no_space_on_the_way(tmp_path: Path) -> None:
    writer = ArchiveWriter(tmp_path)
    for tile_id in range(5, 21):
        writer.add(Tile(tile_id, b"flat" * 1000))
    writer.close()
    assert [file.stat().st_size for file in tmp_path.iterdir()] == [4000]
    with pytest.raises(ValueError, match="closed"):
        writer.add(Tile(21, b"more"))
