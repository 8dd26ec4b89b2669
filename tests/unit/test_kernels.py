"""The compiled kernels: how they are built and found, and what their door lets through."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.rasters import noise

from cartloader_image.kernels import build, door

needed = pytest.mark.skipif(build.compiler() is None, reason="there is no compiler")
built = pytest.mark.skipif(not door.there(), reason="the kernels are not built")


def said(state: str, **environment: str) -> str:
    """What a new process prints of its door."""
    code = f"from cartloader_image.kernels import door; print(door.{state})"
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=os.environ | environment
    )
    return run.stdout.strip()


@needed
def test_a_machine_with_a_compiler_has_the_kernels() -> None:
    assert said("there()", CARTLOADER_KERNELS="") == "True"
    assert said("version()", CARTLOADER_KERNELS="") == build.digest()


def test_they_can_be_switched_off() -> None:
    assert said("there()", CARTLOADER_KERNELS="off") == "False"
    assert said("version()", CARTLOADER_KERNELS="off") == "none"
    assert said("state()", CARTLOADER_KERNELS="off") == "off by CARTLOADER_KERNELS"


@needed
def test_a_library_says_of_which_text_it_is_and_one_of_another_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert build.build(tmp_path / "a.so", ("-O0",)) == ""
    library = ctypes.CDLL(str(tmp_path / "a.so"))
    library.source_digest.restype = ctypes.c_char_p
    assert library.source_digest() == build.digest().encode()
    monkeypatch.setenv(door.VARIABLE, str(tmp_path / "a.so"))
    assert door._library.__wrapped__() is not None
    monkeypatch.setattr(door, "digest", lambda: "another")
    assert door._library.__wrapped__() is None


@needed
@pytest.mark.parametrize("library", [None, b"", b"no library"])
def test_what_is_no_library_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: bytes | None) -> None:
    if library is not None:
        (tmp_path / "a.so").write_bytes(library)
    monkeypatch.setenv(door.VARIABLE, str(tmp_path / "a.so"))
    assert door._library.__wrapped__() is None


@pytest.mark.parametrize("compiler", ["false", "no-such-compiler", "sh -c 'echo oh >&2; exit 3'"])
def test_a_compiler_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler: str) -> None:
    monkeypatch.setenv("CC", compiler)
    assert "failed" in build.build(tmp_path / "a.so")
    assert list(tmp_path.iterdir()) == []


def test_without_a_compiler_nothing_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda _name: None)
    assert build.build(tmp_path / "a.so") == "there is no C compiler"


@built
@given(st.integers(2, 40), st.integers(2, 40), st.integers(1, 4))
def test_halving_takes_any_view(rows: int, columns: int, bands: int) -> None:
    pixels = noise((rows + 3, columns + 2, bands))[1:-2, 1:-1]
    some = pixels[: rows // 2 * 2, : columns // 2 * 2].astype(int)
    sums = some[::2, ::2] + some[1::2, ::2] + some[::2, 1::2] + some[1::2, 1::2]
    np.testing.assert_array_equal(door.halve(pixels), (sums + 2) // 4)
    np.testing.assert_array_equal(door.halve(pixels.swapaxes(0, 1)), door.halve(pixels.swapaxes(0, 1).copy()))


def taps(first: list[int], count: int) -> door.Taps:
    return door.Taps(np.array(first, np.int32), np.full((len(first), count), 1 / count, np.float32))


GOOD = taps([0, 1, 2], 4)


@built
@pytest.mark.parametrize(
    ("down", "across"),
    [
        (taps([-1, 0], 4), GOOD), (taps([0, 17], 4), GOOD), (taps([5, 4], 2), GOOD),
        (GOOD, taps([-1, 0], 4)), (GOOD, taps([0, 17], 4)), (GOOD, taps([5, 4], 2)),
        (door.Taps(np.zeros(3, np.int32), np.ones((2, 4), np.float32)), GOOD),
        (door.Taps(np.zeros(2, np.int32), np.ones((2, 0), np.float32)), GOOD),
    ],
)  # fmt: skip
def test_taps_beyond_the_picture_are_refused(down: door.Taps, across: door.Taps) -> None:
    with pytest.raises(ValueError, match="taps"):
        door.resample(noise((20, 20, 3)), down, across, alpha=False)


@built
@pytest.mark.parametrize("pixels", [noise((20, 20)), noise((20, 20, 5)), noise((20, 20, 3), np.uint16)])
def test_other_arrays_are_refused(pixels: np.ndarray) -> None:
    table = np.full((3, 4), 0.25, np.float32)
    for call in (
        lambda: door.halve(pixels),
        lambda: door.straighten(pixels, 4),
        lambda: door.resample(pixels, GOOD, GOOD, alpha=False),
        lambda: door.warp(pixels, (1, 0, 0, 0, 1, 0), table, table, np.zeros((4, 4, 4), np.uint8)),
    ):
        with pytest.raises(ValueError, match="pixels of shape"):
            call()


@built
def test_what_a_warp_cannot_do_is_refused() -> None:
    pixels, table = noise((20, 20, 3)), np.full((3, 4), 0.25, np.float32)
    for affine, down in (
        ((1, 0, float("nan"), 0, 1, 0), table),
        ((9, 8, 0, 0, 1, 0), table),
        ((1, 0, 0, 0, 1, 0), table[:, :3]),
    ):
        with pytest.raises(ValueError, match=r"affine|tables"):
            door.warp(pixels, affine, down, table, np.zeros((4, 4, 4), np.uint8))
    for out in (np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 4)), np.zeros((4, 8, 4), np.uint8)[:, ::2]):
        with pytest.raises(ValueError, match="3 bands into pixels"):
            door.warp(pixels, (1, 0, 0, 0, 1, 0), table, table, out)
