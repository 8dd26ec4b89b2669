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
import warnings
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

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


class Case(NamedTuple):
    """A mutant: of which seed, and its files."""

    kind: str
    name: str
    files: dict[str, bytes]

    @classmethod
    def of(cls, seeds: dict[str, list[Any]], word: str, number: int) -> Case:
        """The case of a number in the campaign of a word; a negative number stands for a seed as it is."""
        from fuzz.mutators import mutated  # noqa: PLC0415  (see main)
        from fuzz.seeds import WEIGHTS  # noqa: PLC0415

        if number < 0:
            kind, seed = [(kind, seed) for kind, some in seeds.items() for seed in some][-1 - number]
            return cls(kind, seed.name, seed.files)
        random = Random(f"{word} {number}")
        kinds = [kind for kind in WEIGHTS if seeds[kind]]
        [kind] = random.choices(kinds, [WEIGHTS[kind] for kind in kinds])
        seed = random.choice(seeds[kind])
        return cls(kind, seed.name, mutated(seed.files, random))


def attempt(seeds: dict[str, list[Any]], word: str, number: int, folder: Path) -> dict[str, Any]:
    """Make a mutant in a directory, and try with it what is tried with its kind."""
    from fuzz.targets import TARGETS, Tried, picture  # noqa: PLC0415  (see main)

    case, tried = Case.of(seeds, word, number), Tried()
    for name, data in case.files.items():
        (folder / name).write_bytes(data)
    TARGETS.get(case.kind, picture)(tried, folder / next(iter(case.files)), Random(f"{word} {number} options"))
    return {"kind": case.kind, "name": case.name, "done": tried.done, "findings": tried.findings}


class _Child:
    """A fork of this process that tries cases; each has processors, memory and disk up to their limits."""

    def __init__(self, seeds: dict[str, list[Any]], words: Any, seconds: float) -> None:
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
            finally:
                os._exit(status)  # nothing of the zygote's own ends with it
        os.close(requests), os.close(answers)
        self._pid = pid

    def _serve(self, seeds: dict[str, list[Any]], requests: int, answers: int) -> None:
        os.setsid()
        with os.fdopen(requests) as lines:
            for line in lines:
                word, number, folder = json.loads(line)
                Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins here
                before, addresses = _kilobytes("VmRSS"), 1024 * _kilobytes("VmSize") + _ADDRESSES
                resource.setrlimit(resource.RLIMIT_AS, (addresses, resource.RLIM_INFINITY))
                signal.setitimer(signal.ITIMER_PROF, self._seconds)
                start = time.process_time()
                os.chdir(folder)
                answer = attempt(seeds, word, number, Path(folder))
                answer["seconds"] = time.process_time() - start
                signal.setitimer(signal.ITIMER_PROF, 0)
                answer["megabytes"] = max(_kilobytes("VmHWM") - before, 0) / 1000
                os.write(answers, json.dumps(answer).encode() + b"\n")

    def ask(self, request: str) -> dict[str, Any]:
        """What it says of a case, or what has become of it; then it is at its end."""
        os.write(self._requests, request.encode())
        answer, hangs = b"", False
        while not answer.endswith(b"\n"):
            ready, _, _ = select.select([self._answers], [], [], _PATIENCE)
            hangs = not ready
            if not (part := os.read(self._answers, 1 << 16) if ready else b""):
                return {
                    "done": False,
                    "findings": [self._ending(hangs=hangs)],
                    "seconds": self._seconds,
                    "megabytes": 0,
                }
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
        where = next((frame for frame in frames if "/cartloader_" in frame), frames[0] if frames else said[-500:])
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
    """Load what the children need, so that none of them has to."""
    import imagecodecs  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    modules = (
        "rasterio.warp cartloader_image.images.picture cartloader_image.inspection.archives fuzz.mutators fuzz.targets"
    )
    for module in [*modules.split(), "cartloader_image.inspection.catalogs", "cartloader_image.inspection.pictures"]:
        import_module(module)
    Image.init()
    for codec in [
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
        "zlib",
        "zstd",
    ]:
        getattr(imagecodecs, f"{codec}_decode", None)


if __name__ == "__main__":
    main()
