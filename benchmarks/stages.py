"""Where the processor's time goes: ``python benchmarks/stages.py IMAGE [OPTIONS]`` imports an image and adds it up.

Each stage is a function of cartloader; its time is that of its own thread on a processor, without the stages that it
calls. Waiting does not count.
"""

from __future__ import annotations

import functools
import importlib
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

STAGES = {
    "decode": [
        "cartloader_image.images.tiff_plane:TiffPlane.read",
        "cartloader_image.images.picture:PicturePlane.read",
    ],
    "histogram": ["cartloader_image.intensity:_Statistics._count"],
    "rescale, colour": ["cartloader_image.intensity:Rescale.__call__"],
    "scratch, GeoTIFF": [
        "cartloader_image.images.spool:Spooled.read",
        "cartloader_image.rasters.store:TileStore.read",
        "cartloader_image.rasters.store:TileStore.write",
    ],
    "filter rows": ["cartloader_image.rasters.png:_filtered"],
    "deflate the PNG": ["cartloader_image.recipe.actions:deflate_band", "cartloader_image.rasters.png:PngWriter.write"],
    "resample": [f"cartloader_image.tiles.levels:{level}.read" for level in ("Resampled", "Askew", "Warped")],
    "halve": ["cartloader_image.tiles.pyramid:halved"],
    "alpha": ["cartloader_image.tiles.resampling:premultiplied", "cartloader_image.tiles.pyramid:straight"],
    "cut tiles": ["cartloader_image.tiles.pyramid:Cutter._cut"],
    "compress tiles": ["cartloader_image.tiles.encode:encode_png", "PIL.Image:Image.save"],
    "archive": ["cartloader_image.tiles.archive:ArchiveWriter.add", "cartloader_image.tiles.archive:_copy"],
    "verify": ["cartloader_image.engines.native:prove"],
    "digest of the input": ["cartloader_image.recipe.actions:sha256"],
}
"""The functions of each stage, by the names that their callers know."""

_spent: dict[str, float] = defaultdict(float)
_nested = threading.local()


def _timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        outer = getattr(_nested, "inner", 0.0)
        _nested.inner, start = 0.0, time.thread_time()
        try:
            return function(*args, **kwargs)
        finally:
            whole = time.thread_time() - start
            _spent[stage] += whole - _nested.inner
            _nested.inner = outer + whole

    return wrapper


def main(argv: list[str]) -> int:
    """Import the image and print the stages, the most expensive first."""
    for stage, places in STAGES.items():
        for place in places:
            module, _, name = place.partition(":")
            owner: Any = importlib.import_module(module)
            *outer, last = name.split(".")
            for part in outer:
                owner = getattr(owner, part)
            setattr(owner, last, _timed(stage, getattr(owner, last)))
    from cartloader_flows.cli.main import main as cartloader  # noqa: PLC0415  (after the stages are in place)

    before = time.process_time()
    with tempfile.TemporaryDirectory(dir=".") as out:
        image, *options = argv
        base = ["--direct", "--ome2png", "--png2pmtiles", "--in-img", image, "--out-dir", out, "--img-id", "picture"]
        code = cartloader(["import_image", *base, *options])
    total = time.process_time() - before
    _spent["all else"] = total - sum(_spent.values())
    for stage, seconds in sorted(_spent.items(), key=lambda item: -item[1]):
        print(f"{stage:<20}{seconds:>7.2f} s{seconds / total:>7.1%}")
    print(f"{'together':<20}{total:>7.2f} s")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
