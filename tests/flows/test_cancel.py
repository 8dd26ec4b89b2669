"""Ending a run that a worker has started: by the API, as the UI does, and by stopping the worker."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.client.schemas.sorting import FlowRunSort
from support.archives import read_archive
from support.processes import eventually, process, with_environment
from support.rasters import write_raster
from support.runs import PREFECT, run, states
from support.tools import calls_of, living, require_tools, stand_in

pytestmark = pytest.mark.slow

DEPLOYMENTS = Path(__file__).parents[2] / "deployments" / "prefect.yaml"


class Batch:
    """Three images, two at a time, of which the second and the third never end: their tool sleeps."""

    def __init__(self, folder: Path) -> None:
        require_tools()
        self.mark = f"46{os.getpid() % 1000:03d}"
        self.out = folder / "map"
        script = f'case "$*" in *MBTILES*) [ $n -gt 2 ] && exec sleep {self.mark};; esac'
        self.tool = stand_in(folder, "gdal_translate", script)
        write_raster(folder / "slide.ome.tif")
        (folder / "many.yaml").write_text("".join(f"{name}: slide.ome.tif\n" for name in "abc"))
        options = {"png2pmtiles": True, "update_catalog": True, "gdal_translate": str(self.tool)}
        self.asked = {"in_json": str(folder / "many.yaml"), "out_dir": str(self.out), "options": options, "n_jobs": 2}

    def start(self, deployment: str) -> UUID:
        """Start a run, and wait until its tools hang."""
        with get_client(sync_client=True) as client:
            found = client.read_deployment_by_name(deployment)
            started = client.create_flow_run_from_deployment(found.id, parameters=self.asked).id
        self.wait_until_its_tools_hang()
        return started

    def wait_until_its_tools_hang(self) -> None:
        assert eventually(lambda: len(living(f"sleep {self.mark}")) >= 1 and len(calls_of(self.tool)) >= 4, 60)

    def seconds_until_ended(self, started: UUID) -> float:
        """How long it takes until no process of the run is left; 30 are too many."""
        begin = time.monotonic()

        def at_work() -> bool:
            # A flow's process has its number in its environment, not in its command line.
            return bool(living(f"sleep {self.mark}") or with_environment("PREFECT__FLOW_RUN_ID", f"{started}"))

        assert eventually(lambda: not at_work(), 30)
        return time.monotonic() - begin

    def has_no_half_file(self) -> None:
        assert not (self.out / ".cartloader").exists()
        for archive in self.out.glob("*.pmtiles"):
            assert read_archive(archive).entries

    def finish(self, worker: dict[str, str]) -> dict[str, str]:
        """Run again with tools that do not hang; what became of each action."""
        self.tool.write_text('#!/bin/sh\nexec gdal_translate "$@"\n')
        again = run(worker, "import-images/import-images", **self.asked)
        return states(again)


def state_of(flow_run: UUID) -> str:
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(flow_run).state
    assert state
    return state.name


def test_a_run_cancelled_by_the_api(worker: dict[str, str], tmp_path: Path) -> None:
    batch = Batch(tmp_path)
    started = batch.start("import-images/import-images")
    subprocess.run([PREFECT, "flow-run", "cancel", str(started)], env=worker, check=True, capture_output=True)
    took = batch.seconds_until_ended(started)
    print(f"cancelled by the API: no process left after {took:.1f} s")
    assert took < 5
    assert eventually(lambda: state_of(started) == "Cancelled", 20)
    batch.has_no_half_file()
    became = batch.finish(worker)
    assert became["ome2png a"] == "Cached"
    assert {name: state for name, state in became.items() if name in "abc"} == dict.fromkeys("abc", "Completed")
    assert sorted(path.stem for path in batch.out.glob("*.pmtiles")) == ["a", "b", "c"]
    batch.has_no_half_file()


def test_a_run_of_the_command_line_cancelled_by_the_api(server: str, tmp_path: Path) -> None:
    batch = Batch(tmp_path)
    argv = ["import_image", "--png2pmtiles", "--update-catalog", "--in-json", batch.asked["in_json"], "--n-jobs", "2"]
    argv += ["--gdal_translate", batch.tool, "--out-dir", batch.out]
    environment = os.environ | {"PREFECT_API_URL": server}
    with subprocess.Popen(
        [PREFECT.with_name("cartloader"), *argv],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as command:  # fmt: skip
        batch.wait_until_its_tools_hang()
        with get_client(sync_client=True) as client:
            (found,) = client.read_flow_runs(limit=1, sort=FlowRunSort.START_TIME_DESC)
        subprocess.run([PREFECT, "flow-run", "cancel", f"{found.id}"], env=environment, check=True, capture_output=True)
        begin = time.monotonic()
        _, said = command.communicate(timeout=30)
    assert time.monotonic() - begin < 5
    assert (command.returncode, said.splitlines()[-1]) == (130, "interrupted")
    assert not living(f"sleep {batch.mark}")
    batch.has_no_half_file()
    assert state_of(found.id) == "Cancelled"
    became = states(found)
    assert set(became.values()) == {"Completed", "Cancelled"}, "no task is red"
    assert [became[name] for name in "abc"].count("Cancelled") == 2
    with get_client(sync_client=True) as client:
        logs = client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[found.id])))
    assert logs
    assert not [log.message for log in logs if "Traceback" in log.message]


def test_a_worker_that_is_stopped_leaves_nothing_at_work(worker: dict[str, str], tmp_path: Path) -> None:
    """A worker that is asked to end kills its runs at once, which then have no time to end their tools."""
    batch = Batch(tmp_path)
    own = DEPLOYMENTS.read_text().replace("name: cartloader\n  work_queue", "name: other\n  work_queue")
    own = own.replace("name: cartloader\n    work_queue", "name: other\n    work_queue").replace(
        "- name: import-", "- name: other-"
    )
    (tmp_path / "prefect.yaml").write_text(own)
    for argv in (
        ["work-pool", "create", "other", "--type", "process"],
        ["--no-prompt", "deploy", "--name", "other-images"],
    ):
        subprocess.run([PREFECT, *argv], cwd=tmp_path, env=worker, check=True, capture_output=True)
    with process(PREFECT, "worker", "start", "--pool", "other", env=worker) as stopped:
        started = batch.start("import-images/other-images")
        stopped.terminate()
        took = batch.seconds_until_ended(started)
    print(f"worker stopped: no process left after {took:.1f} s")
    assert took < 5
    assert state_of(started) == "Running"  # as Prefect leaves it
    became = batch.finish(worker)
    assert became["ome2png a"] == "Cached"
    assert sorted(path.stem for path in batch.out.glob("*.pmtiles")) == ["a", "b", "c"]
    batch.has_no_half_file()
