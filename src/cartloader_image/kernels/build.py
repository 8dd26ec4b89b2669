"""Compiles `kernels.c`: called by the build hook (hatch_build.py), by ``python build.py`` and by nothing else.

It imports nothing of the package: when it runs, the package is not there yet.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_name("kernels.c")
LIBRARY = Path(__file__).with_name("_kernels.so")
"""Of this name on all systems; it is no module of Python's."""
_OPTIONS = (
    "-std=c11", "-O3", "-shared", "-fPIC", "-fvisibility=hidden",
    "-ffp-contract=off",  # the same sums on every processor
    "-fno-trapping-math", "-fno-math-errno",  # changes no result
    "-Wall", "-Wextra", "-Werror=implicit-function-declaration",
    "-Wno-psabi",  # vectors are arguments of inlined functions alone
)  # fmt: skip


def digest() -> str:
    """What the library says of the text that it was compiled from."""
    return hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]


def compiler() -> list[str] | None:
    """The system's compiler, or the one of the package ziglang; None where there is neither."""
    if chosen := os.environ.get("CC"):
        return shlex.split(chosen)
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    return [sys.executable, "-m", "ziglang", "cc"] if importlib.util.find_spec("ziglang") else None


def build(target: Path = LIBRARY, options: tuple[str, ...] = ()) -> str:
    """Compile the library, whole or not at all; an empty text, or why there is none."""
    chosen = compiler()
    if chosen is None:
        return "there is no C compiler"
    draft = target.with_name(f"{target.name}.{os.getpid()}")
    command = [*chosen, *_OPTIONS, *options, f'-DSOURCE_DIGEST="{digest()}"', str(SOURCE), "-o", str(draft)]
    try:
        run = subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")  # noqa: S603  (the compiler's)
        if run.returncode:
            said = run.stderr.strip().splitlines() or ["no word why"]
            return f"{shlex.join(chosen)} failed: {next((line for line in said if 'error' in line), said[-1])}"
        draft.replace(target)
    except OSError as error:
        return f"{shlex.join(chosen)} failed: {error}"
    finally:
        draft.unlink(missing_ok=True)
    return ""


if __name__ == "__main__":
    sys.exit(build() or 0)
