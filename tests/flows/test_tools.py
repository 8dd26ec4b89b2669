"""The calls of tools as task runs: what Prefect records of attempts, and what ends with a cancelled run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, LogFilter
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.client.schemas.sorting import FlowRunSort
from support.tools import all_ended, calls_of, living, require_tools, stand_in

from cartloader_flows.import_image import import_image
from cartloader_image.errors import ToolError
from cartloader_image.params import ImportOptions
from cartloader_image.results import RunError, RunResult
from cartloader_image.system.tools import RETRIES
from cartloader_tasks.tools import tool_call


@pytest.fixture(autouse=True)
def _tools() -> None:
    require_tools()


@pytest.fixture
def client(server: str) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


def task_runs(client: SyncPrefectClient, run: FlowRun) -> dict[str, TaskRun]:
    """The finished task runs of a flow run by name, once they are all there."""
    chosen = FlowRunFilter(id={"any_": [run.id]})
    until = time.monotonic() + 15
    while True:
        found = client.read_task_runs(flow_run_filter=chosen)
        if (found and all(task.state and task.state.is_final() for task in found)) or time.monotonic() > until:
            return {task.name: task for task in found}
        time.sleep(0.3)


def latest(client: SyncPrefectClient) -> FlowRun:
    return client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)[0]


def test_the_policy_is_one() -> None:
    assert tool_call.retries == RETRIES.attempts - 1
    assert tool_call.retry_delay_seconds == RETRIES.delays
    assert tool_call.retry_jitter_factor == RETRIES.jitter


@pytest.mark.slow
def test_killed_twice_then_done_has_three_attempts(client: SyncPrefectClient, slide: Path, tmp_path: Path) -> None:
    fake = stand_in(tmp_path, "gdaladdo", "[ $n -lt 2 ] && kill -9 $$")
    result = import_image(slide, "a", tmp_path / "map", ImportOptions(png2pmtiles=True, gdaladdo=str(fake)))
    assert isinstance(result, RunResult)
    assert result.images[0].tiles
    assert {use.tool for use in result.images[0].tiles.tools} == {"gdal_translate", "gdaladdo", "gdalinfo", "pmtiles"}
    runs = task_runs(client, latest(client))
    assert runs["overviews a"].run_count == 3
    states = [state.name for state in client.read_task_run_states(runs["overviews a"].id)]
    assert states.count("Retrying") == 2
    assert states[-1] == "Completed"
    assert {name: run.run_count for name, run in runs.items() if name in ("placing a", "tiles a", "pmtiles a")} == {
        "placing a": 1, "tiles a": 1, "pmtiles a": 1,
    }  # fmt: skip
    lines = LogFilter(task_run_id={"any_": [runs["tiles a"].id]})
    until = time.monotonic() + 15
    while not any("gdal_translate: 0...10" in log.message for log in client.read_logs(lines)):
        assert time.monotonic() < until, "the words of a tool are in the log of its task run"
        time.sleep(0.3)


@pytest.mark.slow
def test_each_shard_is_a_task_run(client: SyncPrefectClient, slide: Path, tmp_path: Path) -> None:
    made = []
    for count in (1, 3):
        out, options = tmp_path / f"{count}", ImportOptions(png2pmtiles=True, max_zoom=21, shards=count)
        assert isinstance(import_image(slide, "a", out, options), RunResult)
        made.append((out / "a.pmtiles").read_bytes())
    runs = task_runs(client, latest(client))
    assert {name: run.state_name for name, run in runs.items() if "shard" in name} == {
        f"shard {number} of 3 a": "Completed" for number in (1, 2, 3)
    }
    assert made[0] == made[1]


def test_a_permanent_failure_has_one_attempt(client: SyncPrefectClient, slide: Path, tmp_path: Path) -> None:
    fake = stand_in(tmp_path, "gdal_translate", 'case "$*" in *MBTILES*) echo "ERROR 1: corrupt" >&2; exit 1;; esac')
    state = import_image(
        slide, "a", tmp_path / "map", ImportOptions(png2pmtiles=True, gdal_translate=str(fake)), return_state=True
    )
    failure = state.result(raise_on_failure=False)
    assert isinstance(failure, RunError)
    assert isinstance(failure.failures["a"], ToolError)
    assert 'gdal_translate failed (exit code 1); its last words: "ERROR 1: corrupt"' in state.message
    runs = task_runs(client, latest(client))
    assert runs["tiles a"].run_count == 1
    assert {path.name for path in (tmp_path / "map").iterdir()} == {"a.geotif.tif"}


STARTED = """
import sys
from pathlib import Path
from cartloader_image.params import ImportOptions
from cartloader_flows.import_images import import_images
options = ImportOptions(png2pmtiles=True, engine="gdal", gdal_translate=sys.argv[3])
import_images(Path(sys.argv[1]), Path(sys.argv[2]), options, n_jobs=2)
"""


@pytest.mark.parametrize(
    "number",
    [pytest.param(signal.SIGTERM, id="TERM", marks=pytest.mark.slow), pytest.param(signal.SIGINT, id="Ctrl-C")],
)
def test_a_cancelled_run_of_many_leaves_no_tool(server: str, slide: Path, tmp_path: Path, number: int) -> None:
    """As a worker starts and stops a run: a process of its own, whose main thread alone gets the signal."""
    mark = f"45{os.getpid() % 1000:03d}"
    fake = stand_in(tmp_path, "gdal_translate", f'case "$*" in *MBTILES*) [ $n -lt 6 ] && sleep {mark};; esac')
    (tmp_path / "many.yaml").write_text("".join(f"{name}: {slide.name}\n" for name in "abc"))
    argv = [sys.executable, "-c", STARTED, tmp_path / "many.yaml", tmp_path / "map", fake]
    environment = os.environ | {"PREFECT_API_URL": server}
    with subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while sum("MBTILES" in call for call in calls_of(fake)) < 2 and time.monotonic() < until:
            time.sleep(0.1)
        assert living(f"sleep {mark}")
        process.send_signal(number)
        start = time.monotonic()
        process.communicate(timeout=60)
    assert time.monotonic() - start < 8
    assert process.returncode != 0
    assert all_ended(f"sleep {mark}")
    assert {path.name for path in (tmp_path / "map").iterdir()} == {"a.geotif.tif", "b.geotif.tif"}
