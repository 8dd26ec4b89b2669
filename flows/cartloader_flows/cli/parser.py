"""A command line made from pydantic models: one option per field, spelled, described and grouped as the field says.

Only the spelling is settled here. Values stay text until the model checks them, so that the command line refuses
exactly what a flow's parameters refuse, in the same words.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from cartloader_image.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from pydantic import BaseModel  # 0.2 s with the models, which `cartloader --help` has no use for

ModelT = TypeVar("ModelT", bound="BaseModel")

# The groups of the help in reading order, by the name that fields give.
GROUPS = {
    "actions": "actions (none runs by default)",
    "in/out": "input and output",
    "ome2png": "reading a TIFF or OME-TIFF",
    "png2pmtiles": "tiles",
    "georeference": "placing the image on the map",
    "tools": "tools of --engine gdal",
    "run": "running",
}

_BARE_VALUES = {"georef_detect": "OME"}
"""What an option says that may stand without a value."""
_METAVARS = {"integer": "N", "number": "NUMBER", "string": "TEXT", "path": "PATH"}


class Parser(argparse.ArgumentParser):
    """Reads the options that are the fields of some models; what it refuses, it refuses in one sentence."""

    def __init__(self, prog: str, usage: str, description: str, *models: type[BaseModel]) -> None:
        super().__init__(
            prog=prog,
            usage=usage,
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self._valued: set[str] = set()
        self._spellings = dict[str, str]()
        groups = {name: self.add_argument_group(title) for name, title in GROUPS.items()}
        for model in models:
            for name, field in model.model_json_schema()["properties"].items():
                if "description" in field:  # others are set by the command itself
                    self._add_field(groups.get(field.get("group"), self), name, field)

    def _add_field(self, group: argparse._ActionsContainer, name: str, field: Mapping[str, Any]) -> None:
        reading: dict[str, Any] = {"help": _help(field)}
        if field.get("type") == "boolean":
            reading |= {"action": "store_true"}
        else:
            reading |= {"type": _filled, "metavar": _metavar(field)}
        if field.get("positional"):
            reading |= {"nargs": "+"} if field.get("type") == "array" else {}
            group.add_argument(name, choices=_value_schema(field).get("enum"), **reading)
            return
        from cartloader_image.options import option  # noqa: PLC0415  (see above)

        spelling = option(name)
        self._spellings[_dashed(spelling)] = spelling
        if name in _BARE_VALUES:
            reading |= {"nargs": "?", "const": _BARE_VALUES[name]}
        elif "type" in reading:
            self._valued.add(spelling)
        if field.get("type") == "array":
            reading |= {"action": "append"}
        group.add_argument(spelling, dest=name, default=argparse.SUPPRESS, **reading)

    def read(self, argv: Sequence[str]) -> dict[str, Any]:
        """What is given on the command line, by field; nothing that is not.

        Underscores and dashes in the name of an option are the same. A word such as ``-1,2,3,4`` after an option that
        takes a value is its value, although argparse takes a word with a dash in front for an option unless it is a
        plain negative number.

        Raises:
            UsageError: an option is unknown or lacks its value.
        """
        words: list[str] = []
        for word in argv:
            if words and words[-1] in self._valued and re.match(r"-(?!-|h$)", word):
                words[-1] += f"={word}"
            else:
                words.append(word if "--" in words else self._spelled(word))
        return vars(self.parse_args(words))

    def _spelled(self, word: str) -> str:
        """An option as it is known here, with its value if there is one; any other word as it is."""
        name, sign, value = word.partition("=")
        return f"{self._spellings.get(_dashed(name), name)}{sign}{value}"

    def error(self, message: str) -> NoReturn:
        """Refuse the command line.

        Raises:
            UsageError: always.
        """
        raise UsageError(self._sentence(message))

    def _sentence(self, message: str) -> str:
        if unknown := re.fullmatch(r"unrecognized arguments: (\S+).*", message, re.DOTALL):
            kind = "is no option" if unknown[1].startswith("-") else "belongs to no option"
            near = did_you_mean(unknown[1], self._spellings.values())
            return f"{unknown[1].partition('=')[0]} {kind}{near}; see {self.prog} --help"
        if missing := re.fullmatch(r"the following arguments are required: (\S+?),?( .*)?", message):
            return f"{missing[1]} is missing; see {self.prog} --help"
        if wrong := re.fullmatch(r"argument \S+: invalid choice: '?(.*?)'? \(choose from (.*)\)", message):
            there = wrong[2].replace("'", "")
            return f"{wrong[1]} is no command{did_you_mean(wrong[1], there.split(', '))}; choose one of {there}"
        if about := re.fullmatch(r"argument ([^/:]+)[^:]*: (.*)", message):
            reason = about[2].replace("expected one argument", "a value is missing")
            reason = re.sub(r"ignored explicit argument (.*)", r"takes no value, found \1", reason)
            return f"{about[1]}: {reason}"
        return message


def parsed(model: type[ModelT], argv: Sequence[str], usage: str, description: str) -> ModelT:
    """The command line of a command that has the fields of one model for options; its name begins the usage.

    Raises:
        UsageError: an option is unknown, lacks its value or has a wrong one.
    """
    prog = " ".join(usage.split()[:2])
    return checked(model, Parser(prog, usage, description, model).read(argv))


def checked(model: type[ModelT], given: Mapping[str, Any]) -> ModelT:
    """What is given on the command line, as the model has it.

    Raises:
        UsageError: a value is wrong.
    """
    from pydantic import ValidationError  # noqa: PLC0415  (see above)

    from cartloader_image.recipe.job import explain  # noqa: PLC0415

    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise UsageError(explain(error)) from error


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _filled(text: str) -> str:
    """The value itself; an empty one is a forgotten shell variable."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the value is empty; is a shell variable not set?")
    return text


def _value_schema(field: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of the value that is typed, without None around it or a list."""
    inner: Mapping[str, Any] = next((one for one in field.get("anyOf", ()) if one.get("type") != "null"), field)
    items: Mapping[str, Any] = inner.get("items", inner)
    return items


def _metavar(field: Mapping[str, Any]) -> str:
    if "metavar" in field:
        return str(field["metavar"])
    value = _value_schema(field)
    choices = value.get("enum") or ([value["const"]] if "const" in value else [])
    if choices:
        return "{" + ",".join(map(str, choices)) + "}"
    return _METAVARS[value.get("format", value["type"])]


def _help(field: Mapping[str, Any]) -> str:
    """The field's own words, its range and its default."""
    value, default = _value_schema(field), field.get("default")
    notes = []
    if "minimum" in value:
        notes.append(f"{value['minimum']} to {value['maximum']}" if "maximum" in value else f"from {value['minimum']}")
    if default is not None and default is not False and default != []:
        notes.append(f"default: {default:g}" if isinstance(default, float) else f"default: {default}")
    words = " ".join(field["description"].split())
    return (f"{words} [{'; '.join(notes)}]" if notes else words).replace("%", "%%")
