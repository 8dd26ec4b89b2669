"""The asset JSON, which describes one archive to catalog tools."""

from __future__ import annotations

import json
from pathlib import Path

from cartloader_image.action_params import OutputPrefix
from cartloader_image.system.files import write_whole


def write_assets(out: OutputPrefix) -> tuple[Path, ...]:
    """Write what maps the id to the absolute path of its archive, under each name that is looked for; their paths.

    Catalog tools take exactly one key and refuse a bare file name.

    Raises:
        OSError: a file cannot be written.
    """
    archive = out.out_dir.resolve() / out.path(".pmtiles").name
    for file in out.asset_files:
        write_whole(file, json.dumps({out.img_id: str(archive)}, indent=2) + "\n")
    return out.asset_files
