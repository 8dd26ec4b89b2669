"""The tools of ``--engine gdal``, and stand-ins that fail in a chosen way before they hand on to the real ones."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from contextlib import suppress
from pathlib import Path

import pytest

from cartloader_image.params import TOOLS


def require_tools(*names: str) -> None:
    """Skip a test where a tool is missing; where ``CARTLOADER_TOOLS=required`` says that none may be, fail it."""
    if missing := [name for name in names or TOOLS if shutil.which(name) is None]:
        reason = f"{', '.join(missing)} is not installed"
        if os.environ.get("CARTLOADER_TOOLS") == "required":
            pytest.fail(reason)
        pytest.skip(reason)


def stand_in(folder: Path, tool: str, script: str) -> Path:
    """A program of the tool's name that runs a shell script first, with its own arguments.

    The script finds the real tool in ``$real``, and in ``$n`` how often it was called before, its version aside.
    """
    path, counter = folder / tool, folder / f"{tool}.count"
    real = shutil.which(tool)
    assert real
    path.write_text(
        f"""#!/bin/sh
real={shlex.quote(real)}
case "$1" in --version|version) exec "$real" "$@";; esac
n=$(wc -l < {shlex.quote(str(counter))} 2>/dev/null || echo 0)
echo "$*" >> {shlex.quote(str(counter))}
{script}
exec "$real" "$@"
"""
    )
    path.chmod(0o755)
    return path


def calls_of(stand_in_path: Path) -> list[str]:
    """The arguments of each call of a stand-in."""
    counter = stand_in_path.with_name(f"{stand_in_path.name}.count")
    return counter.read_text().splitlines() if counter.exists() else []


def living(words: str) -> list[str]:
    """The command lines of living processes that hold these words; zombies have none."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            if words in line:
                found.append(line)
    return found


def working_in(folder: Path) -> list[str]:
    """The working directories of processes at or below a directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if (where := entry.readlink()).is_relative_to(folder.resolve()):
                found.append(str(where))
    return found


def all_ended(words: str) -> bool:
    """Whether the last process with these words in its command line ends soon."""
    until = time.monotonic() + 3
    while living(words) and time.monotonic() < until:
        time.sleep(0.05)
    return not living(words)
