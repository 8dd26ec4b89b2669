"""The text of a catalog: its layout stays as it is, whoever wrote it."""

from __future__ import annotations

import difflib
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.catalogs import FIELD, listed

from cartloader_image.catalog.text import basemaps, with_basemaps


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
