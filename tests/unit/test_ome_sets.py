"""Sets of files: which of them is which plane, copies and renamed ones, metadata in another file."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.omes import TWO, images, notes_of, numbered, page, shows, size_attributes, written
from support.places import bounds_of
from support.rasters import NAMESPACE, noise, ome_xml, read_image, with_source, write_pages

from cartloader_image.errors import CartloaderError, MetadataError, UsageError


def block(channel: int, file: str | None = None, uuid: str = "", ifd: int = 0) -> str:
    name = f' FileName="{file}"' if file is not None else ""
    return f'<TiffData FirstC="{channel}" IFD="{ifd}" PlaneCount="1"><UUID{name}>{uuid}</UUID></TiffData>'


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


def test_a_block_beyond_the_sizes_leaves_the_pixel_size(tmp_path: Path) -> None:
    """Which channel it is cannot be told; where others are within them, it is left out."""
    path = written(tmp_path / "m.tif", TWO + block(2, "m.tif"), 1)
    assert shows(path, 1)
    assert bounds_of(path) == (0, 0, 4, 3)
    assert "speaks of planes beyond its own sizes; its pages are taken as they come" in notes_of(path)
    with pytest.raises(UsageError, match="--channel PanCK is no channel"):
        read_image(path, channel="PanCK")
    path = written(tmp_path / "n.tif", TWO + block(1, "n.tif") + block(2, "n.tif", ifd=1), 1, 0)
    assert shows(path, 1)
    assert "planes beyond its own sizes, which are left out" in notes_of(path)


def test_pages_of_a_renamed_file_are_listed_as_pages(tmp_path: Path) -> None:
    inner = TWO + "".join(block(n, f"m_{n}.tif") + block(n, f"m_{n}.tif", ifd=1) for n in range(2))
    path = written(tmp_path / "other.tif", inner, 0, 1, SizeZ=2)
    assert shows(path, 1, page=1)
    for options in ({}, {"channel": "0"}, {"z": 0}, {"z_project": "max"}):
        with pytest.raises(UsageError, match=r"2 planes.*choose one with --page: 0 \(page 0\), 1 \(page 1\)"):
            read_image(path, **options)


@pytest.mark.parametrize("uuid", ["", "urn:uuid:7", "urn:uuid:{}"])
@pytest.mark.parametrize("beside", [False, True])
def test_a_copy_of_a_lone_file_keeps_everything(tmp_path: Path, uuid: str, beside: bool) -> None:
    inner = TWO + "".join(block(n, "one.ome.tif", uuid.format(n), ifd=n) for n in range(2))
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


def test_a_file_that_calls_itself_otherwise_is_not_the_only_one_of_a_set(tmp_path: Path) -> None:
    for inner in (TWO + block(0, "m_0.tif", "urn:uuid:0"), TWO + block(0, None, "urn:uuid:0")):
        path = written(tmp_path / "m_1.tif", inner, 1, root='UUID="urn:uuid:1"')
        assert shows(path, 1)
        assert bounds_of(path) == (0, 0, 4, 3)
        with pytest.raises(UsageError, match="--channel DAPI is no channel"):
            read_image(path, channel="DAPI")


def test_the_size_tells_which_image_a_renamed_file_is(tmp_path: Path) -> None:
    inner = '<TiffData IFD="0"><UUID FileName="m_{}.tif"/></TiffData>'
    xml = images((8, 6), (5, 4), inner=inner).decode().replace("m_{}", "m_0", 1).replace("m_{}", "m_1")
    path = write_pages(tmp_path / "renamed.tif", [noise((4, 5))], xml)
    assert bounds_of(path) == (0, 0, 10, 8)


def slices(*names: str) -> str:
    return "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{z}</UUID></TiffData>'
        for z, name in enumerate(names)
    )


def test_a_file_of_a_set_is_read_without_its_siblings(tmp_path: Path) -> None:
    xml = ome_xml(slices("a.tif", "b.tif", "c.tif"), size_attributes(1, 1), 'UUID="urn:uuid:1"', SizeZ=3)
    for name in ("b.tif", "B.TIF", "renamed.tif"):
        path = numbered(tmp_path / name, xml)
        assert with_source(path, lambda source: source.description) == "8 × 6 uint8, z=1"
        assert bounds_of(path) == (0, 0, 8, 6)
        with pytest.raises(UsageError, match=r"--z 0 is out of range; its z: 1$"):
            read_image(path, z=0)
        assert read_image(path, z=1).max() == 0


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


@pytest.mark.parametrize("content", [b"", b"II*\0 no TIFF", b"<OME", b"\x89PNG", b"\xff\xfe\x00"])
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


def test_a_channel_of_lost_metadata(tmp_path: Path) -> None:
    path = binary_only(tmp_path / "m_1.ome.tif", "set.companion.ome")
    with pytest.raises(UsageError, match=r"--channel DAPI is no channel.*its metadata are in set\.companion\.ome"):
        read_image(path, channel="DAPI")
    with pytest.raises(MetadataError, match=r"its metadata are in set\.companion\.ome"):
        bounds_of(path, pixel_size="1", stage_position=True)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_a_companion_file_is_read_where_it_is(tmp_path: Path, encoding: str) -> None:
    path = binary_only(tmp_path / "b.tif", "set.companion.ome")
    xml = ome_xml(slices("a.tif", "b.tif"), size_attributes(2, 2, "µm", "µm"), 'UUID="urn:uuid:0"', SizeZ=2)
    xml = xml.replace("UTF-8", encoding.removesuffix("-sig"))
    (tmp_path / "set.companion.ome").write_bytes(xml.encode(encoding))
    assert bounds_of(path) == (0, 0, 16, 12)
