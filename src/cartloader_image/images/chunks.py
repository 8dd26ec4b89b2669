"""What of PNG and JPEG files has to be known beyond what GDAL tells: a PNG's transparent colour, a JPEG's stray bytes.

Reference: the PNG specification (ISO/IEC 15948), sections 5.3 and 11.3.2; JPEG (ITU T.81), annex B.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cartloader_image.errors import InputError

_GREY, _RGB = 0, 2
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


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
                if kind == b"IHDR":
                    bits, colour, _, _, interlace = file.read(13)[8:]
                    size -= 13
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

    def without_stray_bytes(self) -> bytes | None:
        """The file without bytes that lie between the segments before the first scan; None where there are none.

        Every decoder skips them.
        """
        data, place, pieces = self.data, 2, [self.data[:2]]
        stray = False
        while place + 4 <= len(data):
            marker = data.find(b"\xff", place)
            while 0 <= marker < len(data) - 1 and data[marker + 1] in {0x00, 0xFF}:
                marker = data.find(b"\xff", marker + 1)
            if marker < 0 or marker + 4 > len(data):
                return None
            stray |= data[place:marker].strip(b"\xff") != b""
            if data[marker + 1] in {_START_OF_SCAN, _END_OF_IMAGE}:
                return b"".join([*pieces, data[marker:]]) if stray else None
            end = marker + 2 + int.from_bytes(data[marker + 2 : marker + 4], "big")
            pieces.append(data[marker:end])
            place = end
        return None

    def without_padding(self, count: int) -> bytes | None:
        """The file without so many bytes before its end marker; None where they are anything but zeros."""
        end = self.data.rfind(bytes([0xFF, _END_OF_IMAGE]))
        start = end - count
        if start < 2 or self.data[start:end].strip(b"\0"):
            return None
        return self.data[:start] + self.data[end:]

    def of_known_revision(self) -> bytes:
        """The file with the revision of JFIF that decoders know; it says nothing of the pixels."""
        return self.data.replace(b"JFIF\0" + self.data[11:13], b"JFIF\0\x01\x02", 1)
