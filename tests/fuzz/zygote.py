"""A process that has all modules loaded and forks children, which try one mutant after another within limits.

It is this module run as a program, with the pickled seeds of a campaign in a file. It takes a line of JSON for each
case (the word of the campaign, a number and a directory) and answers with one: what the child found, or what became of
it. A child that dies takes nothing along, one that hangs is killed, and none lives for long: a fork costs as much as
five cases.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import pickle
import resource
import select
import signal
import sys
import time
import traceback
import warnings
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

import imagecodecs
from PIL import Image

from fuzz.mutators import mutated
from fuzz.seed import Seed
from fuzz.seeds import WEIGHTS
from fuzz.targets import TARGETS, Tried, picture

SECONDS = 5
"""Of processors that a case may take, on a machine that has nothing else to do."""
MEGABYTES = 512
"""That a case may take beyond what the zygote has."""
_CASES = 25
"""Of one child."""
_PATIENCE = 60
"""Seconds until a child that does not even work is given up."""
_ADDRESSES, _FILE = 4 << 30, 1 << 30
"""Bytes of address space beyond the zygote's, and of a file: what is larger would harm the machine."""


def case(seeds: dict[str, list[Seed]], word: str, number: int) -> tuple[str, Seed, Random]:
    """The kind and the seed of a case, and what its changes follow from."""
    random = Random(f"{word} {number}")
    kinds = [kind for kind in WEIGHTS if seeds[kind]]
    [kind] = random.choices(kinds, [WEIGHTS[kind] for kind in kinds])
    return kind, random.choice(seeds[kind]), random


def files_of(seeds: dict[str, list[Seed]], word: str, number: int) -> tuple[str, dict[str, bytes]]:
    """The kind of a case and its files; a negative number stands for a seed as it is."""
    if number < 0:
        return [(kind, seed.files) for kind, some in seeds.items() for seed in some][-1 - number]
    kind, seed, random = case(seeds, word, number)
    return kind, mutated(seed.files, random)


class _Child:
    """A fork of this process that tries cases; each has processors, memory and disk up to their limits."""

    def __init__(self, seeds: dict[str, list[Seed]], words: Any, seconds: float) -> None:
        words.seek(0)
        words.truncate()
        self._words, self._seconds, self._left, self.is_at_its_end = words, seconds, _CASES, False
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        if not (pid := os.fork()):
            status = 1
            try:
                os.close(self._requests), os.close(self._answers)
                self._serve(seeds, requests, answers)
                status = 0
            except BaseException:  # noqa: BLE001
                traceback.print_exc(file=words)
                words.flush()
            finally:
                os._exit(status)  # nothing of the zygote's own ends with it
        os.close(requests), os.close(answers)
        self._pid = pid

    def _serve(self, seeds: dict[str, list[Seed]], requests: int, answers: int) -> None:
        os.setsid()
        with os.fdopen(requests) as lines:
            for line in lines:
                word, number, folder = json.loads(line)
                kind, files = files_of(seeds, word, number)
                for name, data in files.items():
                    Path(folder, name).write_bytes(data)
                os.chdir(folder)
                Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins here
                before, addresses = _kilobytes("VmRSS"), 1024 * _kilobytes("VmSize") + _ADDRESSES
                resource.setrlimit(resource.RLIMIT_AS, (addresses, resource.RLIM_INFINITY))
                signal.setitimer(signal.ITIMER_PROF, self._seconds)
                start, tried = time.process_time(), Tried()
                TARGETS.get(kind, picture)(tried, Path(folder) / next(iter(files)), Random(f"{word} {number} options"))
                seconds = time.process_time() - start
                signal.setitimer(signal.ITIMER_PROF, 0)
                megabytes = max(_kilobytes("VmHWM") - before, 0) / 1000
                answer = {"done": tried.done, "findings": tried.findings, "seconds": seconds, "megabytes": megabytes}
                os.write(answers, json.dumps(answer).encode() + b"\n")

    def ask(self, request: str) -> dict[str, Any]:
        """What it says of a case, or what has become of it; then it is at its end."""
        os.write(self._requests, request.encode())
        answer, hangs = b"", False
        while not answer.endswith(b"\n"):
            ready, _, _ = select.select([self._answers], [], [], _PATIENCE)
            hangs = not ready
            if not (part := os.read(self._answers, 1 << 16) if ready else b""):
                finding = self._ending(hangs=hangs)
                return {"done": False, "findings": [finding], "seconds": self._seconds, "megabytes": 0}
            answer += part
        said: dict[str, Any] = json.loads(answer)
        if said["megabytes"] > MEGABYTES:
            said["findings"].append(f"takes {said['megabytes'] / 100:.0f}00 MB")
        self._left -= 1
        if not self._left:
            self._end()
        return said

    def _end(self) -> int:
        """Let it end; gives how it did."""
        self.is_at_its_end = True
        os.close(self._requests), os.close(self._answers)
        return os.waitpid(self._pid, 0)[1]

    def _ending(self, *, hangs: bool) -> str:
        """How it ended, and where."""
        if hangs:
            os.kill(self._pid, signal.SIGKILL)
        status = self._end()
        self._words.seek(0)
        said = self._words.read()
        frames = [line.strip() for line in said.splitlines() if "File" in line]
        where = next((frame for frame in frames if "/cartloader_" in frame), said[-300:])
        number = os.WTERMSIG(status)
        what = "waits for ever" if hangs else f"takes more than {self._seconds:g} s" if number == signal.SIGPROF else ""
        ending = what or f"ends by signal {number}, code {os.WEXITSTATUS(status)}"
        return f"{ending} in {where.rpartition('/cartloader_')[2]}"


def _kilobytes(field: str) -> int:
    """What this process's status says of its memory."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def main() -> None:
    """Answer line by line."""
    warnings.simplefilter("ignore")
    seeds = pickle.loads(Path(sys.argv[1]).read_bytes())
    _load()
    with Path(sys.argv[2]).open("w+", encoding="utf-8", errors="replace") as words:
        faulthandler.enable(words)
        faulthandler.register(signal.SIGPROF, words, chain=True)  # says where it was, and ends the process
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE, _FILE))
        gc.freeze()
        print("ready", flush=True)
        child = None
        for line in sys.stdin:
            child = child or _Child(seeds, words, float(sys.argv[3]))
            print(json.dumps(child.ask(line)), flush=True)
            if child.is_at_its_end:
                child = None


def _load() -> None:
    """Load what the children need beside what is imported here, so that none of them has to."""
    modules = ("rasterio.warp", *(f"cartloader_image.{name}" for name in (
        "images.picture", "inspection.archives", "inspection.catalogs", "inspection.pictures",
    )))  # fmt: skip
    for module in modules:
        import_module(module)
    Image.init()
    for codec in (
        "deflate",
        "imcd",
        "jpeg2k",
        "jpeg8",
        "jpegxl",
        "lerc",
        "lzma",
        "lzw",
        "packbits",
        "png",
        "webp",
        "zstd",
    ):
        getattr(imagecodecs, f"{codec}_decode", None)


if __name__ == "__main__":
    main()
