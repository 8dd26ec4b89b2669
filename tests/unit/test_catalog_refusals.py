"""What is no catalog is refused in one sentence and not touched, in no time."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest
from support.catalogs import FIELD, update_with

from cartloader_image.errors import CatalogError


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
def test_what_is_no_catalog_is_refused_and_not_touched(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "catalog.yaml").write_text(text)
    with pytest.raises(CatalogError, match=sentence) as caught:
        update_with(tmp_path, "dapi")
    assert str(caught.value).startswith(f"{tmp_path / 'catalog.yaml'}: ")
    assert "\n" not in str(caught.value)
    assert (tmp_path / "catalog.yaml").read_text() == text
    assert {path.name for path in tmp_path.iterdir()} == {"catalog.yaml", "dapi.pmtiles"}


def test_a_directory_and_another_encoding_are_refused(tmp_path: Path) -> None:
    (tmp_path / "catalog.yaml").write_bytes("id: é".encode("latin-1"))
    with pytest.raises(CatalogError, match="in UTF-8 is needed, found another encoding at byte 4"):
        update_with(tmp_path, "dapi")
    (tmp_path / "catalog.yaml").unlink()
    (tmp_path / "catalog.yaml").mkdir()
    with pytest.raises(CatalogError, match=r"catalog.yaml: a YAML file is needed, found a directory"):
        update_with(tmp_path, "dapi")


NESTED = {
    "blocks": "".join(f"{' ' * depth}a:\n" for depth in range(2000)) + " " * 2000 + "a: 1\n",
    "braces": "x: " + "{a: " * 2000 + "1" + "}" * 2000 + "\n",
    "lists": "x: " + "[" * 2000 + "1" + "]" * 2000 + "\n",
    "many more": "x: " + "[" * 200_000,
    "keys": "".join(f"{' ' * depth}? \n" for depth in range(2000)),
}


@pytest.mark.parametrize("text", NESTED.values(), ids=NESTED.keys())
def test_a_catalog_that_is_nested_very_deep_is_taken_or_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "catalog.yaml").write_text(text)
    with pytest.raises(CatalogError, match=r"catalog\.yaml: "):
        update_with(tmp_path, "dapi")
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
def test_aliases_of_aliases_take_no_time(tmp_path: Path, text: str) -> None:
    (tmp_path / "catalog.yaml").write_text(text)
    start = time.monotonic()
    with suppress(CatalogError):
        update_with(tmp_path, "dapi")
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
def test_whatever_yaml_raises_names_the_catalog(tmp_path: Path, text: str) -> None:
    (tmp_path / "catalog.yaml").write_text(text)
    with pytest.raises(CatalogError, match=r"catalog\.yaml: a YAML file is needed, found"):
        update_with(tmp_path, "dapi")


def test_a_large_file_or_none_at_all_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "catalog.yaml").open("wb") as file:
        file.truncate((1 << 17) + 1)
    with pytest.raises(CatalogError, match=r"has 131,073 bytes of a catalog, more than the 131,072 .*max-input-cost 2"):
        update_with(tmp_path, "dapi")
    (tmp_path / "catalog.yaml").unlink()
    os.mkfifo(tmp_path / "catalog.yaml")
    with pytest.raises(CatalogError, match="found a named pipe"):
        update_with(tmp_path, "dapi")
