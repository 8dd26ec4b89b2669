"""Planes that are decoded once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.maps import write_ome
from support.rasters import ArrayPlane, noise

from cartloader_image.action_params import Ome2PngParams, OutputPrefix
from cartloader_image.images.spool import Spooled
from cartloader_image.images.tiff_plane import TiffPlane
from cartloader_image.layout import Pixels
from cartloader_image.recipe import actions
from cartloader_image.window import Window, windows


class Counted(ArrayPlane):
    """An array that counts how often it is read, one window after the other."""

    concurrent = False

    def __init__(self, pixels: Pixels, block: tuple[int, int]) -> None:
        super().__init__(pixels, block)
        self.readings: list[Window] = []

    def read(self, window: Window) -> Pixels:
        self.readings.append(window)
        return super().read(window)


@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize("dtype", [np.uint16, np.float64])
def test_each_block_is_computed_once(tmp_path: Path, in_memory: bool, dtype: type) -> None:
    plane = Counted(noise((70, 90, 3), dtype), (16, 32))
    with Spooled(plane, None if in_memory else tmp_path) as kept:
        assert list(tmp_path.iterdir()) == []  # the file has no name: whatever ends the process ends it
        for _ in range(3):
            for window in windows(70, 90, plane.block):
                pixels = kept.read(window)
                expected = plane.pixels[window.row0 : window.row1, window.column0 : window.column1]
                np.testing.assert_array_equal(pixels, expected)
                assert pixels.dtype == plane.dtype
            assert kept.concurrent  # although the plane itself is not
    assert plane.readings == list(windows(70, 90, plane.block))


@pytest.mark.parametrize("compression", [None, "zlib", "jpeg2000"])
@pytest.mark.parametrize("high_memory", [False, True])
def test_a_costly_codec_is_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: str | None, high_memory: bool
) -> None:
    readings: list[Window] = []
    read = TiffPlane.read

    def counted(self: TiffPlane, window: Window) -> Pixels:
        readings.append(window)
        return read(self, window)

    monkeypatch.setattr(TiffPlane, "read", counted)
    path = write_ome(tmp_path / "a.ome.tif", noise((300, 200), np.uint16), compression=compression, tile=(64, 64))
    out = OutputPrefix(out_dir=tmp_path / "out", img_id="a")
    options = {"upper_thres_quantile": 0.9, "lower_thres_quantile": 0.1, "high_memory": high_memory}
    actions.ome2png(Ome2PngParams(in_img=path, out=out, **options))
    times = {window: readings.count(window) for window in readings}
    assert set(times.values()) == {1}
