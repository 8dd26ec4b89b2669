"""The commands of the README and of the docs' pages, run as printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
README, DOCS = ROOT / "README.md", ROOT / "docs"

_EXAMPLE = re.compile(r"<!-- test(?:: (\w+))? -->\n```bash\n(.*?)```", re.DOTALL)
_DIRECT = 'cartloader() { [ "$1" = import_image ] && set -- "$@" --direct; command cartloader "$@"; }\n'


def examples(page: Path) -> list[str]:
    """The blocks of commands that are marked as tested."""
    return [commands for _, commands in _EXAMPLE.findall(page.read_text(encoding="utf-8"))]


def tools(page: Path) -> list[str]:
    """The programs beside cartloader that the marks name."""
    return [tool for tool, _ in _EXAMPLE.findall(page.read_text(encoding="utf-8")) if tool]


def run_example(
    commands: str, folder: Path, *, direct: bool = False, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run a block of commands in a folder, with some environment variables; ``direct`` leaves Prefect out."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = f"{_DIRECT if direct else ''}{commands}"
    return subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env=os.environ | {"PATH": path} | settings,
        capture_output=True,
        text=True,
        check=False,
    )
