"""Resolution that is believed only when asked to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tifffile
from support.places import bounds_of, placed
from support.rasters import noise, write_pages

from cartloader_image.errors import BoundsError, MetadataError


@pytest.mark.parametrize(
    ("how", "micrometres"),
    [
        ({"resolution": (10_000, 5_000), "resolutionunit": "CENTIMETER"}, (1, 2)),
        ({"resolution": (25_400, 12_700), "resolutionunit": "INCH"}, (1, 2)),
        ({"imagej": True, "resolution": (4, 2), "metadata": {"unit": "micron"}}, (0.25, 0.5)),
        ({"imagej": True, "resolution": (4, 2), "metadata": {"unit": "um"}}, (0.25, 0.5)),
        *[
            ({"imagej": True, "resolution": (4, 2), "metadata": {"unit": unit}}, (size / 4, size / 2))
            for unit, size in (
                ("microns", 1),
                ("Micron", 1),
                ("micrometer", 1),
                ("micrometres", 1),
                ("\\u00B5m", 1),
                ("\\u03bcm", 1),
                ("nm", 1e-3),
                ("mm", 1e3),
                ("MM", 1e3),
                ("millimeters", 1e3),
                ("cm", 1e4),
                ("inch", 25_400),
                ("Inches", 25_400),
                ('"', 25_400),
            )
        ],
        ({"imagej": True, "resolution": (4, 2), "metadata": {"unit": "um", "yunit": "nm"}}, (0.25, 0.0005)),
        *[
            ({"imagej": True, "resolution": (5, 5), "resolutionunit": 3, "metadata": {"unit": unit}}, (2e3, 2e3))
            for unit in ("", "pixel")
        ],
        *[
            ({"description": f"Aperio Image Library\r\n40x|AppMag = 40{mpp}", "metadata": None}, (size, size))
            for mpp, size in (
                ("|MPP = 0.2498|X = 1", 0.2498),
                ("|MPP=0.25", 0.25),
                ("|MPP = 2.5e-1|", 0.25),
                ("|MPP = 0,25|", 0.25),
            )
        ],
        (
            {"description": "notes: MPP = 5 marker", "metadata": None, "resolution": (2e4, 2e4), "resolutionunit": 3},
            (0.5,) * 2,
        ),
    ],
)
def test_resolution_needs_detection(tmp_path: Path, how: dict[str, Any], micrometres: tuple[float, float]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise((20, 40)), **how)
    with pytest.raises(BoundsError, match=r"does not say where it lies.* µm, which --georef-detect takes"):
        placed(tmp_path / "a.tif")
    found = bounds_of(tmp_path / "a.tif", georef_detect="OME")
    assert found == pytest.approx((0, 0, 40 * micrometres[0], 20 * micrometres[1]), rel=1e-6)


@pytest.mark.parametrize(
    "description",
    [
        None, "MPP = 0.5", "|MPP = 0.5|", "Aperio\n|MPP = 0|", "Aperio\n|MPP = -1|", "Aperio\n|MPP = nan|",
        "Aperio\n|MPP = 1e999|", "Aperio\n|MPP = .|", "Aperio\n|MPP = 1.2.3.4|", "Aperio\n|MPP = 0.5 (old)|",
        "Aperio\nMPP = 0.5",
    ],
)  # fmt: skip
def test_no_resolution_to_detect(tmp_path: Path, description: str | None) -> None:
    path = write_pages(tmp_path / "a.tif", [noise((20, 40))], description)
    with pytest.raises(BoundsError, match="does not say where it lies"):
        placed(path, georef_detect="OME")


@pytest.mark.parametrize("unit", ["pixel", "pixels", "", "wavelength"])
def test_pixels_per_pixel_are_no_resolution(tmp_path: Path, unit: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise((20, 40)), imagej=True, resolution=(4, 4), metadata={"unit": unit})
    with pytest.raises(BoundsError, match="does not say where it lies"):
        placed(tmp_path / "a.tif", georef_detect="OME")


def test_what_aperio_does_not_know_is_not_taken_from_its_tags(tmp_path: Path) -> None:
    more = {"resolution": (30, 30), "resolutionunit": "CENTIMETER"}
    write_pages(tmp_path / "a.tif", [noise((20, 40))], "Aperio\n|MPP = 0|", **more)
    with pytest.raises(BoundsError, match="does not say where it lies"):
        placed(tmp_path / "a.tif", georef_detect="OME")


@pytest.mark.parametrize("fraction", [(0, 0), (0, 1)])
def test_senseless_resolution_tags_are_no_resolution(tmp_path: Path, fraction: tuple[int, int]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", noise((20, 40)), resolution=(5, 5), resolutionunit="INCH")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        file.pages.first.tags["XResolution"].overwrite(fraction)
    assert bounds_of(tmp_path / "a.tif", pixel_size="1") == (0, 0, 40, 20)
    with pytest.raises(BoundsError, match="does not say where it lies"):
        placed(tmp_path / "a.tif", georef_detect="OME")


def test_hamamatsu_speaks_by_the_tags_of_each_page(tmp_path: Path) -> None:
    """The tags of an NDPI, whose mark is 65420, in a TIFF whose offsets have the usual 32 bits."""
    scan: dict[str, Any] = {"photometric": "rgb", "metadata": None, "extratags": [(65420, 4, 1, 1, True)]}
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for rows, size in ((20, 0.25), (10, 0.5)):
            file.write(noise((rows, rows * 2, 3)), resolution=(1e4 / size,) * 2, resolutionunit=3, **scan)
    assert bounds_of(tmp_path / "a.tif", georef_detect="OME") == pytest.approx((0, 0, 10, 5), rel=1e-6)


def phenoimager(path: Path, said: str, **more: Any) -> Path:
    """QPTIFF: a page for each marker, then the thumbnail."""
    xml = (
        "<?xml version='1.0'?><PerkinElmer-QPI-ImageDescription><ImageType>{}</ImageType><Name>DAPI</Name><ScanProfile>"
        f"<root>{said}<Magnification>20</Magnification></root></ScanProfile></PerkinElmer-QPI-ImageDescription>"
    )
    with tifffile.TiffWriter(path) as file:
        for rows, kind in ((20, "FullResolution"), (20, "FullResolution"), (5, "Thumbnail")):
            own = more if rows == 20 else {"resolution": (2500, 2500), "resolutionunit": 3}
            file.write(
                noise((rows, rows * 2)), description=xml.format(kind), software="PerkinElmer-QPI", metadata=None, **own
            )
    return path


TAGS: dict[str, Any] = {"resolution": (20_000, 20_000), "resolutionunit": 3}


@pytest.mark.parametrize(
    ("said", "tags", "um"),
    [
        ("<PixelSizeMicrons>0.4968</PixelSizeMicrons>", {}, 0.4968),
        ("<PixelSizeMicrons>0.4968</PixelSizeMicrons>", TAGS, 0.5),
        ("", TAGS, 0.5),
        ("<PixelSizeMicrons>x</PixelSizeMicrons>", TAGS, 0.5),
    ],
)
def test_akoya_speaks_by_tags_and_by_its_scan_profile(tmp_path: Path, said: str, tags: Any, um: float) -> None:
    path = phenoimager(tmp_path / "a.qptiff", said, **tags)
    assert bounds_of(path, georef_detect="OME", page=1) == pytest.approx((0, 0, 40 * um, 20 * um))
    assert bounds_of(path, georef_detect="OME", series=1) == pytest.approx((0, 0, 40, 20))  # the thumbnail's own


def test_a_scan_that_contradicts_itself_is_not_believed(tmp_path: Path) -> None:
    path = phenoimager(tmp_path / "a.qptiff", "<PixelSizeMicrons>0.25</PixelSizeMicrons>", **TAGS)
    with pytest.raises(BoundsError, match="does not say where it lies"):
        placed(path, georef_detect="OME", page=1)


@pytest.mark.parametrize("tags", [{}, TAGS])
def test_leica_speaks_by_the_view_of_each_image(tmp_path: Path, tags: Any) -> None:
    """SCN: the overview of the slide comes first, then what was scanned; sizes of views are in nm."""
    image = (
        '<image><pixels sizeX="{0}" sizeY="{1}"><dimension sizeX="{0}" sizeY="{1}" r="0" ifd="{2}"/></pixels>'
        '<view sizeX="{3}" sizeY="{4}" offsetX="0" offsetY="0"/></image>'
    )
    xml = '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01"><collection>'
    xml += image.format(10, 8, 0, 160_000, 128_000) + image.format(40, 20, 1, 20_000, 10_000) + "</collection></scn>"
    with tifffile.TiffWriter(tmp_path / "a.scn") as file:
        file.write(noise((8, 10, 3)), description=xml, photometric="rgb", metadata=None)
        file.write(noise((20, 40, 3)), photometric="rgb", metadata=None, **tags)
    assert bounds_of(tmp_path / "a.scn", georef_detect="OME", series=1) == pytest.approx((0, 0, 20, 10))
    assert bounds_of(tmp_path / "a.scn", georef_detect="OME") == pytest.approx((0, 0, 160, 128))


def test_a_part_that_qupath_cut_out_keeps_its_place(tmp_path: Path) -> None:
    """Of a region at 1000,400 in a slide, halved: ImageJ's origin is where 0,0 lies, in pixels of the part."""
    how: dict[str, Any] = {"imagej": True, "resolution": (2, 2)}
    cut = {"unit": "um", "xorigin": -500.0, "yorigin": -200.5}
    tifffile.imwrite(tmp_path / "a.tif", noise((20, 40)), **how, metadata=cut)
    corner = (250, 100.25, 270, 110.25)
    assert bounds_of(tmp_path / "a.tif", georef_detect="OME", stage_position=True) == corner
    assert bounds_of(tmp_path / "a.tif", georef_detect="OME") == (0, 0, 20, 10)
    assert bounds_of(tmp_path / "a.tif", pixel_size="1", stage_position=True) == (500, 200.5, 540, 220.5)
    tifffile.imwrite(tmp_path / "b.tif", noise((20, 40)), **how, metadata={**cut, "xorigin": "left"})
    with pytest.raises(MetadataError, match=r"its ImageJ origin is no number .*leave --stage-position out"):
        placed(tmp_path / "b.tif", georef_detect="OME", stage_position=True)


VIPS = (
    '<?xml version="1.0"?>\n<image xmlns="http://www.vips.ecs.soton.ac.uk//dzsave"><properties>{}</properties></image>'
)


def vips(**facts: object) -> str:
    """The description that libvips writes of a slide."""
    listed = (
        f'<property>\n<name>openslide.{name}</name>\n<value type="VipsRefString">{value}</value>\n</property>'
        for name, value in facts.items()
    )
    return VIPS.format("\n".join(listed))


BOUNDS: dict[str, Any] = {"bounds-x": 1000, "bounds-y": 400, "bounds-width": 40, "bounds-height": 20}


@pytest.mark.parametrize(
    ("facts", "corner"),
    [(BOUNDS, (500, 200)), ({**BOUNDS, "level[0].width": 40, "level[0].height": 20}, (0, 0))],
)
def test_a_slide_that_openslide_cropped_keeps_its_place(
    tmp_path: Path, facts: Any, corner: tuple[float, float]
) -> None:
    path = write_pages(tmp_path / "a.tif", [noise((20, 40))], vips(**facts), **TAGS)
    x, y = corner
    assert bounds_of(path, georef_detect="OME", stage_position=True) == (x, y, x + 20, y + 10)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({**BOUNDS, "bounds-width": 80}, r"is that of another picture than one of 40 × 20 pixels"),
        ({**BOUNDS, "bounds-x": "?"}, "OpenSlide tells no place"),
        ({}, "has no stage position"),
    ],
)
def test_bounds_of_another_picture_are_no_place(tmp_path: Path, facts: Any, words: str) -> None:
    path = write_pages(tmp_path / "a.tif", [noise((20, 40))], vips(**facts), **TAGS)
    with pytest.raises(MetadataError, match=words):
        placed(path, georef_detect="OME", stage_position=True)
