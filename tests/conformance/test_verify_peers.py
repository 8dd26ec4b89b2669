"""No false alarm: archives of other programs and of ours, with whatever pixels and however made smaller, are good."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pmtiles.tile import Compression, TileType
from support.archives import WORLD, cut, write_archive
from support.maps import blobs, import_picture, save, write_ome
from support.tools import require_tools

from cartloader_image.tiles.verify import verify

PLACE = ["-a_srs", "EPSG:3857", "-a_ullr", "-20", "110", "70", "0"]


def run(folder: Path, *argv: str) -> None:
    subprocess.run([shutil.which(argv[0]) or argv[0], *argv[1:]], cwd=folder, check=True, capture_output=True)


def check(path: Path) -> int:
    """Make sure that all of an archive is good; returns the number of tiles that were compared."""
    found = verify(path, deep=True)
    assert found.good, [str(finding) for finding in found.findings]
    assert found.tiles
    return found.compared


def pixels(kind: str) -> NDArray[np.uint8]:
    """What is made smaller with difficulty: detail, noise, dots, and squares that vanish or stay as it happens."""
    random, size = np.random.default_rng(3), (700, 600, 3)
    if kind == "noise":
        return random.integers(0, 256, size, np.uint8)
    if kind == "dots":
        return np.where(random.random((*size[:2], 1)) < 0.05, np.uint8(255), np.zeros(size, np.uint8))
    if kind == "squares":
        rows, columns = np.indices(size[:2]) // 2 % 2
        return np.repeat((rows ^ columns)[..., None].astype(np.uint8) * 255, 3, axis=2)
    return blobs(*size)


@pytest.mark.parametrize(
    ("kind", "tile_format", "resampling"),
    [
        ("dots", "JPEG", "nearest"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("detail", "PNG", "average"), ("squares", "PNG", "mode"), ("noise", "PNG", "cubic"))
        ),
    ],
)
def test_gdal_and_go_pmtiles(tmp_path: Path, kind: str, tile_format: str, resampling: str) -> None:
    require_tools("gdal_translate", "gdaladdo", "pmtiles")
    save(tmp_path / "a.png", pixels(kind))
    run(tmp_path, "gdal_translate", "-q", *PLACE, "a.png", "a.tif")
    options = ["-co", f"TILE_FORMAT={tile_format}", "-co", "QUALITY=50"]
    run(tmp_path, "gdal_translate", "-q", "-of", "MBTILES", *options, "a.tif", "a.mbtiles")
    run(tmp_path, "gdaladdo", "-q", "-r", resampling, "a.mbtiles", "2", "4", "8")
    run(tmp_path, "pmtiles", "convert", "a.mbtiles", "a.pmtiles")
    assert check(tmp_path / "a.pmtiles") > 5


@pytest.mark.parametrize(
    ("kind", "tile_format", "resampling"),
    [
        ("detail", "WEBP", "bilinear"),
        ("noise", "JPEG", "nearest"),
        ("squares", "PNG", "nearest"),
    ],
)
@pytest.mark.slow
def test_rio_pmtiles(tmp_path: Path, kind: str, tile_format: str, resampling: str) -> None:
    require_tools("gdal_translate")
    save(tmp_path / "a.png", pixels(kind))
    run(tmp_path, "gdal_translate", "-q", *PLACE, "a.png", "a.tif")
    rio = str(Path(sys.executable).with_name("rio"))
    options = ["--format", tile_format, "--resampling", resampling, "--tile-size", "256", "--zoom-levels", "14..20"]
    run(tmp_path, rio, "pmtiles", *options, "a.tif", "a.pmtiles")
    assert check(tmp_path / "a.pmtiles") > 5


PLACED = "-2000000,11000000,7000000,700000"
"""A picture as large as a continent, as `pmtiles extract` counts all tiles of the world at its zooms."""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ours")
    clear = blobs(800, 700, 4)
    clear[200:600, 100:500, 3] = 0
    return import_picture(save(folder / "a.png", clear), folder, georef_bounds=PLACED, blocksize=256)


@pytest.mark.parametrize(
    "options",
    [
        ["--bbox=0,20,30,60"],
        ["--bbox=-120,-10,10,80"],
        ["--bbox=-100,-20,100,80"],
        ["--maxzoom=3"],
        ["--minzoom=4"],
        ["--bbox=0,20,30,60", "--minzoom=3", "--maxzoom=4"],
    ],
    ids=str,
)
def test_a_piece_of_one_of_ours(ours: Path, tmp_path: Path, options: list[str]) -> None:
    require_tools("pmtiles")
    run(tmp_path, "pmtiles", "extract", str(ours), "a.pmtiles", *options)
    check(tmp_path / "a.pmtiles")


def test_what_else_go_pmtiles_makes_of_ours(ours: Path, tmp_path: Path) -> None:
    require_tools("pmtiles")
    shutil.copy(ours, tmp_path / "a.pmtiles")
    (tmp_path / "m.json").write_text(json.dumps({"name": "other", "format": "png"}))
    run(tmp_path, "pmtiles", "edit", "a.pmtiles", "--metadata=m.json")
    check(tmp_path / "a.pmtiles")
    for name, zooms in (("low", "--maxzoom=3"), ("high", "--minzoom=4")):
        run(tmp_path, "pmtiles", "extract", str(ours), f"{name}.pmtiles", zooms)
    run(tmp_path, "pmtiles", "merge", "low.pmtiles", "high.pmtiles", "both.pmtiles")
    check(tmp_path / "both.pmtiles")
    far = import_picture(
        save(tmp_path / "far.png", blobs(300, 300, 3)),
        tmp_path / "far",
        georef_bounds="-9000000,-5000000,-8000000,-6000000",
    )
    run(tmp_path, "pmtiles", "merge", str(ours), str(far), "two.pmtiles")
    assert "where others have" in str(verify(tmp_path / "two.pmtiles").findings[0])  # tiles of 256² and of 512²
    near = import_picture(
        save(tmp_path / "near.png", blobs(300, 300, 3)),
        tmp_path / "near",
        georef_bounds="-9000000,-5000000,-8000000,-6000000",
        blocksize=256,
    )
    run(tmp_path, "pmtiles", "merge", str(ours), str(near), "two.pmtiles")
    check(tmp_path / "two.pmtiles")


def test_the_writer_of_the_package_and_go_pmtiles_that_clusters(tmp_path: Path) -> None:
    """Bounds that were never set, tiles in any order, and equal ones."""
    require_tools("pmtiles")
    tiles = cut(pixels("detail")[:512, :512], 4, 8, 6, 256) | cut(pixels("detail")[:256, :256], 3, 0, 0, 256)
    path = write_archive(tmp_path / "a.pmtiles", tiles | {(5, x, 31): tiles[3, 0, 0] for x in range(9)})
    check(path)
    check(write_archive(path, tiles, {"bounds": "-180,-85.05,180,85.05", "minzoom": "0"}, **WORLD))
    data = bytearray(path.read_bytes())
    data[96] = 0
    path.write_bytes(data)
    run(tmp_path, "pmtiles", "cluster", "a.pmtiles")
    check(path)


def test_of_vector_tiles_it_is_the_container(tmp_path: Path) -> None:
    tiles = {(2, x, y): gzip.compress(b"\x1a\x00 no vector tile, %d" % x) for x in range(4) for y in range(3)}
    more = {"tile_type": TileType.MVT, "tile_compression": Compression.GZIP}
    path = write_archive(tmp_path / "a.pmtiles", tiles, {"vector_layers": [], "format": "pbf"}, **WORLD | more)
    found = verify(path)
    assert (found.good, found.tiles, found.decoded) == (True, 12, 0)
    path.write_bytes(path.read_bytes()[:-1])
    assert not verify(path).good


@pytest.mark.parametrize(
    "options",
    [
        {"tile_format": "webp"},
        {"tile_format": "webp-lossy", "transparent_below": 90},
        {"tile_format": "jpeg", "background": "black", "tile_quality": 30},
        {"colorize": "cyan", "transparent_below": 120},
        {"colorize": "#ff8000", "rotate": 90, "flip_vertical": True},
        {"resample": "near", "transparent_below": 120},
        {"resample": "mode", "blocksize": 1024},
        {"min_zoom": 10, "max_zoom": 17},
        *(
            pytest.param({"engine": "gdal", **options}, marks=pytest.mark.slow)
            for options in (
                {"blocksize": 256, "transparent_below": 120},
                {"tile_format": "jpeg", "resample": "near"},
                {"resample": "lanczos", "flip_horizontal": True},
            )
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["dots", pytest.param("detail", marks=pytest.mark.slow)])
def test_ours(tmp_path: Path, options: dict[str, Any], kind: str) -> None:
    if options.get("engine"):
        require_tools()
    slide = write_ome(tmp_path / "a.ome.tif", pixels(kind)[:700, :600, 0], 0.2)
    check(import_picture(slide, tmp_path / "map", **options))


def test_a_picture_that_is_next_to_nothing(tmp_path: Path) -> None:
    picture = tmp_path / "a.png"
    Image.new("RGBA", (9, 3), (200, 0, 0, 90)).save(picture)
    check(import_picture(picture, tmp_path / "map", georef_bounds="0,0,1,0.5", min_zoom=12))
