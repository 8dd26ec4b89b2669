"""Write one picture as a TIFF by tifffile, GDAL or libvips, in any layout that the writer knows."""

from __future__ import annotations

import struct
import subprocess
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import rasterio
import tifffile
from rasterio.errors import NotGeoreferencedWarning

from support.kinds import ASSOCIATED, STRAIGHT, Array, Kind, from_ycbcr, table_of
from support.tags import with_entry, with_value, without_tag

TILE, STRIP = 16, 8
"""Pixels along a tile, rows of a strip: so that both the last row and the last column of pieces are partly filled."""
COMPRESSION, PHOTOMETRIC, SUBSAMPLING = 259, 262, 530


@dataclass(frozen=True)
class Layout:
    """How the samples lie in the file."""

    codec: str = "none"
    predictor: int = 1
    tiled: bool = False
    planar: bool = False
    big_endian: bool = False
    bigtiff: bool = False
    subsampling: tuple[int, int] = (1, 1)
    """Of the colour in YCbCr."""
    untagged: bool = False
    """Without the tag PhotometricInterpretation."""

    def __str__(self) -> str:
        words = [self.codec if self.predictor == 1 else f"{self.codec}{self.predictor}"]
        words += [name for name in ("tiled", "planar", "bigtiff", "untagged") if getattr(self, name)]
        words += ["MM"] if self.big_endian else []
        words += ["{}x{}".format(*self.subsampling)] if self.subsampling != (1, 1) else []
        return "-".join(words)

    @property
    def lossy(self) -> bool:
        return self.codec == "jpeg"


def by_tifffile(path: Path, stored: Array, kind: Kind, layout: Layout) -> None:
    """Also what no other writer makes: samples of 64 bits, missing tags, colour subsampled without JPEG."""
    more, meant = _tags(kind, layout)
    data: Any = np.moveaxis(stored, -1, 0) if layout.planar else stored
    data = data.astype(bool) if kind.bits == 1 else data
    data = data.reshape(stored.shape[:2]) if kind.samples == 1 else data
    if layout.codec == "jpeg" and kind.photometric == "ycbcr":  # as tifffile makes it of RGB
        data = np.rint(from_ycbcr(stored)).astype(np.uint8)
    elif layout.subsampling != (1, 1):
        more |= {"shape": stored.shape, "dtype": stored.dtype}
        data = _subsampled(stored, layout)
    pieces = {"tile": (TILE, TILE)} if layout.tiled else {"rowsperstrip": _strip_rows(layout)}
    with tifffile.TiffWriter(path, bigtiff=layout.bigtiff, byteorder=">" if layout.big_endian else "<") as file:
        predictor = layout.predictor if layout.predictor > 1 else None
        file.write(data, predictor=predictor, metadata=None, **pieces, **more)
    for code, value in meant.items():
        path.write_bytes(with_value(path.read_bytes(), code, value))
    if layout.subsampling != (1, 1) and layout.codec != "jpeg":
        cell = struct.pack(">HH" if layout.big_endian else "<HH", *layout.subsampling)
        path.write_bytes(with_entry(path.read_bytes(), SUBSAMPLING, 3, cell))
    if layout.untagged:
        path.write_bytes(without_tag(path.read_bytes(), PHOTOMETRIC))


def _tags(kind: Kind, layout: Layout) -> tuple[dict[str, Any], dict[int, int]]:
    """What tifffile is told, and values of tags that it would not write beside the others."""
    names = {ASSOCIATED: "assocalpha", STRAIGHT: "unassalpha"}
    more: dict[str, Any] = {"bitspersample": kind.bits or None, "photometric": kind.photometric}
    meant: dict[int, int] = {}
    if kind.extras:
        more["extrasamples"] = [names.get(extra, "unspecified") for extra in kind.extras]
    if kind.samples > 1:
        more["planarconfig"] = "separate" if layout.planar else "contig"
    if kind.photometric == "palette":
        table = table_of(kind)
        more |= {"photometric": "minisblack", "extratags": [("ColorMap", 3, table.size, table.ravel().tolist(), True)]}
        meant[PHOTOMETRIC] = 3
    if layout.codec != "none":
        more |= {"compression": _TIFFFILE_CODECS[layout.codec], "compressionargs": _SETTINGS.get(layout.codec)}
    if layout.codec == "jpeg" and kind.photometric in {"rgb", "ycbcr"}:  # both are written as YCbCr
        more |= {"photometric": "rgb", "subsampling": layout.subsampling}
    elif layout.codec == "jpeg" and kind.photometric == "miniswhite":
        more["photometric"], meant[PHOTOMETRIC] = "minisblack", 0
    elif layout.subsampling != (1, 1) and layout.codec == "none":
        # it counts the bytes of pieces that are not compressed
        more |= {"compression": "lzw"}
        meant[COMPRESSION] = 1
    return more, meant


def _strip_rows(layout: Layout) -> int:
    """Rows of a strip: JPEG takes two rows of 8 × 8 cells where colours are halved."""
    return 2 * STRIP if layout.codec == "jpeg" else STRIP


_TIFFFILE_CODECS = {
    "lzw": "lzw", "deflate": "adobe_deflate", "deflate-old": "deflate", "packbits": "packbits", "zstd": "zstd",
    "lzma": "lzma", "webp": "webp", "jpeg": "jpeg", "jpeg2000": 34712, "jpeg2000-33003": 33003,
    "jpeg2000-33005": 33005, "jpegxl": "jpegxl", "lerc": "lerc", "png": "png",
}  # fmt: skip
_SETTINGS = {
    "webp": {"lossless": True}, "jpeg": {"level": 95}, "jpeg2000": {"level": 0}, "jpeg2000-33003": {"level": 0},
    "jpeg2000-33005": {"level": 0}, "jpegxl": {"lossless": True},
}  # fmt: skip


def spread(stored: Array, cell: tuple[int, int]) -> Array:
    """YCbCr whose two colours are the same all over each cell of so many pixels across and down: their mean."""
    across, down = cell
    result = stored.copy()
    for row in range(0, stored.shape[0], down):
        for column in range(0, stored.shape[1], across):
            part = result[row : row + down, column : column + across, 1:]
            part[:] = np.rint(part.mean(axis=(0, 1)))
    return result


def _subsampled(stored: Array, layout: Layout) -> Iterator[bytes]:
    """Strips or tiles of data units as in section 21: the luminances of a cell of pixels, then its two colours."""
    across, down = layout.subsampling
    encode: Callable[[bytes], bytes] = {
        "none": bytes, "lzw": imagecodecs.lzw_encode, "deflate": imagecodecs.zlib_encode,
        "packbits": imagecodecs.packbits_encode, "zstd": imagecodecs.zstd_encode,
    }[layout.codec]  # fmt: skip
    rows, columns = (TILE, TILE) if layout.tiled else (_strip_rows(layout), -(-stored.shape[1] // across) * across)
    whole = spread(stored, layout.subsampling)
    for row in range(0, stored.shape[0], rows):
        for column in range(0, stored.shape[1], columns):
            piece = whole[row : row + rows, column : column + columns]
            height = rows if layout.tiled else -(-len(piece) // down) * down
            piece = np.pad(piece, ((0, height - len(piece)), (0, columns - piece.shape[1]), (0, 0)), mode="edge")
            cells = piece.reshape(height // down, down, columns // across, across, 3).swapaxes(1, 2)
            cells = cells.reshape(height // down, columns // across, down * across, 3)
            units = np.concatenate([cells[..., 0], cells[:, :, 0, 1:]], axis=-1)
            yield encode(units.tobytes())


def by_gdal(path: Path, stored: Array, kind: Kind, layout: Layout) -> None:
    """GDAL as it comes with rasterio."""
    options: dict[str, Any] = {
        "COMPRESS": layout.codec.upper().replace("-LOSSLESS", ""), "INTERLEAVE": "BAND" if layout.planar else "PIXEL",
        "BIGTIFF": "YES" if layout.bigtiff else "NO", "ENDIANNESS": "BIG" if layout.big_endian else "LITTLE",
        "BLOCKYSIZE": TILE if layout.tiled else _strip_rows(layout),
    }  # fmt: skip
    if layout.tiled:
        options |= {"TILED": "YES", "BLOCKXSIZE": TILE}
    if layout.predictor > 1:
        options["PREDICTOR"] = layout.predictor
    if kind.bits:
        options["NBITS"] = kind.bits
    if layout.codec == "webp":
        options["WEBP_LOSSLESS"] = "YES"
    if layout.codec == "jpeg":
        options["JPEG_QUALITY"] = 95
    if kind.photometric != "palette":
        options["PHOTOMETRIC"] = {"separated": "CMYK"}.get(kind.photometric, kind.photometric.upper())
    alphas = {ASSOCIATED: "PREMULTIPLIED", STRAIGHT: "NON-PREMULTIPLIED"}
    options["ALPHA"] = alphas.get(kind.extras[:1], "NO")
    # half floats come from wider ones
    dtype = {"f2": "float32"}.get(kind.dtype, np.dtype(kind.dtype).name)
    options |= {"NBITS": 16} if kind.dtype == "f2" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", width=stored.shape[1], height=stored.shape[0], count=kind.samples, dtype=dtype,
            **options,
        ) as dataset:  # fmt: skip
            if kind.photometric == "palette":
                table = (table_of(kind) >> 8).T.tolist()
                dataset.write_colormap(1, {index: (*entry, 255) for index, entry in enumerate(table)})
            dataset.write(np.moveaxis(stored, -1, 0).astype(dtype))


def by_vips(path: Path, stored: Array, kind: Kind, layout: Layout) -> None:
    """The command ``vips``."""
    raw, depth = path.with_suffix(".raw"), stored
    if kind.bits:  # made of 8 bits
        depth = (kind.top - stored if kind.photometric == "miniswhite" else stored) * (255 // kind.top)
    raw.write_bytes(depth.astype(stored.dtype).tobytes())
    tile = 2 * TILE if layout.codec == "jpeg2000" else TILE  # smaller ones come out empty
    options = {"compression": {"jpeg2000": "jp2k", "ccitt": "ccittfax4"}.get(layout.codec, layout.codec)}
    options |= {"predictor": {1: "none", 2: "horizontal", 3: "float"}[layout.predictor]}
    options |= {"tile": "true", "tile-width": f"{tile}", "tile-height": f"{tile}"} if layout.tiled else {}
    options |= {"bigtiff": "true"} if layout.bigtiff else {}
    options |= {"bitdepth": f"{kind.bits}"} if kind.bits else {}
    options |= {"miniswhite": "true"} if kind.photometric == "miniswhite" else {}
    options |= {"lossless": "true"} if layout.codec in {"webp", "jpeg2000"} else {}
    options |= {"Q": "95"} if layout.codec == "jpeg" else {}
    interpretation = {"rgb": "srgb", "ycbcr": "srgb", "separated": "cmyk", "cielab": "lab"}.get(kind.photometric, "b-w")
    if np.dtype(kind.dtype).itemsize == 2:
        interpretation = {"srgb": "rgb16", "b-w": "grey16"}.get(interpretation, interpretation)
    height, width, samples = stored.shape
    target = f"{path}[{','.join(f'{name}={value}' for name, value in options.items())}]"
    subprocess.run(
        ["vips", "rawload", raw, target, str(width), str(height), str(samples), "--format", _VIPS_FORMATS[kind.dtype],
         "--interpretation", interpretation], check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    raw.unlink()


_VIPS_FORMATS = {
    "u1": "uchar", "i1": "char", "u2": "ushort", "i2": "short", "u4": "uint", "i4": "int", "f4": "float",
    "f8": "double",
}  # fmt: skip
WRITERS: dict[str, Callable[[Path, Array, Kind, Layout], None]] = {
    "tifffile": by_tifffile, "gdal": by_gdal, "vips": by_vips,
}  # fmt: skip
