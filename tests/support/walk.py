"""Read mutants in child processes with bounded memory and time: whatever is no error of the project is a finding.

A child is this module run as a program. It takes a line of JSON for each mutant and answers with one.
"""

from __future__ import annotations

import faulthandler
import json
import math
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from cartloader_image.action_params import GeoreferenceParams, Ome2PngParams
from cartloader_image.errors import CartloaderError
from cartloader_image.images.kinds import is_tiff
from cartloader_image.images.source import open_source
from cartloader_image.placing.placement import place
from cartloader_image.window import windows
from support.mutants import AS_IT_IS, Seed, mutant
from support.rasters import params_for

MEMORY = 6 << 30
"""Bytes of address space that a child may take."""
SECONDS = 20
"""Of a processor that reading one mutant may take."""
_PATIENCE = 600
"""Seconds until a child that does not even work is given up."""
_WINDOWS = 12
"""Of a plane that has become huge no more are read."""
_OPTIONS: list[dict[str, Any]] = [
    {"georef_detect": "OME"}, {"stage_position": True, "page": 0}, {"level": 1, "page": 0}, {"series": 1},
    {"channel": "0", "z_project": "max"}, {"channel": "DAPI"}, {"z": 1}, {"georef_bounds": "0,0,30,20", "rotate": 90},
    {"shrink_factor": 2.5, "page": 0}, {"srs": "EPSG:4326"}, {"nodata": "none"}, {"nodata": "7"},
    {"high_memory": True, "page": 0, "pixel_size": "1"}, {"page": 1, "rotate": 270},
]  # fmt: skip


@dataclass
class Walk:
    """What came of some mutants."""

    read: int = 0
    refused: int = 0
    never_read: list[str] = field(default_factory=list)
    """The names of those that were refused."""
    findings: dict[str, list[str]] = field(default_factory=dict)
    """Which mutants, by what happened."""
    slowest: tuple[float, str] = (0.0, "")

    def add(self, name: str, answer: dict[str, Any]) -> None:
        self.read += bool(answer["read"])
        self.refused += not answer["read"]
        self.never_read += [] if answer["read"] else [name]
        self.slowest = max(self.slowest, (answer["seconds"], name))
        for what in answer["findings"]:
            self.findings.setdefault(what, []).append(name)

    def __str__(self) -> str:
        kinds = sorted(self.findings.items(), key=lambda item: -len(item[1]))
        lines = [f"{len(names)} × {what} | {', '.join(names[:3])}" for what, names in kinds]
        head = f"{self.read + self.refused} mutants, {self.read} read, {self.refused} refused"
        return "\n".join([f"{head}, slowest {self.slowest[0]:.1f} s ({self.slowest[1]})", *lines])


def walk(jobs: Sequence[tuple[Seed, int]], children: int = 2) -> Walk:
    """Make and read mutants, given by seed and number, in some child processes at once."""
    with ThreadPoolExecutor(children) as pool:
        shares = list(pool.map(_walk_share, [jobs[turn::children] for turn in range(children)]))
    whole = Walk()
    for share in shares:
        whole.read, whole.refused = whole.read + share.read, whole.refused + share.refused
        whole.slowest = max(whole.slowest, share.slowest)
        whole.never_read += share.never_read
        for what, names in share.findings.items():
            whole.findings.setdefault(what, []).extend(names)
    return whole


def _walk_share(jobs: Sequence[tuple[Seed, int]]) -> Walk:
    done, child = Walk(), None
    try:
        for seed, number in jobs:
            child = child or _Child()
            with tempfile.TemporaryDirectory() as folder:
                for name, data in mutant(seed, number).items():
                    (Path(folder) / name).write_bytes(data)
                answer = child.ask(Path(folder) / seed.picture, number)
            done.add(seed.name if number == AS_IT_IS else f"({seed.name!r}, {number})", answer)
            if not answer["alive"]:
                child = child.close()
    finally:
        if child:
            child.close()
    return done


class _Child:
    """A process that reads mutants, until it dies or hangs on one."""

    def __init__(self) -> None:
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  (as long as the process)
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.walk"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words,
            env=env, text=True, bufsize=1,
        )  # fmt: skip
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n"

    def ask(self, picture: Path, number: int) -> dict[str, Any]:
        """What the child says of a mutant, or what happened to it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([str(picture), number]) + "\n")
        ready, _, _ = select.select([self._process.stdout], [], [], _PATIENCE)
        line = self._process.stdout.readline() if ready else ""
        if line:
            return json.loads(line) | {"alive": True}
        if not ready:
            self._process.kill()
        code = -self._process.wait()
        self._words.seek(0)
        words = self._words.read().decode(errors="replace")
        if code <= 0:
            raise RuntimeError(f"the child ended by itself: {words}")
        frames = [line.strip() for line in words.splitlines() if "File" in line]
        what = {signal.SIGPROF: f"takes more than {SECONDS} s", signal.SIGKILL: "waits for ever"}.get(
            code, f"ends the process by signal {code}"
        )
        where = next((frame for frame in frames if "/cartloader/" in frame), "no frame of ours")
        return {"read": False, "findings": [f"{what} in {where}"], "seconds": SECONDS, "alive": False}

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._words.close()


def _look(picture: Path, options: dict[str, Any]) -> tuple[bool, str | None]:
    """Whether the picture was read, and what left it that is no error of the project."""
    wrong = None
    try:
        known = Ome2PngParams if is_tiff(picture) else GeoreferenceParams
        params = params_for(picture, **{name: value for name, value in options.items() if name in known.model_fields})
        with open_source(params) as source:
            try:
                placement = place(source, params)
                assert all(map(math.isfinite, placement.affine)), "a place that is no place"
                assert min(placement.pixel_size) > 0, "pixels without a size"
            except CartloaderError as error:
                wrong = _no_sentence(error)
            plane = source.plane
            for window in islice(windows(plane.height, plane.width, plane.block), _WINDOWS):
                pixels = plane.read(window)
                assert pixels.shape == (*window.shape, plane.layout.bands), "a window of another shape"
                assert pixels.dtype == plane.dtype, "pixels of another type"
    except CartloaderError as error:
        return False, wrong or _no_sentence(error)
    except BaseException as error:  # noqa: BLE001
        if isinstance(error, MemoryError) and options.get("high_memory"):
            return False, wrong  # as much memory as the file says was allowed, and there is no more
        ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "/cartloader/" in frame.filename]
        last = ours[-1] if ours else traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.filename.rpartition('/cartloader/')[2]}:{last.name}: {last.line}"
        return False, f"{type(error).__name__}: {' '.join(str(error).split())[:120]} in {where}"
    return True, wrong


def _no_sentence(error: Exception) -> str | None:
    """What is wrong with the words of an error of the project."""
    text = str(error)
    return None if text and "\n" not in text and len(text) < 2000 else f"no sentence: {len(text)} letters"


def main() -> None:
    """Answer line by line."""
    faulthandler.enable()
    faulthandler.register(signal.SIGPROF, chain=True)  # says where it was, and ends the process
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print("ready", flush=True)
    for line in sys.stdin:
        picture, number = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        start, read, findings = time.process_time(), False, []
        more = Random(number).choice(_OPTIONS)
        for options in ({}, {"page": 0, "pixel_size": "1"}, more):
            fine, finding = _look(Path(picture), options)
            read |= fine
            if finding and finding not in findings:
                findings.append(finding)
        seconds = time.process_time() - start
        print(json.dumps({"read": read, "findings": findings, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
