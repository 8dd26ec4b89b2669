"""Lengths of units, by the names that people and programs give them."""

from __future__ import annotations

from collections.abc import Mapping

LENGTHS = {
    "micron": 1.0, "um": 1.0, "\u03bcm": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "inch": 25.4e3,
    **{f"{prefix}met{end}": size for prefix, size in (("micro", 1.0), ("nano", 1e-3), ("milli", 1e3), ("centi", 1e4))
       for end in ("er", "re")},
}  # fmt: skip
"""µm per unit, by names that leave no doubt, case-folded and in the singular."""


def length_of(name: str, lengths: Mapping[str, float]) -> float | None:
    """The length of a unit in any case, in the singular or plural; None for one that is not in the table."""
    key = name.strip().casefold()
    return lengths.get(key) or lengths.get(key.removesuffix("s"))
