"""The same job by different programs: each recipe is a list of commands that leave their result in a directory."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CARTLOADER = Path(sys.executable).with_name("cartloader")
COLOURED = [
    "--lower-thres-quantile=0.01", "--upper-thres-quantile=0.995", "--colorize=cyan", "--transparent-below=1"
]  # fmt: skip
"""The options of the case that is stored as uint16 and shown with colour and transparency."""

PEERS_PYTHON = os.environ.get("PEERS_PYTHON", "PEERS_PYTHON")
"""A Python that has what `peers.py` asks for, which the one that runs the benchmark may not."""

Command = list[str | Path]


@dataclass(frozen=True)
class Job:
    """One image, and what the peers need of it, made beforehand by cartloader itself."""

    image: Path
    options: list[str]
    picture: Path
    """The 8-bit PNG that the image becomes: the GDAL tools and libvips start from it."""
    geotiff: Path
    """The same, placed: ``gdal raster tile`` starts from it."""
    bounds: list[str]
    """ulx, uly, lrx, lry."""
    zooms: range
    bands: int

    @property
    def scale(self) -> float:
        """Pixels of the finest zoom to one of the image."""
        side = 2 * 20037508.342789244 / (512 << self.zooms[-1])
        width = abs(float(self.bounds[2]) - float(self.bounds[0]))
        return width / side / _png_width(self.picture)


@dataclass(frozen=True)
class Recipe:
    """One way to do the job."""

    tools: tuple[str, ...]
    """Programs that it needs."""
    commands: Callable[[Job, Path], list[Command]]
    result: str
    """The file or directory whose bytes are counted."""

    def missing(self) -> list[str]:
        """The programs that are not installed."""
        return [tool for tool in self.tools if not shutil.which(tool)]


def import_command(image: Path, options: list[str], out: Path) -> Command:
    """The whole import, all files written."""
    files = ["--in-img", image, "--out-dir", out, "--img-id", "picture"]
    return [CARTLOADER, "import_image", "--direct", "--ome2png", "--png2pmtiles", *files, *options]


def _native(*more: str) -> Callable[[Job, Path], list[Command]]:
    return lambda job, out: [import_command(job.image, [*job.options, *more], out)]


def _gdal(job: Job, out: Path) -> list[Command]:
    """The tools by hand, as the Makefile of the field runs them; ``gdaladdo`` works on a copy."""
    tif, first, second = out / "a.tif", out / "a.mbtiles", out / "b.mbtiles"
    levels = [str(1 << step) for step in range(1, len(job.zooms))]
    return [
        ["gdal_translate", "-q", "-of", "GTiff", "-a_srs", "EPSG:3857", "-a_ullr", *job.bounds, job.picture, tif],
        ["gdal_translate", "-q", "-of", "MBTILES", "-ot", "Byte", "-co", "ZOOM_LEVEL_STRATEGY=UPPER",
         "-co", "RESAMPLING=CUBIC", "-co", "BLOCKSIZE=512", tif, first],
        ["cp", first, second],
        ["gdaladdo", "-q", "-r", "cubic", second, *levels],
        ["pmtiles", "convert", "--force", second, out / "picture.pmtiles"],
    ]  # fmt: skip


def _rio(job: Job, out: Path) -> list[Command]:
    """``rio pmtiles`` on a north-up GeoTIFF: it fails on pictures whose y grows with the row."""
    ulx, uly, lrx, lry = job.bounds
    tif = out / "a.tif"
    zooms = f"{job.zooms[0]}..{job.zooms[-1]}"
    alpha = ["--rgba"] if job.bands == 4 else []
    return [
        ["gdal_translate", "-q", "-of", "GTiff", "-a_srs", "EPSG:3857", "-a_ullr", ulx, lry, lrx, uly,
         job.picture, tif],
        ["rio", "pmtiles", tif, out / "picture.pmtiles", "-f", "PNG", "--tile-size", "512", "--zoom-levels", zooms,
         "-j", "2", "--resampling", "cubic", "--silent", *alpha],
    ]  # fmt: skip


def _vips(job: Job, out: Path) -> list[Command]:
    """Resizing and tiling without a place on the map: files in directories."""
    resized, tiles = out / "a.v", out / "tiles"
    return [
        ["vips", "resize", job.picture, resized, f"{job.scale}", "--kernel", "cubic"],
        ["vips", "dzsave", resized, tiles, "--layout", "google", "--tile-size", "512", "--overlap", "0",
         "--suffix", ".png"],
    ]  # fmt: skip


def _peer(*arguments: str | Path) -> Command:
    return [PEERS_PYTHON, Path(__file__).with_name("peers.py"), *arguments]


def _raster_tile(job: Job, out: Path) -> list[Command]:
    """From the GeoTIFF that cartloader made, to files in directories."""
    return [_peer("gdal", job.geotiff, out / "tiles", f"{job.zooms[0]}", f"{job.zooms[-1]}")]


def _newest_vips(job: Job, out: Path) -> list[Command]:
    return [_peer("vips", job.picture, out / "tiles", f"{job.scale}")]


RECIPES = {
    "native": Recipe((), _native(), "picture.pmtiles"),
    "native webp": Recipe((), _native("--tile-format", "webp"), "picture.pmtiles"),
    "engine gdal": Recipe(("gdal_translate", "gdaladdo", "pmtiles"), _native("--engine", "gdal"), "picture.pmtiles"),
    "gdal": Recipe(("gdal_translate", "gdaladdo", "pmtiles"), _gdal, "picture.pmtiles"),
    "rio pmtiles": Recipe(("rio", "gdal_translate"), _rio, "picture.pmtiles"),
    "gdal raster tile": Recipe((PEERS_PYTHON,), _raster_tile, "tiles"),
    "libvips": Recipe(("vips",), _vips, "tiles"),
    "libvips 8.18": Recipe((PEERS_PYTHON,), _newest_vips, "tiles"),
}


def decode_command(job: Job) -> Command:
    """Nothing but decoding the plane with two threads, for the codec that costs more than all the rest."""
    program = (
        "import sys, tifffile\n"
        "with tifffile.TiffFile(sys.argv[1]) as file:\n"
        "    for _ in file.pages.first.segments(maxworkers=2): pass\n"
    )
    return [sys.executable, "-c", program, job.image]


def _png_width(path: Path) -> int:
    with path.open("rb") as file:
        return int.from_bytes(file.read(20)[16:], "big")
