"""Many runs at once: as many at a time as the limits of the worker and of the server allow, and none is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.filters import FlowRunFilter
from support.tools import require_tools, stand_in

from cartloader_tasks.limits import HEAVY

pytestmark = pytest.mark.slow


def at_a_time(spans: list[tuple[float, float]]) -> int:
    """How many spans from begin to end overlap at most."""
    steps = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    busy = most = 0
    for _, step in steps:
        busy += step
        most = max(most, busy)
    return most


@pytest.mark.parametrize("count", [6, pytest.param(40, marks=pytest.mark.soak)])
def test_many_runs_at_once(worker: dict[str, str], slide: Path, tmp_path: Path, count: int) -> None:
    require_tools()
    # The images are cut by a tool that tells when it is at work, long enough for runs that begin together to meet.
    log = tmp_path / "spans.txt"
    note = f'begin=$(date +%s.%N); sleep 4; "$real" "$@"; code=$?; echo "$begin $(date +%s.%N)" >> {log}; exit $code'
    tool = stand_in(tmp_path, "gdaladdo", note)
    options = {"png2pmtiles": True, "update_catalog": True, "gdaladdo": str(tool)}
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=HEAVY, limit=2))
        try:
            deployment = client.read_deployment_by_name("import-image/import-image").id
            asked = {"in_img": str(slide), "out_dir": str(tmp_path / "map"), "options": options}
            runs = [
                client.create_flow_run_from_deployment(deployment, parameters=asked | {"img_id": f"i{number:02}"}).id
                for number in range(count)
            ]
            until, chosen = time.monotonic() + 60 + 30 * count, FlowRunFilter(id={"any_": runs})
            while True:
                found = client.read_flow_runs(flow_run_filter=chosen)
                if all(run.state and run.state.is_final() for run in found):
                    break
                assert time.monotonic() < until, [run.state_name for run in found]
                time.sleep(1)
        finally:
            client.delete_global_concurrency_limit_by_name(HEAVY)
    assert [run.state_name for run in found] == ["Completed"] * count
    catalog = yaml.safe_load((tmp_path / "map" / "catalog.yaml").read_text())
    assert sorted(catalog["assets"]["basemap"]) == [f"i{number:02}" for number in range(count)]
    assert len([*(tmp_path / "map").glob("*.pmtiles")]) == count
    spans = [tuple(map(float, line.split())) for line in log.read_text().splitlines()]
    assert len(spans) == count
    assert at_a_time(spans) == 2
    flows = [(run.start_time.timestamp(), run.end_time.timestamp()) for run in found if run.start_time and run.end_time]
    assert len(flows) == count
    assert at_a_time(flows) == 3
    assert {path.name for path in (tmp_path / "map").iterdir() if path.name.startswith(".")} == set()


def test_a_run_that_waits_for_a_slot_can_be_stopped(server: str, slide: Path, tmp_path: Path) -> None:
    argv = ["import_image", "--png2pmtiles", "--in-img", slide, "--img-id", "a", "--out-dir", tmp_path / "map"]
    command = [Path(sys.executable).with_name("cartloader"), *argv]
    environment = os.environ | {"PREFECT_API_URL": server}
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=HEAVY, limit=1))
        try:
            lease = client.increment_concurrency_slots_with_lease([HEAVY], 1, "concurrency", 60.0).json()["lease_id"]
            with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as waiting:
                with pytest.raises(subprocess.TimeoutExpired):
                    waiting.wait(8)
                waiting.terminate()
                start = time.monotonic()
                errors = waiting.communicate(timeout=30)[1]
            assert time.monotonic() - start < 5
            assert errors.splitlines()[-1] == "interrupted"
            assert not [*tmp_path.glob("map/*.pmtiles")]
            client.release_concurrency_slots_with_lease(UUID(lease))
            subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
            assert client.read_global_concurrency_limit_by_name(HEAVY).active_slots == 0
        finally:
            client.delete_global_concurrency_limit_by_name(HEAVY)
