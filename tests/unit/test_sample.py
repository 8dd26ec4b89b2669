from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cartloader_image.errors import UsageError
from cartloader_image.sample import Floats, Tissue, write_sample
from cartloader_image.system.files import sha256


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "out.ome.tif"
    write_sample(path, size=1300, seed=3)
    return path


def test_it_is_a_pyramid_of_area_means(sample: Path) -> None:
    with tifffile.TiffFile(sample) as file:
        (series,) = file.series
        levels = [level.asarray() for level in series.levels]
        assert (series.axes, file.pages[0].tile, file.pages[0].compression.name) == ("CYX", (512, 512), "ADOBE_DEFLATE")
        assert len(file.pages[0].subifds) == 3
    assert [level.shape for level in levels] == [(2, 1300, 1300), (2, 650, 650), (2, 325, 325), (2, 162, 162)]
    for finer, coarser in pairwise(levels):
        size = 2 * coarser.shape[1]
        even = finer[:, :size, :size].astype(float)
        means = (even[:, ::2, ::2] + even[:, 1::2, ::2] + even[:, ::2, 1::2] + even[:, 1::2, 1::2]) / 4
        assert np.abs(means - coarser).max() <= 0.5


def test_its_metadata_say_what_a_microscope_says(sample: Path) -> None:
    with tifffile.TiffFile(sample) as file:
        pixels = tifffile.xml2dict(file.ome_metadata or "")["OME"]["Image"]["Pixels"]
    sizes = {name: pixels[name] for name in ("SizeX", "SizeY", "SizeC", "SizeZ", "SizeT", "Type")}
    assert sizes == {"SizeX": 1300, "SizeY": 1300, "SizeC": 2, "SizeZ": 1, "SizeT": 1, "Type": "uint16"}
    assert [(pixels[f"PhysicalSize{axis}"], pixels[f"PhysicalSize{axis}Unit"]) for axis in "XY"] == [(0.2125, "µm")] * 2
    assert [channel["Name"] for channel in pixels["Channel"]] == ["DAPI", "membrane"]


def test_it_looks_like_tissue_in_the_dark(sample: Path) -> None:
    for channel in tifffile.imread(sample):
        corner = channel[:100, -100:].astype(float)
        assert corner.mean() == pytest.approx(105, abs=1)
        assert 5 < corner.std() < 7
        assert 1000 < np.quantile(channel, 0.99) < np.quantile(channel, 0.9999) < 20_000


def test_no_turn_or_flip_looks_like_it(sample: Path) -> None:
    picture = tifffile.imread(sample, level=3)[0].astype(float)
    turns = [np.rot90(part, turn) for part in (picture, picture.T) for turn in range(4)]
    likeness = [np.corrcoef(picture.ravel(), turned.ravel())[0, 1] for turned in turns]
    assert likeness[0] == pytest.approx(1)
    assert max(likeness[1:]) < 0.5


@pytest.mark.parametrize("paint", [Tissue._nuclei, Tissue._membranes])
def test_a_tile_continues_its_neighbour(paint: Callable[..., Floats]) -> None:
    tissue = Tissue.grown(1024, seed=3)
    uneven = np.random.default_rng(0).standard_normal((1024, 1024), np.float32)
    pixels = np.arange(1024)
    whole = paint(tissue, pixels, pixels, uneven)
    for rows in (slice(0, 512), slice(512, 1024)):
        for columns in (slice(0, 300), slice(300, 1024)):
            part = paint(tissue, pixels[rows], pixels[columns], uneven[rows, columns])
            np.testing.assert_array_equal(part, whole[rows, columns])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    digests = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_sample(tmp_path / name, size=256, seed=seed)
        digests.append(sha256(tmp_path / name))
    assert digests[0] == digests[1] != digests[2]


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "out.ome.tif").write_text("old")
    write_sample(tmp_path / "out.ome.tif", size=256)
    assert [path.name for path in tmp_path.iterdir()] == ["out.ome.tif"]
    assert tifffile.imread(tmp_path / "out.ome.tif").shape == (2, 256, 256)


@pytest.mark.parametrize("size", [255, 16385])
def test_other_sizes_are_refused(tmp_path: Path, size: int) -> None:
    with pytest.raises(UsageError, match=f"{size} pixels"):
        write_sample(tmp_path / "out.ome.tif", size=size)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "out.ome.tif").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_sample(tmp_path / "out.ome.tif", size=256)
    assert caught.value.filename == str(tmp_path / "out.ome.tif")
