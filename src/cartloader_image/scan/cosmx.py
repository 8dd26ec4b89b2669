"""A CosMx export: a picture for each field of view, which one import does not join."""

from __future__ import annotations

import re
from pathlib import Path

from cartloader_image.scan.layers import Layer, Run, image_id, pictures_in

_FIELD = re.compile(r"_F(\d+)\.", re.IGNORECASE)
_FOLDERS = ("CellComposite", "Morphology2D")
_APART = (
    "it is a field of view, the first of {count}, and the transcripts alone tell where it lies; docs/vendors/cosmx.md "
    "has the commands that place and join them"
)


def recognise(folder: Path) -> Run | None:
    """The images of an export, if the folder is that of one; the first of each kind stands for all."""
    layers = []
    for place in (folder / name for name in _FOLDERS):
        fields = [path for path in pictures_in(place) if _FIELD.search(path.name)] if place.is_dir() else []
        if fields:
            first = fields[0]
            layers.append(Layer(image_id(first.stem), first, lacking=_APART.format(count=len(fields))))
    return Run("a CosMx export", folder, tuple(layers)) if layers else None
