"""PNG, JPEG and other pictures that are no TIFF, against Pillow."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support.rasters import noise, read_image, read_whole, smooth, with_source

from cartloader.errors import CartloaderError, InputError, UsageError
from cartloader.images.source import Source, open_source
from cartloader.params import Ome2PngParams, OutputPrefix

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
BANDS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}
EVERY_LAYOUT = [(colour, depth) for colour, depths in DEPTHS.items() for depth in depths]
# Start and step of the seven passes: row, column (PNG specification, section 8).
ADAM7 = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1)]


def png(
    path: Path, samples: NDArray[Any], colour: int, depth: int, *chunks: tuple[bytes, bytes], interlaced: bool = False
) -> Path:
    """A PNG with exactly these samples ``(rows, columns, bands)``, written by the book."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def packed(part: NDArray[Any]) -> bytes:
        lines = []
        for line in part.reshape(part.shape[0], -1):
            if depth == 16:
                lines.append(b"\0" + line.astype(">u2").tobytes())
            else:
                bits = np.unpackbits(line.astype(np.uint8)[:, None], axis=1)[:, 8 - depth :]
                lines.append(b"\0" + np.packbits(bits.ravel()).tobytes())
        return b"".join(lines)

    height, width = samples.shape[:2]
    passes = [samples[a::b, c::d] for a, b, c, d in ADAM7] if interlaced else [samples]
    data = b"".join(packed(part) for part in passes if part.size)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    return path


def samples_of(colour: int, depth: int, shape: tuple[int, int] = (21, 35)) -> NDArray[Any]:
    return noise((*shape, BANDS[colour]), np.uint16) >> (16 - depth)


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("colour", "depth"), EVERY_LAYOUT)
def test_png_layouts(tmp_path: Path, colour: int, depth: int, interlaced: bool) -> None:
    samples, table = samples_of(colour, depth), noise((1 << min(depth, 8), 3), seed=3)
    chunks = [(b"PLTE", table.tobytes())] if colour == PALETTE else []
    read = read_image(png(tmp_path / "a.png", samples, colour, depth, *chunks, interlaced=interlaced))
    expected = table[samples[..., 0]] if colour == PALETTE else samples
    if colour == GREY:
        expected = expected[..., 0] * (255 // ((1 << depth) - 1) if depth < 8 else 1)
    assert read.dtype == (np.uint16 if depth == 16 else np.uint8)
    np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("entries", [1, 2])
def test_png_palette_with_transparency(tmp_path: Path, depth: int, entries: int) -> None:
    samples, table = samples_of(PALETTE, depth), noise((1 << depth, 3), seed=3)
    opacity = np.full(1 << depth, 255, np.uint8)
    opacity[:entries] = (0, 100)[:entries]
    path = png(
        tmp_path / "a.png", samples, PALETTE, depth, (b"PLTE", table.tobytes()), (b"tRNS", opacity[:entries].tobytes())
    )
    expected = np.concatenate([table[samples[..., 0]], opacity[samples]], axis=-1)
    np.testing.assert_array_equal(read_image(path), expected)
    with Image.open(path) as pillow:
        np.testing.assert_array_equal(expected, np.asarray(pillow.convert("RGBA")))


@pytest.mark.parametrize(("colour", "depth"), [layout for layout in EVERY_LAYOUT if layout[0] in {GREY, RGB}])
@pytest.mark.parametrize("zero", [False, True])
def test_png_with_a_transparent_colour(tmp_path: Path, colour: int, depth: int, zero: bool) -> None:
    samples = samples_of(colour, depth)
    samples[3:5, 4:9] = 0 if zero else samples[2, 2]
    key = samples[3, 4].copy()
    samples[7, 7] = key
    samples[7, 7, 0] ^= 1  # just one band, just one level from the key
    path = png(tmp_path / "a.png", samples, colour, depth, (b"tRNS", key.astype(">u2").tobytes()))
    read = read_image(path)
    top = 65535 if depth == 16 else 255
    scale = 255 // ((1 << depth) - 1) if depth < 8 else 1
    np.testing.assert_array_equal(read[..., :-1], samples * scale)
    np.testing.assert_array_equal(read[..., -1], np.where((samples == key).all(axis=-1), 0, top))


def test_rows_come_right_across_blocks(tmp_path: Path) -> None:
    picture = noise((1000, 37, 3))
    Image.fromarray(picture).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), picture)


@pytest.mark.parametrize("how", [{}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg(tmp_path: Path, mode: str, how: dict[str, Any]) -> None:
    Image.fromarray(smooth(70, 90, 1 if mode == "L" else 3)).save(tmp_path / "a.jpg", quality=95, **how)
    with Image.open(tmp_path / "a.jpg") as pillow:
        expected = np.asarray(pillow).astype(int)
    # Two builds of libjpeg upsample halved colour differently by a few levels.
    difference = np.abs(read_image(tmp_path / "a.jpg").astype(int) - expected)
    assert difference.max() <= (0 if mode == "L" else 2 if how.get("subsampling") == 0 else 6)
    assert difference.mean() < 1


def test_cmyk_jpeg(tmp_path: Path) -> None:
    picture = smooth(70, 90, 4)
    Image.fromarray(picture, "CMYK").save(tmp_path / "a.jpg", quality=100, subsampling=0)
    ink = picture / 255
    expected = 255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])
    assert np.abs(read_image(tmp_path / "a.jpg") - expected).max() <= 5


def test_the_exif_orientation_does_not_turn_the_pixels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(smooth(70, 90, 1)).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (70, 90)


@pytest.mark.parametrize("kind", ["BMP", "GIF", "WEBP"])
def test_other_pictures(tmp_path: Path, kind: str) -> None:
    picture = Image.fromarray(smooth(20, 30, 3)).quantize(50)
    (picture if kind == "GIF" else picture.convert("RGB")).save(tmp_path / "a", kind, lossless=True)
    np.testing.assert_array_equal(read_image(tmp_path / "a")[..., :3], np.asarray(picture.convert("RGB")))


def test_ome2png_takes_no_png(tmp_path: Path) -> None:
    Image.fromarray(noise((4, 5))).save(tmp_path / "a.png")
    params = Ome2PngParams(in_img=tmp_path / "a.png", out=OutputPrefix(out_dir=tmp_path, img_id="a"))
    with pytest.raises(UsageError, match="--ome2png takes a TIFF"), open_source(params):
        pass


@pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"II*\0"])
def test_what_is_no_picture(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(InputError, match=r"a\.png: is "):
        read_image(tmp_path / "a.png")


def test_what_is_not_there(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "none.png", "cannot be read"), (tmp_path, "is a directory")):
        with pytest.raises(InputError, match=words):
            read_image(path)


def _file(kind: str) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(noise((40, 50, 3)))
    if kind == "palette":
        picture.quantize(20).save(buffer, "PNG", transparency=3)
    else:
        picture.save(buffer, kind)
    return buffer.getvalue()


def _outcome(path: Path) -> Any:
    """The pixels, or the sentence that refuses the file."""

    def look(source: Source) -> Any:
        plane = source.plane
        return read_whole(plane) if plane.height * plane.width < 1 << 22 else ""

    try:
        return with_source(path, look)
    except CartloaderError as error:
        return str(error)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "palette"])
def test_a_truncated_picture_is_refused(tmp_path: Path, kind: str) -> None:
    data = _file(kind)
    (tmp_path / "a").write_bytes(data)
    whole = _outcome(tmp_path / "a")
    for size in np.linspace(4, len(data) - 1, 60).astype(int):
        (tmp_path / "b").write_bytes(data[:size])
        read = _outcome(tmp_path / "b")
        if isinstance(read, str):
            assert read.startswith(f"{tmp_path}/b: ")
            assert "\n" not in read
        else:
            np.testing.assert_array_equal(read, whole)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "palette"])
def test_a_damaged_picture_never_surprises(tmp_path: Path, kind: str) -> None:
    data = _file(kind)
    random = np.random.default_rng(5)
    (tmp_path / "a").write_bytes(data)
    whole = _outcome(tmp_path / "a")
    for attempt in range(150):
        broken = bytearray(data)
        limit = 200 if attempt % 2 else len(data)
        for place in random.integers(4, min(limit, len(data)), random.integers(1, 4)):
            broken[place] = random.integers(256)
        (tmp_path / "b").write_bytes(broken)
        read = _outcome(tmp_path / "b")
        if isinstance(read, str):
            assert "\n" not in read
        elif kind == "PNG":  # every chunk that matters has its checksum
            np.testing.assert_array_equal(read, whole)
