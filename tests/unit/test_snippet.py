"""Code for others' pages knows what it has to know of the archives."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.archives import cut, write_archive

from cartloader_flows.cli.main import main
from cartloader_image.tiles.grid import HALF_MAP, lon_lat
from cartloader_image.viewer import snippet

LIBRARIES = ["maplibre", "deckgl", "leaflet", "openlayers"]
SIDE = 2 * HALF_MAP / 2**9


def archive(path: Path, tile: int, **metadata: Any) -> Path:
    tiles = cut(np.zeros((1024, 1024, 3), np.uint8), 9, 256, 255, tile)
    tiles |= cut(np.zeros((tile, tile, 3), np.uint8), 8, 128, 127, tile)
    return write_archive(path, tiles, metadata, min_zoom=8, max_zoom=9)


def listed(code: str) -> list[dict[str, Any]]:
    """The layers that it names."""
    rows = re.search(r"layers = \[\n(.*?)^\]", code, re.DOTALL | re.MULTILINE)
    assert rows
    return [json.loads(row.strip().removesuffix(",")) for row in rows[1].splitlines()]


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(["view", *argv]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("library", LIBRARIES)
def test_it_knows_the_archives(tmp_path: Path, capsys: pytest.CaptureFixture[str], library: str) -> None:
    archive(tmp_path / "a b.pmtiles", 256, attribution="© <b>Somebody</b>")
    archive(tmp_path / "c.pmtiles", 1024)
    (tmp_path / "text.pmtiles").write_text("no archive")
    assert main(["view", "--snippet", library, "--url", "https://images.test/x/", str(tmp_path)]) == 0
    code, told = capsys.readouterr()
    assert "text.pmtiles: " in told
    first, second = listed(code)
    assert (first["id"], first["url"]) == ("a b", "https://images.test/x/a%20b.pmtiles")
    assert (first["tileSize"], first["minzoom"], first["maxzoom"]) == (256, 8, 9)
    assert (first["attribution"], "attribution" in second) == ("© <b>Somebody</b>", False)
    assert (second["tileSize"], second["url"]) == (1024, "https://images.test/x/c.pmtiles")
    (west, south), (east, north) = lon_lat(0, SIDE - SIDE), lon_lat(SIDE, SIDE)
    assert second["bounds"] == pytest.approx([west, south, east, north], abs=1e-6)
    assert not re.search("LAYERS|BOUNDS|EXTENT", code)
    assert code.startswith("// npm install ")


def test_the_address_is_a_placeholder_or_that_of_the_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = archive(tmp_path / "a.pmtiles", 512)
    assert listed(printed(capsys, "--snippet", "openlayers", str(path)))[0]["url"] == (
        f"{snippet.PLACEHOLDER}a.pmtiles"
    )
    url = "https://images.test/other.pmtiles"
    assert listed(printed(capsys, "--snippet", "leaflet", "--url", url, str(path)))[0]["url"] == url


def test_qgis_opens_the_file_here_or_on_the_web(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = archive(tmp_path / "a.pmtiles", 1024)
    code = printed(capsys, "--snippet", "qgis", str(path))
    compile(code, "qgis", "exec")
    assert listed(code) == [{"id": "a", "source": str(path)}]
    extent = re.search(r"QgsRectangle\(\*(.*?)\)\)", code)
    assert extent
    assert json.loads(extent[1]) == pytest.approx([0, 0, SIDE, SIDE], abs=0.02)
    code = printed(capsys, "--snippet", "qgis", "--url", "https://images.test", str(path))
    assert listed(code)[0]["source"] == "/vsicurl/https://images.test/a.pmtiles"


def test_what_cannot_be_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "one").mkdir()
    paths = [str(archive(folder / "a.pmtiles", 512)) for folder in (tmp_path, tmp_path / "one")]
    assert main(["view", "--snippet", "maplibre", *paths]) == 2
    assert capsys.readouterr().err.startswith("a.pmtiles: two archives have this name, and one address; print the code")
    assert main(["view", "--url", "https://images.test", *paths]) == 2
    assert capsys.readouterr().err == "--url is for --snippet, which says what code is printed\n"
