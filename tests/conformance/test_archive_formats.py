"""Tiles of each format in archives, decoded with Pillow: colours, alpha, and what lies beyond the picture."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pmtiles.tile import TileType
from scipy import ndimage
from support.archives import read, read_archive, tiles_of
from support.maps import HALF_MAP, blobs, import_picture, look, psnr, save, write_ome

from cartloader_image.engines import common
from cartloader_image.errors import UsageError


@pytest.mark.parametrize("tile_format", ["png", pytest.param("webp", marks=pytest.mark.slow)])
@pytest.mark.parametrize("transparent_below", [None, 110])
@pytest.mark.parametrize(
    "colour", ["cyan", *(pytest.param(name, marks=pytest.mark.slow) for name in ("#0000c8", "white"))]
)
def test_a_primary_colour_is_what_all_its_bands_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tile_format: str, transparent_below: int | None, colour: str
) -> None:
    """Worked out on one band, or on all of them: every tile shows the same."""
    path = write_ome(tmp_path / "a.ome.tif", blobs(700, 900, 1)[..., 0], 0.25)
    options = {"colorize": colour, "transparent_below": transparent_below, "tile_format": tile_format}
    short = import_picture(path, tmp_path / "short", **options)
    with monkeypatch.context() as patch:
        patch.setattr(common, "primary_colour", lambda _: None)
        long = import_picture(path, tmp_path / "long", **options)
    zooms = range(read(short)[0]["min_zoom"], read(short)[0]["max_zoom"] + 1)
    assert len(zooms) >= 3
    for zoom in zooms:
        np.testing.assert_array_equal(look(short, zoom).rgba, look(long, zoom).rgba)
    assert short.stat().st_size <= long.stat().st_size
    if transparent_below is None and tile_format == "png":
        assert {Image.open(BytesIO(data)).mode for data in tiles_of(short).values()} == {"P", "RGBA"}


def test_no_fringe_where_a_picture_fades_out(tmp_path: Path) -> None:
    """One colour under a varying alpha stays that colour at every zoom."""
    alpha = blobs(800, 800, 1).astype(int)
    pixels = np.empty((800, 800, 4), np.uint8)
    pixels[..., :3] = (250, 20, 130)
    pixels[..., 3] = ((alpha - 110) * 9).clip(0, 255)[..., 0]
    pixels[pixels[..., 3] == 0] = (0, 255, 0, 0)  # what lies under transparent pixels must never show
    archive = import_picture(save(tmp_path / "picture.png", pixels), tmp_path / "out", georef_bounds="0,0,160,160")
    header, _ = read(archive)
    for zoom in range(header["min_zoom"], header["max_zoom"] + 1):
        shown = look(archive, zoom).rgba
        solid = shown[shown[..., 3] >= 128][:, :3].astype(int)
        assert len(solid)
        assert np.abs(solid - (250, 20, 130)).max() <= 6  # 8-bit premultiplied values, rounded at each zoom
        assert not shown[shown[..., 3] == 0].any()


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
    origin = read_archive(archive).metadata["cartloader"]
    assert (origin["alpha"], origin["color_mode"]) == ("intensity", "rgba")


def test_alpha_of_the_intensity_is_for_mono_pictures(tmp_path: Path) -> None:
    picture = save(tmp_path / "picture.png", np.zeros((30, 30, 3), np.uint8))
    with pytest.raises(UsageError, match=r"--alpha intensity is for mono images; .* is RGB; leave --alpha out"):
        import_picture(picture, tmp_path / "out", georef_bounds="0,0,1,1", alpha="intensity")
