"""How a picture should be turned and moved so that it lies under points of the same tissue."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cartloader_image.archive import Archive, open_archive
from cartloader_image.errors import InputError
from cartloader_image.overlay.laid import Made, Turn
from cartloader_image.overlay.registration import TURNS, Known, agreement, blurred, elsewhere, peak
from cartloader_image.placing.extent import Extent
from cartloader_image.placing.orientation import Orientation
from cartloader_image.points.table import Points, read_points
from cartloader_image.report import Report, quiet
from cartloader_image.values import Bounds

Kind = Literal["fluorescence", "histology"]
Lies = Literal["right", "wrong", "not sure"]
REACH = 200.0
"""µm by which a picture is moved at most."""
FINE = 2.0
"""µm a pixel: as fine as is looked, about a fifth of a nucleus."""
_SIDE = 1000
"""Pixels a side of the picture at which all turns are tried."""
_BLUR = 1.5
"""Pixels by which points are smoothed; the picture, a little less."""
_AROUND, _NEAR = 10.0, 6
"""Pixels around each that are taken for its ground when the place is looked for closely, and by how many it may be off
until then."""
_PIECES, _PIECE = 4, 500
"""Pieces of a large picture that are looked at once more, finely, and pixels a side of them."""
_FEW = 100
"""Points below which nothing can be said."""
_BRIGHT = 90
"""Of 255: a picture in colour whose median is brighter is one by transmitted light."""
_LEAD, _SPREADS = 0.05, 1.2
"""By how much the best turn must agree better than the others, as it is and in spreads of all turns and shifts, to be
sure; and as it is, than other places in that turn, of which there are many where a pattern comes again and again.
With points that belong to them that was so in 94 of 100 of 120 made pictures; with others, the lead was at most 0.024,
and 1.01 spreads."""


@dataclass(frozen=True)
class Overlay:
    """What was found out."""

    turn: Turn
    """How the stored image is to be laid down, all in all, in its own frame."""
    shift: tuple[float, float]
    """µm by which the picture is to be moved then, its corner of the least x and y having stayed."""
    sure: bool
    overlap: float
    """Share of the points' box that lies on the picture."""
    scores: dict[str, float]
    """Agreement, -1 … 1, of the picture ``as_it_is``, of the ``best`` turn and shift, of the best ``other_turn``,
    of the best ``other_place`` in the best turn; and the ``spread`` of that of all turns and shifts."""
    kind: Kind
    turned: bool
    """Whether the turn is another one than the archive has."""
    made: Made
    """How the archive was made."""

    @property
    def lies(self) -> Lies:
        """How the picture lies, as far as that is sure."""
        if not self.sure:
            return "not sure"
        return "wrong" if self.turned or self.moved else "right"

    @property
    def moved(self) -> bool:
        """Whether its place is another one than the archive has."""
        return math.hypot(*self.shift) > FINE

    @property
    def finding(self) -> str:
        """What was found out, in words."""
        if not self.sure:
            return "not sure: no turn and shift is clearly better than the others"
        if self.lies == "right":
            return f"it lies right, to {max(map(abs, self.shift)):.1f} µm"
        x, y = (round(one, 1) + 0.0 for one in self.shift)  # no -0.0
        move = f"moved, by {x:+.1f} µm in x and {y:+.1f} µm in y" if self.moved else ""
        better = "better" if self.turned and self.made.of_fields else "right"  # fields cannot be turned as a whole
        return f"it would lie {better} {', and '.join(filter(None, ('turned' * self.turned, move)))}"

    @property
    def advice(self) -> str:
        """What to do about it, in words; nothing where it lies right, or where that is not sure."""
        if self.lies != "wrong":
            return ""
        if self.turned and self.made.of_fields:
            return "its fields of view are turned in their places, by --fov-axes: try another value"
        if self.turned and self.made.by_matrix:
            turn = self.turn.options or "no turn"
            return f"a matrix places it, which has to be turned itself, as {turn} would turn the picture"
        return f"import it again with {self.options or 'no turn'} in place of its turn and offsets"

    @property
    def options(self) -> str:
        """What to give to a new import of the same file, in place of its turn and its offsets.

        Nothing where a matrix places it that has to be turned.
        """
        if self.made.by_matrix and self.turned:
            return ""
        words = [] if self.made.by_matrix else [self.turn.options]
        if words and words[0] and self.made.frame == "map":
            words.append("--orient-frame image")
        x, y = (old + (new if self.moved else 0) for old, new in zip(self.made.offset, self.shift, strict=True))
        if x or y:
            words.append(f"--georef-offset-x {x:.1f} --georef-offset-y {y:.1f}")
        return " ".join(filter(None, words))

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "turn": asdict(self.turn), "shift": list(self.shift), "sure": self.sure, "overlap": self.overlap,
            "scores": self.scores, "kind": self.kind, "options": self.options,
        }  # fmt: skip


class IncomparableError(InputError):
    """Points that need no look at the picture: they are too few to tell, or too far away to lie on it.

    Parameters:
        path: Their file.
        words: What is wrong with them.
        lies: What that says of the picture.
    """

    def __init__(self, path: Path, words: str, lies: Lies) -> None:
        super().__init__(path, words, lies)
        self.words, self.lies = words, lies

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.words}"


def check_overlay(path: Path, points: Path, kind: Kind | None = None, report: Report = quiet) -> Overlay:
    """`compare` an archive's picture with the points of a table.

    Raises:
        InputError: the points cannot be read, or as `compare` says.
        ArchiveError: as `compare` says.
    """
    return compare(path, points, read_points(points, report), kind)


def compare(path: Path, points: Path, places: Points, kind: Kind | None = None) -> Overlay:
    """Compare an archive's picture with points.

    Args:
        path: The archive.
        points: Where they come from.
        places: They; see `read_points`.
        kind: Whether points are dense where the picture is bright (fluorescence) or where it is dark and blue
            (histology); found out unless given.

    Raises:
        ArchiveError: the archive is damaged.
        IncomparableError: the points are too few, or the picture and they are too far apart to be compared.
    """
    if len(places) < _FEW:
        words = f"has {len(places)} points, which is too few to say anything; {_FEW} may do"
        raise IncomparableError(points, words, "not sure")
    with open_archive(path) as archive:
        made = Made.read(archive)
        box = Extent(archive.bounds.ulx, archive.bounds.lry, archive.bounds.lrx, archive.bounds.uly)
        data = Extent(*places.min(axis=0).tolist(), *places.max(axis=0).tolist())
        _check_near(points, data, box)
        longest = max(box.width, box.height)
        pixels = archive.read(Bounds(*box), max(round(longest / max(FINE, longest / _SIDE)), 1))
        step = longest / max(pixels.shape[:2])
        kind, reach = kind or _kind(pixels), math.ceil(REACH / step)
        side = max(pixels.shape[:2]) + 2 * reach
        density = _density(places, (box.left - reach * step, box.low - reach * step), step, side, data)
        picture = _shown(pixels, kind)
        roughly = [peak(surface) for surface in agreement(density, picture, reach, TURNS)]
        best = max(range(len(TURNS)), key=lambda index: roughly[index][0])
        surfaces = agreement(density.sharpened(_AROUND), picture.sharpened(_AROUND), reach, TURNS)
        value, row, column = peak(surfaces[best], (*roughly[best][1:], _NEAR))
        other = max(float(surface.max()) for index, surface in enumerate(surfaces) if index != best)
        place = elsewhere(surfaces[best], (row, column), _AROUND)
        spread = float(np.std(surfaces))
        shift = ((column - reach) * step, (row - reach) * step)
        closer = _closer(archive, places, TURNS[best], shift, kind, step) if step > 1.01 * FINE else shift
        shift = closer or shift
        as_it_is = float(surfaces[0][reach, reach])
        scores = {
            "as_it_is": as_it_is, "best": value, "other_turn": other, "other_place": place, "spread": spread
        }  # fmt: skip
        return Overlay(
            turn=Turn.of(made.turned(TURNS[best])),
            shift=(round(float(shift[0]), 2), round(float(shift[1]), 2)),
            sure=bool(
                value - other >= max(_LEAD, _SPREADS * spread)
                and value - place >= _LEAD
                and closer is not None
                and max(map(abs, shift)) < REACH - _NEAR * step  # at the rim the best place may lie beyond it
            ),
            overlap=round(data.share_on(box), 4),
            scores={name: round(score, 4) for name, score in scores.items()},
            kind=kind,
            turned=best != 0,
            made=made,
        )


def _check_near(path: Path, data: Extent, box: Extent) -> None:
    """Refuse points that no turn and shift brings onto the picture; turned, it may be as wide as it is high."""
    longest = max(box.width, box.height) + REACH
    beyond = data.left > box.left + longest or data.low > box.low + longest
    if beyond or data.right < box.left - REACH or data.high < box.low - REACH:
        raise IncomparableError(
            path,
            f"its points ({data}) lie more than {REACH:.0f} µm away from the picture ({box}); are both in µm, and of "
            "the same run?",
            "wrong",
        )


def _kind(pixels: NDArray[np.uint8]) -> Kind:
    """What kind of picture ``(rows, columns, RGBA)`` is."""
    seen = pixels[pixels[..., 3] > 127][:, :3].astype(np.int16)
    coloured = len(seen) and (seen.max(axis=1) - seen.min(axis=1)).max() > 0 and (seen.max(axis=0) > 0).all()
    return "histology" if coloured and np.median(seen.mean(axis=1)) > _BRIGHT else "fluorescence"


def _shown(pixels: NDArray[np.uint8], kind: Kind) -> Known:
    """Where a picture shows nuclei and the like: the root of its brightness, or its optical density in red.

    Haematoxylin, the blue of nuclei, absorbs red light; eosin hardly does.
    """
    mask = pixels[..., 3] / 255.0
    if kind == "histology":
        values = -np.log((pixels[..., 0] + 1.0) / 256)
    else:
        values = np.sqrt(pixels[..., :3].max(axis=2).astype(np.float64))
    mean = float((values * mask).sum() / max(mask.sum(), 1))
    return Known(blurred((values - mean) * mask, 0.7 * _BLUR), mask)


def _density(places: Points, corner: tuple[float, float], step: float, side: int, box: Extent) -> Known:
    """The root of how many points lie in each pixel, smoothed; it is known in the points' box."""
    columns, rows = (np.floor((places[:, axis] - corner[axis]) / step).astype(np.int64) for axis in (0, 1))
    inside = (columns >= 0) & (columns < side) & (rows >= 0) & (rows < side)
    counts = np.bincount(rows[inside] * side + columns[inside], minlength=side * side).reshape(side, side)
    values = np.sqrt(np.maximum(blurred(counts.astype(np.float64), _BLUR), 0))
    column0, row0, column1, row1 = (math.floor((edge - corner[at % 2]) / step) for at, edge in enumerate(box))
    mask = np.zeros((side, side))
    mask[max(row0, 0) : max(row1 + 1, 0), max(column0, 0) : max(column1 + 1, 0)] = 1
    return Known(values * mask, mask)


def _closer(
    archive: Archive, places: Points, turn: Orientation, shift: tuple[float, float], kind: Kind, step: float
) -> tuple[float, float] | None:
    """The shift to a fraction of a fine pixel, by some pieces of the picture where points are many.

    None where it may lie beyond what is looked at: the pieces do not agree with what was found coarsely.
    """
    box, reach, size = archive.bounds, math.ceil(2 * step / FINE), _PIECE * FINE
    wide, high = (box.height, box.width) if turn.transpose else (box.width, box.height)
    left, low, half = box.ulx + shift[0], box.lry + shift[1], size / 2
    across, up = (max(math.ceil(extent / half), 2) for extent in (wide, high))
    edges = [[left, left + across * half], [low, low + up * half]]
    halves, _, _ = np.histogram2d(places[:, 0], places[:, 1], (across, up), edges)
    counts = halves[1:, 1:] + halves[:-1, 1:] + halves[1:, :-1] + halves[:-1, :-1]
    total, side = np.zeros((2 * reach + 1, 2 * reach + 1)), _PIECE + 2 * reach
    for piece in np.argsort(-counts, axis=None)[:_PIECES]:
        column, row = (int(index) for index in np.unravel_index(piece, counts.shape))
        pixels = turn.view(_piece(archive, turn, (column * half, row * half), (wide, high), size))
        corner = (left + column * half - reach * FINE, low + row * half - reach * FINE)
        everywhere = Extent(*corner, corner[0] + side * FINE, corner[1] + side * FINE)
        density = _density(places, corner, FINE, side, everywhere)
        picture = _shown(pixels, kind)
        total += agreement(density.sharpened(_AROUND), picture.sharpened(_AROUND), reach, TURNS[:1])[0]
    _, y, x = peak(total)
    if not (0 < x < 2 * reach and 0 < y < 2 * reach):
        return None
    return shift[0] + (x - reach) * FINE, shift[1] + (y - reach) * FINE


def _piece(
    archive: Archive, turn: Orientation, at: tuple[float, float], size: tuple[float, float], side: float
) -> NDArray[np.uint8]:
    """The part of the picture as it is of which the turned picture, ``size`` µm large, shows a square ``at`` there."""
    (x, y), (wide, high) = at, size
    if turn.mirror_columns:
        x = wide - side - x
    if turn.mirror_rows:
        y = high - side - y
    if turn.transpose:
        x, y = y, x
    left, bottom = archive.bounds.ulx + x, archive.bounds.lry + y
    return archive.read(Bounds(left, bottom, left + side, bottom + side), _PIECE)
