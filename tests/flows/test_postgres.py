"""The server of `deployments/compose.yaml` on a real PostgreSQL; its commands and settings are run as they stand there.

There is no Docker engine in the tests: what stands in for the containers are processes of this machine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from support.processes import eventually, free_port, process
from support.tools import require_tools

DEPLOYMENTS = Path(__file__).parents[2] / "deployments"
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.slow


@contextmanager
def postgres(folder: Path, port: int) -> Iterator[Path]:
    """A PostgreSQL of Debian's packages with the user and database of the compose file; gives its programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    require_tools(str(found[-1] / "initdb") if found else "initdb")
    programs, data = found[-1], folder / "database"
    data.mkdir()
    # It refuses to be run by root.
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    if user:
        shutil.chown(data, "postgres", "postgres")
        for parent in (folder, *folder.parents[:3]):
            parent.chmod(parent.stat().st_mode | 0o011)
    subprocess.run([*user, programs / "initdb", "-D", data, "-A", "trust", "-U", "prefect"], check=True, cwd="/")
    serve = [*user, programs / "postgres", "-D", data, "-p", f"{port}", "-c", "unix_socket_directories="]
    with process(*serve):
        ready = [programs / "pg_isready", "-h", "127.0.0.1", "-p", f"{port}"]
        assert eventually(lambda: subprocess.run(ready, check=False).returncode == 0)
        subprocess.run(
            [programs / "createdb", "-h", "127.0.0.1", "-p", f"{port}", "-U", "prefect", "prefect"], check=True
        )
        yield programs


def test_the_server_of_the_compose_file_on_postgresql(slide: Path, tmp_path: Path) -> None:
    port, database = free_port(), free_port()
    text = (DEPLOYMENTS / "compose.yaml").read_text()
    text = re.sub(r"\$\{CARTLOADER_AUTH\b.*?\}", "we:know", text)
    text = re.sub(r"\$\{POSTGRES_PASSWORD\b.*?\}", "secret", text).replace("@database:5432", f"@127.0.0.1:{database}")
    text = text.replace("0.0.0.0", "127.0.0.1").replace("4200", f"{port}").replace("//server:", "//127.0.0.1:")
    services = yaml.safe_load(text)["services"]

    def environment(service: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        here = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PREFECT_HOME": f"{tmp_path}/home"}
        return inherited | services[service]["environment"] | here

    def answers() -> bool:
        test = services["server"]["healthcheck"]["test"][1:]
        return subprocess.run([sys.executable, *test[1:]], check=False, capture_output=True).returncode == 0

    with postgres(tmp_path, database) as programs, process(*services["server"]["command"], env=environment("server")):
        assert eventually(answers, 90)
        asked = f"http://127.0.0.1:{port}/api/admin/settings"
        assert httpx.get(asked).status_code == 401
        settings = httpx.get(asked, auth=("we", "know")).json()
        assert settings["server"]["analytics_enabled"] is False
        for _ in range(2):  # as at a second start
            subprocess.run(
                services["deployments"]["command"], cwd=DEPLOYMENTS, env=environment("deployments"), check=True
            )
        asked = (
            f'{{"in_img": "{slide}", "img_id": "a", "out_dir": "{tmp_path}/map", "options": {{"png2pmtiles": true}}}}'
        )
        with process(*services["worker"]["command"], env=environment("worker")):
            argv = ["prefect", "deployment", "run", "import-image/import-image", "--watch", "--params", asked]
            subprocess.run(argv, env=environment("worker"), check=True, timeout=120)
        assert (tmp_path / "map" / "a.pmtiles").exists()
        query = [programs / "psql", "-h", "127.0.0.1", "-p", f"{database}", "-U", "prefect", "-d", "prefect", "-Atc"]
        found = subprocess.run(
            [*query, "SELECT name, state_name FROM flow_run"], check=True, capture_output=True, text=True
        )
        assert found.stdout.strip() == "a → map|Completed"
