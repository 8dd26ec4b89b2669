"""`cartloader verify`: whether archives are what they say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cartloader_flows.cli.options import VerifyCommand
from cartloader_flows.cli.parser import parsed
from cartloader_flows.cli.summary import zooms_and_tiles

if TYPE_CHECKING:
    from cartloader_image.tiles.verify import Verification


def verify(argv: Sequence[str]) -> int:
    """Prove that archives are whole: container, every tile, zooms against each other."""
    usage = "cartloader verify [--deep] [--json] ARCHIVE.pmtiles ..."
    command = parsed(VerifyCommand, argv, usage, f"{verify.__doc__}")
    from cartloader_image.library import verify as look_at  # noqa: PLC0415  (--help must not wait for numpy)

    good = True
    for archive in command.archives:
        found = look_at(archive, deep=command.deep)
        good &= found.good
        print(json.dumps(_record(found)) if command.as_json else "\n".join(_lines(found)), flush=True)
    return 0 if good else 1


def _lines(found: Verification) -> list[str]:
    """What a person reads of an archive."""
    if found.good:
        zooms = zooms_and_tiles(found.min_zoom, found.max_zoom, found.tiles)
        looked_at = f", {found.decoded:,} decoded, {found.compared:,} compared with the next zoom"
        if not found.decoded:
            looked_at = "; its tiles are no pictures, so that just the container was looked at"
        return [f"{found.path}  good: {zooms}{looked_at}"]
    lines = [f"{found.path}  not good:"]
    lines += [f"  {finding}" for finding in found.findings]
    return lines + ([f"  and {found.left_out:,} more"] if found.left_out else [])


def _record(found: Verification) -> dict[str, Any]:
    """What a script reads of an archive."""
    return {
        "archive": str(found.path),
        "good": found.good,
        "findings": [
            {"tile": finding.tile and "/".join(map(str, finding.tile)), "text": finding.text, "others": finding.others}
            for finding in found.findings
        ],
        "left_out": found.left_out,
        "zooms": [found.min_zoom, found.max_zoom] if found.tiles else None,
        "tiles": found.tiles,
        "decoded": found.decoded,
        "compared": found.compared,
    }
