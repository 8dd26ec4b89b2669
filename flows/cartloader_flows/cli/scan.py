"""`cartloader scan`: the mapping that imports all images of a run."""

from __future__ import annotations

import os
from collections.abc import Sequence

from cartloader_flows.cli.options import ScanCommand
from cartloader_flows.cli.parser import parsed
from cartloader_image.errors import UsageError


def scan(argv: Sequence[str]) -> int:
    """Write the mapping that imports all images of a run's folder, or of a folder of pictures."""
    argv = ["--out" if word == "-o" else word for word in argv]
    command = parsed(ScanCommand, argv, "cartloader scan [--out, -o IMAGES.yaml] RUN_DIR", f"{scan.__doc__}")
    if command.out and os.path.lexists(command.out):
        raise UsageError(f"--out {command.out}: is there already; choose another name, or remove it")
    from cartloader_image.scan.folder import scan as scanned  # noqa: PLC0415  (--help must not wait for numpy)
    from cartloader_image.scan.text import mapping_text  # noqa: PLC0415
    from cartloader_image.system.files import write_whole  # noqa: PLC0415

    runs = scanned(command.run_dir)
    text = mapping_text(runs, command.out)
    layers = [layer for run in runs for layer in run.layers]
    lacking = sum(bool(layer.lacking) for layer in layers)
    if not command.out:
        print(text, end="")
        return 0
    write_whole(command.out, text)
    what = ", ".join(dict.fromkeys(run.what for run in runs))
    rest = f", {lacking} commented out" if lacking else ""
    images = "1 image" if len(layers) - lacking == 1 else f"{len(layers) - lacking} images"
    print(f"{command.out}  {what}: {images}{rest}")
    return 0
