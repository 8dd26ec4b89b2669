"""Runs of deployments, as an operator starts them and looks at them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort

PREFECT = Path(sys.executable).with_name("prefect")


def run(worker: dict[str, str], deployment: str, **parameters: object) -> FlowRun:
    """Run a deployment to its end."""
    argv = ["deployment", "run", deployment, "--params", json.dumps(parameters, default=str), "--watch"]
    done = subprocess.run([PREFECT, *argv], env=worker, capture_output=True, text=True, check=False, timeout=120)
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1)[0]
    assert found.state
    assert (done.returncode == 0) == found.state.is_completed(), done.stdout + done.stderr
    return found


def states(flow_run: FlowRun) -> dict[str, str]:
    """The last state of each task run by its name, once all are known."""
    chosen, until = FlowRunFilter(id={"any_": [flow_run.id]}), time.monotonic() + 15
    with get_client(sync_client=True) as client:
        while time.monotonic() < until:
            tasks = client.read_task_runs(flow_run_filter=chosen)
            if tasks and all(task.state and task.state.is_final() for task in tasks):
                break
            time.sleep(0.3)
    return {task.name: task.state.name for task in tasks if task.state}
