"""Runs as the text of a mapping in YAML; what cannot be imported stands in it as a comment, with the reason."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path

from cartloader_image.errors import visible
from cartloader_image.options import option
from cartloader_image.recipe.entries import printable
from cartloader_image.scan.layers import Layer, Run
from cartloader_image.version import __version__

_HEAD = """\
# Images of {what}, as cartloader {version} found them. This file imports them all:
#   cartloader import_image --in-json {name} --out-dir map
# Each line is an option of that command, see docs/options.md. What is commented out lacks something.
all: &all {{png2pmtiles: true, update-catalog: true}}
IMAGES:
"""
_COMMENT = textwrap.TextWrapper(
    110, initial_indent="# ", subsequent_indent="#   ", break_long_words=False, break_on_hyphens=False
)
_PLAIN = re.compile(r"[A-Za-z/.][\w./-]*", re.ASCII)
_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def mapping_text(runs: list[Run], mapping: Path | None) -> str:
    """The mapping of some runs, as it stands at ``mapping``, or in the working directory where that is not given."""
    name = shlex.quote(mapping.name) if mapping else "IMAGES.yaml"
    what = " and of ".join(f"{run.what}: {visible(str(run.folder))}" for run in runs)
    base = (mapping.parent if mapping else Path()).absolute()
    lines = [line for run in runs for layer in run.layers for line in _entry(layer, base)]
    return _HEAD.format(what=what, version=__version__, name=name) + "".join(f"  {line}\n" for line in lines)


def _entry(layer: Layer, base: Path) -> Iterator[str]:
    """The lines of one image."""
    said = f"Commented out: {layer.lacking}" if layer.lacking else layer.because
    for line in said.splitlines():
        yield from _COMMENT.wrap(visible(line))
    entry = [f"{_scalar(layer.img_id)}:", "  <<: *all", f"  path: {_file(layer.path, base)}"]
    for name, value in layer.options.items():
        shown = _file(value, base) if isinstance(value, Path) else _scalar(value)
        entry.append(f"  {option(name).removeprefix('--')}: {shown}")
    yield from (f"# {line}" if layer.lacking else line for line in entry)


def _file(path: Path, base: Path) -> str:
    """A path from the mapping where it lies beside or below it, else from the root: ``..`` may lead through links."""
    path = path.absolute()
    return _scalar(str(path.relative_to(base)) if path.is_relative_to(base) else str(path))


def _scalar(text: str) -> str:
    """A text that YAML reads as itself: in quotes of JSON, unless it is plain beyond doubt."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    quoted = json.dumps(printable(text), ensure_ascii=False)
    return "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in quoted)
