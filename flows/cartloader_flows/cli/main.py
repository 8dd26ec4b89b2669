"""The console command: reads the command line, runs what it asks for, and ends with the exit code it deserves.

Nothing heavy is imported before it is needed, so that ``--help`` and wrong use answer at once.
"""

from __future__ import annotations

import argparse
import io
import signal
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from cartloader_flows.cli import neighbour
from cartloader_flows.cli.parser import Parser
from cartloader_flows.cli.signals import heard, held, work_is_done
from cartloader_image.errors import StoppedError, UsageError, sentence
from cartloader_image.version import __version__

EXIT_FAILED, EXIT_WRONG_USE, EXIT_INTERRUPTED = 1, 2, 130
COMMANDS = {
    "import_image": ("import_image", "Turn images into map tiles."),
    "sample": ("sample", "Write a small sample image to try the import with."),
    "preview": ("preview", "Draw an archive's whole image as one picture."),
    "view": ("view", "Show archives on a map, in the browser."),
    "export-page": ("view", "Write the map page as a folder for a web server."),
    "info": ("info", "Show what a file holds, and how an image is imported."),
    "verify": ("verify", "Prove that archives are whole, their tiles included."),
    "check-overlay": ("check_overlay", "Find out whether a picture lies under points, and how it would."),
    "scan": ("scan", "Write the mapping that imports all images of a run."),
    "server": ("server", "Start, look for or stop a Prefect server here."),
    "ome2png": ("actions", "One action by itself: a TIFF's plane to GeoTIFF and PNG."),
    "georeference": ("actions", "One action by itself: a picture to GeoTIFF."),
    "png2pmtiles": ("actions", "One action by itself: the GeoTIFF to tiles."),
    "check_points": ("actions", "One action by itself: the tiles held against points."),
}
"""Each command is the function of its name in a module of this package; words may be joined by ``-`` or ``_``."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 done, 1 something failed, 2 wrong use, 130 interrupted.

    Raises:
        SystemExit: after ``--help`` and ``--version``, and after a command of the other package `cartloader`, whose
            errors are its own as well.
    """
    is_the_process = argv is None
    argv = sys.argv[1:] if argv is None else argv
    if _names_another(argv) and (theirs := neighbour.program()):
        neighbour.hand_over(theirs, argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an old locale has no "µ" or "…"; a finished run must not fail by it
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a caller that ignores it would hide how tools end
    with heard(for_good=is_the_process):
        try:
            return _dispatch(argv)
        except (KeyboardInterrupt, StoppedError):
            _complain("interrupted")
            return EXIT_INTERRUPTED
        except Exception as error:  # noqa: BLE001  (the one place that turns whatever went wrong into a sentence)
            work_is_done()
            if "--debug" in argv:
                traceback.print_exception(error)
            _complain(sentence(error))
            return EXIT_WRONG_USE if isinstance(error, UsageError) else EXIT_FAILED


def _command(word: str) -> str:
    """A command as it is known here."""
    return next((name for name in COMMANDS if name.replace("-", "_") == word.replace("-", "_")), word)


def _names_another(argv: Sequence[str]) -> bool:
    return bool(argv) and not argv[0].startswith("-") and _command(argv[0]) not in COMMANDS


def _dispatch(argv: Sequence[str]) -> int:
    name = _command(argv[0]) if argv else ""
    if name in COMMANDS:
        with held():
            module = import_module(f"cartloader_flows.cli.{COMMANDS[name][0]}")
        return int(getattr(module, name.replace("-", "_"))(argv[1:]))
    parser = Parser(
        "cartloader",
        "cartloader [--help] [--version] COMMAND ...",
        "Import microscope and histology images as PMTiles raster layers that lie\nexactly under spatial-omics data.",
    )
    parser.epilog = "\n".join(
        ["commands (each has its own --help):", *(f"  {name:<14}{words}" for name, (_, words) in COMMANDS.items())]
    )
    if neighbour.is_here():
        parser.epilog += "\nother commands are those of the package cartloader, which is installed here too"
    parser.add_argument("--version", action="version", version=_version() if "--version" in argv else "")
    parser.add_argument("COMMAND", choices=COMMANDS, help=argparse.SUPPRESS)
    parser.parse_args(argv)
    raise AssertionError("argparse accepts no other first word than a command")


def _version() -> str:
    from cartloader_image.kernels import door  # noqa: PLC0415  (--help must not wait for numpy)

    return f"%(prog)s {__version__}, kernels: {door.state()}"


def _complain(text: str) -> None:
    print(text, file=sys.stderr)
