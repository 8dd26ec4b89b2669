"""The pages of a TIFF, with what some writers are known to say wrongly put right."""

from __future__ import annotations

import tifffile
from tifffile import TiffPage

from cartloader_image.images.ome import is_ome
from cartloader_image.images.photometric import JPEG, JPEG_2000, RGB, SEPARATE, YCBCR

_NUMBERS = (
    "subfiletype", "imagewidth", "imagelength", "samplesperpixel", "tilewidth", "tilelength", "rowsperstrip",
    "compression", "photometric", "planarconfig", "predictor", "fillorder",
)  # fmt: skip
"""Attributes of a page that are one number each; tifffile makes a tuple of several, or a text, where the file does."""


def page_at(file: tifffile.TiffFile, index: int) -> TiffPage:
    """A top-level page, with what its writer is known to say wrongly put right."""
    return mended(file, file.pages[index].aspage())


def mended(file: tifffile.TiffFile, page: TiffPage) -> TiffPage:
    """A page whose JPEG is read as what it is.

    A separate plane has one component, which cannot be subsampled; Bio-Formats calls red, green and blue YCbCr.
    JPEG 2000 has its own word for how components are sampled.
    """
    if wrong := [name for name in _NUMBERS if not isinstance(getattr(page, name), int)]:
        raise ValueError(f"its {wrong[0]} is no whole number")
    if not all(isinstance(number, int) for number in (*page.dataoffsets[:1], *page.databytecounts[:1])):
        raise ValueError("the places of its strips or tiles are no whole numbers")
    if not all(isinstance(number, int) for number in page.extrasamples):
        raise ValueError("its extrasamples are no whole numbers")
    if not all(isinstance(tables, bytes | None) for tables in (page.jpegtables, page.jpegheader)):
        raise ValueError("its JPEG tables are no bytes")
    if page.samplesperpixel < 1:
        raise ValueError("its pixels have no samples")
    if page.compression in JPEG_2000:
        page.subsampling = (1, 1)
    if page.compression in JPEG and page.planarconfig == SEPARATE and page.photometric == YCBCR:
        page.subsampling = (1, 1)
        if is_ome(file.pages.first.description):
            page.photometric = RGB
    return page


def size_of(page: TiffPage) -> tuple[int, int]:
    """Rows and columns of a page."""
    return page.imagelength, page.imagewidth
