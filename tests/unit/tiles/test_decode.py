"""Tiles as pictures, against Pillow: all kinds that maps have are decoded, and any byte that is missing is missed."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.archives import encoded, write_archive
from support.corruptions import claiming
from support.maps import blobs

from cartloader_image.errors import ArchiveError
from cartloader_image.tiles.decode import check_stream, decode, header_of, picture_of, size_of_tiles, threads_for
from cartloader_image.tiles.reader import reading

GREY = blobs(9, 7, 1)[..., 0]
KINDS: list[tuple[str, str, dict[str, Any]]] = [
    *(("PNG", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")),
    *(("JPEG", mode, options) for mode in ("L", "RGB", "CMYK") for options in ({}, {"progressive": True})),
    *(("WEBP", mode, options) for mode in ("RGB", "RGBA") for options in ({}, {"lossless": True})),
    ("AVIF", "RGB", {}),
]


def of(kind: str, mode: str, options: dict[str, Any]) -> bytes:
    data = BytesIO()
    Image.fromarray(blobs(9, 7, 4)).convert(mode).save(data, kind, **options)
    return data.getvalue()


@pytest.mark.parametrize(("kind", "mode", "options"), KINDS, ids=str)
def test_tiles_of_all_kinds_are_what_pillow_makes_of_them(kind: str, mode: str, options: dict[str, Any]) -> None:
    data = of(kind, mode, options)
    check_stream(data)
    header = header_of(data, (7, 9))
    assert (header.kind, header.width, header.height) == (kind, 7, 9)
    np.testing.assert_array_equal(decode(data), Image.open(BytesIO(data)).convert("RGBA"))
    for size in ((9, 7), (7, 8), (14, 9)):
        with pytest.raises(ValueError, match=f"^has 7 × 9 pixels, where others have {size[0]} × {size[1]}$"):
            decode(data, size)


def test_of_16_bits_the_upper_8_are_shown() -> None:
    data = encoded(GREY.astype(np.uint16) * 256 + 99)
    np.testing.assert_array_equal(np.asarray(decode(data))[..., 0], GREY)


def refused(data: bytes) -> bool:
    try:
        check_stream(data)
        decode(data, (7, 9))
    except ValueError as error:
        return str(error).startswith(("cannot be decoded (", "is a PNG ", "is a WebP of ", "has "))
    return False


@pytest.mark.parametrize(("kind", "mode", "options"), [KINDS[4], KINDS[12], KINDS[13], KINDS[-1]], ids=str)
def test_a_tile_that_is_cut_off_anywhere_is_damaged(kind: str, mode: str, options: dict[str, Any]) -> None:
    data = of(kind, mode, options)
    assert all(refused(data[:end]) for end in range(len(data)))
    assert not refused(data)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_whose_end_is_missing_is_damaged_though_it_can_be_decoded(progressive: bool) -> None:
    """Decoders make up what is not there."""
    data = encoded(blobs(64, 64, 3), "JPEG", progressive=progressive)
    check_stream(data)
    for end in (len(data) * 3 // 4, len(data) - 60):
        for rest in (bytes(len(data) - end), b"\xff\xd9"):
            with pytest.raises(ValueError, match=r"^cannot be decoded \((Corrupt JPEG data|Premature end of JPEG)"):
                check_stream(data[:end] + rest)


@pytest.mark.parametrize("more", [b"\0", b"more"])
def test_bytes_behind_a_png_are_damage(more: bytes) -> None:
    with pytest.raises(ValueError, match=f"^is a PNG with {len(more)} bytes behind its end$"):
        check_stream(encoded(GREY) + more)


def test_webp_may_end_in_one_byte_that_fills_up() -> None:
    data = of("WEBP", "RGB", {})
    check_stream(data + b"\0")
    with pytest.raises(ValueError, match=f"^is a WebP of {len(data)} bytes in {len(data) + 2}$"):
        check_stream(data + b"\0\0")


def test_no_bit_of_a_png_can_be_another_one() -> None:
    """Each is in some checksum, or in a length."""
    data = encoded(GREY)
    for place in range(len(data)):
        for bit in range(8):
            assert refused(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]), (place, bit)


def test_sizes_of_tiles() -> None:
    for size in (1, 4096):
        assert header_of(claiming(size)).width == size
    for sides in ((0, 9), (9, 0), (9, 4097), (4097, 9)):
        data = claiming(9)
        data = data[:16] + struct.pack(">II", *sides) + data[24:]
        with pytest.raises(ValueError, match=r"^(has .* 1 to 4096 a side|cannot be decoded)"):
            header_of(data)


def test_scans_of_a_jpeg() -> None:
    data = encoded(GREY, "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    enough = data[:last] + data[last:-2] * (101 - data.count(b"\xff\xda")) + data[-2:]
    assert enough.count(b"\xff\xda") == 100
    decode(enough)
    with pytest.raises(ValueError, match=r"^is a JPEG of more than 100 scans$"):
        decode(enough[:-2] + data[last:])


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", encoded(GREY, "GIF")])
def test_what_is_no_tile(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^cannot be decoded \(it is none of PNG, JPEG, WEBP"):
        decode(data)


@pytest.mark.parametrize("side", [1, 256, 1024, 2048, 4096])
def test_threads_hold_128_mb_together(side: int) -> None:
    """Each a tile and what it is converted to, of four bytes a pixel."""
    for cores in (1, 4, 10_000):
        threads = threads_for((side, side), cores)
        assert 1 <= threads <= cores
        assert threads == 1 or threads * 2 * 4 * side**2 <= 128 << 20
        assert threads == cores or (threads + 1) * 2 * 4 * side**2 > 128 << 20


def test_an_error_names_archive_and_tile(tmp_path: Path) -> None:
    path = write_archive(tmp_path / "a.pmtiles", {(1, 1, 0): encoded(GREY), (2, 3, 1): b"none"})
    with reading(path) as archive:
        assert size_of_tiles(archive, 1) == (7, 9)
        for use in (
            lambda: size_of_tiles(archive, 2),
            lambda: picture_of(archive, 17, archive.find(17) or (0, 0), (7, 9)),
        ):
            with pytest.raises(
                ArchiveError, match=r"^/.*a\.pmtiles: tile 2/\d/\d cannot be decoded \(it is none of PNG"
            ):
                use()
