"""`cartloader preview`: an archive as a picture."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cartloader_flows.cli.options import PreviewCommand
from cartloader_flows.cli.parser import parsed


def preview(argv: Sequence[str]) -> int:
    """Draw an archive's whole image as one picture, PNG or JPEG."""
    usage = "cartloader preview [--size N] [--points FILE] ARCHIVE.pmtiles OUT.png"
    command = parsed(PreviewCommand, argv, usage, f"{preview.__doc__}")
    from cartloader_image.drawing import write_preview  # noqa: PLC0415  (--help must not wait for numpy)
    from cartloader_image.points.table import read_points  # noqa: PLC0415

    points = read_points(command.points) if command.points else None
    picture = write_preview(command.archive, command.out, command.size, points)
    if "size" in command.model_fields_set and max(picture.size) < command.size:
        width, height = picture.size
        print(f"note: {command.archive} has no more than {width:,} × {height:,} pixels", file=sys.stderr)
    print(command.out)
    return 0
