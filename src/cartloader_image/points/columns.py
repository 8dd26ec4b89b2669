"""The columns of tables of points, by the programs that write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cartloader_image.errors import InputError, did_you_mean, shortened

_NAMES = "gene", "feature_name", "feature", "target", "topK", "K1", "cluster", "group"


class Known(NamedTuple):
    """Columns that belong together."""

    x: str
    y: str
    groups: Sequence[str] = ()
    """Columns by which points may be told apart, the likeliest first."""
    file: str = ""
    """What a table of it is called."""


KNOWN = [
    Known("x_location", "y_location", ["feature_name"], "transcripts.csv"),  # Xenium
    Known("global_x", "global_y", ["gene"], "detected_transcripts.csv"),  # MERSCOPE
    Known("x_centroid", "y_centroid"),  # Xenium's cells
    Known("center_x", "center_y"),  # MERSCOPE's cells
    Known("x", "y", _NAMES), Known("X", "Y", _NAMES),  # FICTURE, CartoScope
    Known("x_um", "y_um", _NAMES),
]  # fmt: skip
"""Columns in µm, those that are looked for first coming first."""


class Chosen(NamedTuple):
    """The columns of a table that are read."""

    x: str
    y: str
    group: str | None


def chosen(path: Path, names: Sequence[str], group: str | None = None) -> Chosen:
    """Which of a table's columns hold x, y and the group; the group that is asked for, or the likeliest, or none.

    Raises:
        InputError: none are known to hold x and y in µm, or the group that is asked for is missing.
    """
    known = next((one for one in KNOWN if one.x in names and one.y in names), None)
    if known is None:
        pixels = next((name for name in ("x_global_px", "CenterX_global_px") if name in names), None)
        if pixels:
            raise InputError(
                f"{path}: is of CosMx, whose {pixels} counts pixels; multiply x and y by the µm per pixel and name the "
                "columns x_um, y_um"
            )
        pairs = ", ".join(f"{one.x}/{one.y}" for one in KNOWN)
        raise InputError(
            f"{path}: has columns {shortened(', '.join(names)) or 'without names'}; --points takes a table with a "
            f"header, and x and y in µm as {pairs}"
        )
    if group is not None and group not in names:
        near = did_you_mean(group, names)
        raise InputError(f"{path}: --group {group} is no column of it{near}; it has {shortened(', '.join(names))}")
    return Chosen(known.x, known.y, group or next((name for name in known.groups if name in names), None))
