"""The picture of an archive of any program, in little memory."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import time
from base64 import b64decode
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pmtiles.tile import Compression, Entry, TileType, tileid_to_zxy
from support.archives import WORLD, cut, encoded, write_archive
from support.parts import Parts
from support.rasters import noise, smooth
from support.tools import require_tools

from cartloader_flows.cli.main import main
from cartloader_image.drawing import data_uri, render_preview, write_preview
from cartloader_image.errors import ArchiveError, InputError, UsageError
from cartloader_image.tiles.grid import HALF_MAP, lon_lat
from cartloader_image.tiles.ids import first_id
from cartloader_image.tiles.place import _whole_squares, column_and_row

COLUMN, ROW, ZOOM = 41, 23, 7


def degrees(left: float, top: float, right: float, bottom: float) -> tuple[float, float, float, float]:
    """West, south, east and north of a box that is given in tiles of the zoom."""
    side = 2 * HALF_MAP / 2**ZOOM
    west, north = lon_lat(left * side - HALF_MAP, HALF_MAP - top * side)
    east, south = lon_lat(right * side - HALF_MAP, HALF_MAP - bottom * side)
    return west, south, east, north


def e7(west: float, south: float, east: float, north: float) -> dict[str, int]:
    values = {"min_lon_e7": west, "min_lat_e7": south, "max_lon_e7": east, "max_lat_e7": north}
    return WORLD | {name: round(value * 1e7) for name, value in values.items()}


def shown(path: Path, size: int = 1024) -> NDArray[Any]:
    return np.asarray(render_preview(path, size))


@pytest.mark.parametrize("tile", [256, 512, 300])
@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("WEBP", {"lossless": True}), ("JPEG", {"quality": 95}), ("AVIF", {"quality": 95})],
)
def test_tiles_of_any_size_and_format_are_put_together(
    tmp_path: Path, tile: int, kind: str, options: dict[str, Any]
) -> None:
    picture = smooth(2 * tile, 3 * tile, 3)
    path = write_archive(
        tmp_path / "a.pmtiles",
        cut(picture, ZOOM, COLUMN, ROW, tile, kind, **options),
        {"tilesize": 64},
        tile_type=TileType.UNKNOWN,
    )
    found = shown(path, 2048)
    assert found.shape == (2 * tile, 3 * tile, 4)
    assert np.abs(found[..., :3].astype(int) - picture).max() <= (0 if options in ({}, {"lossless": True}) else 30)
    assert (found[..., 3] == 255).all()


@pytest.mark.parametrize(
    "dtype",
    ["L", "LA", "P", "I;16", "1"],
)
def test_tiles_of_any_colours_are_put_together(tmp_path: Path, dtype: str) -> None:
    grey = smooth(256, 256, 1)
    if dtype == "I;16":
        data = encoded(grey.astype(np.uint16) * 256 + 77)
    else:
        path = tmp_path / "tile.png"
        Image.fromarray(grey).convert(dtype).save(path)
        data = path.read_bytes()
        grey = np.asarray(Image.open(path).convert("RGBA"))[..., 0]
    found = shown(write_archive(tmp_path / "a.pmtiles", {(3, 1, 1): data}))
    np.testing.assert_array_equal(found[..., 0], grey)


WHOLE = (COLUMN, ROW, COLUMN + 2, ROW + 2)
PART = (COLUMN + 0.25, ROW + 0.5, COLUMN + 1.5, ROW + 1.75)


@pytest.mark.parametrize(
    ("metadata", "header", "box"),
    [
        ({}, {}, WHOLE),
        ({}, WORLD, WHOLE),
        ({"bounds": "-180,-85.0511287798,180,85.0511287798"}, {}, WHOLE),
        ({"bounds": "nonsense"}, WORLD, WHOLE),
        ({"bounds": [1, 2]}, {}, WHOLE),
        ({"bounds": None}, e7(*degrees(*PART)), PART),
        ({"bounds": "0,0,0,0"}, e7(*degrees(*PART)), PART),
        ({}, e7(*degrees(*PART)), PART),
        ({"bounds": ",".join(map(str, degrees(*PART)))}, WORLD, PART),
        ({"bounds": list(degrees(*PART))}, WORLD, PART),
        ({"bounds": "1,1,2,2"}, {}, WHOLE),  # elsewhere
        ({"bounds": "nan,1,2,inf"}, {}, WHOLE),
        ({"bounds": [10**400, 0, 1, 1]}, {}, WHOLE),
        ({"bounds": "10,20,-10,30"}, {}, WHOLE),
    ],
)
def test_bounds_count_where_they_can_be_true(
    tmp_path: Path, metadata: dict[str, Any], header: dict[str, Any], box: tuple[float, ...]
) -> None:
    picture = noise((512, 512, 3))
    path = write_archive(tmp_path / "a.pmtiles", cut(picture, ZOOM, COLUMN, ROW, 256), metadata, **header)
    left, top, right, bottom = (round(256 * (edge - start)) for edge, start in zip(box, WHOLE[:2] * 2, strict=True))
    np.testing.assert_array_equal(shown(path)[..., :3], picture[top:bottom, left:right])


def test_without_bounds_the_finest_tiles_say_where_the_picture_is(tmp_path: Path) -> None:
    picture = smooth(512, 512, 3)
    tiles = cut(picture, ZOOM, COLUMN, ROW, 256)
    for zoom in range(ZOOM):
        canvas = np.zeros((256, 256, 4), np.uint8)
        tiles[zoom, COLUMN >> ZOOM - zoom, ROW >> ZOOM - zoom] = encoded(canvas)
    assert shown(write_archive(tmp_path / "a.pmtiles", tiles, **WORLD)).shape == (512, 512, 4)


@pytest.mark.parametrize(("size", "halvings"), [(40, 5), (100, 3), (333, 1)])
def test_only_a_fine_zoom_gives_the_same_picture_as_the_whole_scaled_down(
    tmp_path: Path, size: int, halvings: int
) -> None:
    picture = noise((1280, 768, 3))
    path = write_archive(tmp_path / "a.pmtiles", cut(picture, 12, 1001, 77, 256))
    found = shown(path, size)
    halved = Image.fromarray(picture).convert("RGBA").reduce(2**halvings)
    expected = halved.resize((found.shape[1], size), Image.Resampling.LANCZOS)
    assert found.shape[0] == size
    assert np.abs(found.astype(int) - np.asarray(expected)).max() <= 2


def test_bands_leave_no_trace(tmp_path: Path) -> None:
    picture = noise((2048, 1024, 3))
    path = write_archive(tmp_path / "a.pmtiles", cut(picture, 12, 8, 16, 256))
    expected = Image.fromarray(picture).convert("RGBA").resize((750, 1500), Image.Resampling.LANCZOS)
    assert np.abs(shown(path, 1500).astype(int) - np.asarray(expected)).max() <= 1


def test_each_zoom_is_used_where_it_is_enough(tmp_path: Path) -> None:
    tiles = {}
    for zoom in range(5):
        tiles |= cut(np.full((256 << zoom, 256 << zoom), 10 * zoom, np.uint8), zoom, 0, 0, 256)
    path = write_archive(tmp_path / "a.pmtiles", tiles)
    assert [shown(path, size)[0, 0, 0] for size in (100, 256, 257, 1000, 2000)] == [0, 0, 10, 20, 30]


FAR_APART = """
import resource, sys
from pathlib import Path
from cartloader_image.drawing import render_preview
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = render_preview(Path(sys.argv[1]), 1024)
print(found.size, found.getpixel((0, 0)), found.getpixel((1023, 1023)), found.getpixel((500, 500)))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start)
"""


@pytest.mark.parametrize("zoom", [12, 20, 31])
def test_tiles_at_the_ends_of_the_world_take_little_memory(tmp_path: Path, zoom: int) -> None:
    end = 2**zoom - 1
    red, blue = (encoded(np.full((256, 256, 3), colour, np.uint8)) for colour in ((255, 0, 0), (0, 0, 255)))
    path = write_archive(tmp_path / "a.pmtiles", {(zoom, 0, 0): red, (zoom, end, end): blue}, **WORLD)
    run = subprocess.run([sys.executable, "-c", FAR_APART, path], capture_output=True, text=True, check=True)
    size, memory = run.stdout.splitlines()
    assert size.startswith("(1024, 1024) (255, 0, 0, ")
    assert size.endswith("(0, 0, 0, 0)")
    assert int(memory) < 120_000  # kB


def test_a_small_place_in_a_world_of_equal_tiles_takes_little_memory(tmp_path: Path) -> None:
    """It lies in one of the squares that are drawn, which would have a million pixels a side."""
    grey = encoded(np.full((256, 256), 90, np.uint8))
    place = e7(*degrees(64, 64, 64 + 2**-11, 64 + 2**-11))
    header = place | {"version": 3, "clustered": True, "tile_type": TileType.PNG, "min_zoom": 20, "max_zoom": 20}
    header |= {"internal_compression": Compression.GZIP, "tile_compression": Compression.NONE}
    everywhere = [Entry(first_id(20), 0, len(grey), 4**20)]
    (tmp_path / "a.pmtiles").write_bytes(Parts({}, {}, header, entries=everywhere, data=grey).build())
    found = shown(tmp_path / "a.pmtiles", 512)
    assert max(found.shape) == 512
    assert (found == [90, 90, 90, 255]).all()


def test_very_many_tiles_are_drawn_in_time(tmp_path: Path) -> None:
    dark, bright = (encoded(np.full((4, 4), value, np.uint8)) for value in (80, 180))
    every = {(10, x, y): bright if x // 32 % 2 else dark for y in range(400) for x in range(400)}
    path = write_archive(tmp_path / "a.pmtiles", every)
    start = time.monotonic()
    found = shown(path, 256)
    assert time.monotonic() - start < 20
    assert found.shape == (256, 256, 4)
    assert abs(int(found[128, 10, 0]) - 80) < 2
    assert abs(int(found[128, 30, 0]) - 180) < 2


@given(st.integers(0, 31), st.data())
def test_places_on_the_curve_are_those_of_the_package(zoom: int, data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, 4**zoom - 1), min_size=1, max_size=8))
    columns, rows = column_and_row(np.array(places), zoom)
    expected = [tileid_to_zxy(first_id(zoom) + place)[1:] for place in places]
    assert list(zip(columns, rows, strict=True)) == expected


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 300)), min_size=1, max_size=4))
def test_runs_are_made_of_whole_squares(steps: list[tuple[int, int]]) -> None:
    starts, runs, wanted, start = [], [], list[int](), 0
    for gap, run in steps:
        start += gap
        starts.append(start)
        runs.append(run)
        wanted += range(start, start + run)
        start += run
    found = [
        tile
        for places, halvings in _whole_squares(np.array(starts), np.array(runs))
        for place in places.tolist()
        for tile in range(place << 2 * halvings, (place + 1) << 2 * halvings)
    ]
    assert sorted(found) == wanted


def repacked(path: Path, compression: int, pack: Any, *, metadata: bytes | None = None) -> Path:
    """The same archive with its directory and metadata compressed in another way."""
    data = path.read_bytes()
    numbers = [int.from_bytes(data[8 + 8 * n : 16 + 8 * n], "little") for n in range(8)]
    root = pack(gzip.decompress(data[numbers[0] :][: numbers[1]]))
    packed = pack(gzip.decompress(data[numbers[2] :][: numbers[3]])) if metadata is None else metadata
    tiles = data[numbers[6] :]
    end = 127 + len(root)
    numbers = [127, len(root), end, len(packed), end + len(packed), 0, end + len(packed), len(tiles)]
    head = data[:8] + b"".join(number.to_bytes(8, "little") for number in numbers) + data[72:97]
    other = path.with_name("other.pmtiles")
    other.write_bytes(head + bytes([compression]) + data[98:127] + root + packed + tiles)
    return other


@pytest.mark.parametrize(
    ("compression", "pack"),
    [(1, bytes), (2, gzip.compress), (3, imagecodecs.brotli_encode), (4, imagecodecs.zstd_encode)],
)
def test_directories_in_any_compression_are_read(tmp_path: Path, compression: int, pack: Any) -> None:
    picture = noise((512, 512, 3))
    path = write_archive(tmp_path / "a.pmtiles", cut(picture, ZOOM, COLUMN, ROW, 256))
    np.testing.assert_array_equal(shown(repacked(path, compression, pack))[..., :3], picture)


ZIPPED = [gzip.compress(text, mtime=0) for text in (b"[1, 2]", b"[" * 100_000)]


@pytest.mark.parametrize("metadata", [b"", b"{", b"no gzip", *ZIPPED])
def test_metadata_are_not_needed(tmp_path: Path, metadata: bytes) -> None:
    picture = noise((256, 256, 3))
    path = write_archive(tmp_path / "a.pmtiles", {(0, 0, 0): encoded(picture)})
    np.testing.assert_array_equal(shown(repacked(path, 2, gzip.compress, metadata=metadata))[..., :3], picture)


def test_tiles_may_be_compressed_once_more(tmp_path: Path) -> None:
    picture = noise((256, 256, 3))
    path = write_archive(
        tmp_path / "a.pmtiles", {(0, 0, 0): gzip.compress(encoded(picture))}, tile_compression=Compression.GZIP
    )
    np.testing.assert_array_equal(shown(path)[..., :3], picture)


def test_an_archive_of_another_program_is_drawn(tmp_path: Path) -> None:
    require_tools("pmtiles", "gdal_translate")
    picture = smooth(700, 900, 3)
    Image.fromarray(picture).save(tmp_path / "a.png")
    place = ["-a_srs", "EPSG:3857", "-a_ullr", "0", "700", "900", "0"]
    for argv in (
        ["gdal_translate", "-q", *place, "a.png", "a.tif"],
        ["gdal_translate", "-q", "-of", "MBTILES", "a.tif", "a.mbtiles"],
        ["gdaladdo", "-q", "a.mbtiles", "2", "4"],
        ["pmtiles", "convert", "a.mbtiles", "a.pmtiles"],
    ):
        subprocess.run([str(shutil.which(argv[0])), *argv[1:]], cwd=tmp_path, check=True, capture_output=True)
    found = shown(tmp_path / "a.pmtiles", 400)
    assert max(found.shape) == 400
    middle = found[found.shape[0] // 4 : -found.shape[0] // 4, found.shape[1] // 4 : -found.shape[1] // 4, :3]
    height, width = found.shape[:2]
    expected = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS))
    expected = expected[height // 4 : -height // 4, width // 4 : -width // 4]
    assert np.abs(middle.astype(int) - expected).mean() < 6


TILE = encoded(np.zeros((256, 256, 3), np.uint8))


@pytest.mark.parametrize(
    ("tiles", "header", "words"),
    [
        ({(0, 0, 0): b"\x1a\x00"}, {"tile_type": TileType.MVT}, "holds vector tiles (MVT), which are no pictures"),
        ({(3, 5, 2): b"no picture"}, {}, "tile 3/5/2 cannot be decoded (it is none of PNG, JPEG"),
        ({(3, 5, 2): b""}, {}, "tile 3/5/2 cannot be decoded"),
        ({(3, 5, 2): noise((999,)).tobytes()}, {"tile_compression": Compression.BROTLI}, "cannot be uncompressed"),
        ({(2, 1, 1): TILE, (2, 1, 2): TILE[:-50]}, {}, "tile 2/1/2 cannot be decoded"),
        ({(0, 0, 0): encoded(np.zeros((1, 8200), np.uint8))}, {}, "tile 0/0/0 has 8200 × 1 pixels"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(
    tmp_path: Path, tiles: dict[tuple[int, int, int], bytes], header: dict[str, Any], words: str
) -> None:
    path = write_archive(tmp_path / "a.pmtiles", tiles, **header)
    with pytest.raises(ArchiveError) as caught:
        render_preview(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)


def test_no_damage_is_a_surprise(tmp_path: Path) -> None:
    picture = noise((512, 512, 3))
    whole = write_archive(tmp_path / "a.pmtiles", cut(picture, ZOOM, COLUMN, ROW, 256)).read_bytes()
    random = np.random.default_rng(1)
    path = tmp_path / "b.pmtiles"
    for trial in range(300):
        data = bytearray(whole)
        for place in random.integers(0, 400 if trial % 3 else len(whole), 1 + trial % 4):
            data[place] = random.integers(256)
        path.write_bytes(data[: random.integers(len(whole))] if trial % 5 == 0 else data)
        with suppress(ArchiveError):
            render_preview(path, 64)


@pytest.mark.parametrize("content", [b"", b"PMTiles", b"PMTiles\x02" + bytes(200), b"no archive", None])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.pmtiles"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(ArchiveError, match=f"^{path}: (is|cannot be read)"):
        render_preview(path)
    with pytest.raises(ArchiveError, match=r"none\.pmtiles: cannot be read"):
        render_preview(tmp_path / "none.pmtiles")


def test_the_picture_never_takes_the_place_of_its_archive(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.pmtiles", {(0, 0, 0): TILE})
    with pytest.raises(UsageError, match=r"a\.pmtiles: is the archive itself"):
        write_preview(path, path)


def test_a_name_says_whether_it_is_a_jpeg(tmp_path: Path) -> None:
    """What is transparent is white there, as paper is."""
    picture = np.dstack([smooth(256, 256, 3), np.full((256, 256), 255, np.uint8)])
    picture[:100, :, 3] = 0
    path = write_archive(tmp_path / "a.pmtiles", cut(picture, ZOOM, COLUMN, ROW, 256, "PNG"), {})
    for name in ("a.jpg", "b.JPEG"):
        write_preview(path, tmp_path / name)
        with Image.open(tmp_path / name) as found:
            assert (found.format, found.mode, found.size) == ("JPEG", "RGB", (256, 256))
            pixels = np.asarray(found).astype(int)
        assert np.abs(pixels[120:] - picture[120:, :, :3]).max() < 40
        assert pixels[:90].min() > 245
    write_preview(path, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as found:
        assert found.format == "PNG"
    for name in ("a.gif", "a"):
        with pytest.raises(UsageError, match=r"let its name end in \.png, \.jpg or \.jpeg"):
            write_preview(path, tmp_path / name)


def test_an_archive_is_not_enlarged_which_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_archive(tmp_path / "a.pmtiles", cut(smooth(256, 512, 3), ZOOM, COLUMN, ROW, 256, "PNG"), {})
    argv = ["preview", str(path), str(tmp_path / "a.png")]
    note = f"note: {path} has no more than 512 × 256 pixels\n"
    for more, said in (([], ""), (["--size", "512"], ""), (["--size", "513"], note)):
        assert main([*argv, *more]) == 0
        assert capsys.readouterr() == (f"{tmp_path / 'a.png'}\n", said)
        with Image.open(tmp_path / "a.png") as found:
            assert found.size == (512, 256)


def test_points_are_drawn_where_they_are(tmp_path: Path) -> None:
    """At half the size; the more of them, the fuller; those beside the picture are none of it."""
    path = write_archive(
        tmp_path / "a.pmtiles", cut(np.zeros((256, 512, 3), np.uint8), ZOOM, COLUMN, ROW, 256, "PNG"), {}
    )
    side = 2 * HALF_MAP / 2**ZOOM
    left, top = COLUMN * side - HALF_MAP, HALF_MAP - ROW * side
    side_of_pixel = side / 128
    cells = [(3, 7, 1), (100, 200, 50), (127, 255, 2)]  # rows, columns and how many
    places = [(left + (column + 0.5) * side_of_pixel, top - (row + 0.5) * side_of_pixel) for row, column, _ in cells]
    points = np.repeat(places, [count for _, _, count in cells], axis=0)
    points = np.concatenate([points, [(left - 1, top - 1), (left + 1, top + 1)]])
    picture = write_preview(path, tmp_path / "p.png", 256, points)
    red = np.asarray(picture)[..., 0]
    expected = np.zeros((128, 256), bool)
    for row, column, _ in cells:
        expected[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3] = True
    np.testing.assert_array_equal(red > 0, expected)
    assert red[3, 7] < red[127, 255] < red[100, 200]
    for count, side in ((200, 3), (400, 1)):  # many are drawn small
        rows, columns = np.array([[9], [7]]) * np.divmod(np.arange(count), 36)
        places = np.column_stack([left + (columns + 0.5) * side_of_pixel, top - (rows + 0.5) * side_of_pixel])
        red = np.asarray(write_preview(path, tmp_path / "p.png", 256, places))[..., 0]
        assert red[0, 7:14].astype(bool).tolist() == [abs(at) <= side // 2 for at in (0, 1, 2, 3, -3, -2, -1)]
    (tmp_path / "p.csv").write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in points))
    assert (
        main(["preview", str(path), str(tmp_path / "q.png"), "--size", "256", "--points", str(tmp_path / "p.csv")]) == 0
    )
    with Image.open(tmp_path / "q.png") as drawn:
        np.testing.assert_array_equal(np.asarray(drawn), np.asarray(picture))
    with pytest.raises(InputError, match="none of 2 points lies on its picture"):
        write_preview(path, tmp_path / "none.png", 256, points[-2:])
    assert not (tmp_path / "none.png").exists()


def test_what_goes_into_a_page_is_small_whatever_it_shows() -> None:
    for picture in (noise((480, 640, 4)), noise((2000, 3, 4)), smooth(480, 640, 3)):
        address = data_uri(Image.fromarray(picture))
        assert len(address) <= 60_000
        assert Image.open(BytesIO(b64decode(address.partition(",")[2]))).format == "WEBP"
    assert len(data_uri(Image.fromarray(noise((480, 640, 4))))) > 20_000, "it is as fine as it may be"
