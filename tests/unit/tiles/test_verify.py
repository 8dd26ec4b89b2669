"""Archives that are damaged in one place: each is found, with the tile where there is one, and crashes nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pmtiles.tile import Compression, Entry, TileType, serialize_directory, tileid_to_zxy
from support.archives import cut, write_archive
from support.corruptions import CORRUPTIONS, LAT, LON, Corruption, saved
from support.maps import blobs, import_picture, save
from support.parts import Parts, with_field

from cartloader_image.catalog.update import check_archive
from cartloader_image.drawing import render_preview
from cartloader_image.errors import ArchiveError, CatalogError
from cartloader_image.report import Quiet, Stage
from cartloader_image.tiles.verify import prove, verify

TILE = 64
"""Pixels a side of the tiles that are damaged."""


def smaller(parts: Parts) -> Parts:
    """An archive of ours with the same pictures in small tiles, which are soon decoded."""
    pictures = {tile_id: Image.open(BytesIO(data)) for tile_id, data in parts.tiles.items()}
    parts.metadata["tilesize"] = TILE
    return parts.with_tiles(
        {tile_id: saved(picture.reduce(picture.width // TILE), picture.format) for tile_id, picture in pictures.items()}
    )


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Archives as they are made here."""
    folder = tmp_path_factory.mktemp("originals")
    picture = save(folder / "picture.png", blobs(330, 290, 3))
    options = {"georef_bounds": "3,370,293,40", "blocksize": 256}
    formats = {"png": "png", "jpeg": "jpeg", "webp": "webp-lossy"}
    return {
        name: import_picture(picture, folder / name, tile_format=tile_format, **options)
        for name, tile_format in formats.items()
    }


@pytest.fixture(scope="session")
def bases(originals: dict[str, Path]) -> dict[str, Parts]:
    """What is damaged."""
    made = {name: smaller(Parts.of(path)) for name, path in originals.items()}
    made["leaves"], made["other"] = deepcopy(made["png"]), deepcopy(made["png"])
    made["leaves"].leaf = 4
    made["other"].metadata = {"name": "other"}
    return made


def test_what_is_damaged_is_good_before(originals: dict[str, Path], bases: dict[str, Parts], tmp_path: Path) -> None:
    for path in originals.values():
        assert verify(path, deep=True).good
    for name, parts in bases.items():
        path = tmp_path / f"{name}.pmtiles"
        path.write_bytes(parts.build())
        found = verify(path, deep=True)
        assert found.good, [str(finding) for finding in found.findings]
        places = {tileid_to_zxy(tile_id) for tile_id in parts.tiles}
        assert found.tiles == found.decoded == len(places) >= 10
        assert (found.min_zoom, found.max_zoom) == (min(places)[0], max(places)[0])
        assert found.compared == sum(zoom < found.max_zoom for zoom, _, _ in places)
        check_archive(path)


def test_there_are_many_pictures_of_damage() -> None:
    assert len({corruption.name for corruption in CORRUPTIONS}) == len(CORRUPTIONS) >= 100


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)
def test_damage_is_found(bases: dict[str, Parts], tmp_path: Path, corruption: Corruption) -> None:
    parts = bases[corruption.base]
    path = tmp_path / "a.pmtiles"
    path.write_bytes(corruption(parts))
    found = verify(path)
    told = [finding for finding in found.findings if corruption.words in finding.text]
    assert not found.good
    assert told, [str(finding) for finding in found.findings]
    for finding in found.findings:  # goes on after the name of the file, or of the tile
        assert finding.text[0].islower() or finding.text[0].isdigit()
        assert str(path) not in finding.text
        assert "\n" not in finding.text
    if corruption.tile:
        assert tileid_to_zxy(corruption.tile(parts)) in [finding.tile for finding in told]
    for use in (lambda: render_preview(path, 64), lambda: check_archive(path)):
        refused = words_of(use)
        assert not refused or (refused.startswith(f"{path}: ") and "\n" not in refused)


def words_of(use: Callable[[], object]) -> str:
    """What an archive is refused with, if it is; other errors come out."""
    try:
        use()
    except (ArchiveError, CatalogError) as error:
        return str(error)
    return ""


def backwards(parts: Parts) -> bytes:
    """Tiles stored from the last to the first, with bytes between them that belong to none."""
    data = b""
    for entry in reversed(parts.entries):
        entry.offset, data = len(data), data + parts.tiles[entry.tile_id] + b"gap"
    parts.data = data
    return parts.build(clustered=0)


def beside_leaves(parts: Parts) -> bytes:
    """Some tiles in the root, before and behind a leaf directory with the others."""
    leaf = serialize_directory(parts.entries[3:-3])
    entries = [*parts.entries[:3], Entry(parts.entries[3].tile_id, 0, len(leaf), 0), *parts.entries[-3:]]
    return parts.build(serialize_directory(entries), leaf)


def telling(**metadata: Any) -> Callable[[Parts], bytes]:
    def change(parts: Parts) -> bytes:
        parts.metadata = {**parts.metadata, **metadata}
        return parts.build()

    return change


def degrees(parts: Parts, more: float = 0) -> list[float]:
    return [parts.header[name] / 1e7 + more for name in ("min_lon_e7", "min_lat_e7", "max_lon_e7", "max_lat_e7")]


NO_CENTRE = {"center_lon_e7": 0, "center_lat_e7": 0}
NOT_SET = dict.fromkeys((*LON, *LAT), 0)
EDGES = {"min_lon_e7": -180, "max_lon_e7": 180, "min_lat_e7": -90, "max_lat_e7": 90}
WHOLE = {name: edge * 10_000_000 for name, edge in EDGES.items()}
GOOD: dict[str, Callable[[Parts], bytes]] = {
    "counts that are not known": lambda parts: parts.build(
        addressed_tiles_count=0, tile_entries_count=0, tile_contents_count=0
    ),
    "more bytes behind": lambda parts: parts.build() + b"more",
    "a gap": lambda parts: replace(parts, gap=b"gap").build(),
    "backwards": backwards,
    "tiles beside leaf directories": beside_leaves,
    "bounds that were not set": lambda parts: parts.build(**NOT_SET),
    "the whole world": lambda parts: parts.build(**WHOLE),
    "the whole world, its centre not set": lambda parts: parts.build(
        **WHOLE | {"center_lon_e7": 0, "center_lat_e7": 0}
    ),
    "no centre": lambda parts: parts.build(
        min_lon_e7=1, min_lat_e7=1, max_lon_e7=90_000, max_lat_e7=90_000, **NO_CENTRE
    ),
    "a centre on the edge": lambda parts: parts.build(
        center_lon_e7=parts.header["max_lon_e7"] + 1, center_lat_e7=parts.header["min_lat_e7"] - 1
    ),
    "a centre on the other edge": lambda parts: parts.build(
        center_lon_e7=parts.header["min_lon_e7"] - 1, center_lat_e7=parts.header["max_lat_e7"] + 1
    ),
    "rounded bounds": lambda parts: telling(bounds=degrees(parts, 0.009))(parts),
    "bounds as text": lambda parts: telling(bounds=",".join(map(str, degrees(parts))))(parts),
    "bounds of one of two that were made one": lambda parts: telling(bounds=[*degrees(parts)[:2], 1e-5, 1e-4])(parts),
    "bounds of the other": lambda parts: telling(bounds=[0.0026, 0.0032, *degrees(parts)[2:]])(parts),
    "senseless bounds": telling(bounds="none", center=["x", 2, 3]),
    "a rounded centre": telling(center="0.009,0.009,1"),
    "other zooms": telling(minzoom=0, maxzoom=3),
    "another format that nobody knows": telling(format="mosaic"),
    "its format": telling(format="png"),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_other_programs_may_do_is_no_damage(bases: dict[str, Parts], tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.pmtiles"
    path.write_bytes(GOOD[name](deepcopy(bases["other"])))
    found = verify(path)
    assert found.good, [str(finding) for finding in found.findings]
    assert found.tiles == found.decoded == len(bases["other"].tiles)
    prove(path)


@pytest.mark.parametrize("corruption", CORRUPTIONS[::5], ids=lambda corruption: corruption.name)
def test_what_proves_an_archive_finds_it_too(bases: dict[str, Parts], tmp_path: Path, corruption: Corruption) -> None:
    """Unless just the pictures are other ones; it stops at the first."""
    path = tmp_path / "a.pmtiles"
    path.write_bytes(corruption(bases[corruption.base]))
    found = [str(finding) for finding in verify(path).findings if "something else" not in str(finding)]
    if found:
        with pytest.raises(ArchiveError) as refused:
            prove(path)
        assert str(refused.value).removeprefix(f"{path}: ") == found[0]


def test_an_archive_has_as_many_tiles_as_are_expected(originals: dict[str, Path], bases: dict[str, Parts]) -> None:
    path, count = originals["png"], len(bases["png"].tiles)
    prove(path, count)
    with pytest.raises(
        ArchiveError, match=f"picture.pmtiles: the number of its tiles should be {count + 1}, found {count}"
    ):
        prove(path, count + 1)


@pytest.mark.parametrize("kind", [TileType.MVT, TileType.PNG, TileType.JPEG, TileType.WEBP, TileType.AVIF])
def test_metadata_tell_the_kind_of_tiles_of_the_header(bases: dict[str, Parts], tmp_path: Path, kind: TileType) -> None:
    """By the names that the specification of TileJSON and other programs have for them."""
    names = {
        TileType.MVT: {"pbf", "mvt"}, TileType.PNG: {"png"}, TileType.JPEG: {"jpg", "jpeg"},
        TileType.WEBP: {"webp"}, TileType.AVIF: {"avif"},
    }  # fmt: skip
    for name in {*itertools.chain(*names.values()), "mlt"}:
        path = tmp_path / "a.pmtiles"
        path.write_bytes(with_field(telling(format=name)(deepcopy(bases["other"])), "tile_type", kind.value))
        told = f"its header says that tiles are {kind.name}, its metadata that they are {name}"
        assert (told in [finding.text for finding in verify(path).findings]) == (name not in names[kind])


def test_an_archive_without_tiles_is_not_good(tmp_path: Path, bases: dict[str, Parts]) -> None:
    """Whatever its leaf directories hold."""
    path, parts = tmp_path / "a.pmtiles", deepcopy(bases["other"])
    leaf = serialize_directory([Entry(5, 0, 1, 0)])
    path.write_bytes(parts.build(serialize_directory([Entry(5, 0, len(leaf), 0)]), leaf))
    assert not verify(path).good
    with pytest.raises(ArchiveError):
        prove(path)


@pytest.mark.parametrize("finest", [0, 1, 2])
def test_zooms_that_are_there_to_their_last_tile(tmp_path: Path, finest: int) -> None:
    pixels = blobs(64, 64, 3)
    tiles = {}
    for zoom in range(finest, -1, -1):
        side = 16 << zoom
        tiles |= cut(np.asarray(Image.fromarray(pixels).reduce(64 // side)), zoom, 0, 0, 16)
    found = verify(write_archive(tmp_path / "a.pmtiles", tiles), deep=True)
    assert found.good, [str(finding) for finding in found.findings]
    assert (found.min_zoom, found.max_zoom) == (0, finest)
    assert found.tiles == found.decoded == len(tiles)
    assert found.compared == sum(zoom < finest for zoom, _, _ in tiles)


def test_pictures_are_looked_at_though_the_header_says_that_they_are_none(
    bases: dict[str, Parts], tmp_path: Path
) -> None:
    path = tmp_path / "a.pmtiles"
    parts = bases["other"]
    path.write_bytes(parts.build(tile_type=TileType.MVT.value))
    found = verify(path)
    assert [str(finding) for finding in found.findings] == ["its header says that tiles are MVT, and they are PNG"]
    assert found.decoded == len(parts.tiles)


class Told(Quiet):
    def __init__(self) -> None:
        self.steps: list[tuple[Stage, int, int]] = []
        self.checks = 0

    def check(self) -> None:
        self.checks += 1

    def progress(self, stage: Stage, done: int, total: int) -> None:
        self.steps.append((stage, done, total))


def test_progress_is_told(originals: dict[str, Path]) -> None:
    """Of all tiles that are decoded; and a person who has seen enough can stop it at each."""
    told = Told()
    found = verify(originals["png"], told)
    assert told.steps == [(Stage.CHECKING, done, found.decoded) for done in range(1, found.decoded + 1)]
    assert told.checks == found.decoded + found.compared


def test_a_piece_of_an_archive_of_ours_has_the_metadata_of_the_whole(bases: dict[str, Parts], tmp_path: Path) -> None:
    """Its centre is in the middle of its own bounds, and of tiles that are not there nothing is known."""
    path, parts = tmp_path / "a.pmtiles", deepcopy(bases["png"])
    east, middle = parts.header["max_lon_e7"], parts.header["center_lon_e7"]
    del parts.tiles[max(parts.tiles)]
    whole, piece = parts.laid().build(), parts.build(max_lon_e7=east - 20, center_lon_e7=middle - 10)
    path.write_bytes(piece)
    assert not verify(path, deep=True).findings
    path.write_bytes(whole)
    assert "shows something else" in str(verify(path, deep=True).findings)
    path.write_bytes(with_field(piece, "center_lon_e7", middle + 30))
    assert [str(finding) for finding in verify(path).findings] == ["its header and its metadata tell different bounds"]


def test_a_picture_of_less_than_11_mm_has_all_corners_in_one_place(tmp_path: Path) -> None:
    zoom, tiles = 24, cut(blobs(16, 16, 3), 24, 5000, 7000, 16)
    longitude = 360 * 5000.5 / 2**zoom - 180
    latitude = math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * 7000.5 / 2**zoom))))
    place = {name: round(1e7 * (longitude if "lon" in name else latitude)) for name in (*LON, *LAT)}
    path = write_archive(tmp_path / "a.pmtiles", tiles, **place)
    assert not verify(path).findings
    for name in (*LON[:2], *LAT[:2]):
        step = -2000 if name.startswith("max") else 2000
        path = write_archive(
            path, tiles, **{**place, **{each: place[each] + step for each in place if name[4:7] in each}}
        )
        assert [str(finding) for finding in verify(path).findings] == [
            "tiles of zoom 24 lie outside the bounds in its header"
        ]


def test_of_what_cannot_be_opened_nothing_is_counted(tmp_path: Path) -> None:
    (tmp_path / "a.pmtiles").write_bytes(b"PMTiles")
    found = verify(tmp_path / "a.pmtiles")
    assert len(found.findings) == 1
    counts = found.left_out, found.min_zoom, found.max_zoom, found.tiles, found.decoded, found.compared
    assert counts == (0, 0, 0, 0, 0, 0)


def test_tiles_that_are_no_pictures_are_not_decoded(tmp_path: Path) -> None:
    tiles = {(1, x, y): f"vector {x} {y}".encode() for x in (0, 1) for y in (0, 1)}
    path = write_archive(tmp_path / "a.pmtiles", tiles, tile_type=TileType.MVT, tile_compression=Compression.NONE)
    found = verify(path, deep=True)
    assert (found.tiles, found.decoded, found.compared) == (4, 0, 0)


def test_a_sample_of_tiles_is_compared_unless_it_is_to_be_deep(tmp_path: Path) -> None:
    pixels = blobs(32 * 24, 32 * 24, 3)
    coarse = pixels.reshape(384, 2, 384, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    path = write_archive(tmp_path / "a.pmtiles", cut(pixels, 5, 8, 8, 32) | cut(coarse, 4, 4, 4, 32))
    found, deep = verify(path), verify(path, deep=True)
    assert deep.compared == 144
    assert 32 < found.compared < 144
    assert (found.min_zoom, found.max_zoom, found.tiles) == (deep.min_zoom, deep.max_zoom, deep.tiles) == (4, 5, 720)
