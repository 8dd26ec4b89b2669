"""Real files: done, with pixels that an independent reader confirms, or one clear sentence and nothing left behind.

The samples are not part of the repository; where they are missing, these tests are skipped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from numpy.typing import NDArray
from PIL import Image
from support.rasters import params_for

from cartloader_image.action_params import Ome2PngParams
from cartloader_image.errors import CartloaderError, InputError
from cartloader_image.placing.bounds import bounds_from_pixel_tsv, bounds_from_vizgen
from cartloader_image.recipe import actions

SAMPLES = Path(__file__).parents[2].parent / "shared" / "samples"
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="no samples here")

Reader = Callable[[Path], NDArray[Any]]


def by_tifffile(index: Any = (), **options: Any) -> Reader:
    return lambda path: np.asarray(tifffile.imread(path, is_ome=False, **options))[index]


def by_pillow(mode: str | None = None) -> Reader:
    def read(path: Path) -> NDArray[Any]:
        with Image.open(path) as picture:
            return np.asarray(picture.convert(mode) if mode else picture)

    return read


@dataclass(frozen=True)
class Sample:
    """A file, the options it needs, and how somebody else reads it."""

    name: str
    read: Reader
    options: dict[str, Any] = field(default_factory=lambda: {"pixel_size": "1"})
    bounds: tuple[float, float, float, float] | None = None
    slack: int = 0
    """Levels by which two decoders may differ."""


def page(n: int) -> dict[str, Any]:
    return {"pixel_size": "1", "page": n}


FULL = {"upper_thres_intensity": 65535}
MPP = 0.4990
FINE = [
    Sample(
        "hne/CMU-1-Small-Region.svs", by_tifffile(series=0), {"georef_detect": "OME"},
        (0, 0, 2220 * MPP, 2967 * MPP),
    ),
    Sample("hne/CMU-1-Small-Region.svs", by_tifffile(series=1), {"pixel_size": "1", "series": 1}),
    Sample("hne/kidney-48-5.tif", by_pillow()),
    Sample("hne/tcga-cr-7395-01a-01-ts1.svs", by_tifffile(series=0)),
    Sample("hne/tcga-cr-7395-01a-01-ts1.svs", by_tifffile(series=0, level=1), {"pixel_size": "1", "level": 1}),
    Sample("ome/hubmap_output_ome.ome.tiff", by_tifffile(), FULL, (0, 0, 200 * 0.400673121, 200 * 0.399840057)),
    Sample("ome/hubmap_test_image.ome.tiff", by_pillow(), {}, (0, 0, 50, 50)),
    *(Sample("ome/minerva_2048_ome6_tiled.ome.tif", by_tifffile(key=n), page(n) | FULL) for n in range(3)),
    *(Sample("ome/minerva_64x64.ome.tif", by_tifffile(key=n), page(n) | FULL) for n in range(4)),
    *(Sample(f"ome/multifile/multifile-Z{n}.ome.tiff", by_pillow()) for n in range(1, 6)),
    # XYCTZ: the channels of one z follow one another
    *(Sample("ome/omefiles_18x24y5z1t2c8b-text.ome.tiff", by_tifffile(key=n), page(n)) for n in range(10)),
    *(
        Sample(
            "ome/omefiles_18x24y5z1t2c8b-text.ome.tiff", by_tifffile(key=2 * z + c),
            {"pixel_size": "1", "z": z, "channel": str(c)},
        )
        for z, c in ((0, 1), (3, 0), (4, 1))
    ),
    Sample("png/sharp_Flag_of_the_Netherlands-alpha.png", by_pillow("RGBA")),
    Sample("png/sharp_bgbn4a08.png", by_pillow("RGBA")),
    Sample("tiff/flower-palette-08.tif", by_pillow("RGB")),
    Sample("tiff/tm_BigTIFFLong8Tiles.tif", by_tifffile()),
    Sample("tiff/tm_planar-striped-lzw.tif", lambda path: np.moveaxis(tifffile.imread(path), 0, -1)),
    Sample("tiff/tm_cmyk_jpeg_no_profile.tif", by_pillow("RGB"), slack=2),
    Sample("vizgen/mosaic_DAPI_z0.tif", by_tifffile(), {"pixel_size": "1", **FULL}),
    Sample("vizgen/mosaic_DAPI_z3.tif", by_tifffile(), {"pixel_size": "1", **FULL}),
]  # fmt: skip


def import_sample(sample: Path, out: Path, **options: Any) -> Path:
    """Run the action that takes the file; returns the output directory."""
    params = params_for(sample, **options).model_copy(update={"out": params_for(sample).out.model_copy(
        update={"out_dir": out}
    )})  # fmt: skip
    if isinstance(params, Ome2PngParams):
        actions.ome2png(params)
    else:
        actions.georeference(params)
    return out


def shown(path: Path) -> NDArray[Any]:
    with rasterio.open(path) as dataset:
        pixels = np.moveaxis(dataset.read(), 0, -1)
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


@pytest.mark.parametrize("sample", FINE, ids=lambda sample: f"{Path(sample.name).name}-{sample.options}")
def test_a_real_file(tmp_path: Path, sample: Sample) -> None:
    path = SAMPLES / sample.name
    expected = sample.read(path)
    if expected.dtype == np.uint16:
        alpha = expected[..., 3:] if expected.shape[-1] == 4 else None
        expected = (expected.astype(np.float64) / 65535 * 255).astype(np.uint8)
        if alpha is not None:
            expected[..., 3:] = np.rint(alpha / 257)
    out = import_sample(path, tmp_path / "out", **sample.options)
    found = shown(out / "picture.geotif.tif")
    assert np.abs(found.astype(int) - expected).max() <= sample.slack
    if path.suffix != ".png":
        with Image.open(out / "picture.transform.png") as png:
            np.testing.assert_array_equal(np.asarray(png), found)
        bounds = [float(text) for text in (out / "picture.transform.bounds.csv").read_text().split(",")]
        height, width = found.shape[:2]
        if sample.bounds or "level" not in sample.options:
            assert bounds == pytest.approx(sample.bounds or (0, 0, width, height), rel=1e-9)
        mode = {2: "mono", 3: "rgb"}.get(found.ndim if found.shape[-1] != 4 else 4, "rgba")
        assert (out / "picture.transform.color.csv").read_text() == f"{mode}\n"


@pytest.mark.parametrize(
    ("name", "options", "what"),
    [
        ("hne/tcga-cr-7395-01a-01-ts1.svs", {}, "does not say where it lies; give --georef-bounds"),
        ("ome/minerva_2048_ome6_tiled.ome.tif", {"page": 0}, "PhysicalSizeX is in pixel.*--pixel-size"),
        ("ome/minerva_64x64.ome.tif", {}, r"4 planes and no --page.* 0 \(channel 0\)"),
        ("ome/multifile/multifile-Z3.ome.tiff", {}, "PhysicalSizeX is missing.*--pixel-size"),
        ("ome/multifile/multifile-Z3.ome.tiff", {"z": 1}, "--z 1 is out of range; its z: 2"),
        ("ome/multifile/multifile.companion.ome", {"pixel_size": "1"}, "is OME-XML without a TIFF"),
        ("png/sharp_truncated.png", {"pixel_size": "1"}, "is cut off; it ends before byte"),
        ("tiff/tm_zackthecat.tif", {"pixel_size": "1"}, "is compressed by old-style JPEG, whose tables"),
        ("vizgen/micron_to_mosaic_pixel_transform.csv", {"pixel_size": "1"}, "is text; give the image itself"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(tmp_path: Path, name: str, options: dict[str, Any], what: str) -> None:
    with pytest.raises(CartloaderError, match=what) as error:
        import_sample(SAMPLES / name, tmp_path / "out", **options)
    assert "\n" not in str(error.value)
    assert name in str(error.value)
    out = tmp_path / "out"
    assert not out.exists() or not list(out.iterdir())


def test_every_file_is_either() -> None:
    """Whoever adds a sample says what becomes of it."""
    named = {sample.name for sample in FINE} | {
        "hne/tcga-cr-7395-01a-01-ts1.svs", "png/sharp_truncated.png", "tiff/tm_zackthecat.tif",
        "ome/multifile/multifile.companion.ome", "tiff/tm_floatingpoint-32bit.tif",
        "ome/viv_avivator_multi-channel.ome.tif", "png/sharp_16-bit-grey-alpha.png",
    }  # fmt: skip
    pictures = {".tif", ".tiff", ".svs", ".png", ".jpg", ".ome"}
    there = {str(path.relative_to(SAMPLES)) for path in SAMPLES.rglob("*") if path.suffix in pictures}
    assert there == named


def test_signed_integers(tmp_path: Path) -> None:
    path = SAMPLES / "ome/viv_avivator_multi-channel.ome.tif"
    for channel in range(3):
        stored = tifffile.imread(path, key=channel).astype(np.float64)
        out = import_sample(path, tmp_path / str(channel), **page(channel))
        low, high = stored.min(), np.quantile(stored, 0.999, method="inverted_cdf")
        expected = np.trunc((stored.clip(low, high) - low) / (high - low) * 255)
        np.testing.assert_array_equal(shown(out / "picture.geotif.tif"), expected)


def test_floats(tmp_path: Path) -> None:
    path = SAMPLES / "tiff/tm_floatingpoint-32bit.tif"
    stored = tifffile.imread(path).astype(np.float64)
    out = import_sample(path, tmp_path, pixel_size="1")
    low, high = stored.min(), np.quantile(stored, 0.999, method="inverted_cdf")
    expected = np.trunc((stored.clip(low, high) - low) / (high - low) * 255)
    np.testing.assert_array_equal(shown(out / "picture.geotif.tif"), expected)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_grey_with_alpha_of_16_bits(tmp_path: Path) -> None:
    path = SAMPLES / "png/sharp_16-bit-grey-alpha.png"
    with rasterio.open(path) as dataset:
        grey, alpha = dataset.read()
    assert not grey.any()
    found = shown(import_sample(path, tmp_path, pixel_size="1") / "picture.geotif.tif")
    assert not found[..., :3].any()
    np.testing.assert_array_equal(found[..., 3], np.rint(alpha / 257))


def test_vizgen_matrices(tmp_path: Path) -> None:
    folder = SAMPLES / "vizgen"
    a, _, b, _, d, e = np.loadtxt(folder / "micron_to_mosaic_pixel_transform.csv").ravel()[:6]
    found = bounds_from_vizgen(folder / "micron_to_mosaic_pixel_transform.csv", 512, 512)
    assert (found.ulx, found.uly, found.lrx, found.lry) == pytest.approx((-b / a, -e / d, (512 - b) / a, (512 - e) / d))
    out = import_sample(
        folder / "mosaic_DAPI_z0.tif", tmp_path, micron2pixel_csv=folder / "micron_to_mosaic_pixel_transform.csv"
    )
    with rasterio.open(out / "picture.geotif.tif") as dataset:
        assert ~dataset.transform @ (0, 0) == pytest.approx((b, e))  # where the matrix puts the origin
    for name in ("bad_element.csv", "bad_shape.csv"):
        with pytest.raises(InputError, match="--micron2pixel-csv takes a 3×3 matrix of numbers") as error:
            bounds_from_vizgen(folder / name, 512, 512)
        assert "\n" not in str(error.value)


def test_a_ficture_header() -> None:
    found = bounds_from_pixel_tsv(SAMPLES / "ficture" / "doc_example.pixel.sorted.tsv.gz")
    assert found.lrx > found.ulx
    assert found.lry > found.uly


def test_runs_are_repeatable(tmp_path: Path) -> None:
    sums = []
    for name in "ab":
        out = import_sample(SAMPLES / "ome/hubmap_output_ome.ome.tiff", tmp_path / name)
        sums.append({path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()})
    assert sums[0] == sums[1]
