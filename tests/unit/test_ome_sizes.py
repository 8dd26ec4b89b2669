"""Pixel sizes, stage positions and extents of OME-XML, in every unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from support.omes import numbered, size_attributes
from support.places import bounds_of
from support.rasters import noise, ome_xml, read_image

from cartloader_image.errors import MetadataError
from cartloader_image.images.ome import read_ome
from cartloader_image.images.ome_planes import PageShape

# Metres, from the definitions in the OME schema's UnitsLength (2016-06).
UNITS = {
    "Ym": 1e24, "Zm": 1e21, "Em": 1e18, "Pm": 1e15, "Tm": 1e12, "Gm": 1e9, "Mm": 1e6, "km": 1e3, "hm": 1e2, "dam": 1e1,
    "m": 1.0, "dm": 1e-1, "cm": 1e-2, "mm": 1e-3, "\N{MICRO SIGN}m": 1e-6, "\N{GREEK SMALL LETTER MU}m": 1e-6,
    "nm": 1e-9, "pm": 1e-12, "fm": 1e-15, "am": 1e-18, "zm": 1e-21, "ym": 1e-24,
    "\N{LATIN CAPITAL LETTER A WITH RING ABOVE}": 1e-10, "\N{ANGSTROM SIGN}": 1e-10,
    "thou": 0.0254e-3, "li": 0.0254 / 12, "in": 0.0254, "ft": 0.3048, "yd": 0.9144, "mi": 1609.344,
    "ua": 149_597_870_700.0, "ly": 9_460_730_472_580_800.0, "pc": 3.0856775814913673e16, "pt": 0.0254 / 72,
}  # fmt: skip


def mono(_page: int) -> PageShape:
    return PageShape(6, 8, 1)


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_of_length(tmp_path: Path, unit: str) -> None:
    xml = ome_xml(pixels=size_attributes(2, 3, unit, unit))
    (image,) = read_ome(xml, tmp_path / "a.ome.tif", 1, mono).images
    assert image.pixel_size == pytest.approx((2e6 * UNITS[unit], 3e6 * UNITS[unit]), rel=1e-12)


def test_each_axis_has_its_own_unit(tmp_path: Path) -> None:
    path = numbered(tmp_path / "a.ome.tif", ome_xml(pixels=size_attributes(500, 0.001, "nm", "mm")))
    assert bounds_of(path) == pytest.approx((0, 0, 8 * 0.5, 6 * 1.0))


def test_the_default_unit_is_micrometres(tmp_path: Path) -> None:
    path = numbered(tmp_path / "a.ome.tif", ome_xml(pixels=size_attributes(0.25, 0.5)))
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
    path = numbered(tmp_path / "a.ome.tif", ome_xml(pixels=attributes))
    with pytest.raises(MetadataError) as error:
        bounds_of(path)
    assert str(error.value).startswith(f"{path}: {what}")
    assert "--pixel-size" in str(error.value)
    assert bounds_of(path, pixel_size="0.5") == (0, 0, 4, 3)


def test_the_stage_position_is_the_corner_when_asked_for(tmp_path: Path) -> None:
    planes = '<Plane TheZ="0" TheC="0" TheT="0" PositionX="1.5" PositionXUnit="mm" PositionY="-2000" '
    planes += 'PositionYUnit="nm"/><Plane TheZ="1" TheC="0" TheT="0" PositionX="7" '
    planes += 'PositionXUnit="µm" PositionY="8" PositionYUnit="μm"/>'
    path = numbered(tmp_path / "a.ome.tif", ome_xml(planes, size_attributes(1, 1), SizeZ=3), 3)
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
        path = numbered(tmp_path / "a.ome.tif", ome_xml(planes, size_attributes(1, 1), SizeZ=2), 2)
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
    path = numbered(tmp_path / "a.ome.tif", ome_xml(plane, size_attributes(1, 1)))
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
