"""Uncompress what an archive holds, never to more than is asked for: a few kilobytes can hold gigabytes of zeros."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from io import BytesIO

import imagecodecs

NONE, GZIP, BROTLI, ZSTD = 1, 2, 3, 4
"""Compressions by their numbers in a header (PMTiles v3, section 3.1)."""
COMPRESSIONS = {NONE: "none", GZIP: "gzip", BROTLI: "brotli", ZSTD: "zstd"}
_GZIP_MAGIC, _ZSTD_MAGIC = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def compression_of(data: bytes) -> int:
    """How bytes are compressed, as far as that can be seen: brotli looks like nothing in particular."""
    return GZIP if data[:2] == _GZIP_MAGIC else ZSTD if data[:4] == _ZSTD_MAGIC else NONE


def unpack(data: bytes, compression: int, most: int) -> bytes:
    """The bytes as they were before they were compressed, ``most`` of them at most.

    Raises:
        ValueError: they are damaged, more than ``most``, or compressed in a way that PMTiles v3 does not know.
    """
    if compression == NONE or not data:
        return data
    if compression not in _UNPACK:
        raise ValueError(f"is compressed in a way that PMTiles v3 does not know ({compression})")
    try:
        return bytes(_UNPACK[compression](data, most))
    except Exception as error:  # whatever a decoder raises
        kind, why = COMPRESSIONS[compression], " ".join(str(error).split())
        raise ValueError(f"cannot be uncompressed as {kind} to at most {most >> 20} MB ({why})") from error


def _gunzip(data: bytes, most: int) -> bytes:
    """All members of a gzip file, of which there can be a hundred thousand that are empty."""
    try:
        with gzip.open(BytesIO(data)) as file:
            unpacked: bytes = file.read(most + 1)
    except EOFError:
        raise ValueError("it is cut off") from None
    if len(unpacked) > most:
        raise ValueError("it is larger")
    return unpacked


_UNPACK: dict[int, Callable[[bytes, int], bytes | bytearray]] = {
    GZIP: _gunzip,
    BROTLI: lambda data, most: imagecodecs.brotli_decode(data, out=most),
    ZSTD: lambda data, most: imagecodecs.zstd_decode(data, out=most),
}
