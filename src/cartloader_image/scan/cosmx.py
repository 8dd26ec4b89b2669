"""A CosMx export: pictures of fields of view, which are one layer by the table of their positions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cartloader_image.budget import USUAL
from cartloader_image.errors import CartloaderError
from cartloader_image.images.stack import FIELD, channel_order, field_kind
from cartloader_image.images.tiff import open_tiff
from cartloader_image.scan.layers import Layer, Run, colours, pictures_in, stained
from cartloader_image.system.texts import text_of
from cartloader_image.values import made_id

_COMPOSITE, _STAINS = "CellComposite", "Morphology2D"
_INSIDE = ("", "CellStatsDir")
"""Folders of a run in which those of pictures are."""
_POSITIONS, _TRANSCRIPTS = "*fov_positions_file.csv*", "*tx_file.csv*"


def recognise(folder: Path) -> Run | None:
    """The images of an export, if the folder is that of one: the first field stands for all."""
    fields = {
        name: [path for inside in _INSIDE for path in pictures_in(folder / inside / name) if FIELD.search(path.name)]
        for name in (_COMPOSITE, _STAINS)
    }
    if not any(fields.values()):
        return None
    options, lacking = _placing(folder)
    for name, paths in fields.items():
        if len({field_kind(path) for path in paths}) > 1:
            lacking = lacking or f"{name} has pictures of several runs, {_named(paths)}; keep those of one in it"
    because = "" if lacking else "the positions of its fields place them, and transcripts tell how these are meant"
    layers = [Layer(_COMPOSITE, paths[0], options, because, lacking) for paths in [fields[_COMPOSITE]] if paths]
    for path in fields[_STAINS][:1]:
        stains = list(_stains(path))
        shades = colours([name for name, _ in stains])
        layers += [
            Layer(made_id(name), path, stained(shades[name]) | chosen | options, because, lacking)
            for name, chosen in stains
        ]
    return Run("a CosMx export", folder, tuple(layers))


def _named(paths: list[Path]) -> str:
    """A picture of each kind."""
    return " and ".join({field_kind(path): path.name for path in reversed(paths)}.values())


def _placing(folder: Path) -> tuple[dict[str, str | Path], str]:
    """The options that place the fields, or what there is not to do so."""
    options: dict[str, str | Path] = {}
    for name, pattern in (("fov_positions", _POSITIONS), ("fov_transcripts", _TRANSCRIPTS)):
        tables = sorted(path for path in folder.glob(pattern) if path.is_file())
        if len(tables) != 1:
            found = f"there are {', '.join(path.name for path in tables)}" if tables else "there is none"
            return options, f"it is a field of view; {pattern} of its run says where it lies, and {found} in the folder"
        options[name] = tables[0]
    configs = sorted(folder.glob("RunSummary/*_ExptConfig.txt"))
    with suppress(CartloaderError):  # which its import tells
        header = text_of(Path(options["fov_positions"]), "--fov-positions", USUAL)
        if len(configs) == 1 and "x_global_mm" not in header.partition("\n")[0].lower():
            options["pixel_size"] = configs[0]
    return options, ""


def _stains(path: Path) -> Iterator[tuple[str, dict[str, str | Path]]]:
    """The names of the pages of a field's stains, as its description has them, and the options that choose them.

    ``ChannelOrder`` has a letter for each page, and the reagents say what each letter shows.
    """
    count, description = 1, ""
    with suppress(CartloaderError), open_tiff(path) as tiff:  # its import tells best what is wrong with it
        count, description = len(tiff.series[0].planes), tiff.first.description
    targets, letters = (re.findall(rf'"{key}":\s*"([^"]*)"', description) for key in ("BiologicalTarget", "ChannelId"))
    order = channel_order(description)
    named = dict(zip(letters, targets, strict=True)) if len(letters) == len(targets) else {}
    names = [named.get(letter) or letter for letter in order] if len(order) == count else []
    for page in range(count):
        name = names[page] if names else f"{_STAINS}-{page}" if count > 1 else _STAINS
        yield name, {"page": f"{page}"} if count > 1 else {}
