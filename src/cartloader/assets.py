"""The asset JSON: how catalog tools are told of one archive."""

from __future__ import annotations

import json
from pathlib import Path

from cartloader.files import write_whole
from cartloader.params import OutputPrefix


def write_asset(out: OutputPrefix) -> Path:
    """Write ``<img-id>.json``, which maps the id to the absolute path of its archive, and return its path.

    Catalog tools take exactly one key and refuse a bare file name.

    Raises:
        OSError: the file cannot be written.
    """
    archive = out.out_dir.resolve() / out.path(".pmtiles").name
    asset = out.path(".json")
    write_whole(asset, json.dumps({out.img_id: str(archive)}, indent=2) + "\n")
    return asset
