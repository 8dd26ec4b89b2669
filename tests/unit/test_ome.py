"""OME-XML: units, planes of every spelling, sets of files, broken documents."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from support.rasters import NAMESPACE, noise, ome_xml, params_for, read_image, with_source, write_pages

from cartloader_image.errors import CartloaderError, MetadataError, UsageError
from cartloader_image.images.ome import read_ome
from cartloader_image.images.ome_planes import PageShape
from cartloader_image.images.source import open_source
from cartloader_image.placing.placement import place

# Metres, from the definitions in the OME schema's UnitsLength (2016-06).
UNITS = {
    "Ym": 1e24, "Zm": 1e21, "Em": 1e18, "Pm": 1e15, "Tm": 1e12, "Gm": 1e9, "Mm": 1e6, "km": 1e3, "hm": 1e2, "dam": 1e1,
    "m": 1.0, "dm": 1e-1, "cm": 1e-2, "mm": 1e-3, "\N{MICRO SIGN}m": 1e-6, "\N{GREEK SMALL LETTER MU}m": 1e-6,
    "nm": 1e-9, "pm": 1e-12, "fm": 1e-15, "am": 1e-18, "zm": 1e-21, "ym": 1e-24,
    "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}": 1e-10, "\N{ANGSTROM SIGN}": 1e-10,
    "thou": 0.0254e-3, "li": 0.0254 / 12, "in": 0.0254, "ft": 0.3048, "yd": 0.9144, "mi": 1609.344,
    "ua": 149_597_870_700.0, "ly": 9_460_730_472_580_800.0, "pc": 3.0856775814913673e16, "pt": 0.0254 / 72,
}  # fmt: skip


def bounds_of(path: Path, **options: Any) -> tuple[float, float, float, float]:
    params = params_for(path, **options)
    with open_source(params) as source:
        bounds = place(source, params).bounds
    return bounds.ulx, bounds.uly, bounds.lrx, bounds.lry


def written(path: Path, xml: str, pages: int = 1, **more: Any) -> Path:
    """An OME-TIFF of 6 rows and 8 columns whose page n is filled with n."""
    return write_pages(path, [np.full((6, 8), n % 256, np.uint8) for n in range(pages)], xml.encode(), **more)


def mono(_page: int) -> PageShape:
    return PageShape(6, 8, 1)


def size_attributes(x: str | float, y: str | float, x_unit: str | None = None, y_unit: str | None = None) -> str:
    units = f' PhysicalSizeXUnit="{x_unit}"' if x_unit else ""
    units += f' PhysicalSizeYUnit="{y_unit}"' if y_unit else ""
    return f'PhysicalSizeX="{x}" PhysicalSizeY="{y}"{units}'


# Units


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_of_length(tmp_path: Path, unit: str) -> None:
    xml = ome_xml(pixels=size_attributes(2, 3, unit, unit))
    (image,) = read_ome(xml, tmp_path / "a.ome.tif", 1, mono).images
    assert image.pixel_size == pytest.approx((2e6 * UNITS[unit], 3e6 * UNITS[unit]), rel=1e-12)


def test_each_axis_has_its_own_unit(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ome.tif", ome_xml(pixels=size_attributes(500, 0.001, "nm", "mm")))
    assert bounds_of(path) == pytest.approx((0, 0, 8 * 0.5, 6 * 1.0))


def test_the_default_unit_is_micrometres(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ome.tif", ome_xml(pixels=size_attributes(0.25, 0.5)))
    assert bounds_of(path) == (0, 0, 2, 3)
    assert bounds_of(path, pixel_size="2") == (0, 0, 16, 12)
    assert bounds_of(path, pixel_size="2,3") == (0, 0, 16, 18)


@pytest.mark.parametrize(
    ("attributes", "what"),
    [
        ("", "PhysicalSizeX is missing"),
        ('PhysicalSizeX="1"', "PhysicalSizeY is missing"),
        (size_attributes(1, 1, "pixel", "pixel"), "PhysicalSizeX is in pixel, which is no unit of length"),
        (size_attributes(1, 1, None, "reference frame"), "PhysicalSizeY is in reference frame"),
        (size_attributes("one", 1), "PhysicalSizeX is 'one', which is no number"),
        (size_attributes("NaN", 1), "PhysicalSizeX is NaN"),
        (size_attributes("INF", 1), "PhysicalSizeX is INF"),
        (size_attributes(0, 1), "PhysicalSizeX × Y is 0 × 1"),
        (size_attributes(1, -1), "PhysicalSizeX × Y is 1 × -1"),
    ],
)
def test_no_size_is_guessed(tmp_path: Path, attributes: str, what: str) -> None:
    path = written(tmp_path / "a.ome.tif", ome_xml(pixels=attributes))
    with pytest.raises(MetadataError) as error:
        bounds_of(path)
    assert str(error.value).startswith(f"{path}: {what}")
    assert "--pixel-size" in str(error.value)
    assert bounds_of(path, pixel_size="0.5") == (0, 0, 4, 3)


def test_the_stage_position_is_the_corner_when_asked_for(tmp_path: Path) -> None:
    planes = '<Plane TheZ="0" TheC="0" TheT="0" PositionX="1.5" PositionXUnit="mm" PositionY="-2000" '
    planes += 'PositionYUnit="nm"/><Plane TheZ="1" TheC="0" TheT="0" PositionX="7" '
    planes += 'PositionXUnit="µm" PositionY="8" PositionYUnit="μm"/>'
    path = written(tmp_path / "a.ome.tif", ome_xml(planes, size_attributes(1, 1), SizeZ=3), 3)
    assert bounds_of(path, page=0) == (0, 0, 8, 6)
    assert bounds_of(path, page=0, stage_position=True) == (1500, -2, 1508, 4)
    assert bounds_of(path, z=1, stage_position=True) == (7, 8, 15, 14)
    with pytest.raises(MetadataError, match="no stage position for this plane"):
        bounds_of(path, page=2, stage_position=True)


def test_projected_planes_lie_at_one_place(tmp_path: Path) -> None:
    unit = 'PositionXUnit="mm" PositionYUnit="mm"'
    for step, found in ((0, (1000, 2000, 1008, 2006)), (0.0005, (1000, 2000, 1008, 2006)), (0.01, None)):
        planes = "".join(
            f'<Plane TheZ="{z}" TheC="0" TheT="0" PositionX="{1 + z * step}" PositionY="2" {unit}/>' for z in (0, 1)
        )
        path = written(tmp_path / "a.ome.tif", ome_xml(planes, size_attributes(1, 1), SizeZ=2), 2)
        if found:
            assert bounds_of(path, z_project="max", stage_position=True) == pytest.approx(found)
        else:
            with pytest.raises(
                MetadataError, match="projected differ by more than a pixel; leave --stage-position out"
            ):
                bounds_of(path, z_project="max", stage_position=True)
        assert bounds_of(path, z=1, stage_position=True) == pytest.approx(
            (1000 + 1000 * step, 2000, 1008 + 1000 * step, 2006)
        )


@pytest.mark.parametrize(
    ("position", "why"),
    [
        ('PositionX="7" PositionY="8"', "PositionX is in reference frame, which is no unit of length"),
        ('PositionX="7" PositionXUnit="µm" PositionY="8"', "PositionY is in reference frame"),
        ('PositionX="7" PositionXUnit="pixel" PositionY="8" PositionYUnit="pixel"', "PositionX is in pixel"),
        ('PositionX="7" PositionXUnit="µm"', "PositionY is missing"),
        ('PositionY="7" PositionYUnit="µm"', "PositionX is missing"),
        ('PositionX="a" PositionXUnit="mm" PositionY="8" PositionYUnit="mm"', "PositionX is 'a'"),
        ('PositionX="nan" PositionXUnit="mm" PositionY="8" PositionYUnit="mm"', "PositionX is nan"),
    ],
)
def test_a_stage_position_that_is_no_length_is_refused(tmp_path: Path, position: str, why: str) -> None:
    plane = f'<Plane TheZ="0" TheC="0" TheT="0" {position}/>'
    path = written(tmp_path / "a.ome.tif", ome_xml(plane, size_attributes(1, 1)))
    assert bounds_of(path) == (0, 0, 8, 6)
    with pytest.raises(MetadataError, match=f"its stage position is no length .{why}.*--georef-offset-x"):
        bounds_of(path, stage_position=True)


def test_the_extent_is_that_of_level_0_of_the_same_series(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as tif:
        for size in (0.5, 2.0):
            tif.write(noise((64, 96)), subifds=1, metadata={"PhysicalSizeX": size, "PhysicalSizeY": size, "axes": "YX"})
            tif.write(noise((31, 48), seed=1), subfiletype=1, metadata=None)
    assert bounds_of(tmp_path / "a.ome.tif", level=1) == (0, 0, 48, 32)
    assert bounds_of(tmp_path / "a.ome.tif", series=1, level=1) == (0, 0, 192, 128)
    assert bounds_of(tmp_path / "a.ome.tif", series=1, level=1, shrink_factor=3) == (0, 0, 192, 128)
    np.testing.assert_array_equal(read_image(tmp_path / "a.ome.tif", level=1), noise((31, 48), seed=1))


# Which page is which plane


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
    path = written(tmp_path / "a.ome.tif", ome_xml(channels, size_attributes(1, 1), SizeC=3, SizeZ=2), 6)
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
    path = written(tmp_path / "a.ome.tif", ome_xml(channels, SizeC=2), 2)
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
    path = written(tmp_path / "a.ome.tif", xml, 2)
    assert (read_image(path).max(), bounds_of(path)) == (1, (0, 0, 8, 6))
    assert (read_image(path, series=1).max(), bounds_of(path, series=1)) == (0, (0, 0, 40, 30))
    with pytest.raises(UsageError, match="--series 2 is out of range; its series: 0, 1"):
        read_image(path, series=2)


# Sets of files


def _blocks(*names: str, uuids: bool = True) -> str:
    return "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{name}">{f"urn:uuid:{z}" if uuids else ""}'
        "</UUID></TiffData>"
        for z, name in enumerate(names)
    )


def test_a_file_of_a_set_is_read_without_its_siblings(tmp_path: Path) -> None:
    xml = ome_xml(_blocks("a.tif", "b.tif", "c.tif"), size_attributes(1, 1), 'UUID="urn:uuid:1"', SizeZ=3)
    for name in ("b.tif", "B.TIF", "renamed.tif"):
        path = written(tmp_path / name, xml)
        assert with_source(path, lambda source: source.description) == "8 × 6 uint8, z=1"
        assert bounds_of(path) == (0, 0, 8, 6)
        with pytest.raises(UsageError, match=r"--z 0 is out of range; its z: 1$"):
            read_image(path, z=0)
        assert read_image(path, z=1).max() == 0


@pytest.mark.parametrize("uuids", [False, True])
def test_a_lone_file_is_read_under_any_name(tmp_path: Path, uuids: bool) -> None:
    xml = ome_xml(_blocks("before.tif", "before.tif", uuids=uuids), size_attributes(1, 1), SizeZ=2)
    path = written(tmp_path / "after.tif", xml.replace('FirstZ="1" IFD="0"', 'FirstZ="1" IFD="1"'), 2)
    assert bounds_of(path, z=1) == (0, 0, 8, 6)
    assert read_image(path, z=1).max() == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_a_companion_file_is_read_where_it_is(tmp_path: Path, encoding: str) -> None:
    path = written(
        tmp_path / "b.tif",
        f'<OME {NAMESPACE} UUID="urn:uuid:1"><BinaryOnly MetadataFile="set.companion.ome" UUID="urn:uuid:9"/></OME>',
    )
    with pytest.raises(
        CartloaderError,
        match=r"b\.tif: its metadata are in set\.companion\.ome, which is not beside it; give .* --pixel-size",
    ):
        bounds_of(path)
    assert read_image(path).max() == 0
    sizes = size_attributes(2, 2, "µm", "µm")
    xml = ome_xml(_blocks("a.tif", "b.tif"), sizes, 'UUID="urn:uuid:9"', SizeZ=2)
    xml = xml.replace("UTF-8", encoding.removesuffix("-sig"))
    (tmp_path / "set.companion.ome").write_bytes(xml.encode(encoding))
    assert bounds_of(path) == (0, 0, 16, 12)
    (tmp_path / "set.companion.ome").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MetadataError, match=r"set\.companion\.ome: its OME-XML cannot be parsed"):
        bounds_of(path)


# Broken and hostile documents


@pytest.mark.parametrize("declared", ["UTF-16", "ISO-8859-1", "utf8", "no-such-encoding"])
def test_the_declared_encoding_does_not_matter_in_a_tiff(tmp_path: Path, declared: str) -> None:
    xml = ome_xml(pixels=size_attributes(1, 1, "µm", "µm")).replace("UTF-8", declared)
    assert bounds_of(written(tmp_path / "a.ome.tif", xml)) == (0, 0, 8, 6)


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
    path = written(tmp_path / "a.ome.tif", xml)
    with pytest.raises(MetadataError, match=what) as error:
        read_image(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_an_entity_bomb_is_refused(tmp_path: Path) -> None:
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    xml = f'<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY e0 "x">{entities}]><OME {NAMESPACE}>&e9;</OME>'
    with pytest.raises(MetadataError, match="defines entities"):
        read_image(written(tmp_path / "a.ome.tif", xml))


def test_sizes_beyond_all_bounds_cost_nothing(tmp_path: Path) -> None:
    huge = 10**12
    started = time.perf_counter()
    xml = ome_xml("<TiffData/>", SizeZ=huge, SizeC=huge, SizeT=huge)
    (image,) = read_ome(xml, tmp_path / "a.ome.tif", 3, mono).images
    assert len(image.planes) == 3
    path = written(tmp_path / "a.ome.tif", ome_xml("<TiffData/>", DimensionOrder="XYCZT", SizeC=huge), 3)
    assert read_image(path, page=2).max() == 2
    assert time.perf_counter() - started < 1


def test_many_planes_stay_fast(tmp_path: Path) -> None:
    blocks = "".join(f'<TiffData FirstZ="{z}" IFD="{z}"/>' for z in range(3000))
    path = written(tmp_path / "a.ome.tif", ome_xml(blocks, size_attributes(1, 1), SizeZ=3000), 3000)
    started = time.perf_counter()
    assert read_image(path, z=2999)[0, 0] == 2999 % 256
    assert time.perf_counter() - started < 2
