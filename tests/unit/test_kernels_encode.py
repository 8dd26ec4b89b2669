"""The kernel that filters and deflates the rows of a PNG: what zlib and Pillow make of its output is the pixels."""

from __future__ import annotations

import ctypes
import itertools
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from skimage import data as images
from support.rasters import noise

from cartloader_image.kernels import door
from cartloader_image.rasters import png
from cartloader_image.rasters.png import Band, PngWriter

pytestmark = pytest.mark.skipif(not door.there(), reason=door.state())
Bytes = NDArray[np.uint8]
KINDS = ["constant", "noise", "smooth", "few", "sparse", "halves", "repeated"]


def picture(kind: str, height: int, width: int, bands: int, seed: int = 0) -> Bytes:
    """Of each kind that has a way of its own through the kernel: runs, none, stored blocks, all codes, few codes."""
    random = np.random.default_rng(seed)
    shape = height, width, bands
    rows, columns, _ = np.indices(shape)
    match kind:
        case "constant":
            pixels = np.full(shape, seed % 256)
        case "noise":
            pixels = random.integers(0, 256, shape)
        case "smooth":
            pixels = rows * 2 + columns + random.integers(0, 3, shape)
        case "few":
            pixels = random.choice([0, 1, 7, 255], shape)
        case "sparse":
            pixels = random.integers(0, 256, shape) * (random.random(shape) < 0.02)
        case "repeated":
            pixels = np.tile(random.integers(0, 256, (-(-height // 9), -(-width // 5), bands)), (9, 5, 1))
            pixels = pixels[:height, :width]
        case _:
            pixels = random.integers(0, 256, shape) * (rows + columns > (height + width) // 2)
    return pixels.astype(np.uint8)


def decoded(shape: tuple[int, ...], stream: bytes) -> Bytes:
    height, width, bands = shape
    assert len(zlib.decompress(stream)) == height * (1 + width * bands)  # which checks the Adler-32
    chunks = [
        png._chunk(kind, content)
        for kind, content in ((b"IHDR", png._header(height, width, bands)), (b"IDAT", stream), (b"IEND", b""))
    ]
    with Image.open(BytesIO(png._SIGNATURE + b"".join(part for chunk in chunks for part in chunk))) as opened:
        return np.asarray(opened).reshape(shape)


pictures = st.builds(
    picture, st.sampled_from(KINDS), st.integers(1, 70), st.integers(1, 70), st.integers(1, 4), st.integers(0, 999)
)


@settings(max_examples=150, deadline=None, database=None)
@given(pictures)
def test_a_stream_is_the_picture(pixels: Bytes) -> None:
    np.testing.assert_array_equal(decoded(pixels.shape, door.encode(pixels)), pixels)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(512, 512, 1), (512, 512, 3), (300, 500, 4), (2, 40_000, 3), (70_000, 1, 2)])
def test_pictures_of_many_blocks(kind: str, shape: tuple[int, int, int]) -> None:
    """Also of rows that are longer than a block, and of blocks that begin anywhere in a row."""
    pixels = picture(kind, *shape)
    np.testing.assert_array_equal(decoded(shape, door.encode(pixels)), pixels)


@settings(max_examples=80, deadline=None, database=None)
@given(pictures, st.sets(st.integers(1, 69), max_size=4))
def test_pieces_are_put_together(tmp_path_factory: pytest.TempPathFactory, pixels: Bytes, cuts: set[int]) -> None:
    path = tmp_path_factory.mktemp("png") / "a.png"
    height, width, bands = pixels.shape
    with PngWriter(path, height, width, bands) as file:
        for start, stop in pairwise(sorted({0, height, *(cut for cut in cuts if cut < height)})):
            data, adler = door.encode_band(pixels[start:stop], pixels[start - 1] if start else None)
            assert data[-4:] == b"\x00\x00\xff\xff"
            lines = zlib.decompressobj(-15).decompress(data)
            assert adler == zlib.adler32(lines)
            file.write(Band(data, adler, len(lines)))
    with Image.open(path) as opened:
        np.testing.assert_array_equal(np.asarray(opened).reshape(pixels.shape), pixels)


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_any_memory_layout(bands: int) -> None:
    pixels = noise((60, 50, 4)) >> 5
    for view in (pixels[::-1], pixels[3:40, 5:30], pixels[::2], pixels[:, ::-1], pixels.swapaxes(0, 1)):
        some = view[..., :bands]
        assert door.encode(some) == door.encode(some.copy())
        np.testing.assert_array_equal(decoded(some.shape, door.encode(some)), some)


@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_depend_on_the_pixels_alone(kind: str) -> None:
    """Not on where in memory they are, on what was encoded before, or on the thread."""
    pixels = picture(kind, 150, 301, 3)
    expected = door.encode(pixels)
    for offset in (1, 2, 3, 5, 8, 31):
        moved = np.empty(pixels.size + offset, np.uint8)[offset:].reshape(pixels.shape)
        moved[:] = pixels
        door.encode(noise((40, 300 + offset, 3)))
        assert door.encode(moved) == expected
    with ThreadPoolExecutor(2) as pool:
        assert all(found == expected for found in pool.map(door.encode, [pixels] * 8))


@settings(max_examples=80, deadline=None, database=None)
@given(pictures, st.sampled_from([0, 2, 3, 4]), st.booleans())
def test_nothing_is_written_beyond_the_capacity(pixels: Bytes, kind: int, whole: bool) -> None:
    """And every filter is undone."""
    library = door._library()
    assert library is not None
    capacity = library.encode_capacity(pixels.shape[0] * (1 + pixels[0].size))
    result = np.full(capacity + 64, 171, np.uint8)
    work = np.full(library.encode_work_bytes() // 8 + 9, 2**63 + 171, np.uint64)
    adler = ctypes.c_uint32()
    size = library.encode(
        pixels.ctypes.data, *pixels.shape, pixels.strides[0], None, kind, whole,
        work.ctypes.data, result.ctypes.data, ctypes.byref(adler),
    )  # fmt: skip
    assert size <= capacity
    assert (result[capacity:] == 171).all()
    assert (work[-8:] == 2**63 + 171).all()
    if whole:
        np.testing.assert_array_equal(decoded(pixels.shape, result[:size].tobytes()), pixels)


@pytest.mark.parametrize("shape", [(1, 1, 1), (9, 5, 3), (512, 512, 1), (512, 512, 4)])
def test_noise_is_hardly_longer_than_it_was(shape: tuple[int, int, int]) -> None:
    filtered = shape[0] * (1 + shape[1] * shape[2])
    assert len(door.encode(noise(shape))) <= filtered + 6 * (filtered // 65535 + 1) + 8


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_a_code_may_be_as_uneven_as_it_likes(bands: int) -> None:
    """Frequencies like Fibonacci's numbers ask for codes of more than fifteen bits."""
    frequencies = [1, 1]
    while len(frequencies) < 23:
        frequencies.append(frequencies[-1] + frequencies[-2])
    steps = np.repeat(np.arange(23), frequencies)[: 60_000 // bands * bands]
    steps = np.random.default_rng(1).permutation(steps).reshape(1, -1, bands)
    pixels = steps.cumsum(axis=1).astype(np.uint8)  # which the filter of a top row undoes
    np.testing.assert_array_equal(decoded(pixels.shape, door.encode(pixels)), pixels)


def test_tissue_is_smaller_than_by_isal() -> None:
    photograph = Image.fromarray(images.immunohistochemistry()).resize((727, 727), Image.Resampling.BICUBIC)
    pixels = np.asarray(photograph)[100:612, 100:612]
    assert len(door.encode(pixels)) <= 0.995 * len(png._stream(pixels))


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 0, 3), (5, 5, 0), (5, 5, 5), (5, 5)])
def test_shapes_that_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"pixels of shape|must be"):
        door.encode(np.zeros(shape, np.uint8))


def test_other_types_and_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="uint16"):
        door.encode(np.zeros((5, 5, 3), np.uint16))  # type: ignore[arg-type]
    for above in (np.zeros((4, 3), np.uint8), np.zeros((5, 1), np.uint8), np.zeros((5, 3), np.int8)):
        with pytest.raises(ValueError, match="above"):
            door.encode_band(np.zeros((5, 5, 3), np.uint8), above)


def test_what_is_repeated_is_written_once() -> None:
    """Of slopes by whole steps, the code alone would leave a ninth."""
    rows, columns = np.indices((512, 512))
    slopes = np.stack([rows // 2, columns // 2, (rows + columns) // 4], axis=2).astype(np.uint8)
    assert len(door.encode(slopes)) < slopes.size // 100
    np.testing.assert_array_equal(decoded(slopes.shape, door.encode(slopes)), slopes)


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_flat_parts_share_a_block(bands: int) -> None:
    pixels = np.full((700, 512, bands), 201, np.uint8)
    assert len(door.encode(pixels)) <= 1.01 * len(png._stream(pixels))
    pixels[400:450] = noise((50, 512, bands))
    np.testing.assert_array_equal(decoded(pixels.shape, door.encode(pixels)), pixels)


@settings(max_examples=60, deadline=None, database=None)
@given(
    st.integers(1, 12), st.integers(1, 9), st.sampled_from([3, 4]),
    st.lists(st.sampled_from(["flat", "noise", "same"]), min_size=3, max_size=3), st.booleans(),
)  # fmt: skip
def test_a_colour_that_says_what_another_one_does(
    rows: int, columns: int, bands: int, kinds: list[str], mirrored: bool
) -> None:
    """All rows that count are looked at: one of four, or so, from the first on."""
    kept, chance = noise((rows, columns, bands)), noise((rows, columns, 1))
    for band, kind in enumerate(kinds):
        if kind != "noise":
            kept[..., band] = 7 if kind == "flat" else chance[..., 0]
    pixels = kept[:, ::-1] if mirrored else kept
    seen = pixels[:: rows // 4 + 1]
    colours = [seen[..., band] for band in range(3)]
    flat = [len(np.unique(colour)) == 1 for colour in colours]
    twice = any(np.array_equal(one, other) for one, other in itertools.combinations(colours, 2))
    assert door.repeats(pixels) == (not all(flat) and (any(flat) or twice))
    if kinds.count("same") > 1 and not all(flat):
        assert door.repeats(pixels)


def test_grey_pictures_have_no_colours_to_compare() -> None:
    with pytest.raises(ValueError, match="three colours"):
        door.repeats(noise((5, 5, 2)))
