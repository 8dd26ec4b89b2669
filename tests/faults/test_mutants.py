"""Damaged and senseless files: read, or refused by an error of the project; never another exception, a crash, a hang.

To look at one that is named in a failure: ``mutant(seed, number)``, where the seed is the one of that name.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.mutants import AS_IT_IS, ROUND, Seed
from support.seeds import seeds
from support.walk import walk

SAMPLES = Path(__file__).parents[2].parent / "shared" / "samples"
QUICK, MANY = 6, 40
"""Mutants of each seed."""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> list[Seed]:
    return seeds(tmp_path_factory.mktemp("seeds"), SAMPLES)


def check(planted: list[Seed], numbers: range, at_least: int) -> None:
    jobs = [(seed, number) for seed in planted for number in numbers]
    assert len(jobs) >= at_least
    found = walk(jobs)
    print(f"round {ROUND!r}: {found}")
    assert found.read + found.refused == len(jobs)
    assert found.read > len(jobs) / 10  # not all are so damaged that nothing is tried
    assert not found.findings, str(found)


def test_seeds_are_read(planted: list[Seed]) -> None:
    """Else their mutants would be refused for nothing."""
    assert len({seed.name for seed in planted}) == len(planted)
    assert len(planted) > 60
    found = walk([(seed, AS_IT_IS) for seed in planted])
    assert not found.findings
    assert set(found.never_read) <= {"png/sharp_truncated.png"}


def test_some_mutants(planted: list[Seed]) -> None:
    check(planted, range(QUICK), 400)


@pytest.mark.slow
def test_many_mutants(planted: list[Seed]) -> None:
    check(planted, range(QUICK, QUICK + MANY), 2000)
