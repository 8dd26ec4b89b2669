"""tifffile and rasterio log nothing while a picture is read; before and after, a program has their logs as it likes."""

from __future__ import annotations

import logging
import struct
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import rasterio
import tifffile

from cartloader_image.errors import InputError
from cartloader_image.images.picture import open_dataset
from cartloader_image.images.tiff import metadata_file, open_tiff
from cartloader_image.logs import silenced
from cartloader_image.rasters.geotiff import open_geotiff

SOFTWARE = 305


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A TIFF with a tag of a type that there is not: both libraries say so, and read the picture."""
    path = tmp_path / "odd.tif"
    tifffile.imwrite(path, np.arange(64 * 48, dtype=np.uint8).reshape(64, 48), software="abcdefgh", tile=(16, 16))
    path.write_bytes(path.read_bytes().replace(struct.pack("<HH", SOFTWARE, 2), struct.pack("<HH", SOFTWARE, 99)))
    return path


def look(path: Path) -> None:
    """Read the picture as a program would that does not know of this package."""
    with tifffile.TiffFile(path) as file:
        file.pages.first.asarray()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path) as dataset:
            dataset.read()


def speakers(caplog: pytest.LogCaptureFixture) -> set[str]:
    """The libraries that have logged something since the last time."""
    names = {record.name.partition(".")[0] for record in caplog.records}
    caplog.clear()
    return names


@pytest.mark.parametrize("opening", [open_tiff, open_dataset])
def test_they_log_nothing_while_it_is_open_and_all_afterwards(
    opening: Callable[[Path], AbstractContextManager[object]], odd: Path, caplog: pytest.LogCaptureFixture
) -> None:
    look(odd)
    assert speakers(caplog) == {"tifffile", "rasterio"}
    with opening(odd):
        look(odd)
        assert not speakers(caplog)
    look(odd)
    assert speakers(caplog) == {"tifffile", "rasterio"}


def test_they_log_nothing_of_a_file_that_is_looked_into_or_refused(odd: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert metadata_file(odd) is None
    with pytest.raises(InputError), open_geotiff(odd):
        pass
    assert not speakers(caplog)
    look(odd)
    assert speakers(caplog) == {"tifffile", "rasterio"}


def test_the_levels_that_a_program_chose_come_back_also_after_an_error() -> None:
    loggers = logging.getLogger("tifffile"), logging.getLogger("rasterio")
    before = [logger.level for logger in loggers]
    try:
        for logger, level in zip(loggers, (logging.DEBUG, logging.ERROR), strict=True):
            logger.setLevel(level)
        with pytest.raises(KeyError), silenced():
            raise KeyError
        assert [logger.level for logger in loggers] == [logging.DEBUG, logging.ERROR]
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def test_of_readings_that_overlap_the_last_one_ends_the_silence(odd: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = silenced(), silenced()
    first.__enter__()
    other = Thread(target=second.__enter__)
    other.start()
    other.join()
    first.__exit__(None, None, None)
    look(odd)
    assert not speakers(caplog)
    second.__exit__(None, None, None)
    look(odd)
    assert speakers(caplog) == {"tifffile", "rasterio"}
