"""The finest tiles of one picture, cut by several processes: of many cores, Python's lock keeps most waiting in one.

A shard is a run of chunks of the first pass (see `cartloader_image.tiles.pyramid`). Each is a call of this module as a
program, and so is watched, tried again and told of like a call of any tool. What it makes does not depend on how many
shards there are, nor do the bytes of the archive.

What processes share is a directory: ``shards.json`` says what is to be done, and that it still is; ``shard-N`` holds
the tiles of one, ``shard-N.npy`` its index, and ``shard-N.done`` the number of tiles that are done.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel

from cartloader_image.action_params import Png2PmtilesParams
from cartloader_image.engines.common import cutting, timeout
from cartloader_image.rasters.geotiff import open_geotiff
from cartloader_image.report import Report, Stage
from cartloader_image.results import ToolUse
from cartloader_image.system.parallel import cores
from cartloader_image.system.tools import Finished, RunTool, ToolCall
from cartloader_image.tiles.archive import ArchiveWriter
from cartloader_image.tiles.grid import Pyramid
from cartloader_image.tiles.spool import Spool

_JOB = "shards.json"
_TICK = 0.1
"""Seconds between two looks at what is done."""
_WORTH = 1 << 31
"""Pixels of the finest zoom from which ``auto`` takes shards."""
_SHARE = 1 << 28
"""Pixels that a shard should have: to start its process takes as long as to make four million."""


class _Job(BaseModel):
    tif: Path
    params: Png2PmtilesParams
    threads: int


def count_of(params: Png2PmtilesParams, pyramid: Pyramid) -> int:
    """How many shards there are to be: as many as are asked for, or are worth it."""
    if params.shards != "auto":
        return params.shards or 1
    rows, columns = pyramid.extent(pyramid.base_zoom).shape
    return max(min(cores(), rows * columns // _SHARE), 1) if rows * columns >= _WORTH else 1


@dataclass
class Shards:
    """The processes of one picture."""

    count: int
    tif: Path
    params: Png2PmtilesParams
    pyramid: Pyramid
    scratch: Path
    uses: list[ToolUse] = field(default_factory=list)
    """What the calls took; there at the end."""

    def cut(self, writer: ArchiveWriter, report: Report, run_tool: RunTool) -> Iterator[int]:
        """Have the tiles of the first pass cut, and given to the writer; how many at each step.

        Raises:
            ToolError: a process failed, as often as it is tried.
        """
        job = _Job(tif=self.tif.absolute(), params=self.params, threads=max(cores() // self.count, 1))
        (self.scratch / _JOB).write_text(job.model_dump_json())
        with ThreadPoolExecutor(self.count) as pool:
            calls = [self._call(number) for number in range(self.count)]
            futures = [pool.submit(copy_context().run, run_tool, call, report) for call in calls]
            try:
                yield from self._counted(futures)
            finally:
                (self.scratch / _JOB).unlink()  # which ends those that are still at work
        for call, future in zip(calls, futures, strict=True):
            writer.take(self.scratch / str(call.makes))
            self.uses.append(future.result().use)

    def _counted(self, futures: list[Future[Finished]]) -> Iterator[int]:
        """Wait for all, or for the first that fails; how many more tiles are done at each look."""
        told, left = 0, set(futures)
        while left:
            done, left = wait(left, _TICK)
            for future in done:
                future.result()
            now = sum(_done(self.scratch, number) for number in range(self.count))
            yield max(now - told, 0)  # a shard that is tried again begins at 0
            told = max(now, told)

    def _call(self, number: int) -> ToolCall:
        return ToolCall(
            img_id=self.params.out.img_id,
            stage=Stage.PNG2PMTILES,
            part=f"shard {number + 1} of {self.count}",
            program=Path(sys.executable),
            arguments=("-P", "-m", "cartloader_image.engines.shards", str(number), str(self.count)),
            folder=self.scratch.absolute(),
            timeout=timeout(self.params, self.pyramid),
            makes=f"shard-{number}",
            counts=False,
        )


def _done(scratch: Path, number: int) -> int:
    try:
        return int((scratch / f"shard-{number}.done").read_bytes())
    except (OSError, ValueError):  # it has not begun
        return 0


def main(argv: list[str]) -> None:
    """Cut a shard: its number and how many there are."""
    number, count = map(int, argv)
    job, spool = _Job.model_validate_json(Path(_JOB).read_bytes()), Spool(Path(f"shard-{number}"))
    with open_geotiff(job.tif) as placed, Path(f"shard-{number}.done").open("wb", buffering=0) as said:
        _, cutter = cutting(placed, job.params, Path(), job.threads)
        done = 0
        for some in cutter.shard(number, count, spool.add):
            done += some
            said.seek(0)
            said.write(b"%20d" % done)
            if not Path(_JOB).exists():
                sys.exit("another shard failed")
    spool.save()


if __name__ == "__main__":
    main(sys.argv[1:])
