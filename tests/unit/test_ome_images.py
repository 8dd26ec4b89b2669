"""Which image, plane and level the pages are, where the metadata are another picture's or say little."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from support.omes import SIZE, TWO, images, notes_of, page, shows, written
from support.places import bounds_of
from support.rasters import noise, ome_xml, read_image, with_source, write_pages

from cartloader_image.errors import MetadataError, UsageError


@pytest.mark.parametrize("found", [(8, 5), (4, 3), (6, 8), (16, 12)])
def test_the_size_of_another_picture_is_no_pixel_size(tmp_path: Path, found: tuple[int, int]) -> None:
    inner = '<Plane TheZ="0" TheC="0" TheT="0" PositionX="1" PositionXUnit="mm" PositionY="1" PositionYUnit="mm"/>'
    xml = ome_xml(inner, SIZE)
    width, height = found
    path = write_pages(tmp_path / "a.ome.tif", [noise((height, width))], xml.encode())
    with pytest.raises(MetadataError) as error:
        bounds_of(path)
    sentence = f"a picture of 8 × 6 pixels, and it has {width} × {height}; give the pixel size in µm with --pixel-size"
    assert sentence in str(error.value)
    assert bounds_of(path, pixel_size="2") == (0, 0, 2 * width, 2 * height)
    assert bounds_of(path, georef_bounds="0,0,4,3") == (0, 0, 4, 3)
    with pytest.raises(MetadataError, match="no stage position"):
        bounds_of(path, pixel_size="2", stage_position=True)


def test_fewer_pages_than_channels_have_no_names(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ome.tif", TWO + '<TiffData IFD="0" PlaneCount="2"/>', 1)
    assert "speaks of more pages than it has" in notes_of(path)
    assert bounds_of(path) == (0, 0, 4, 3)
    with pytest.raises(UsageError, match="--channel DAPI is no channel"):
        read_image(path, channel="DAPI")
    # One that was stopped too early has its first planes where they should be.
    path = written(tmp_path / "b.ome.tif", TWO + "<TiffData/>", 0, 1, 2, SizeT=9, DimensionOrder="XYCZT")
    assert shows(path, 1, page=1)
    assert with_source(path, lambda source: source.description, page=1).endswith("(t=0, PanCK)")


@pytest.mark.parametrize("inner", ["", "<TiffData/>"])
def test_images_follow_one_another_where_nothing_says_otherwise(tmp_path: Path, inner: str) -> None:
    pictures = [noise((40, 60)), noise((30, 44), seed=1), noise((24, 36, 3), seed=2)]
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path) as tif:
        for number, picture in enumerate(pictures):
            xml = images((60, 40), (44, 30), (36, 24), inner=inner) if not number else None
            kind = "rgb" if picture.ndim == 3 else "minisblack"
            tif.write(picture, description=xml, metadata=None, photometric=kind, contiguous=False)
    for number, picture in enumerate(pictures):
        np.testing.assert_array_equal(read_image(path, series=number), picture)
        assert bounds_of(path, series=number)[2] == picture.shape[1] * (number + 1)


@pytest.mark.parametrize("sizes", [[(60, 40), (50, 33)], [(44, 30), (60, 40)], [(60, 40), (44, 30), (20, 20)]])
def test_images_that_do_not_fit_the_pages_are_refused(tmp_path: Path, sizes: list[tuple[int, int]]) -> None:
    path = write_pages(tmp_path / "a.ome.tif", [noise((40, 60)), noise((30, 44))], images(*sizes))
    for series in range(len(sizes)):
        with pytest.raises(MetadataError, match=r"a\.ome\.tif: (image \d of )?its OME-XML"):
            read_image(path, series=series)


@pytest.mark.parametrize("blocks", ["<TiffData/>", '<TiffData IFD="0" PlaneCount="3"/>', ""])
def test_single_samples_are_planes_whatever_the_channel_says(tmp_path: Path, blocks: str) -> None:
    inner = '<Channel ID="c:0" SamplesPerPixel="3"/>' + blocks
    path = written(tmp_path / "a.ome.tif", inner, 0, 1, 2, SizeC=3)
    with pytest.raises(UsageError, match="3 planes and no --page"):
        read_image(path)
    for number in range(3):
        assert shows(path, number, page=number)


@pytest.mark.parametrize(
    "text",
    [" \n", "<!-- by hand -->", "\n<!-- a --><!-- b -->\n", "\0", "</a>", "\nsaved by hand", "<!-- was </OME> -->"],
)
def test_what_follows_the_document_is_no_matter(tmp_path: Path, text: str) -> None:
    xml = ome_xml("<TiffData/>", SIZE) + text
    marked = write_pages(tmp_path / "b.ome.tif", [page(0)], b"\xef\xbb\xbf" + xml.encode())
    assert bounds_of(marked) == (0, 0, 4, 3)
    assert bounds_of(write_pages(tmp_path / "a.ome.tif", [page(0)], xml.encode())) == (0, 0, 4, 3)


@pytest.mark.parametrize("blocks", ['<TiffData IFD="0" PlaneCount="1"/>', '<TiffData IFD="0"/>'])
def test_one_block_for_three_pages_of_colour(tmp_path: Path, blocks: str) -> None:
    path = written(tmp_path / "a.ome.tif", '<Channel SamplesPerPixel="3"/>' + blocks, 0, 1, 2, SizeC=3)
    with pytest.raises(UsageError, match="3 planes and no --page"):
        read_image(path)
    assert shows(path, 2, page=2)


@pytest.mark.parametrize("order", ["XYCZT", "XYZCT"])
def test_blocks_of_three_pages_each(tmp_path: Path, order: str) -> None:
    inner = '<Channel SamplesPerPixel="3"/><TiffData IFD="0"/><TiffData FirstZ="1" IFD="3"/>'
    path = written(tmp_path / "a.ome.tif", inner, *range(6), SizeC=3, SizeZ=2, DimensionOrder=order)
    for z in range(2):
        for channel in range(3):
            assert shows(path, 3 * z + channel, z=z, channel=f"{channel}")


def test_a_page_of_another_image_is_not_taken(tmp_path: Path) -> None:
    first = images((8, 6), inner='<Channel SamplesPerPixel="3"/><TiffData IFD="0"/>').decode()
    second = images((8, 6), inner='<TiffData IFD="1"/>').decode()
    xml = first.replace('SizeC="1"', 'SizeC="3"').replace("</OME>", second[second.index("<Image") :])
    path = write_pages(tmp_path / "a.ome.tif", [page(0), page(1)], xml)
    assert shows(path, 0, series=0)
    assert shows(path, 1, series=1)


def test_first_c_may_count_samples(tmp_path: Path) -> None:
    pictures = [noise((6, 8, 3), seed=number) for number in range(2)]
    blocks = "".join(f'<TiffData FirstC="{3 * n}" IFD="{n}" PlaneCount="1"/>' for n in range(2))
    xml = ome_xml('<Channel SamplesPerPixel="3"/>' * 2 + blocks, SIZE, SizeC=6)
    path = write_pages(tmp_path / "a.ome.tif", pictures, xml, photometric="rgb")
    for number, picture in enumerate(pictures):
        np.testing.assert_array_equal(read_image(path, page=number), picture)


def halves(picture: NDArray[np.uint8], count: int, up: int = 0) -> list[NDArray[np.uint8]]:
    levels = [picture]
    for _ in range(count):
        rows, columns = ((edge + up) // 2 for edge in levels[-1].shape[:2])
        levels.append(np.ascontiguousarray(levels[-1][:rows, :columns]))
    return levels


@pytest.mark.parametrize("up", [0, 1])
@pytest.mark.parametrize("size", [(160, 256), (151, 97), (33, 127)])
def test_levels_in_further_pages(tmp_path: Path, size: tuple[int, int], up: int) -> None:
    levels = halves(noise(size), 3, up)
    xml = ome_xml('<TiffData IFD="0" PlaneCount="1"/>', SIZE, SizeX=size[1], SizeY=size[0])
    path = write_pages(tmp_path / "a.ome.tif", levels, xml.encode())
    for level, picture in enumerate(levels):
        np.testing.assert_array_equal(read_image(path, level=level), picture)
        assert bounds_of(path, level=level) == (0, 0, size[1] / 2, size[0] / 2)
    with pytest.raises(UsageError, match="--level 4 is out of range"):
        read_image(path, level=4)


def test_levels_of_several_planes(tmp_path: Path) -> None:
    pyramids = [halves(noise((40, 64), seed=number), 2) for number in range(2)]
    pages = [pyramid[level] for level in range(3) for pyramid in pyramids]
    xml = ome_xml(TWO + '<TiffData IFD="0" PlaneCount="2"/>', SIZE, SizeX=64, SizeY=40, SizeC=2)
    path = write_pages(tmp_path / "a.ome.tif", pages, xml.encode())
    for level in range(3):
        np.testing.assert_array_equal(read_image(path, channel="PanCK", level=level), pyramids[1][level])


@pytest.mark.parametrize("further", [(30, 32), (20, 30), (19, 33), (40, 64), (3, 4)])
def test_other_pages_are_no_levels(tmp_path: Path, further: tuple[int, int]) -> None:
    xml = ome_xml('<TiffData IFD="0" PlaneCount="1"/>', SIZE, SizeX=64, SizeY=40)
    path = write_pages(tmp_path / "a.ome.tif", [noise((40, 64)), noise(further)], xml.encode())
    with pytest.raises(UsageError, match="--level 1 is out of range"):
        read_image(path, level=1)


@pytest.mark.parametrize("names", [("scan", "scan level 1", "scan level 2"), ("level 1", "Level_2", "resolution #3")])
def test_images_that_are_levels_by_name(tmp_path: Path, names: tuple[str, ...]) -> None:
    pages = [*halves(noise((40, 64)), 2), noise((10, 16), seed=5)]
    xml = images((64, 40), (32, 20), (16, 10), (16, 10), names=(*names, "label"))
    path = write_pages(tmp_path / "a.ome.tif", pages, xml)
    for level in range(3):
        np.testing.assert_array_equal(read_image(path, level=level), pages[level])
        assert bounds_of(path, level=level) == (0, 0, 64, 40)
    np.testing.assert_array_equal(read_image(path, series=3), pages[3])
    with pytest.raises(UsageError, match="--level 3 is out of range"):
        read_image(path, level=3)


def test_levels_are_of_the_image_whose_name_they_have(tmp_path: Path) -> None:
    pages = [noise((40, 64), seed=1), noise((40, 64), seed=2), noise((20, 32), seed=3), noise((20, 32), seed=4)]
    xml = images((64, 40), (64, 40), (32, 20), (32, 20), names=("A", "B", "A (level 1)", "B level 1"))
    path = write_pages(tmp_path / "a.ome.tif", pages, xml)
    for series in (0, 1):
        np.testing.assert_array_equal(read_image(path, series=series, level=1), pages[series + 2])
    names = ("scan", "scan", "scan level 1", "scan level 1")
    path = write_pages(tmp_path / "c.ome.tif", pages, images((64, 40), (64, 40), (32, 20), (32, 20), names=names))
    with pytest.raises(UsageError, match="--level 1 is out of range"):
        read_image(path, series=1, level=1)
    xml = images((64, 40), (32, 20), names=("tissue", "floor level 1"))
    path = write_pages(tmp_path / "b.ome.tif", pages[::2], xml)
    with pytest.raises(UsageError, match="--level 1 is out of range"):
        read_image(path, level=1)
