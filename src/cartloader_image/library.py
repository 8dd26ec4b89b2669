"""What the command line does, as functions: without a server, in this process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import ValidationError

from cartloader_image.drawing import figure, render_preview, write_preview
from cartloader_image.errors import UsageError
from cartloader_image.params import ImportOptions
from cartloader_image.progress import shown
from cartloader_image.recipe import actions
from cartloader_image.recipe.job import check_out_dir, explain, single_job
from cartloader_image.recipe.outputs import check_files
from cartloader_image.recipe.run import gather, import_one
from cartloader_image.report import Report
from cartloader_image.results import ImageResult, RunError
from cartloader_image.sample import write_sample as write_sample_to
from cartloader_image.tiles.verify import Verification
from cartloader_image.tiles.verify import verify as verify_archive

StrPath = str | os.PathLike[str]


class Imported(ImageResult):
    """A finished image, which a notebook shows by its picture."""

    def _repr_html_(self) -> str | None:
        if self.tiles is None:
            return None
        lies = [str(self.overlay)] if self.overlay else []
        return figure(self.tiles.path, self.img_id, "; ".join([f"{self.tiles.path}", *lies, *self.notes]))


def import_image(
    path: StrPath, *, out_dir: StrPath, img_id: str, report: Report | None = None, **options: Any
) -> ImageResult:
    """Import one image: the placed GeoTIFF, the map tiles in one PMTiles archive, and its place in a catalog.

    Nothing is recorded and no server is needed. The work can be stopped by Ctrl-C; a file appears whole or not at all.

    Args:
        path: PNG, JPEG, TIFF or OME-TIFF.
        out_dir: Directory of the output files; created when it is missing.
        img_id: Prefix of the output files and id of the basemap.
        report: Gets progress and notes; unless given, bars in a terminal or a notebook show them, nothing elsewhere.
        options: The options of ``cartloader import_image`` by their names with underscores, as `ImportOptions` has
            them; ``png2pmtiles`` is true unless it is given.

    Returns:
        The files that were written, and what there is to know about them.

    Raises:
        CartloaderError: the image, the options or the disk are at fault; one sentence says what would be right.

    Examples:
        >>> slide = write_sample("slide.ome.tif", size=256)
        >>> image = import_image(slide, out_dir="map", img_id="dapi", page=0, update_catalog=True)
        >>> [file.name for file in image.tiles.files]
        ['dapi.pmtiles', 'dapi.json', 'dapi_assets.json']
        >>> image.raster.shown
        '0 … 7,220 of 65,535 (quantile 0.999)'
    """
    try:
        asked = ImportOptions.model_validate({"png2pmtiles": True} | options)
    except ValidationError as error:
        raise UsageError(explain(error)) from None
    check_out_dir(Path(out_dir))
    job = single_job(Path(path), img_id, Path(out_dir), asked)
    check_files([job])
    try:
        with shown(img_id, report) as display:
            result = gather([job], [lambda: import_one(job, display)], actions.update_catalog)
    except RunError as failure:
        raise next(iter(failure.failures.values())) from None
    return Imported(**dict(result.images[0]))


def preview(archive: StrPath, out: StrPath | None = None, *, size: int = 1024) -> Image.Image:
    """The whole picture of an archive, of whatever program, as the map shows it: north at the top.

    Args:
        archive: A PMTiles archive of raster tiles.
        out: File to write it to, too: .png, or .jpg or .jpeg with white where it is transparent.
        size: Longest side in pixels; an archive that has no more is not enlarged.

    Returns:
        A Pillow image in mode RGBA.

    Raises:
        ArchiveError: the archive cannot be read, has no tiles, or has tiles that are no pictures.

    Examples:
        >>> slide = write_sample("slide.ome.tif", size=256)
        >>> image = import_image(slide, out_dir="map", img_id="dapi", page=0)
        >>> preview(image.tiles.path, "dapi.png", size=100).size
        (100, 100)
    """
    if out is None:
        return render_preview(Path(archive), size)
    return write_preview(Path(archive), Path(out), size)


def verify(archive: StrPath, *, deep: bool = False, report: Report | None = None) -> Verification:
    """Look at all of an archive, of whatever program, and collect what is wrong with it.

    The container is held against itself and against the tiles; each tile is decoded, and some are compared with the
    four of the next zoom. Of vector tiles it is the container alone.

    Args:
        archive: A PMTiles archive.
        deep: Compare all tiles with those of the next zoom.
        report: Gets progress; unless given, a bar in a terminal or a notebook shows it, nothing elsewhere.

    Examples:
        >>> slide = write_sample("slide.ome.tif", size=256)
        >>> image = import_image(slide, out_dir="map", img_id="dapi", page=0)
        >>> found = verify(image.tiles.path)
        >>> found.good, found.tiles, found.findings
        (True, 2, ())
    """
    with shown(Path(archive).name, report) as display:
        return verify_archive(Path(archive), display, deep=deep)


def write_sample(path: StrPath, *, size: int = 2048) -> Path:
    """Write a made OME-TIFF of two channels, DAPI and membrane, of 16 bits and 0.2125 µm a pixel, to try things with.

    Args:
        path: File to write.
        size: Width and height in pixels.

    Returns:
        The path.

    Examples:
        >>> write_sample("slide.ome.tif", size=256).name
        'slide.ome.tif'
    """
    write_sample_to(Path(path), size=size)
    return Path(path)
