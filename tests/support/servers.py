"""Prefect servers of `cartloader server`, each in a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.processes import free_port, with_environment

CARTLOADER = Path(sys.executable).with_name("cartloader")
SERVER = "cartloader_flows.prefect_server"


class Home:
    """A home of Prefect, the port of its server, and the command in this home."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        self.environment = inherited | {"PREFECT_HOME": f"{folder}"}
        self.log = folder / "server.log"

    def command(self, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [CARTLOADER, "server", *argv],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.command("start", "--port", f"{self.port}", *argv, **environment)

    def servers(self) -> list[int]:
        return [
            number
            for number in with_environment("PREFECT_HOME", f"{self.folder}")
            if SERVER in Path(f"/proc/{number}/cmdline").read_text()
        ]
