"""Archives that are damaged in one place each: what is done, what is found, and at which tile."""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import imagecodecs
from PIL import Image, ImageOps
from pmtiles.tile import Entry, serialize_directory, tileid_to_zxy, zxy_to_tileid

from support.parts import HEADER_BYTES, Parts, field_of, with_field

Corrupt = Callable[[Parts], bytes]
Place = Callable[[Parts], int]


@dataclass(frozen=True)
class Corruption:
    """One kind of damage."""

    name: str
    corrupt: Corrupt
    words: str
    """Part of what is found."""
    tile: Place | None = None
    """The tile at which that is."""
    base: str = "png"
    """What is damaged: png, jpeg, webp, leaves (a PNG archive with leaf directories) or other (of another program)."""

    def __call__(self, parts: Parts) -> bytes:
        return self.corrupt(deepcopy(parts))


def scans(data: bytes, count: int) -> bytes:
    """A progressive JPEG whose last pass comes again and again."""
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def finest(parts: Parts) -> int:
    """A tile of the finest zoom, in the middle of the archive."""
    ids = [tile_id for tile_id in parts.tiles if tileid_to_zxy(tile_id)[0] == parts.header["max_zoom"]]
    return ids[len(ids) // 2]


def top(parts: Parts) -> int:
    """The first tile of the coarsest zoom."""
    return min(parts.tiles)


def parent(parts: Parts) -> int:
    """The tile above the one in the middle."""
    zoom, x, y = tileid_to_zxy(finest(parts))
    return zxy_to_tileid(zoom - 1, x // 2, y // 2)


def after(parts: Parts) -> int:
    """The entry behind the one in the middle."""
    return parts.entries[parts.index(finest(parts)) + 1].tile_id


def header(
    name: str, words: str, tile: Place | None = None, base: str = "png", *, to: int | None = None, by: int = 0
) -> Corruption:
    """Another number in the header."""

    def corrupt(parts: Parts) -> bytes:
        data = parts.build()
        return with_field(data, name, field_of(data, name) + by if to is None else to)

    return Corruption(
        f"{base} header: {name} {'to' if to is not None else 'by'} {by if to is None else to}",
        corrupt,
        words,
        tile,
        base,
    )


def tile(
    name: str, change: Callable[[bytes], bytes], words: str, place: Place = finest, base: str = "png"
) -> Corruption:
    """Other bytes of one tile, in an archive that is well made but for them."""

    def corrupt(parts: Parts) -> bytes:
        tile_id = place(parts)
        return parts.with_tiles({tile_id: change(parts.tiles[tile_id])}).build()

    return Corruption(f"{base} tile: {name}", corrupt, words, place, base)


def entry(name: str, words: str, place: Place | None = finest, **change: Callable[[int], int]) -> Corruption:
    """Other numbers in the entry of one tile."""

    def corrupt(parts: Parts) -> bytes:
        old = parts.entries[parts.index(finest(parts))]
        return parts.change(finest(parts), **{what: to(getattr(old, what)) for what, to in change.items()}).build()

    return Corruption(f"entry: {name}", corrupt, words, place)


def metadata(name: str, change: Callable[[dict[str, Any]], Any], words: str) -> Corruption:
    """Other metadata."""

    def corrupt(parts: Parts) -> bytes:
        changed = change(parts.metadata)
        if isinstance(changed, bytes):
            parts.text = changed
        elif changed is not None:
            parts.text = gzip.compress(json.dumps(changed).encode())
        return parts.build()

    return Corruption(f"metadata: {name}", corrupt, words)


def whole(name: str, change: Callable[[bytes], bytes], words: str, tile: Place | None = None) -> Corruption:
    """Other bytes of the file."""
    return Corruption(f"file: {name}", lambda parts: change(parts.build()), words, tile)


def raw(name: str, make: Corrupt, words: str, tile: Place | None = None, base: str = "png") -> Corruption:
    return Corruption(name, make, words, tile, base)


def picture(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data)).convert("RGB")


def saved(image: Image.Image, kind: str = "PNG") -> bytes:
    data = BytesIO()
    image.save(data, kind)
    return data.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def claiming(size: int) -> bytes:
    """A PNG that says to be of a size, and holds next to nothing."""
    head = struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]


def stored(entries: list[tuple[int, int, int, int]]) -> bytes:
    return serialize_directory([Entry(*values) for values in entries])


def octets(number: int) -> bytes:
    """A number as directories have it: 7 bits a byte, the lowest first."""
    parts = [number >> shift & 127 for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes(part | 128 for part in parts[:-1]) + bytes(parts[-1:])


def directory(numbers: list[int]) -> bytes:
    """A directory of any numbers."""
    return gzip.compress(b"".join(map(octets, numbers)), mtime=0)


def _twice(parts: Parts) -> bytes:
    at = parts.index(finest(parts))
    parts.entries.insert(at, deepcopy(parts.entries[at]))
    return parts.build()


def _run_over(parts: Parts) -> bytes:
    return parts.change(finest(parts), run_length=after(parts) - finest(parts) + 1).build()


def _exchanged(parts: Parts) -> bytes:
    one, other = parts.entries[parts.index(finest(parts))], parts.entries[parts.index(after(parts))]
    one.offset, other.offset, one.length, other.length = other.offset, one.offset, other.length, one.length
    return parts.build()


def _without(place: Place) -> Corrupt:
    def corrupt(parts: Parts) -> bytes:
        del parts.tiles[place(parts)]
        return parts.laid().build()

    return corrupt


def _turned_around(parts: Parts) -> bytes:
    """The four tiles below a parent in other places."""
    zoom, x, y = tileid_to_zxy(parent(parts))
    below = [zxy_to_tileid(zoom + 1, 2 * x + right, 2 * y + lower) for right in (0, 1) for lower in (0, 1)]
    there = [tile_id for tile_id in below if tile_id in parts.tiles]
    pictures = [parts.tiles[tile_id] for tile_id in there]
    return parts.with_tiles(dict(zip(there, pictures[1:] + pictures[:1], strict=True))).build()


def _overlapping(name: str, other: str) -> Corrupt:
    def corrupt(parts: Parts) -> bytes:
        data = parts.build()
        return with_field(data, f"{name}_offset", field_of(data, f"{other}_offset"))

    return corrupt


def _leaf(change: Callable[[list[Entry], int], None]) -> Corrupt:
    """Other entries of the root of an archive with leaf directories."""

    def corrupt(parts: Parts) -> bytes:
        entries, leaves = [], b""
        for start in range(0, len(parts.entries), parts.leaf):
            some = serialize_directory(parts.entries[start : start + parts.leaf])
            entries.append(Entry(parts.entries[start].tile_id, len(leaves), len(some), 0))
            leaves += some
        change(entries, len(leaves))
        return parts.build(serialize_directory(entries), leaves)

    return corrupt


def _out_of_place(entries: list[Entry], _: int) -> None:
    entries[1].tile_id += 1


def _beyond(entries: list[Entry], end: int) -> None:
    entries[1].offset = end


def _again(entries: list[Entry], _: int) -> None:
    entries[1].offset, entries[1].length = entries[0].offset, entries[0].length


def _run_over_a_leaf(parts: Parts) -> bytes:
    last, following = parts.entries[2 * parts.leaf - 1 : 2 * parts.leaf + 1]
    last.run_length = following.tile_id - last.tile_id + 1
    return parts.build()


def _in_itself(parts: Parts) -> bytes:
    """A leaf directory that is its own leaf."""
    leaf = stored([(1, 0, 30, 0), (5, 0, 30, 0)])
    return parts.build(leaf, leaf + bytes(30))


def _with_a_gap(parts: Parts) -> bytes:
    parts.gap = b"nothing"
    return parts.build()


def _with_a_byte(parts: Parts) -> bytes:
    parts.data += b"x"
    return parts.build()


def _with_a_byte_before(parts: Parts) -> bytes:
    parts.data = b"x" + parts.data
    for each in parts.entries:
        each.offset += 1
    return parts.build()


def _at_one_place(parts: Parts) -> bytes:
    """Two tiles of different lengths that begin at the same byte."""
    return parts.change(after(parts), offset=parts.entries[parts.index(finest(parts))].offset).build(clustered=0)


def _far_root(parts: Parts) -> bytes:
    """The root directory behind the tiles."""
    data = parts.build()
    start, length = field_of(data, "root_offset"), field_of(data, "root_length")
    return with_field(data + data[start : start + length], "root_offset", len(data))


def _dropping(*names: str) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        for name in names[:-1]:
            values = values[name]
        del values[names[-1]]

    return change


def _jpeg_of(size: int) -> Callable[[bytes], bytes]:
    """A JPEG whose header says another size."""

    def change(data: bytes) -> bytes:
        at = next(at for at in range(len(data)) if data[at] == 0xFF and data[at + 1] in {0xC0, 0xC2})
        return data[: at + 5] + struct.pack(">HH", size, size) + data[at + 9 :]

    return change


LON, LAT = ["min_lon_e7", "max_lon_e7", "center_lon_e7"], ["min_lat_e7", "max_lat_e7", "center_lat_e7"]
FAR = 10_000_000

CORRUPTIONS = [
    whole("empty", lambda _: b"", "is no PMTiles archive"),
    whole("another magic", lambda data: b"PMTilez" + data[7:], "is no PMTiles archive"),
    whole("version 2", lambda data: flipped(data, 7)[:7] + b"\2" + data[8:], "of version 2"),
    whole("a cut header", lambda data: data[:100], "cut off"),
    whole("just a header", lambda data: data[:HEADER_BYTES], "cut off"),
    whole("cut in the middle", lambda data: data[: len(data) // 2], "it is cut off"),
    whole("without its last byte", lambda data: data[:-1], "is cut off or damaged: no", lambda parts: max(parts.tiles)),
    whole("with more bytes", lambda data: data + b"more", "4 bytes behind its last section belong to nothing"),
    header("root_offset", "cannot be uncompressed", by=1),
    header("root_offset", "overlap from byte 0 on", to=0),
    header("root_offset", "should end at byte", to=1 << 63),
    header("root_length", "cannot be uncompressed", by=-1),
    header("root_length", "its root directory and its metadata overlap", by=1),
    header("root_length", "is damaged", to=0),
    header("metadata_offset", "cannot be uncompressed", by=1),
    header("metadata_length", "cannot be uncompressed", by=-1),
    header("metadata_length", "its metadata and its tile data overlap", by=1),
    header("metadata_length", "metadata", to=0),
    header("leaf_directory_offset", "cannot be uncompressed", base="leaves", by=1),
    header("leaf_directory_length", "go beyond their section", base="leaves", by=-1),
    header("leaf_directory_length", "its leaf directories should end at byte", to=1 << 40),
    header("tile_data_offset", "its tile data should end at byte", by=1),
    header("tile_data_offset", "overlap from byte", by=-1),
    header("tile_data_length", "of the tile data, which have", lambda parts: max(parts.tiles), by=-1),
    header("tile_data_length", "its tile data should end at byte", by=1),
    header("tile_data_length", "its tile data should end at byte", to=(1 << 64) - 1),
    header("addressed_tiles_count", "the number of addressed tiles in its header should be", by=1),
    header("addressed_tiles_count", "the number of addressed tiles in its header should be", to=0),
    header("tile_entries_count", "the number of tile entries in its header should be", by=-1),
    header("tile_contents_count", "the number of tile contents in its header should be", by=1),
    header("tile_contents_count", "the number of tile contents in its header should be", base="other", by=1),
    header("clustered", "clustered in its header should be 1, found 0", to=0),
    header("clustered", "clustered is 2", to=2),
    header("internal_compression", "PMTiles v3 does not know (0)", to=0),
    header("internal_compression", "is damaged", to=1),
    header("internal_compression", "cannot be uncompressed as brotli", to=3),
    header("internal_compression", "cannot be uncompressed as zstd", to=4),
    header("internal_compression", "internal compression 9 in its header stands for nothing", to=9),
    header("tile_compression", "tile compression 0 in its header stands for nothing", to=0),
    header("tile_compression", "is compressed as none, and the header says gzip", top, to=2),
    header("tile_compression", "is compressed as none, and the header says brotli", top, to=3),
    header("tile_compression", "tile compression 7", to=7),
    header("tile_type", "tile type 0 in its header stands for nothing", to=0),
    header("tile_type", "its header says that tiles are MVT, and they are PNG", to=1),
    header("tile_type", "is PNG, and the header says JPEG", top, to=3),
    header("tile_type", "is PNG, and the header says WEBP", top, "other", to=4),
    header("tile_type", "tile type 9", to=9),
    header("min_zoom", "the coarsest zoom in its header should be", by=1),
    header("min_zoom", "the coarsest zoom in its header should be", base="other", to=0),
    header("max_zoom", "the finest zoom in its header should be", by=1),
    header("max_zoom", "the finest zoom in its header should be", base="other", by=-1),
    *(header(name, "bounds", by=FAR) for name in ("min_lon_e7", "min_lat_e7")),
    *(header(name, "bounds", by=-FAR) for name in ("max_lon_e7", "max_lat_e7")),
    *(header(name, "tell different bounds", by=-9) for name in ("min_lon_e7", "min_lat_e7")),
    *(header(name, "tell different bounds", by=9) for name in ("max_lon_e7", "max_lat_e7")),
    header("max_lon_e7", "are no box", base="other", to=-1_800_000_000),
    *(header(name, "are no box", to=91 * FAR) for name in ("min_lat_e7", "max_lat_e7")),
    *(header(name, "are no box", to=-91 * FAR) for name in ("min_lat_e7", "max_lat_e7")),
    header("max_lon_e7", "are no box", base="other", to=181 * FAR),
    header("min_lon_e7", "are no box", base="other", to=-181 * FAR),
    header("center_lon_e7", "lies outside its bounds", by=FAR),
    header("center_lat_e7", "lies outside its bounds", base="other", by=FAR),
    header("center_lat_e7", "tell different centres", by=9),
    header("center_zoom", "the zoom of its centre", by=1),
    raw("sections: metadata over the root", _overlapping("metadata", "root"), "overlap"),
    raw("sections: tiles over the metadata", _overlapping("tile_data", "metadata"), "overlap"),
    raw("sections: a gap", _with_a_gap, "7 bytes between its metadata and"),
    raw(
        "sections: a byte of no tile",
        _with_a_byte,
        "1 bytes at the end of its tile data belong to no tile",
        base="other",
    ),
    raw("sections: the root far behind", _far_root, "beyond the first 16,384 bytes", base="other"),
    metadata("no JSON", lambda _: gzip.compress(b"{"), "its metadata are no JSON"),
    metadata("not compressed", lambda values: json.dumps(values).encode(), "cannot be uncompressed"),
    metadata("a list", lambda values: [values], "no JSON object but a list"),
    metadata("cut off", lambda values: gzip.compress(json.dumps(values).encode())[:-5], "cut off"),
    metadata("nested without end", lambda _: gzip.compress(b'{"a":' + b"[" * 100_000), "no JSON"),
    metadata("without bounds", _dropping("bounds"), "its metadata lack bounds"),
    metadata("without a version", _dropping("cartloader", "version"), "its metadata lack cartloader.version"),
    metadata("without zooms", _dropping("minzoom"), "its metadata lack minzoom"),
    metadata(
        "another format", lambda values: {**values, "format": "jpg"}, "tiles are PNG, its metadata that they are jpg"
    ),
    metadata("another tile size", lambda values: {**values, "tilesize": 512}, "say that tiles have 512 pixels a side"),
    metadata(
        "a tile size that is none", lambda values: {**values, "tilesize": {"a": []}}, "say that tiles have {'a': []}"
    ),
    metadata(
        "a tile size in no letters", lambda values: {**values, "tilesize": "\ud800\x1b"}, r"have \ud800\x1b pixels"
    ),
    metadata("another zoom", lambda values: {**values, "maxzoom": values["maxzoom"] - 1}, "its header says zooms"),
    metadata("a finer zoom", lambda values: {**values, "minzoom": values["minzoom"] + 1}, "its header says zooms"),
    metadata("other bounds", lambda values: {**values, "bounds": "-0.0005,-0.0005,0.01,0.01"}, "tell different bounds"),
    metadata(
        "bounds beyond all numbers", lambda values: {**values, "bounds": [10**400, 0, 1, 1]}, "bounds other than 4"
    ),
    metadata("a centre of words", lambda values: {**values, "center": "a,b,c"}, "center other than 3"),
    metadata("bounds elsewhere", lambda values: {**values, "bounds": "20,20,21,21"}, "tell different bounds"),
    metadata("another centre", lambda values: {**values, "center": "0.0,0.0,3"}, "tell different centres"),
    raw("directory: a tile twice", _twice, "twice"),
    raw("directory: a run over the next tile", _run_over, "is listed twice", after),
    raw("directory: two tiles exchanged", _exchanged, "does not lie where the tiles before it end", finest),
    raw("directory: empty", lambda parts: parts.build(directory([0])), "ends before its 0 entries do"),
    raw("directory: short", lambda parts: parts.build(directory([3, 1, 1, 1])), "ends before its 3 entries do"),
    raw(
        "directory: more than it says", lambda parts: parts.build(directory([1, 1, 1, 1, 1, 1])), "goes on behind its 1"
    ),
    raw("directory: cut off", lambda parts: parts.build(serialize_directory(parts.entries)[:-9]), "cut off"),
    raw("directory: no directory", lambda parts: parts.build(b"nothing"), "cannot be uncompressed"),
    raw(
        "directory: beyond the map", lambda parts: parts.build(directory([1, 1 << 62, 1 << 62, 9, 1])), "beyond zoom 31"
    ),
    raw(
        "directory: beyond any file", lambda parts: parts.build(directory([2, 1, 1, 1, 1, 1 << 62, 9, 1, 0])), "beyond"
    ),
    raw("directory: no first place", lambda parts: parts.build(directory([1, 1, 1, 9, 0])), "without a place"),
    entry("no bytes", "has no bytes", length=lambda _: 0),
    entry("a byte less", "cut off", length=lambda n: n - 1),
    entry("a byte more", "shares some of its bytes", after, length=lambda n: n + 1),
    entry("elsewhere", "shares some of its bytes", None, offset=lambda n: n - 1),
    entry("beyond the end", "of the tile data, which have", offset=lambda n: n + (1 << 30)),
    entry("a run into the void", "is listed twice", after, run_length=lambda _: 1 << 60),
    raw("tiles: one is missing", _without(finest), "shows something else than the tiles of the next zoom", parent),
    raw("tiles: a parent is missing", _without(parent), "shows something else than the tiles of the next zoom", parent),
    raw("tiles: four in other places", _turned_around, "shows something else than the tiles of the next zoom", parent),
    tile("a checksum", lambda data: flipped(data, len(data) - 14), "whose checksum is wrong in IDAT"),
    tile("a bit of pixels", lambda data: flipped(data, len(data) // 2), "whose checksum is wrong in IDAT"),
    tile("its header", lambda data: flipped(data, 24), "checksum is wrong in IHDR"),
    tile("cut off", lambda data: data[: len(data) // 2], "is a PNG that is cut off"),
    tile("without an end", lambda data: data[:-12], "is a PNG that is cut off"),
    tile("more behind it", lambda data: data + b"more", "4 bytes behind its end"),
    tile("no picture", lambda _: b"<html>404</html>", "it is none of PNG, JPEG, WEBP"),
    tile("zeros", lambda data: bytes(len(data)), "it is none of PNG, JPEG, WEBP"),
    tile("a JPEG", lambda data: saved(picture(data), "JPEG"), "is JPEG, and the header says PNG"),
    tile("a WebP", lambda data: saved(picture(data), "WEBP"), "is WEBP, and the header says PNG"),
    tile("gzip", gzip.compress, "is compressed as gzip, and the header says none"),
    tile("zstd", imagecodecs.zstd_encode, "is compressed as zstd, and the header says none"),
    tile("half the size", lambda data: saved(picture(data).resize((32, 32))), "has 32 × 32 pixels, where others have"),
    tile("huge, it says", lambda _: claiming(65500), "has 65500 × 65500 pixels"),
    tile("fewer pixels than it says", lambda _: claiming(64), "cannot be decoded"),
    tile("black", lambda _: saved(Image.new("RGB", (64, 64))), "shows something else", parent),
    tile("mirrored", lambda data: saved(ImageOps.mirror(picture(data))), "shows something else", parent),
    tile("black at the top", lambda _: saved(Image.new("RGB", (64, 64))), "shows something else", top),
    tile("cut off", lambda data: data[: len(data) // 2], "cannot be decoded", base="jpeg"),
    tile(
        "ends in zeros", lambda data: data[: len(data) // 2] + bytes(len(data) // 2), "cannot be decoded", base="jpeg"
    ),
    tile("huge, it says", _jpeg_of(65500), "has 65500 × 65500 pixels", base="jpeg"),
    tile("a bit smaller, it says", _jpeg_of(63), "has 63 × 63 pixels, where others have", base="jpeg"),
    tile("cut off", lambda data: data[: len(data) // 2], "is a WebP of", base="webp"),
    tile("more behind it", lambda data: data + b"more", "is a WebP of", base="webp"),
    raw("leaves: out of place", _leaf(_out_of_place), "where no reader looks", base="leaves"),
    raw("leaves: beyond their section", _leaf(_beyond), "go beyond their section", base="leaves"),
    raw("leaves: one twice", _leaf(_again), "where no reader looks", base="leaves"),
    raw(
        "leaves: a run over the end of one",
        _run_over_a_leaf,
        "where no reader looks",
        lambda parts: parts.entries[2 * parts.leaf - 1].tile_id,
        "leaves",
    ),
    raw("leaves: in themselves", _in_itself, "is damaged", base="leaves"),
]
