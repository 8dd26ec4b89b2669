"""Which page is which plane: sets of files, copies and renamed ones, metadata that are another picture's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from support.rasters import NAMESPACE, noise, ome_xml, params_for, read_image, with_source, write_pages

from cartloader_image.errors import CartloaderError, MetadataError, UsageError
from cartloader_image.images.source import Source, open_source
from cartloader_image.placing.placement import place

SIZE = 'PhysicalSizeX="0.5" PhysicalSizeY="0.5"'
TWO = '<Channel ID="c:0" Name="DAPI"/><Channel ID="c:1" Name="PanCK"/>'


def page(number: int) -> NDArray[np.uint8]:
    """A picture of 8 × 6 pixels that no other number has."""
    return noise((6, 8), seed=number)


def block(channel: int, file: str | None = None, uuid: str = "", ifd: int = 0) -> str:
    name = f' FileName="{file}"' if file is not None else ""
    return f'<TiffData FirstC="{channel}" IFD="{ifd}" PlaneCount="1"><UUID{name}>{uuid}</UUID></TiffData>'


def written(path: Path, inner: str, *pages: int, root: str = "", **sizes: Any) -> Path:
    xml = ome_xml(inner, SIZE, root, **({"SizeC": 2} | sizes))
    path.parent.mkdir(exist_ok=True)
    return write_pages(path, [page(number) for number in pages or (0,)], xml.encode())


def bounds_of(path: Path, **options: Any) -> tuple[float, ...]:
    params = params_for(path, **options)
    with open_source(params) as source:
        bounds = place(source, params).bounds
        return bounds.ulx, bounds.uly, bounds.lrx, bounds.lry


def notes_of(path: Path, **options: Any) -> str:
    def look(source: Source) -> str:
        return " / ".join(source.notes)

    found: str = with_source(path, look, **options)
    return found


def shows(path: Path, number: int, **options: Any) -> bool:
    return np.array_equal(read_image(path, **options), page(number))


# Sets of files

NAMED = TWO + block(0, "m_0.ome.tif", "urn:uuid:0") + block(1, "m_1.ome.tif", "urn:uuid:1")
WAYS = {
    "by UUID and name": NAMED,
    "by UUID": TWO + block(0, None, "urn:uuid:0") + block(1, None, "urn:uuid:1"),
    "by UUID, under other names": TWO + block(0, "x.tif", "urn:uuid:0") + block(1, "y.tif", "urn:uuid:1"),
    "by name": TWO + block(0, "m_0.ome.tif") + block(1, "m_1.ome.tif"),
    "by a name of Windows": TWO + block(0, "C:\\a\\M_0.ome.tif") + block(1, "C:\\a\\M_1.ome.tif"),
    "by a name with escapes": TWO + block(0, "m%5F0.ome.tif") + block(1, "m%5F1.ome.tif"),
    "by UUIDs in other spellings": TWO + block(0, None, "URN:UUID:0") + block(1, None, "{1}"),
    "by UUID, one name in two folders": TWO + block(0, "a\\m.tif", "urn:uuid:0") + block(1, "b/m.tif", "urn:uuid:1"),
    "by a relative name": TWO + block(0, "./sub/m_0.ome.tif", "urn:uuid:0") + block(1, "./m_1.ome.tif", "urn:uuid:1"),
}


@pytest.mark.parametrize("own_id", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_a_file_of_a_set_holds_its_own_channel_alone(tmp_path: Path, way: str, own_id: bool) -> None:
    if not own_id and "UUID" in way and way != "by UUID and name":
        pytest.skip("nothing says which is which")
    for number, (name, other) in enumerate([("DAPI", "PanCK"), ("PanCK", "DAPI")]):
        root = f'UUID="urn:uuid:{number}"' if own_id else ""
        path = written(tmp_path / f"m_{number}.ome.tif", WAYS[way], number, root=root)
        assert shows(path, number, channel=name)
        assert bounds_of(path) == (0, 0, 4, 3)
        assert with_source(path, lambda source: source.description) == f"8 × 6 uint8, {name}"
        assert notes_of(path) == ""
        with pytest.raises(UsageError, match=f"--channel {other} is no channel; there are {number} "):
            read_image(path, channel=other)


def test_the_file_that_has_the_channel_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "m_0.ome.tif", NAMED, root='UUID="urn:uuid:0"')
    with pytest.raises(UsageError, match=r"--channel panck is no channel; .*; PanCK is in m_1\.ome\.tif$"):
        read_image(path, channel="panck")


def test_one_document_in_all_files_goes_by_name(tmp_path: Path) -> None:
    first = written(tmp_path / "m_0.ome.tif", NAMED, 0, root='UUID="urn:uuid:0"')
    second = written(tmp_path / "m_1.ome.tif", NAMED, 1, root='UUID="urn:uuid:0"')
    assert shows(first, 0, channel="DAPI")
    assert shows(second, 1, channel="PanCK")
    assert "its FileName says which plane it holds" in notes_of(second)
    for path, channel in ((first, "PanCK"), (second, "DAPI")):
        with pytest.raises(UsageError, match=f"--channel {channel} is no channel"):
            read_image(path, channel=channel)


def test_a_name_beside_a_foreign_uuid_counts_for_nothing_where_uuids_say_more(tmp_path: Path) -> None:
    inner = TWO + block(0, "old.tif", "urn:uuid:0") + block(1, "m.tif", "urn:uuid:1", ifd=1)
    path = written(tmp_path / "m.tif", inner, 0, 1, root='UUID="urn:uuid:0"')
    assert shows(path, 0, channel="DAPI")
    with pytest.raises(UsageError, match="--channel PanCK is no channel"):
        read_image(path, channel="PanCK")


@pytest.mark.parametrize("copy", ["copy of m_1.ome.tif", "m_1 (1).ome.tif", "other.tif"])
@pytest.mark.parametrize("beside", [False, True])
def test_a_renamed_file_of_a_set_keeps_its_size_and_loses_its_names(tmp_path: Path, copy: str, beside: bool) -> None:
    inner = TWO + block(0, "m_0.ome.tif") + block(1, "m_1.ome.tif")
    if beside:
        written(tmp_path / "m_1.ome.tif", inner, 1)
    path = written(tmp_path / copy, inner, 1)
    assert shows(path, 1)
    assert bounds_of(path) == (0, 0, 4, 3)
    assert "renamed or copied" in notes_of(path)
    for channel in ("DAPI", "PanCK"):
        with pytest.raises(UsageError, match=f"--channel {channel} is no channel"):
            read_image(path, channel=channel)


def test_pages_of_a_renamed_file_are_listed_as_pages(tmp_path: Path) -> None:
    inner = TWO + "".join(block(n, f"m_{n}.tif") + block(n, f"m_{n}.tif", ifd=1) for n in range(2))
    path = written(tmp_path / "other.tif", inner, 0, 1, SizeZ=2)
    assert shows(path, 1, page=1)
    for options in ({}, {"channel": "0"}, {"z": 0}, {"z_project": "max"}):
        with pytest.raises(UsageError, match=r"2 planes.*choose one with --page: 0 \(page 0\), 1 \(page 1\)"):
            read_image(path, **options)


@pytest.mark.parametrize("uuid", ["", "urn:uuid:7"])
@pytest.mark.parametrize("beside", [False, True])
def test_a_copy_of_a_lone_file_keeps_everything(tmp_path: Path, uuid: str, beside: bool) -> None:
    inner = TWO + "".join(block(n, "one.ome.tif", uuid, ifd=n) for n in range(2))
    if beside:
        written(tmp_path / "one.ome.tif", inner, 0, 1)
    path = written(tmp_path / "copy of one.ome.tif", inner, 0, 1)
    assert shows(path, 1, channel="PanCK")
    assert bounds_of(path, channel="PanCK") == (0, 0, 4, 3)
    assert "renamed or copied" in notes_of(path, page=0)


def test_files_of_one_name_in_two_folders(tmp_path: Path) -> None:
    inner = TWO + block(0, "a/m.tif", "urn:uuid:0") + block(1, "b/m.tif", "urn:uuid:1")
    for number, (folder, name) in enumerate([("a", "DAPI"), ("b", "PanCK")]):
        path = written(tmp_path / folder / "m.tif", inner, number, root=f'UUID="urn:uuid:{number}"')
        assert shows(path, number, channel=name)
        assert notes_of(path) == ""
    with pytest.raises(MetadataError, match="several planes on page 0"):
        read_image(written(tmp_path / "c" / "m.tif", inner, 0), channel="DAPI")


def test_two_planes_on_one_page_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", TWO + '<TiffData FirstC="0" IFD="0"/><TiffData FirstC="1" IFD="0"/>', 0, 1)
    with pytest.raises(MetadataError, match=r"a\.tif: its OME-XML puts several planes on page 0; which one is there"):
        read_image(path, channel="DAPI")


def test_images_of_other_pixel_sizes_are_not_mixed_up(tmp_path: Path) -> None:
    image = (
        '<Image><Pixels DimensionOrder="XYZCT" SizeX="8" SizeY="6" SizeZ="1" SizeC="1" SizeT="1" PhysicalSizeX="{0}" '
        'PhysicalSizeY="{0}"><TiffData IFD="0"><UUID FileName="m_{0}.tif"/></TiffData></Pixels></Image>'
    )
    xml = f"<OME {NAMESPACE}>{image.format(1)}{image.format(2)}</OME>"
    assert bounds_of(write_pages(tmp_path / "m_2.tif", [page(0)], xml)) == (0, 0, 16, 12)
    renamed = write_pages(tmp_path / "renamed.tif", [page(0)], xml)
    with pytest.raises(MetadataError, match=r"several pixel sizes, and which one this is cannot be told.*--pixel-size"):
        bounds_of(renamed)
    assert bounds_of(renamed, pixel_size="3") == (0, 0, 24, 18)


# Metadata in another file


def binary_only(path: Path, metadata: str, uuid: str = "urn:uuid:1") -> Path:
    xml = f'<OME {NAMESPACE} UUID="{uuid}"><BinaryOnly MetadataFile="{metadata}" UUID="urn:uuid:0"/></OME>'
    return write_pages(path, [page(1)], xml)


@pytest.mark.parametrize("named", ["m_0.ome.tif", "./m_0.ome.tif", "C:\\data\\M_0.OME.tif", "m%5F0.ome.tif"])
def test_the_metadata_of_another_ome_tiff(tmp_path: Path, named: str) -> None:
    written(tmp_path / "m_0.ome.tif", NAMED, 0, root='UUID="urn:uuid:0"')
    path = binary_only(tmp_path / "m_1.ome.tif", named)
    assert shows(path, 1, channel="PanCK")
    assert bounds_of(path) == (0, 0, 4, 3)


@pytest.mark.parametrize("metadata", ["set.companion.ome", "m_0.ome.tif", "D:\\x\\set.ome", ""])
def test_lost_metadata_are_named(tmp_path: Path, metadata: str) -> None:
    path = binary_only(tmp_path / "m_1.ome.tif", metadata)
    named = metadata.rpartition("\\")[2] or "another file"
    with pytest.raises(MetadataError, match=rf"m_1\.ome\.tif: its metadata are in {named}, .* --pixel-size"):
        bounds_of(path)
    assert bounds_of(path, pixel_size="0.5") == (0, 0, 4, 3)
    assert bounds_of(path, georef_bounds="1,2,3,4") == (1, 2, 3, 4)
    assert shows(path, 1)


@pytest.mark.parametrize("content", [b"", b"II*\0 no TIFF", b"<OME", b"\x89PNG"])
def test_metadata_that_are_none_are_named(tmp_path: Path, content: bytes) -> None:
    path = binary_only(tmp_path / "m_1.ome.tif", "set.companion.ome")
    (tmp_path / "set.companion.ome").write_bytes(content)
    with pytest.raises(CartloaderError, match=r"set\.companion\.ome: "):
        bounds_of(path)


def test_files_that_name_each_other_for_their_metadata(tmp_path: Path) -> None:
    binary_only(tmp_path / "m_0.ome.tif", "m_1.ome.tif", "urn:uuid:0")
    path = binary_only(tmp_path / "m_1.ome.tif", "m_0.ome.tif")
    with pytest.raises(MetadataError, match=r"its metadata are in m_0\.ome\.tif"):
        bounds_of(path)
    assert bounds_of(binary_only(tmp_path / "own.tif", "own.tif"), pixel_size="1") == (0, 0, 8, 6)


# Documents that are another picture's, or say little


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


def images(*sizes: tuple[int, int], inner: str = "", names: tuple[str, ...] = ()) -> bytes:
    named = [*names, *[""] * (len(sizes) - len(names))]
    body = "".join(
        f'<Image Name="{name}"><Pixels DimensionOrder="XYZCT" SizeX="{width}" SizeY="{height}" SizeZ="1" SizeC="1" '
        f'SizeT="1" PhysicalSizeX="{number + 1}" PhysicalSizeY="{number + 1}">{inner}</Pixels></Image>'
        for number, ((width, height), name) in enumerate(zip(sizes, named, strict=True))
    )
    return f"<OME {NAMESPACE}>{body}</OME>".encode()


@pytest.mark.parametrize("inner", ["", "<TiffData/>"])
def test_images_follow_one_another_where_nothing_says_otherwise(tmp_path: Path, inner: str) -> None:
    pictures = [noise((40, 60)), noise((30, 44), seed=1), noise((24, 36, 3), seed=2)]
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path) as tif:
        for number, picture in enumerate(pictures):
            told = images((60, 40), (44, 30), (36, 24), inner=inner) if not number else None
            kind = "rgb" if picture.ndim == 3 else "minisblack"
            tif.write(picture, description=told, metadata=None, photometric=kind, contiguous=False)
    for number, picture in enumerate(pictures):
        np.testing.assert_array_equal(read_image(path, series=number), picture)
        assert bounds_of(path, series=number)[2] == picture.shape[1] * (number + 1)


@pytest.mark.parametrize("sizes", [[(60, 40), (50, 33)], [(44, 30), (60, 40)], [(60, 40), (44, 30), (20, 20)]])
def test_images_that_do_not_fit_the_pages_are_refused(tmp_path: Path, sizes: list[tuple[int, int]]) -> None:
    path = write_pages(tmp_path / "a.ome.tif", [noise((40, 60)), noise((30, 44))], images(*sizes))
    for series in range(len(sizes)):
        with pytest.raises(MetadataError, match=r"a\.ome\.tif: (image \d of )?its OME-XML"):
            read_image(path, series=series)


@pytest.mark.parametrize("told", ["<TiffData/>", '<TiffData IFD="0" PlaneCount="3"/>', ""])
def test_single_samples_are_planes_whatever_the_channel_says(tmp_path: Path, told: str) -> None:
    inner = '<Channel ID="c:0" SamplesPerPixel="3"/>' + told
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


# Pyramids in further pages


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


def test_a_file_that_calls_itself_otherwise_is_not_the_only_one_of_a_set(tmp_path: Path) -> None:
    for inner in (TWO + block(0, "m_0.tif", "urn:uuid:0"), TWO + block(0, None, "urn:uuid:0")):
        path = written(tmp_path / "m_1.tif", inner, 1, root='UUID="urn:uuid:1"')
        assert shows(path, 1)
        assert bounds_of(path) == (0, 0, 4, 3)
        with pytest.raises(UsageError, match="--channel DAPI is no channel"):
            read_image(path, channel="DAPI")


@pytest.mark.parametrize("told", ['<TiffData IFD="0" PlaneCount="1"/>', '<TiffData IFD="0"/>'])
def test_one_block_for_three_pages_of_colour(tmp_path: Path, told: str) -> None:
    path = written(tmp_path / "a.ome.tif", '<Channel SamplesPerPixel="3"/>' + told, 0, 1, 2, SizeC=3)
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


def test_the_size_tells_which_image_a_renamed_file_is(tmp_path: Path) -> None:
    inner = '<TiffData IFD="0"><UUID FileName="m_{}.tif"/></TiffData>'
    xml = images((8, 6), (5, 4), inner=inner).decode().replace("m_{}", "m_0", 1).replace("m_{}", "m_1")
    path = write_pages(tmp_path / "renamed.tif", [noise((4, 5))], xml)
    assert bounds_of(path) == (0, 0, 10, 8)


def test_a_channel_of_lost_metadata(tmp_path: Path) -> None:
    path = binary_only(tmp_path / "m_1.ome.tif", "set.companion.ome")
    with pytest.raises(UsageError, match=r"--channel DAPI is no channel.*its metadata are in set\.companion\.ome"):
        read_image(path, channel="DAPI")
    with pytest.raises(MetadataError, match=r"its metadata are in set\.companion\.ome"):
        bounds_of(path, pixel_size="1", stage_position=True)
