"""What an option is: a field of a frozen group, its place in the help, how it is spelled, what it excludes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, model_validator

from cartloader_image.values import FilePath, Program, ProgramName, UmPerPixel, size_or_file


class Options(BaseModel):
    """A frozen group of options; an unknown name is an error.

    What is wrong with one option is refused at once. What is wrong between several, `fit_together` tells: options of a
    command line may be completed by those of each image before they have to fit.
    """

    # The form of the Prefect UI shows titles: the options' own names.
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, field_title_generator=lambda name, _: name
    )

    @classmethod
    def is_path(cls, name: str, value: object) -> bool:
        """Whether the value of an option leads to a file from the working directory.

        A program may be just a name, and a pixel size is one more often than the file that says it.
        """
        kinds = get_args(cls.model_fields[name].annotation) if name in cls.model_fields else ()
        if UmPerPixel in kinds and isinstance(value, str):
            with suppress(ValueError):  # which the model tells
                value = size_or_file(value)
        return isinstance(value, Path) or FilePath in kinds or (ProgramName in kinds and bool(Program(value).path))

    def paths(self) -> dict[str, Path]:
        """The values that are paths, by option."""
        return {name: Path(value) for name, value in self if value is not None and self.is_path(name, value)}

    def absolute(self) -> Self:
        """The same files, whatever the working directory."""
        paths = self.paths()
        files: dict[str, Any] = {name: type(value)(paths[name].absolute()) for name, value in self if name in paths}
        groups = {name: value.absolute() for name, value in self if isinstance(value, Options)}
        return self.model_copy(update=files | groups)

    def fit_together(self) -> None:
        """Make sure that the options do not contradict each other.

        Raises:
            ValueError: they do.
        """


class Complete(Options):
    """Options to which nothing will be added: they must fit together."""

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        self.fit_together()
        return self


def in_group(group: str, metavar: str | None = None) -> dict[str, Any]:
    """A field's group in the help, and what its value is called there where its type does not say enough."""
    return {"json_schema_extra": {"group": group} | ({"metavar": metavar} if metavar else {})}


def option(name: str) -> str:
    """How a field is spelled on the command line."""
    return f"--{name}" if name == "gdal_translate" else f"--{name.replace('_', '-')}"


def exclusive(options: Options, first: str, second: str) -> None:
    """Refuse two options that exclude each other.

    Raises:
        ValueError: both are given.
    """
    if not _unset(getattr(options, first)) and not _unset(getattr(options, second)):
        raise ValueError(f"{option(first)} and {option(second)} exclude each other; give one of them")


def _unset(value: object) -> bool:
    return value is None or value is False
