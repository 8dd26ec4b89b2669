"""Resolution that is believed only when asked to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tifffile
from support.places import bounds_of, placed
from support.rasters import noise, write_pages

from cartloader_image.errors import BoundsError


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
