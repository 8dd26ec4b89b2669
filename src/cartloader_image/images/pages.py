"""The pages of a TIFF, with what some writers are known to say wrongly put right."""

from __future__ import annotations

import tifffile
from tifffile import TiffPage

from cartloader_image.images.ome import is_ome
from cartloader_image.images.photometric import JPEG, JPEG_2000, RGB, SEPARATE, YCBCR


def page_at(file: tifffile.TiffFile, index: int) -> TiffPage:
    """A top-level page, with what its writer is known to say wrongly put right."""
    return mended(file, file.pages[index].aspage())


def mended(file: tifffile.TiffFile, page: TiffPage) -> TiffPage:
    """A page whose JPEG is read as what it is.

    A separate plane has one component, which cannot be subsampled; Bio-Formats calls red, green and blue YCbCr.
    JPEG 2000 has its own word for how components are sampled.
    """
    sizes = page.imagewidth, page.imagelength, page.samplesperpixel, page.tilewidth, page.tilelength, page.rowsperstrip
    if not all(isinstance(size, int) for size in sizes):
        raise ValueError("its size is no whole number")
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
