"""What a file is, told before anything else; and the files beside one, whatever they are called."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import socket
import sqlite3
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.archives import encoded, write_archive
from support.rasters import params_for

from cartloader_image.action_params import GeoreferenceParams, OutputPrefix
from cartloader_image.errors import CartloaderError, InputError
from cartloader_image.images.beside import companions, world_files
from cartloader_image.images.kinds import beginning, is_tiff, kind_of
from cartloader_image.images.source import open_source

PICTURE = encoded(np.zeros((4, 4), np.uint8))
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def archived(mode: str) -> bytes:
    data = io.BytesIO()
    if mode == "zip":
        with zipfile.ZipFile(data, "w") as file:
            file.writestr(".zgroup", "{}")
    else:
        with tarfile.open(fileobj=data, mode=mode) as tar:
            tar.addfile(tarfile.TarInfo("a.png"))
    return data.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.tif.gz", gzip.compress(PICTURE, mtime=0), "is compressed by gzip; unpack it"),
        ("a.tif", gzip.compress(PICTURE, mtime=0), "is compressed by gzip; unpack it"),
        ("a.bz2", bz2.compress(PICTURE), "is compressed by bzip2"),
        ("a.xz", lzma.compress(PICTURE), "is compressed by bzip2, xz"),
        ("a.zarr.zip", archived("zip"), "is a ZIP archive, as zipped OME-Zarr is; unpack it"),
        ("a.tar", archived("w:"), "is a tar archive"),
        ("a.czi", b"ZISRAWFILE\0\0\0\0\0\0", "is a Zeiss CZI file; convert it to OME-TIFF, with bioformats2raw"),
        ("a.nd2", b"\xda\xce\xbe\x0a\x20\0\0\0", "is a Nikon ND2 file; convert it"),
        ("a.nd2", b"\0\0\0\x0cjP  \r\n\x87\n\0\0", "is a Nikon ND2 file; convert it"),
        ("a.lif", b"p\0\0\0\xd2\x10\0\0*\x99\x08\0\0<\0L\0M\0S\0", "is a Leica LIF file; convert it"),
        ("a.vsi", b"II*\0\x08\0\0\0", "is an Olympus VSI file, whose picture lies in the .ets files"),
        ("a.ets", b"SIS\0\x40\0\0\0", "is an Olympus ETS file"),
        ("a.MRXS", b"\xff\xd8\xff\xe0\0\x10JFIF\0", "is a MIRAX slide, whose picture lies in the folder of its name"),
        ("a.oir", b"OLYMPUSRAWFORMAT\x0c\0", "is an Olympus OIR file"),
        ("a.oib", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "is an OLE file, such as Olympus OIB"),
        ("a.ims", b"\x89HDF\r\n\x1a\n\0", "is an HDF5 file, such as Imaris IMS"),
        ("a.dcm", bytes(128) + b"DICM\2\0", "is a DICOM file"),
        ("a.nii", b"\x5c\1\0\0" + bytes(340) + b"n+1\0", "is a NIfTI volume"),
        ("a.nii", b"\x1c\2\0\0n+2\0\r\n\x1a\n", "is a NIfTI volume"),
        ("a.fcs", b"FCS3.1         58", "is an FCS file of a cytometer, which holds no image"),
        ("a.npy", b"\x93NUMPY\1\0", "is a NumPy array; write it as TIFF with tifffile"),
        ("a.mat", b"MATLAB 5.0 MAT-file", "is a MATLAB file"),
        ("a.pdf", b"%PDF-1.7\n", "is a PDF document; save it as PNG or TIFF"),
        ("a.psd", b"8BPS\0\1", "is a Photoshop document"),
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0", "is a HEIF picture; save it as PNG or TIFF"),
        ("a.avif", encoded(np.zeros((8, 8, 3), np.uint8), "AVIF"), "is an AVIF picture"),
        ("a.mp4", b"\0\0\0\x18ftypisom\0\0\2\0", "is a video; save the frame"),
        ("a.jxl", b"\xff\x0a\xfa\x1f", "is a JPEG XL picture"),
        ("a.mbtiles", b"SQLite format 3\0\x10\0", "is an SQLite database, such as MBTiles; `pmtiles convert`"),
        ("a.tif", LFS, "is a Git LFS pointer, not the file itself; fetch the file with `git lfs pull`"),
        ("a.tif", "<!DOCTYPE html>\n<html><head>", "is a web page, as a failed download leaves it; download"),
        ("a.tif", "\ufeff \n<HTML lang=en>", "is a web page"),
        ("a.tif", '<?xml version="1.0"?><!DOCTYPE html><html>', "is a web page"),
        ("a.svg", '<?xml version="1.0"?>\n<!-- x -->\n<svg width="4">', "is an SVG drawing; save it"),
        ("a.svg", "<svg>", "is an SVG drawing; save it"),
        ("a.companion.ome", '<?xml version="1.0"?><OME xmlns="x">', "is OME-XML without a TIFF; give the TIFF"),
        ("a.ome", "<!-- Warning --><ome:OME>", "is OME-XML without a TIFF; give the TIFF"),
        ("a.xml", '<?xml version="1.0"?><Slide>', "is XML text; give the image itself"),
        ("a.json", '{"a": "b.tif"}', "is JSON text; give the image itself; a mapping of images goes to --in-json"),
        ("a.ndpis", "[NanoZoomer Digital Pathology Image Set]\n", "is a Hamamatsu file set"),
        ("a.tif", '{"error": "not found"}', "is JSON text"),
        ("a.csv", "x,y,gene\n1,2,Gapdh\n", "is text; give the image itself"),
        ("a.tif", b"", "is empty; a TIFF, PNG or JPEG file is needed"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_refused_by_what_it_is(
    tmp_path: Path, name: str, content: bytes | str, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        is_tiff(path)
    assert str(caught.value).startswith(f"{path}: {words}")
    assert "\n" not in str(caught.value)


def test_databases_and_archives_of_tiles_are_no_images(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.mbtiles") as database:
        database.execute("CREATE TABLE tiles (zoom_level INTEGER)")
    database.close()
    write_archive(tmp_path / "a.pmtiles", {(0, 0, 0): PICTURE})
    for name, words in (
        ("a.mbtiles", "an SQLite database"),
        ("a.pmtiles", "a PMTiles archive, which is tiles already"),
    ):
        with pytest.raises(InputError, match=f"{name}: is {words}"):
            is_tiff(tmp_path / name)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "JPEG2000", "PPM", "TIFF", "TGA"])
def test_pictures_are_left_to_their_readers(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.dat"
    Image.fromarray(np.full((40, 40, 3), 7, np.uint8)).save(path, kind)
    assert is_tiff(path) == (kind == "TIFF")


@pytest.mark.parametrize("options", [{"byteorder": ">"}, {"bigtiff": True}, {"bigtiff": True, "byteorder": ">"}, {}])
def test_a_tiff_is_one_whatever_its_name(tmp_path: Path, options: dict[str, object]) -> None:
    path = tmp_path / "slide.czi"
    tifffile.imwrite(path, np.zeros((4, 4), np.uint8), **options)
    assert is_tiff(path)


@given(st.binary(min_size=1, max_size=400))
def test_no_bytes_are_a_surprise(start: bytes) -> None:
    kind_of(start)
    kind_of(b"<" + start, ".vsi")


@pytest.mark.parametrize(
    "name",
    ["https://data.org/a b/x.ome.tif", "s3://bucket/x.ome.tif", "HTTP://data.org/x.tif", "gs://b/x", "file:///x.tif"],
)
@pytest.mark.parametrize("folder", ["", "/data"])
def test_an_address_is_no_file(name: str, folder: str) -> None:
    with pytest.raises(InputError) as caught:
        is_tiff(Path(folder, name))
    assert (
        str(caught.value)
        == f"{name.replace('///', '//')}: is an address, not a file; download it, and give the path of the file"
    )


@pytest.mark.parametrize("name", ["a\0b.tif", "\ud800.tif", "a\udfff/b.tif"])
def test_what_is_no_path_is_said(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with pytest.raises(InputError, match=r"cannot be the path of a file; a TIFF") as caught:
        is_tiff(path)
    assert str(caught.value).isascii()
    params = GeoreferenceParams(in_img=path, out=OutputPrefix(out_dir=tmp_path, img_id="a"))
    with pytest.raises(InputError), open_source(params):
        pass
    assert companions(path) == []


def test_what_cannot_be_opened_is_said_in_the_systems_words(tmp_path: Path) -> None:
    (tmp_path / "loop.tif").symlink_to("loop.tif")
    (tmp_path / "file").write_bytes(PICTURE)
    for path, words in (
        (tmp_path / "none.tif", "No such file or directory"),
        (tmp_path / "loop.tif", "Too many levels of symbolic links"),
        (tmp_path / ("x" * 300), "File name too long"),
        (tmp_path / "file" / "a.tif", "Not a directory"),
    ):
        with pytest.raises(InputError, match=rf"cannot be read \({words}\); a TIFF"):
            is_tiff(path)
        assert companions(path) == []


def test_what_is_no_file_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / ".zattrs").write_text("{}")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        for path, words in (
            (tmp_path / "pipe.tif", "is a named pipe, not a file"),
            (tmp_path / "s", "is a socket, not a file"),
            (Path("/dev/zero"), "is a device, not a file"),
            (tmp_path / "folder", "is a directory; give the image file in it"),
            (tmp_path / "a.zarr", "is a Zarr directory; convert it to OME-TIFF"),
            (Path("/"), "is a directory"),
        ):
            with pytest.raises(InputError, match=words):
                beginning(path)
            companions(path)


@pytest.mark.parametrize(
    "name", ["a.tif[x]", "a", "a.", ".tif", "a*.tif", "a?b.png", "x" * 255, "x" * 251 + ".tif", "[!a].tif"]
)
def test_odd_names_have_companions_too(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path, "PNG")
    assert companions(path) == []
    assert world_files(path) == []
    if len(name) < 200:
        aux = tmp_path / f"{name}.aux.xml"
        aux.write_text("<PAMDataset/>")
        assert companions(path) == [aux]
    try:
        with open_source(params_for(path)):
            pass
    except CartloaderError as error:
        assert str(error).startswith(str(path))  # noqa: PT017  (both are right)


def test_a_directory_that_cannot_be_listed_hides_only_companion_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    path.with_suffix(".tfw").write_text("1")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "glob", refuse)
    assert companions(path) == [tmp_path / "a.tfw"]
