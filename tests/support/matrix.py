"""The kinds of pictures and layouts that are put together to some hundred files, in an order that never changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from support.kinds import Kind
from support.writers import Layout


@dataclass(frozen=True)
class Combination:
    """A file of the matrix."""

    writer: str
    kind: Kind
    layout: Layout

    def __str__(self) -> str:
        return f"{self.writer}-{self.kind}-{self.layout}"


EXTRAS = ["", "s", "a", "x"]
_WHOLE = ["none", "lzw", "deflate", "packbits", "zstd", "lzma"]
"""Codecs for bytes of any meaning."""


def combinations() -> list[Combination]:
    """All of them, each once."""
    found = dict.fromkeys([*_by_tifffile(), *_by_gdal(), *_by_vips()])
    return list(found)


def _layouts(*codecs: str, planar: bool = True, big_endian: bool = True) -> list[Layout]:
    """Every layout of some codecs."""
    flags = [False, True]
    return [
        Layout(codec, predictor, tiled, separate, order, big)
        for codec, predictor, tiled, separate, order, big in product(
            codecs, (1, 2, 3), flags, flags if planar else [False], flags if big_endian else [False], flags
        )
    ]


def _some(
    writer: str, kinds: list[Kind], layouts: list[Layout], each: int, fits: Callable[[Kind, Layout], bool]
) -> Iterator[Combination]:
    """For each kind so many layouts, others for the next kind; the step is prime, so that all get their turn."""
    turn = 0
    for kind in kinds:
        fitting = [layout for layout in layouts if _sensible(kind, layout) and fits(kind, layout)]
        for _ in range(min(each, len(fitting))):
            yield Combination(writer, kind, fitting[turn * 29 % len(fitting)])
            turn += 1


def _sensible(kind: Kind, layout: Layout) -> bool:
    number = np.dtype(kind.dtype).kind
    if layout.planar and kind.samples == 1:
        return False
    if layout.predictor == 3 and (number != "f" or layout.codec not in {"lzw", "deflate", "zstd", "lzma"}):
        return False
    if layout.predictor == 2 and (layout.codec not in {"lzw", "deflate", "zstd", "lzma"} or number == "f"):
        return False
    return not (layout.predictor == 2 and (kind.bits or kind.photometric == "palette"))


def _kinds(photometrics: str, dtypes: str, extras: list[str]) -> list[Kind]:
    return [Kind(p, d, extras=e) for p, d, e in product(photometrics.split(), dtypes.split(), extras)]


def _by_tifffile() -> Iterator[Combination]:
    def no_bits(kind: Kind, layout: Layout) -> bool:
        # samples of 10 to 14 bits it packs in the wrong order in a big-endian file
        return not (kind.bits and layout.codec != "none") and not (kind.bits > 8 and layout.big_endian)

    grey = _kinds("minisblack", "u1 i1 u2 i2 u4 i4 u8 i8 f2 f4 f8", [""]) + _kinds("miniswhite", "u1 u2 u4 u8", [""])
    rgb = _kinds("rgb", "u1 u2 u4 i2 f4 f8", [""])
    yield from _some("tifffile", grey + rgb, _layouts(*_WHOLE), 4, no_bits)
    alpha = _kinds("minisblack", "u1 u2 f4", ["s", "a", "x", "xx"]) + _kinds("miniswhite", "u1 u2", ["s", "a"])
    alpha += _kinds("rgb", "u1 u2 f4", ["s", "a", "x", "xx", "sx", "xs", "ax"])
    yield from _some("tifffile", alpha, _layouts(*_WHOLE), 3, no_bits)
    inks = _kinds("separated", "u1 u2", ["", "s", "x", "xx"]) + _kinds("cielab", "u1", ["", "s", "x"])
    inks += _kinds("ycbcr", "u1", ["", "s", "a", "x"])
    yield from _some("tifffile", inks, _layouts(*_WHOLE), 4, no_bits)
    palettes = _kinds("palette", "u1 u2", ["", "s", "a", "x"])
    yield from _some("tifffile", palettes, _layouts(*_WHOLE, planar=False), 3, no_bits)
    packed = [Kind("miniswhite", "u1", bits) for bits in (1, 2, 4)]
    packed += [Kind("minisblack", "u1", bits) for bits in (1, 2, 4)]
    packed += [Kind(name, "u2", bits) for name in ("minisblack", "miniswhite", "rgb") for bits in (10, 12, 14)]
    packed += [Kind("rgb", "u1", 4), Kind("rgb", "u2", 12, "s"), Kind("minisblack", "u1", 4, "s")]
    yield from _some("tifffile", packed, _layouts("none"), 3, no_bits)
    yield from _with_codecs_of_pixels()
    yield from _subsampled()
    untagged = [Layout("lzw", untagged=True), Layout("none", tiled=True, big_endian=True, untagged=True),
                Layout("deflate", 2, bigtiff=True, untagged=True)]  # fmt: skip
    for kind, layout in product(_kinds("minisblack rgb", "u1 u2 f4", [""]), untagged):
        if _sensible(kind, layout):
            yield Combination("tifffile", kind, layout)


def _with_codecs_of_pixels() -> Iterator[Combination]:
    """Codecs that know what the bytes are."""
    for kind in (Kind("minisblack"), Kind("minisblack", "u2"), Kind("rgb"), Kind("rgb", "u2"), Kind("rgb", extras="s")):
        own = ["jpeg2000", "jpeg2000-33003", "jpeg2000-33005", "jpegxl", "png", "deflate-old"]
        own += ["webp"] if kind.dtype == "u1" and kind.base == 3 else []
        for codec, order in zip(own, [False, True] * 4, strict=False):
            # a big-endian file would get codestreams of swapped bytes
            big_endian = order and (kind.dtype == "u1" or codec == "deflate-old")
            yield Combination("tifffile", kind, Layout(codec, tiled=order, big_endian=big_endian and codec != "jpegxl"))
    for kind in (Kind("minisblack"), Kind("minisblack", "f4"), Kind("rgb")):
        yield Combination("tifffile", kind, Layout("lerc", tiled=True))
    for kind in (Kind("minisblack"), Kind("miniswhite"), Kind("rgb"), Kind("ycbcr")):
        for tiled in (False, True):
            yield Combination("tifffile", kind, Layout("jpeg", tiled=tiled, big_endian=tiled))


def _subsampled() -> Iterator[Combination]:
    cells = [(1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (4, 4)]
    for cell in cells[1:3]:
        yield Combination("tifffile", Kind("ycbcr"), Layout("jpeg", tiled=True, subsampling=cell))
    for cell, codec in product(cells, ("none", "lzw", "deflate", "packbits")):
        # tiles of them that are not compressed are read by nobody
        tiled, order = codec in {"lzw", "packbits"} and cell[0] < 4, cell[1] == 2
        yield Combination("tifffile", Kind("ycbcr"), Layout(codec, tiled=tiled, big_endian=order, subsampling=cell))


def _by_gdal() -> Iterator[Combination]:
    def fits(kind: Kind, layout: Layout) -> bool:
        return True

    grey = _kinds("minisblack", "u1 i1 u2 i2 u4 i4 u8 i8 f2 f4 f8", [""]) + _kinds("miniswhite", "u1 u2", [""])
    colour = _kinds("rgb", "u1 u2 f4", EXTRAS) + _kinds("minisblack", "u1 u2", ["s", "a", "x", "xx"])
    inks = _kinds("separated", "u1 u2", [""]) + _kinds("cielab", "u1", [""])
    yield from _some("gdal", grey + colour + inks, _layouts(*_WHOLE), 3, fits)
    yield from _some("gdal", _kinds("palette", "u1 u2", [""]), _layouts(*_WHOLE), 4, fits)
    packed = [Kind(name, "u1", bits) for name in ("minisblack", "miniswhite", "palette") for bits in (1, 2, 4)]
    packed += [Kind("minisblack", "u2", 12), Kind("rgb", "u2", 12), Kind("rgb", "u2", 10), Kind("rgb", "u2", 12, "s")]
    packed += [Kind("minisblack", "u1", bits) for bits in (3, 5, 6, 7)]
    packed += [Kind("minisblack", "u2", bits) for bits in (9, 11, 13, 15)] + [Kind("miniswhite", "u2", 11)]
    packed += [Kind("minisblack", "u4", bits) for bits in (17, 24, 31)] + [Kind("rgb", "u1", 5, "s")]
    yield from _some("gdal", packed, _layouts("none", "lzw", "deflate", "packbits", planar=False), 4, fits)
    yield from _by_gdal_with_codecs_of_pixels()


def _by_gdal_with_codecs_of_pixels() -> Iterator[Combination]:
    for kind in (Kind("minisblack", "u1", 1), Kind("miniswhite", "u1", 1)):
        for codec, tiled in product(("ccittrle", "ccittfax3", "ccittfax4"), (False, True)):
            yield Combination("gdal", kind, Layout(codec, tiled=tiled))
    for kind in _kinds("minisblack rgb", "f4 f8", [""]):
        yield Combination("gdal", kind, Layout("deflate", 2))
        yield Combination("gdal", kind, Layout("zstd", 2, tiled=True, planar=kind.samples > 1, big_endian=True))
    for kind, codec in product(_kinds("minisblack", "u1 u2 i4 f4 f8", [""]), ("lerc", "lerc_deflate", "lerc_zstd")):
        yield Combination("gdal", kind, Layout(codec, tiled=codec == "lerc"))
    for kind in (Kind("rgb"), Kind("rgb", extras="s")):
        for order in (False, True):
            yield Combination("gdal", kind, Layout("webp", tiled=order, big_endian=order))
    for kind in (Kind("minisblack"), Kind("rgb"), Kind("ycbcr"), Kind("separated"), Kind("rgb", extras="s")):
        for tiled, planar in product([False, True], [False, True]):
            if _sensible(kind, Layout(planar=planar)) and not (planar and kind.photometric == "ycbcr"):
                yield Combination("gdal", kind, Layout("jpeg", tiled=tiled, planar=planar, bigtiff=tiled))


def _by_vips() -> Iterator[Combination]:
    def fits(kind: Kind, layout: Layout) -> bool:
        return True

    layouts = _layouts("none", "lzw", "deflate", "packbits", "zstd", planar=False, big_endian=False)
    kinds = _kinds("minisblack", "u1 i1 u2 i2 u4 i4 f4 f8", [""]) + _kinds("rgb", "u1 u2", ["", "s"])
    kinds += _kinds("minisblack", "u1 u2", ["s"]) + _kinds("separated", "u1 u2", [""])
    yield from _some("vips", kinds, layouts, 3, fits)
    packed = [Kind("minisblack", "u1", bits) for bits in (1, 2, 4)] + [Kind("miniswhite", "u1", 1)]
    yield from _some("vips", packed, _layouts("none", "lzw", "deflate", planar=False, big_endian=False), 2, fits)
    for kind in (Kind("minisblack", "u1", 1), Kind("miniswhite", "u1", 1)):
        yield Combination("vips", kind, Layout("ccitt"))
    for kind in (Kind("minisblack"), Kind("rgb"), Kind("minisblack", "u2"), Kind("rgb", "u2"), Kind("rgb", extras="s")):
        yield Combination("vips", kind, Layout("jpeg2000", tiled=True))
    for kind in (Kind("minisblack"), Kind("ycbcr")):
        for tiled in (False, True):
            yield Combination("vips", kind, Layout("jpeg", tiled=tiled))
    for kind in (Kind("rgb"), Kind("rgb", extras="s")):
        yield Combination("vips", kind, Layout("webp", tiled=True))
