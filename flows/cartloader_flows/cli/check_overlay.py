"""`cartloader check-overlay`: whether a picture lies under the points of its run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cartloader_flows.cli.options import CheckOverlayCommand
from cartloader_flows.cli.parser import parsed

if TYPE_CHECKING:
    from cartloader_image.overlay.check import Overlay


def check_overlay(argv: Sequence[str]) -> int:
    """Find out whether a picture lies under points in µm, and how it would."""
    usage = "cartloader check-overlay [--kind KIND] [--json] ARCHIVE.pmtiles --points FILE"
    command = parsed(CheckOverlayCommand, argv, usage, f"{check_overlay.__doc__}")
    from cartloader_image.overlay import check  # noqa: PLC0415  (--help must not wait for numpy)

    found = check.check_overlay(command.archive, command.points, command.kind)
    print(json.dumps(found.as_json(), ensure_ascii=False) if command.as_json else "\n".join(_lines(command, found)))
    return 0


def _lines(command: CheckOverlayCommand, found: Overlay) -> list[str]:
    """What a person reads."""
    scores = found.scores
    agree = (
        f"they agree by {scores['best']:.2f} then, by {scores['as_it_is']:.2f} as it lies, and at most by "
        f"{scores['other_turn']:.2f} with another turn"
    )
    lines = [
        f"{command.archive}  {found.overlap:.0%} of the box of {command.points.name} lies on the picture ({found.kind})"
    ]
    return [*lines, f"  {found.finding} ({agree})", *([f"  {found.advice}"] if found.advice else [])]
