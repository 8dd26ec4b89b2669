"""Mutants of files of every kind: done, or refused in one sentence; soon, in little memory, and the process lives on.

A case that is named in a failure is made again by ``just fuzz --seed WORD --case NUMBER``; its files are in build/fuzz.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzz.campaign import Campaign, Zygotes
from fuzz.targets import SLIP
from fuzz.zygote import SECONDS

SOURCE = Path(__file__).parents[2] / "src"
DAMAGED = {"png/sharp_truncated.png", "tiff/tm_zackthecat.tif"}
"""Samples whose pixels cannot be read."""


@pytest.fixture(scope="module")
def zygotes() -> Iterator[Zygotes]:
    with Zygotes(seconds=4 * SECONDS) as some:  # whatever else the machine does
        yield some


def check(campaign: Campaign, count: int, passed_over: str = "") -> None:
    grave = [what for what in campaign.findings if not passed_over or not what.startswith(passed_over)]
    assert not grave, str(campaign)
    assert campaign.count == count
    assert campaign.done > count / 4, "most are so damaged that nothing is tried"


def test_seeds_are_done(zygotes: Zygotes) -> None:
    """Else their mutants would be refused for nothing."""
    names = [seed.name for some in zygotes.seeds.values() for seed in some]
    assert len(set(names)) == len(names) > 80
    campaign = zygotes.run("seeds", range(-len(names), 0))
    assert not campaign.findings, str(campaign)
    never = {name for kind in campaign.kinds.values() for name in kind.never_done}
    assert never <= DAMAGED


def test_some_cases(zygotes: Zygotes) -> None:
    check(zygotes.run("same", range(100)), 100)


def word_of_the_source() -> str:
    """A seed that each change of the program makes another one: no change is judged by luck, or twice in two ways."""
    digest = hashlib.sha256()
    for module in sorted(SOURCE.rglob("*.py")):
        digest.update(module.read_bytes())
    return digest.hexdigest()[:8]


@pytest.mark.slow
def test_other_cases_for_each_change(zygotes: Zygotes, capsys: pytest.CaptureFixture[str]) -> None:
    campaign = zygotes.run(word_of_the_source(), range(500))
    with capsys.disabled():
        print(f"\n{campaign}")
    check(campaign, 500, passed_over=SLIP)  # poor sentences are looked for by hand
