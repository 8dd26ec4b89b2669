"""Whatever a mapping says, in each of its formats: what is made has the ids as spelled, or the culprit is named."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from cartloader_flows.cli.main import main

Rows = list[tuple[str, str | None]]
"""Ids and, for each, the rotation as it is spelled; None for an entry without a path."""

TRAPS = [
    *(
        "010",
        "1.10",
        "1_2",
        "0x1F",
        "0o17",
        "0b11",
        "1e3",
        ".5",
        "12:30:45",
        "2024-01-01",
        "no",
        "No",
        "off",
        "on",
        "yes",
    ),
    *("y", "n", "true", "False", "null", "Null", "~", "nan", "-1", "+", "=", "<<", "IMAGES", "id", "path", "a", "A"),
    *("a_assets", "a_assets_assets", "a.transform", "a.pmtiles", "a.json", "b.", "1", "1.0", "01", "00", "catalog"),
]
IDS = st.one_of(st.sampled_from(TRAPS), st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,5}", fullmatch=True))
ROWS = st.lists(st.tuples(IDS, st.sampled_from(["90", "090", "0180", None])), min_size=1, max_size=4)
SUFFIXES = (".geotif.tif", ".pmtiles", ".json", "_assets.json")


def as_yaml(rows: Rows) -> str:
    # A plain << merges, and a plain = starts a value.
    names = [repr(name) if name in {"<<", "="} else name for name, _ in rows]
    entries = [f"{{path: a.png, rotate: {turn}}}" if turn else "null" for _, turn in rows]
    return "".join(f"{name}: {entry}\n" for name, entry in zip(names, entries, strict=True))


def as_json(rows: Rows) -> str:
    entries = [json.dumps({"path": "a.png", "rotate": turn}) if turn else "null" for _, turn in rows]
    pairs = [f"{json.dumps(name)}:\t{entry}" for (name, _), entry in zip(rows, entries, strict=True)]
    return "\n".join(["{", ",\n".join(pairs), "}"])


def as_csv(rows: Rows) -> str:
    text = io.StringIO()
    csv.writer(text).writerows([("id", "path", "rotate"), *((name, turn and "a.png", turn) for name, turn in rows)])
    return text.getvalue()


def culprits(rows: Rows, *, sheet: bool) -> list[str]:
    """Ids of which one has to be named, if there are any."""
    ids = [name for name, _ in rows]
    lower = [name.lower() for name in ids]
    wrong = [name for name in ids if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name)]
    wrong += [name for name in ids if lower.count(name.lower()) > 1]
    # In an object, IMAGES holds the ids.
    wrong += [name for name, turn in rows if name == "IMAGES" and turn and not sheet]
    imported = [name for name, turn in rows if turn]
    files = [f"{name}{suffix}".lower() for name in imported for suffix in SUFFIXES]
    wrong += [name for name in imported if any(files.count(f"{name}{suffix}".lower()) > 1 for suffix in SUFFIXES)]
    return wrong or ([] if imported else ids)


@settings(max_examples=60)
@given(ROWS, st.sampled_from([as_yaml, as_json, as_csv]))
@example([(name, "090") for name in TRAPS[:3] + TRAPS[9:11] + ["0x1F", "1e3", "on", "y", "null", "id"]], as_yaml)
@example([("a", "90"), ("a_assets", "90")], as_csv)
@example([("no", None), ("010", "090")], as_json)
def test_what_is_made_has_the_ids_as_spelled_or_the_culprit_is_named(
    rows: Rows, written: Callable[[Rows], str]
) -> None:
    with TemporaryDirectory() as folder, redirect_stderr(io.StringIO()) as err, redirect_stdout(io.StringIO()):
        home = Path(folder)
        Image.fromarray(np.arange(4, dtype=np.uint8).reshape(2, 2)).save(home / "a.png")
        (home / "m").write_text(written(rows))
        argv = ["import_image", "--direct", "--png2pmtiles", "--georef-bounds", "0,0,2,2", "--in-json", str(home / "m")]
        code = main([*argv, "--out-dir", str(home / "map")])
        if named := culprits(rows, sheet=written is as_csv):
            assert code == 2
            assert any(name in err.getvalue() for name in named)
            assert not (home / "map").exists()
            return
        assert code == 0, err.getvalue()
        imported = [name for name, turn in rows if turn]
        expected = {f"{name}{suffix}" for name in imported for suffix in SUFFIXES}
        assert {file.name for file in (home / "map").iterdir()} == expected
        for name in imported:
            assert list(json.loads((home / "map" / f"{name}.json").read_text())) == [name]
        assert all(name in err.getvalue() for name, turn in rows if not turn)
