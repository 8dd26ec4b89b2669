"""What a deployment has imported from a mapping, so that its next run finds what is new without doing anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import xxhash

from cartloader_image.system.files import write_whole
from cartloader_image.system.reading import read_file
from cartloader_tasks.caching import home


class Remembered:
    """The state of each imported image by its id, for one mapping and output directory; kept in Prefect's home.

    What another machine has imported is not known here; it is found again in the cache.
    """

    def __init__(self, in_json: Path, out_dir: Path) -> None:
        name = xxhash.xxh3_128_hexdigest(f"{in_json.absolute()}\n{out_dir.absolute()}".encode())
        self._path = home() / "imported" / f"{name}.json"

    def update(self, states: Mapping[str, str]) -> None:
        """These were imported now."""
        if states:
            write_whole(self._path, json.dumps(self.states() | dict(states), indent=1))

    def states(self) -> dict[str, str]:
        """The state of each image when it was imported last."""
        try:
            return dict(json.loads(read_file(self._path)))
        except (OSError, ValueError):  # none yet, or a damaged one
            return {}
