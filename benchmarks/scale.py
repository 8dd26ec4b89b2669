"""How shards would do on more cores than there are: ``python benchmarks/scale.py IMAGE [SIDE [CORES …]]``.

A picture of SIDE² pixels of IMAGE's kind is imported, with as many shards as there would be cores. Its shards are real
processes, on one core each, but one after the other; what they took counts as long as the longest. The first action,
the coarser zooms and the joining are simulated (`simulate.py`).

Before that it is measured what one and two single-threaded shards really take, on one core and on two, beside what the
same prediction says if no more is simulated than the second core. Memory and disks that many cores share are not
simulated.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from simulate import USABLE, Waited, alike, asked, done_by, measure

from cartloader_image.action_params import Ome2PngParams, OutputPrefix, Png2PmtilesParams
from cartloader_image.recipe import actions
from cartloader_image.report import Report, quiet
from cartloader_image.system.tools import Finished, RunTool, ToolCall, run


def on_core(core: int, call: ToolCall, report: Report) -> Finished:
    """Run a call on one core."""
    words = ("-c", str(core), str(call.program), *call.arguments)
    return run(call.model_copy(update={"program": Path("/usr/bin/taskset"), "arguments": words}), report)


class OneByOne:
    """Runs each call alone, on one core, and remembers what it took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._turn = threading.Lock()

    def __call__(self, call: ToolCall, report: Report) -> Finished:
        """Wait for its turn."""
        with self._turn:
            start = time.perf_counter()
            finished = on_core(USABLE[0], call, report)
            self.seconds.append(time.perf_counter() - start)
        return finished


def cut(out: OutputPrefix, count: int, run_tool: RunTool) -> float:
    """Cut the tiles of a picture that is there in so many single-threaded shards; seconds."""
    start = time.perf_counter()
    actions.png2pmtiles(Png2PmtilesParams(out=out, shards=count), quiet, run_tool)
    return time.perf_counter() - start


def predicted(out: OutputPrefix, count: int) -> float:
    """The same, as on a core for each shard."""
    alone = OneByOne()
    whole = cut(out, count, alone)
    return whole - sum(alone.seconds) + max(alone.seconds, default=0)


def main(argv: list[str]) -> int:
    """Print the times."""
    image, page, tile, side, counts = asked(argv)
    measured = measure(image, page)
    with tempfile.TemporaryDirectory(dir=".") as folder:
        out = OutputPrefix(out_dir=Path(folder, "map"), img_id="picture")
        first = Ome2PngParams(in_img=alike(page, side, folder), out=out, pixel_size="0.5")
        seconds = {}
        for count in counts:
            with done_by(Waited(measured, count), count, side * side, tile):
                start = time.perf_counter()
                actions.ome2png(first)
                seconds[count] = time.perf_counter() - start
        write_alike(tile, first)
        os.sched_setaffinity(0, USABLE[:1])
        alone = cut(out, 1, run)
        os.sched_setaffinity(0, USABLE)
        both = cut(out, 2, lambda call, report: on_core(USABLE[int(call.arguments[-2])], call, report))
        print(f"{side}², tiles: one core {alone:.2f} s, two {both:.2f} s ({alone / both:.2f} ×)", end="")
        print(f", predicted {predicted(out, 2):.2f} s")
        simulated = {}
        for count in counts:
            with done_by(Waited(measured, count), count, side * side, tile):
                simulated[count] = predicted(out, count)
        whole = simulated[counts[0]] + seconds[counts[0]]
        for count in counts:
            efficient = whole * counts[0] / (seconds[count] + simulated[count]) / count
            took = f"ome2png {seconds[count]:>6.2f} s, png2pmtiles {simulated[count]:>6.2f} s"
            print(f"{count:>3} cores: {took}, {efficient:>4.0%} efficient")
    return 0


def write_alike(tile: Any, params: Ome2PngParams) -> None:
    """Make the GeoTIFF of a picture all of whose tiles are this one: really."""
    side = tifffile.TiffFile(params.in_img).pages.first.imagelength
    big = params.in_img.with_name("big.tif")
    rows = np.tile(tile, (1, side // tile.shape[1], 1))
    pieces = (piece for _ in range(side // tile.shape[0]) for piece in np.split(rows, side // tile.shape[1], axis=1))
    tifffile.imwrite(big, pieces, shape=(side, side, tile.shape[2]), dtype=tile.dtype, tile=tile.shape[:2])
    actions.ome2png(params.model_copy(update={"in_img": big}))
    big.unlink()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
