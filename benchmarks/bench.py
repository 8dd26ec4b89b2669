"""Side by side with the peers: ``python benchmarks/bench.py`` makes its inputs, runs all in turn, prints tables.

Each round runs every recipe once, so that a machine that grows slower for a while slows all of them; what is quoted are
medians over the rounds and the ratio of each round. Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from inputs import make_input
from measure import Cost, measure
from recipes import COLOURED, RECIPES, Job, decode_command, import_command

from cartloader_image.tiles.reader import reading

CASES = {"rgb": ("rgb", []), "colour": ("uint16", COLOURED), "grey": ("uint16", []), "jpeg2000": ("jpeg2000", [])}
"""Input and options by the name of a case; ``colour`` has quantiles, a colour and transparency: RGBA tiles."""
ONE_BAND = {"grey", "jpeg2000"}
"""Cases whose tiles are grey, which ``rio pmtiles`` does not make."""


def main(argv: Sequence[str]) -> int:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description="Measure cartloader beside its peers; inputs and results are kept.")
    parser.add_argument("--size", type=int, nargs="+", default=[4096, 8192, 16384], help="pixels a side (also 32768)")
    parser.add_argument("--case", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--recipe", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--runs", type=int, default=3, help="rounds; medians want 3 or more")
    parser.add_argument("--work", type=Path, default=Path("build/benchmarks"), help="directory of inputs and results")
    given = parser.parse_args(argv)
    recipes = []
    for name in given.recipe:
        if missing := RECIPES[name].missing():
            print(f"{name} is left out: {', '.join(missing)} not installed")
        else:
            recipes.append(name)
    for size in given.size:
        for case in given.case:
            _case(case, size, recipes, given.runs, given.work.absolute())
    return 0


def _case(case: str, size: int, recipes: list[str], runs: int, work: Path) -> None:
    kind, options = CASES[case]
    job = _prepared(make_input(kind, size, work / "inputs"), options, work / "prepared" / f"{case}-{size}")
    names = [name for name in recipes if not (name == "rio pmtiles" and case in ONE_BAND)]
    costs: dict[str, list[Cost]] = {name: [] for name in names}
    sizes: dict[str, int] = {}
    if case == "jpeg2000":
        costs["bare decode"] = []
    for _ in range(runs):
        for name, measured in costs.items():
            out = work / "out"
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir()
            os.sync()  # what the one before left to be written is not this one's work
            commands = [decode_command(job)] if name == "bare decode" else RECIPES[name].commands(job, out)
            total = Cost(0, 0, 0)
            for command in commands:
                total += measure(command, work)
            measured.append(total)
            sizes[name] = _bytes(out / RECIPES[name].result) if name in RECIPES else 0
            shutil.rmtree(out)
    print(_table(f"{case} {size}²: {kind}, {len(job.zooms)} zooms, median of {runs}", size, costs, sizes), flush=True)


def _prepared(image: Path, options: list[str], folder: Path) -> Job:
    """What the peers start from, by an import that is not counted."""
    measure(import_command(image, options, folder), image.parent)
    with reading(folder / "picture.pmtiles") as archive:
        header = archive.header
    return Job(
        image=image,
        options=options,
        picture=folder / "picture.transform.png",
        geotiff=folder / "picture.geotif.tif",
        bounds=(folder / "picture.transform.bounds.csv").read_text().strip().split(","),
        zooms=range(header.min_zoom, header.max_zoom + 1),
        bands={"mono": 1, "rgb": 3, "rgba": 4}[(folder / "picture.transform.color.csv").read_text().strip()],
    )


def _bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*.png")) if path.is_dir() else path.stat().st_size


def _table(title: str, size: int, costs: dict[str, list[Cost]], sizes: dict[str, int]) -> str:
    """One line per recipe; times and bytes also as multiples of the first recipe's, round by round."""
    first = next(iter(costs))
    lines = [
        title,
        f"{'':<17}{'wall':>9}{'CPU':>9}{'MP/s':>8}{'peak':>9}{'bytes':>9}{'time ×':>8}{'CPU ×':>8}{'bytes ×':>8}",
    ]
    for name, measured in costs.items():
        wall = statistics.median(cost.wall for cost in measured)
        cpu = statistics.median(cost.cpu for cost in measured)
        peak = statistics.median(cost.peak for cost in measured)
        rounds = list(zip(measured, costs[first], strict=True))
        longer = statistics.median(one.wall / other.wall for one, other in rounds)
        dearer = statistics.median(one.cpu / other.cpu for one, other in rounds)
        pixels = size * size / 1e6
        lines.append(
            f"{name:<17}{wall:>7.1f} s{cpu:>7.1f} s{pixels / wall:>8.1f}{peak / 1e6:>6.0f} MB"
            f"{sizes[name] / 1e6:>6.0f} MB{longer:>8.2f}{dearer:>8.2f}{sizes[name] / max(sizes[first], 1):>8.2f}"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
