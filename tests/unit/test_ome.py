"""OME-XML: which page is which plane, and documents that are broken or hostile."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
import pytest
from support.omes import numbered, size_attributes
from support.places import bounds_of
from support.rasters import NAMESPACE, noise, ome_xml, read_image, with_source, write_pages

from cartloader_image.errors import MetadataError, UsageError
from cartloader_image.images.ome import read_ome
from cartloader_image.images.ome_planes import PageShape


def mono(_page: int) -> PageShape:
    return PageShape(6, 8, 1)


@pytest.mark.parametrize("order", ["".join(axes) for axes in itertools.permutations("ZCT")])
def test_dimension_orders(tmp_path: Path, order: str) -> None:
    sizes = {"Z": 2, "C": 3, "T": 4}
    xml = ome_xml(DimensionOrder=f"XY{order}", SizeZ=2, SizeC=3, SizeT=4)
    (image,) = read_ome(xml, tmp_path / "a.ome.tif", 24, mono).images
    # The first axis runs fastest: numpy's last.
    expected = {
        page: dict(zip(order[::-1], index, strict=True))
        for page, index in enumerate(np.ndindex(*(sizes[axis] for axis in order[::-1])))
    }
    assert {plane.page: {"Z": plane.z, "C": plane.c, "T": plane.t} for plane in image.planes} == expected


def planes_of(inner: str, pages: int, **sizes: int) -> list[tuple[int, int, int, int]]:
    (image,) = read_ome(ome_xml(inner, **sizes), Path("a.ome.tif"), pages, mono).images
    return [(plane.page, plane.z, plane.c, plane.t) for plane in image.planes]


def test_tiff_data() -> None:
    every = [(0, 0, 0, 0), (1, 1, 0, 0), (2, 0, 1, 0), (3, 1, 1, 0)]
    assert planes_of("", 4, SizeZ=2, SizeC=2) == every
    assert planes_of("<TiffData/>", 4, SizeZ=2, SizeC=2) == every
    assert planes_of('<TiffData IFD="0" PlaneCount="4"/>', 9, SizeZ=2, SizeC=2) == every
    assert planes_of('<TiffData IFD="0" NumPlanes="4"/>', 9, SizeZ=2, SizeC=2) == every
    assert planes_of('<TiffData IFD="2"/>', 4, SizeZ=2, SizeC=2) == [(2, 0, 0, 0)]
    assert planes_of('<TiffData FirstC="1"/>', 4, SizeZ=2, SizeC=2) == [(0, 0, 1, 0), (1, 1, 1, 0)]
    permuted = "".join(
        f'<TiffData FirstZ="{z}" FirstC="{c}" FirstT="0" IFD="{3 - 2 * c - z}" PlaneCount="1"/>'
        for z in range(2) for c in range(2)
    )  # fmt: skip
    assert planes_of(permuted, 4, SizeZ=2, SizeC=2) == [(3, 0, 0, 0), (2, 1, 0, 0), (1, 0, 1, 0), (0, 1, 1, 0)]
    # planes that the file does not have, or the image does not have
    assert planes_of('<TiffData IFD="3" PlaneCount="4"/>', 4, SizeZ=2, SizeC=1) == [(3, 0, 0, 0)]
    assert planes_of('<TiffData/><TiffData FirstZ="7" IFD="1"/>', 4, SizeZ=2, SizeC=2) == every


def test_channels_by_name_and_index(tmp_path: Path) -> None:
    channels = '<Channel ID="c:0" Name="DAPI"/><Channel ID="c:1" Name="CD3"/><Channel ID="c:2" Name="1"/>'
    path = numbered(tmp_path / "a.ome.tif", ome_xml(channels, size_attributes(1, 1), SizeC=3, SizeZ=2), 6)
    assert read_image(path, channel="cd3", z=1).max() == 3
    assert read_image(path, channel="0", z=0).max() == 0
    assert read_image(path, channel="1", z=0).max() == 4  # a name goes before an index
    assert read_image(path, channel="DAPI", z_project="max").max() == 1
    assert with_source(path, lambda source: source.description, page=3) == "8 × 6 uint8, plane 3 of 6 (z=1, CD3)"
    for options, what in (
        ({}, r"6 planes and no --page; choose one with --page: 0 \(z=0, DAPI\), 1 \(z=1, DAPI\), .* 5 \(z=1, 1\)"),
        ({"channel": "CD4"}, r"--channel CD4 is no channel; there are 0 \(DAPI\), 1 \(CD3\), 2 \(1\)"),
        ({"channel": "²"}, "--channel ² is no channel"),
        ({"channel": "DAPI"}, r"2 planes fit --channel DAPI; choose one with --page: 0 \(z=0, DAPI\), 1 \(z=1, DAPI\)"),
        ({"channel": "CD3"}, r"--page: 2 \(z=0, CD3\), 3 \(z=1, CD3\)"),
        ({"z": 2}, "--z 2 is out of range; its z: 0, 1"),
        ({"z_project": "max"}, "6 planes fit --z-project max; choose one with --page: 0 "),
        ({"page": 6}, r"--page 6 is out of range; its planes: 0 \(z=0, DAPI\), .* 5 \(z=1, 1\)"),
    ):
        with pytest.raises(UsageError, match=what):
            read_image(path, **options)


def test_a_channel_name_that_occurs_twice(tmp_path: Path) -> None:
    channels = '<Channel ID="c:0" Name="DAPI"/><Channel ID="c:1" Name="dapi"/>'
    path = numbered(tmp_path / "a.ome.tif", ome_xml(channels, SizeC=2), 2)
    with pytest.raises(UsageError, match=r"--channel DAPI names several channels; there are 0 \(DAPI\), 1 \(dapi\)"):
        read_image(path, channel="DAPI")
    assert read_image(path, channel="1").max() == 1


@pytest.mark.parametrize(
    "channels", ['<Channel ID="c:0" SamplesPerPixel="3"/>', "", '<Channel ID="c:0" Name="R"/>' * 3]
)
def test_rgb_is_one_plane_however_its_channels_are_listed(tmp_path: Path, channels: str) -> None:
    pictures = [noise((6, 8, 3), seed=n) for n in range(2)]
    xml = ome_xml(channels, SizeC=3, SizeZ=2)
    path = write_pages(tmp_path / "a.ome.tif", pictures, xml.encode(), photometric="rgb")
    np.testing.assert_array_equal(read_image(path, z=1), pictures[1])
    assert with_source(path, lambda source: source.description, page=1).endswith("plane 1 of 2 (z=1)")


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_channels_as_samples_of_one_page(tmp_path: Path, planar: str) -> None:
    stack = noise((4, 6, 8))
    page = stack if planar == "separate" else np.moveaxis(stack, 0, -1)
    channels = "".join(f'<Channel ID="c:{n}" Name="marker {n}"/>' for n in range(4))
    path = write_pages(
        tmp_path / "a.ome.tif", [page], ome_xml(channels, SizeC=4).encode(), photometric="minisblack",
        planarconfig=planar,
    )  # fmt: skip
    for index in range(4):
        np.testing.assert_array_equal(read_image(path, page=index), stack[index])
        np.testing.assert_array_equal(read_image(path, channel=f"marker {index}"), stack[index])


def test_several_images(tmp_path: Path) -> None:
    image = '<Image ID="Image:{0}"><Pixels DimensionOrder="XYZCT" SizeX="8" SizeY="6" SizeZ="1" SizeC="1" SizeT="1" '
    image += 'PhysicalSizeX="{1}" PhysicalSizeY="{1}"><TiffData IFD="{2}"/></Pixels></Image>'
    xml = f"<OME {NAMESPACE}>{image.format(0, 1, 1)}{image.format(1, 5, 0)}</OME>"
    path = numbered(tmp_path / "a.ome.tif", xml, 2)
    assert (read_image(path).max(), bounds_of(path)) == (1, (0, 0, 8, 6))
    assert (read_image(path, series=1).max(), bounds_of(path, series=1)) == (0, (0, 0, 40, 30))
    with pytest.raises(UsageError, match="--series 2 is out of range; its series: 0, 1"):
        read_image(path, series=2)


@pytest.mark.parametrize("declared", ["UTF-16", "ISO-8859-1", "utf8", "no-such-encoding"])
def test_the_declared_encoding_does_not_matter_in_a_tiff(tmp_path: Path, declared: str) -> None:
    xml = ome_xml(pixels=size_attributes(1, 1, "µm", "µm")).replace("UTF-8", declared)
    assert bounds_of(numbered(tmp_path / "a.ome.tif", xml)) == (0, 0, 8, 6)


def test_latin_1_bytes(tmp_path: Path) -> None:
    xml = ome_xml(pixels=size_attributes(1, 1, "µm", "µm")).replace("UTF-8", "ISO-8859-1")
    path = write_pages(tmp_path / "a.ome.tif", [noise((6, 8))], xml.encode("latin-1"))
    assert bounds_of(path) == (0, 0, 8, 6)


@pytest.mark.parametrize(
    ("xml", "what"),
    [
        (ome_xml(SizeX="abc"), r'its OME-XML has SizeX="abc", which is no whole number of at least 1'),
        (ome_xml(SizeZ="0"), 'SizeZ="0"'),
        (ome_xml(SizeT="1.5"), 'SizeT="1.5"'),
        (ome_xml(SizeC="9" * 30), 'SizeC="999'),
        (ome_xml('<TiffData IFD="-1"/>'), 'IFD="-1", which is no whole number of at least 0'),
        (ome_xml('<TiffData FirstZ="-1"/>'), 'FirstZ="-1"'),
        (ome_xml('<TiffData PlaneCount="many"/>'), 'PlaneCount="many"'),
        (ome_xml('<Channel SamplesPerPixel="x"/>'), 'SamplesPerPixel="x"'),
        (ome_xml('<Plane TheZ="?" PositionX="1" PositionY="1"/>'), r'TheZ="\?"'),
        (ome_xml(DimensionOrder="XYZ"), 'DimensionOrder="XYZ", which is no order of XYZCT'),
        (ome_xml(DimensionOrder="XYCZTT"), 'DimensionOrder="XYCZTT"'),
        (ome_xml(DimensionOrder="ZCTXY"), 'DimensionOrder="ZCTXY"'),
        (ome_xml().replace("</Pixels>", ""), "cannot be parsed"),
        ("<OME><unclosed attribute=></OME>", "cannot be parsed"),
    ],
)
def test_a_broken_document_is_one_sentence(tmp_path: Path, xml: str, what: str) -> None:
    path = numbered(tmp_path / "a.ome.tif", xml)
    with pytest.raises(MetadataError, match=what) as error:
        read_image(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_an_entity_bomb_is_refused(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    xml = f'<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY e0 "x">{entities}]><OME {NAMESPACE}>&e9;</OME>'
    with pytest.raises(MetadataError, match="defines entities"):
        read_image(numbered(tmp_path / "a.ome.tif", xml))


def test_sizes_beyond_all_bounds_cost_nothing(tmp_path: Path) -> None:
    huge = 10**12
    started = time.perf_counter()
    xml = ome_xml("<TiffData/>", SizeZ=huge, SizeC=huge, SizeT=huge)
    (image,) = read_ome(xml, tmp_path / "a.ome.tif", 3, mono).images
    assert len(image.planes) == 3
    path = numbered(tmp_path / "a.ome.tif", ome_xml("<TiffData/>", DimensionOrder="XYCZT", SizeC=huge), 3)
    assert read_image(path, page=2).max() == 2
    assert time.perf_counter() - started < 1


def test_many_planes_stay_fast(tmp_path: Path) -> None:
    blocks = "".join(f'<TiffData FirstZ="{z}" IFD="{z}"/>' for z in range(3000))
    path = numbered(tmp_path / "a.ome.tif", ome_xml(blocks, size_attributes(1, 1), SizeZ=3000), 3000)
    started = time.perf_counter()
    assert read_image(path, z=2999)[0, 0] == 2999 % 256
    assert time.perf_counter() - started < 2
