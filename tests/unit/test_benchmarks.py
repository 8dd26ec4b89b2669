"""The benchmarks name functions that are there; what they measure is run by hand."""

from __future__ import annotations

import importlib
import sys
from functools import reduce
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="a source distribution without them")
def test_each_stage_names_functions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    stages = importlib.import_module("stages")
    for places in stages.STAGES.values():
        for place in places:
            module, _, name = place.partition(":")
            assert callable(reduce(getattr, name.split("."), importlib.import_module(module))), place
