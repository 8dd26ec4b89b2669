"""The catalog's text: list basemaps in it and change nothing else.

The YAML parser says where in the text the mapping ``assets.basemap`` is, and only there something is written.
Comments, quotes, indentation, line ends and what other tools wrote stay byte for byte. (Writing parsed YAML out again,
even by a library that keeps comments, moves comments behind the keys they announce and wraps long lines anew.)
The new text is parsed in its turn, and has to say what the old one said and the new basemaps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from yaml import MappingNode, Node, ScalarNode

from cartloader.errors import CatalogError

_STRING, _NULL, _MAPPING = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "null", "map"))

Tree: TypeAlias = "Mapping[str, str | Tree]"
"""Keys to texts or to further keys."""


class _Edit(NamedTuple):
    """Replace the characters from ``start`` up to ``end``."""

    start: int
    end: int
    text: str


class _Place(NamedTuple):
    """A node and where it stands: its keys from the root, and the mapping that holds it."""

    node: Node | None
    name: str
    parent: MappingNode | None


def basemaps(text: str) -> dict[str, str]:
    """The basemaps that a catalog lists, id to file, in their order; groups of basemaps are left out.

    Raises:
        CatalogError: it is no YAML, or something else stands in the place of a mapping.
    """
    *_, place = _places(_parse(text))
    pairs = place.node.value if isinstance(place.node, MappingNode) else []
    return {key.value: child.value for key, child in pairs if isinstance(child, ScalarNode)}


def with_basemaps(text: str, files: Mapping[str, str], title: str) -> str:
    """The catalog with these basemaps: in place where it has them, behind the others where it has not.

    Args:
        text: The catalog as it is. One without content becomes a new one.
        files: File names by basemap id.
        title: ``id`` and ``title`` of a new catalog.

    Raises:
        CatalogError: it is no YAML, has not the shape of a catalog, or only a person can change it safely.
    """
    root = _parse(text)
    tree: Tree = {"assets": {"basemap": files}}
    if _is_blank(text, root):
        tree = {"id": title, "title": title} | tree
    new = text
    for edit in sorted(_edits(text, _places(root), tree), reverse=True):
        new = new[: edit.start] + edit.text + new[edit.end :]
    try:
        survived = _canonical(_parse(new)) == _canonical(_merged(root, tree))
    except CatalogError:
        survived = False
    if not survived:
        name, file = next(iter(files.items()))
        raise CatalogError(f"no safe place for a basemap in this layout; add it by hand: assets: basemap: {name}: {file}")
    return new
