"""What a mapping says, word by word, in each of its formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cartloader_image.errors import UsageError
from cartloader_image.recipe.entries import Entry, read_entry, read_mapping


def read(tmp_path: Path, content: str | bytes, name: str = "m.yaml") -> dict[str, Entry]:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return {img_id: read_entry(img_id, value) for img_id, value in read_mapping(path).items()}


def refusal(tmp_path: Path, content: str | bytes, name: str = "m.yaml") -> str:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, content, name)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_ids_and_values_are_what_is_written(tmp_path: Path) -> None:
    words = ["010", "1.10", "no", "on", "1_2", "0x1F", "12:30", "1e3", "2024-01-01", "null", "true", "Y", ".5"]
    for key, value in zip(words, [*words[3:], *words[:3]], strict=True):
        plain = {key: Entry("a", {} if value == "null" else {"page": value})}
        assert read(tmp_path, f"{key}: {{path: a, page: {value}}}") == plain
        quoted = {key: Entry("a", {"page": value})}
        assert read(tmp_path, f"'{key}': {{path: a, page: '{value}'}}") == quoted
        assert read(tmp_path, json.dumps({key: {"path": "a", "page": value}})) == quoted
        assert read(tmp_path, f"id,path,page\n{key},a,{value}\n") == quoted


def test_numbers_and_flags_of_json_keep_their_spelling(tmp_path: Path) -> None:
    text = (
        '{"a": {"path": "a.tif", "page": 7, "z": 1e3, "level": 1.10, '
        '"mono": true, "rgba": false, "srs": NaN, "x": null}}'
    )
    options = {"page": "7", "z": "1e3", "level": "1.10", "mono": "true", "rgba": "false", "srs": "NaN"}
    assert read(tmp_path, text) == {"a": Entry("a.tif", options)}


def test_json_is_read_as_json_whatever_its_name(tmp_path: Path) -> None:
    text = '{\n\t"he":\t{"path": "\\ud83d\\ude00/\\u00e9.png", "georef-bounds": [0, -1.50, 2e1, 3]}\n}'
    for name in ("m.json", "m.yaml", "mapping"):
        assert read(tmp_path, text, name) == {"he": Entry("😀/é.png", {"georef_bounds": ["0", "-1.50", "2e1", "3"]})}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_texts_in_each_encoding_of_unicode(tmp_path: Path, encoding: str) -> None:
    for text in ("he: é.png\n", '{"he": "é.png"}', "id\tpath\nhe\té.png\n"):
        assert read(tmp_path, text.encode(encoding)) == {"he": Entry("é.png", {})}


def test_what_has_no_value_is_told_from_null(tmp_path: Path) -> None:
    text = "a: {path: a.tif, page: null, z: ~}\nb: null\nc: ~\nd:\ne: {path: }\n"
    assert read(tmp_path, text) == {"a": Entry("a.tif", {}), **{name: Entry(None, {}) for name in "bcde"}}
    for text in (
        "a: {path: a, colorize: }",
        "a:\n path: a\n colorize: #ff0000\n",
        '{"a": {"path": "a", "colorize": ""}}',
    ):
        assert "a: --colorize has no value; write null for none, and one with a # in quotes" in refusal(tmp_path, text)


def test_merge_keys_and_aliases(tmp_path: Path) -> None:
    text = """
    defaults: &some {page: 010, colorize: red}
    more: &more {colorize: blue, rotate: 90}
    IMAGES:
      a: {<<: *some, path: a.tif}
      b: {path: b.tif, <<: [*some, *more], page: 2}
    """
    assert read(tmp_path, text) == {
        "a": Entry("a.tif", {"page": "010", "colorize": "red"}),
        "b": Entry("b.tif", {"page": "2", "colorize": "red", "rotate": "90"}),
    }


@pytest.mark.parametrize("merge", [False, True])
def test_aliases_of_aliases_cost_nothing(tmp_path: Path, merge: bool) -> None:
    lines = ["a0: &a0 {path: x, page: 1}" if merge else "a0: &a0 [x]"]
    for level in range(1, 60):
        twice = f"[*a{level - 1}, *a{level - 1}]"
        lines.append(f"a{level}: &a{level} {{<<: {twice}}}" if merge else f"a{level}: &a{level} {twice}")
    text = "\n".join(lines)
    if merge:
        assert read(tmp_path, text)["a59"] == Entry("x", {"page": "1"})
    else:
        assert "a0 needs a path" in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", "a is there twice"),
        ('{"a": "1", "\\u0061": "3"}', "a is there twice"),
        ("IMAGES: {a: 1}\nIMAGES: {b: 1}", "IMAGES is there twice"),
        ("a: {path: 1, page: 1, page: 1}", "a: page is there twice"),
        ("a: {path: 1, georef-bounds: 1, georef_bounds: 1}", "a: georef_bounds is there twice"),
        ('{"a": {"path": 1, "z-project": "max", "z_project": "max"}}', "a: z_project is there twice"),
        ("a: {path: 1, path: 2}", "a: path is there twice"),
        ("d: &d {page: 1, page: 2}\nIMAGES: {a: {<<: *d, path: 1}}", "page is there twice"),
        ("id,path\na,1\nb,2\na,3\n", "a is there twice"),
        ("id,path,path\na,1,2\n", "the column path is there twice"),
        ("id,path,z-project,z_project\na,1,,\n", "the column z_project is there twice"),
        ("id,path\n,1\n", "line 2 has no id"),
        ("id,path,georef-bounds\na,1,0,0,1,1\n", "line 2 has more cells than columns have names"),
        ("id,path,\na,1,\nb,2,x\n", "line 3 has more cells than columns have names"),
        ("id,path,colour\na,1,\n", "the column 'colour' is no option"),
        ('id,path\na,"1\n', "line 2: unexpected end of data"),
        ("a: {path: 1, georef_bounds: [[0], 1, 2]}", "a: --georef-bounds takes one value, or a list of numbers"),
        ("a: {path: 1, page: {x: 1}}", "a: --page takes one value"),
        ("a: &a {path: *a}", "an alias inside of what it stands for"),
        ("a: &a {<<: *a}", "an alias inside of what it stands for"),
        ("a: {<<: 1, path: 1}", "<< takes a mapping"),
        ("? [a]\n: 1\n", "a list or mapping cannot be an id"),
        ("[" * 50_000, "nested too deeply"),
        ("{a: " * 50_000, "nested too deeply"),
        ('{"a": ' * 200_000 + "1" + "}" * 200_000, "nested too deeply"),
        ('a: "\\U00110000"', "neither JSON nor YAML"),
        ("a: b\n---\na: c\n", "neither JSON nor YAML (line 2: but found another document)"),
        ("a:\tb:\tc", "neither JSON nor YAML (line 1"),
        ("", "a mapping of image ids to paths is needed"),
        ("a", "a mapping of image ids to paths is needed"),
        ("IMAGES: {}", "a mapping of image ids to paths is needed"),
        (b"he: \xe9.png", "no text in UTF-8 or UTF-16 at byte 4"),
        (b"\x1f\x8b\x08\x00 gzip", "no text in UTF-8 or UTF-16 at byte 1"),
        ("a: \x00", "neither JSON nor YAML"),
    ],
)
def test_a_wrong_mapping_is_one_sentence(tmp_path: Path, text: str | bytes, words: str) -> None:
    assert words in refusal(tmp_path, text)


def test_a_sheet_has_a_delimiter_of_its_own(tmp_path: Path) -> None:
    expected = {
        "a": Entry("dir/a b.tif", {"georef_bounds": "0,0,1,1", "rotate": "90"}),
        "b": Entry("b.tif", {}),
        "c": Entry(None, {}),
    }
    for delimiter in ",;\t":
        rows = [
            ["rotate", " id", "path", "georef-bounds", "page"],
            ["90", "a", "dir/a b.tif ", '"0,0,1,1"', ""],
            ["", "b", "b.tif"],
            ["", "", ""],
            ["", "c", ""],
        ]
        text = "\r\n".join(delimiter.join(row) for row in rows)
        assert read(tmp_path, f"\n{text}\n\n", "m.txt") == expected
    assert "starts with a line that names its columns" in refusal(tmp_path, "name,file\na,b\n", "m.CSV")


def test_texts_that_only_look_like_sheets(tmp_path: Path) -> None:
    values: list[Any] = [{"id": "path"}, {"id, path": "a"}, {"path": "id"}]
    for value in values:
        (name,) = value
        assert read(tmp_path, json.dumps(value)) == {name: Entry(value[name], {})}
