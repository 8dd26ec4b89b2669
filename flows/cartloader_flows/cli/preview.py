"""`cartloader preview`: an archive as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from cartloader_flows.cli.options import PreviewCommand
from cartloader_flows.cli.parser import parsed


def preview(argv: Sequence[str]) -> int:
    """Draw an archive's whole image as one PNG picture."""
    usage = "cartloader preview [--size N] ARCHIVE.pmtiles OUT.png"
    command = parsed(PreviewCommand, argv, usage, f"{preview.__doc__}")
    from cartloader_image.drawing import write_preview  # noqa: PLC0415  (--help must not wait for numpy)

    write_preview(command.archive, command.out, size=command.size)
    print(command.out)
    return 0
