"""`cartloader sample`: an image to try the import with."""

from __future__ import annotations

from collections.abc import Sequence

from cartloader_flows.cli.options import SampleCommand
from cartloader_flows.cli.parser import parsed


def sample(argv: Sequence[str]) -> int:
    """Write a small sample image to try the import with."""
    command = parsed(SampleCommand, argv, "cartloader sample [--size N] OUT.ome.tif", f"{sample.__doc__}")
    from cartloader_image.sample import write_sample  # noqa: PLC0415  (--help must not wait for numpy)

    write_sample(command.out, size=command.size)
    print(command.out)
    return 0
