"""Tiles as pictures: what their own header says is compared with what is expected before anything is decoded."""

from __future__ import annotations

import zlib
from io import BytesIO

import numpy as np
from PIL import Image, features
from simplejpeg import decode_jpeg

from cartloader_image.errors import ArchiveError
from cartloader_image.images.chunks import CORRUPT
from cartloader_image.images.codestream import MOST_SCANS, Codestream, scans
from cartloader_image.tiles.ids import name_of
from cartloader_image.tiles.reader import ArchiveReader

LARGEST = 4096
"""Pixels a side of a tile: 64 MB as RGBA. Maps have 256 or 512, some of their makers 1024."""
_AT_ONCE = 128 << 20
"""Bytes of tiles that are decoded at the same time."""
_PNG_MAGIC = 8

Picture = Image.Image

_FORMATS = ["PNG", "JPEG", *(name.upper() for name in ("webp", "avif") if features.check(name))]


def header_of(data: bytes, size: tuple[int, int] | None = None) -> Codestream:
    """What a tile's own header says.

    Args:
        data: The tile.
        size: Width and height that it must have, if they are known.

    Raises:
        ValueError: it is no picture that can be decoded, or has another size; the text follows the name of the tile.
    """
    found = Codestream.of(data)
    if found is None or found.kind not in _FORMATS:
        raise ValueError(f"cannot be decoded (it is none of {', '.join(_FORMATS)})")
    if not 0 < min(found.width, found.height) <= max(found.width, found.height) <= LARGEST:
        raise ValueError(f"has {found.width} × {found.height} pixels; tiles have 1 to {LARGEST} a side")
    if scans(data) > MOST_SCANS:
        raise ValueError(f"is a JPEG of more than {MOST_SCANS} scans")
    if size not in {None, (found.width, found.height)}:
        raise ValueError(f"has {found.width} × {found.height} pixels, where others have {size[0]} × {size[1]}")
    return found


def decode(data: bytes, size: tuple[int, int] | None = None) -> Picture:
    """The pixels of a tile as RGBA, of 16 bits the upper 8; safe from any thread.

    Raises:
        ValueError: as `header_of` does, or the tile is damaged.
    """
    header = header_of(data, size)
    try:
        with _opened(data, header) as opened:
            picture = opened
            if opened.mode.startswith("I"):
                picture = Image.fromarray((np.asarray(opened) >> 8).astype(np.uint8))
            return picture.convert("RGBA")
    except Exception as error:  # whatever a decoder raises
        raise ValueError(f"cannot be decoded ({' '.join(str(error).split())})") from error


def _opened(data: bytes, header: Codestream) -> Picture:
    picture = Image.open(BytesIO(data), formats=[header.kind])
    if picture.size != (header.width, header.height):
        raise ValueError(f"it has {picture.width} × {picture.height} pixels")
    return picture


def threads_for(size: tuple[int, int], cores: int) -> int:
    """Threads that may decode tiles of a size at the same time: each holds a tile and what it is converted to."""
    return min(max(_AT_ONCE // (8 * size[0] * size[1]), 1), cores)


def check_stream(data: bytes) -> None:
    """Look for damage that decoders pass over: checksums, and lengths that a format tells of itself.

    JPEG, WebP and AVIF have no checksum, so that other pixels than the right ones can be in them unseen.

    Raises:
        ValueError: there is some; the text follows the name of the tile.
    """
    kind = header_of(data).kind
    if kind == "PNG":
        _check_png(data)
    elif kind == "WEBP":
        _check_webp(data)
    elif kind == "JPEG":
        _check_jpeg(data)


def _check_webp(data: bytes) -> None:
    told = int.from_bytes(data[4:8], "little") + 8
    if not 0 <= len(data) - told <= 1:
        raise ValueError(f"is a WebP of {told:,} bytes in {len(data):,}")


def _check_jpeg(data: bytes) -> None:
    try:
        decode_jpeg(data)
    except ValueError as error:
        if str(error).startswith(CORRUPT):  # others are of colours that this decoder does not know
            raise ValueError(f"cannot be decoded ({error})") from None


def _check_png(data: bytes) -> None:
    place, name = _PNG_MAGIC, b""
    while name != b"IEND":
        length, name = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        end = place + 12 + length
        if end > len(data):
            raise ValueError("is a PNG that is cut off")
        if zlib.crc32(memoryview(data)[place + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise ValueError(f"is a PNG whose checksum is wrong in {name.decode('latin-1')}")
        place = end
    if place < len(data):
        raise ValueError(f"is a PNG with {len(data) - place:,} bytes behind its end")


def size_of_tiles(archive: ArchiveReader, zoom: int) -> tuple[int, int]:
    """Width and height of the tiles; what metadata say of it is the size of some programs' other tiles.

    Raises:
        ArchiveError: the first tile of the zoom is no picture.
    """
    entry = next(archive.entries(zoom))[0]
    try:
        header = header_of(archive.tile(entry.offset, entry.length))
    except ValueError as error:
        raise _named(archive, entry.tile_id, error) from error
    return header.width, header.height


def picture_of(archive: ArchiveReader, tile_id: int, place: tuple[int, int], size: tuple[int, int]) -> Picture:
    """A tile by its place (offset and length), as `decode` has it.

    Raises:
        ArchiveError: it is no picture of that size, or is damaged.
    """
    try:
        return decode(archive.tile(*place), size)
    except ValueError as error:
        raise _named(archive, tile_id, error) from error


def _named(archive: ArchiveReader, tile_id: int, error: ValueError) -> ArchiveError:
    return ArchiveError(f"{archive.path}: tile {name_of(tile_id)} {error}")
