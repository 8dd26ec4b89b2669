"""`cartloader verify`: what it prints, for people and for scripts, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pmtiles.tile import TileType
from support.archives import cut, write_archive

from cartloader_flows.cli.main import main

PIXELS = np.random.default_rng(4).integers(0, 256, (512, 512, 3), np.uint8)


@pytest.fixture(autouse=True)
def _archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good archive, a bad one, one of vector tiles."""
    monkeypatch.chdir(tmp_path)
    half = PIXELS.reshape(256, 2, 256, 2, 3).mean((1, 3)).astype(np.uint8)
    tiles = cut(PIXELS, 5, 8, 12, 128) | cut(half, 4, 4, 6, 128)
    write_archive(Path("good.pmtiles"), tiles)
    broken = {place: data[:-1] for place, data in tiles.items() if place[0] == 5}
    write_archive(Path("bad.pmtiles"), tiles | broken, max_lon_e7=-1)
    write_archive(Path("vector.pmtiles"), {(1, 0, 0): b"no tile"}, tile_type=TileType.MVT)


def test_a_person_reads_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "good.pmtiles", "vector.pmtiles"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "good.pmtiles  good: z4–5, 20 tiles, 20 decoded, 4 compared with the next zoom",
        "vector.pmtiles  good: z1, 1 tile; its tiles are no pictures, so that just the container was looked at",
    ]
    assert main(["verify", "bad.pmtiles", "good.pmtiles", "missing.pmtiles"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "bad.pmtiles  not good:"
    assert lines[1] == "  the bounds in its header are no box: 0.0, 0.0, -1e-07, 0.0"
    assert lines[2] == "  tile 5/11/15 is a PNG that is cut off"
    assert lines[6].startswith("  tile 5/")
    assert lines[6].endswith(" is a PNG that is cut off (and so 11 others)")
    assert lines[7].startswith("good.pmtiles  good: ")
    assert lines[8] == "missing.pmtiles  not good:"
    assert lines[9] == "  cannot be read (No such file or directory); a PMTiles archive is needed"
    assert len(lines) == 10


def test_a_script_reads_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--json", "--deep", "good.pmtiles", "bad.pmtiles", "missing.pmtiles"]) == 1
    good, bad, missing = map(json.loads, capsys.readouterr().out.splitlines())
    assert good == {
        "archive": "good.pmtiles", "good": True, "findings": [], "left_out": 0,
        "zooms": [4, 5], "tiles": 20, "decoded": 20, "compared": 4,
    }  # fmt: skip
    assert (bad["good"], bad["tiles"], bad["left_out"]) == (False, 20, 0)
    assert bad["findings"][1] == {"tile": "5/11/15", "text": "is a PNG that is cut off", "others": 0}
    assert bad["findings"][5]["others"] == 11
    assert (missing["good"], missing["zooms"], missing["tiles"]) == (False, None, 0)
