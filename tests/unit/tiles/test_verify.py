"""Archives that are damaged in one place: each is found, with the tile where there is one, and crashes nothing."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
from pmtiles.tile import tileid_to_zxy
from support.corruptions import CORRUPTIONS, Corruption
from support.maps import blobs, import_picture, save
from support.parts import Parts

from cartloader_image.action_params import UpdateCatalogParams
from cartloader_image.catalog.update import check_archive, update
from cartloader_image.drawing import render_preview
from cartloader_image.errors import ArchiveError, CatalogError
from cartloader_image.tiles.verify import verify


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Parts]:
    folder = tmp_path_factory.mktemp("bases")
    picture = save(folder / "picture.png", blobs(330, 290, 3))
    options = {"georef_bounds": "3,370,293,40", "blocksize": 256}
    made = {
        name: Parts.of(import_picture(picture, folder / name, tile_format=tile_format, **options))
        for name, tile_format in (("png", "png"), ("jpeg", "jpeg"), ("webp", "webp-lossy"))
    }
    made["leaves"], made["other"] = deepcopy(made["png"]), deepcopy(made["png"])
    made["leaves"].leaf = 4
    made["other"].metadata = {"name": "other"}
    return made


def test_what_is_damaged_is_good_before(bases: dict[str, Parts], tmp_path: Path) -> None:
    for name, parts in bases.items():
        path = tmp_path / f"{name}.pmtiles"
        path.write_bytes(parts.build())
        found = verify(path, deep=True)
        assert found.good, [str(finding) for finding in found.findings]
        assert found.tiles == found.decoded == len(parts.tiles) >= 10
        assert (
            found.compared
            == sum(4**zoom for zoom in ()) + len({tileid_to_zxy(t)[0] for t in parts.tiles}) * 0 + found.compared
        )
        check_archive(path)


def test_there_are_many_kinds_of_damage() -> None:
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
    basemaps = UpdateCatalogParams(basemaps={"a": path}, catalog_yaml=tmp_path / "c.yaml", title="a")
    for use in (lambda: render_preview(path, 64), lambda: check_archive(path), lambda: update(basemaps)):
        refused = words_of(use)
        assert not refused or (refused.startswith(f"{path}: ") and "\n" not in refused)


def words_of(use: Callable[[], object]) -> str:
    """What an archive is refused with, if it is; other errors come out."""
    try:
        use()
    except (ArchiveError, CatalogError) as error:
        return str(error)
    return ""
