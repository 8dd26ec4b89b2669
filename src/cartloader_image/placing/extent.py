"""How far something reaches on the map: a picture, or the points of a table."""

from __future__ import annotations

from typing import NamedTuple


class Extent(NamedTuple):
    """Least and greatest x and y of what lies on the map, in µm."""

    left: float
    low: float
    right: float
    high: float

    @property
    def width(self) -> float:
        """In x."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """In y."""
        return self.high - self.low

    def meets(self, other: Extent) -> bool:
        """Whether the two have a point in common."""
        return (
            self.left <= other.right and other.left <= self.right and self.low <= other.high and other.low <= self.high
        )

    def share_on(self, other: Extent) -> float:
        """How much of it lies on another one."""
        across = min(self.right, other.right) - max(self.left, other.left)
        up = min(self.high, other.high) - max(self.low, other.low)
        return max(across, 0) * max(up, 0) / max(self.width * self.height, 1e-9)

    def __str__(self) -> str:
        return f"x {self.left:,.0f} … {self.right:,.0f}, y {self.low:,.0f} … {self.high:,.0f}"
