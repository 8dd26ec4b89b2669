"""Small inputs that ask for much memory or time: each a function that writes one and gives the options to import it."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

from support.corruptions import scans
from support.rasters import NAMESPACE

Bomb = Callable[[Path], list[str]]
"""Writes files into a directory, of which one is the input, and gives the options to import it by."""

_PICTURE = (np.arange(48 * 64) % 250).astype(np.uint8).reshape(48, 64)
_COLOUR = np.full((64, 64, 3), 200, np.uint8)
_PLACED = ("--pixel-size", "1")
_MEGABYTE = 1 << 20


def _tiff(folder: Path, **how: object) -> list[str]:
    how = {"photometric": "minisblack", "metadata": None} | how
    tifffile.imwrite(folder / "a.tif", _PICTURE, **how)  # type: ignore[arg-type]
    return ["--ome2png", "--in-img", "a.tif", "--page", "0", *_PLACED]


def _ome(inner: str, pages: int = 1, blanks: int = 0, **sizes: int) -> Bomb:
    named = {
        "SizeX": 16,
        "SizeY": 16,
        "SizeZ": 1,
        "SizeC": 1,
        "SizeT": 1,
        "PhysicalSizeX": 1,
        "PhysicalSizeY": 1,
    } | sizes
    attributes = " ".join(f'{name}="{value}"' for name, value in named.items())
    start = f'<OME {NAMESPACE}><Image><Pixels DimensionOrder="XYZCT" {attributes}>{inner}'

    def write(folder: Path) -> list[str]:
        xml = f"{start}{' ' * blanks}</Pixels></Image></OME>"
        with tifffile.TiffWriter(folder / "a.ome.tif") as file:
            for number in range(pages):
                description = None if number else xml.encode()
                file.write(np.full((16, 16), number % 255, np.uint8), description=description, metadata=None)
        return ["--ome2png", "--in-img", "a.ome.tif", "--page", "0"]

    return write


def one_tile(segment: bytes, codec: int) -> bytes:
    """A TIFF of one RGB tile of 64² pixels, which is what is given."""
    entries = [(256, 64), (257, 64), (258, 0), (259, codec), (262, 2), (277, 3), (322, 64), (323, 64), (324, 0)]
    bits = 8 + 2 + 12 * (len(entries) + 1) + 4
    data = struct.pack("<2sHIH", b"II", 42, 8, len(entries) + 1)
    for code, value in entries:
        count, place = (3, bits) if code == 258 else (1, bits + 6 if code == 324 else value)
        data += struct.pack("<HHII", code, 3 if code == 258 else 4, count, place)
    return data + struct.pack("<HHIII", 325, 4, 1, len(segment), 0) + struct.pack("<HHH", 8, 8, 8) + segment


def _tile(make: Callable[[], bytes], codec: int) -> Bomb:
    def write(folder: Path) -> list[str]:
        (folder / "a.tif").write_bytes(one_tile(make(), codec))
        return ["--ome2png", "--in-img", "a.tif", *_PLACED]

    return write


def _plain(name: str, make: Callable[[], bytes]) -> Bomb:
    def write(folder: Path) -> list[str]:
        (folder / name).write_bytes(make())
        return ["--georeference", "--in-img", name, *_PLACED]

    return write


def jpeg(side: int, marker: bytes = b"\xff\xc0") -> bytes:
    """A JPEG of 64² pixels that says it is larger."""
    data = bytearray(imagecodecs.jpeg8_encode(_COLOUR))
    struct.pack_into(">HH", data, data.find(marker) + 5, side, side)
    return bytes(data)


def png(side: int, interlaced: int = 0) -> bytes:
    """The same as PNG."""
    data = bytearray(imagecodecs.png_encode(_COLOUR))
    struct.pack_into(">II", data, 16, side, side)
    data[28] = interlaced
    struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    return bytes(data)


def webp(side: int) -> bytes:
    """The same as WebP."""
    data = bytearray(imagecodecs.webp_encode(_COLOUR, lossless=False, level=80))
    struct.pack_into("<HH", data, 26, side, side)
    return bytes(data)


def jpeg_2000(side: int, form: str = "j2k") -> bytes:
    """The same as JPEG 2000."""
    data = bytearray(imagecodecs.jpeg2k_encode(_COLOUR, codecformat=form))
    start = data.find(b"\xff\x4f\xff\x51")
    struct.pack_into(">IIII", data, start + 8, side, side, 0, 0)
    struct.pack_into(">II", data, start + 24, side, side)
    if form == "jp2":
        struct.pack_into(">II", data, data.find(b"ihdr") + 4, side, side)
    return bytes(data)


def jpeg_xr(side: int) -> bytes:
    """The same as JPEG XR."""
    data = bytearray(imagecodecs.jpegxr_encode(_COLOUR))
    (directory,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, directory)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, entry)[0] in {0xBC80, 0xBC81}:
            struct.pack_into("<HII", data, entry + 2, 4, 1, side)
    return bytes(data)


def jpeg_xl(side: int) -> bytes:
    """A JPEG XL of so many pixels a side, which is just some bytes."""
    return bytes(imagecodecs.jpegxl_encode(np.zeros((side, side), np.uint8), lossless=True, effort=1))


def _beside(option: str, piece: bytes, count: int) -> Bomb:
    def write(folder: Path) -> list[str]:
        (folder / "t.tsv.gz").write_bytes(gzip.compress(piece * count, 1))
        return [*_tiff(folder)[: -len(_PLACED)], option, "t.tsv.gz"]

    return write


def _aliases(depth: int = 30) -> str:
    """YAML of 30 lines that stands for 2^30 words."""
    lines = (f"x{number}: &x{number} [*x{number - 1}, *x{number - 1}]\n" for number in range(1, depth))
    return f"x0: &x0 [a, a]\n{''.join(lines)}"


def _mapping(text: str) -> Bomb:
    def write(folder: Path) -> list[str]:
        _tiff(folder)
        (folder / "m.yaml").write_text(text)
        return ["--ome2png", "--in-json", "m.yaml"]

    return write


def _directories(folder: Path) -> list[str]:
    count, entry = 100_000, struct.pack("<HHHII", 1, 256, 4, 1, 64)
    chain = (entry + struct.pack("<I", 8 + 18 * number if number < count else 0) for number in range(1, count + 1))
    (folder / "a.tif").write_bytes(struct.pack("<2sHI", b"II", 42, 8) + b"".join(chain))
    return ["--ome2png", "--in-img", "a.tif", *_PLACED]


def _pages(folder: Path) -> list[str]:
    with tifffile.TiffWriter(folder / "a.tif") as file:
        for number in range(4097):
            file.write(np.zeros((16, 16 + 16 * (number == 1)), np.uint8), metadata=None, compression="zlib")
    return ["--ome2png", "--in-img", "a.tif", "--page", "0", *_PLACED]


def _rows(folder: Path) -> list[str]:
    (folder / "m.csv").write_text("id,path\n" + "".join(f"{number},a\n" for number in range(400_000)))
    return ["--ome2png", "--in-json", "m.csv"]


def _world_file(folder: Path) -> list[str]:
    (folder / "a.png").write_bytes(imagecodecs.png_encode(_PICTURE))
    (folder / "a.pgw").write_text("1" * (64 * _MEGABYTE))
    return ["--georeference", "--in-img", "a.png"]


def _aux_file(folder: Path) -> list[str]:
    (folder / "a.png").write_bytes(imagecodecs.png_encode(_PICTURE))
    (folder / "a.png.aux.xml").write_text(f"<PAMDataset>{'<a/>' * (10 * _MEGABYTE)}</PAMDataset>")
    return ["--georeference", "--in-img", "a.png", *_PLACED]


def _sub_directories(folder: Path) -> list[str]:
    options = _tiff(folder, extratags=[(65330, 4, 500_000, [8] * 500_000, True)])
    data = (folder / "a.tif").read_bytes()
    (folder / "a.tif").write_bytes(data.replace(struct.pack("<HH", 65330, 4), struct.pack("<HH", 330, 4)))
    return options


_FAR_MORE = "says that it holds far more than the 64 × 64 pixels of a tile"
_SPILLS = "its tile 0, .* is damaged"
BOMBS: dict[str, tuple[Bomb, str]] = {
    "a shape of a billion planes": (
        lambda folder: _tiff(folder, description=json.dumps({"shape": [1_000_000_000, 48, 64]})),
        "has 1,000,000,000 planes, more than the 65,536 that are taken; .* add --max-input-cost 15259",
    ),
    "a channel of a high number": (
        _ome('<TiffData FirstC="100000000" IFD="0" PlaneCount="1"/>', SizeC=200_000_000),
        "has 100,000,001 channels, more than the 16,384",
    ),
    "samples per pixel": (
        _ome('<Channel SamplesPerPixel="100000000000"/><TiffData IFD="0"/>'),
        "has 100,000,000,000 channels",
    ),
    "blanks in XML": (_ome('<TiffData IFD="0"/>', blanks=200 * _MEGABYTE), "bytes in one tag"),
    "planes in XML": (
        _ome('<TiffData IFD="0"/>' + '<Plane TheZ="0" TheC="0" TheT="0"/>' * 800_000),
        "attributes of XML",
    ),
    "deep XML": (_ome(f'<TiffData IFD="0"/>{"<a>" * 400_000}{"</a>" * 400_000}'), "attributes of XML"),
    "attributes in XML": (
        _ome('<TiffData IFD="0"/><a ' + " ".join(f'a{number}="1"' for number in range(1_000_000)) + "/>"),
        "attributes of XML",
    ),
    "blocks that say where one plane is": (
        _ome("".join(f'<TiffData IFD="{n % 2000}" FirstT="{n % 2000}"/>' for n in range(100_000)), 2000, SizeT=2000),
        "",
    ),
    "blocks that say where all planes are": (
        _ome("".join(f'<TiffData IFD="0" FirstT="{n}" PlaneCount="2000"/>' for n in range(100_000)), 2000, SizeT=10**6),
        "says too often where planes are",
    ),
    "comments that do not end": (
        _ome('<TiffData IFD="0"/>' + "<!--" * 400_000 + " " * (20 * _MEGABYTE)), "OME-XML cannot be parsed"
    ),
    "a long word": (_beside("--georef-pixel-tsv", b"#" + b"a" * (3 * _MEGABYTE), 1), "have no OFFSET_X"),
    "a unit of blanks": (
        lambda folder: _tiff(folder, description=f"ImageJ=1.53\nunit=a{' ' * (8 * _MEGABYTE)}b\n", resolution=(2, 2)),
        "",
    ),
    "a tile of JPEG": (_tile(lambda: jpeg(65500), 7), _FAR_MORE),
    "a tile of JPEG in many passes": (
        _tile(lambda: scans(imagecodecs.jpeg8_encode(_COLOUR), 200), 7),
        "is damaged .JPEG: it has more than 100 scans",
    ),
    "a tile of WebP": (_tile(lambda: webp(16383), 50001), _FAR_MORE),
    "a tile of PNG": (_tile(lambda: png(65500), 34933), _FAR_MORE),
    "a tile of JPEG 2000": (_tile(lambda: jpeg_2000(65500), 34712), _FAR_MORE),
    "a tile of JPEG XL": (_tile(lambda: jpeg_xl(16384), 50002), _FAR_MORE),
    "a tile of JPEG XR": (_tile(lambda: jpeg_xr(65500), 34934), _FAR_MORE),
    "a tile of Deflate": (_tile(lambda: zlib.compress(bytes(512 * _MEGABYTE)), 8), _SPILLS),
    "a tile of Zstandard": (_tile(lambda: imagecodecs.zstd_encode(bytes(512 * _MEGABYTE)), 50000), _SPILLS),
    "PNG": (_plain("a.png", lambda: png(65500)), "is damaged or cut off near row 0"),
    "interlaced PNG": (_plain("a.png", lambda: png(65500, 1)), "add --high-memory"),
    "JPEG": (_plain("a.jpg", lambda: jpeg(65500)), "is damaged or cut off near row 0"),
    "WebP": (_plain("a.webp", lambda: webp(16383)), "add --high-memory"),
    "JPEG 2000": (_plain("a.jp2", lambda: jpeg_2000(65500, "jp2")), "add --high-memory"),
    "a long line of #": (_beside("--georef-pixel-tsv", b"#", 512 * _MEGABYTE), "4,194,305 bytes of text"),
    "many lines of #": (_beside("--georef-pixel-tsv", b"#a\n", 200 * _MEGABYTE), r"4,194,\d+ bytes of text"),
    "blank bounds": (_beside("--georef-bounds-tsv", b"\n", 512 * _MEGABYTE), "4,194,305 bytes of text"),
    "a blank matrix": (_beside("--micron2pixel-csv", b"1 ", 256 * _MEGABYTE), "4,194,305 bytes of text"),
    **{
        f"aliases for --{name}": (
            _mapping(f"{_aliases()}IMAGES: {{dapi: {{path: a.tif, {name}: *x29}}}}\n"),
            f"--{name} takes one value, or a list of numbers",
        )
        for name in ("georef-bounds", "colorize", "channel", "pixel-size")
    },
    "aliases for a path": (_mapping(f"{_aliases()}IMAGES: {{dapi: *x29}}\n"), "dapi needs a path"),
    "aliases for an id": (_mapping(f"{_aliases()}IMAGES:\n  ? *x29\n  : a.tif\n"), "cannot be an id"),
    "deep YAML": (_mapping("[" * 400_000), "nested too deeply"),
    "long YAML": (_mapping(f"[{'a,' * 400_000}a]"), "bytes of YAML, more than the 524,288"),
    "long JSON": (_mapping(f'{{"a": [{"[]," * 2_000_000}[]]}}'), "bytes of text, more than the 4,194,304"),
    "pages that are not alike": (_pages, "has 4,097 pages that are not alike"),
    "rows of a sheet": (_rows, "has 65,537 images in a sample sheet"),
    "rows of a matrix": (_beside("--micron2pixel-csv", b"#\n", 2 * _MEGABYTE - 1), "found 2097151 rows of 1, 1,"),
    "directories": (_directories, "has 65,537 directories"),
    "directories below": (_sub_directories, "has 500,000 levels of a pyramid"),
    "numbers in a tag": (
        lambda folder: _tiff(folder, extratags=[(65000, 4, 3_000_000, [0] * 3_000_000, True)]),
        "has 3,000,000 numbers in one tag, more than the 2,097,152",
    ),
    "a world file": (_world_file, "is no world file of six finite numbers"),
    "an .aux.xml": (_aux_file, "bytes of XML, more than the 33,554,432"),
}  # fmt: skip
"""By name: how it is made, and what is said of it; nothing where it is imported at no great cost."""
CATALOGS = {
    "aliases as a key": f"{_aliases()}? *x29\n: 1\n",
    "aliases as a value": f"{_aliases()}assets: {{basemap: {{a: *x29}}}}\n",
    "aliases as an id": f"{_aliases()}assets:\n  basemap:\n    ? *x29\n    : a.pmtiles\n",
    "maps of maps": "x0: &x0 {a: b}\n"
    + "".join(f"x{n}: &x{n} {{? *x{n - 1} : *x{n - 1}, c: *x{n - 1}}}\n" for n in range(1, 30)),
    "much of it": "# x\n" * (4 * _MEGABYTE),
}
"""Catalogs of the same kind."""
