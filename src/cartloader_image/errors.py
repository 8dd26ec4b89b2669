"""What can go wrong, by whose fault: each error is one sentence naming the file or option and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_LONGEST = 1600
"""Letters of a sentence: a screen of it."""


class CartloaderError(Exception):
    """The base of every error that a user can mend; its text is shown as it is, without a traceback."""


class UsageError(CartloaderError):
    """The options contradict each other or the image: the command ends with exit code 2."""


class InputError(CartloaderError):
    """An input cannot be read, or holds nothing that can be shown."""


class MetadataError(CartloaderError):
    """The image's metadata lack something or contradict themselves."""


class BoundsError(CartloaderError):
    """The image cannot be placed on the map."""


class OverlayError(CartloaderError):
    """The image clearly does not lie under the points that it was held against."""


class DiskError(CartloaderError):
    """What is written finds no room, or no place of its own."""


class ToolError(CartloaderError):
    """An external tool is missing or failed.

    Parameters:
        message: what went wrong, in one sentence.
        transient: whether it can go away by itself, so that another attempt makes sense; else it is permanent.
        command: program and arguments.
        code: exit code, or minus the number of the signal that ended the tool; None where it never got so far.
        words: the last lines that it wrote on standard error.
    """

    def __init__(
        self,
        message: str,
        *,
        transient: bool = False,
        command: Sequence[str] = (),
        code: int | None = None,
        words: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.transient = transient
        self.command = tuple(command)
        self.code = code
        self.words = tuple(words)


class ArchiveError(CartloaderError):
    """A tile archive is not what it should be."""


class CatalogError(CartloaderError):
    """A catalog cannot be read or does not have the expected shape."""


class StoppedError(CartloaderError):
    """Somebody stopped the run."""


@contextmanager
def reading(path: Path, kind: str) -> Iterator[None]:
    """Tell in one sentence what goes wrong in a library, which a damaged file makes raise exceptions of any kind.

    ``kind`` is what the file is not, such as ``TIFF``.

    Raises:
        InputError: something does.
    """
    try:
        yield
    except (CartloaderError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno:  # the system's own, which says nothing of what the file is
            raise InputError(f"{error.filename or path}: cannot be read ({error.strerror})") from error
        raise InputError(f"{path}: is no {kind} that can be read ({' '.join(str(error).split())})") from error


def shortened(text: str, most: int = 80) -> str:
    """A text of a file as a sentence quotes it, of so many characters at most: it may be as long as the file."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def visible(text: str) -> str:
    """A text with escapes for what would steer a terminal instead of being shown there."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A part of a sentence that names the known word nearest to one that is not, with a blank before; empty if none is.

    Case and dashes do not count, nor do the long ones that text programs make of two.
    """
    names = {_plain(name): name for name in known}
    near = difflib.get_close_matches(_plain(word), names, 1)
    return f" (did you mean {names[near[0]]}?)" if near else ""


def _plain(word: str) -> str:
    return word.strip("-–—").lower().replace("_", "-").partition("=")[0]


def _cut(text: str) -> str:
    """A sentence without its middle, where that is the text of some file."""
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]} … {text[3 - half :]}"


def sentence(error: BaseException, where: str = "") -> str:
    """What a person reads about an error, in one line; ``where`` is named when the error itself names no file."""
    text = _cut(visible(" ".join(str(error).split())))
    if isinstance(error, CartloaderError):
        return text
    if isinstance(error, OSError):
        return ": ".join(visible(str(part)) for part in (error.filename or where, error.strerror or text) if part)
    if isinstance(error, MemoryError):
        less = "import fewer images at a time (--n-jobs), leave --high-memory out, or use a larger machine"
        return ": ".join(part for part in (where, f"the memory is not enough; {less}") if part)
    return f"{type(error).__name__}: {text}; this is a bug of cartloader: --debug shows where it happens"
