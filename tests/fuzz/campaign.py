"""Many cases in some zygotes at once, and what came of them by kind."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any, Self

from fuzz.seeds import seeds
from fuzz.zygote import SECONDS, case

TESTS = Path(__file__).parents[1]
KEPT = TESTS.parent / "build" / "fuzz"
"""Where the files of findings are kept."""


@dataclass
class Kind:
    """What came of the cases of one kind."""

    done: int = 0
    refused: int = 0
    slowest: tuple[float, str] = (0.0, "")
    """Seconds of processors, and the case."""
    largest: tuple[float, str] = (0.0, "")
    """Megabytes beyond those of the zygote, and the case."""
    never_done: list[str] = field(default_factory=list)


@dataclass
class Campaign:
    """What came of all cases so far."""

    word: str
    kinds: dict[str, Kind] = field(default_factory=dict)
    findings: dict[str, list[str]] = field(default_factory=dict)
    """Cases by what happened in them."""

    @property
    def done(self) -> int:
        return sum(kind.done for kind in self.kinds.values())

    @property
    def count(self) -> int:
        return sum(kind.done + kind.refused for kind in self.kinds.values())

    def add(self, kind_name: str, name: str, number: int, answer: dict[str, Any]) -> None:
        """Take note of an answer."""
        case = f"{number} ({name})"
        kind = self.kinds.setdefault(kind_name, Kind())
        kind.done += bool(answer["done"])
        kind.refused += not answer["done"]
        kind.never_done += [] if answer["done"] else [name]
        kind.slowest = max(kind.slowest, (answer["seconds"], case))
        kind.largest = max(kind.largest, (answer["megabytes"], case))
        for what in answer["findings"]:
            self.findings.setdefault(what, []).append(case)

    def __str__(self) -> str:
        lines = [f"campaign {self.word!r}", f"{'kind':<10} {'cases':>7} {'done':>7} {'refused':>8}  slowest, largest"]
        for name, kind in sorted(self.kinds.items()):
            (seconds, slow), (megabytes, large) = kind.slowest, kind.largest
            counts = f"{kind.done + kind.refused:>7,} {kind.done:>7,} {kind.refused:>8,}"
            lines.append(f"{name:<10} {counts}  {seconds:.2f} s by {slow}, {megabytes:.0f} MB by {large}")
        found = sorted(self.findings.items(), key=lambda item: -len(item[1]))
        lines += [f"{len(cases)} × {what} | cases {', '.join(cases[:3])}" for what, cases in found]
        return "\n".join([*lines, f"{self.count:,} cases, {len(found)} findings"])


class Zygotes:
    """Some zygotes with the same seeds."""

    def __init__(self, count: int | None = None, seconds: float = SECONDS) -> None:
        self._folder = tempfile.TemporaryDirectory()
        home = Path(self._folder.name)
        (home / "seeds").mkdir()
        self.seeds = seeds(home / "seeds")
        (home / "pickled").write_bytes(pickle.dumps(self.seeds))
        turns = range(count or os.cpu_count() or 1)
        self._idle = [_Zygote(home / "pickled", home / f"words-{turn}", seconds) for turn in turns]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for zygote in self._idle:
            zygote.close()
        self._folder.cleanup()

    def run(self, word: str, numbers: Iterable[int], tell: Callable[[Campaign], None] = lambda _: None) -> Campaign:
        """The cases of these numbers; ``tell`` hears of each that has ended."""
        campaign = Campaign(word)

        def one(number: int) -> tuple[int, dict[str, Any]]:
            zygote = self._idle.pop()
            try:
                return number, zygote.ask(word, number)
            finally:
                self._idle.append(zygote)

        with ThreadPoolExecutor(len(self._idle)) as pool:
            for number, answer in pool.map(one, numbers):
                campaign.add(*self._named(word, number), number, answer)
                tell(campaign)
        return campaign

    def _named(self, word: str, number: int) -> tuple[str, str]:
        """The kind of a case, and the name of its seed."""
        if number < 0:
            return [(kind, seed.name) for kind, some in self.seeds.items() for seed in some][-1 - number]
        kind, seed, _ = case(self.seeds, word, number)
        return kind, seed.name


class _Zygote:
    """One of them, as seen from here."""

    def __init__(self, seeds: Path, words: Path, seconds: float) -> None:
        paths = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
        env = os.environ | {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"}  # no threads where it forks
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fuzz.zygote", str(seeds), str(words), str(seconds)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env=env, text=True, bufsize=1,
        )  # fmt: skip
        self._is_ready = False

    def ask(self, word: str, number: int) -> dict[str, Any]:
        """What came of a case; its files are kept where that is no good."""
        assert self._process.stdin
        assert self._process.stdout
        if not self._is_ready:
            assert self._process.stdout.readline() == "ready\n"
            self._is_ready = True
        with tempfile.TemporaryDirectory() as folder:
            self._process.stdin.write(json.dumps([word, number, folder]) + "\n")
            answer: dict[str, Any] = json.loads(self._process.stdout.readline())
            if answer["findings"]:
                kept = KEPT / f"{word}-{number}"
                rmtree(kept, ignore_errors=True)
                copytree(folder, kept)
                (kept / "finding.txt").write_text("\n".join(answer["findings"]) + "\n")
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
