"""The other package, `cartloader`, which many users of this one have too: what is no command here may be one there.

It is looked for by what is recorded of the distribution `cartloader`, not by the script of that name, which belongs to
whichever of the two was installed last.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint  # 0.1 s, which only a command that is not ours should cost

NAME = "cartloader"


def is_here() -> bool:
    """Whether a package of that name could be imported; nothing of it is."""
    return find_spec(NAME) is not None


def program() -> EntryPoint | None:
    """The other package's command: its console script or, where none is recorded, ``main`` of its module ``cli``."""
    package = find_spec(NAME)
    if package is None:
        return None
    from importlib.metadata import EntryPoint, PackageNotFoundError, distribution  # noqa: PLC0415  (see the head)

    with suppress(PackageNotFoundError):
        for script in distribution(NAME).entry_points.select(group="console_scripts", name=NAME):
            if not script.module.startswith("cartloader_flows"):  # this program had that name once
                return script
    if PathFinder.find_spec(f"{NAME}.cli", list(package.submodule_search_locations or ())):
        return EntryPoint(NAME, f"{NAME}.cli:main", "console_scripts")
    return None


def hand_over(program: EntryPoint, argv: Sequence[str]) -> NoReturn:
    """Run the other program in this one's place: it finds the words that it would have had, and ends as it would have.

    Raises:
        SystemExit: always, with its exit code.
    """
    beside = Path(sys.argv[0]).parent / NAME
    sys.argv = [str(beside) if beside.is_file() else NAME, *argv]
    sys.exit(program.load()())
