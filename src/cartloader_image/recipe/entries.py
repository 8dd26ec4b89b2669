"""What a mapping of images says, word by word: each id and each value is the text that stands in the file.

YAML 1.1 takes ``010`` for 8, ``1.10`` for 1.1, ``no`` for false and ``12:30`` for 750; numbers of JSON lose their
zeros. So nothing is interpreted here but ``null``: the models read the texts as they read those of a command line.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from cartloader_image.budget import USUAL, Budget, Cost
from cartloader_image.errors import InputError, UsageError, did_you_mean
from cartloader_image.options import option
from cartloader_image.params import ImportOptions
from cartloader_image.system.reading import read_file

_NULL, _MERGE = "tag:yaml.org,2002:null", "tag:yaml.org,2002:merge"
_NEEDED = "a mapping of image ids to paths is needed, such as {dapi: dapi.ome.tif}"


Value: TypeAlias = "str | Pairs | list[Value] | None"
"""Texts as they are spelled, None for ``null`` and an empty text where nothing stands at all."""


class Pairs(list[tuple[str, Value]]):
    """An object of JSON, a mapping of YAML or a row of a sheet; what is there twice is there twice."""


@dataclass(frozen=True)
class Entry:
    """What a mapping says of one image."""

    path: str | None
    """None where it has none, so that the image is left out."""
    options: dict[str, str | list[str]]
    """By the names of the models' fields."""


def read_mapping(file: Path, budget: Budget = USUAL) -> dict[str, Value]:
    """What a mapping in JSON or YAML, or a sample sheet in CSV or TSV, says of each image, by id.

    A text whose first line has the cells ``id`` and ``path`` is a sheet, one that is valid JSON is JSON, all else YAML.

    Raises:
        InputError: the file cannot be read, or is too large.
        UsageError: it is none of these, or an id is there twice.
    """
    try:
        return _images(_read(file, budget))
    except UsageError as error:
        raise UsageError(printable(f"{file}: {error}")) from None


def read_entry(img_id: str, value: Value) -> Entry:
    """What a mapping says of an image as a path and options.

    Raises:
        UsageError: it is no such thing, an option is there twice, or one has no value.
    """
    pairs = value if isinstance(value, Pairs) else Pairs([("path", value)])
    own = _once(pairs, f"{img_id}: ", _field)
    if "path" not in own or not isinstance(path := own.pop("path"), str | None):
        raise UsageError(f"{img_id} needs a path, or an object with a path and options")
    options = {name: _texts(img_id, name, given) for name, given in own.items() if given is not None}
    return Entry(path or None, options)


def printable(text: str) -> str:
    """The text with escapes for what is no character, so that it can be printed, logged and recorded."""
    return text.encode(errors="backslashreplace").decode()


def _read(file: Path, budget: Budget) -> Value:
    text = _text(file, budget)
    sheet = _sheet(text, file, budget)
    if sheet is None and file.suffix.lower() in {".csv", ".tsv"}:
        raise UsageError("a sample sheet starts with a line that names its columns, id and path among them")
    if sheet is not None:
        return sheet
    try:
        return _loaded_json(text)
    except ValueError:
        budget.check(file, Cost.YAML, len(text))
        return _loaded_yaml(text)


def _text(file: Path, budget: Budget) -> str:
    try:
        budget.check(file, Cost.TEXT, file.stat().st_size)
        data = read_file(file)
    except OSError as error:
        raise InputError(
            f"{file}: cannot be read ({error.strerror}); --in-json takes a mapping in JSON or YAML"
        ) from None
    try:
        return data.decode(json.detect_encoding(data)).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise UsageError(f"no text in UTF-8 or UTF-16 at byte {error.start}; save it in one of them") from None


def _loaded_json(text: str) -> Value:
    """What a text says that is JSON.

    Raises:
        ValueError: it is none.
    """
    try:
        loaded: Value = json.loads(
            text, object_pairs_hook=_json_pairs, parse_int=str, parse_float=str, parse_constant=str
        )
    except RecursionError:
        raise UsageError("nested too deeply for a mapping of ids to paths") from None
    return loaded


def _json_pairs(pairs: list[tuple[str, Any]]) -> Pairs:
    return Pairs((name, str(value).lower() if isinstance(value, bool) else value) for name, value in pairs)


def _loaded_yaml(text: str) -> Value:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        return "" if root is None else _value(root, {})
    except RecursionError:
        raise UsageError("nested too deeply for a mapping of ids to paths") from None
    except (yaml.YAMLError, ValueError) as error:  # the latter for an escape beyond all characters
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        at = f" (line {mark.line + 1}: {problem})" if mark is not None else ""
        raise UsageError(f"neither JSON nor YAML{at}; --in-json takes a mapping of ids to paths") from None


def _value(node: Node, done: dict[Node, Value]) -> Value:
    """What a node of YAML says; one that aliases name again and again is read once."""
    if isinstance(node, ScalarNode):
        return None if node.tag == _NULL and node.value else str(node.value)
    if node not in done:
        done[node] = None
        if isinstance(node, SequenceNode):
            done[node] = [_value(part, done) for part in node.value]
        elif isinstance(node, MappingNode):
            done[node] = _merged(node, done)
    if (value := done[node]) is None:
        raise UsageError(f"line {node.start_mark.line + 1}: an alias inside of what it stands for")
    return value


def _merged(node: MappingNode, done: dict[Node, Value]) -> Pairs:
    """The pairs of a mapping of YAML and, behind ``<<``, those of others as far as it has not the same keys."""
    own, others = Pairs(), list[Value]()
    for key, value in node.value:
        if not isinstance(key, ScalarNode):
            raise UsageError(f"line {key.start_mark.line + 1}: a list or mapping cannot be an id or an option")
        if key.tag != _MERGE:
            own.append((key.value, _value(value, done)))
            continue
        merged = _value(value, done)
        others += merged if isinstance(merged, list) and not isinstance(merged, Pairs) else [merged]
    found = {name for name, _ in own}
    for other in others:
        if not isinstance(other, Pairs):
            raise UsageError(f"line {node.start_mark.line + 1}: << takes a mapping, or a list of them")
        new = {name: value for name, value in _once(other).items() if name not in found}
        own += new.items()
        found |= new.keys()
    return own


def _sheet(text: str, file: Path, budget: Budget) -> Pairs | None:
    """What a sample sheet says; None where the text is none."""
    for delimiter in "\t,;":
        rows = csv.reader(io.StringIO(text.lstrip("\r\n"), newline=""), delimiter=delimiter, strict=True)
        columns: list[str] = []
        try:
            columns = [cell.strip() for cell in next(rows, [])]
            if {"id", "path"} <= set(columns):
                _check_columns([column for column in columns if column])
                images = Pairs()
                for row in rows:
                    if any(map(str.strip, row)):
                        images.append(_row(columns, row, rows.line_num))
                        budget.check(file, Cost.IMAGES, len(images))
                return images
        except csv.Error as error:
            if {"id", "path"} <= set(columns):
                raise UsageError(f"line {rows.line_num}: {error}") from None
    return None


def _row(columns: list[str], row: list[str], line: int) -> tuple[str, Value]:
    """The id of a row and all else that it says; an empty cell says nothing."""
    cells = [cell.strip() or None for cell in row]
    found = list(zip_longest(columns, cells))
    if any(cell and not name for name, cell in found):
        raise UsageError(f"line {line} has more cells than columns have names; a value with commas goes into quotes")
    if not (img_id := dict(found)["id"]):
        raise UsageError(f"line {line} has no id")
    return img_id, Pairs((name, cell) for name, cell in found if name and name != "id")


def _check_columns(columns: list[str]) -> None:
    _once(Pairs((column, None) for column in columns), "the column ", _field)
    if unknown := [column for column in columns if _field(column) not in {"id", "path", *ImportOptions.model_fields}]:
        near = did_you_mean(unknown[0], ImportOptions.model_fields)
        raise UsageError(f"the column {unknown[0]!r} is no option{near}; see cartloader import_image --help")


def _images(value: Value) -> dict[str, Value]:
    """What is said of each image, by id: what is in a top-level ``IMAGES`` where there is one."""
    if not isinstance(value, Pairs):
        raise UsageError(_NEEDED)
    entries = _once(value)
    images = entries.get("IMAGES")
    if isinstance(images, Pairs):
        entries = _once(images)
        if "path" in entries:
            raise UsageError("IMAGES holds the images by their ids and has no path of its own; choose another id")
    if not entries:
        raise UsageError(_NEEDED)
    return entries


def _texts(img_id: str, name: str, value: Value) -> str | list[str]:
    """The value of an option: a text, or a list of them such as bounds."""
    if value == "":
        # In YAML, `colorize: #ff0000` says nothing: a comment starts there.
        raise UsageError(f"{img_id}: {option(name)} has no value; write null for none, and one with a # in quotes")
    if isinstance(value, str):
        return value
    texts = [part for part in value or () if isinstance(part, str)]
    if isinstance(value, Pairs) or value is None or len(texts) < len(value):
        raise UsageError(f"{img_id}: {option(name)} takes one value, or a list of numbers")
    return texts


def _once(pairs: Pairs, what: str = "", meaning: Callable[[str], str] = str) -> dict[str, Value]:
    """The values of pairs by what their keys mean.

    Raises:
        UsageError: two keys mean the same.
    """
    found: dict[str, Value] = {}
    for name, value in pairs:
        if (key := meaning(name)) in found:
            raise UsageError(f"{what}{name} is there twice; keep one")
        found[key] = value
    return found


def _field(name: str) -> str:
    """The field that an option is, spelled with dashes or underscores."""
    return name.replace("-", "_")
