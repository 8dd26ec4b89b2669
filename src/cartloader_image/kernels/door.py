"""The compiled kernels as functions of arrays; what each computes is said in kernels.c.

Sizes are checked here and nowhere else. The interpreter is let go while a kernel runs.
"""

from __future__ import annotations

import ctypes
import os
import threading
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cartloader_image.kernels.build import LIBRARY, digest

Bytes = NDArray[np.uint8]

VARIABLE = "CARTLOADER_KERNELS"
"""In the environment: ``off``, or the path of another library, such as one with checks in it."""

_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "halve": (c_void_p, c_size_t, c_size_t, c_size_t, c_size_t, c_void_p),
    "straighten": (c_void_p, c_size_t, c_size_t, c_size_t, c_size_t, c_size_t, c_void_p),
    "resample_work": (c_size_t,) * 5,
    "resample": (
        *(c_void_p, c_size_t, c_size_t, c_size_t, c_int),
        *(c_void_p, c_void_p, c_size_t, c_size_t) * 2,
        *(c_void_p, c_void_p),
    ),
    "repeats": (c_void_p, *4 * (c_size_t,)),
    "encode_work_bytes": (),
    "encode_capacity": (c_size_t,),
    "encode": (c_void_p, *4 * (c_size_t,), c_void_p, c_int, c_int, c_void_p, c_void_p, c_void_p),
    "warp_work": (c_void_p, c_size_t, c_size_t, c_size_t),
    "warp": (
        *(c_void_p, c_size_t, c_size_t, c_size_t, c_size_t, c_void_p, c_void_p, c_void_p),
        *(c_size_t, c_size_t, c_size_t, c_size_t, c_size_t, c_void_p, c_void_p),
    ),
}
"""The types of each function's arguments; none gives anything back but where `_RESULTS` says so."""
_RESULTS: dict[str, Any] = dict.fromkeys(
    ("resample_work", "warp_work", "encode_work_bytes", "encode_capacity", "encode"), c_size_t
) | {"repeats": c_int}

_LONGEST_STEP = 16
"""Pixels of a picture from a warped one to the next that the kernel can count."""
_BEST, _UP = 0, 2
"""Filters of a PNG, as the kernel names them."""
_REPETITIVE = 0.01, 0.12
"""Between these shares of the raw bytes, rows may be so alike that Up, which keeps that, is shorter than Paeth."""
_KEPT_BYTES = 5 << 20
"""Of memory that a thread keeps: enough for a tile or a band of a large PNG."""
_OF_THREAD = threading.local()


def there() -> bool:
    """Whether the kernels are used."""
    return _library() is not None


def version() -> str:
    """What made the pixels: the digest of the kernels' text, or ``none``."""
    return digest() if there() else "none"


def state() -> str:
    """The version of the kernels, or why they are not used."""
    if there():
        return version()
    if (chosen := _chosen()) is None:
        return f"off by {VARIABLE}"
    if not chosen.exists():
        return "not built, as there was no C compiler when cartloader was installed"
    return "built from another version; install cartloader again"


@cache
def _library() -> ctypes.CDLL | None:
    chosen = _chosen()
    if chosen is None:
        return None
    try:
        library = ctypes.CDLL(str(chosen))
        library.source_digest.restype = c_char_p
        if library.source_digest() != digest().encode():
            return None
        for name, types in _SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = types, _RESULTS.get(name)
    except (OSError, AttributeError):
        return None
    return library


def _chosen() -> Path | None:
    """The library's file: the one that was installed, another one, or none."""
    chosen = os.environ.get(VARIABLE, "")
    return None if chosen == "off" else Path(chosen) if chosen else LIBRARY


class Taps(NamedTuple):
    """What each new pixel of an axis is made of."""

    first: NDArray[np.int32]
    """Index of the first pixel that counts, by new pixel; it does not decrease."""
    weights: NDArray[np.float32]
    """``(new pixels, taps)``."""


def halve(pixels: Bytes) -> Bytes:
    """Half the size of ``(rows, columns, 1 … 4)`` by the mean of two by two; an odd last row or column is left out."""
    library, pixels = _at_work(pixels)
    height, width, bands = pixels.shape
    result = np.empty((height // 2, width // 2, bands), np.uint8)
    library.halve(pixels.ctypes.data, height // 2, width // 2, bands, pixels.strides[0], result.ctypes.data)
    return result


def straighten(pixels: Bytes, made: int) -> Bytes:
    """Premultiplied → straight alpha, the last of 2 or 4 bands; ``made`` bands of the result: all, or without alpha."""
    library, pixels = _at_work(pixels)
    height, width, bands = pixels.shape
    if bands not in {2, 4} or made not in {bands, bands - 1}:
        raise ValueError(f"{made} bands of {bands}")
    result = np.empty((height, width, made), np.uint8)
    library.straighten(pixels.ctypes.data, height, width, bands, pixels.strides[0], made, result.ctypes.data)
    return result


def resample(pixels: Bytes, down: Taps, across: Taps, *, alpha: bool) -> Bytes:
    """Filter ``(rows, columns, 1 … 4)`` along both axes, in floats that are rounded once.

    With ``alpha`` the last band is straight alpha, and the result is premultiplied.
    """
    library, pixels = _at_work(pixels)
    height, width, bands = pixels.shape
    if alpha and bands not in {2, 4}:
        raise ValueError(f"{bands} bands have no alpha")
    down, across = _checked(down, height), _checked(across, width, multiple=4)
    rows, columns = len(down.first), len(across.first)
    taps = down.weights.shape[1], across.weights.shape[1]
    work = np.empty(library.resample_work(width, bands, *taps, columns), np.float32)
    result = np.empty((rows, columns, bands), np.uint8)
    library.resample(
        *(pixels.ctypes.data, width, bands, pixels.strides[0], alpha),
        *(down.first.ctypes.data, down.weights.ctypes.data, taps[0], rows),
        *(across.first.ctypes.data, across.weights.ctypes.data, taps[1], columns),
        *(work.ctypes.data, result.ctypes.data),
    )
    return result


def warp(
    pixels: Bytes,
    affine: tuple[float, float, float, float, float, float],
    down: NDArray[np.float32],
    across: NDArray[np.float32],
    out: Bytes,
) -> None:
    """Filter a picture ``(rows, columns, 1 … 4)``, the last of two or four bands alpha, under an affine.

    Args:
        pixels: The picture; alpha is straight.
        affine: ``a, b, x0, d, e, y0``: where the centre of the new pixel in a column and row lies in the picture; from
            one to the next are 16 pixels at most.
        down: Weights ``(phases + 1, 2, 4 or 6)`` along the picture's columns, by the place between two centres.
        across: The same along its rows.
        out: Becomes the new picture, premultiplied; of an opaque one, it has a band more for alpha, or none where all
            of it lies within the picture.
    """
    library, pixels = _at_work(pixels)
    height, width, bands = pixels.shape
    phases, taps = down.shape[0] - 1, down.shape[1]
    if phases < 1 or taps not in {2, 4, 6} or down.shape != across.shape:
        raise ValueError(f"tables of shape {down.shape} and {across.shape}")
    tables = [np.ascontiguousarray(table, np.float32) for table in (down, across)]
    numbers = np.array(affine, np.float64)
    steps = np.abs(numbers).reshape(-1, 3)[:, :2].sum(axis=1)
    if len(steps) != 2 or not np.isfinite(numbers).all() or steps.max() > _LONGEST_STEP or not height * width:
        raise ValueError(f"affine {affine} of {height} × {width} pixels")
    whole = out.dtype == np.uint8 and out.ndim == 3 and out.flags.c_contiguous and out.flags.writeable
    if not whole or out.shape[2] not in {bands, bands + bands % 2}:
        raise ValueError(f"{bands} bands into pixels of shape {out.shape} and type {out.dtype}")
    work = np.empty(library.warp_work(numbers.ctypes.data, height, width, bands), np.float32)
    library.warp(
        *(pixels.ctypes.data, height, width, bands, pixels.strides[0], numbers.ctypes.data),
        *(table.ctypes.data for table in tables),
        *(phases, taps, *out.shape, work.ctypes.data, out.ctypes.data),
    )


def _at_work(pixels: Bytes) -> tuple[ctypes.CDLL, Bytes]:
    """The library, and pixels whose rows it can read."""
    library = _library()
    assert library is not None, "whoever calls has asked"
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or not 1 <= pixels.shape[2] <= 4:
        raise ValueError(f"pixels of shape {pixels.shape} and type {pixels.dtype}")
    bands = pixels.shape[2]
    if pixels.strides[1:] != (bands, 1) or pixels.strides[0] < pixels.shape[1] * bands:
        pixels = np.ascontiguousarray(pixels)
    return library, pixels


def _checked(taps: Taps, size: int, multiple: int = 1) -> Taps:
    """Taps as the library reads them: within an axis of this size, their number a multiple, the rest of it 0."""
    first = np.ascontiguousarray(taps.first, np.int32)
    count = taps.weights.shape[1]
    if len(first) != len(taps.weights) or not count or first.min() < 0 or first.max() + count > size:
        raise ValueError(f"taps beyond an axis of {size} pixels")
    if (np.diff(first) < 0).any():
        raise ValueError("taps whose first pixel decreases")
    weights = np.zeros((len(first), -(-count // multiple) * multiple), np.float32)
    weights[:, :count] = taps.weights
    return Taps(first, weights)


def repeats(pixels: Bytes) -> bool:
    """Whether, in some rows of ``(rows, columns, 3 or 4)``, a colour says what another one does, or nothing.

    One that is nothing but one value says nothing, unless all three are so.
    """
    library, pixels = _at_work(pixels)
    if pixels.shape[2] < 3 or not pixels.size:
        raise ValueError(f"pixels of shape {pixels.shape}; they must have three colours")
    return bool(library.repeats(pixels.ctypes.data, *pixels.shape, pixels.strides[0]))


def encode(pixels: Bytes, before: int = 0, after: int = 0) -> memoryview:
    """The zlib stream of a PNG of ``(rows, columns, 1 … 4)``: its rows filtered and deflated.

    Args:
        pixels: The picture.
        before: Bytes of any content that are wanted before the stream.
        after: The same behind it.
    """
    return _encoded(pixels, None, whole=True, margins=(before, after))[0]


def encode_band(pixels: Bytes, above: Bytes | None) -> tuple[memoryview, int]:
    """The same of some rows of a PNG, as a piece of its deflate stream, and the Adler-32 of the filtered rows alone.

    Args:
        pixels: ``(rows, columns, 1 … 4)``.
        above: The row before the first, None at the top.
    """
    return _encoded(pixels, above, whole=False)


def _encoded(
    pixels: Bytes, above: Bytes | None, *, whole: bool, margins: tuple[int, int] = (0, 0)
) -> tuple[memoryview, int]:
    """With the filters of the least entropy; where much is repeated, with Up if that is shorter."""
    library, pixels = _at_work(pixels)
    height, width, bands = pixels.shape
    if not pixels.size:
        raise ValueError(f"{height} × {width} pixels; there must be one")
    if above is not None:
        if above.dtype != np.uint8 or above.shape != (width, bands):
            raise ValueError(f"{above.dtype} {above.shape} above; it must be uint8 {(width, bands)}")
        above = np.ascontiguousarray(above)

    def filtered(kind: int) -> tuple[memoryview, int]:
        work_bytes = -(-library.encode_work_bytes() // 8) * 8
        room = _room(work_bytes + library.encode_capacity(height * (1 + width * bands)))
        work, out, adler = room[:work_bytes], room[work_bytes:], c_uint32()
        size = library.encode(
            pixels.ctypes.data, height, width, bands, pixels.strides[0], None if above is None else above.ctypes.data,
            kind, whole, work.ctypes.data, out.ctypes.data, byref(adler),
        )  # fmt: skip
        result = np.empty(margins[0] + size + margins[1], np.uint8)
        result[margins[0] : margins[0] + size] = out[:size]
        return result.data, adler.value

    best = filtered(_BEST)
    low, high = _REPETITIVE
    if low * pixels.size < len(best[0]) - sum(margins) < high * pixels.size:
        return min(best, filtered(_UP), key=lambda found: len(found[0]))
    return best


def _room(size: int) -> Bytes:
    """Memory of any content, aligned to eight bytes: where it is little, the thread's own, which spares page faults."""
    room: Bytes | None = getattr(_OF_THREAD, "room", None)
    if room is None or room.size < size:
        room = np.empty(-(-size // 8), np.uint64).view(np.uint8)
        if size <= _KEPT_BYTES:
            _OF_THREAD.room = room
    return room
