"""Archives as other programs see them: read with the reader of the pmtiles package, decoded with Pillow."""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pmtiles.tile import Compression, TileType
from support.archives import read, tiles_of
from support.maps import HALF_MAP, blobs, import_picture, look, psnr, save, write_ome

from cartloader_image.engines import native
from cartloader_image.errors import ArchiveError, BoundsError
from cartloader_image.recipe import actions


def web_mercator(longitude: float, latitude: float) -> tuple[float, float]:
    radius = 6378137
    return math.radians(longitude) * radius, math.asinh(math.tan(math.radians(latitude))) * radius


BOUNDS = (-431.7, 219.3, 133.1, 911.9)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    picture = save(folder / "picture.png", blobs(1100, 897, 3))
    return import_picture(picture, folder / "out", georef_bounds=",".join(map(str, BOUNDS)), blocksize=256)


def test_the_header_says_what_is_inside(archive: Path) -> None:
    header, metadata = read(archive)
    tiles = tiles_of(archive)
    assert header["tile_type"] == TileType.PNG
    assert header["tile_compression"] == Compression.NONE
    assert header["internal_compression"] == Compression.GZIP
    assert header["clustered"]
    assert header["addressed_tiles_count"] == len(tiles)
    assert (header["min_zoom"], header["max_zoom"]) == (min(z for z, _, _ in tiles), max(z for z, _, _ in tiles))
    assert header["min_zoom"] <= header["center_zoom"] <= header["max_zoom"]
    corners = [
        *web_mercator(header["min_lon_e7"] / 1e7, header["min_lat_e7"] / 1e7),
        *web_mercator(header["max_lon_e7"] / 1e7, header["max_lat_e7"] / 1e7),
    ]
    assert corners == pytest.approx(BOUNDS, abs=0.02)  # the header counts in steps of 1e-7°, 11 mm
    precise = [float(value) for value in metadata["bounds"].split(",")]
    assert [*web_mercator(*precise[:2]), *web_mercator(*precise[2:])] == pytest.approx(BOUNDS, abs=2e-4)
    assert metadata["format"] == "png"
    assert metadata["type"] == "overlay"
    assert metadata["tilesize"] == 256
    assert (metadata["minzoom"], metadata["maxzoom"]) == (header["min_zoom"], header["max_zoom"])
    origin = metadata["cartloader"]
    assert origin["image_size"] == [897, 1100]
    assert origin["color_mode"] == "rgb"
    assert origin["um_per_pixel"] == pytest.approx([(133.1 + 431.7) / 897, (911.9 - 219.3) / 1100])
    assert len(origin["input_sha256"]) == 64


def test_the_tiles_are_those_that_the_bounds_ask_for(archive: Path) -> None:
    header, _ = read(archive)
    found = set(tiles_of(archive))
    pixel = min((133.1 + 431.7) / 897, (911.9 - 219.3) / 1100)
    zoom = math.ceil(math.log2(2 * HALF_MAP / 256 / pixel))
    expected = set()
    for z in range(zoom, -1, -1):
        side = 2 * HALF_MAP / 2**z
        rows = range(math.floor((HALF_MAP - BOUNDS[3]) / side), math.floor((HALF_MAP - BOUNDS[1]) / side) + 1)
        columns = range(math.floor((BOUNDS[0] + HALF_MAP) / side), math.floor((BOUNDS[2] + HALF_MAP) / side) + 1)
        expected |= {(z, x, y) for x in columns for y in rows}
        if (BOUNDS[3] - BOUNDS[1]) / (2 * HALF_MAP / 256 / 2 ** (z + 1)) <= 256:
            break
    assert header["max_zoom"] == zoom
    assert header["min_zoom"] == z
    assert found == expected


def test_only_tiles_at_the_edge_have_alpha(archive: Path) -> None:
    view = look(archive, read(archive)[0]["max_zoom"], 256)
    assert set(view.modes.values()) == {"RGB", "RGBA"}
    for (x, y), mode in view.modes.items():
        alpha = view.window(y * 256, (y + 1) * 256, x * 256, (x + 1) * 256)[..., 3]
        assert (mode == "RGB") == bool((alpha == 255).all())


def test_grey_stays_grey(tmp_path: Path) -> None:
    archive = import_picture(
        save(tmp_path / "grey.png", blobs(700, 700, 1)), tmp_path / "out", georef_bounds="0,0,700,700", blocksize=256
    )
    modes = {Image.open(BytesIO(data)).mode for data in tiles_of(archive).values()}
    assert modes == {"L", "LA"}


@pytest.mark.parametrize("bands", [1, *(pytest.param(bands, marks=pytest.mark.slow) for bands in (3, 4))])
def test_each_zoom_is_the_halved_zoom_below_without_seams(tmp_path: Path, bands: int) -> None:
    pixels = blobs(1300, 1500, bands)
    if bands == 4:
        pixels[..., 3] = np.where(pixels[..., 3] > 127, 255, pixels[..., 3])
    archive = import_picture(
        save(tmp_path / "picture.png", pixels), tmp_path / "out", georef_bounds="-3.3,2.2,371.7,327.2", blocksize=256
    )
    header, _ = read(archive)
    for zoom in range(header["max_zoom"] - 1, header["min_zoom"] - 1, -1):
        finer, coarser = look(archive, zoom + 1, 256), look(archive, zoom, 256)
        rows, columns = coarser.rgba.shape[:2]
        below = finer.window(
            2 * coarser.row, 2 * (coarser.row + rows), 2 * coarser.column, 2 * (coarser.column + columns)
        )
        straight = below.astype(float)
        straight[..., :3] *= straight[..., 3:] / 255
        mean = straight.reshape(rows, 2, columns, 2, 4).mean((1, 3))
        shown = coarser.rgba.astype(float)
        shown[..., :3] *= shown[..., 3:] / 255
        assert psnr(shown, mean) >= 38
        error = np.abs(shown - mean).max(axis=2)
        seen = (mean[..., 3] == 255) if bands != 4 else mean[..., 3] > 0
        at = np.arange(max(rows, columns)) % 256
        seam = (at < 4) | (at >= 252)
        beside = seam[:rows, None] | seam[None, :columns]
        if (seen & beside).sum() > 2000 and (seen & ~beside).sum() > 2000:
            assert error[seen & beside].mean() == pytest.approx(error[seen & ~beside].mean(), rel=0.15, abs=0.05)


def test_equal_tiles_are_stored_once_and_flat_ones_are_tiny(tmp_path: Path) -> None:
    pixels = np.full((1000, 1000, 3), (12, 200, 99), np.uint8)
    archive = import_picture(
        save(tmp_path / "flat.png", pixels), tmp_path / "out", georef_bounds="0,0,1000,1000", blocksize=256
    )
    header, _ = read(archive)
    tiles = tiles_of(archive)
    assert header["tile_contents_count"] == len(set(tiles.values())) < len(tiles)
    inner = [data for data in tiles.values() if Image.open(BytesIO(data)).mode == "RGB"]
    assert max(map(len, inner)) < 700


def test_transparent_tiles_are_left_out(tmp_path: Path) -> None:
    pixels = np.zeros((1024, 1024, 4), np.uint8)
    pixels[700:720, 30:40] = (255, 255, 255, 255)
    archive = import_picture(
        save(tmp_path / "spot.png", pixels), tmp_path / "out", georef_bounds="0,0,1024,1024", blocksize=256
    )
    finest = [place for place in tiles_of(archive) if place[0] == read(archive)[0]["max_zoom"]]
    assert len(finest) == 1
    Image.fromarray(pixels * 0).save(tmp_path / "nothing.png")
    with pytest.raises(ArchiveError, match="transparent everywhere"):
        import_picture(tmp_path / "nothing.png", tmp_path / "none", georef_bounds="0,0,9,9")
    assert not list((tmp_path / "none").glob("*.pmtiles"))


@pytest.mark.parametrize("kernel", ["cubic", pytest.param("near", marks=pytest.mark.slow), "mode"])
def test_threads_do_not_change_a_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: str) -> None:
    picture = save(tmp_path / "picture.png", blobs(1000, 1200, 4))
    archives = []
    for threads in (1, 2, 8):
        monkeypatch.setattr(native, "cores", lambda threads=threads: threads)
        archive = import_picture(
            picture, tmp_path / f"out-{threads}", georef_bounds="0,0,240,200", resample=kernel, blocksize=256
        )
        archives.append(archive.read_bytes())
    assert archives[0] == archives[1] == archives[2]


@pytest.mark.parametrize(
    "options", [{}, {"colorize": "cyan", "transparent_below": 9, "lower_thres_quantile": 0.05}, {"shrink_factor": 1.7}]
)
def test_neither_threads_nor_memory_change_any_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    pixels = (blobs(1100, 2300, 1)[..., 0].astype(np.uint16) * 200) + 77
    path = write_ome(tmp_path / "a.ome.tif", pixels, 0.2125, compression="zlib", tile=(128, 128))
    outputs = []
    for threads, high_memory in ((1, False), (2, False), (8, False), (3, True)):
        for module in (native, actions):
            monkeypatch.setattr(module, "cores", lambda threads=threads: threads)
        out = tmp_path / f"out-{threads}"
        import_picture(path, out, high_memory=high_memory, upper_thres_quantile=0.99, **options)
        outputs.append({file.name: file.read_bytes() for file in out.iterdir() if file.suffix != ".json"})
    assert len(outputs[0]) == 6
    assert outputs[0] == outputs[1] == outputs[2] == outputs[3]


def test_zoom_limits_leave_tiles_out_and_change_none(tmp_path: Path) -> None:
    picture = save(tmp_path / "picture.png", blobs(700, 700, 3))
    whole = tiles_of(import_picture(picture, tmp_path / "whole", georef_bounds="0,0,140,140", min_zoom=0))
    assert min(whole)[0] == 0
    some = tiles_of(import_picture(picture, tmp_path / "some", georef_bounds="0,0,140,140", min_zoom=14, max_zoom=17))
    assert {z for z, _, _ in some} == {14, 15, 16, 17}
    assert some == {place: data for place, data in whole.items() if 14 <= place[0] <= 17}
    finer = import_picture(picture, tmp_path / "finer", georef_bounds="0,0,140,140", max_zoom=20)
    assert read(finer)[0]["max_zoom"] == 20
    with pytest.raises(BoundsError, match="--min-zoom 22"):
        import_picture(picture, tmp_path / "wrong", georef_bounds="0,0,140,140", min_zoom=22)
