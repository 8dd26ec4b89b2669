"""What mutants are made of: files that are read as they are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Seed:
    """A file, and those beside it."""

    name: str
    files: dict[str, bytes]
    """By name, the one that is read first."""

    @property
    def first(self) -> str:
        return next(iter(self.files))
