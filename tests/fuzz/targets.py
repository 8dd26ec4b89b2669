"""What is tried with a mutant, and what has to hold: an error of the project in one sentence, or a good result."""

from __future__ import annotations

import io
import json
import math
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, TypeGuard

import yaml
from PIL import Image
from pmtiles.reader import MmapSource, Reader, all_tiles
from support.rasters import params_for

from cartloader_flows.cli import info
from cartloader_image.action_params import GeoreferenceParams, Ome2PngParams, UpdateCatalogParams
from cartloader_image.archive import open_archive
from cartloader_image.catalog.update import check_archive, update
from cartloader_image.drawing import render_preview
from cartloader_image.errors import CartloaderError, sentence
from cartloader_image.images.kinds import is_tiff
from cartloader_image.images.source import open_source
from cartloader_image.params import ImportOptions, PlaneOptions, SharedOptions
from cartloader_image.placing.placement import place
from cartloader_image.recipe import actions
from cartloader_image.recipe.job import ImageJob, single_job
from cartloader_image.recipe.mapping import mapped_jobs
from cartloader_image.recipe.plan import planned
from cartloader_image.recipe.run import gather, import_one
from cartloader_image.report import quiet
from cartloader_image.results import ImageResult, RunError
from cartloader_image.tiles.verify import verify
from cartloader_image.window import windows

_WINDOWS = 12
"""Of a plane that has become huge no more are read."""
_SMALL = 1 << 20
"""Pixels of a plane, and of its finest zoom, that are imported whole."""
_OPTIONS: list[dict[str, Any]] = [
    {}, {"page": 0, "pixel_size": "1"}, {"page": 0, "pixel_size": "0.5,1", "transparent_below": 9},
    {"georef_detect": "OME"}, {"stage_position": True, "page": 0}, {"level": 1, "page": 0}, {"series": 1},
    {"channel": "0", "z_project": "max"}, {"channel": "DAPI"}, {"z": 1}, {"georef_bounds": "0,0,30,20", "rotate": 90},
    {"shrink_factor": 2.5, "page": 0}, {"srs": "EPSG:4326"}, {"nodata": "none"}, {"nodata": "7"},
    {"high_memory": True, "page": 0, "pixel_size": "1"}, {"page": 1, "rotate": 270}, {"tile_format": "webp"},
    {"tile_format": "jpeg", "page": 0, "pixel_size": 1}, {"colorize": "red", "alpha": "intensity"},
    {"resample": "average", "blocksize": 256}, {"min_zoom": 0}, {"background": "transparent", "pixel_size": 3},
]  # fmt: skip
_SENTENCE = 2000
"""Letters at most."""

SLIP = "a library's error that is ours"
"""How a finding begins that is just a poor sentence: the file is refused, and rightly."""


class Tried:
    """What came of one mutant."""

    def __init__(self) -> None:
        self.done = False
        """Whether what its kind is for succeeded."""
        self.findings: list[str] = []

    @contextmanager
    def attempt(self, *, aside: bool = False, all_memory: bool = False) -> Iterator[None]:
        """What may end with an error of the project; with ``all_memory`` also because there is no more of that.

        What is tried ``aside`` does not count as done.
        """
        try:
            yield
        except CartloaderError as error:
            for one in error.failures.values() if isinstance(error, RunError) else (error,):
                self._look_at(one, all_memory=all_memory)
        except BaseException as error:  # noqa: BLE001
            self._look_at(error, all_memory=all_memory)
        else:
            self.done |= not aside

    def _look_at(self, error: BaseException, *, all_memory: bool) -> None:
        if not isinstance(error, CartloaderError):
            if not (all_memory and isinstance(error, MemoryError)):
                self.findings.append(_told(error))
            return
        self.hear(sentence(error))
        if _is_slip(cause := error.__cause__):
            self.findings.append(f"{SLIP}: {_told(cause)}")

    def hear(self, text: str) -> None:
        """Take note of a text that is no sentence."""
        if not text or len(text) > _SENTENCE or not text.isprintable():
            self.findings.append(f"no sentence: {len(text)} letters, {text[:80]!r}")


def _is_slip(error: BaseException | None) -> TypeGuard[BaseException]:
    """Whether an error that is told as one of the file came up in a line of ours that raises none on purpose."""
    if error is None or isinstance(error, (OSError, CartloaderError)):
        return False
    last = traceback.extract_tb(error.__traceback__)[-1]
    return "/cartloader_" in last.filename and not (last.line or "").startswith("raise")


def _told(error: BaseException) -> str:
    """An exception that is none of the project, and where in the project it came up."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/cartloader_" in frame.filename]
    last = ours[-1] if ours else frames[-1]
    where = f"{last.filename.rpartition('/cartloader_')[2]}:{last.name}: {last.line}"
    words = re.sub(r"0x[0-9a-f]+", "0x…", " ".join(str(error).split()))[:120]
    return f"{type(error).__name__}: {words} in {where}"


def picture(tried: Tried, file: Path, random: Random) -> None:
    """Look at it; then import it, or read some of it."""
    with tried.attempt(aside=True):
        told(file)
    imported = random.random() < 0.7
    # Most options suit few pictures; the last ones suit nearly all.
    for chosen in (random.choice(_OPTIONS), {"page": 0, "pixel_size": "1"}):
        if not tried.done:
            with tried.attempt(all_memory="high_memory" in chosen):
                (import_by if imported else read)(file, chosen)


def import_by(file: Path, options: dict[str, Any]) -> None:
    """Import it if it is small, with those of the options that its kind takes."""
    given = {name: value for name, value in options.items() if is_tiff(file) or name not in PlaneOptions.model_fields}
    chosen = ImportOptions(png2pmtiles=True, ome2png=is_tiff(file) and "page" in given, **given)
    import_small([single_job(file, "a", file.parent / "map", chosen)])


def told(file: Path) -> None:
    """What ``cartloader info`` does."""
    _, found, lines = info._looked_at(file)
    assert "\n".join(lines(found, 80)).replace("\n", "").isprintable(), "a text that steers the terminal"
    json.loads(json.dumps(info._plain(found), allow_nan=False))


def read(file: Path, options: dict[str, Any]) -> None:
    """A plane by its windows, held against what it says of itself."""
    known = Ome2PngParams if is_tiff(file) else GeoreferenceParams
    params = params_for(file, **{name: value for name, value in options.items() if name in known.model_fields})
    with open_source(params) as source:
        placement = place(source, params)
        assert all(map(math.isfinite, placement.affine)), "a place that is no place"
        assert min(placement.pixel_size) > 0, "pixels without a size"
        plane = source.plane
        for window in islice(windows(plane.height, plane.width, plane.block), _WINDOWS):
            pixels = plane.read(window)
            assert pixels.shape == (*window.shape, plane.layout.bands), "a window of another shape"
            assert pixels.dtype == plane.dtype, "pixels of another type"


def import_small(jobs: list[ImageJob]) -> None:
    """Import the images that are small; of the others the plan is enough."""

    def attempt(job: ImageJob) -> ImageResult:
        return import_one(job) if is_small(job) else ImageResult(img_id=job.out.img_id)

    for image in gather(jobs, [partial(attempt, job) for job in jobs], actions.update_catalog).images:
        if image.tiles:
            check_container(image.tiles.path)


def is_small(job: ImageJob) -> bool:
    """Whether an import is soon done; its plan is made in any case."""
    with planned(job) as plan:
        pyramid = plan.pyramid
        return pyramid is None or (
            math.prod(pyramid.extent(pyramid.base_zoom).shape) <= _SMALL
            and pyramid.tile_count() <= 64
            and plan.memory <= 1 << 29
            and plan.disk.high <= 1 << 26
        )


def check_container(path: Path) -> None:
    """Make sure that an archive is one for another reader, and its tiles pictures."""
    with path.open("rb") as file:
        source = MmapSource(file)
        header, count = Reader(source).header(), 0
        assert path.stat().st_size == header["tile_data_offset"] + header["tile_data_length"], (
            "a file of another length"
        )
        for (zoom, _, _), data in all_tiles(source):
            assert header["min_zoom"] <= zoom <= header["max_zoom"], "a tile of another zoom"
            with Image.open(io.BytesIO(data)) as tile:
                tile.load()
            count += 1
        assert count == header["addressed_tiles_count"] > 0, "another number of tiles"


def placing(tried: Tried, file: Path, random: Random) -> None:
    """Import the picture beside a file of bounds, by these."""
    option = {"georef_offset_x": random.choice([0.0, -1e9])} if random.random() < 0.1 else {}
    with tried.attempt():
        options = ImportOptions(png2pmtiles=True, **{file.name.partition(".")[0]: file}, **option)
        import_small([single_job(file.with_name("a.png"), "a", file.parent / "map", options)])


def mapping(tried: Tried, file: Path, random: Random) -> None:
    """Import all images of a mapping, as far as they are small."""
    with tried.attempt():
        shared = SharedOptions(png2pmtiles=True, update_catalog=random.random() < 0.5)
        jobs = mapped_jobs(file, file.parent / "map", shared, elsewhere=file.parent).jobs
        import_small(jobs[:5])


def catalog(tried: Tried, file: Path, random: Random) -> None:
    """Look at it, and enter an archive in it."""
    with tried.attempt(aside=True):
        told(file)
    img_id = random.choice(["new", "a", "1", "no"])
    archive = file.with_name("new.pmtiles")
    before = file.read_bytes()
    with tried.attempt():
        result = update(UpdateCatalogParams(catalog_yaml=file, basemaps={img_id: archive}, title="maps"), quiet)
        text = file.read_bytes().decode()
        assert (text.encode() == before) == (not result.diff or result.diff.endswith("replaced")), "another difference"
        listed = yaml.compose(text, Loader=yaml.SafeLoader)
        for key in ("assets", "basemap", img_id):
            listed = next(value for name, value in listed.value if name.value == key)
        assert listed.value == f"{img_id}.pmtiles", "another basemap"


def archive(tried: Tried, file: Path, random: Random) -> None:
    """Look at it, verify it, draw it, read a piece of it, list it."""
    for finding in verify(file, deep=random.random() < 0.3).findings:  # it refuses nothing
        tried.hear(str(finding))
    with tried.attempt(aside=True):
        told(file)
    with tried.attempt():
        render_preview(file, random.choice([16, 64, 300]))
    with tried.attempt(aside=True), open_archive(file) as opened:
        repr(opened)
        opened.read(random.choice([None, (0, 0, 30, 20), (-1e7, 1e7, 1e7, -1e7)]), size=random.choice([1, 64, 500]))
    with tried.attempt(aside=True):
        check_archive(file)
    with tried.attempt(aside=True):
        params = UpdateCatalogParams(catalog_yaml=file.with_name("c.yaml"), basemaps={"a": file}, title="maps")
        update(params, quiet)


TARGETS: dict[str, Callable[[Tried, Path, Random], None]] = {
    "placing": placing, "mapping": mapping, "catalog": catalog, "archive": archive,
}  # fmt: skip
"""By kind of seed; all others are pictures."""
