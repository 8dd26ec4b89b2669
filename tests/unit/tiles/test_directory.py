"""Directories of archives, against what the ``pmtiles`` package writes and reads."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pmtiles.reader import MmapSource, all_tiles
from pmtiles.tile import Entry, serialize_directory, zxy_to_tileid
from support.archives import write_archive

from cartloader_image.tiles.directory import Entries, first_equal, parse_directory
from cartloader_image.tiles.ids import first_id
from cartloader_image.tiles.reader import reading

small, large = st.integers(0, 300), st.integers(0, 1 << 40)


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    """Ids that grow; places right behind the entry before, or anywhere. A run of 0 is a leaf directory."""
    steps = draw(st.lists(st.tuples(small | large, small, small | large, st.none() | small | large), min_size=1))
    found, tile_id, end = list[Entry](), -1, 0
    for step, run, length, place in steps:
        tile_id, offset = tile_id + 1 + step, end if place is None else place
        found.append(Entry(tile_id, offset, length, run))
        end = offset + length
    return found


def fields(entry: Entry) -> tuple[int, int, int, int]:
    return entry.tile_id, entry.offset, entry.length, entry.run_length


def stored(some: list[Entry]) -> bytes:
    return gzip.decompress(serialize_directory(some))


@given(entries())
def test_what_the_package_writes_is_read(some: list[Entry]) -> None:
    assert [fields(entry) for entry in parse_directory(stored(some))] == [fields(entry) for entry in some]


@given(entries())
def test_the_package_writes_from_numbers_what_it_writes_from_objects(some: list[Entry]) -> None:
    assert stored(Entries.of(some)) == stored(some)


@given(entries(), st.data())
def test_a_directory_that_is_cut_off_is_refused(some: list[Entry], data: st.DataObject) -> None:
    whole = stored(some)
    for end in (len(whole) - 1, data.draw(st.integers(0, len(whole) - 1))):
        with pytest.raises(ValueError, match="ends before"):
            parse_directory(whole[:end])


BIT_62, BIT_64 = b"\x80" * 8 + b"\x40", b"\x81" + b"\x80" * 8 + b"\2"


@given(st.binary(max_size=60))
@example(b"\2\5\0\1\1\1\1\1\1")
@example(b"\2" + BIT_62 + BIT_62 + b"\1\1\1\1\1\1")
@example(b"\2\1\1\1\1" + BIT_62 + BIT_62 + b"\1\1")
def test_senseless_bytes_are_refused_or_are_a_directory(data: bytes) -> None:
    try:
        found = parse_directory(data)
    except ValueError:
        return
    assert len(found) > 0
    assert (np.diff(found.ids) > 0).all()
    assert min(column.min() for column in (found.ids, found.offsets, found.lengths, found.runs)) >= 0


def test_numbers_of_more_than_63_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 63 bits"):
        parse_directory(b"\1" + BIT_64 + b"\1\1\1")


def test_entries_are_a_sequence_of_those_of_the_package() -> None:
    """More of them than are made into objects at one time."""
    some = [Entry(3 * number, 7 * number, number % 5, number % 3) for number in range(10_000)]
    found = Entries.of(some)
    assert len(found) == len(some)
    assert [*map(fields, found)] == [*map(fields, some)]
    assert fields(found[-1]) == fields(some[-1])
    assert [*map(fields, found[5:9_000:700])] == [*map(fields, some[5:9_000:700])]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_the_first_row_that_is_equal(rows: list[tuple[int, int]]) -> None:
    assert first_equal(np.array(rows)).tolist() == [rows.index(row) for row in rows]


def test_each_zoom_has_the_entries_that_the_reader_of_the_package_finds(tmp_path: Path) -> None:
    """In leaf directories, with runs of equal tiles that go on from one zoom to the next."""
    random, finest = np.random.default_rng(5), 7
    tiles = {}
    for zoom in range(finest + 1):
        for x, y in np.ndindex(2**zoom, 2**zoom):
            if zoom < finest - 1:
                tiles[zoom, x, y] = b"flat"
            elif random.random() < 0.8:
                tiles[zoom, x, y] = b"%d/%d" % (x, y) + b"." * random.integers(99)
    path = write_archive(tmp_path / "a.pmtiles", tiles)
    with path.open("rb") as file:
        expected = {zxy_to_tileid(*place): data for place, data in all_tiles(MmapSource(file))}
    assert len(expected) == len(tiles)
    with reading(path) as archive:
        assert archive.header.leaf_directory_length > 0
        assert [*archive.zooms()] == [*range(finest + 1)]
        found = {}
        for zoom in range(finest + 1):
            for some in archive.entries(zoom):
                for entry in some:
                    for tile_id in range(entry.tile_id, entry.tile_id + entry.run_length):
                        assert first_id(zoom) <= tile_id < first_id(zoom + 1)
                        found[tile_id] = archive.tile(entry.offset, entry.length)
    assert found == expected
