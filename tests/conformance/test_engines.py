"""The two engines side by side: the tools draw what the native engine draws, but for their grid.

`gdal_translate` moves a picture to the next pixel of the tile grid. So the native engine draws it a second time, moved
by what the two differ, and that picture is compared: no interpolation of finished pixels blurs the difference.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.registration import phase_cross_correlation
from support.archives import Archive, read_archive
from support.maps import HALF_MAP, MapView, import_picture, look, psnr, write_ome
from support.pictures import TWELVE, Case, write_picture
from support.tools import require_tools

from cartloader_image.action_params import OutputPrefix, Png2PmtilesParams
from cartloader_image.errors import ArchiveError, InputError, ToolError, UsageError
from cartloader_image.recipe import actions
from cartloader_image.report import Quiet

SOME_NOW = [
    case if n % 4 == 1 else pytest.param(case, id=case.name, marks=pytest.mark.slow) for n, case in enumerate(TWELVE)
]
MARGIN = 4
"""Level pixels at the border that the kernels of two grids fill in differently."""


@pytest.fixture(autouse=True)
def _tools() -> None:
    require_tools()


def imported(path: Path, out: Path, **options: Any) -> tuple[Path, Archive, MapView]:
    archive = import_picture(path, out, **options)
    content = read_archive(archive)
    return archive, content, look(archive, content.header.max_zoom, options.get("blocksize", 512))


def zooms(archive: Archive) -> tuple[int, int]:
    return archive.header.min_zoom, archive.header.max_zoom


def extent(view: MapView) -> NDArray[Any]:
    """First and last row and column that show anything."""
    rows, columns = (np.flatnonzero((view.rgba[..., 3] > 0).any(axis)) for axis in (1, 0))
    return np.array(
        [view.row + rows[0], view.row + rows[-1] + 1, view.column + columns[0], view.column + columns[-1] + 1]
    )


def premultiplied(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    grey: NDArray[np.float64] = pixels[..., :3].mean(axis=2) * (pixels[..., 3] / 255)
    return grey


@pytest.mark.parametrize(
    "y_down", [pytest.param(True, id="y-down"), pytest.param(False, id="y-up", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("case", SOME_NOW, ids=lambda case: case.name)
def test_both_engines_show_the_same(tmp_path: Path, case: Case, y_down: bool) -> None:
    path, options = write_picture(case.name, tmp_path), dict(case.options)
    if bounds := case.bounds(y_down=y_down):
        options["georef_bounds"] = bounds
    elif not y_down:  # what OME-XML places goes down; this turns its rows
        options["flip_vertical"] = True
    first, native, plain = imported(path, tmp_path / "native", **options)
    second, tools, drawn = imported(path, tmp_path / "gdal", engine="gdal", **options)
    assert zooms(tools) == zooms(native)
    coverage = np.abs(extent(drawn) - extent(plain)).max()
    assert coverage <= 1
    edges = [max, min, max, min]
    box = [choose(a, b) for choose, a, b in zip(edges, extent(plain), extent(drawn), strict=True)]
    box = [edge + MARGIN * (1 if choose is max else -1) for choose, edge in zip(edges, box, strict=True)]
    found = drawn.window(*box)
    shift = phase_cross_correlation(
        premultiplied(found), premultiplied(plain.window(*box)), upsample_factor=50, normalization=None
    )[0]
    move = {"georef_offset_x": shift[1] * plain.resolution, "georef_offset_y": -shift[0] * plain.resolution}
    expected = imported(path, tmp_path / "moved", **options, **move)[2].window(*box)
    seen = (expected[..., 3] > 127) & (found[..., 3] > 127)
    quality = psnr(expected[seen][:, :3], found[seen][:, :3])
    print(
        f"| {case.name} | {'down' if y_down else 'up'} | z{native.header.min_zoom}–{native.header.max_zoom} | "
        f"{coverage} px | {shift[1]:+.2f}, {shift[0]:+.2f} px | {quality:.1f} dB |"
    )
    assert np.abs(shift).max() <= 0.5
    assert quality >= 45
    if (found[..., 3] < 255).any():
        # The tools take alpha from the nearest pixel of the picture; it is one of those around.
        near = imported(path, tmp_path / "near", **options, **move, resample="near")[2]
        reach = 1 + int(np.ceil(scale(native, plain)))
        wider = near.window(*(edge + reach * way for edge, way in zip(box, (-1, 1, -1, 1), strict=True)))
        low, high = (values[reach:-reach, reach:-reach] for values in around_each(wider[..., 3], reach))
        assert ((low <= found[..., 3]) & (found[..., 3] <= high)).all()
    for archive in (first, second):
        subprocess.run(["pmtiles", "verify", archive], check=True)


def scale(archive: Archive, view: MapView) -> float:
    """Level pixels to one of the picture."""
    affine = archive.metadata["cartloader"]["affine"]
    return max(np.hypot(affine[0], affine[3]), np.hypot(affine[1], affine[4])) / view.resolution


def around_each(alpha: NDArray[np.uint8], reach: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Least and greatest value within so many pixels."""
    values = alpha.astype(int)
    return tuple(rank(values, 2 * reach + 1) for rank in (ndimage.minimum_filter, ndimage.maximum_filter))


class Notes(Quiet):
    """Remembers what a user is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def gradient(rows: int, columns: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:rows, 0:columns]
    picture: NDArray[np.uint8] = (127 + 60 * np.sin(x / 11) + 60 * np.cos(y / 13)).astype(np.uint8)
    return picture


@pytest.mark.parametrize(
    "wanted",
    [
        (17, 19),
        (18, 18),
        pytest.param((16, 21), marks=pytest.mark.slow),
        pytest.param((13, 18), marks=pytest.mark.slow),
    ],
)
def test_zooms_may_be_chosen(tmp_path: Path, wanted: tuple[int, int]) -> None:
    """Natural are z17 to z19; coarser tiles do not change where finer ones are left out."""
    path = write_ome(tmp_path / "a.ome.tif", gradient(300, 400), 0.2)
    options = {"min_zoom": wanted[0], "max_zoom": wanted[1]}
    archive, content, view = imported(path, tmp_path / "chosen", engine="gdal", **options)
    assert zooms(content) == wanted
    native = imported(path, tmp_path / "native", **options)[2]
    assert np.abs(extent(view) - extent(native)).max() <= 1
    if wanted[1] < 19:
        full, *_ = imported(path, tmp_path / "full", engine="gdal")
        np.testing.assert_array_equal(look(archive, 18).rgba, look(full, 18).rgba)


@pytest.mark.parametrize("more", [-9e-7, -1e-8, 0, 1e-9])
@pytest.mark.parametrize("y_down", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_pixel_as_large_as_a_zooms(tmp_path: Path, more: float, y_down: bool) -> None:
    """GDAL by itself takes the zoom beyond for most of these."""
    side = 2 * HALF_MAP / (512 << 18) * (1 + more)
    Image.fromarray(gradient(200, 300)).save(tmp_path / "a.png")
    low, high = 100, 100 + 200 * side
    bounds = f"100,{low if y_down else high!r},{100 + 300 * side!r},{high if y_down else low!r}"
    content = imported(tmp_path / "a.png", tmp_path / "gdal", engine="gdal", georef_bounds=bounds)[1]
    assert zooms(content) == (17, 18)


def test_the_archive_says_where_the_picture_is_and_how_it_was_made(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", gradient(300, 400), 0.2)
    native = imported(path, tmp_path / "native", rotate=90)[1]
    tools = imported(path, tmp_path / "gdal", rotate=90, engine="gdal")[1]
    ours = tools.metadata["cartloader"]
    assert ours.pop("engine") == "gdal"
    versions = ours.pop("tools")
    assert tools.metadata == native.metadata
    for name in ("min_lon_e7", "min_lat_e7", "max_lon_e7", "max_lat_e7", "center_zoom", "center_lon_e7", "tile_type"):
        cut, rounded = getattr(tools.header, name), getattr(native.header, name)
        assert cut == pytest.approx(rounded, abs=1), name
    version = subprocess.run(["gdal_translate", "--version"], capture_output=True, text=True, check=True).stdout
    assert versions["gdal_translate"] == version.split(",")[0]
    assert versions["pmtiles"].startswith("pmtiles ")
    mbtiles = tmp_path / "gdal" / "picture.pmtiles.mbtiles"
    with sqlite3.connect(mbtiles) as database:
        assert database.execute("SELECT count(*) FROM tiles").fetchone() == (int(tools.entries.runs.sum()),)


@pytest.mark.parametrize(
    "kernel",
    [
        "mode",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("near", "cubicspline", "bilinear", "lanczos", "average")
        ),
    ],
)
def test_every_kernel_runs(tmp_path: Path, kernel: str) -> None:
    path = write_ome(tmp_path / "a.ome.tif", gradient(300, 400), 0.2)
    content, view = imported(path, tmp_path / "gdal", engine="gdal", resample=kernel, blocksize=256)[1:]
    plain, native = imported(path, tmp_path / "native", resample=kernel, blocksize=256)[1:]
    assert zooms(content) == zooms(plain)
    box = [edge + MARGIN * way for edge, way in zip(extent(native), (1, -1, 1, -1), strict=True)]
    # Moved by up to half a pixel of a picture that changes by 6 a pixel at most.
    assert np.abs(view.window(*box).astype(int) - native.window(*box).astype(int)).max() < 12


def test_jpeg_tiles(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", gradient(300, 400), 0.2)
    archive, content, view = imported(path, tmp_path / "gdal", engine="gdal", tile_format="jpeg", tile_quality=95)
    assert content.metadata["format"] == "jpg"
    native = imported(path, tmp_path / "native", tile_format="jpeg", tile_quality=95)[2]
    row, column = view.row + 300, view.column + 300
    assert zooms(content) == zooms(read_archive(archive))
    box = (row, row + 64, column, column + 64)
    assert psnr(view.window(*box)[..., :3], native.window(*box)[..., :3]) > 30
    assert view.rgba[0, 0].tolist() == [0, 0, 0, 255]  # beyond the picture's edge


def test_another_spatial_reference_is_reprojected(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    write_ome(path, gradient(300, 400), 1.0)
    options = {"georef_bounds": "500000,4600300,500400,4600000", "srs": "EPSG:32631"}
    content, view = imported(path, tmp_path / "gdal", engine="gdal", **options)[1:]
    plain, native = imported(path, tmp_path / "native", **options)[1:]
    assert zooms(content) == zooms(plain)
    assert np.abs(extent(view) - extent(native)).max() <= 1


@pytest.mark.slow
def test_a_long_picture_has_all_its_overviews(tmp_path: Path) -> None:
    """Its height is one pixel long before its width fits a tile, where gdaladdo by itself stops."""
    path = write_ome(tmp_path / "a.ome.tif", gradient(200, 30_000), 0.2)
    archive, content, _ = imported(path, tmp_path / "gdal", engine="gdal")
    other, plain, _ = imported(path, tmp_path / "native")
    assert zooms(content) == zooms(plain)
    for zoom in range(*zooms(content)):
        widths = [np.ptp(np.flatnonzero((look(one, zoom).rgba[..., 3] > 0).any(axis=0))) for one in (archive, other)]
        assert abs(widths[0] - widths[1]) <= 1


def test_a_picture_that_vanishes_is_told(tmp_path: Path) -> None:
    """The tools store no tile in which a picture of less than a pixel is left; the native engine's shows it."""
    path = write_ome(tmp_path / "a.ome.tif", gradient(3, 9_000), 0.2)
    import_picture(path, tmp_path / "out")
    seen = Notes()
    out = OutputPrefix(out_dir=tmp_path / "out", img_id="picture")
    result = actions.png2pmtiles(Png2PmtilesParams(out=out, engine="gdal"), seen)
    assert f"nothing to show beyond zoom {result.min_zoom}" in seen.notes[0]


def test_a_picture_that_is_transparent_everywhere(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", np.full((40, 50), 7, np.uint8), 0.2)
    with pytest.raises(ArchiveError, match="transparent everywhere"):
        import_picture(path, tmp_path / "out", engine="gdal", transparent_below=9)


def test_a_damaged_geotiff_is_the_tools_own_complaint(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", gradient(1200, 1200), 0.2)
    import_picture(path, tmp_path / "out")
    out = OutputPrefix(out_dir=tmp_path / "out", img_id="picture")
    placed = out.path(".geotif.tif")
    placed.write_bytes(placed.read_bytes()[:700_000])
    before = out.path(".pmtiles").read_bytes()
    with pytest.raises((ToolError, InputError)) as caught:
        actions.png2pmtiles(Png2PmtilesParams(out=out, engine="gdal"))
    assert isinstance(caught.value, ToolError)
    assert not caught.value.transient
    assert "gdal_translate failed" in str(caught.value)
    assert caught.value.words
    assert out.path(".pmtiles").read_bytes() == before
    assert not (tmp_path / "out" / ".cartloader").exists()


def test_the_marks_of_the_tiles_are_json(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", gradient(300, 400), 0.2)
    import_picture(path, tmp_path / "out", engine="gdal")
    with sqlite3.connect(tmp_path / "out" / "picture.pmtiles.mbtiles") as database:
        rows = dict(database.execute("SELECT name, value FROM metadata"))
    assert json.loads(rows["json"])["cartloader"]["engine"] == "gdal"
    assert rows["name"] == "picture"


def test_alpha_of_the_intensity_in_both_engines(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", gradient(300, 400), 0.2)
    more = {"alpha": "intensity", "colorize": "red"}
    content, view = imported(path, tmp_path / "gdal", engine="gdal", **more)[1:]
    plain, native = imported(path, tmp_path / "native", **more)[1:]
    assert zooms(content) == zooms(plain)
    box = [edge + MARGIN * way for edge, way in zip(extent(native), (1, -1, 1, -1), strict=True)]
    found, expected = view.window(*box).astype(int), native.window(*box).astype(int)
    assert (np.abs(found[..., 3] - expected[..., 3]) <= 12).mean() > 0.99
    seen = (found[..., 3] > 60) & (expected[..., 3] > 60)
    assert seen.any()
    assert np.abs(found - expected)[seen].max() <= 24


def test_what_the_tools_cannot_do_is_said_at_once(tmp_path: Path) -> None:
    path = write_ome(tmp_path / "a.ome.tif", gradient(300, 400), 0.005)
    with pytest.raises(UsageError, match="needs zoom 24, and GDAL's MBTiles end at zoom 22; use --engine native"):
        import_picture(path, tmp_path / "out", engine="gdal")
    for background, why in (("white", "are black beyond"), ("transparent", "have no transparency")):
        with pytest.raises(ValueError, match=f"--background {background}: JPEG tiles .*{why}"):
            import_picture(path, tmp_path / "out", engine="gdal", tile_format="jpeg", background=background)


def test_what_has_no_data_is_transparent_in_both_engines(tmp_path: Path) -> None:
    picture = np.full((200, 300), 180, np.uint8)
    picture[:, 150:] = 7
    tifffile.imwrite(tmp_path / "a.tif", picture, extratags=[(42113, 2, 2, "7", True)])
    for engine in ("native", "gdal"):
        view = imported(tmp_path / "a.tif", tmp_path / engine, pixel_size="1", engine=engine)[2]
        row0, row1, column0, column1 = extent(view)
        assert (column1 - column0) / (row1 - row0) == pytest.approx(150 / 200, abs=MARGIN / (row1 - row0)), engine
        seen = view.window(row0 + MARGIN, row1 - MARGIN, column0 + MARGIN, column1 - MARGIN)
        assert (seen == [180, 180, 180, 255]).all(), engine
