"""Small archives that ask for a lot: of memory, of time, or of both.

Run as a program, it draws archives and verifies them, and prints what each took; the catalog's check is a part of that.
"""

from __future__ import annotations

import gzip
import re
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image
from pmtiles.tile import Compression, Entry, TileType, serialize_directory, zxy_to_tileid

from cartloader_image.drawing import render_preview
from cartloader_image.errors import CartloaderError
from cartloader_image.tiles.verify import verify
from support.corruptions import chunk, claiming, directory, octets, scans
from support.parts import Parts

LARGE = 256 << 20
MOST = 1 << 18
"""Entries of a directory that are just taken."""
HEADER = {
    "version": 3, "clustered": True, "tile_type": TileType.PNG,
    "internal_compression": Compression.GZIP, "tile_compression": Compression.NONE,
    "min_zoom": 9, "max_zoom": 9, "center_zoom": 9, "center_lon_e7": 0, "center_lat_e7": 0,
    "min_lon_e7": 0, "min_lat_e7": 0, "max_lon_e7": 0, "max_lat_e7": 0,
}  # fmt: skip
FIRST = zxy_to_tileid(9, 0, 0)


def archive(tile: bytes = b"", **parts: Any) -> Parts:
    """An archive of one tile."""
    header = {**HEADER, **parts.pop("header", {})}
    tiles = {FIRST: tile or saved(np.zeros((256, 256), np.uint8))}
    return Parts(tiles=tiles, metadata={"name": "bomb"}, header=header, **parts).laid()


def saved(pixels: Any, kind: str = "PNG", **options: Any) -> bytes:
    data = BytesIO()
    Image.fromarray(pixels).save(data, kind, **options)
    return data.getvalue()


def full(first: int) -> bytes:
    """A directory of as many entries as may be, in little: each one id further, one tile, nine bytes."""
    start = b"".join(octets(number) for number in (MOST, first))
    return gzip.compress(start + b"\1" * (2 * MOST - 1) + b"\11" * MOST + b"\1" + bytes(MOST - 1), mtime=0)


def leaves(count: int, *, same: bool) -> bytes:
    """An archive of so many leaf directories, each as long as may be, or of one that all of the root stand for."""
    entries, data, some = [], b"", full(FIRST)
    for number in range(count):
        first = FIRST + number * MOST
        if number and not same:
            some = full(first)
        entries.append(Entry(first, 0 if same else len(data), len(some), 0))
        data = some if same else data + some
    return archive().build(serialize_directory(entries), data, max_zoom=15)


def in_itself(fan: int) -> bytes:
    """A leaf directory in which each entry is that directory once more."""
    length = 0
    while True:
        leaf = directory([fan, FIRST, *[1] * (fan - 1), *[0] * fan, *[length] * fan, *[1] * fan])
        if len(leaf) == length:
            return archive().build(directory([1, FIRST, 0, length, 1]), leaf)
        length = len(leaf)


def webp(form: bytes, rest: bytes) -> bytes:
    body = b"WEBP" + form + struct.pack("<I", len(rest)) + rest
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bombs() -> Iterator[tuple[str, bytes]]:
    """Each by name."""
    packs = {
        "gzip": (gzip.compress, zlib.compress(bytes(LARGE), 1, wbits=31)),
        "brotli": (imagecodecs.brotli_encode, imagecodecs.brotli_encode(bytes(LARGE), 1)),
        "zstd": (imagecodecs.zstd_encode, imagecodecs.zstd_encode(bytes(LARGE))),
    }
    for name, (pack, zeros) in packs.items():
        compressed = {"internal_compression": Compression[name.upper()]}
        root = pack(gzip.decompress(serialize_directory(archive().entries)))
        yield f"metadata of 256 MB in {name}", archive(text=zeros, header=compressed).build(bytes(root))
        yield f"a directory of 256 MB in {name}", archive(text=pack(b"{}"), header=compressed).build(zeros)
        more = {"tile_compression": compressed["internal_compression"]}
        yield f"a tile of 256 MB in {name}", archive(zeros, header=more).build()
    for name, text in (
        ("lists", b"[" + b"[]," * 1_390_000 + b"0]"),
        ("nested", b'{"a":' + b"[" * 4_000_000),
        ("a number", b'{"a":' + b"1" * 4_000_000 + b"}"),
        ("blanks", b" " * 4_000_000 + b"{}"),
    ):
        yield f"metadata: {name}", archive(text=gzip.compress(text)).build()
    yield "metadata: 50,000 times nothing", archive(text=gzip.compress(b"", mtime=0) * 50_000).build()
    yield "a directory of 2**60 entries", archive().build(directory([1 << 60, FIRST, 1, 1, 1]))
    yield "a directory of 100 million entries", archive().build(gzip.compress(octets(100_000_000) + b"\1" * 4_000_000))
    yield "an entry of 2**60 tiles", archive().build(directory([1, FIRST, 1 << 60, 99, 1]))
    yield "a tile of 2**60 bytes", archive().build(directory([1, FIRST, 1, 1 << 60, 1]), tile_data_length=1 << 60)
    yield "leaf directories of 30 million entries", leaves(120, same=False)
    yield "a leaf directory 3,000 times", leaves(3000, same=True)
    yield "a leaf directory in itself", in_itself(1)
    yield "a leaf directory 50 times in itself", in_itself(50)
    for size in (4097, 65500):
        yield f"a PNG of {size}²", archive(claiming(size)).build()
    jpeg = saved(np.zeros((256, 256), np.uint8), "JPEG").replace(
        struct.pack(">HH", 256, 256), struct.pack(">HH", 65500, 65500)
    )
    yield "a JPEG of 65500²", archive(jpeg, header={"tile_type": TileType.JPEG}).build()
    passes = scans(saved(np.zeros((4096, 4096), np.uint8), "JPEG", progressive=True), 10_000)
    yield "a JPEG of 4096² in 10,000 scans", archive(passes, header={"tile_type": TileType.JPEG}).build()
    extended = bytes([0, 0, 0, 0]) + (16382).to_bytes(3, "little") * 2
    yield "a WebP of 16383²", archive(webp(b"VP8X", extended), header={"tile_type": TileType.WEBP}).build()
    lossless = b"\x2f" + (0x3FFF | 0x3FFF << 14).to_bytes(4, "little") + bytes(40)
    yield "a lossless WebP of 16384²", archive(webp(b"VP8L", lossless), header={"tile_type": TileType.WEBP}).build()
    lossy = b"\x10\x02\x00\x9d\x01\x2a" + struct.pack("<HH", 16383, 16383) + bytes(40)
    yield "a lossy WebP of 16383²", archive(webp(b"VP8 ", lossy), header={"tile_type": TileType.WEBP}).build()
    png = saved(np.zeros((256, 256), np.uint8))
    for name, content in (
        (b"zTXt", b"a\0\0" + zlib.compress(bytes(99 << 20), 1)),
        (b"iCCP", b"a\0\0" + zlib.compress(bytes(99 << 20), 1)),
    ):
        yield f"a PNG with {name.decode()} of 99 MB", archive(png[:33] + chunk(name, content) + png[33:]).build()
    yield "a PNG of 4096² that is true", archive(saved(np.zeros((4096, 4096, 4), np.uint8))).build()


def main(paths: list[str]) -> None:
    """Look at archives."""
    for path in map(Path, paths):
        start = time.perf_counter()
        try:
            render_preview(path)
            drawn = "drawn"
        except CartloaderError as error:
            drawn = str(error).removeprefix(f"{path}: ")
        shown = time.perf_counter()
        found = verify(path)
        peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) // 1000
        seconds = (shown - start, time.perf_counter() - shown)
        words = str(found.findings[0]) if found.findings else "good"
        print(path.stem, *(f"{each:.2f}" for each in seconds), peak, drawn, words, sep="\t", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
