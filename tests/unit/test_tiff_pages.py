"""Which pages of a TIFF are planes, levels and series: ImageJ's and tifffile's stacks, samples, pyramids."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from support.rasters import noise, read_image, with_source, write_pages

from cartloader_image.errors import UsageError


def same(path: Path, expected: NDArray[Any], **options: Any) -> None:
    np.testing.assert_array_equal(read_image(path, **options), expected)


def test_imagej_hyperstack(tmp_path: Path) -> None:
    stack = noise((2, 3, 2, 20, 30), np.uint16)  # TZCYX
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "TZCYX"})
    for index, (t, z, c) in enumerate(np.ndindex(2, 3, 2)):
        same(tmp_path / "a.tif", stack[t, z, c], page=index)
    tifffile.imwrite(tmp_path / "b.tif", stack[0], imagej=True, metadata={"axes": "ZCYX"})
    same(tmp_path / "b.tif", stack[0, 2, 1], z=2, channel="1")
    same(tmp_path / "b.tif", stack[0, :, 1].max(axis=0), channel="1", z_project="max")
    with pytest.raises(UsageError, match=r"6 planes and no --page.* 0 \(z=0, channel=0\)"):
        read_image(tmp_path / "b.tif")


def test_imagej_stack_of_many_planes_behind_one_page(tmp_path: Path) -> None:
    stack = noise((5, 20, 30), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    # What ImageJ does above 4 GB: the pages after the first are not listed.
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        first, second = file.pages[0], file.pages[1]
        raw = bytearray((tmp_path / "a.tif").read_bytes())
        link = raw.index(second.offset.to_bytes(4, "big" if first.parent.byteorder == ">" else "little"), first.offset)
        raw[link : link + 4] = bytes(4)
    (tmp_path / "b.tif").write_bytes(raw)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert len(file.pages) == 1
    for index in range(5):
        same(tmp_path / "b.tif", stack[index], page=index)


@pytest.mark.parametrize("metadata", [None, {}])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_stacks_of_tifffile(tmp_path: Path, metadata: dict[str, Any] | None, compression: str | None) -> None:
    stack = noise((5, 20, 30), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", metadata=metadata, compression=compression)
    for index in range(5):
        same(tmp_path / "a.tif", stack[index], page=index)
    with pytest.raises(UsageError, match=r"--page 5 is out of range; its planes: 0 .* 4"):
        read_image(tmp_path / "a.tif", page=5)


@pytest.mark.parametrize("metadata", [None, {}, {"axes": "CYX"}])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_samples_that_are_no_colours_are_planes(
    tmp_path: Path, planar: str, metadata: dict[str, Any] | None, compression: str | None
) -> None:
    stack = noise((5, 20, 30), np.uint16)
    if planar == "contig" and metadata:
        metadata = {"axes": "YXC"}
    tifffile.imwrite(
        tmp_path / "a.tif", stack if planar == "separate" else np.moveaxis(stack, 0, -1), photometric="minisblack",
        planarconfig=planar, compression=compression, metadata=metadata,
    )  # fmt: skip
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages.first.samplesperpixel == 5
    for index in range(5):
        same(tmp_path / "a.tif", stack[index], page=index)
        same(tmp_path / "a.tif", stack[index], channel=str(index))
    with pytest.raises(UsageError, match="out of range"):
        read_image(tmp_path / "a.tif", page=5)


def test_a_pyramid_in_subifds(tmp_path: Path) -> None:
    levels = [noise((256 >> n, 192 >> n, 3), seed=n) for n in range(3)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(levels[0], subifds=2, tile=(32, 32), photometric="rgb")
        for level in levels[1:]:
            tif.write(level, subfiletype=1, tile=(32, 32), photometric="rgb")
    for number, level in enumerate(levels):
        same(tmp_path / "a.tif", level, level=number)
    with pytest.raises(UsageError, match=r"--level 3 is out of range; its levels: 0 \(192 × 256\).*2 \(48 × 64\)"):
        read_image(tmp_path / "a.tif", level=3)


def test_a_pyramid_in_reduced_pages(tmp_path: Path) -> None:
    levels = [noise((256 >> n, 192 >> n, 3), seed=n) for n in range(3)]
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for number, level in enumerate(levels):
            tif.write(level, subfiletype=min(number, 1), tile=(32, 32), photometric="rgb", metadata=None)
    for number, level in enumerate(levels):
        same(tmp_path / "a.tif", level, level=number)


def test_pages_of_different_sizes_are_series(tmp_path: Path) -> None:
    one, other = noise((20, 30)), noise((25, 31, 3))
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(one, photometric="minisblack", metadata=None)
        tif.write(other, photometric="rgb", metadata=None)
    same(tmp_path / "a.tif", one)
    same(tmp_path / "a.tif", other, series=1)
    with pytest.raises(UsageError, match="--series 2 is out of range; its series: 0, 1"):
        read_image(tmp_path / "a.tif", series=2)


def test_many_planes_are_listed_fast(tmp_path: Path) -> None:
    path = write_pages(tmp_path / "a.tif", itertools.repeat(np.zeros((4, 4), np.uint8), 3000))
    assert with_source(path, lambda source: source.description, page=2999).startswith("4 × 4 uint8, plane 2999 of 3000")
