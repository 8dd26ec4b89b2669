"""Which files an import writes, and that it writes over nothing that it or another import of its run reads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from cartloader_image.errors import UsageError
from cartloader_image.options import option
from cartloader_image.recipe.job import ImageJob


def files_of(job: ImageJob) -> list[Path]:
    """All files under the id of an image that its import writes."""
    options, files = job.options, list[Path]()
    if options.reads_the_image:
        files += job.out.raster_files(png=options.ome2png)
    if options.png2pmtiles:
        files += [job.out.path(".pmtiles"), *job.out.asset_files]
        if options.preview:
            files.append(job.out.path(".preview.png"))
        if options.chosen_engine == "gdal":
            files.append(job.out.path(".pmtiles.mbtiles"))
    if job.points:
        files += job.out.overlay_files
    if options.update_catalog:
        files.append(job.catalog.with_name(f"{job.out.img_id}.pmtiles"))
    return files


def check_files(jobs: list[ImageJob], in_json: Path | None = None, makefile: Path | None = None) -> None:
    """Make sure that a run writes each file once, and none that it reads.

    Files are compared as files, whatever links lead to them; one that is not there yet, by its place.

    Raises:
        UsageError: two of its images, or an image and the catalog or the Makefile, would write the same file, or a
            source of an image or the mapping would be written over.
    """
    folder = cache(os.path.realpath)

    def place(path: Path) -> str:
        return str(Path(folder(path.parent), path.name))

    reads: dict[object, str] = {}
    for path, words in _read(jobs, in_json):
        for mark in (os.path.realpath(path), place(path), *_inode(path)):
            reads.setdefault(mark, words)
    writers: dict[str, str] = {}
    for path, writer in _written(jobs, makefile):
        # Some file systems take names for the same that differ only in case.
        if (other := writers.setdefault(place(path).casefold(), writer)) != writer:
            raise UsageError(f"{path}: would be {other} and {writer}; choose other names")
        for mark in (place(path), *_inode(path)):
            if mark in reads:
                raise UsageError(f"{reads[mark]}: is what this import writes, as {writer}; choose other names")


def refuse_to_overwrite(sources: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Make sure that an action by itself writes over nothing that it reads.

    Raises:
        UsageError: it would.
    """
    read = {mark: path for path in sources for mark in (os.path.realpath(path), *_inode(path))}
    for output in outputs:
        for mark in (os.path.realpath(output), *_inode(output)):
            if mark in read:
                raise UsageError(f"{read[mark]}: is what this import writes; choose another --img-id or --out-dir")


def _read(jobs: list[ImageJob], in_json: Path | None) -> Iterator[tuple[Path, str]]:
    """What is read, and how it is named in a sentence."""
    for job in jobs:
        where = f"{in_json}: {job.out.img_id}: " if in_json else ""
        for name, path in job.sources:
            yield path, f"{where}{path}" if name == "in_img" else f"{where}{option(name)} {path}"
    if in_json:
        yield in_json, f"{in_json}"


def _written(jobs: list[ImageJob], makefile: Path | None) -> Iterator[tuple[Path, str]]:
    """What is written, and what it is in a sentence."""
    for job in jobs:
        for path in files_of(job):
            yield path, f"a file of {job.out.img_id}"
        if job.options.update_catalog:
            yield job.catalog, "the catalog"
    if makefile:
        yield makefile, "the Makefile"


def _inode(path: Path) -> list[tuple[int, int]]:
    """The file itself, whatever it is called; none where there is none."""
    with suppress(OSError):
        state = path.stat()
        return [(state.st_dev, state.st_ino)]
    return []
