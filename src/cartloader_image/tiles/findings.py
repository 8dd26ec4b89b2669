"""What is found wrong with an archive: one sentence each, with the tile where there is one."""

from __future__ import annotations

from dataclasses import dataclass

from pmtiles.tile import tileid_to_zxy

from cartloader_image.errors import visible

MOST = 100
"""Findings that are kept; an archive with more of them is none, and a person reads the first few."""
_ALIKE = 5
"""Findings of the same words that are kept; the last of them counts the others."""


@dataclass
class Finding:
    """One thing that is wrong, with the archive or with one of its tiles."""

    text: str
    tile: tuple[int, int, int] | None = None
    """Zoom, column and row."""
    others: int = 0
    """How many more tiles it is true of that are not listed."""

    def __str__(self) -> str:
        tile = f"tile {'/'.join(map(str, self.tile))} " if self.tile else ""
        more = f" (and so {self.others:,} other{'s' if self.others > 1 else ''})" if self.others else ""
        return f"{tile}{self.text}{more}"


class Findings:
    """Collects findings."""

    def __init__(self) -> None:
        self._found: list[Finding] = []
        self._alike = dict[str, list[Finding]]()
        self.left_out = 0
        """Findings beyond `MOST`."""

    def add(self, text: str, tile_id: int | None = None) -> None:
        """Add a finding; the text goes on after the name of the tile, or after that of the file."""
        text = visible(text)
        alike = self._alike.get(text, [])
        if len(alike) >= _ALIKE:
            alike[-1].others += 1
        elif len(self._found) >= MOST:  # nor are its words kept: each of millions of tiles may have its own
            self.left_out += 1
        else:
            self._alike[text] = alike
            alike.append(Finding(text, None if tile_id is None else tileid_to_zxy(tile_id)))
            self._found.append(alike[-1])

    def expect(self, what: str, expected: object, found: object) -> None:
        """Add a finding where something is not what it should be."""
        if expected != found:
            self.add(f"{what} should be {_shown(expected)}, found {_shown(found)}")

    def all(self) -> tuple[Finding, ...]:
        """The findings in the order in which they were made."""
        return tuple(self._found)


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
