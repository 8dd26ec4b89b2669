"""Compressed tiles of all codecs, and what may have happened to their bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from support.rasters import smooth

SIDE = 64
RGB: dict[str, Any] = {"photometric": "rgb"}
CODECS: dict[str, dict[str, Any]] = {
    "jpeg": {"photometric": "ycbcr"},
    "jpeg2000": RGB,
    "jpegxr": RGB,
    "jpegxl": RGB,
    "webp": RGB | {"compressionargs": {"lossless": True}},
    "lzw": RGB | {"predictor": True},
    "zstd": RGB,
    "zlib": RGB,
    "packbits": RGB,
    "lzma": RGB,
    "png": RGB,
}
Hurt = Callable[[bytes], bytes]


def grain(rows: int, columns: int) -> NDArray[np.uint8]:
    """A smooth picture with grain, in which no codec finds nothing to say."""
    random = np.random.default_rng(1)
    return np.clip(smooth(rows, columns, 3) + random.normal(0, 6, (rows, columns, 3)), 0, 255).astype(np.uint8)


def tiles(path: Path, codec: str, **more: Any) -> Path:
    """2 × 3 tiles."""
    options = {"tile": (SIDE, SIDE)} | CODECS.get(codec, {}) | more
    tifffile.imwrite(path, grain(2 * SIDE, 3 * SIDE), compression=codec, metadata=None, **options)
    return path


def hurt(path: Path, how: Hurt, numbers: Iterable[int] = (1,)) -> None:
    """Put other bytes, not more of them, into strips or tiles of the first page."""
    with tifffile.TiffFile(path, mode="r+") as file:
        page = file.pages.first
        sizes = list(page.databytecounts)
        for number in numbers:
            file.filehandle.seek(page.dataoffsets[number])
            data = how(file.filehandle.read(sizes[number]))
            assert len(data) <= sizes[number]
            file.filehandle.seek(page.dataoffsets[number])
            file.filehandle.write(data)
            sizes[number] = len(data)
        page.tags["TileByteCounts" if page.is_tiled else "StripByteCounts"].overwrite(sizes)


def cut(data: bytes) -> bytes:
    return data[: len(data) * 6 // 10]


def zeros(data: bytes) -> bytes:
    """As in a file of which a part never came."""
    return cut(data).ljust(len(data), b"\0")


def half_of_another(data: bytes) -> bytes:
    """A part of the data is missing in the middle."""
    return data[: len(data) // 2] + data[len(data) * 7 // 10 :]
