"""PNG, JPEG and other pictures that are no TIFF, against Pillow."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from PIL import Image
from support.corruptions import chunk
from support.rasters import noise, read_image, read_whole, smooth, with_source

from cartloader_image.action_params import Ome2PngParams, OutputPrefix
from cartloader_image.errors import CartloaderError, InputError, UsageError
from cartloader_image.images.source import Source, open_source
from cartloader_image.values import Rgb

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


def test_png_with_the_rest_of_a_header_behind_its_pixels(tmp_path: Path) -> None:
    samples = samples_of(RGB, 8)
    path = png(tmp_path / "a.png", samples, RGB, 8)
    data = path.read_bytes()
    path.write_bytes(data[:-12] + chunk(b"IHDR", b"") + data[-12:])
    np.testing.assert_array_equal(read_image(path), samples)


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


# What every reader shows, whatever else is in the file


def jpeg(path: Path, change: Callable[[bytes], bytes]) -> NDArray[np.uint8]:
    """A JPEG with something odd in it, and the pixels that Pillow sees."""
    data = io.BytesIO()
    Image.fromarray(smooth(44, 60, 3)).save(data, "JPEG", quality=90, subsampling=0)
    path.write_bytes(change(data.getvalue()))
    with Image.open(path) as picture:
        seen: NDArray[np.uint8] = np.asarray(picture.convert("RGB"))
        return seen


def behind_the_head(data: bytes, more: bytes) -> bytes:
    """More bytes behind the first segment of a JPEG."""
    return data[:20] + more + data[20:]


def segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2, "big") + data


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")  # of Pillow
@pytest.mark.parametrize(
    "exif", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff", b"\xff" * 24, b"no TIFF at all"]
)
def test_broken_exif_is_no_matter(tmp_path: Path, exif: bytes) -> None:
    seen = jpeg(tmp_path / "a.jpg", lambda data: behind_the_head(data, segment(0xE1, b"Exif\0\0" + exif)))
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - seen).max() <= 4


@pytest.mark.parametrize("stray", [b"\0", b"\0" * 40, b"\x12\xff\x00" * 3, b"ab\xff\xff"])
def test_stray_bytes_between_segments_are_left_out(tmp_path: Path, stray: bytes) -> None:
    seen = jpeg(tmp_path / "a.jpg", lambda data: behind_the_head(data, stray))
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - seen).max() <= 4
    assert "stray bytes" in with_source(tmp_path / "a.jpg", lambda source: " ".join(source.notes))


@pytest.mark.parametrize("padding", [b"\0", b"\0" * 100, b"\xff" * 5])
def test_padding_before_the_end_is_no_matter(tmp_path: Path, padding: bytes) -> None:
    seen = jpeg(tmp_path / "a.jpg", lambda data: data[:-2] + padding + data[-2:])
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - seen).max() <= 4


def test_an_unknown_revision_is_no_matter(tmp_path: Path) -> None:
    seen = jpeg(tmp_path / "a.jpg", lambda data: data.replace(b"JFIF\0\x01", b"JFIF\0\x09", 1))
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - seen).max() <= 4


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_data_that_end_too_early_are_damage(tmp_path: Path, share: float) -> None:
    data = io.BytesIO()
    Image.fromarray(noise((44, 60, 3))).save(data, "JPEG", quality=90)
    kept = int(len(data.getvalue()) * share)
    (tmp_path / "a.jpg").write_bytes(data.getvalue()[:kept] + b"\xff\xd9")
    with pytest.raises(InputError, match="is damaged or cut off near row"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("kind", ["end", "end and more", "middle"])
def test_a_png_without_its_end(tmp_path: Path, kind: str) -> None:
    Image.fromarray(noise((44, 60, 3))).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: {"end": -12, "end and more": -16, "middle": len(data) // 2}[kind]])
    if kind == "end":
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), noise((44, 60, 3)))
    else:
        with pytest.raises(InputError, match=r"a\.png: is cut off; it ends before byte"):
            read_image(tmp_path / "a.png")


def test_a_ramp_with_transparent_entries_is_a_grey_plane_with_alpha(tmp_path: Path) -> None:
    index = noise((20, 30, 1))
    table = bytes(component for shade in range(256) for component in (shade, shade // 2, 0))
    path = png(tmp_path / "a.png", index, PALETTE, 8, (b"PLTE", table), (b"tRNS", b"\x00\x80"))
    read = read_image(path)
    np.testing.assert_array_equal(read[..., 0], index[..., 0])
    np.testing.assert_array_equal(read[..., 1], np.array([0, 128] + [255] * 254)[index[..., 0]])
    assert with_source(path, lambda source: source.plane.tint) == Rgb(255, 127, 0)


def test_a_mended_picture_keeps_the_mask_beside_it(tmp_path: Path) -> None:
    jpeg(tmp_path / "a.jpg", lambda data: behind_the_head(data, b"\0\0\0"))
    there = np.ones((44, 60), np.uint8)
    there[:10, :20] = 0
    profile = {"driver": "GTiff", "height": 44, "width": 60, "count": 1, "dtype": "uint8"}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False),
        rasterio.open(tmp_path / "b.tif", "w", **profile, transform=rasterio.Affine(1, 0, 9, 0, -1, 9)) as dataset,
    ):
        dataset.write(there, 1)
        dataset.write_mask(there > 0)
    (tmp_path / "b.tif.msk").rename(tmp_path / "a.jpg.msk")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg")[..., 3] > 0, there > 0)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif"])
def test_a_file_that_is_cut_off_says_so_before_anything_else(tmp_path: Path, name: str, share: float) -> None:
    """Pillow writes the directory of a TIFF behind its pixels."""
    Image.fromarray(noise((64, 64, 3))).save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match=rf"{name}: is cut off; it ends before"):
        read_image(tmp_path / name)
