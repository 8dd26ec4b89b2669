import difflib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.reports import Told

from cartloader_flows.cli.summary import catalog_line
from cartloader_image.action_params import UpdateCatalogParams
from cartloader_image.catalog.text import basemaps, with_basemaps
from cartloader_image.catalog.update import update
from cartloader_image.errors import CatalogError
from cartloader_image.results import CatalogResult
from cartloader_image.system.files import locked

MAGIC = b"PMTiles\x03" + bytes(119)

# As catalog tools of the field write it: groups of basemaps, lists at the column of their key.
FIELD = """\
id: brain_1
title: Brain, section 1
description: a long line that a library which writes parsed YAML out again would wrap somewhere, as it is over eighty
assets:
  sge:
    all: genes_all.pmtiles
    bins:
    - genes_bin1.pmtiles
    - genes_bin2.pmtiles
    counts: genes_bin_counts.json
  overview: sge-mono-dark.pmtiles
  basemap:
    sge:
      default: dark
      dark: sge-mono-dark.pmtiles
      light: sge-mono-light.pmtiles
"""


@pytest.fixture
def update_with(tmp_path: Path) -> Callable[..., CatalogResult]:
    """Update ``catalog.yaml`` in the test's directory with archives that lie there."""

    def run(*img_ids: str, title: str = "maps") -> CatalogResult:
        archives = {img_id: tmp_path / f"{img_id}.pmtiles" for img_id in img_ids}
        for img_id, path in archives.items():
            path.write_bytes(MAGIC + img_id.encode())
        return update(UpdateCatalogParams(catalog_yaml=tmp_path / "catalog.yaml", basemaps=archives, title=title))

    return run


def listed(text: str, *img_ids: str) -> str:
    return with_basemaps(text, {img_id: f"{img_id}.pmtiles" for img_id in img_ids}, "maps")


def test_a_missing_catalog_is_created(tmp_path: Path, update_with: Callable[..., CatalogResult]) -> None:
    result = update_with("dapi", "membrane")
    assert (tmp_path / "catalog.yaml").read_text() == (
        "id: maps\ntitle: maps\nassets:\n  basemap:\n    dapi: dapi.pmtiles\n    membrane: membrane.pmtiles\n"
    )
    assert (result.path, result.added, result.replaced) == (tmp_path / "catalog.yaml", ("dapi", "membrane"), ())
    assert result.diff.startswith("--- /dev/null\n+++ catalog.yaml\n@@ -0,0 +1,6 @@\n+id: maps\n")
    assert {path.name for path in tmp_path.iterdir()} == {"catalog.yaml", "dapi.pmtiles", "membrane.pmtiles"}


def test_the_diff_says_what_is_new(tmp_path: Path, update_with: Callable[..., CatalogResult]) -> None:
    (tmp_path / "catalog.yaml").write_text(FIELD + "    dapi: an_old_one.pmtiles\n    he: he.pmtiles\n")
    result = update_with("dapi", "he", "membrane")
    assert (result.added, result.replaced) == (("membrane",), ("dapi",))
    changes = [line for line in result.diff.splitlines()[2:] if line[0] in "+-"]
    assert changes == ["-    dapi: an_old_one.pmtiles", "+    dapi: dapi.pmtiles", "+    membrane: membrane.pmtiles"]


def test_nothing_is_written_where_nothing_changes(tmp_path: Path, update_with: Callable[..., CatalogResult]) -> None:
    update_with("dapi")
    os.utime(tmp_path / "catalog.yaml", ns=(1, 1))
    before = (tmp_path / "catalog.yaml").stat()
    result = update_with("dapi")
    after = (tmp_path / "catalog.yaml").stat()
    assert (result.added, result.replaced, result.diff) == ((), (), "")
    assert (after.st_mtime_ns, after.st_ino) == (1, before.st_ino)


def test_a_basemap_takes_the_line_after_the_others_and_every_other_byte_stays() -> None:
    assert listed(FIELD, "dapi") == FIELD + "    dapi: dapi.pmtiles\n"
    after = "\n  # what FICTURE found\n  factors:\n  - id: t12   # twelve\n    name: 'twelve'\n\n...\n"
    assert listed(FIELD + after, "dapi") == FIELD + "    dapi: dapi.pmtiles\n" + after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# mine\n", "# mine\nid: maps\ntitle: maps\nassets:\n  basemap:\n    a: a.pmtiles\n"),
        ("---\n# mine\nid: x\n", "---\n# mine\nid: x\nassets:\n  basemap:\n    a: a.pmtiles\n"),
        ("id: x", "id: x\nassets:\n  basemap:\n    a: a.pmtiles\n"),
        ("assets:\nid: x\n", "assets:\n  basemap:\n    a: a.pmtiles\nid: x\n"),
        ("assets: {}  # none yet\nid: x\n", "assets:  # none yet\n  basemap:\n    a: a.pmtiles\nid: x\n"),
        (
            "assets:\n    sge:\n        all: s\n    basemap: null\nid: x\n",
            "assets:\n    sge:\n        all: s\n    basemap:\n        a: a.pmtiles\nid: x\n",
        ),
        (
            "assets:\n  basemap:  # mine\n    # none yet\n",
            "assets:\n  basemap:  # mine\n    a: a.pmtiles\n    # none yet\n",
        ),
        ("assets:\n  basemap:\n    a:\n    b: b\n", "assets:\n  basemap:\n    a: a.pmtiles\n    b: b\n"),
        ("assets:\n  basemap:\n    a: 'x'  # y\n", "assets:\n  basemap:\n    a: 'a.pmtiles'  # y\n"),
        ('assets:\n  basemap:\n    "a": "x"\n', 'assets:\n  basemap:\n    "a": "a.pmtiles"\n'),
        (
            "assets:\n  basemap:\n    b: |\n      # no comment\n      x\n# end\n",
            "assets:\n  basemap:\n    b: |\n      # no comment\n      x\n    a: a.pmtiles\n# end\n",
        ),
        ("assets:\r\n  basemap:\r\n    b: é\r\n", "assets:\r\n  basemap:\r\n    b: é\r\n    a: a.pmtiles\r\n"),
        ("\ufeffassets:\n  basemap:\n    b: b\n", "\ufeffassets:\n  basemap:\n    b: b\n    a: a.pmtiles\n"),
        ('{"assets": {"basemap": {"b": "b"}}}\n', '{"assets": {"basemap": {"b": "b", "a": "a.pmtiles"}}}\n'),
        ('{"assets": null}', '{"assets": {"basemap": {"a": "a.pmtiles"}}}'),
        ("assets: {basemap: }\n", 'assets: {basemap: {"a": "a.pmtiles"} }\n'),
        (
            "x: &x {y: 1}\nassets:\n  basemap:\n    b: *x\nz: 1\n",
            "x: &x {y: 1}\nassets:\n  basemap:\n    b: *x\n    a: a.pmtiles\nz: 1\n",
        ),
    ],
)
def test_every_layout_keeps_what_is_not_a_basemap(before: str, after: str) -> None:
    assert listed(before, "a") == after
    assert listed(after, "a") == after


@pytest.mark.parametrize("img_id", ["no", "1", "012", "1e3", "0x1f", "2024-01-01", "null", "1.5", "12e03"])
def test_an_id_stays_a_text_whatever_else_yaml_could_take_it_for(img_id: str) -> None:
    text = listed("", img_id)
    assert f'    "{img_id}": {img_id}.pmtiles\n' in text
    assert yaml.safe_load(text)["assets"]["basemap"] == basemaps(text) == {img_id: f"{img_id}.pmtiles"}


def test_an_id_that_somebody_wrote_as_a_number_is_found() -> None:
    assert listed("assets:\n  basemap:\n    1: x\n", "1") == "assets:\n  basemap:\n    1: 1.pmtiles\n"


@pytest.mark.parametrize(
    "title", ["Brain 1", "2024", "yes", "a: b", "#1", "ß 脑 🧠", 'say "hi"', "\udcff odd\tname", ""]
)
def test_any_directory_name_can_be_a_title(title: str) -> None:
    text = with_basemaps("", {"a": "a.pmtiles"}, title)
    text.encode()
    assert (yaml.safe_load(text)["id"], yaml.safe_load(text)["title"]) == (title, title)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- a\n", "the catalog should be a mapping, found a list"),
        ("assets:\n- a\n", "assets should be a mapping, found a list"),
        ("assets: none\n", "assets should be a mapping, found the text 'none'"),
        ("assets:\n  basemap: [a.pmtiles]\n", "assets.basemap should be a mapping, found a list"),
        (
            FIELD + "    dapi: {default: x}\n",
            "assets.basemap.dapi is a mapping already, not one file; choose another --img",
        ),
        ("id: x\nassets: {\n", "a YAML file is needed, found an error in line 3: "),
        ("id: x\n---\nid: y\n", "a YAML file is needed, found an error in line 2: .* another document"),
        ("id: \x01\n", "a YAML file is needed, found an error: special characters"),
        ("id: x\nassets:\n  sge: 1\n  sge: 2\n", "the key sge is there twice, in lines 3 and 4; keep one"),
        ("x: &x {y: 1}\nassets:\n  basemap: *x\n", "no safe place .* by hand: assets: basemap: dapi: dapi.pmtiles"),
        ("x: &x a\nassets:\n  basemap:\n    dapi: *x\n", "no safe place"),
        ("assets: { # mine\n}\n", "assets should be a mapping, found braces around a comment"),
    ],
)
def test_what_is_no_catalog_is_refused_and_not_touched(
    tmp_path: Path, update_with: Callable[..., CatalogResult], text: str, sentence: str
) -> None:
    (tmp_path / "catalog.yaml").write_text(text)
    with pytest.raises(CatalogError, match=sentence) as caught:
        update_with("dapi")
    assert str(caught.value).startswith(f"{tmp_path / 'catalog.yaml'}: ")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "catalog.yaml").read_text() == text
    assert {path.name for path in tmp_path.iterdir()} == {"catalog.yaml", "dapi.pmtiles"}


def test_a_directory_and_another_encoding_are_refused(
    tmp_path: Path, update_with: Callable[..., CatalogResult]
) -> None:
    (tmp_path / "catalog.yaml").write_bytes("id: é".encode("latin-1"))
    with pytest.raises(CatalogError, match="in UTF-8 is needed, found another encoding at byte 4"):
        update_with("dapi")
    (tmp_path / "catalog.yaml").unlink()
    (tmp_path / "catalog.yaml").mkdir()
    with pytest.raises(CatalogError, match=r"catalog.yaml: a YAML file is needed, found a directory"):
        update_with("dapi")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"dapi.pmtiles: there is no such archive to list; make it with --png2pmtiles"),
        (b"", r"dapi.pmtiles: not a PMTiles archive of version 3"),
        (b"PMTiles\x02", "version 3"),
        (b"PMTiles\x03", r"dapi.pmtiles: is cut off"),
        (b"PMTiles\x03" + bytes(23) + b"\x01" + bytes(95), r"dapi.pmtiles: is cut off"),
        (b"\x89PNG\r\n\x1a\n", "version 3"),
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


NESTED = {
    "blocks": "".join(f"{' ' * depth}a:\n" for depth in range(2000)) + " " * 2000 + "a: 1\n",
    "braces": "x: " + "{a: " * 2000 + "1" + "}" * 2000 + "\n",
    "lists": "x: " + "[" * 2000 + "1" + "]" * 2000 + "\n",
    "many more": "x: " + "[" * 200_000,
    "keys": "".join(f"{' ' * depth}? \n" for depth in range(2000)),
}


@pytest.mark.parametrize("text", NESTED.values(), ids=NESTED.keys())
def test_a_catalog_that_is_nested_very_deep_is_taken_or_refused(
    tmp_path: Path, update_with: Callable[..., CatalogResult], text: str
) -> None:
    (tmp_path / "catalog.yaml").write_text(text)
    with pytest.raises(CatalogError, match=r"catalog\.yaml: "):
        update_with("dapi")
    assert (tmp_path / "catalog.yaml").read_text() == text


LEVELS = range(1, 60)
BOMBS = {
    "values": "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in LEVELS),
    "mappings": "a0: &a0 {x: y}\n" + "".join(f"a{n}: &a{n} {{b: *a{n - 1}, c: *a{n - 1}}}\n" for n in LEVELS),
    "keys": "a0: &a0 {x: y}\n"
    + "".join(f"a{n}: &a{n}\n  ? *a{n - 1}\n  : *a{n - 1}\n" for n in LEVELS)
    + "assets:\n  basemap:\n    ? *a59\n    : *a59\n",
    "nested keys": "? " * 40 + "&a40 x\n" + "".join(f"{' ' * 2 * (39 - n)}: *a40\n" for n in range(39)),
    "itself": "a: &a\n  b: *a\nassets: &b\n  basemap: &c\n    x: *c\n",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS.keys())
def test_aliases_of_aliases_take_no_time(tmp_path: Path, update_with: Callable[..., CatalogResult], text: str) -> None:
    (tmp_path / "catalog.yaml").write_text(text)
    start = time.monotonic()
    with suppress(CatalogError):
        update_with("dapi")
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(
    "text",
    [
        'a: "\\UFFFFFFFF"\n',
        '"\\U00110000": b\n',
        "%YAML 1." + "9" * 5000 + "\n---\na: b\n",
        "%TAG ! \n---\n",
        "a: !<%zz> b\n",
    ],
)
def test_whatever_yaml_raises_names_the_catalog(
    tmp_path: Path, update_with: Callable[..., CatalogResult], text: str
) -> None:
    (tmp_path / "catalog.yaml").write_text(text)
    with pytest.raises(CatalogError, match=r"catalog\.yaml: a YAML file is needed, found"):
        update_with("dapi")


def test_a_large_file_or_none_at_all_is_refused(tmp_path: Path, update_with: Callable[..., CatalogResult]) -> None:
    with (tmp_path / "catalog.yaml").open("wb") as file:
        file.truncate(65 << 20)
    with pytest.raises(CatalogError, match="found one of more than 64 MB"):
        update_with("dapi")
    (tmp_path / "catalog.yaml").unlink()
    os.mkfifo(tmp_path / "catalog.yaml")
    with pytest.raises(CatalogError, match="found no file"):
        update_with("dapi")


def test_who_waits_for_a_catalog_says_so(tmp_path: Path) -> None:
    archive, catalog = tmp_path / "dapi.pmtiles", tmp_path / "catalog.yaml"
    archive.write_bytes(MAGIC)
    report = Told()
    with ThreadPoolExecutor() as threads:
        with locked(catalog):
            params = UpdateCatalogParams(catalog_yaml=catalog, basemaps={"dapi": archive}, title="x")
            result = threads.submit(update, params, report)
            assert report.told.wait(10)
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


def test_a_linked_catalog_stays_a_link_and_keeps_its_permissions(
    tmp_path: Path, update_with: Callable[..., CatalogResult]
) -> None:
    real = tmp_path / "real" / "main.yaml"
    real.parent.mkdir()
    real.write_text("id: x\n")
    real.chmod(0o600)
    (tmp_path / "catalog.yaml").symlink_to(real)
    result = update_with("dapi")
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


def test_updates_by_threads_lose_nothing(tmp_path: Path, update_with: Callable[..., CatalogResult]) -> None:
    ids = [f"image{index}" for index in range(16)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(update_with, ids))
    assert sorted(basemaps((tmp_path / "catalog.yaml").read_text())) == sorted(ids)


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.dates()
ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,6}", fullmatch=True)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
groups = st.dictionaries(st.text(max_size=5), st.text(max_size=9), min_size=1, max_size=2)
files = st.dictionaries(ids, st.text(max_size=9) | st.none(), max_size=3)
assets = st.none() | st.dictionaries(st.sampled_from(["sge", "factors", "cells"]), values, max_size=3).flatmap(
    lambda some: st.one_of(
        st.just(some),
        st.tuples(st.none() | files, st.none() | groups).map(
            lambda parts: {**some, "basemap": parts[0] and {**parts[0], **({"#group": parts[1]} if parts[1] else {})}}
        ),
    )
)
catalogs = st.fixed_dictionaries(
    {"id": scalars}, optional={"assets": assets, "title": scalars, "more": values, "é": values}
)


@st.composite
def layouts(draw: Any) -> str:
    """A catalog as some tool or person might have laid it out, with comments and blank lines between its parts."""
    style = {
        "default_flow_style": draw(st.sampled_from([False, False, None, True])),
        "indent": draw(st.sampled_from([2, 4])),
        "width": draw(st.sampled_from([20, 80])),
        "allow_unicode": draw(st.booleans()),
    }
    text = yaml.safe_dump(draw(catalogs), sort_keys=False, **style)
    if style["default_flow_style"] is not True:
        remark = draw(st.sampled_from(["", "# remark: with {braces\n", "\n\n  # remark\n"]))
        keys = ("id", "assets", "title", "more")
        text = "".join(remark * line.startswith(keys) + line for line in text.splitlines(keepends=True)) + remark
    return text if draw(st.booleans()) else text.rstrip("\n")


@settings(deadline=None, max_examples=100)
@given(layouts(), st.lists(st.dictionaries(ids, st.just(""), min_size=1, max_size=2), min_size=1, max_size=3))
@example("id: null\nassets: {sge: null, factors: null,\n  cells: null}", [{"0": ""}])
def test_any_updates_leave_all_other_keys_and_all_lines_intact(text: str, updates: list[dict[str, str]]) -> None:
    expected = yaml.safe_load(text)
    new = text
    for update_ids in updates:
        names = {img_id: f"{img_id}.pmtiles" for img_id in update_ids}
        new = with_basemaps(new, names, "maps")
        expected["assets"] = expected.get("assets") or {}
        basemap = expected["assets"]["basemap"] = expected["assets"].get("basemap") or {}
        for name, file in names.items():
            own = next((key for key in basemap if str(key) == name), name)
            basemap[own] = file
        assert with_basemaps(new, names, "maps") == new
    assert repr(yaml.safe_load(new)) == repr(expected)
    assert new.count("# remark") == text.count("# remark")
    if not text.startswith("{"):
        removed = [
            line[2:].strip(" '\"") for line in difflib.ndiff(text.splitlines(), new.splitlines()) if line[0] == "-"
        ]
        mine = ("assets:", "basemap:", *(name for names in updates for name in names))
        # The last line of a mapping in braces grows before its closing brace; what it said stays.
        assert all(line.startswith(mine) or line.rstrip("}") in new for line in removed)
