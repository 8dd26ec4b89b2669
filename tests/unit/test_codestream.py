"""What codestreams say of their size, against the encoders that wrote them."""

from __future__ import annotations

from collections.abc import Callable

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cartloader_image.images.codestream import values_declared

ENCODERS: dict[str, tuple[Callable[..., bytes], int]] = {
    "JPEG": (imagecodecs.jpeg8_encode, 1),
    "JPEG 2000": (lambda pixels: imagecodecs.jpeg2k_encode(pixels, codecformat="j2k"), 3),
    "JPEG 2000 in boxes": (lambda pixels: imagecodecs.jpeg2k_encode(pixels, codecformat="jp2"), 3),
    "JPEG XL": (imagecodecs.jpegxl_encode, 1),
    "JPEG XL in boxes": (lambda pixels: imagecodecs.jpegxl_encode(pixels, usecontainer=True), 1),
    "JPEG XR": (imagecodecs.jpegxr_encode, 1),
    "WebP": (lambda pixels: imagecodecs.webp_encode(pixels, lossless=False, level=50), 1),
    "lossless WebP": (lambda pixels: imagecodecs.webp_encode(pixels, lossless=True), 1),
    "PNG": (imagecodecs.png_encode, 1),
    "LERC": (imagecodecs.lerc_encode, 3),
}
"""Each with the components that it counts."""


@pytest.mark.parametrize("name", ENCODERS)
@settings(max_examples=15, deadline=None)
@given(height=st.integers(8, 700), width=st.integers(8, 700))
def test_the_size_is_that_of_the_picture(name: str, height: int, width: int) -> None:
    encode, components = ENCODERS[name]
    pixels = np.arange(height * width * 3, dtype=np.uint32).astype(np.uint8).reshape(height, width, 3)
    assert values_declared(encode(pixels)) == height * width * components


@given(name=st.sampled_from(sorted(ENCODERS)), end=st.integers(0, 400), noise=st.binary(max_size=40))
def test_what_ends_anywhere_says_a_number(name: str, end: int, noise: bytes) -> None:
    data = ENCODERS[name][0](np.full((64, 48, 3), 7, np.uint8))
    assert values_declared(data[:end]) >= 0
    assert values_declared(data[:end] + noise) >= 0


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff", b"\xff\xd8" + b"\xff" * 50, b"plain bytes", b"\x78\x9c\x03\x00"]
)
def test_other_bytes_say_nothing(data: bytes) -> None:
    assert values_declared(data) == 0


def test_the_frame_of_a_jpeg_is_found_behind_its_other_segments() -> None:
    data = imagecodecs.jpeg8_encode(np.zeros((40, 50, 3), np.uint8))
    comment = b"\xff\xfe\x00\x20" + b"\xff\xc0\x00\x11\x08\xff\xff\xff\xff" + bytes(21)
    assert values_declared(data[:2] + comment + b"\xff" * 3 + data[2:]) == 40 * 50
