"""The output of Space Ranger, for Visium and Visium HD: the image that it was given, and those that it made of it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from cartloader_image.scan.layers import Layer, Run, pictures_in
from cartloader_image.system.reading import read_file
from cartloader_image.values import made_id, stem_of

_SCALES = "scalefactors_json.json"
_MADE = {
    "tissue_hires_image": ("hires", ""),
    "tissue_lowres_image": ("lowres", "it is tissue_hires_image.png, smaller"),
    "cytassist_image": ("none", "its frame is its own: the registration that Space Ranger found is not read"),
}
"""Pictures beside the scales: which one they have, and why they are not imported."""
_MOST = 1 << 16
"""Bytes of the file of scales that are looked at."""


def recognise(folder: Path) -> Run | None:
    """The images of a run, if the folder is that of one, its ``outs``, or the ``spatial`` in these."""
    roots = [folder, folder / "outs"]
    found = [
        path
        for root in roots
        # The bins of all sizes share one image and one scale; 8 µm is what is shown unless one asks.
        for path in (
            root / "binned_outputs" / "square_008um" / "spatial" / _SCALES,
            *sorted(root.glob(f"binned_outputs/square_*um/spatial/{_SCALES}")),
            root / "spatial" / _SCALES,
            root / _SCALES,
        )
        if path.is_file()
    ]
    if not found:
        return None
    scales = found[0]
    facts: object = {}
    with suppress(OSError, ValueError, RecursionError):
        facts = json.loads(read_file(scales, _MOST))
    binned = isinstance(facts, dict) and "microns_per_pixel" in facts
    by = "microns_per_pixel" if binned else "a spot of 65 µm over spot_diameter_fullres"
    given = [
        Layer(made_id(stem_of(path)), path, {"pixel_size": scales}, f"{by} in {scales.name}, and its size fits")
        for place in dict.fromkeys((*roots, folder.parent if folder.name == "outs" else folder))
        if place != scales.parent
        for path in pictures_in(place)
    ]
    made = [
        Layer(path.stem, path, {"pixel_size": scales}, f"{by} and tissue_{scale}_scalef in {scales.name}", lacking)
        for path in pictures_in(scales.parent)
        for scale, lacking in (_MADE.get(path.stem, ("", "")),)
        if scale
    ]
    return Run("a Visium HD run" if binned else "a Visium run", folder, (*given, *made))
