"""The header of an archive, against the ``pmtiles`` package."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pmtiles.tile import Compression, HeaderDict, TileType, serialize_header

from cartloader_image.tiles.header import HEADER_BYTES, Header

_BYTE, _DEGREES = st.integers(0, 255), st.integers(-180_0000000, 180_0000000)
_KINDS = {
    "clustered": st.booleans(),
    "internal_compression": st.sampled_from(Compression),
    "tile_compression": st.sampled_from(Compression),
    "tile_type": st.sampled_from(TileType),
    **dict.fromkeys(["min_zoom", "max_zoom", "center_zoom"], _BYTE),
}


def _values(name: str) -> st.SearchStrategy[Any]:
    return _KINDS.get(name, _DEGREES if name.endswith("_e7") else st.integers(0, 2**64 - 1))


headers = st.fixed_dictionaries({name: _values(name) for name in Header._fields})


@given(headers)
def test_a_header_is_read_as_the_package_writes_it(fields: dict[str, Any]) -> None:
    found = Header.parse(serialize_header(HeaderDict(version=3, **fields)) + b"what follows")
    assert found._asdict() == {
        name: value.value if isinstance(value, Enum) else value for name, value in fields.items()
    }
    degrees = [fields[f"{name}_e7"] / 1e7 for name in ("min_lon", "min_lat", "max_lon", "max_lat")]
    assert list(found.bounds) == degrees
    ends = [
        fields[f"{name}_offset"] + fields[f"{name}_length"]
        for name in ("root", "metadata", "leaf_directory", "tile_data")
    ]
    assert found.end == max(ends)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"", "is no PMTiles archive"),
        (b"SQLite format 3\0" + bytes(200), "is no PMTiles archive"),
        (b"PMTiles", "archive cut off"),
        (b"PMTiles\x02" + bytes(200), "archive of version 2; one of version 3 is needed"),
        (b"PMTiles\x03" + bytes(HEADER_BYTES - 9), "archive cut off; one of version 3 is needed"),
    ],
)
def test_what_is_no_header_is_said(start: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Header.parse(start)
