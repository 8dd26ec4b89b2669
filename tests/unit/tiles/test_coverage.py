"""Where an opaque picture ends, at every zoom, against a mask of all its pixels that numpy makes smaller."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support.maps import HALF_MAP

from cartloader_image.tiles.coverage import Coverage
from cartloader_image.tiles.grid import MapBox, Pyramid
from cartloader_image.window import Window

BASE, TILE = 12, 256
UNIT = 2 * HALF_MAP / (TILE << BASE)
HALF = (TILE << BASE) // 2
"""The level pixel behind the middle of the map."""
sides = st.tuples(st.integers(-70, 40) | st.sampled_from([-33, -1, 31]), st.integers(1, 90) | st.integers(1, 3))
"""Where a picture begins, from the middle of the map, and its length; some hardly reach into a coarse pixel."""


def pyramid_of(rows: tuple[int, int], columns: tuple[int, int], zooms: int) -> Pyramid:
    """A picture of whole level pixels: the first one's place from the middle of the map, and how many there are."""
    left, top = columns[0] * UNIT, -rows[0] * UNIT
    box = MapBox(left, top - rows[1] * UNIT, left + columns[1] * UNIT, top)
    return Pyramid(box, TILE, BASE, BASE - zooms, BASE)


@given(sides, sides, st.integers(0, 5), st.booleans(), st.data())
def test_alpha_is_the_share_that_the_picture_covers(
    rows: tuple[int, int], columns: tuple[int, int], steps: int, nearest: bool, data: st.DataObject
) -> None:
    """The mean of the pixels below, or the upper left of them; however little is covered, it is not nothing."""
    mask = np.zeros((256, 256))
    mask[128 + rows[0] :, 128 + columns[0] :][: rows[1], : columns[1]] = 1
    pieces = mask.reshape(256 >> steps, 1 << steps, 256 >> steps, 1 << steps)
    share = pieces[:, 0, :, 0] if nearest else pieces.mean(axis=(1, 3))
    coverage, corner = Coverage(pyramid_of(rows, columns, steps), nearest=nearest), (HALF - 128) >> steps
    ends = st.sets(st.integers(0, len(share)), min_size=2, max_size=2).map(sorted)
    for row0, row1, column0, column1 in ((0, len(share)) * 2, (*data.draw(ends), *data.draw(ends))):
        expected = share[row0:row1, column0:column1]
        window = Window(corner + row0, corner + row1, corner + column0, corner + column1)
        alpha = coverage.alpha(BASE - steps, window)
        if (expected == 1).all():
            assert alpha is None
        else:
            assert alpha is not None
            assert alpha.dtype == np.uint8
            np.testing.assert_array_equal(alpha[..., 0], np.where(expected > 0, np.rint(255 * expected).clip(1), 0))
