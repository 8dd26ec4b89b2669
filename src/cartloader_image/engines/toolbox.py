"""The programs that the gdal engine runs: where they are, and which versions they are."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

import xxhash

from cartloader_image.action_params import Png2PmtilesParams
from cartloader_image.errors import ToolError
from cartloader_image.params import TOOLS
from cartloader_image.report import Stage
from cartloader_image.system.tools import ToolCall, find_program, run

_OLDEST = 3, 6
"""Of GDAL."""
_GDAL_PACKAGE = "install GDAL's programs (apt install gdal-bin, or conda install -c conda-forge gdal)"
_PMTILES_PACKAGE = (
    "install go-pmtiles (from its releases page, or go install github.com/protomaps/go-pmtiles, as pmtiles)"
)


@dataclass(frozen=True)
class Toolbox:
    """The four programs and their versions."""

    gdal_translate: Path
    gdaladdo: Path
    gdalinfo: Path
    pmtiles: Path
    versions: dict[str, str]


def toolbox(params: Png2PmtilesParams) -> Toolbox:
    """Find the tools and ask for their versions.

    Raises:
        ToolError: one is missing, too old, or does not answer.
        UsageError: the path of one is none of a program.
    """
    programs = {
        name: find_program(name, getattr(params, name), _PMTILES_PACKAGE if name == "pmtiles" else _GDAL_PACKAGE)
        for name in TOOLS
    }
    versions = {name: _version(name, path, path.stat().st_mtime_ns) for name, path in programs.items()}
    return Toolbox(**programs, versions=versions)


@functools.cache
def _version(name: str, program: Path, _changed: int) -> str:
    """What a program says it is; read once for each version of its file."""
    ours = name == "pmtiles"
    call = ToolCall(
        img_id="",
        stage=Stage.CHECKING,
        program=program,
        arguments=("version",) if ours else ("--version",),
        folder=Path("/"),
        timeout=60,
    )
    try:
        words = run(call).output.strip()
    except ToolError as error:
        message = f"--{name} {program}: does not tell its version ({error})"
        raise ToolError(message, transient=error.transient) from error
    if ours:
        if not words.startswith("pmtiles "):
            raise ToolError(f"--{name} {program}: is not go-pmtiles; {_PMTILES_PACKAGE}")
        if words.startswith("pmtiles dev"):  # built from source, it does not know its version
            return f"pmtiles dev {xxhash.xxh3_64_hexdigest(program.read_bytes())}"
        return words
    found = re.match(r"GDAL (\d+)\.(\d+)[^\s,]*", words)
    if not found:
        raise ToolError(f"--{name} {program}: is not GDAL's; {_GDAL_PACKAGE}")
    if (int(found[1]), int(found[2])) < _OLDEST:
        raise ToolError(
            f"--{name} {program}: is {found[0]}; --engine gdal needs GDAL {_OLDEST[0]}.{_OLDEST[1]} or newer"
        )
    return found[0]
