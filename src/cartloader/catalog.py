"""The catalog: one YAML file that tells a viewer which basemaps and other assets a folder holds.

An update changes the text of the file only where a basemap is added or replaced. Whatever else is there, comments,
quotes, indentation, line ends, what other tools wrote, stays byte for byte: the YAML parser says where to write, and
reads the result back before it is published. (Writing parsed YAML out again, even by a library that keeps comments,
moves comments behind the keys they announce and re-wraps long lines.)
"""

from __future__ import annotations

import difflib
import filecmp
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from yaml import MappingNode, Node, ScalarNode

from cartloader.errors import CatalogError
from cartloader.files import locked, publish
from cartloader.params import UpdateCatalogParams
from cartloader.results import CatalogResult

_BASEMAPS = ("assets", "basemap")
_STRING, _NULL, _MAPPING = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "null", "map"))


def update(params: UpdateCatalogParams) -> CatalogResult:
    """List archives as basemaps, ``assets.basemap.<id>: <id>.pmtiles``, creating the catalog when it is missing.

    An archive in another directory is copied beside the catalog. Nothing is written where nothing changes. Updates of
    one catalog at the same time, by threads or processes, follow one another. A catalog that is a link stays one.

    Raises:
        CatalogError: an archive is missing or none, or the catalog has not the expected shape; nothing is changed.
        OSError: a file cannot be read or written.
    """
    for archive in params.basemaps.values():
        _check_archive(archive)
    catalog = Path(os.path.realpath(params.catalog_yaml))
    with locked(catalog) as scratch:
        old = _read(catalog)
        try:
            listed = {key.value: child.value for key, child in _basemaps(old)}
            new = _with_basemaps(old, [*params.basemaps], params.title)
        except CatalogError as error:
            raise CatalogError(f"{params.catalog_yaml}: {error}") from None
        for img_id, archive in params.basemaps.items():
            _bring(archive, catalog.with_name(_file(img_id)), scratch)
        if new != old:
            made = scratch / catalog.name
            made.write_bytes(new.encode())
            publish(made, catalog)
    return CatalogResult(
        path=params.catalog_yaml,
        added=tuple(img_id for img_id in params.basemaps if img_id not in listed),
        replaced=tuple(img_id for img_id in params.basemaps if listed.get(img_id, _file(img_id)) != _file(img_id)),
        diff=_diff(old, new, params.catalog_yaml.name),
    )


def _file(img_id: str) -> str:
    return f"{img_id}.pmtiles"


def _check_archive(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(8)
    except FileNotFoundError:
        raise CatalogError(f"{path}: there is no such archive to list; make it with --png2pmtiles") from None
    except IsADirectoryError:
        raise CatalogError(f"{path}: a PMTiles archive is needed, found a directory") from None
    if magic != b"PMTiles\x03":
        found = f"version {magic[7]}" if magic[:7] == b"PMTiles" and len(magic) > 7 else "another kind of file"
        raise CatalogError(
            f"{path}: a PMTiles archive of version 3 is needed, found {found}; make it anew with --png2pmtiles"
        )


def _bring(archive: Path, target: Path, scratch: Path) -> None:
    """Copy an archive to its place beside the catalog, unless it is there already."""
    if target.is_file() and (target.samefile(archive) or filecmp.cmp(archive, target, shallow=False)):
        return
    made = scratch / target.name
    shutil.copyfile(archive, made)
    publish(made, target)


def _read(catalog: Path) -> str:
    """The catalog's text, empty when there is none."""
    try:
        return catalog.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except IsADirectoryError:
        raise CatalogError(f"{catalog}: a YAML file is needed for the catalog, found a directory") from None
    except UnicodeDecodeError as error:
        raise CatalogError(f"{catalog}: YAML in UTF-8 is needed, found byte {error.object[error.start]:#04x}") from None


def _diff(old: str, new: str, name: str) -> str:
    before, after = old.splitlines(), new.splitlines()
    return "\n".join(difflib.unified_diff(before, after, name if old else "/dev/null", name, lineterm=""))


# What follows works on the text of a catalog, and on the nodes that say where in the text its parts are.


def _with_basemaps(text: str, img_ids: Sequence[str], title: str) -> str:
    r"""The catalog with these basemaps listed; a new catalog begins with ``id`` and ``title``.

    Raises:
        CatalogError: it has not the expected shape, or is laid out so that only a person can change it safely.
    """
    new = text
    if _compose(text) is None:
        heading = "".join(f"{name}: {_scalar(title)}{_line_end(text)}" for name in ("id", "title"))
        new = _ended(text) + heading
    expected = _compose(new)
    for img_id in img_ids:
        path = (*_BASEMAPS, img_id)
        expected = _expected(expected, path, _file(img_id))
        new = _edited(new, path, _file(img_id))
    try:
        survived = yaml.serialize(_compose(new), canonical=True) == yaml.serialize(expected, canonical=True)
    except CatalogError:
        survived = False
    if not survived:
        entry = f"assets: basemap: {img_ids[0]}: {_file(img_ids[0])}"
        raise CatalogError(f"its layout leaves no safe place for another basemap; add this by hand: {entry}")
    return new


def _compose(text: str) -> Node | None:
    """The root of the YAML tree, None for a text without content.

    Raises:
        CatalogError: it is no YAML, or a mapping in it has a key twice.
    """
    try:
        root: Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "unreadable characters"
        raise CatalogError(f"YAML is needed for the catalog, found an error ({problem}{at})") from None
    if root is not None:
        for mapping in _mappings(root, set()):
            keys = Counter(key.value for key, _ in mapping.value if isinstance(key, ScalarNode))
            for name, count in keys.items():
                if count > 1:
                    line = mapping.start_mark.line + 1
                    raise CatalogError(
                        f"the key {name} is there {count} times in the mapping from line {line} on; keep one"
                    )
    return root


def _mappings(node: Node, seen: set[int]) -> Iterator[MappingNode]:
    """All mappings of a tree, each once: an alias makes it a graph."""
    if id(node) in seen or isinstance(node, ScalarNode):
        return
    seen.add(id(node))
    if isinstance(node, MappingNode):
        yield node
    for child in node.value:
        for part in child if isinstance(child, tuple) else (child,):
            yield from _mappings(part, seen)


def _child(mapping: Node | None, name: str) -> Node | None:
    pairs = mapping.value if isinstance(mapping, MappingNode) else ()
    return next((child for key, child in pairs if isinstance(key, ScalarNode) and key.value == name), None)
