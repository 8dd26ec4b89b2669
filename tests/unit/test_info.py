"""`cartloader info`: what it says is what an import does, and what other readers find."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from affine import Affine
from PIL import Image
from pmtiles.tile import Compression, TileType
from support.archives import cut, encoded, read, read_archive, tiles_of, write_archive
from support.maps import write_ome
from support.rasters import noise, ome_xml, smooth, write_pages
from support.tags import without_tag

import cartloader_image as cl
from cartloader_flows.cli.main import main
from cartloader_image.images import tiff

SAMPLES = Path(__file__).parents[2].parent / "shared" / "samples"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Any:
    """What the command prints about a file: its lines, or the document."""

    def ask(path: Path | str, *, as_json: bool = False) -> Any:
        assert main(["info", str(path), *(["--json"] if as_json else [])]) == 0
        out, err = capsys.readouterr()
        assert not err
        return json.loads(out) if as_json else out

    return ask


def write_kinds() -> list[Path]:
    """A picture of each kind, in the working directory."""
    cl.write_sample("channels.ome.tif", size=256)
    write_ome(Path("he.ome.tif"), smooth(60, 80, 3), 0.5)
    with tifffile.TiffWriter("series.ome.tif", ome=True) as file:
        file.write(smooth(60, 80, 1), metadata={"PhysicalSizeX": 2, "PhysicalSizeY": 2})
        file.write(noise((3, 30, 40), np.uint16), metadata={"axes": "ZYX", "PhysicalSizeX": 3, "PhysicalSizeY": 3})
    tifffile.imwrite("stack.tif", noise((4, 30, 40), np.uint16), photometric="minisblack")
    Image.fromarray(smooth(60, 80, 3)).save("plain picture.png")
    Image.fromarray(smooth(60, 80, 1)).save("photo.jpg")
    Path("photo.jgw").write_text("2\n0\n0\n-2\n1\n-1\n")
    place: dict[str, Any] = {"crs": "EPSG:3857", "transform": Affine(2, 0, 10, 0, -2, 20)}
    with rasterio.open("geo.tif", "w", "GTiff", 80, 60, 1, dtype="uint8", compress="lzw", **place) as dataset:
        dataset.write(smooth(60, 80, 1), 1)
    return sorted(path for path in Path().iterdir() if path.suffix != ".jgw")


def test_it_offers_no_command_for_old_style_jpeg(told: Any) -> None:
    """Of which the tables lie elsewhere, so that a tile does not begin as a JPEG does."""
    tifffile.imwrite("a.tif", smooth(64, 64, 3), photometric="ycbcr", compression="jpeg", tile=(64, 64), metadata=None)
    with tifffile.TiffFile("a.tif", mode="r+b") as file:
        page = file.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        page.tags["Compression"].overwrite(6)
        first = page.dataoffsets[0]
    assert "refused" not in told("a.tif")
    data = bytearray(Path("a.tif").read_bytes())
    data[first : first + 2] = bytes(2)
    Path("a.tif").write_bytes(data)
    found = told("a.tif")
    assert "refused: is compressed by old-style JPEG, whose tables lie outside its strips or tiles; open it" in found
    assert "cartloader import_image" not in found


def test_what_it_says_is_what_an_import_does(told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    imported = 0
    for path in write_kinds():
        found = told(path, as_json=True)
        assert (found["what"], found["path"], found["bytes"]) == ("image", path.name, path.stat().st_size)
        for series in found["series"]:
            said = series["import_image"]
            lacking = [choice["option"] for choice in said["choices"] if choice["value"] is None]
            assert said["ready"] == (not lacking)
            words = ["3" if word == "UM_PER_PIXEL" else word for word in shlex.split(said["command"])]
            assert words[:2] == ["cartloader", "import_image"]
            assert lacking == (["--pixel-size"] if "3" in words else [])
            assert main([*words[1:], "--direct", "--restart"]) == 0, capsys.readouterr().err
            archive = read_archive(Path("map", f"{words[-1]}.pmtiles"))
            if said["ready"]:
                zooms = int(archive.metadata["minzoom"]), int(archive.metadata["maxzoom"])
                assert (said["needs"]["min_zoom"], said["needs"]["max_zoom"]) == zooms
                assert said["needs"]["tiles"] == archive.header.addressed_tiles_count
            capsys.readouterr()
            imported += 1
    assert imported == 8


def test_a_picture_as_a_person_sees_it(told: Any) -> None:
    cl.write_sample("slide.ome.tif", size=1024)
    size = Path("slide.ome.tif").stat().st_size
    assert told("slide.ome.tif").splitlines()[1:4] == [
        "  image           1,024 × 1,024 uint16, 0.2125 µm per pixel",
        "  planes          2: 0 (DAPI), 1 (membrane)",
        "  levels          3: 1,024 × 1,024, 512 × 512, 256 × 256",
    ]
    document = told("slide.ome.tif", as_json=True)
    assert document["series"][0]["storage"] == {
        "photometric": "MINISBLACK", "codec": "ADOBE_DEFLATE", "pieces": "tile",
        "piece_size": {"width": 512, "height": 512},
    }  # fmt: skip
    assert document["series"][0]["levels"][2] == {"width": 256, "height": 256}
    assert (document["kind"], document["bytes"]) == ("OME-TIFF", size)


def test_what_is_missing_is_not_guessed(told: Any) -> None:
    write_pages(Path("dpi.tif"), [noise((20, 30))], resolution=(4000, 4000), resolutionunit="CENTIMETER")
    text = told("dpi.tif")
    assert "lacks --pixel-size: does not say where it lies" in text
    assert "4000 pixels per cm would be 2.5 × 2.5 µm, which --georef-detect takes" in text
    assert text.endswith(
        "cartloader import_image --png2pmtiles --in-img dpi.tif --pixel-size UM_PER_PIXEL --out-dir map --img-id dpi\n"
    )
    [series] = told("dpi.tif", as_json=True)["series"]
    assert series["detectable"] == {"pixel_size": [2.5, 2.5], "where": "4000 pixels per cm"}
    assert series["pixel_size"] is series["import_image"]["needs"] is None


def test_what_would_be_refused_is_said_for_its_series_alone(told: Any) -> None:
    with tifffile.TiffWriter("mixed.ome.tif", ome=True) as file:
        file.write(noise((20, 30)), metadata={"PhysicalSizeX": 2, "PhysicalSizeY": 2})
        file.write(np.zeros((8, 9), np.complex64))
    text = told("mixed.ome.tif")
    assert "  series 1        9 × 8 complex64, no pixel size\n" in text
    assert "  import          is refused: holds complex numbers, which cannot be shown\n" in text
    first, second = told("mixed.ome.tif", as_json=True)["series"]
    assert (first["import_image"]["refused"], first["import_image"]["ready"]) == ("", True)
    assert second["storage"]["photometric"] == "MINISBLACK"
    assert not second["import_image"]["ready"]


def test_each_note_is_there_once(told: Any) -> None:
    tifffile.imwrite("bare.tif", noise((20, 30)), metadata=None)
    Path("bare.tif").write_bytes(without_tag(Path("bare.tif").read_bytes(), 262))
    Path("bare.tfw").write_text("2\n0\n0\n-3\n1\n-1\n")
    [series] = told("bare.tif", as_json=True)["series"]
    assert series["notes"] == ["its PhotometricInterpretation is missing; taken for grey, 0 is black"]
    assert series["import_image"]["notes"] == ["its pixels are 2 × 3 map units, not square; are the bounds right?"]
    assert told("bare.tif").count("  note ") == 2


def test_the_metadata_of_many_series_are_read_once(monkeypatch: pytest.MonkeyPatch, told: Any) -> None:
    with tifffile.TiffWriter("plate.ome.tif", ome=True) as file:
        for _ in range(20):
            file.write(noise((8, 9)), metadata={"PhysicalSizeX": 2, "PhysicalSizeY": 2})
    read, inner = [], tiff.read_ome

    def counted(xml: str, path: Path, *more: Any) -> Any:
        read.append(path.name)
        return inner(xml, path, *more)

    monkeypatch.setattr(tiff, "read_ome", counted)
    text = told("plate.ome.tif")
    assert read == ["plate.ome.tif"]
    assert "  and 12 more series, which --json has" in text
    assert len(told("plate.ome.tif", as_json=True)["series"]) == 20


def test_no_text_of_a_file_steers_the_terminal(told: Any) -> None:
    xml = ome_xml('<Channel ID="Channel:0:0" Name="&#x9b;31m&#x202e;red"/><TiffData/>', SizeX=8, SizeY=6, SizeZ=2)
    write_pages(Path("a.ome.tif"), noise((2, 6, 8)), xml.encode())
    text = told("a.ome.tif")
    assert r"0 (z=0, \x9b31m\u202ered)" in text
    [series] = told("a.ome.tif", as_json=True)["series"]
    assert series["planes"][0] == r"z=0, \x9b31m\u202ered", "an import says it, too"
    write_archive(Path("a.pmtiles"), {(0, 0, 0): b"x"}, {"name": "\x1b]0;mine\x07", "n\x1b": "y"})
    shown = told("a.pmtiles")
    assert r"name: \x1b]0;mine\x07" in shown
    assert shown.replace("\n", "").isprintable()
    assert told("a.pmtiles", as_json=True)["metadata"] == {"name": "\x1b]0;mine\x07", "n\x1b": "y"}
    Path("a.yaml").write_text(
        '{title: "a\\e[2J", assets: {basemap: {"b\\t": a.pmtiles, "c\\e": {"d\\e": a.pmtiles}}}}\n'
    )
    shown = told("a.yaml")
    assert r"a.yaml  a\x1b[2J, 2 basemaps" in shown
    assert r"c\x1b.d\x1b " in shown
    assert shown.replace("\n", "").isprintable()


def test_an_archive_as_another_reader_finds_it(told: Any) -> None:
    tiles = cut(smooth(512, 512, 1), 3, 2, 4, 256) | cut(smooth(256, 256, 1), 2, 1, 2, 256)
    tiles |= {(3, 7, 7): tiles[3, 2, 4], (3, 0, 7): encoded(smooth(256, 256, 3))}
    write_archive(Path("a.pmtiles"), tiles, {"name": "a", "share": float("nan")}, min_zoom=2, max_zoom=3)
    header, _ = read(Path("a.pmtiles"))
    found = told("a.pmtiles", as_json=True)
    assert (found["what"], found["tile_type"], found["bytes"]) == ("archive", "png", Path("a.pmtiles").stat().st_size)
    for name in ("root_offset", "tile_data_length", "addressed_tiles_count", "tile_contents_count", "max_zoom"):
        assert found["header"][name] == header[name]
    read_back = tiles_of(Path("a.pmtiles"))
    assert [one["zoom"] for one in found["zooms"]] == [2, 3]
    for one in found["zooms"]:
        there = [data for (zoom, _, _), data in read_back.items() if zoom == one["zoom"]]
        assert (one["tiles"], one["contents"]) == (len(there), len(set(there)))
        assert one["bytes"] == sum(map(len, set(there)))
    assert found["metadata"] == {"name": "a", "share": "nan"}
    lines = told("a.pmtiles").splitlines()
    assert lines[-3].split()[:3] == ["2", "1", "1"]
    assert lines[-2].split()[:3] == ["3", "6", "5"]


def test_an_archive_without_pictures_or_tiles(told: Any) -> None:
    header = {"tile_type": TileType.MVT, "tile_compression": Compression.GZIP}
    write_archive(Path("vector.bin"), {(4, 1, 1): b"\x1f\x8b not looked at"}, {"vector_layers": []}, **header)
    found = told("vector.bin", as_json=True)
    assert (found["tile_type"], found["tile_compression"], found["zooms"][0]["tiles"]) == ("mvt", "gzip", 1)
    data = bytearray(Path("vector.bin").read_bytes())
    data[99] = 77
    Path("odd.pmtiles").write_bytes(data)
    assert told("odd.pmtiles", as_json=True)["tile_type"] == "77"


def test_a_catalog_and_which_of_its_archives_are_there(told: Any) -> None:
    write_archive(Path("a.pmtiles"), {(2, 1, 1): b"x", (5, 1, 1): b"y"})
    Path("cut.pmtiles").write_bytes(Path("a.pmtiles").read_bytes()[:-1])
    Path("catalog.yaml").write_text(
        "title: Brain\nassets:\n  basemap:\n    a: a.pmtiles\n    b: sub/b.pmtiles\n    c: cut.pmtiles\n"
        "    d: /dev/zero\n    sge: {default: dark, dark: a.pmtiles}\n    e: [list]\n"
    )
    found = told("catalog.yaml", as_json=True)
    assert (found["what"], found["title"]) == ("catalog", "Brain")
    assert {one["id"]: (one["zooms"], bool(one["problem"])) for one in found["basemaps"]} == {
        "a": ([2, 5], False), "b": (None, True), "c": (None, True), "d": (None, True), "sge.dark": ([2, 5], False),
    }  # fmt: skip
    lines = told("catalog.yaml").splitlines()
    assert lines[0] == "catalog.yaml  Brain, 5 basemaps"
    assert lines[1] == f"  a               a.pmtiles  {Path('a.pmtiles').stat().st_size} bytes, z2–5"
    assert lines[2].endswith("sub/b.pmtiles  there is no such archive to list; make it with --png2pmtiles")
    assert lines[3].endswith("cut.pmtiles  is cut off; make it anew with --png2pmtiles")


def test_more_can_be_taken_than_usually(told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.yaml").write_text("assets: {basemap: {a: a.pmtiles}}" + "#" * (1 << 20))
    assert main(["info", "c.yaml"]) == 1
    words = capsys.readouterr().err.split()
    assert words[-3:-1] == ["add", "--max-input-cost"]
    assert main(["info", "c.yaml", *words[-2:]]) == 0
    assert "1 basemap" in capsys.readouterr().out
    write_ome(Path("a.ome.tif"), smooth(30, 40, 1))
    assert main(["info", "a.ome.tif", "--max-input-cost", "2.5"]) == 0
    assert "--in-img a.ome.tif --max-input-cost 2.5 --out-dir" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.txt", b"words", "a.txt: is text; give the image itself"),
        ("none.tif", None, "none.tif: cannot be read (No such file or directory)"),
        ("none.pmtiles", None, "none.pmtiles: cannot be read (No such file or directory)"),
        ("none.yaml", None, "none.yaml: there is no such catalog"),
        ("map.yaml", b"dapi: dapi.tif\n", "map.yaml: has no key assets; is it a catalog?"),
        ("bad.yaml", b"a: [1", "bad.yaml: a YAML file is needed, found an error in line 1"),
        ("cut.pmtiles", b"PMTiles\3", "cut.pmtiles: is a PMTiles archive cut off"),
        ("cut.tif", b"II*\0\x08", "cut.tif: "),
    ],
)
def test_what_cannot_be_looked_at_is_one_sentence(
    name: str, data: bytes | None, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if data is not None:
        Path(name).write_bytes(data)
    assert main(["info", name]) == 1
    out, err = capsys.readouterr()
    assert err.startswith(words)
    assert err.count("\n") == 1
    assert not out


def test_it_imports_no_more_than_it_needs() -> None:
    cl.write_sample("slide.ome.tif", size=256)
    write_archive(Path("a.pmtiles"), {(0, 0, 0): b"x"})
    Path("c.yaml").write_text("assets: {basemap: {a: a.pmtiles}}")
    for name, needless in (
        ("slide.ome.tif", {"rasterio", "prefect", "httpx", "rich"}),
        ("a.pmtiles", {"rasterio", "prefect", "tifffile", "rich"}),
        ("c.yaml", {"rasterio", "prefect", "tifffile", "rich"}),
    ):
        code = f"import sys; from cartloader_flows.cli.main import main; main(['info', {name!r}]); print(*sys.modules)"
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert not needless & set(run.stdout.splitlines()[-1].split())


@pytest.mark.skipif(not SAMPLES.exists(), reason="needs the shared sample images")
def test_real_files(told: Any) -> None:
    aperio = told(SAMPLES / "hne" / "CMU-1-Small-Region.svs", as_json=True)["series"]
    assert [(one["levels"][0]["width"], one["levels"][0]["height"]) for one in aperio] == [
        (2220, 2967), (574, 768), (387, 463), (1280, 431),
    ]  # fmt: skip
    assert aperio[0]["storage"]["codec"] == "JPEG"
    assert aperio[0]["detectable"]["pixel_size"] == [0.499, 0.499]
    for path in sorted(SAMPLES.glob("*/**/*")):
        if path.suffix in {".tif", ".tiff", ".svs", ".png"} and path.name not in {
            "sharp_truncated.png",
            "tm_zackthecat.tif",
        }:
            for one in told(path, as_json=True)["series"]:
                assert not one["import_image"]["refused"], path
