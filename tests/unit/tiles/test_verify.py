"""Archives that are damaged in one place: each is found, with the tile where there is one, and crashes nothing."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from pmtiles.tile import tileid_to_zxy
from support.corruptions import CORRUPTIONS, Corruption, saved
from support.maps import blobs, import_picture, save
from support.parts import Parts

from cartloader_image.catalog.update import check_archive
from cartloader_image.drawing import render_preview
from cartloader_image.errors import ArchiveError, CatalogError
from cartloader_image.tiles.verify import verify

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
    assert not any(str(path) in str(finding) or "\n" in str(finding) for finding in found.findings)
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
