"""What stored samples mean, against Pillow, scikit-image or the formula of the TIFF specification."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.color import ycbcr2rgb
from support.rasters import noise, read_image, smooth

from cartloader_image.action_params import Ome2PngParams, OutputPrefix
from cartloader_image.errors import InputError
from cartloader_image.recipe import actions


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4"])
def test_min_is_white(tmp_path: Path, dtype: str) -> None:
    picture = noise((20, 30), dtype)
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), ~picture)


def test_min_is_white_of_twelve_bits(tmp_path: Path) -> None:
    picture = noise((20, 30), np.uint16) >> 4
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="miniswhite", bitspersample=12)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), 4095 - picture)


@pytest.mark.parametrize("colours", [2, 7, 16, 200, 256])
def test_palettes(tmp_path: Path, colours: int) -> None:
    picture = Image.fromarray(smooth(60, 80, 3)).quantize(colours)
    picture.save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("wide", [False, True])
def test_palettes_of_16_and_of_8_bits(tmp_path: Path, wide: bool) -> None:
    table, picture = noise((3, 256)), noise((20, 30), seed=1)
    stored = table.astype(np.uint16) * (257 if wide else 1)
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="palette", colormap=stored)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), table.T[picture])


def test_a_palette_of_16_bit_indices(tmp_path: Path) -> None:
    table, picture = noise((3, 65536), np.uint16), noise((20, 30), np.uint16, seed=1)
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="palette", colormap=table)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), (table >> 8).T[picture])


def test_a_palette_of_one_bit(tmp_path: Path) -> None:
    picture = noise((20, 30)) > 127
    tifffile.imwrite(
        tmp_path / "a.tif", picture, photometric="minisblack",
        extratags=[(320, 3, 6, (256, 65535, 0, 2560, 25600, 0), True)],
    )  # fmt: skip
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages.first.tags["PhotometricInterpretation"].overwrite(3)
    table = np.array([[1, 0, 100], [255, 10, 0]], np.uint8)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), table[picture.astype(int)])


def test_a_palette_that_is_too_short_or_missing(tmp_path: Path) -> None:
    picture = noise((20, 30)) | 128
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tag = file.pages.first.tags["ColorMap"]
    data[tag.offset + 4 : tag.offset + 8] = (3 * 128).to_bytes(4, "little")
    (tmp_path / "b.tif").write_bytes(data)
    assert not read_image(tmp_path / "b.tif").any()
    data[tag.offset : tag.offset + 2] = (65000).to_bytes(2, "little")
    (tmp_path / "c.tif").write_bytes(data)
    with pytest.raises(InputError, match=r"c\.tif: "):
        read_image(tmp_path / "c.tif")


def test_uncompressed_ycbcr(tmp_path: Path) -> None:
    picture = noise((20, 30, 3))
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="ycbcr")
    # Full-range BT.601, as TIFF 6.0 section 21 has it by default and JPEG always.
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - _pillow_ycbcr(picture)).max() <= 1


def _pillow_ycbcr(picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    bands = [Image.fromarray(np.ascontiguousarray(picture[..., band])) for band in range(3)]
    return np.asarray(Image.merge("YCbCr", bands).convert("RGB")).astype(int)


def test_ycbcr_with_a_reference_range(tmp_path: Path) -> None:
    picture = noise((20, 30, 3))
    reference = (16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1)
    tifffile.imwrite(
        tmp_path / "a.tif", picture, photometric="ycbcr",
        extratags=[(532, 5, 6, reference, True), (529, 5, 3, (299, 1000, 587, 1000, 114, 1000), True)],
    )  # fmt: skip
    # Studio range: what scikit-image's conversion means by YCbCr. Its rounded matrix and 127 of the specification
    # against 127.5 there leave a difference of about one level.
    expected = np.rint(ycbcr2rgb(picture.astype(float)).clip(0, 1) * 255)
    assert np.abs(read_image(tmp_path / "a.tif") - expected).max() <= 2


@pytest.mark.parametrize("tag", [529, 532])
def test_senseless_ycbcr_coefficients(tmp_path: Path, tag: int) -> None:
    count = 3 if tag == 529 else 6
    tifffile.imwrite(
        tmp_path / "a.tif", noise((20, 30, 3)), photometric="ycbcr", extratags=[(tag, 5, count, (0, 1) * count, True)]
    )
    with pytest.raises(InputError, match="make no sense"):
        read_image(tmp_path / "a.tif")


def test_cmyk(tmp_path: Path) -> None:
    picture = noise((40, 50, 4))
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="separated")
    ink = picture / 255
    expected = 255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])
    assert np.abs(read_image(tmp_path / "a.tif") - expected).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("bands", [2, 4])
def test_unassociated_alpha_is_kept(tmp_path: Path, dtype: str, bands: int) -> None:
    picture = noise((20, 30, bands), dtype)
    tifffile.imwrite(
        tmp_path / "a.tif", picture, photometric="rgb" if bands == 4 else "minisblack", extrasamples=["unassalpha"],
        planarconfig="contig",
    )  # fmt: skip
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), picture)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("bands", [2, 4])
def test_associated_alpha_is_divided_out(tmp_path: Path, dtype: str, bands: int) -> None:
    top = 1.0 if dtype == "f4" else np.iinfo(dtype).max
    straight = np.random.default_rng(0).random((20, 30, bands)) * top
    straight = straight.astype(dtype)
    straight[5:, ..., -1] += straight[5:, ..., -1] == 0
    straight[:5, ..., -1], straight[5:10, ..., -1] = 0, top
    stored = straight.astype(float)
    stored[..., :-1] *= stored[..., -1:] / top
    stored = (stored if dtype == "f4" else np.rint(stored)).astype(dtype)
    tifffile.imwrite(
        tmp_path / "a.tif", stored, photometric="rgb" if bands == 4 else "minisblack", extrasamples=["assocalpha"],
        planarconfig="contig",
    )  # fmt: skip
    read = read_image(tmp_path / "a.tif").astype(float)
    np.testing.assert_array_equal(read[..., -1], straight[..., -1])
    assert not read[:5, ..., :-1].any()
    # What was rounded in storage comes back within half a stored step, seen through alpha.
    slack = 1e-6 * top if dtype == "f4" else 0.5 * top / np.maximum(straight[5:, ..., -1:].astype(float), 1) + 0.5
    assert (np.abs(read[5:, ..., :-1] - straight[5:, ..., :-1]) <= slack + 1e-6).all()


def test_alpha_of_twelve_bits_is_stretched_to_sixteen(tmp_path: Path) -> None:
    picture = noise((20, 30, 4), np.uint16) >> 4
    picture[0, 0, 3], picture[0, 1, 3] = 4095, 0
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="rgb", extrasamples=["unassalpha"], bitspersample=12)
    read = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read[..., :3], picture[..., :3])
    np.testing.assert_array_equal(read[..., 3], np.rint(picture[..., 3] / 4095 * 65535))


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_an_unspecified_extra_sample_is_no_alpha(tmp_path: Path, planar: str) -> None:
    picture = noise((20, 30, 4))
    tifffile.imwrite(
        tmp_path / "a.tif", picture if planar == "contig" else np.moveaxis(picture, -1, 0), photometric="rgb",
        extrasamples=["unspecified"], planarconfig=planar,
    )  # fmt: skip
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), picture[..., :3])


def test_separate_ycbcr_planes_in_jpeg_are_converted(tmp_path: Path) -> None:
    picture = smooth(64, 64, 3)
    tifffile.imwrite(
        tmp_path / "a.tif", np.moveaxis(picture, -1, 0), photometric="rgb", planarconfig="separate", compression="jpeg",
        compressionargs={"level": 100}, extratags=[(530, 3, 2, (1, 1), True)],
    )  # fmt: skip
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        stored = np.moveaxis(file.pages.first.asarray(), 0, -1)
        file.pages.first.tags["PhotometricInterpretation"].overwrite(6)
    assert np.abs(read_image(tmp_path / "a.tif").astype(int) - _pillow_ycbcr(stored)).max() <= 1


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("kind", ["grey", "palette"])
def test_thresholds_of_few_bits_are_stored_values(tmp_path: Path, bits: int, kind: str) -> None:
    values = noise((20, 37)) >> (8 - bits)
    ramp = np.outer([257, 0, 0], np.rint(np.linspace(0, 255, 1 << bits))).astype(np.uint16)
    tags = [(320, "H", ramp.size, ramp.ravel().tolist(), True)] if kind == "palette" else []
    tifffile.imwrite(tmp_path / "a.tif", values, bitspersample=bits, photometric="minisblack", extratags=tags)
    if kind == "palette":
        with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
            file.pages.first.tags["PhotometricInterpretation"].overwrite(3)
    out = OutputPrefix(out_dir=tmp_path / "out", img_id="x")
    given = {"lower_thres_intensity": 1, "upper_thres_intensity": 2}
    raster = actions.ome2png(Ome2PngParams(in_img=tmp_path / "a.tif", out=out, pixel_size="1", **given))
    assert raster.shown == f"1 … 2 of {2**bits - 1} (as given)"
    shown = np.asarray(Image.open(out.path(".transform.png")))
    expected = np.where(values >= 2, 255, 0)
    np.testing.assert_array_equal(shown[..., 0] if kind == "palette" else shown, expected)
