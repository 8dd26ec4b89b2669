"""How many pixels a compressed picture, strip or tile says that it has, before a decoder makes room for them.

A decoder believes the codestream's own header, whatever the TIFF around it says: a tile of 64² pixels and a few hundred
bytes can ask for gigabytes.

References: ITU T.81 B.2.2 (JPEG), T.800 A.5.1 and I.4 (JPEG 2000), T.832 A.7 (JPEG XR), ISO/IEC 18181-1 D.2 (JPEG XL)
and 18181-2 (its boxes), RFC 9649 (WebP), ISO/IEC 15948 11.2.2 (PNG); the LERC specification, version 2.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from cartloader_image.images.chunks import FRAMES, Jpeg

_XL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width to height of JPEG XL, by number from 1 on."""
MOST_SCANS = 100
"""Scans of a progressive JPEG that are decoded: encoders make ten, and each costs as much as the whole picture."""


class Codestream(NamedTuple):
    """What a picture of a format that browsers show says of itself."""

    kind: str
    """Its format, as Pillow names it: PNG, JPEG, WEBP or AVIF."""
    width: int
    height: int

    @classmethod
    def of(cls, data: bytes) -> Codestream | None:
        """What the first bytes of a picture say; None where they are no header of these formats."""
        kind = next((kind for kind, start in _BEGINNINGS.items() if start.match(data)), "")
        size = None
        with suppress(struct.error, IndexError):
            size = _SIZES[kind](data) if kind else None
        return None if size is None else cls(kind, *size)


def values_declared(data: bytes) -> int:
    """The samples that a codestream says it has, width × height × components; 0 where it says nothing that is known.

    Components are 1 for formats that have four at most.
    """
    read = next((reader for start, reader in _READERS.items() if data.startswith(start)), None)
    with suppress(struct.error, IndexError):  # it ends too early, which its decoder tells best
        return read(data) if read else 0
    return 0


def scans(data: bytes) -> int:
    """The scans of a JPEG; 0 of anything else."""
    return data.count(b"\xff\xda") if data.startswith(b"\xff\xd8") else 0


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    frame = next((start for marker, start, _ in Jpeg(data).segments() if marker in FRAMES), None)
    if frame is None:
        return None
    height, width = struct.unpack_from(">HH", data, frame + 5)
    return width, height


def _jpeg_2000(data: bytes) -> int:
    data = _inside(data, b"jp2c")
    right, bottom, left, top = struct.unpack_from(">IIII", data, 8)
    (components,) = struct.unpack_from(">H", data, 40)
    return int((right - left) * (bottom - top) * components)


def _inside(data: bytes, *kinds: bytes) -> bytes:
    """The codestream in the first box of some kinds; the data themselves where they are no boxes."""
    place = 0
    while not data.startswith(b"\xff"):
        size, kind = struct.unpack_from(">I4s", data, place)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, place + 8)[0], 16
        if kind in kinds:
            return data[place + head + (4 if kind == b"jxlp" else 0) :]
        if size < head:
            return b""
        place += size
    return data


def _jpeg_xl(data: bytes) -> int:
    bits = int.from_bytes(_inside(data, b"jxlc", b"jxlp")[2:16], "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    def side(*, small: bool) -> int:
        return 8 * (take(5) + 1) if small else take((9, 13, 18, 30)[take(2)]) + 1

    small = bool(take(1))
    height, ratio = side(small=small), take(3)
    if ratio:
        across, down = _XL_RATIOS[ratio - 1]
        return height * (height * across // down)
    return height * side(small=small)


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (size & 0x3FFF for size in struct.unpack_from("<HH", data, 26))
    return width, height


def jpeg_xr_directory(data: bytes) -> dict[int, int]:
    """The numbers that the directory of a JPEG XR file gives, by tag.

    Raises:
        struct.error: it ends too early.
    """
    (directory,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, directory)
    values = {}
    for at in range(directory + 2, directory + 2 + 12 * count, 12):
        code, kind, _, value = struct.unpack_from("<HHII", data, at)
        values[code] = value & 0xFFFF if kind == 3 else value
    return values


def _jpeg_xr(data: bytes) -> int:
    sizes = jpeg_xr_directory(data)
    return int(sizes.get(0xBC80, 0) * sizes.get(0xBC81, 0))


def _png_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _avif_size(data: bytes) -> tuple[int, int] | None:
    """The largest of the spatial extents, as a picture may be put together from smaller ones."""
    sizes = [struct.unpack_from(">II", data, found.end() + 4) for found in re.finditer(b"ispe", data[:_AVIF_HEAD])]
    width, height = max(sizes, default=(0, 0))
    return width, height


_AVIF_HEAD = 1 << 16
"""Bytes of an AVIF among which its properties are."""
_BEGINNINGS = {
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "WEBP": re.compile(rb"RIFF....WEBPVP8[ LX]", re.DOTALL),
    "AVIF": re.compile(rb"\0\0..ftypavi[fs]", re.DOTALL),
}
_SIZES: dict[str, Callable[[bytes], tuple[int, int] | None]] = {
    "PNG": _png_size,
    "JPEG": _jpeg_size,
    "WEBP": _webp_size,
    "AVIF": _avif_size,
}


def _area(size: Callable[[bytes], tuple[int, int] | None]) -> Callable[[bytes], int]:
    return lambda data: math.prod(size(data) or (0,))


def _lerc(data: bytes) -> int:
    height, width, depth = struct.unpack_from("<iii", data, 14)
    return int(height * width * (depth if data[6] > 3 else 1))


_READERS: dict[bytes, Callable[[bytes], int]] = {
    b"\xff\xd8": _area(_jpeg_size),
    b"\xff\x4f\xff\x51": _jpeg_2000,
    b"\0\0\0\x0cjP": _jpeg_2000,
    b"\xff\x0a": _jpeg_xl,
    b"\0\0\0\x0cJXL ": _jpeg_xl,
    b"RIFF": _area(_webp_size),
    b"\x89PNG": _area(_png_size),
    b"II\xbc": _jpeg_xr,
    b"Lerc2 ": _lerc,
}
"""By how a codestream begins."""
