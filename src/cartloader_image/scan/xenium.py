"""The output folder of a Xenium region: morphology images, which place themselves, and stains made after the run."""

from __future__ import annotations

import re
from pathlib import Path

from cartloader_image.scan.layers import (
    Layer,
    Run,
    colours,
    layers_of,
    pictures_in,
    stained,
    stains_of,
)
from cartloader_image.values import made_id, stem_of

_ALIGNMENT = r"[ _.-]*(image)?[ _.-]*alignment"
"""What follows a picture's name in that of its alignment file, which may go on."""
_OWN = "its own metadata say the pixel size, and transcripts are measured from its corner"


def recognise(folder: Path) -> Run | None:
    """The images of a run, if the folder is that of one."""
    if not (folder / "experiment.xenium").is_file():
        return None
    # A file for each stain; the onboard analysis 1 has one file beside the others instead of the folder.
    focus = [path for path in pictures_in(folder / "morphology_focus") if path.name.endswith(".ome.tif")]
    rest = pictures_in(folder)
    whole = [path for path in rest if path.name.startswith("morphology")]
    layers = [*_stains(focus), *(layer for path in whole for layer in layers_of(path, {}, _OWN))]
    others = [path for path in rest if path not in whole]
    return Run("a Xenium run", folder, (*layers, *made_after(folder, others)))


def made_after(folder: Path, pictures: list[Path]) -> list[Layer]:
    """Pictures of another microscope in a folder, each with the alignment file there that has its name."""
    tables = sorted(path for path in folder.glob("*alignment*.csv") if "keypoint" not in path.name.lower())
    return [layer for path in pictures for layer in _made_after(path, tables, pictures)]


def _stains(files: list[Path]) -> list[Layer]:
    """The stains in focus; each file describes the whole set and holds one of it."""
    found = [(name or stem_of(path), path, chosen) for path in files for name, chosen in stains_of(path)]
    shades = colours([name for name, *_ in found])
    return [Layer(made_id(name), path, stained(shades[name]) | chosen, _OWN) for name, path, chosen in found]


def _owner(table: Path, pictures: list[Path]) -> Path | None:
    """The picture whose name an alignment file has: the longest one that is followed by ``_imagealignment`` or so."""
    named = [path for path in pictures if re.match(re.escape(stem_of(path)) + _ALIGNMENT, table.stem)]
    return max(named, key=lambda path: len(stem_of(path)), default=None)


def _made_after(path: Path, tables: list[Path], pictures: list[Path]) -> list[Layer]:
    """A picture of another microscope, which has its place by an alignment file alone."""
    fitting = [table for table in tables if _owner(table, pictures) == path]
    options: dict[str, str | Path] = {"xenium_alignment": fitting[0]} if len(fitting) == 1 else {}
    because = f"{fitting[0].name} by its name places it" if options else ""
    lacking = ""
    if not options:
        lacking = "no alignment file is named as it is"
        if tables:
            lacking += f": there are {', '.join(table.name for table in tables)}"
        lacking += "; export one from Xenium Explorer, and give it as xenium_alignment"
    return [Layer(layer.img_id, path, layer.options, because, lacking) for layer in layers_of(path, options, because)]
