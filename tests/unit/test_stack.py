"""A z stack whose planes are files of their own: their maximum, and all of them inputs of the import."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from support.rasters import params_for, read_image, with_source, write_pages

from cartloader_image.errors import InputError, UsageError
from cartloader_image.images.beside import inputs
from cartloader_image.params import ImportOptions, SharedOptions
from cartloader_image.recipe.mapping import mapped_jobs, settled_images

STACK = {"z_project": "max", "z_stack": "m_DAPI_z*.tif", "pixel_size": "1"}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three planes, and what does not belong to them."""
    planes = np.random.default_rng(3).integers(0, 60_000, (3, 20, 30), np.uint16)
    paths = [tmp_path / f"m_DAPI_z{z}.tif" for z in range(3)]
    for path, plane in zip(paths, planes, strict=True):
        tifffile.imwrite(path, plane)
    for name in ("m_PolyT_z0.tif", "m_DAPI_z9.geotif.tif", "m_DAPI_z1.png"):
        tifffile.imwrite(tmp_path / name, np.full((20, 30), 65_535, np.uint16))
    return paths


def test_the_maximum_over_files(files: list[Path]) -> None:
    planes = [tifffile.imread(path) for path in files]
    for first in files:
        np.testing.assert_array_equal(read_image(first, **STACK), np.max(planes, axis=0))
    told = with_source(files[0], lambda source: source.description, **STACK)
    assert told == "30 × 20 uint16, maximum over 3 files (m_DAPI_z0.tif … m_DAPI_z2.tif)"


def test_planes_inside_of_the_files_count_too(tmp_path: Path) -> None:
    pages = np.random.default_rng(4).integers(0, 60_000, (4, 6, 8), np.uint16)
    for name, some in (("a_z0.tif", pages[:2]), ("a_z1.tif", pages[2:])):
        tifffile.imwrite(tmp_path / name, some, metadata={"axes": "ZYX"}, imagej=True)
    found = read_image(tmp_path / "a_z0.tif", z_project="max", z_stack="a_z?.tif")
    np.testing.assert_array_equal(found, pages.max(axis=0))


def test_a_pattern_in_place_of_a_path(files: list[Path]) -> None:
    folder = files[0].parent
    (folder / "m.yaml").write_text(
        'a: {path: "m_DAPI_z*.tif", z-project: max}\nb: {path: "m_DAPI_z[7-9].tif", z_project: max}\n'
        "c: {path: m_DAPI_z1.tif, z-project: max, z-stack: 'm_DAPI_z?.tif'}\n"
    )
    jobs = mapped_jobs(folder / "m.yaml", folder / "map", SharedOptions(png2pmtiles=True)).jobs
    assert [(job.in_img, job.options.z_stack) for job in jobs] == [
        (files[0], "m_DAPI_z*.tif"), (folder / "m_DAPI_z[7-9].tif", None), (files[1], "m_DAPI_z?.tif")
    ]  # fmt: skip
    (folder / "one.yaml").write_text('a: {path: "m_PolyT_z*.tif", z-project: max}')
    (job,) = mapped_jobs(folder / "one.yaml", folder / "map", SharedOptions(png2pmtiles=True)).jobs
    assert (job.in_img, job.options.z_stack) == (folder / "m_PolyT_z0.tif", None)
    (folder / "m_DAPI_z*.tif").write_bytes(files[2].read_bytes())  # a file of that very name
    jobs = mapped_jobs(folder / "m.yaml", folder / "map", SharedOptions(png2pmtiles=True), ["a"]).jobs
    assert [(job.in_img, job.options.z_stack) for job in jobs] == [(folder / "m_DAPI_z*.tif", None)]


def test_a_pattern_takes_a_projection(files: list[Path]) -> None:
    folder = files[0].parent
    (folder / "m.yaml").write_text('a: "m_DAPI_z*.tif"')
    with pytest.raises(UsageError, match=r"a: --z-stack goes with --z-project max; give both or none"):
        mapped_jobs(folder / "m.yaml", folder / "map", SharedOptions(png2pmtiles=True))


def test_each_file_is_an_input(files: list[Path]) -> None:
    Image.new("L", (30, 20)).save(f"{files[2]}.msk", format="TIFF")
    found = inputs(params_for(files[0], **STACK))
    assert sorted(path.name for path in found) == [*(path.name for path in files), "m_DAPI_z2.tif.msk"]


def test_a_stack_is_complete_when_its_last_file_is(files: list[Path]) -> None:
    folder = files[0].parent
    (folder / "m.yaml").write_text('a: {path: "m_DAPI_z*.tif", z-project: max}')

    def settled() -> dict[str, str]:
        options = SharedOptions(png2pmtiles=True)
        return settled_images(mapped_jobs(folder / "m.yaml", folder / "map", options).jobs, 60)

    for path in files:
        os.utime(path, (1e9, 1e9))
    first = settled()
    assert list(first) == ["a"]
    os.utime(files[2])
    assert settled() == {}
    os.utime(files[2], (1.1e9, 1.1e9))
    assert settled() != first


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("x*.tif", r"m_DAPI_z0\.tif: --z-stack x\*\.tif fits no other file beside it"),
        ("s*.tif", "the planes of a projection differ in size"),
        ("m_*.p*", r"m_DAPI_z1\.png: "),
    ],
)
def test_what_is_no_stack(files: list[Path], pattern: str, words: str) -> None:
    write_pages(files[0].parent / "small.tif", [np.zeros((4, 5), np.uint16)])
    (files[0].parent / "m_DAPI_z1.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match=words):
        read_image(files[0], **STACK | {"z_stack": pattern})


@pytest.mark.parametrize("pattern", ["a.tif", "x/*.tif", ""])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"is no pattern of names beside the image, such as mosaic_DAPI_z\*\.tif"):
        ImportOptions(z_project="max", z_stack=pattern)
