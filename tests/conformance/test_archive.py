"""Archives as other programs see them: read with the reader of the pmtiles package, decoded with Pillow."""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pmtiles.reader import MmapSource, Reader, all_tiles
from pmtiles.tile import Compression, TileType
from scipy import ndimage
from support.maps import HALF_MAP, import_picture, look, psnr, write_ome

from cartloader_image.engines import native
from cartloader_image.errors import ArchiveError, BoundsError, UsageError
from cartloader_image.recipe import actions
from cartloader_image.tiles.archive import read_archive

RNG = np.random.default_rng(11)


def blobs(rows: int, columns: int, bands: int) -> NDArray[np.uint8]:
    """Smooth detail in every band."""
    smooth = ndimage.gaussian_filter(RNG.normal(size=(rows, columns, bands)), (2, 2, 0))
    return ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)


def save(path: Path, pixels: NDArray[np.uint8]) -> Path:
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(path)
    return path


def tiles_of(archive: Path) -> dict[tuple[int, int, int], bytes]:
    with archive.open("rb") as file:
        return dict(all_tiles(MmapSource(file)))


def read(archive: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    with archive.open("rb") as file:
        reader = Reader(MmapSource(file))
        return dict(reader.header()), dict(reader.metadata())


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
    told = metadata["cartloader"]
    assert told["image_size"] == [897, 1100]
    assert told["color_mode"] == "rgb"
    assert told["um_per_pixel"] == pytest.approx([(133.1 + 431.7) / 897, (911.9 - 219.3) / 1100])
    assert len(told["input_sha256"]) == 64


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
    made = import_picture(
        save(tmp_path / "grey.png", blobs(700, 700, 1)), tmp_path / "out", georef_bounds="0,0,700,700", blocksize=256
    )
    modes = {Image.open(BytesIO(data)).mode for data in tiles_of(made).values()}
    assert modes == {"L", "LA"}


@pytest.mark.parametrize("bands", [1, pytest.param(3, marks=pytest.mark.slow), 4])
def test_each_zoom_is_the_halved_zoom_below_without_seams(tmp_path: Path, bands: int) -> None:
    pixels = blobs(1300, 1500, bands)
    if bands == 4:
        pixels[..., 3] = np.where(pixels[..., 3] > 127, 255, pixels[..., 3])
    made = import_picture(
        save(tmp_path / "picture.png", pixels), tmp_path / "out", georef_bounds="-3.3,2.2,371.7,327.2", blocksize=256
    )
    header, _ = read(made)
    for zoom in range(header["max_zoom"] - 1, header["min_zoom"] - 1, -1):
        finer, coarser = look(made, zoom + 1, 256), look(made, zoom, 256)
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


def test_no_fringe_where_a_picture_fades_out(tmp_path: Path) -> None:
    """One colour under a varying alpha stays that colour at every zoom."""
    alpha = blobs(800, 800, 1).astype(int)
    pixels = np.empty((800, 800, 4), np.uint8)
    pixels[..., :3] = (250, 20, 130)
    pixels[..., 3] = ((alpha - 110) * 9).clip(0, 255)[..., 0]
    pixels[pixels[..., 3] == 0] = (0, 255, 0, 0)  # what lies under transparent pixels must never show
    made = import_picture(save(tmp_path / "picture.png", pixels), tmp_path / "out", georef_bounds="0,0,160,160")
    header, _ = read(made)
    for zoom in range(header["min_zoom"], header["max_zoom"] + 1):
        shown = look(made, zoom).rgba
        solid = shown[shown[..., 3] >= 128][:, :3].astype(int)
        assert len(solid)
        assert np.abs(solid - (250, 20, 130)).max() <= 6  # 8-bit premultiplied values, rounded at each zoom
        assert not shown[shown[..., 3] == 0].any()


def test_equal_tiles_are_stored_once_and_flat_ones_are_tiny(tmp_path: Path) -> None:
    pixels = np.full((1000, 1000, 3), (12, 200, 99), np.uint8)
    made = import_picture(
        save(tmp_path / "flat.png", pixels), tmp_path / "out", georef_bounds="0,0,1000,1000", blocksize=256
    )
    header, _ = read(made)
    tiles = tiles_of(made)
    assert header["tile_contents_count"] == len(set(tiles.values())) < len(tiles)
    inner = [data for data in tiles.values() if Image.open(BytesIO(data)).mode == "RGB"]
    assert max(map(len, inner)) < 700


def test_transparent_tiles_are_left_out(tmp_path: Path) -> None:
    pixels = np.zeros((1024, 1024, 4), np.uint8)
    pixels[700:720, 30:40] = (255, 255, 255, 255)
    made = import_picture(
        save(tmp_path / "spot.png", pixels), tmp_path / "out", georef_bounds="0,0,1024,1024", blocksize=256
    )
    finest = [place for place in tiles_of(made) if place[0] == read(made)[0]["max_zoom"]]
    assert len(finest) == 1
    Image.fromarray(pixels * 0).save(tmp_path / "nothing.png")
    with pytest.raises(ArchiveError, match="transparent everywhere"):
        import_picture(tmp_path / "nothing.png", tmp_path / "none", georef_bounds="0,0,9,9")
    assert not list((tmp_path / "none").glob("*.pmtiles"))


@pytest.mark.parametrize("kernel", ["cubic", pytest.param("near", marks=pytest.mark.slow), "mode"])
def test_threads_do_not_change_a_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: str) -> None:
    picture = save(tmp_path / "picture.png", blobs(1000, 1200, 4))
    made = []
    for threads in (1, 2, 8):
        monkeypatch.setattr(native, "cores", lambda threads=threads: threads)
        archive = import_picture(
            picture, tmp_path / f"out-{threads}", georef_bounds="0,0,240,200", resample=kernel, blocksize=256
        )
        made.append(archive.read_bytes())
    assert made[0] == made[1] == made[2]


@pytest.mark.parametrize(
    "options", [{}, {"colorize": "cyan", "transparent_below": 9, "lower_thres_quantile": 0.05}, {"shrink_factor": 1.7}]
)
def test_neither_threads_nor_memory_change_any_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    pixels = (blobs(1100, 2300, 1)[..., 0].astype(np.uint16) * 200) + 77
    path = write_ome(tmp_path / "a.ome.tif", pixels, 0.2125, compression="zlib", tile=(128, 128))
    made = []
    for threads, high_memory in ((1, False), (2, False), (8, False), (3, True)):
        for module in (native, actions):
            monkeypatch.setattr(module, "cores", lambda threads=threads: threads)
        out = tmp_path / f"out-{threads}"
        import_picture(path, out, high_memory=high_memory, upper_thres_quantile=0.99, **options)
        made.append({file.name: file.read_bytes() for file in out.iterdir() if file.suffix != ".json"})
    assert len(made[0]) == 5
    assert made[0] == made[1] == made[2] == made[3]


@pytest.mark.parametrize("tile_format", ["png", "webp"])
@pytest.mark.parametrize("transparent_below", [None, 110])
@pytest.mark.parametrize("colour", ["cyan", "#0000c8", "white"])
def test_a_primary_colour_is_what_all_its_bands_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tile_format: str, transparent_below: int | None, colour: str
) -> None:
    """Worked out on one band, or on all of them: every tile shows the same."""
    path = write_ome(tmp_path / "a.ome.tif", blobs(700, 900, 1)[..., 0], 0.25)
    options = {"colorize": colour, "transparent_below": transparent_below, "tile_format": tile_format}
    short = import_picture(path, tmp_path / "short", **options)
    with monkeypatch.context() as patch:
        patch.setattr(native, "primary_colour", lambda _: None)
        long = import_picture(path, tmp_path / "long", **options)
    zooms = range(read(short)[0]["min_zoom"], read(short)[0]["max_zoom"] + 1)
    assert len(zooms) >= 3
    for zoom in zooms:
        np.testing.assert_array_equal(look(short, zoom).rgba, look(long, zoom).rgba)
    assert short.stat().st_size <= long.stat().st_size
    if transparent_below is None and tile_format == "png":
        assert {Image.open(BytesIO(data)).mode for data in tiles_of(short).values()} == {"P", "RGBA"}


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


@pytest.mark.parametrize("blocksize", [256, 512, 1024])
@pytest.mark.parametrize("resample", ["cubic", "near", "average"])
def test_pixels_too_small_for_any_zoom_are_tiled_at_the_finest(tmp_path: Path, blocksize: int, resample: str) -> None:
    """As a map twice as fine would show them: each half of the picture has its colour, up to the edge between them."""
    pixels = np.full((500, 500, 3), (200, 30, 90), np.uint8)
    pixels[:, 250:] = (10, 240, 60)
    picture = save(tmp_path / "picture.png", pixels)
    more = {"georef_bounds": "1,2,1.5,1.5", "blocksize": blocksize, "resample": resample}
    made = import_picture(picture, tmp_path / "out", **more)
    header, metadata = read(made)
    assert header["max_zoom"] == 24
    (note,) = metadata["cartloader"]["notes"]
    assert note.startswith("its pixels of 0.001 map units are too small for zoom 24")
    view = look(made, 24, blocksize)
    x = (np.arange(view.rgba.shape[1]) + view.column + 0.5) * view.resolution - HALF_MAP
    y = HALF_MAP - (np.arange(view.rgba.shape[0]) + view.row + 0.5) * view.resolution
    edge = 2 * view.resolution
    inside = ((y > 1.5 + edge) & (y < 2 - edge))[:, None]
    for low, high, colour in ((1, 1.25, (200, 30, 90)), (1.25, 1.5, (10, 240, 60))):
        half = inside & ((x > low + edge) & (x < high - edge))[None, :]
        assert half.sum() > 1000
        assert np.abs(view.rgba[half].astype(int) - [*colour, 255]).max() <= 1
    outside = ~(((y > 1.5 - edge) & (y < 2 + edge))[:, None] & ((x > 1 - edge) & (x < 1.5 + edge))[None, :])
    assert not view.rgba[outside].any()
    coarse = read(import_picture(picture, tmp_path / "coarse", max_zoom=22, **more))
    assert (coarse[0]["max_zoom"], coarse[1]["cartloader"]["notes"]) == (22, [])


@pytest.mark.parametrize("resample", ["cubic", "near", "bilinear"])
@pytest.mark.parametrize("bounds", ["0,0,0.001,0.001", "1,1,1.0001,1.1", "5,7,5.3,7.00001"])
def test_a_picture_of_less_than_a_pixel_is_one(tmp_path: Path, bounds: str, resample: str) -> None:
    picture = save(tmp_path / "picture.png", np.full((50, 50, 3), (200, 30, 90), np.uint8))
    made = import_picture(picture, tmp_path / "out", georef_bounds=bounds, resample=resample)
    view = look(made, 24, 512)
    left, top, right, bottom = map(float, bounds.split(","))
    rows, columns = np.nonzero(view.rgba[..., 3])
    assert (view.rgba[rows, columns] == [200, 30, 90, 255]).all()
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == pytest.approx(
        (max(abs(bottom - top) / view.resolution, 1), max((right - left) / view.resolution, 1)), abs=1
    )
    x, y = (columns.mean() + view.column + 0.5) * view.resolution, (rows.mean() + view.row + 0.5) * view.resolution
    assert x - HALF_MAP == pytest.approx((left + right) / 2, abs=view.resolution)
    assert HALF_MAP - y == pytest.approx((top + bottom) / 2, abs=view.resolution)


def test_pictures_that_do_not_lie_on_the_map_are_refused(tmp_path: Path) -> None:
    picture = save(tmp_path / "picture.png", blobs(50, 50, 3))
    with pytest.raises(BoundsError, match="next to nothing beside a pixel of zoom 24"):
        import_picture(picture, tmp_path / "out", georef_bounds="0,0,0.001,0.000001")
    with pytest.raises(BoundsError, match=r"less than a pixel of zoom 24.*choose --resample cubic"):
        import_picture(picture, tmp_path / "out", georef_bounds="0,0,0.001,0.001", resample="average")
    with pytest.raises(BoundsError, match="outside the map"):
        import_picture(picture, tmp_path / "out", georef_bounds="20037000,0,20037999,999")
    for bounds, why in (("178,-15,182,-18", "antimeridian"), ("10,89,12,87", "beyond the map")):
        with pytest.raises(BoundsError, match=why):
            import_picture(picture, tmp_path / "out", georef_bounds=bounds, srs="EPSG:4326")


def test_the_reference_is_named_in_the_metadata(tmp_path: Path) -> None:
    picture = save(tmp_path / "picture.png", blobs(50, 50, 3))
    for srs, bounds, named in (
        ("EPSG:3857", "0,0,9,9", "EPSG:3857"), ("epsg:32632", "500000,5000000,500009,4999991", "EPSG:32632"),
        ("+proj=laea +lat_0=10 +lon_0=20", "0,9,9,0", "PROJCS["),
        ('LOCAL_CS["s",UNIT["mm",0.001]]', "0,9,9,0", "EPSG:3857"),
    ):  # fmt: skip
        told = read(import_picture(picture, tmp_path / "out", georef_bounds=bounds, srs=srs))[1]["cartloader"]
        assert told["crs"].startswith(named)


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 700), (600, 2), (513, 511)])
def test_pictures_of_any_shape(tmp_path: Path, rows: int, columns: int) -> None:
    pixels = blobs(rows + 1, columns + 1, 3)[:rows, :columns]
    made = import_picture(
        save(tmp_path / "picture.png", pixels), tmp_path / "out", georef_bounds=f"1,1,{1 + columns},{1 + rows}"
    )
    view = look(made, read(made)[0]["max_zoom"])
    x = (np.arange(view.rgba.shape[1]) + view.column + 0.5) * view.resolution - HALF_MAP
    y = HALF_MAP - (np.arange(view.rgba.shape[0]) + view.row + 0.5) * view.resolution
    centres = ((y > 1) & (y < 1 + rows))[:, None] & ((x > 1) & (x < 1 + columns))[None, :]
    np.testing.assert_array_equal(view.rgba[..., 3] == 255, centres)


def test_lossless_webp_shows_the_same_pixels_and_jpeg_refuses_transparency(tmp_path: Path) -> None:
    clear = blobs(900, 900, 4)
    picture = save(tmp_path / "picture.png", clear)
    png = import_picture(picture, tmp_path / "png", georef_bounds="0,0,180,180")
    webp = import_picture(picture, tmp_path / "webp", georef_bounds="0,0,180,180", tile_format="webp")
    assert read(webp)[0]["tile_type"] == TileType.WEBP
    zoom = read(png)[0]["max_zoom"]
    np.testing.assert_array_equal(look(webp, zoom).rgba, look(png, zoom).rgba)
    with pytest.raises(UsageError, match="webp-lossy"):
        import_picture(picture, tmp_path / "jpeg", georef_bounds="0,0,180,180", tile_format="jpeg")
    opaque = save(tmp_path / "opaque.png", clear[..., :3])
    for form, kind in (("jpeg", TileType.JPEG), ("webp-lossy", TileType.WEBP)):
        lossy = import_picture(opaque, tmp_path / form, georef_bounds="0,0,180,180", tile_format=form, tile_quality=95)
        assert read(lossy)[0]["tile_type"] == kind
        whole = import_picture(opaque, tmp_path / "whole", georef_bounds="0,0,180,180")
        core = look(whole, zoom).rgba[..., 3] == 255
        assert psnr(look(lossy, zoom).rgba[core], look(whole, zoom).rgba[core]) > 28


@pytest.mark.parametrize(("background", "value"), [(None, 255), ("white", 255), ("black", 0)])
def test_what_jpeg_tiles_show_beyond_the_picture(tmp_path: Path, background: str | None, value: int) -> None:
    picture = save(tmp_path / "picture.png", np.full((300, 300, 1), 128, np.uint8))
    archive = import_picture(
        picture, tmp_path / "out", georef_bounds="3,203,203,3", tile_format="jpeg", background=background
    )
    zoom = read(archive)[0]["max_zoom"]
    view = look(archive, zoom)
    png = look(import_picture(picture, tmp_path / "png", georef_bounds="3,203,203,3"), zoom)
    far = ndimage.binary_erosion(png.rgba[..., 3] == 0, iterations=16)
    assert far.any()
    assert np.abs(view.rgba[far][:, :3].astype(int) - value).max() <= 2
    inner = ndimage.binary_erosion(png.rgba[..., 3] > 0, iterations=16)
    assert np.abs(view.rgba[inner][:, :3].astype(int) - 128).max() <= 2


def test_a_png_is_transparent_beyond_the_picture_whatever_the_background(tmp_path: Path) -> None:
    picture = save(tmp_path / "picture.png", np.full((300, 300, 1), 128, np.uint8))
    found = [
        import_picture(picture, tmp_path / str(background), georef_bounds="3,203,203,3", background=background)
        for background in (None, "white", "black", "transparent")
    ]
    assert len({path.read_bytes() for path in found}) == 1


@pytest.mark.parametrize("colour", [None, "lime", "#20c060"])
def test_alpha_of_the_intensity_keeps_colours_at_every_zoom(tmp_path: Path, colour: str | None) -> None:
    """Bright stripes on nothing: averaging lessens their alpha, and never darkens their colour."""
    stripes = np.zeros((600, 600, 1), np.uint8)
    stripes[:, ::7] = stripes[:, 1::7] = 255
    stripes[400:] = 180  # and an even part
    picture = save(tmp_path / "picture.png", stripes)
    archive = import_picture(
        picture, tmp_path / "out", georef_bounds="0,600,600,0", alpha="intensity", colorize=colour, resample="bilinear"
    )
    header = read(archive)[0]
    shown = np.array([255] * 3 if colour is None else {"lime": [0, 255, 0], "#20c060": [32, 192, 96]}[colour])
    for zoom in range(header["min_zoom"], header["max_zoom"] + 1):
        view = look(archive, zoom)
        y = np.arange(view.row, view.row + len(view.rgba))[:, None] + np.zeros((1, view.rgba.shape[1]))
        north = HALF_MAP - (y + 0.5) * view.resolution  # in map units
        upper = (north > 200 + 6 * view.resolution) & (view.rgba[..., 3] > 60)
        assert upper.any()
        assert np.abs(view.rgba[upper][:, :3].astype(int) - shown).max() <= 4
        even = (north < 200 - 6 * view.resolution) & (north > 6 * view.resolution)
        even[:, :4] = False
        seen = even & (view.rgba[..., 3] > 175)
        if seen.any():
            assert np.abs(view.rgba[seen][:, :3].astype(int) - shown * 180 // 255).max() <= 2
            assert view.rgba[seen][:, 3].max() <= 181
    told = read_archive(archive).metadata["cartloader"]
    assert (told["alpha"], told["color_mode"]) == ("intensity", "rgba")


def test_alpha_of_the_intensity_is_for_mono_pictures(tmp_path: Path) -> None:
    picture = save(tmp_path / "picture.png", np.zeros((30, 30, 3), np.uint8))
    with pytest.raises(UsageError, match=r"--alpha intensity is for mono images; .* is RGB; leave --alpha out"):
        import_picture(picture, tmp_path / "out", georef_bounds="0,0,1,1", alpha="intensity")
