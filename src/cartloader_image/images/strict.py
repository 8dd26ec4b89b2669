"""Decoders of strips and tiles that tell what the usual ones hide: that pixels are missing, or invented.

libjpeg fills up with grey what a scan lacks; OpenJPEG, WebP, JPEG XR and fax decoders with what lies behind the end, or
nothing. The pixels are those of the usual decoders. Where a codec has no checksum, bytes that stand for other pixels as
well as the right ones would are seen by none.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import imagecodecs
import numpy as np
from simplejpeg import decode_jpeg
from tifffile import TiffPage

from cartloader_image.images.chunks import CORRUPT, FRAMES, Jpeg
from cartloader_image.images.codestream import jpeg_xr_directory
from cartloader_image.images.damage import Damaged
from cartloader_image.images.photometric import JPEG, JPEG_2000, OLD_JPEG, RGB, SEPARATE, YCBCR
from cartloader_image.layout import Pixels
from cartloader_image.logs import overheard

Decode = Callable[[bytes, int], Pixels]
"""Bytes and number of a strip or tile → ``(rows, columns, samples)``; raises `Damaged`."""

Some = Callable[[bytes, int], bytes]
"""Damaged bytes and how many they should decode to → those that are decoded before the damage."""

_DEFLATE, _PIECE = {8, 32946}, 64
_FAX, _LZW, _WEBP, _JPEG_XR = {2, 3, 4}, 5, {50001}, {22610, 34934}
_CMYK, _MODES = 5, {1: "GRAY", 3: "RGB", 4: "CMYK"}
_TABLES, _COLOUR_MARKS = {0xDB, 0xC4}, {0xE0, 0xEE}
"""Markers of tables, and of the segments by which JFIF and Adobe say the colours."""
_ADOBE_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64" + bytes(5)
"""Says that three samples are RGB, as Aperio's are without saying so."""
_MENDS = 4
"""Harmless things that are mended in one JPEG at most."""
_OF_PIXELS = ("EOC", "SOP marker", "EPH marker", "PTERM", "segment too long", "bpno", "bit number", "HT codeblock")
"""Words of OpenJPEG's warnings that speak of pixels; others speak of boxes and comments."""
_END = b"\xff\xd9"
"""Of a JPEG, and of a JPEG 2000."""
_END_OF_LZW = 257
_ELSE, _ZEROS = b"\xa5" * 64, bytes(16)
"""What is put where nothing should be read, and more zeros than entropy-coded data end in."""


def telling(page: TiffPage, decode: Callable[..., Any]) -> Decode:
    """What decodes the strips or tiles of a page as tifffile's ``decode`` does, and tells which are damaged."""
    tables = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader} if page.compression in JPEG else {}

    def usual(data: bytes, index: int) -> Pixels:
        try:
            return np.asarray(np.asarray(decode(data, index, **tables)[0])[0])
        except (MemoryError, ImportError, NotImplementedError):
            raise
        except Exception as error:
            kind = NotImplementedError if page.compression == OLD_JPEG else Damaged
            raise kind(" ".join(str(error).split())) from error

    if page.compression in JPEG:
        return usual if page.compression == OLD_JPEG or page.jpegheader else _jpeg(page, usual)
    if page.compression in JPEG_2000:
        return _jpeg_2000(page, usual)
    if page.compression in _FAX:
        return _fax(usual)
    if page.compression == _LZW:
        return _saving(page, _lzw(usual), _unpacked, imagecodecs.lzw_encode)
    if page.compression in _DEFLATE:
        return _saving(page, usual, _inflated, zlib.compress)
    end = _end_of_webp if page.compression in _WEBP else _end_of_jpeg_xr if page.compression in _JPEG_XR else None
    return _with_an_end(end, usual) if end else usual


def _jpeg(page: TiffPage, usual: Decode) -> Decode:
    """JPEG by the other interface of libjpeg-turbo, which refuses what the usual one only warns of."""
    tables = Jpeg(page.jpegtables or b"")
    definitions = b"".join(tables.data[start:end] for kind, start, end in tables.segments() if kind in _TABLES)
    separate = page.planarconfig == SEPARATE
    samples = 1 if separate else page.samplesperpixel
    kinds = {1: {page.photometric}, 3: {RGB, YCBCR}, 4: {_CMYK}}.get(samples, set())
    alike = separate or (page.photometric in kinds and not page.extrasamples)  # both hand out the same
    as_rgb = samples == 3 and alike and page.photometric == RGB and not page.is_jfif

    def decode(data: bytes, index: int) -> Pixels:
        head = {kind: start for kind, start, _ in Jpeg(data).segments()}
        frame = next((head[kind] for kind in head if kind in FRAMES), len(data))
        there = int.from_bytes(data[frame + 9 : frame + 10], "big")
        marked = not _COLOUR_MARKS.isdisjoint(head)
        parts = (data[:2], _ADOBE_RGB if as_rgb and not marked else b"", definitions, data[2:])
        pixels, complaint = _strictly(b"".join(parts), _MODES.get(there, "RGB"))
        if complaint.startswith(CORRUPT):
            raise Damaged(complaint, _left(usual, data, index))
        if pixels is None or there != samples or not alike or (as_rgb and marked) or not _fits(page, pixels):
            pixels = usual(data, index)
            if complaint and not data.rstrip(b"\0").endswith(_END) and _reads_on(usual, data, index, pixels):
                raise Damaged("it ends too early", pixels)
        return pixels

    return decode


def corruption(data: bytes) -> str:
    """What is wrong with the pixels of a JPEG file; empty where nothing is seen.

    All of it is decoded, to an eighth of its size: whether a scan ends where its pixels do is seen at its end alone.
    """
    complaint = _strictly(data, "GRAY", min_height=1, min_width=1)[1]
    return complaint if complaint.startswith(CORRUPT) else ""


def _strictly(data: bytes, mode: str, **how: int) -> tuple[Pixels | None, str]:
    """The pixels of a JPEG without what is harmless in it, or why there are none."""
    complaint = ""
    for _ in range(_MENDS):
        try:
            return decode_jpeg(data, mode, **how), ""
        except ValueError as error:
            complaint = str(error)
        mended = Jpeg(data).mended(complaint)
        if mended is None:
            break
        data = mended
    return None, complaint


def _jpeg_2000(page: TiffPage, usual: Decode) -> Decode:
    """JPEG 2000 by OpenJPEG, which says in its log what it makes up."""

    def decode(data: bytes, index: int) -> Pixels:
        pixels, said = _aloud(data)
        if said:
            whole, still_said = _aloud(data + _END)  # it may just lack the mark of its end
            if still_said or whole is None:
                raise Damaged(said, pixels)
            pixels = whole
        return pixels if pixels is not None and _fits(page, pixels) else usual(data, index)

    return decode


def _aloud(data: bytes) -> tuple[Pixels | None, str]:
    """The pixels of a JPEG 2000, if there are any, and what OpenJPEG says against them."""
    with overheard() as heard:
        try:
            pixels = np.atleast_3d(imagecodecs.jpeg2k_decode(data, verbose=2))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  (the caller raises what it says)
            return None, (heard[0] if heard else str(error)).rpartition(": ")[2]
    said = [line for line in heard if any(words in line for words in _OF_PIXELS)]
    return pixels, said[0].rpartition(": ")[2] if said else ""


def _fits(page: TiffPage, pixels: Pixels) -> bool:
    """Whether pixels are a whole tile, or as wide as a strip: tifffile knows what to do with others."""
    samples = 1 if page.planarconfig == SEPARATE else page.samplesperpixel
    rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (len(pixels), page.imagewidth)
    return pixels.shape == (rows, columns, samples)


def _lzw(usual: Decode) -> Decode:
    """LZW, whose decoder makes a last code of the bits that are left over, where the code of the end lacks."""

    def decode(data: bytes, index: int) -> Pixels:
        last = int.from_bytes(data[-8:], "big")
        last //= (last & -last) or 1  # the code of the end is odd, and zeros fill up its byte
        if any(last % (1 << bits) == _END_OF_LZW for bits in range(9, 13)):
            return usual(data, index)
        pixels = usual(data + _ELSE, index)
        if _reads_on(usual, data, index, pixels, bytes(len(_ELSE))):
            raise Damaged("it ends too early", _left(usual, data, index))
        return pixels

    return decode


def _saving(page: TiffPage, strict: Decode, decode_some: Some, encode: Callable[[bytes], Any]) -> Decode:
    """Codecs of plain bytes, of which those before the damage are as good as ever; those behind it are taken for 0."""
    across, down = (page.tilewidth, page.tilelength) if page.is_tiled else (page.imagewidth, page.rowsperstrip)
    samples = 1 if page.planarconfig == SEPARATE else page.samplesperpixel
    bits = page.bitspersample if isinstance(page.bitspersample, int) else sum(page.bitspersample) // samples
    row = -(-across * samples * bits // 8)
    strips = -(-page.imagelength // down)

    def decode(data: bytes, index: int) -> Pixels:
        try:
            return strict(data, index)
        except Damaged as damaged:
            rows = down if page.is_tiled else min(down, page.imagelength - index % strips * down)
            whole = decode_some(data, rows * row).ljust(rows * row, b"\0")
            raise Damaged(damaged.why, _left(strict, bytes(encode(whole)), index)) from damaged

    return decode


def _unpacked(data: bytes, size: int) -> bytes:
    """What LZW decodes to before the damage."""
    room = bytearray(size)
    with suppress(RuntimeError):
        imagecodecs.lzw_decode(data, out=room)
    return bytes(room)


def _inflated(data: bytes, size: int) -> bytes:
    """What zlib inflates before the damage."""
    inflate, found = zlib.decompressobj().decompress, bytearray()
    with suppress(zlib.error):
        for start in range(0, len(data), _PIECE):
            if len(found) < size:
                found += inflate(data[start : start + _PIECE], size - len(found))
    return bytes(found)


def _fax(usual: Decode) -> Decode:
    """Bi-level codecs, whose decoder reads on where the data end: what follows them must not matter."""

    def decode(data: bytes, index: int) -> Pixels:
        pixels = usual(data, index)
        if _reads_on(usual, data[: len(data.rstrip(b"\0")) + 1], index, pixels):
            raise Damaged("it ends too early", pixels)
        return pixels

    return decode


def _with_an_end(end_of: Callable[[bytes], int], usual: Decode) -> Decode:
    """Codecs that say where a picture ends: there it must be, and not in zeros, as of a file that never came whole."""

    def decode(data: bytes, index: int) -> Pixels:
        end = end_of(data)
        if end > len(data):
            raise Damaged(f"it ends after {len(data):,} of its {end:,} bytes", _left(usual, data, index))
        pixels = usual(data, index)
        if end > len(_ZEROS) and data[end - len(_ZEROS) : end] == _ZEROS:
            kept = data[:end].rstrip(b"\0") + b"\0"
            if _reads_on(usual, kept, index, pixels, _ELSE[:1] * (end - len(kept)) + data[end:]):
                raise Damaged(f"its last {end - len(kept):,} bytes are 0", pixels)
        return pixels

    return decode


def _end_of_webp(data: bytes) -> int:
    """Where the only chunk of a WebP ends, by its header; 0 where it has several."""
    lone = data[:4] == b"RIFF" and data[12:16] in {b"VP8 ", b"VP8L"} and len(data) >= 20
    return 20 + int.from_bytes(data[16:20], "little") if lone else 0


def _end_of_jpeg_xr(data: bytes) -> int:
    """Where the picture in a JPEG XR file ends, by its directory; 0 where that is not known."""
    with suppress(struct.error):
        values = jpeg_xr_directory(data) if data.startswith(b"II\xbc") else {}
        return values.get(0xBCC0, 0) + values.get(0xBCC1, 0)
    return 0


def _left(usual: Decode, data: bytes, index: int) -> Pixels | None:
    """What the usual decoder makes of damaged data."""
    try:
        return usual(data, index)
    except Damaged:
        return None


def _reads_on(usual: Decode, data: bytes, index: int, pixels: Pixels, behind: bytes = _ELSE) -> bool:
    """Whether a decoder takes for pixels what lies behind the data: with other bytes there it gives others."""
    found = _left(usual, data + behind, index)
    return found is None or not np.array_equal(found, pixels, equal_nan=pixels.dtype.kind == "f")
