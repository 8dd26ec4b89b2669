"""What Prefect costs: ``PREFECT_API_URL=… python benchmarks/orchestration.py`` imports many small images in steps.

Each step adds a part of the dataflow to the one before, so that their differences say what each part costs. The last
lines are one image by the command line, whose difference is mostly the import of Prefect.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import tifffile
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

from cartloader_flows.cli.runs import run_directly
from cartloader_flows.import_images import import_images
from cartloader_image.params import ImportOptions
from cartloader_image.recipe.mapping import mapped_jobs
from cartloader_image.report import quiet
from cartloader_tasks import actions
from cartloader_tasks.limits import HEAVY

OPTIONS = ImportOptions(png2pmtiles=True, update_catalog=True)


def main(argv: Sequence[str]) -> int:
    """Run the steps and print what an image costs in each."""
    parser = argparse.ArgumentParser(description="Measure what Prefect adds to the import of small images.")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5, help="of the command line; medians want 3 or more")
    parser.add_argument(
        "--work", type=Path, default=Path("build/orchestration"), help="directory of inputs and results"
    )
    given = parser.parse_args(argv)
    if not os.environ.get("PREFECT_API_URL"):
        parser.error("set PREFECT_API_URL: a server that starts for the run would be measured too")
    mapping = _inputs(given.work, given.images, given.size)
    out = given.work / "map"

    def flow() -> None:
        import_images(mapping, out, OPTIONS, n_jobs=given.n_jobs)

    jobs = mapped_jobs(mapping, out, OPTIONS)
    page = actions.record_image
    cached = {name: getattr(actions, name) for name in ("ome2png", "png2pmtiles")}
    print(f"{given.images} images of {given.size}² pixels, {given.n_jobs} at a time; ms an image")
    print(f"{'':<44}{'wall':>8}{'CPU':>8}")
    _step("the work itself (--direct)", given, lambda: run_directly(jobs, given.n_jobs, lambda _: quiet))
    actions.record_image = lambda _: None
    for name, task in cached.items():
        setattr(actions, name, task.with_options(cache_policy=NO_CACHE, persist_result=False))
    _step("and task runs: states, logs, progress", given, flow)
    for name, task in cached.items():
        setattr(actions, name, task)
    _step("and the cache: digests, locks, results", given, flow)
    actions.record_image = page
    _step("and a page about each image", given, flow)
    with _limited(given.n_jobs):
        _step("and a slot of a limit that lets all work", given, flow)
    _step("all of it again, nothing to do", given, flow, keep=True)
    _one_image(given.work, given.runs)
    return 0


def _inputs(work: Path, images: int, size: int) -> Path:
    folder = work.absolute() / "inputs"
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    metadata = {"axes": "YX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2}
    for number in range(images):
        pixels = random.integers(0, 4000, (size, size), dtype=np.uint16)
        tifffile.imwrite(folder / f"{number}.ome.tif", pixels, metadata=metadata)
    mapping = folder / "images.yaml"
    mapping.write_text("".join(f"i{number}: {number}.ome.tif\n" for number in range(images)))
    return mapping


@contextmanager
def _limited(slots: int) -> Iterator[None]:
    """A limit for the time of the context, as the docs have an operator set it."""
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=HEAVY, limit=slots))
        try:
            yield
        finally:
            client.delete_global_concurrency_limit_by_name(HEAVY)


def _step(name: str, given: argparse.Namespace, work: Callable[[], object], *, keep: bool = False) -> None:
    if not keep:
        shutil.rmtree(given.work / "map", ignore_errors=True)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    per_image = 1000 / given.images
    wall, cpu = (time.perf_counter() - wall) * per_image, (time.process_time() - cpu) * per_image
    print(f"{name:<44}{wall:>8.0f}{cpu:>8.0f}", flush=True)


def _one_image(work: Path, runs: int) -> None:
    argv = ["import_image", "--png2pmtiles", "--in-img", work / "inputs" / "0.ome.tif", "--img-id", "one"]
    argv += ["--out-dir", work / "one", "--restart"]
    program = Path(sys.executable).with_name("cartloader")
    commands = {
        "--direct": [program, *argv, "--direct"],
        "as a flow": [program, *argv],
        "import of Prefect alone": [sys.executable, "-c", "import cartloader_flows.import_images"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - start)
    print(f"one image by the command line, s, median of {runs}")
    for name, found in seconds.items():
        print(f"{name:<44}{statistics.median(found):>8.2f}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
