"""PNG, in one go or by bands of rows: 8-bit grey, grey + alpha, RGB, RGBA.

Rows are filtered and deflated by the kernel ``encode``. Where there are no kernels, ISA-L deflates, an order of
magnitude faster than zlib, at about the same size once the rows are filtered well. The filters (PNG specification,
section 9) are whole-array operations on bytes then; which one suits a picture is tried on a few of its rows. Tiles of
stained tissue take 1.05 times the bytes that GDAL's level 6 makes of them, and by the kernel less.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from isal import isal_zlib

from cartloader_image.kernels import door
from cartloader_image.layout import Layout
from cartloader_image.rasters.store import Bytes

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD, _CHECKSUM = 8, 4
"""Bytes of a chunk before and behind what it holds."""
_END = b"\0\0\0\0IEND\xaeB`\x82"
_INDEXED, _COLOUR, _ALPHA = 3, 2, 4
_LEVEL = 1
"""ISA-L's levels 2 and 3 take up to 11 and 90 % longer, for a file within 1 % either way."""
_START = 16
"""Bytes that ISA-L leaves to its routine for the end of a stream."""
_SMOOTH = 0.1
"""Below this share of the raw bytes, ISA-L's output has a third of slack that zlib squeezes out in 3 ms a tile."""
_SAMPLE_STEP = 16
"""Of so many rows one is tried with every filter."""
_FILTER_BYTES = 96 << 10
"""Bytes of rows that are filtered at once: few enough to stay in a processor's cache through all steps."""
BAND_BYTES = 2 << 20
"""Bytes of a band of a large PNG: enough that to start deflating anew costs nothing."""
_ADLER_BASE = 65521


def encode_png(pixels: Bytes, palette: Bytes | None = None) -> memoryview:
    """One picture ``(rows, columns, 1 … 4)`` as the bytes of a PNG; with a palette ``(256, 3)``, one of indices."""
    chunks = [_SIGNATURE, *_chunk(b"IHDR", _header(*pixels.shape, indexed=palette is not None))]
    if palette is not None:
        chunks += _chunk(b"PLTE", palette.tobytes())
    before, after = sum(map(len, chunks)) + _HEAD, _CHECKSUM + len(_END)
    if _suits(pixels):
        result = door.encode(pixels, before, after)
    else:
        stream = _stream(pixels)
        result = memoryview(bytearray(before + len(stream) + after))
        result[before:-after] = stream
    size = len(result) - before - after
    result[:before] = b"".join([*chunks, struct.pack(">I4s", size, b"IDAT")])
    result[-after:] = struct.pack(">I", isal_zlib.crc32(result[before - 4 : -after])) + _END
    return result


def _suits(pixels: Bytes) -> bool:
    """Whether the kernel is there, and as short: it hardly looks for matches.

    Of a grey picture in one colour, a band says what another one does, or nothing; ISA-L needs three quarters then.
    """
    return door.there() and (pixels.shape[2] < 3 or not door.repeats(pixels))


def _stream(pixels: Bytes) -> bytes:
    """The zlib stream of a picture, without the kernel."""
    lines = _filtered(pixels, None)
    data = deflated(lines)
    if len(data) < _SMOOTH * lines.size:
        runs = zlib.compressobj(strategy=zlib.Z_RLE)
        data = min(data, runs.compress(lines.data) + runs.flush(), key=len)
    return data


def deflated(data: Bytes, window: int = 15, end: int = isal_zlib.Z_FINISH) -> bytes:
    """Contiguous bytes, deflated; the same ones wherever in memory that is done.

    The hash by which ISA-L remembers the third byte of a stream is made of its state's address, not of the data
    (``.write_first_byte`` in igzip_icf_body_h1_gr_bt.asm, up to version 2.32 at least): of 8,192 addresses one or two
    find a match that others do not. A start so short that it goes another way costs twelve bytes.

    Args:
        data: Of any shape.
        window: As zlib's ``wbits``; negative for a stream without head and checksum.
        end: How the stream is flushed at its end.
    """
    line = data.reshape(-1)
    deflate = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, window)
    start = deflate.compress(line[:_START]) + deflate.flush(isal_zlib.Z_SYNC_FLUSH)
    return start + deflate.compress(line[_START:]) + deflate.flush(end)


@dataclass(frozen=True)
class Band:
    """Some rows of a PNG, filtered and deflated by themselves; bands put together are the whole picture's stream."""

    data: bytes | memoryview
    adler: int
    """Adler-32 of the filtered rows, as if they stood alone."""
    size: int
    """Bytes of the filtered rows."""


def band_rows(width: int, bands: int) -> int:
    """Rows of a band of a large PNG: a power of two, so that bands end where the tiles of a store do."""
    return 1 << max(min(BAND_BYTES // (width * bands), 512).bit_length() - 1, 0)


def deflate_band(rows: Bytes, above: Bytes | None) -> Band:
    """Filter and deflate ``(rows, columns, bands)``; ``above`` is the row before the first, None at the top."""
    if _suits(rows):
        height, width, bands = rows.shape
        return Band(*door.encode_band(rows, above), height * (1 + width * bands))
    lines = _filtered(rows, above)
    return Band(deflated(lines, -15, isal_zlib.Z_FULL_FLUSH), isal_zlib.adler32(lines), lines.size)


class PngWriter:
    """A PNG file of any size, from bands that come from the top."""

    def __init__(self, path: Path, height: int, width: int, bands: int) -> None:
        self._file = path.open("wb")
        self._file.write(_SIGNATURE)
        self._add(b"IHDR", _header(height, width, bands))
        self._add(b"IDAT", b"\x78\x01")  # RFC 1950: deflate with a window of 32 kB
        self._adler = 1

    def write(self, band: Band) -> None:
        """The next rows."""
        self._add(b"IDAT", band.data)
        self._adler = _adler_joined(self._adler, band.adler, band.size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._add(b"IDAT", b"\x03\x00" + struct.pack(">I", self._adler))  # RFC 1951: an empty last block
                self._add(b"IEND", b"")
        finally:
            self._file.close()

    def _add(self, kind: bytes, data: bytes | memoryview) -> None:
        self._file.writelines(_chunk(kind, data))


def _adler_joined(first: int, second: int, size: int) -> int:
    """Adler-32 of two texts one after the other, the second ``size`` bytes long (RFC 1950, section 8)."""
    low = ((first & 0xFFFF) + (second & 0xFFFF) - 1) % _ADLER_BASE
    high = ((first >> 16) + (second >> 16) + size * ((first & 0xFFFF) - 1)) % _ADLER_BASE
    return high << 16 | low


def _header(height: int, width: int, bands: int, *, indexed: bool = False) -> bytes:
    colours, alpha = Layout.of(bands)
    kind = _INDEXED if indexed else _COLOUR * (colours == 3) + _ALPHA * alpha
    return struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)


def _chunk(kind: bytes, data: bytes | memoryview) -> tuple[bytes | memoryview, ...]:
    checksum = isal_zlib.crc32(data, isal_zlib.crc32(kind))
    return struct.pack(">I", len(data)), kind, data, struct.pack(">I", checksum)


def _filtered(rows: Bytes, above: Bytes | None) -> Bytes:
    """Each row behind its filter byte; all have the filter that leaves least on a sample of them."""
    height, width, bands = rows.shape
    framed = np.zeros((height + 1, width + 1, bands), np.uint8)  # with the pixels to the left and above, 0 outside
    framed[1:, 1:] = rows
    if above is not None:
        framed[0, 1:] = above
    lines = framed.reshape(height + 1, -1)
    around = lines[1:, bands:], lines[1:, :-bands], lines[:-1, bands:], lines[:-1, :-bands]
    kind = _best_filter(*(line[height // 2 % _SAMPLE_STEP :: _SAMPLE_STEP] for line in around))
    result = np.empty((height, 1 + width * bands), np.uint8)
    result[:, 0] = kind
    step = max(_FILTER_BYTES // (width * bands), 1)
    for start in range(0, height, step):
        some = slice(start, start + step)
        np.subtract(around[0][some], _PREDICTORS[kind](*(line[some] for line in around[1:])), out=result[some, 1:])
    return result


def _best_filter(here: Bytes, left: Bytes, up: Bytes, corner: Bytes) -> int:
    """The filter with the least sum of absolute differences, which deflate best."""
    costs = {}
    for kind, predict in _PREDICTORS.items():
        rest = here - predict(left, up, corner)
        costs[kind] = int(np.minimum(rest, -rest).sum(dtype=np.uint64)) * _HANDICAPS[kind]
    return min(costs, key=lambda kind: costs[kind])


def _up(_left: Bytes, up: Bytes, _corner: Bytes) -> Bytes:
    return up


def _average(left: Bytes, up: Bytes, _corner: Bytes) -> Bytes:
    """``(left + up) // 2`` without a carry that would need nine bits."""
    return (left & up) + ((left ^ up) >> 1)


def _paeth(left: Bytes, up: Bytes, corner: Bytes) -> Bytes:
    """The neighbour that is nearest to ``left + up - corner``, in bytes alone: 5 × as fast as by signed differences.

    With ``low, high`` the lesser and greater of left and up: far below or above both, the corner makes the other one
    of them nearest; between them, it is the one whose distance to the corner is at most half the other's, or the corner
    itself. Distances that would be negative count as 0, which settles the first case by the rule of the second.
    """
    low, high = np.minimum(left, up), np.maximum(left, up)
    over_low = np.maximum(corner, low) - low
    under_high = high - np.minimum(corner, high)
    is_low = -(under_high <= over_low >> 1).view(np.uint8)  # 255 where true, to choose by bits
    is_high = -(over_low <= under_high >> 1).view(np.uint8)
    nearest = corner ^ ((corner ^ high) & is_high)
    chosen: Bytes = nearest ^ ((nearest ^ low) & is_low)
    return chosen


_PREDICTORS: dict[int, Callable[[Bytes, Bytes, Bytes], Bytes]] = {2: _up, 3: _average, 4: _paeth}
_HANDICAPS = {2: 1.0, 3: 1.0, 4: 1.85}
"""The sums flatter Paeth: for the same size its sum is little more than half the others' (stained and fluorescent
tissue, enlarged 1.42 times), and it takes twice as long."""
