"""Damaged and senseless files: read, or refused by an error of the project; never another exception, a crash, a hang.

To look at one that is named in a failure: ``mutant(seed, number)``, where the seed is the one of that name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.mutants import AS_IT_IS, ROUND, Seed
from support.rasters import read_whole, with_source
from support.seeds import seeds
from support.walk import walk
from support.writers import WRITERS

from cartloader_image.errors import CartloaderError
from cartloader_image.images.kinds import is_tiff
from cartloader_image.layout import Pixels

SAMPLES = Path(__file__).parents[2].parent / "shared" / "samples"
DAMAGED = {"png/sharp_truncated.png", "tiff/tm_zackthecat.tif"}
"""Samples whose pixels cannot be read."""
QUICK, MANY = 3, 60
"""Mutants of each seed."""
_RICH = 4
"""Times as many of a seed that is not of the matrix: those say more than pixels, and are less alike."""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> list[Seed]:
    return seeds(tmp_path_factory.mktemp("seeds"), SAMPLES)


def check(planted: list[Seed], numbers: range, at_least: int) -> None:
    jobs = []
    for seed in planted:
        times = 1 if seed.name.startswith(tuple(WRITERS)) else _RICH
        jobs += [(seed, number) for number in range(numbers.start * times, numbers.stop * times)]
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
    assert set(found.never_read) <= DAMAGED


def test_some_mutants(planted: list[Seed]) -> None:
    check(planted, range(QUICK), 400)


@pytest.mark.soak
def test_many_mutants(planted: list[Seed]) -> None:
    check(planted, range(QUICK, QUICK + MANY), 10_000)


CUTS = 9


def test_a_file_that_is_cut_off_never_shows_other_pixels(planted: list[Seed], tmp_path: Path) -> None:
    """It is refused, or whole but for what is not needed for this plane."""
    refused = whole = 0
    for index, seed in enumerate(planted):
        (folder := tmp_path / f"{index}").mkdir()
        for name, data in seed.files.items():
            (folder / name).write_bytes(data)
        path, data = folder / seed.picture, seed.files[seed.picture]
        try:
            wanted = first_plane(path)
        except CartloaderError:
            assert seed.name in DAMAGED
            continue
        for turn in range(1, CUTS + 1):
            path.write_bytes(data[: len(data) * turn // (CUTS + 1)])
            try:
                found = first_plane(path)
            except CartloaderError:
                refused += 1
                continue
            np.testing.assert_array_equal(found, wanted, err_msg=f"{seed.name}, cut to {path.stat().st_size:,} bytes")
            whole += 1
    assert refused > 4 * whole


def first_plane(path: Path) -> Pixels:
    chosen = {"page": 0} if is_tiff(path) else {}
    pixels: Pixels = with_source(path, lambda source: read_whole(source.plane), **chosen)
    return pixels
