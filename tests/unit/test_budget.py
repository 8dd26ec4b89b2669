"""What an input may cost: the limit, the sentence, and the option that raises it."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from support.omes import SIZE, numbered, shows, written
from support.rasters import noise, ome_xml, read_image, with_source

from cartloader_image.budget import USUAL, Budget, Cost
from cartloader_image.errors import InputError
from cartloader_image.images import samples
from cartloader_image.params import ImportOptions
from cartloader_image.placing.bounds import bounds_from_pixel_tsv
from cartloader_image.recipe.entries import read_mapping


@pytest.mark.parametrize("cost", Cost)
def test_the_sentence_names_a_factor_that_is_enough(tmp_path: Path, cost: Cost) -> None:
    USUAL.check(tmp_path, cost, cost.most)
    for found in (cost.most + 1, 7 * cost.most + 3, 10**18):
        with pytest.raises(InputError, match=f"has {found:,} {re.escape(cost.things)}, more than") as refused:
            USUAL.check(tmp_path, cost, found)
        factor = int(str(refused.value).rpartition(" ")[2])
        Budget(factor).check(tmp_path, cost, found)
        with pytest.raises(InputError):
            Budget(factor - 1).check(tmp_path, cost, found)


def test_a_slide_of_ten_gigapixels_is_taken(tmp_path: Path) -> None:
    """Of blank tiles that are left out: its lists are as long as those of any other."""
    height = width = 100_352
    with tifffile.TiffWriter(tmp_path / "slide.tif", bigtiff=True) as file:
        tiles = (height // 256) * (width // 256)
        file.write(
            iter([b""] * tiles), shape=(height, width, 3), dtype=np.uint8, tile=(256, 256), compression="jpeg",
            photometric="ycbcr",
        )  # fmt: skip
    assert with_source(tmp_path / "slide.tif", lambda source: source.full_size) == (height, width)


def test_blank_segments_are_taken_however_well_they_compress(tmp_path: Path) -> None:
    blank = np.zeros((8192, 8192), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", blank, compression="zstd", rowsperstrip=8192, photometric="minisblack")
    assert (tmp_path / "a.tif").stat().st_size < 20_000
    assert not read_image(tmp_path / "a.tif").any()


def test_a_factor_takes_more(tmp_path: Path) -> None:
    inner = f'<TiffData FirstC="{Cost.CHANNELS.most}" IFD="0" PlaneCount="1"/>'
    path = written(tmp_path / "a.ome.tif", inner, 3, SizeC=2 * Cost.CHANNELS.most)
    with pytest.raises(InputError, match=r"has 16,385 channels, .* add --max-input-cost 2$"):
        read_image(path, page=0)
    assert shows(path, 3, page=0, max_input_cost=2)


def test_pages_beside_many_blocks_are_told_apart_in_linear_time(tmp_path: Path) -> None:
    """Each of the blocks is looked at once: in this time, all pairs of block and page could not be."""
    blocks = "".join(f'<TiffData IFD="{number % 50}" FirstT="{number % 50}"/>' for number in range(20_000))
    path = numbered(tmp_path / "a.ome.tif", ome_xml(blocks, SIZE, SizeT=50), 50)
    assert read_image(path, page=49).max() == 49


@pytest.mark.parametrize("name", ["XML", "ELEMENTS"])
def test_a_companion_is_looked_at_before_it_is_parsed(tmp_path: Path, name: str) -> None:
    xml = ome_xml(" " * Cost.XML.most if name == "XML" else "<a/>" * Cost.ELEMENTS.most, SIZE)
    (tmp_path / "set.companion.ome").write_text(xml)
    named = '<OME><BinaryOnly MetadataFile="set.companion.ome" UUID="urn:uuid:1"/></OME>'
    path = numbered(tmp_path / "a.ome.tif", named)
    with pytest.raises(InputError, match=rf"set\.companion\.ome: has .* {Cost[name].things}"):
        read_image(path)


def test_directories_that_lie_over_one_another_are_damage(tmp_path: Path) -> None:
    """Each begins four bytes behind the one before, and has 256 tags."""
    data = bytearray(struct.pack(">2sHI", b"MM", 42, 8) + struct.pack(">HH", 256, 0) * 1250)
    for number in range(100):
        struct.pack_into(">I", data, 8 + 2 + 256 * 12 + 4 * number, 12 + 4 * number)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(InputError, match="its directories lie over one another"):
        read_image(tmp_path / "a.tif")


def test_a_header_of_comments_is_read_to_its_end(tmp_path: Path) -> None:
    header = "##OFFSET_X=1;OFFSET_Y=2;SIZE_X=3;SIZE_Y=4\n"
    (tmp_path / "a.tsv").write_text("#\n" * 1000 + header + "no comment\n" * 10**6)
    bounds = bounds_from_pixel_tsv(tmp_path / "a.tsv")
    assert (bounds.ulx, bounds.uly, bounds.lrx, bounds.lry) == (1, 2, 5, 7)
    (tmp_path / "a.tsv").write_text("#" * Cost.TEXT.most + f"\n{header}")
    with pytest.raises(InputError, match=r"bytes of text, .* add --max-input-cost 2$"):
        bounds_from_pixel_tsv(tmp_path / "a.tsv")
    assert bounds_from_pixel_tsv(tmp_path / "a.tsv", Budget(2)) == bounds


def test_a_mapping_in_json_may_be_longer_than_one_in_yaml(tmp_path: Path) -> None:
    images = ",\n".join(f'"image_{number}": "{number}.png"' for number in range(25_000))
    (tmp_path / "m.json").write_text(f"{{{images}}}")
    assert len(read_mapping(tmp_path / "m.json")) == 25_000
    (tmp_path / "m.yaml").write_text(f"{{{images},}}\n# no JSON")
    with pytest.raises(InputError, match=r"m\.yaml: has .* bytes of YAML"):
        read_mapping(tmp_path / "m.yaml")


def test_a_picture_that_is_decoded_at_once_asks_for_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "SEGMENT_BYTES", 10_000)
    picture = noise((60, 60, 3))
    Image.fromarray(picture).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), picture)
    Image.fromarray(picture).save(tmp_path / "a.webp", lossless=True)
    with pytest.raises(InputError, match="add --high-memory"):
        read_image(tmp_path / "a.webp")
    np.testing.assert_array_equal(read_image(tmp_path / "a.webp", high_memory=True), picture)
    Image.fromarray(picture).save(tmp_path / "a.jpg")
    plain = read_image(tmp_path / "a.jpg")
    Image.fromarray(picture).save(tmp_path / "a.jpg", progressive=True)
    with pytest.raises(InputError, match="add --high-memory"):
        read_image(tmp_path / "a.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg", high_memory=True), plain)


def test_the_limits_stand_in_the_docs() -> None:
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    table = text.partition("## What an input may cost")[2].partition("\n## ")[0]
    for cost in Cost:
        assert f"{cost.most:,}" in table, cost
    assert ImportOptions().max_input_cost == 1
