"""What of PNG and JPEG files has to be known beyond what GDAL tells: a PNG's transparent colour, a JPEG's stray bytes.

Reference: the PNG specification (ISO/IEC 15948), sections 5.3 and 11.3.2; JPEG (ITU T.81), annex B.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cartloader_image.errors import InputError

_GREY, _RGB = 0, 2
_HEADER = 13
"""Bytes of a PNG's header."""
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_STANDALONE = {0x01, *range(0xD0, 0xD9)}
"""Markers of JPEG without a length behind them."""
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG that begin a frame, whose size they say."""
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
"""Those of frames in several scans."""

CORRUPT = ("Corrupt JPEG data", "Premature end of JPEG file")
"""How libjpeg begins what it says of pixels that it had to make up."""


@dataclass(frozen=True)
class Png:
    """The chunks of a PNG, as far as they matter here."""

    key: tuple[int, ...] | None
    """The grey value, or red, green and blue, that is transparent, in the bits that pixels have."""
    interlaced: bool = False
    """Whether its rows come in several passes, so that only all of them together can be read."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Walk over the chunks to the last one; the mark of the end itself may lack.

        Raises:
            InputError: the file ends inside one of them.
        """
        bits = colour = interlace = 0
        key = None
        end = path.stat().st_size
        with path.open("rb") as file:
            file.seek(8)
            while len(head := file.read(8)) == 8:
                size, kind = struct.unpack(">I4s", head)
                if kind == b"IEND":
                    break
                if file.tell() + size + 4 > end:
                    raise InputError(f"{path}: is cut off; it ends before byte {file.tell() + size + 4:,}")
                if kind == b"IHDR" and size == _HEADER:
                    bits, colour, _, _, interlace = file.read(_HEADER)[8:]
                    size = 0
                elif kind == b"tRNS" and colour in {_GREY, _RGB}:
                    count = 1 if colour == _GREY else 3
                    data = file.read(2 * count)
                    if len(data) == 2 * count:
                        # Bits beyond those of a pixel mean nothing.
                        key = tuple(value & ((1 << bits) - 1) for value in struct.unpack(f">{count}H", data))
                    size -= len(data)
                file.seek(size + 4, 1)
        return cls(key, interlace > 0)


@dataclass(frozen=True)
class Jpeg:
    """The bytes of a JPEG file."""

    data: bytes

    @classmethod
    def read(cls, path: Path) -> Self:
        """The whole file."""
        return cls(path.read_bytes())

    @property
    def is_cut_off(self) -> bool:
        """Whether the mark of the end does not follow the first scan."""
        scan = self.data.find(bytes([0xFF, _START_OF_SCAN]))
        return scan < 0 or self.data.rfind(bytes([0xFF, _END_OF_IMAGE])) < scan

    @property
    def is_progressive(self) -> bool:
        """Whether its pixels come in several scans over the whole picture, so that only all of them can be read."""
        return any(kind in _PROGRESSIVE for kind, _, _ in self.segments())

    def segments(self) -> Iterator[tuple[int, int, int]]:
        """Marker, first byte and the byte behind the last one of each segment up to the first scan, which is the last.

        Bytes that lie between them are skipped.
        """
        data, place = self.data, 2
        while place + 4 <= len(data):
            start = data.find(b"\xff", place)
            while 0 <= start < len(data) - 1 and data[start + 1] in {0x00, 0xFF}:
                start = data.find(b"\xff", start + 1)
            if start < 0 or start + 4 > len(data):
                return
            if data[start + 1] in {_START_OF_SCAN, _END_OF_IMAGE}:
                yield data[start + 1], start, len(data)
                return
            place = start + 2
            if data[start + 1] not in _STANDALONE:
                place += int.from_bytes(data[place : place + 2], "big")
                yield data[start + 1], start, place

    def mended(self, complaint: str) -> bytes | None:
        """The file without what libjpeg complains of, where that says nothing of the pixels; None where it may."""
        if padded := re.search(r"(\d+) extraneous bytes before marker 0xd9", complaint):
            return self.without_padding(int(padded[1]))
        if "extraneous bytes" in complaint:
            return self.without_stray_bytes()
        if "Premature end of JPEG file" in complaint:
            return self.data + bytes([0xFF, _END_OF_IMAGE])
        return self.of_known_revision() if "JFIF revision" in complaint else None

    def without_stray_bytes(self) -> bytes | None:
        """The file without bytes that lie between the segments before the first scan; None where there are none.

        Every decoder skips them.
        """
        pieces, place, stray = [self.data[:2]], 2, False
        for marker, start, end in self.segments():
            stray |= self.data[place:start].strip(b"\xff") != b""
            pieces.append(self.data[start:end])
            place = end
            if marker in {_START_OF_SCAN, _END_OF_IMAGE}:
                return b"".join(pieces) if stray else None
        return None

    def without_padding(self, count: int) -> bytes | None:
        """The file without zeros before its end marker; None where the last ``count`` bytes there are anything else.

        One stays, as the last byte of the scan may be a zero. More would be read as pixels where the scan is too short.
        """
        end = self.data.rfind(bytes([0xFF, _END_OF_IMAGE]))
        start = end - count
        if start < 2 or self.data[start:end].strip(b"\0"):
            return None
        return self.data[:end].rstrip(b"\0") + b"\0" + self.data[end:]

    def of_known_revision(self) -> bytes:
        """The file with the revision of JFIF that decoders know; it says nothing of the pixels."""
        return self.data.replace(b"JFIF\0" + self.data[11:13], b"JFIF\0\x01\x02", 1)
