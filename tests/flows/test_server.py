"""`cartloader server`: one server, in a session of its own, that lives on whatever it has to say."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from prefect.settings import PREFECT_HOME, temporary_settings
from support.pages import DOCS
from support.processes import eventually, free_port, process
from support.servers import CARTLOADER, SERVER, Home

from cartloader_flows.cli import server
from cartloader_image.errors import ToolError, UsageError

OPERATING = (DOCS / "operating.md").read_text(encoding="utf-8")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.command("stop")
    assert not home.servers()


@pytest.mark.slow
def test_it_outlives_its_shell_and_a_locked_database(home: Home) -> None:
    start = f"{CARTLOADER} server start --port {home.port}"
    with subprocess.Popen(
        ["bash", "-c", f"{start} & {start}; wait; echo both; exec sleep 600"],
        env=home.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as shell:  # fmt: skip
        assert shell.stdout
        said = "".join(iter(shell.stdout.readline, "both\n"))
        assert said.count("  ready after ") == 2, said
        os.killpg(shell.pid, signal.SIGINT)
        os.killpg(shell.pid, signal.SIGKILL)
    (number,) = home.servers()
    with closing(sqlite3.connect(home.folder / "prefect.db", timeout=60, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        time.sleep(90)
        database.execute("ROLLBACK")
    assert "ERROR" in home.log.read_text()
    for _ in range(2):
        assert httpx.get(f"http://127.0.0.1:{home.port}/api/admin/version", timeout=60).status_code == 200
        time.sleep(5)
    status = home.command("status")
    assert (status.returncode, home.servers()) == (0, [number])
    words = (
        rf"Prefect server  http://127.0.0.1:{home.port}  answers\n  process +{number}, for [0-9:]+\n  log +{home.log}\n"
    )
    assert re.fullmatch(words, status.stdout), status.stdout
    assert home.command("stop").stdout == "stopped\n"
    assert not home.servers()
    assert home.command("stop").stdout == "no Prefect server runs in the background\n"


@pytest.mark.slow
def test_one_that_ends_while_it_starts_is_not_waited_for(home: Home) -> None:
    nowhere = f"sqlite+aiosqlite:///{home.folder}/none/prefect.db"
    run = home.start(PREFECT_SERVER_DATABASE_CONNECTION_URL=nowhere)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith("the Prefect server has ended by itself (")
    assert run.stderr.endswith(f"; its log is {home.log}\n")


@pytest.mark.slow
def test_one_that_asks_who_one_is_answers_who_knows_it(home: Home, slide: Path) -> None:
    secret = home.folder / "secret"
    secret.write_text("we:know\n")
    secret.chmod(0o600)
    started = home.start("--host", "0.0.0.0", "--auth-file", f"{secret}")
    assert started.returncode == 0, started.stderr
    assert f"""/api PREFECT_API_AUTH_STRING="$(cat {secret})"\n""" in started.stdout
    address = f"http://127.0.0.1:{home.port}"
    assert httpx.get(f"{address}/api/admin/version").status_code == 401
    (number,) = home.servers()
    assert b"know" not in Path(f"/proc/{number}/cmdline").read_bytes()
    argv = ["import_image", "--png2pmtiles", "--in-img", slide, "--img-id", "a", "--out-dir", home.folder / "map"]
    for known, code, words in (
        ({"PREFECT_API_AUTH_STRING": "we:know"}, 0, f"Prefect server  {address}\n"),
        ({"PREFECT_API_URL": f"{address}/api"}, 1, "the Prefect server asks who you are: set PREFECT_API_AUTH_STRING"),
    ):
        environment = home.environment | known
        run = subprocess.run([CARTLOADER, *argv], env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == code, run.stderr
        assert run.stderr.startswith(words)
    assert home.command("stop").stdout == "stopped\n"


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (
            None,
            0,
            "--host 0.0.0.0: whoever reaches a Prefect server can run programs as its workers do; give --auth-file",
        ),
        ("we:know\n", 0o644, ": others can read it; chmod 600, and choose another password"),
        ("we know\n", 0o600, ": one line NAME:PASSWORD is needed"),
        ("we:know\nmore\n", 0o600, ": one line NAME:PASSWORD is needed"),
        ("", 0o600, ": one line NAME:PASSWORD is needed"),
    ],
)
def test_others_reach_only_one_that_asks_who_they_are(text: str | None, mode: int, words: str, tmp_path: Path) -> None:
    argv = ["start", "--host", "0.0.0.0"]
    if text is not None:
        (tmp_path / "secret").write_text(text)
        (tmp_path / "secret").chmod(mode)
        argv += ["--auth-file", f"{tmp_path}/secret"]
    with pytest.raises(UsageError, match=re.escape(words)):
        server.server(argv)


@pytest.mark.parametrize(
    ("host", "here"), [("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("10.0.0.5", False)]
)
def test_what_only_this_machine_reaches(host: str, here: bool) -> None:
    assert server._is_here(host) == here


def test_one_that_does_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_SILENCE", 0.5)
    (tmp_path / "server.log").touch()
    with temporary_settings({PREFECT_HOME: tmp_path}), process("/bin/sh", "-c", "sleep 300; :", "sh", SERVER) as idle:
        assert eventually(lambda: SERVER in Path(f"/proc/{idle.pid}/cmdline").read_text())
        with pytest.raises(ToolError, match=rf"\(process {idle.pid}\) has done nothing for 0.5 s"):
            server._wait_for(idle.pid, f"http://127.0.0.1:{free_port()}")


def test_the_log_is_put_aside_and_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    script = f"""
import pathlib, subprocess
from cartloader_flows import prefect_server
log = pathlib.Path({str(log)!r})
prefect_server.write_to(log)
prefect_server._LARGEST = 10
for word in ("first words", "second words", "third"):
    subprocess.run(["echo", word], check=True)
    prefect_server.keep_small(log)
log.unlink()
prefect_server.keep_small(log)
print("last")
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    assert log.read_text() == "last\n"
    assert log.with_name("server.log.1").read_text() == "second words\n"


def commands(start: str) -> str:
    """The block of `docs/operating.md` that begins so."""
    (block,) = (one for one in re.findall(r"```bash\n(.*?)```", OPERATING, re.DOTALL) if one.startswith(start))
    return str(block)


def test_the_server_understands_what_the_docs_tell_it_to_keep() -> None:
    ask = (
        "from prefect.settings import get_current_settings; server = get_current_settings().server; "
        "vacuum = server.services.db_vacuum; "
        "print(sorted(vacuum.enabled_vacuum_types), vacuum.retention_period.days, server.events.retention_period.days)"
    )
    script = f'{commands("export PREFECT_SERVER_SERVICES_DB_VACUUM")}exec {sys.executable} -c "{ask}"'
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True)
    assert done.stdout == "['events', 'flow_runs', 'orphans'] 30 7\n"


def test_the_backup_of_the_docs_has_what_is_in_the_log_of_the_database(tmp_path: Path) -> None:
    home = tmp_path / ".prefect"
    home.mkdir()
    with closing(sqlite3.connect(home / "prefect.db", isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE flow_run (name TEXT)")
        database.execute("INSERT INTO flow_run VALUES ('a')")
        script = commands("python3 -c").replace("/data/", f"{tmp_path}/").replace("python3", sys.executable)
        subprocess.run(["bash", "-euc", script], env=os.environ | {"HOME": f"{tmp_path}"}, check=True)
    with closing(sqlite3.connect(tmp_path / "prefect-backup.db")) as backup:
        assert backup.execute("SELECT name FROM flow_run").fetchall() == [("a",)]
