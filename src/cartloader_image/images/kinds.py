"""What a file is, by its first bytes; and what would do where it is none that can be read.

The table names the files that people have beside their images, or instead of them. What is not in it is left to the
readers, which know best whether they can open it.
"""

from __future__ import annotations

import re
import stat
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from cartloader_image.errors import InputError
from cartloader_image.system.reading import open_file, read_file, special

_TAKEN = "a TIFF, PNG or JPEG file is needed"
_CONVERT = "convert it to OME-TIFF, with bioformats2raw and raw2ometiff or with QuPath"
_UNPACK = "unpack it, and give the image that is inside"
_EXPORT = "save it as PNG or TIFF, and give that"
PLAIN = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"\0\0\0\x0cjP  ": "JPEG 2000"}
"""Plain pictures, by how they begin."""
_OTHERS = {b"GIF8": "GIF", b"BM": "BMP", b"RIFF": "WebP"}
"""Further ones, whose first bytes are those of other files, too."""
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How a TIFF or BigTIFF begins."""
_READ = (*TIFF, *PLAIN)
_START = 1024
"""Bytes that tell what a file is."""


class Kind(NamedTuple):
    """A kind of file that cannot be read."""

    what: str
    instead: str
    start: bytes
    """Its bytes, as a pattern."""


def _kind(what: str, instead: str, *starts: bytes, skip: int = 0) -> Kind:
    return Kind(what, instead, b"^.{%d}(?:%b)" % (skip, b"|".join(map(re.escape, starts))))


_KINDS = (
    _kind("compressed by gzip", _UNPACK, b"\x1f\x8b"),
    _kind("compressed by bzip2, xz or Zstandard", _UNPACK, b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"),
    _kind("a ZIP archive, as zipped OME-Zarr is", f"{_UNPACK} (OME-Zarr: {_CONVERT})", b"PK\3\4", b"PK\5\6"),
    _kind("a 7z or RAR archive", _UNPACK, b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07"),
    _kind("a tar archive", _UNPACK, b"ustar", skip=257),
    _kind("a Zeiss CZI file", _CONVERT, b"ZISRAWFILE"),
    _kind("a Nikon ND2 file", _CONVERT, b"\xda\xce\xbe\x0a"),
    Kind("a Leica LIF file", _CONVERT, rb"^p\0\0\0.{4}\*"),
    _kind("an Olympus ETS file", _CONVERT, b"SIS\0"),
    _kind("an Olympus OIR file", _CONVERT, b"OLYMPUSRAWFORMAT"),
    _kind("an OLE file, such as Olympus OIB or Zeiss ZVI", _CONVERT, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    _kind("an HDF5 file, such as Imaris IMS, BigDataViewer or AnnData", _CONVERT, b"\x89HDF\r\n\x1a\n"),
    _kind("a DICOM file", _CONVERT, b"DICM", skip=128),
    _kind("a NIfTI volume", _CONVERT, b"n+1\0", b"ni1\0", skip=344),
    _kind("a NIfTI volume", _CONVERT, b"n+2\0", b"ni2\0", skip=4),
    _kind("an MRC volume", _CONVERT, b"MAP ", skip=208),
    _kind("an NRRD volume", _CONVERT, b"NRRD000"),
    _kind("an FCS file of a cytometer, which holds no image", _TAKEN, b"FCS2.", b"FCS3."),
    _kind("a NumPy array", "write it as TIFF with tifffile, and give that", b"\x93NUMPY"),
    _kind("a MATLAB file", "write its image as TIFF, and give that", b"MATLAB "),
    _kind("a Parquet table", _TAKEN, b"PAR1"),
    _kind("a PDF document", _EXPORT, b"%PDF-"),
    _kind("a PostScript drawing", _EXPORT, b"%!PS"),
    _kind("a Photoshop document", _EXPORT, b"8BPS"),
    _kind("an AVIF picture", _EXPORT, b"ftypavif", b"ftypavis", skip=4),
    _kind("a HEIF picture", _EXPORT, b"ftyphei", b"ftyphev", b"ftypmif1", b"ftypmsf1", skip=4),
    _kind("a video", "save the frame that you need as PNG, and give that", b"ftyp", skip=4),
    _kind("a JPEG XL picture", _EXPORT, b"\xff\x0a", b"\0\0\0\x0cJXL "),
    _kind("a JPEG XR picture", _EXPORT, b"II\xbc"),
    _kind("a PMTiles archive, which is tiles already", "--update-catalog alone adds it to a catalog", b"PMTiles"),
    _kind("an SQLite database, such as MBTiles", "`pmtiles convert` makes PMTiles of MBTiles", b"SQLite format 3\0"),
    _kind(
        "a Git LFS pointer, not the file itself", "fetch the file with `git lfs pull`", b"version https://git-lfs"
    ),
)  # fmt: skip
_OME = "give the TIFF that it speaks of, or convert it to OME-TIFF if its pixels are inside"
_TEXTS = (
    Kind("OME-XML without a TIFF", _OME, rb"^<(.*<)?(\w+:)?OME\b"),
    Kind("an SVG drawing", _EXPORT, rb"^<(.*<)?svg\b"),
    Kind("a web page, as a failed download leaves it", "download the file again", rb"^<(!doctype html|(.*<)?html\b)"),
    Kind("XML text", "give the image itself", rb"^<"),
    Kind("JSON text", "give the image itself; a mapping of images goes to --in-json", rb'^(\{\s*["}]|\[\s*[\[{"\d])'),
    Kind("a Hamamatsu file set", f"give the NDPI that it names, or {_CONVERT}", rb"^\[(NanoZoomer|Virtual Microscope)"),
    Kind("text", "give the image itself", rb"^(?!<|P[1-3]\s)[\t\n\r\x20-\x7e]+$"),
)  # fmt: skip
_BY_NAME = {
    ".vsi": Kind("an Olympus VSI file, whose picture lies in the .ets files of the folder beside it", _CONVERT, b""),
    ".mrxs": Kind("a MIRAX slide, whose picture lies in the folder of its name beside it", _CONVERT, b""),
    ".nd2": Kind("a Nikon ND2 file", _CONVERT, b""),
}
"""Files that begin as a TIFF, JPEG or JPEG 2000 does, which is just a label, a thumbnail or one plane of many."""
_ADDRESS = re.compile(r"(?:^|/)((?:https?|s3|gs|az|abfs|ftp|sftp|file|doi|omero)):/+(.*)", re.IGNORECASE)


def is_tiff(path: Path) -> bool:
    """Whether the file starts as a TIFF or BigTIFF does, whatever its name says.

    Raises:
        InputError: the file cannot be read, or is of a kind that is known not to be.
    """
    return beginning(path).startswith(TIFF)


def beginning(path: Path) -> bytes:
    """The first bytes of a file that is no known kind of those that cannot be read.

    Raises:
        InputError: it cannot be read, is empty or no file, or is of such a kind; the sentence says what would do.
    """
    try:
        _refuse_what_is_no_file(path)
        with open_file(path) as file:
            start = file.read(_START)
    except OSError as error:
        if address := _ADDRESS.search(str(path)):
            name = f"{address[1]}://{address[2]}"
            raise InputError(f"{name}: is an address, not a file; download it, and give the path of the file") from None
        raise InputError(f"{path}: cannot be read ({error.strerror}); {_TAKEN}") from None
    except ValueError:  # NUL, or half a character, which no file system has
        raise InputError(f"{ascii(str(path))[1:-1]}: cannot be the path of a file; {_TAKEN}") from None
    if not start:
        raise InputError(f"{path}: is empty; {_TAKEN}")
    if kind := kind_of(start, path.suffix.lower()):
        raise InputError(f"{path}: is {kind.what}; {kind.instead}")
    return start


def png_size(path: Path) -> tuple[int, int] | None:
    """Height and width of a PNG by its first bytes; None for another file, or none (PNG 1.2, section 4.1.1)."""
    with suppress(OSError):
        start = read_file(path, 24)
        if start.startswith(b"\x89PNG\r\n\x1a\n") and len(start) == 24:
            return int.from_bytes(start[20:24]), int.from_bytes(start[16:20])
    return None


def plain_kind(path: Path) -> str | None:
    """What a plain picture is by its first bytes: the name of its format; None for what is none of those known.

    Raises:
        InputError: the file cannot be read, or is of a kind that is known not to be.
    """
    start = beginning(path)
    return next((name for magic, name in (PLAIN | _OTHERS).items() if start.startswith(magic)), None)


def kind_of(start: bytes, suffix: str = "") -> Kind | None:
    """The kind of a file with these first bytes, where it cannot be read."""
    if start.startswith(_READ):
        return _BY_NAME.get(suffix)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    binary = (kind for kind in _KINDS if re.search(kind.start, start, re.DOTALL))
    textual = (kind for kind in _TEXTS if re.search(kind.start, text, re.DOTALL | re.IGNORECASE))
    return next(chain(binary, textual), None)


def _refuse_what_is_no_file(path: Path) -> None:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        if any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zattrs", ".zarray")):
            raise InputError(f"{path}: is a Zarr directory; convert it to OME-TIFF, with raw2ometiff or with QuPath")
        raise InputError(f"{path}: is a directory; give the image file in it")
    if what := special(mode):
        raise InputError(f"{path}: is {what}, not a file; {_TAKEN}")
