"""How an archive's picture was laid down, and by which options it would be in another way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cartloader_image.archive import Archive
from cartloader_image.placing.orientation import Orientation

_FIELDS = "fields of view"
_MATRICES = {"affine", "archive", "xenium alignment", "landmarks", _FIELDS}
"""What places a picture whatever its orientation: the origins of such a placing."""


@dataclass(frozen=True)
class Turn:
    """A turn as the options have it: quarter turns clockwise, then a flip."""

    rotate: int
    flip_vertical: bool
    flip_horizontal: bool

    @classmethod
    def of(cls, orientation: Orientation) -> Turn:
        """In canonical form: a turn, then ``flip_horizontal`` or not."""
        for rotate in (0, 90, 180, 270):
            for flip in (False, True):
                if Orientation.of(rotate, flip_horizontal=flip) == orientation:
                    return cls(rotate, False, flip)
        raise AssertionError("these are all eight")

    @property
    def options(self) -> str:
        """The options that ask for it."""
        words = [f"--rotate {self.rotate}"] if self.rotate else []
        return " ".join([*words, *(["--flip-horizontal"] if self.flip_horizontal else [])])


@dataclass(frozen=True)
class Made:
    """How an archive says that its picture was laid down."""

    laid: Orientation
    """From the stored image to the map, where y grows with the rows."""
    asked: Orientation = field(default_factory=Orientation)
    """What the options asked for, in the frame that they named."""
    frame: str = "image"
    offset: tuple[float, float] = (0.0, 0.0)
    by_matrix: bool = False
    of_fields: bool = False
    """Whether it is a mosaic of fields of view, each of which may be turned in its place."""

    @classmethod
    def read(cls, archive: Archive) -> Made:
        """As its metadata have it; of another program's, as it is seen, north up."""
        said = archive.metadata.get("cartloader", {})
        if "affine" not in said:
            return cls(Orientation(mirror_rows=True))
        a, b, _, d, e, _ = said["affine"]
        transpose = abs(b) > abs(a)
        words = said.get("orientation", {})
        flips = {name: words.get(name, False) for name in ("flip_vertical", "flip_horizontal")}
        laid = Orientation(transpose, (b if transpose else a) < 0, (d if transpose else e) < 0)
        asked, frame = Orientation.of(words.get("rotate", 0), **flips), words.get("frame", "image")
        made = cls(laid, asked, frame, tuple(said.get("offset", (0.0, 0.0))))
        origin = said.get("placing", {}).get("origin")
        return replace(made, by_matrix=made.axes.transpose or origin in _MATRICES, of_fields=origin == _FIELDS)

    @property
    def axes(self) -> Orientation:
        """The directions of the map's axes, by which rows and columns go up or down, right or left."""
        north = Orientation(mirror_rows=True)  # in the map's frame the picture is seen as a map is, with y upwards
        if self.frame == "image":
            return self.asked.inverse.then(self.laid)
        return self.laid.then(north).then(self.asked.inverse).then(north)

    def turned(self, turn: Orientation) -> Orientation:
        """What the stored image has to go through, in its own frame, so that the picture is turned once more.

        Where a matrix says it all, the picture's turn alone.
        """
        return turn if self.by_matrix else self.laid.then(turn).then(self.axes)  # axes are their own inverse
