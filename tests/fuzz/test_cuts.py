"""Files that are cut off: refused, or whole but for what is not needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support.rasters import read_whole, with_source

from cartloader_image.errors import CartloaderError
from cartloader_image.images.kinds import is_tiff
from cartloader_image.layout import Pixels
from fuzz.pictures import pictures
from fuzz.seeds import SAMPLES
from fuzz.test_fuzz import DAMAGED

CUTS = 9


def test_a_file_that_is_cut_off_never_shows_other_pixels(tmp_path: Path) -> None:
    """It is refused, or whole but for what is not needed for this plane."""
    planted = [seed for some in pictures(tmp_path, SAMPLES).values() for seed in some]
    refused = whole = 0
    for index, seed in enumerate(planted):
        (folder := tmp_path / f"{index}").mkdir()
        for name, data in seed.files.items():
            (folder / name).write_bytes(data)
        path, data = folder / seed.first, seed.files[seed.first]
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
