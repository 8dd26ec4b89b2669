"""Settings of all tests, and the rasters that they ask for."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from support.rasters import Raster, write_raster

# A shell lets what it starts in the background ignore Ctrl-C, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A run tests the same examples each time; HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture
def raster(tmp_path: Path) -> Raster:
    """The factory of rasters: by name, size, bands, type, pixel size, and what the writer of the format knows."""

    def write(name: str = "slide.ome.tif", *size: int, **more: Any) -> Path:
        return write_raster(tmp_path / name, *size, **more)

    return write


@pytest.fixture
def slide(raster: Raster) -> Path:
    """An OME-TIFF of 80 × 60 pixels of 16 bits, 0.25 µm each."""
    return raster()
