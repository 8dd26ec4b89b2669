"""Updates of a catalog: what is written, the archives beside it, and many updates at once."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from support.catalogs import FIELD, MAGIC, update_with
from support.reports import Notes

from cartloader_flows.cli.summary import catalog_line
from cartloader_image.action_params import UpdateCatalogParams
from cartloader_image.catalog.text import basemaps
from cartloader_image.catalog.update import update
from cartloader_image.errors import CatalogError
from cartloader_image.system.files import locked


def test_a_missing_catalog_is_created(tmp_path: Path) -> None:
    result = update_with(tmp_path, "dapi", "membrane")
    assert (tmp_path / "catalog.yaml").read_text() == (
        "id: maps\ntitle: maps\nassets:\n  basemap:\n    dapi: dapi.pmtiles\n    membrane: membrane.pmtiles\n"
    )
    assert (result.path, result.added, result.replaced) == (tmp_path / "catalog.yaml", ("dapi", "membrane"), ())
    assert result.diff.startswith("--- /dev/null\n+++ catalog.yaml\n@@ -0,0 +1,6 @@\n+id: maps\n")
    assert {path.name for path in tmp_path.iterdir()} == {"catalog.yaml", "dapi.pmtiles", "membrane.pmtiles"}


def test_the_diff_says_what_is_new(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_text(FIELD + "    dapi: an_old_one.pmtiles\n    he: he.pmtiles\n")
    result = update_with(tmp_path, "dapi", "he", "membrane")
    assert (result.added, result.replaced) == (("membrane",), ("dapi",))
    changes = [line for line in result.diff.splitlines()[2:] if line[0] in "+-"]
    assert changes == ["-    dapi: an_old_one.pmtiles", "+    dapi: dapi.pmtiles", "+    membrane: membrane.pmtiles"]


def test_nothing_is_written_where_nothing_changes(tmp_path: Path) -> None:
    update_with(tmp_path, "dapi")
    os.utime(tmp_path / "catalog.yaml", ns=(1, 1))
    before = (tmp_path / "catalog.yaml").stat()
    result = update_with(tmp_path, "dapi")
    after = (tmp_path / "catalog.yaml").stat()
    assert (result.added, result.replaced, result.diff) == ((), (), "")
    assert (after.st_mtime_ns, after.st_ino) == (1, before.st_ino)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"dapi.pmtiles: there is no such archive to list; make it with --png2pmtiles"),
        (b"", r"dapi.pmtiles: is no PMTiles archive"),
        (b"PMTiles\x02", "version 3"),
        (b"PMTiles\x03", r"dapi.pmtiles: is a PMTiles archive cut off"),
        (b"PMTiles\x03" + bytes(23) + b"\x01" + bytes(95), r"dapi.pmtiles: is cut off"),
        (b"\x89PNG\r\n\x1a\n", "is no PMTiles archive"),
    ],
)
def test_only_an_archive_is_listed(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    archive = tmp_path / "in" / "dapi.pmtiles"
    archive.parent.mkdir()
    if content is not None:
        archive.write_bytes(content)
    catalog = tmp_path / "out" / "catalog.yaml"
    with pytest.raises(CatalogError, match=sentence):
        update(UpdateCatalogParams(catalog_yaml=catalog, basemaps={"dapi": archive}, title="x"))
    assert not catalog.parent.exists()


def test_an_archive_from_elsewhere_is_copied_beside_the_catalog_once(tmp_path: Path) -> None:
    archive = tmp_path / "in" / "other_name.pmtiles"
    archive.parent.mkdir()
    archive.write_bytes(MAGIC + b"1")
    catalog = tmp_path / "out" / "catalog.yaml"
    params = UpdateCatalogParams(catalog_yaml=catalog, basemaps={"dapi": archive}, title="x")
    copy = catalog.with_name("dapi.pmtiles")

    assert update(params).replaced == ()
    first = copy.stat()
    assert copy.read_bytes() == MAGIC + b"1"
    again = update(params)
    assert (again.replaced, again.diff) == ((), "")
    assert (copy.stat().st_ino, copy.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
    archive.write_bytes(MAGIC + b"2")
    other = update(params)
    assert copy.read_bytes() == MAGIC + b"2"
    assert (other.added, other.replaced, other.diff) == ((), ("dapi",), "dapi.pmtiles replaced")
    assert catalog_line(other) == f"catalog  {catalog}  basemap dapi replaced"
    assert {path.name for path in catalog.parent.iterdir()} == {"catalog.yaml", "dapi.pmtiles"}


def test_an_archive_that_no_catalog_lists_is_not_replaced_in_silence(tmp_path: Path) -> None:
    archive, catalog = tmp_path / "in" / "dapi.pmtiles", tmp_path / "out" / "catalog.yaml"
    for folder, content in ((archive.parent, b"new"), (catalog.parent, b"old")):
        folder.mkdir()
        (folder / "dapi.pmtiles").write_bytes(MAGIC + content)
    result = update(UpdateCatalogParams(catalog_yaml=catalog, basemaps={"dapi": archive}, title="x"))
    assert (result.added, result.replaced) == (("dapi",), ("dapi",))
    assert catalog_line(result) == f"catalog  {catalog}  + basemap dapi, dapi.pmtiles replaced"
    assert result.diff.endswith("\n+    dapi: dapi.pmtiles\ndapi.pmtiles replaced")


def test_who_waits_for_a_catalog_says_so(tmp_path: Path) -> None:
    archive, catalog = tmp_path / "dapi.pmtiles", tmp_path / "catalog.yaml"
    archive.write_bytes(MAGIC)
    report = Notes()
    with ThreadPoolExecutor() as threads:
        with locked(catalog):
            params = UpdateCatalogParams(catalog_yaml=catalog, basemaps={"dapi": archive}, title="x")
            result = threads.submit(update, params, report)
            assert report.noted.wait(10)
        assert result.result().added == ("dapi",)
    assert report.notes == [f"waits for another run at work on {catalog}"]


def test_a_refused_catalog_gets_no_archive(tmp_path: Path) -> None:
    archive, catalog = tmp_path / "dapi.pmtiles", tmp_path / "out" / "catalog.yaml"
    archive.write_bytes(MAGIC)
    catalog.parent.mkdir()
    catalog.write_text("- a\n")
    with pytest.raises(CatalogError):
        update(UpdateCatalogParams(catalog_yaml=catalog, basemaps={"dapi": archive}, title="x"))
    assert list(catalog.parent.iterdir()) == [catalog]


def test_a_linked_catalog_stays_a_link_and_keeps_its_permissions(tmp_path: Path) -> None:
    real = tmp_path / "real" / "main.yaml"
    real.parent.mkdir()
    real.write_text("id: x\n")
    real.chmod(0o600)
    (tmp_path / "catalog.yaml").symlink_to(real)
    result = update_with(tmp_path, "dapi")
    assert result.path == tmp_path / "catalog.yaml"
    assert (tmp_path / "catalog.yaml").is_symlink()
    assert "dapi: dapi.pmtiles" in real.read_text()
    assert real.stat().st_mode & 0o777 == 0o600
    assert real.with_name("dapi.pmtiles").is_file()


ADD = """
import sys
from pathlib import Path
from cartloader_image.catalog.update import update
from cartloader_image.action_params import UpdateCatalogParams
folder, img_id = Path(sys.argv[1]), sys.argv[2]
catalog, archive = folder / "out" / "catalog.yaml", folder / "a.pmtiles"
update(UpdateCatalogParams(catalog_yaml=catalog, basemaps={img_id: archive}, title="x"))
"""


def test_updates_by_eight_processes_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "catalog.yaml").write_text("# mine\n" + FIELD)
    (tmp_path / "a.pmtiles").write_bytes(MAGIC)
    ids = [f"image{index}" for index in range(8)]
    runs = [subprocess.Popen([sys.executable, "-c", ADD, str(tmp_path), img_id]) for img_id in ids]
    assert [run.wait() for run in runs] == [0] * 8
    text = (tmp_path / "out" / "catalog.yaml").read_text()
    assert text.startswith("# mine\n" + FIELD)
    assert basemaps(text) == {img_id: f"{img_id}.pmtiles" for img_id in ids}
    assert len(list((tmp_path / "out").iterdir())) == 9


def test_updates_by_threads_lose_nothing(tmp_path: Path) -> None:
    ids = [f"image{index}" for index in range(16)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(partial(update_with, tmp_path), ids))
    assert sorted(basemaps((tmp_path / "catalog.yaml").read_text())) == sorted(ids)
