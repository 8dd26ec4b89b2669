"""How the values of options are read: from the words of a command line as from JSON and YAML."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import CoreSchema, core_schema

if TYPE_CHECKING:
    from affine import Affine

IMAGE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def check_image_id(text: str) -> str:
    """The id itself, if it can name files and catalog entries everywhere.

    Raises:
        ValueError: it has white space or another character outside letters, digits, dot, dash and underscore.
    """
    if not IMAGE_ID.fullmatch(text):
        raise ValueError(
            f"{text!r} cannot be an image id; use 1 to 128 letters, digits, '.', '-' or '_', "
            "the first a letter or digit"
        )
    return text


def made_id(text: str) -> str:
    """An image id made of a text."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")[:100] or "image"


def stem_of(path: Path) -> str:
    """The name of an image without its suffix, of which an OME-TIFF has two."""
    return re.sub(r"(\.ome)?\.\w+$", "", path.name, flags=re.IGNORECASE)


def number(text: str) -> float:
    """The number that a text is, as all programs read it: Python alone takes ``1_0`` for 10.

    Raises:
        ValueError: it is none.
    """
    if "_" in text:
        raise ValueError(f"could not convert string to float: {text[:80]!r}")
    return float(text)


def numbers(text: str, names: str) -> tuple[float, ...]:
    """The finite numbers of a text, separated by commas, tabs or blanks; ``names`` is what they should be.

    Raises:
        ValueError: another count than ``names`` has, or something that is not a finite number.
    """
    wanted = names.split(",")
    count = {1: "one number is", 2: "two numbers are", 4: "four numbers are"}[len(wanted)]
    parts = [part for part in re.split(r"[,\t]|(?<=\S) +(?=\S)", text.strip()) if part.strip()]
    if len(parts) != len(wanted):
        raise ValueError(f"{count} needed ({names}), found {len(parts)}")
    try:
        values = tuple(number(part) for part in parts)
    except ValueError:
        values = (math.nan,)
    if not all(map(math.isfinite, values)):
        raise ValueError(f"{count} needed ({names}), found {text.strip()!r}")
    return values


def joined(value: Any) -> Any:
    """A list of numbers, or a single one, as JSON and YAML give them, in the spelling of the command line."""
    if isinstance(value, (list, tuple)):
        return ",".join(str(part) for part in value)
    return str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def exact(value: float) -> str:
    """The shortest text of which `number` makes the same number again."""
    return repr(value).removesuffix(".0")


@dataclass(frozen=True)
class Bounds:
    """Map coordinates of the outer corner of the first pixel and the outer corner of the last.

    Either axis may run either way: ``uly < lry`` where y grows with the row, as in the usual µm frame.
    """

    ulx: float
    uly: float
    lrx: float
    lry: float

    def __str__(self) -> str:
        return ",".join(f"{value:.12g}" for value in (self.ulx, self.uly, self.lrx, self.lry))

    @property
    def rounded(self) -> str:
        """To a thousandth of a map unit, for people."""
        return ",".join(f"{round(edge, 3) + 0:.12g}" for edge in (self.ulx, self.uly, self.lrx, self.lry))

    @property
    def exact(self) -> str:
        """The text of which `parse` makes these bounds again."""
        return ",".join(map(exact, (self.ulx, self.uly, self.lrx, self.lry)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Four numbers separated by commas, tabs or blanks.

        Raises:
            ValueError: something else.
        """
        return cls(*numbers(text, "ulx,uly,lrx,lry"))

    @property
    def width(self) -> float:
        """Extent in x, always positive."""
        return abs(self.lrx - self.ulx)

    @property
    def height(self) -> float:
        """Extent in y, always positive."""
        return abs(self.lry - self.uly)

    def moved(self, x: float, y: float) -> Bounds:
        """Both corners moved: the size stays."""
        return Bounds(self.ulx + x, self.uly + y, self.lrx + x, self.lry + y)

    def scaled(self, factor: float) -> Bounds:
        """The same in a unit of which ``factor`` make one of these."""
        return Bounds(self.ulx * factor, self.uly * factor, self.lrx * factor, self.lry * factor)

    def turned(self) -> Bounds:
        """Width and height swapped; the corner with the smallest x and y and the directions of the axes stay."""
        left, low = min(self.ulx, self.lrx), min(self.uly, self.lry)
        x, y = (left, left + self.height), (low, low + self.width)
        x, y = x if self.ulx < self.lrx else x[::-1], y if self.uly < self.lry else y[::-1]
        return Bounds(x[0], y[0], x[1], y[1])

    def affine(self, height: int, width: int) -> Affine:
        """Pixel corner ``(column, row)`` of a picture of that size → map."""
        from affine import Affine  # noqa: PLC0415  (--help has no use for it)

        return Affine(
            (self.lrx - self.ulx) / width, 0, self.ulx, 0, (self.lry - self.uly) / height, self.uly
        )  # fmt: skip


class PixelSize(NamedTuple):
    """µm per pixel along a row and along a column."""

    x: float
    y: float

    def __str__(self) -> str:
        return exact(self.x) if self.x == self.y else f"{exact(self.x)},{exact(self.y)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """One number for square pixels, or two.

        Raises:
            ValueError: something else, or one that is not greater than 0.
        """
        sizes = numbers(text, "x,y" if "," in text else "µm")
        if min(sizes) <= 0:
            raise ValueError(f"a pixel size is greater than 0 µm, found {text}")
        return cls(sizes[0], sizes[-1])


def size_or_file(text: str) -> PixelSize | Path:
    """A pixel size where the text reads as one; else the file that says it, whose path has a slash or a suffix.

    Raises:
        ValueError: it is neither.
    """
    try:
        return PixelSize.parse(text)
    except ValueError as error:
        if not re.search(r"/|\.[A-Za-z]\w*$", text):
            raise ValueError(f"{error}; or give the file that says it, such as scalefactors_json.json") from None
    return _nameable(Path(at_home(text)))


def _size_text(size: PixelSize | Path) -> str:
    """The text of which `size_or_file` makes the same again."""
    return f"./{size}" if isinstance(size, Path) and "/" not in str(size) else str(size)


class Rgb(NamedTuple):
    """A colour: red, green and blue from 0 to 255."""

    red: int
    green: int
    blue: int

    def __str__(self) -> str:
        return "#" + bytes(self).hex()

    @classmethod
    def parse(cls, text: str) -> Self:
        """RRGGBB, #RRGGBB, #RGB or a CSS name.

        Raises:
            ValueError: something else.
        """
        text = text.strip()
        if re.fullmatch(r"[0-9A-Fa-f]{6}", text):
            text = f"#{text}"
        if re.fullmatch(r"#[0-9A-Fa-f]{6}", text):
            return cls(*bytes.fromhex(text[1:]))
        import webcolors  # noqa: PLC0415  (30 ms that only a colour with a name should pay)

        try:
            return cls(*(webcolors.hex_to_rgb(text) if text.startswith("#") else webcolors.name_to_rgb(text)))
        except ValueError:
            raise ValueError(f"{text!r} is no colour; use RRGGBB, #RRGGBB, #RGB or a CSS name such as cyan") from None


class Program(str):
    """A program, by its name or by its path, which has a slash in it."""

    __slots__ = ()

    @property
    def path(self) -> Path | None:
        """Its path, if it is one."""
        return Path(self) if "/" in self else None


def _check_nodata(text: str) -> str:
    """``none``, or a number; nan is one here."""
    text = text.strip().lower()
    try:
        if text != "none":
            number(text)
    except ValueError:
        raise ValueError(f"{text!r} is no stored value; give a number, nan, or none") from None
    return text


def _check_pattern(text: str) -> str:
    """A pattern of names in one folder, with at least one wildcard."""
    if "/" in text or not set(text) & set("*?["):
        raise ValueError(f"{text!r} is no pattern of names beside the image, such as mosaic_DAPI_z*.tif")
    return text


def _check_address(text: str) -> str:
    if not re.fullmatch(r"[a-z]+://.+:\d+", text.strip()):
        raise ValueError(f"{text!r} is no address of a Dask scheduler, such as tcp://10.0.0.5:8786")
    return text.strip()


def read_detect(value: Any) -> Any:
    """The source in any case; true and false, as a mapping may say them, are the default one and none."""
    if not isinstance(value, str | bool):
        return value
    said = str(value).strip().upper()
    return {"TRUE": "OME", "YES": "OME", "ON": "OME", "FALSE": None, "NO": None, "OFF": None}.get(said, said)


def _nameable(path: Path) -> Path:
    """The path, if the system can be asked for it at all."""
    if "\0" in str(path):
        raise ValueError("a path has no NUL character in it")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise ValueError("a path has no half of a surrogate pair in it") from None
    if re.match(r"/+vsi[a-z0-9_]+/", str(path)):
        raise ValueError(f"{path} is a name that only GDAL knows; download or unpack the file, and give its path")
    return path


def at_home(value: Any) -> Any:
    """A path as it is typed, with the home directory for ``~``, as a shell has it."""
    # Path.expanduser takes ./~ for ~, and fails for a user that is not there.
    return os.path.expanduser(value) if isinstance(value, str) else value  # noqa: PTH111


@dataclass(frozen=True)
class _Parsed:
    """How pydantic reads a value from its text, and writes it; it would take the classes apart by itself, in 60 ms."""

    kind: type | tuple[type, ...]
    parse: Callable[[str], Any]
    spelled: Callable[[Any], Any] = joined
    """What becomes of the text first, or makes one."""
    written: Callable[[Any], str] = str

    def _read(self, value: Any) -> Any:
        if isinstance(value, self.kind):
            return value
        text = self.spelled(value)
        if not isinstance(text, str):
            raise ValueError("should be a valid string")  # noqa: TRY004  (pydantic takes no other)
        return self.parse(text)

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                self.written, return_schema=core_schema.str_schema()
            ),
            json_schema_input_schema=core_schema.str_schema(),
        )


GeorefBounds = Annotated[Bounds, _Parsed(Bounds, Bounds.parse, written=attrgetter("exact"))]
UmPerPixel = Annotated[PixelSize | Path, _Parsed((PixelSize, Path), size_or_file, written=_size_text)]
Colour = Annotated[Rgb, _Parsed(Rgb, Rgb.parse)]
ProgramName = Annotated[Program, _Parsed(Program, Program, at_home)]
Nodata = Annotated[str, BeforeValidator(joined), AfterValidator(_check_nodata)]
NamePattern = Annotated[str, AfterValidator(_check_pattern)]
DaskAddress = Annotated[str, AfterValidator(_check_address)]
FilePath = Annotated[Path, BeforeValidator(at_home), AfterValidator(_nameable)]
# The pattern is for forms: a refusal is a sentence of our own.
ImageId = Annotated[str, AfterValidator(check_image_id), Field(json_schema_extra={"pattern": f"^{IMAGE_ID.pattern}$"})]
Quantile = Annotated[float, Field(ge=0, le=1)]
InputCost = Annotated[float, Field(ge=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
