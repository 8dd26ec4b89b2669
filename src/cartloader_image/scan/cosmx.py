"""A CosMx export: a picture for each field of view, which one import does not join."""

from __future__ import annotations

import re
from pathlib import Path

from cartloader_image.scan.layers import Layer, Run, pictures_in
from cartloader_image.values import made_id

_FIELD = re.compile(r"_F(\d+)\.", re.IGNORECASE)
_FOLDERS = ("CellComposite", "Morphology2D")
_APART = (
    "it is a field of view, the first of {count}, and the transcripts alone tell where it lies; docs/vendors/cosmx.md "
    "has the commands that place and join them"
)


def recognise(folder: Path) -> Run | None:
    """The images of an export, if the folder is that of one; the first of each kind stands for all."""
    fields = [[path for path in pictures_in(folder / name) if _FIELD.search(path.name)] for name in _FOLDERS]
    layers = [Layer(made_id(some[0].stem), some[0], lacking=_APART.format(count=len(some))) for some in fields if some]
    return Run("a CosMx export", folder, tuple(layers)) if layers else None
