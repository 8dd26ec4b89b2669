"""The catalog's text: list basemaps in it and change nothing else.

The YAML parser says where in the text the mapping ``assets.basemap`` is, and only there something is written.
Comments, quotes, indentation, line ends and what other tools wrote stay byte for byte. (Writing parsed YAML out again,
even by a library that keeps comments, moves comments behind the keys they announce and wraps long lines anew.)
The new text is parsed in its turn, and has to say what the old one said and the new basemaps.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

import yaml
from yaml import CollectionNode, MappingNode, Node, ScalarNode

from cartloader_image.errors import CatalogError, shortened

_STRING, _NULL, _MAPPING = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "null", "map"))

Tree: TypeAlias = "Mapping[str, str | Tree]"
"""Keys to texts or to further keys."""


class _Place(NamedTuple):
    """Where a mapping is, or would be."""

    name: str
    """Its keys from the root, joined by dots."""
    flow: bool
    """Inside ``{}``."""
    column: int
    """Of its keys, should it have to be made here."""
    step: int
    """Columns by which its children are indented."""


class _Edit(NamedTuple):
    """Replace the characters from ``start`` up to ``end``."""

    start: int
    end: int
    text: str


class Listing(NamedTuple):
    """What a catalog says of itself, and its basemaps."""

    title: str
    basemaps: dict[str, str]
    """Files by id; one of a group by the group's id, a dot and its own."""


def basemaps(text: str) -> dict[str, str]:
    """The basemaps that a catalog lists, id to file, in their order; groups of basemaps are left out.

    Raises:
        CatalogError: it is no YAML.
    """
    return _texts(_child(_child(_parse(text), "assets"), "basemap"))


def listing(text: str) -> Listing:
    """The title of a catalog, and its basemaps, those of groups as well.

    Raises:
        CatalogError: it is no YAML, or no catalog.
    """
    root = _parse(text)
    if (assets := _child(root, "assets")) is None and not _is_blank(root, text):
        raise CatalogError("has no key assets; is it a catalog?")
    maps = _child(assets, "basemap")
    found = _texts(maps)
    for key, group in maps.value if isinstance(maps, MappingNode) else ():
        files = {f"{key.value}.{name}": file for name, file in _texts(group).items()}
        found |= {name: file for name, file in files.items() if file.endswith(".pmtiles")}  # others name one of them
    return Listing(_texts(root).get("title", ""), found)


def _texts(node: Node | None) -> dict[str, str]:
    """The keys of a mapping whose values are texts, and these."""
    pairs = node.value if isinstance(node, MappingNode) else []
    return {
        key.value: value.value for key, value in pairs if isinstance(key, ScalarNode) and isinstance(value, ScalarNode)
    }


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
    if _is_blank(root, text):
        tree = {"id": title, "title": title, **tree}
    new, done = "", 0
    edits = _edits(text, root, tree, _Place("", flow=False, column=0, step=2))
    for edit in sorted(edits, key=lambda edit: edit.start):
        new += text[done : edit.start] + edit.text
        done = edit.end
    new += text[done:]
    if new != text and not _says(new, _merged(root, tree)):
        name, file = next(iter(files.items()))
        raise CatalogError(f"no safe place for a basemap in this layout; add by hand: assets: basemap: {name}: {file}")
    return new


def _parse(text: str) -> Node | None:
    """The root of the YAML tree; None for a text without content.

    Raises:
        CatalogError: it is no YAML, or a mapping has a key twice.
    """
    try:
        root: Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        problem = ", ".join(filter(None, (getattr(error, name, None) for name in ("context", "problem", "reason"))))
        raise CatalogError(f"a YAML file is needed, found an error{where}: {problem}") from None
    except (ValueError, OverflowError) as error:  # what its escapes and numbers can do to the parser
        raise CatalogError(f"a YAML file is needed, found what cannot be read ({error})") from None
    for mapping in _mappings(root, set()):
        lines: dict[tuple[str, str], int] = {}
        for key in (key for key, _ in mapping.value if isinstance(key, ScalarNode)):
            line = key.start_mark.line + 1
            if (first := lines.setdefault((key.tag, key.value), line)) != line:
                raise CatalogError(
                    f"the key {shortened(key.value)} is there twice, in lines {first} and {line}; keep one"
                )
    return root


def _mappings(node: Node | None, seen: set[int]) -> Iterator[MappingNode]:
    """All mappings of a tree, each once; aliases make it a graph."""
    if node is None or isinstance(node, ScalarNode) or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, MappingNode):
        yield node
    for child in node.value:
        for part in child if isinstance(child, tuple) else (child,):
            yield from _mappings(part, seen)


def _child(node: Node | None, name: str) -> Node | None:
    """The value of a key as it is spelled in the text: ``1`` and ``no`` are ids here, whatever YAML makes of them."""
    pairs = node.value if isinstance(node, MappingNode) else []
    return next((child for key, child in pairs if isinstance(key, ScalarNode) and key.value == name), None)


def _is_blank(node: Node | None, text: str) -> bool:
    """Whether this is a place for a mapping and nothing else: no content, null or ``{}``."""
    if node is None or node.tag == _NULL:
        return True
    return re.fullmatch(r"\{\s*\}", text[node.start_mark.index : node.end_mark.index]) is not None


def _merged(node: Node | None, tree: Tree) -> MappingNode:
    """A copy of the mapping ``node`` with the tree merged into it: what the new text has to say."""
    pairs = list(node.value) if isinstance(node, MappingNode) else []
    names = [key.value for key, _ in pairs]
    for name, value in tree.items():
        merged = ScalarNode(_STRING, value) if isinstance(value, str) else _merged(_child(node, name), value)
        if name in names:
            index = names.index(name)
            pairs[index] = (pairs[index][0], merged)
        else:
            pairs.append((ScalarNode(_STRING, name), merged))
    return MappingNode(node.tag if isinstance(node, MappingNode) else _MAPPING, pairs)


def _says(text: str, expected: Node) -> bool:
    try:
        found = _parse(text)
    except CatalogError:
        return False
    return found is not None and yaml.serialize(found, canonical=True) == yaml.serialize(expected, canonical=True)


def _edits(text: str, node: Node | None, tree: Tree, place: _Place) -> Iterator[_Edit]:
    """What to write to merge a tree into a node, which has to be a mapping or blank."""
    flow, column, step = place.flow, place.column, place.step
    if isinstance(node, MappingNode) and node.value:
        flow, column = bool(node.flow_style), _column(node)
        blocks = (child for _, child in node.value if isinstance(child, MappingNode) and not child.flow_style)
        step = next((_column(block) - column for block in blocks if _column(block) > column), step)
    elif not _is_blank(node, text):
        raise CatalogError(f"{place.name or 'the catalog'} should be a mapping, found {_kind(node)}")
    missing: dict[str, str | Tree] = {}
    for name, value in tree.items():
        path = f"{place.name}.{name}" if place.name else name
        child = _child(node, name)
        if child is None:
            missing[name] = value
        elif not isinstance(value, str):
            yield from _edits(text, child, value, _Place(path, flow, column + step, step))
        elif not isinstance(child, ScalarNode):
            raise CatalogError(f"{path} is {_kind(child)} already, not one file; choose another --img-id")
        elif child.value != value:
            yield _replacement(text, child, value, flow=flow)
    if missing:
        yield from _addition(text, node, missing, _Place(place.name, flow, column, step))


def _column(mapping: MappingNode) -> int:
    key: Node = mapping.value[0][0]
    return int(key.start_mark.column)


def _kind(node: Node | None) -> str:
    if isinstance(node, ScalarNode):
        return f"the text {shortened(node.value)!r}"
    if isinstance(node, MappingNode):
        return "a mapping" if node.value else "braces around a comment"
    return "a list"


def _replacement(text: str, node: ScalarNode, value: str, *, flow: bool) -> _Edit:
    """Write a value over another, in its quotes if it has some."""
    start, end = node.start_mark.index, node.end_mark.index
    written = text[start:end]
    quoted = json.dumps(value) if flow or node.style == '"' else f"'{value}'" if node.style == "'" else value
    # A null that is not written begins right after the colon; a block scalar ends after its line break.
    return _Edit(start, start + len(written.rstrip()), quoted if written else f" {quoted}")


def _addition(text: str, node: Node | None, tree: Tree, place: _Place) -> Iterator[_Edit]:
    """Write keys behind those of a mapping, or a mapping where there is none yet."""
    start, end = (len(text), len(text)) if node is None else (node.start_mark.index, node.end_mark.index)
    pairs = node.value if isinstance(node, MappingNode) else []
    if pairs:
        start = end = _end(max(pairs[-1], key=_start))
    if place.flow:
        entries = json.dumps(tree, ensure_ascii=False)[1:-1]
        gap = " " if start == end else ""
        yield _Edit(start, end, f", {entries}" if pairs else f"{gap}{{{entries}}}")
        return
    if start < end:  # null or {} makes room
        yield _Edit(len(text[:start].rstrip(" ")), end, "")
    newline = "\r\n" if "\r\n" in text else "\n"
    next_line = end if text[:end].endswith("\n") else text.find("\n", end) + 1 or len(text)
    ended = text[:next_line].endswith("\n") or next_line == 0
    yield _Edit(next_line, next_line, ("" if ended else newline) + _block(tree, place, newline))


def _start(node: Node) -> int:
    return int(node.start_mark.index)


def _end(node: Node) -> int:
    """Where the last word of a node ends; a block mapping itself ends only where the next thing begins."""
    if not isinstance(node, CollectionNode) or node.flow_style:
        return int(node.end_mark.index)
    last = node.value[-1]
    # An alias is a node from further up, and the end of the other one of key and value is not its own.
    if isinstance(last, tuple):
        return _end(max(last, key=_start))
    return max(_start(node), _end(last) if _start(last) >= _start(node) else 0)


def _block(tree: Tree, place: _Place, newline: str) -> str:
    lines = []
    for name, value in tree.items():
        key = " " * place.column + _scalar(name) + ":"
        if isinstance(value, str):
            lines.append(f"{key} {_scalar(value)}{newline}")
        else:
            lines += [key, newline, _block(value, place._replace(column=place.column + place.step), newline)]
    return "".join(lines)


def _scalar(text: str) -> str:
    """A text in YAML: plain where every version of YAML reads it as a text, else quoted as JSON does."""
    plain = re.fullmatch(r"[^\W\d_][\w-]*([ .][\w-]+)*", text) or text.endswith(".pmtiles")
    if plain and (node := yaml.compose(text, Loader=yaml.SafeLoader)) is not None and node.tag == _STRING:
        return text
    # What cannot be printed might not be writable either, such as the odd bytes of a directory's name.
    return json.dumps(text, ensure_ascii=not text.isprintable())
