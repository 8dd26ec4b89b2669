"""The flows on a real Prefect server, in this process and from the command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, LogFilter
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from support.processes import eventually

from cartloader_flows.cli.main import main
from cartloader_flows.deployed import refuse_relative_paths
from cartloader_flows.import_image import import_image
from cartloader_flows.import_images import import_images
from cartloader_image.action_params import Ome2PngParams
from cartloader_image.errors import UsageError
from cartloader_image.params import ImportOptions, SharedOptions
from cartloader_image.recipe import actions, opened
from cartloader_image.report import Quiet, Report, Stage
from cartloader_image.results import RasterResult, RunError, RunResult
from cartloader_tasks import watched_by

pytestmark = pytest.mark.usefixtures("server")

ALL = ImportOptions(ome2png=True, png2pmtiles=True, update_catalog=True)


class Seen(Quiet):
    """Remembers which image told of which stage."""

    def __init__(self) -> None:
        self.stages: set[tuple[str, str]] = set()

    def report(self, img_id: str) -> Report:
        seen = self

        class OfImage(Quiet):
            def progress(self, stage: Stage, done: int, total: int) -> None:  # noqa: ARG002
                seen.stages.add((img_id, stage))

        return OfImage()


@pytest.fixture
def mapping(tmp_path: Path, slide: Path) -> Path:
    """Four images, of which the second is missing."""
    path = tmp_path / "many.yaml"
    path.write_text(f"a: {slide.name}\nb: none.tif\nc: {{path: {slide.name}, rotate: 90}}\nd: {slide.name}\n")
    return path


@pytest.mark.parametrize("more", [[], ["--restart"]], ids=["alone", "anew"])
def test_a_run_opens_its_image_once(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    opened_names: list[str] = []
    inner = opened.open_source
    monkeypatch.setattr(opened, "open_source", lambda params: opened_names.append(params.in_img.name) or inner(params))
    argv = ["import_image", "--ome2png", "--png2pmtiles", "--in-img", str(slide), "--out-dir", str(tmp_path / "map")]
    assert main([*argv, "--img-id", "a", *more]) == 0
    assert opened_names == [slide.name]


def latest_run(client: SyncPrefectClient) -> FlowRun:
    return client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)[0]


def task_names(client: SyncPrefectClient, run: FlowRun) -> list[str]:
    return sorted(task.name for task in client.read_task_runs(flow_run_filter=FlowRunFilter(id={"any_": [run.id]})))


def logged(client: SyncPrefectClient, run: FlowRun, words: str) -> bool:
    """Whether the run's log says so; logs and task runs reach the server a moment after they happen."""
    log_filter = LogFilter(flow_run_id={"any_": [run.id]})
    return eventually(lambda: any(words in log.message for log in client.read_logs(log_filter)))


def test_one_image(slide: Path, tmp_path: Path) -> None:
    seen, out = Seen(), tmp_path / "map"
    with watched_by(seen.report):
        result = import_image(slide, "dapi", out, ALL)
    assert isinstance(result, RunResult)
    assert result.images[0].tiles
    assert result.images[0].tiles.path == out / "dapi.pmtiles"
    assert result.catalogs[0].added == ("dapi",)
    assert {("dapi", "ome2png"), ("dapi", "png2pmtiles")} <= seen.stages
    with get_client(sync_client=True) as client:
        run = latest_run(client)
        assert run.state
        assert (run.name, run.state.name) == ("dapi → map", "Completed")
        expected = ["ome2png dapi", "png2pmtiles dapi", "update_catalog catalog.yaml"]
        assert eventually(lambda: task_names(client, run) == expected)
        assert logged(client, run, "80 × 60 uint16")

    again = import_image(None, "dapi", out, ImportOptions(update_catalog=True))
    assert isinstance(again, RunResult)
    assert not again.catalogs[0].diff


def test_an_image_that_fails_fails_the_run_with_its_sentence(slide: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"slide\.ome\.tif: --page 7 is out of range") as caught:
        import_image(slide, "dapi", tmp_path / "map", ImportOptions(png2pmtiles=True, page=7))
    assert isinstance(caught.value.failures["dapi"], UsageError)
    with get_client(sync_client=True) as client:
        state = latest_run(client).state
        assert state
        assert state.name == "Failed"
        assert state.message == str(caught.value)


def test_many_images_at_a_time_of_which_one_fails(
    mapping: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, out, busy, most = Seen(), tmp_path / "map", 0, 0
    lock, two = threading.Lock(), threading.Event()
    ome2png = actions.ome2png

    def counted(params: Ome2PngParams, report: Report) -> RasterResult:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
            if most == 2:
                two.set()
        two.wait(60)
        try:
            return ome2png(params, report)
        finally:
            with lock:
                busy -= 1

    monkeypatch.setattr(actions, "ome2png", counted)
    with watched_by(seen.report), pytest.raises(RunError) as caught:
        import_images(mapping, out, ALL, n_jobs=2)
    assert str(caught.value) == "1 of 4 images failed: b"
    assert [image.img_id for image in caught.value.result.images] == ["a", "c", "d"]
    assert [catalog.added for catalog in caught.value.result.catalogs] == [("a", "c", "d")]
    assert list(yaml.safe_load((out / "catalog.yaml").read_text())["assets"]["basemap"]) == ["a", "c", "d"]
    assert {img_id for img_id, _ in seen.stages} == {"a", "c", "d"}
    assert most == 2
    with get_client(sync_client=True) as client:
        run = latest_run(client)
        assert run.state
        assert (run.state.name, run.state.message) == ("Failed", "1 of 4 images failed: b")
        parts = [f"{task} {img_id}" for img_id in "acd" for task in ("ome2png", "png2pmtiles")]
        expected = sorted([*"abcd", *parts, "update_catalog catalog.yaml"])
        assert eventually(lambda: task_names(client, run) == expected)
        assert logged(client, run, f"b  {tmp_path}/none.tif: cannot be read")


def test_a_mapping_completes_the_options_and_one_bad_entry_stops_no_other(slide: Path, tmp_path: Path) -> None:
    many, out = tmp_path / "many.json", tmp_path / "map"
    path = {"path": slide.name, "tile_format": "webp-lossy"}
    bad = {"nul": "a\0b", "half": "\ud800.tif", "below": "many.json/x"}
    entries = {"a": path, "lacking": None} | {name: path | {"path": given} for name, given in bad.items()}
    many.write_text(json.dumps(entries))
    # Only together with what the images say are they complete; from a deployment they come as JSON.
    options = SharedOptions.model_validate_json('{"png2pmtiles": true, "tile_quality": 70, "georeference": true}')
    with pytest.raises(RunError) as caught:
        import_images(many, out, options, n_jobs=2)
    assert str(caught.value) == "3 of 4 images failed: nul, half, below"
    assert r"'a\x00b' holds a NUL character" in caught.value.table()
    assert caught.value.result.notes == ("many.json: lacking left out, without a path",)
    assert [image.img_id for image in caught.value.result.images] == ["a"]
    with get_client(sync_client=True) as client:
        run = latest_run(client)
        assert logged(client, run, "lacking left out, without a path")
        assert logged(client, run, r"'\ud800.tif' holds half of a surrogate pair")

    (out / "none.pmtiles").write_bytes(b"none")
    (out / "folder.pmtiles").mkdir()
    many.write_text(json.dumps(dict.fromkeys(["missing", "a", "none", "folder"], slide.name)))
    with pytest.raises(RunError, match="3 of 4 images failed: missing, none, folder") as caught:
        import_images(many, out, ImportOptions(update_catalog=True))
    assert [catalog.added for catalog in caught.value.result.catalogs] == [("a",)]


def test_a_worker_looks_beside_the_mapping_only(slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "maps").mkdir()
    monkeypatch.chdir(tmp_path)
    many = tmp_path / "maps" / "many.yaml"
    many.write_text(f"a: {slide.name}\n")
    result = import_images(many, tmp_path / "map", ImportOptions(png2pmtiles=True))
    assert isinstance(result, RunResult)
    assert "taken from the working directory" in result.images[0].asked[0]
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "some-deployment")
    with pytest.raises(RunError, match=r"maps/slide\.ome\.tif"):
        import_images(many, tmp_path / "map", ImportOptions(png2pmtiles=True))


def test_ids_select_images(mapping: Path, tmp_path: Path) -> None:
    result = import_images(mapping, tmp_path / "map", ImportOptions(png2pmtiles=True), img_ids=["d"])
    assert isinstance(result, RunResult)
    assert [image.img_id for image in result.images] == ["d"]
    assert result.catalogs == ()


def test_a_deployment_takes_absolute_paths_only(monkeypatch: pytest.MonkeyPatch) -> None:
    relative, absolute = Path("map"), Path("/data/map")
    refuse_relative_paths(ALL, in_img=relative, out_dir=relative)

    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "some-deployment")
    refuse_relative_paths(ALL, in_img=None, out_dir=absolute)
    with pytest.raises(UsageError, match="--out-dir map: a relative path means another file to each worker"):
        refuse_relative_paths(ALL, in_img=absolute, out_dir=relative)
    with pytest.raises(UsageError, match="--catalog-yaml map: a relative path"):
        refuse_relative_paths(ImportOptions(update_catalog=True, catalog_yaml=relative), out_dir=absolute)


def test_the_form_of_a_deployment_knows_every_option() -> None:
    properties = import_images.parameters.definitions["SharedOptions"]["properties"]
    assert properties.keys() == ImportOptions.model_fields.keys()
    assert all(field["description"] for field in properties.values())
    assert properties["blocksize"]["enum"] == [256, 512, 1024]
    assert import_images.parameters.properties["n_jobs"]["minimum"] == 1


def cartloader(*argv: str, cwd: Path, api: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from cartloader_flows.cli.main import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, "import_image", *argv],
        cwd=cwd,
        env=os.environ | {"PREFECT_API_URL": api},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_line_runs_the_flow_and_prefect_is_silent(mapping: Path, server: str) -> None:
    argv = ["--png2pmtiles", "--update-catalog", "--in-json", mapping.name, "--out-dir", "map", "--n-jobs", "2"]
    run = cartloader(*argv, cwd=mapping.parent, api=server)
    assert run.returncode == 1
    lines = run.stderr.splitlines()
    assert lines[-2:] == ["1 of 4 images failed: b", f"b  {lines[-1][3:]}"]
    assert all(re.fullmatch(r"[acd]  \w+  [\d.]+ s", line) for line in lines[:-2])
    assert run.stdout.splitlines()[-1] == "catalog  map/catalog.yaml  + basemap a, + basemap c, + basemap d"


def test_a_server_that_does_not_answer_is_one_sentence(slide: Path) -> None:
    argv = ["--png2pmtiles", "--in-img", slide.name, "--img-id", "a", "--out-dir", "map"]
    run = cartloader(*argv, cwd=slide.parent, api="http://127.0.0.1:1/api")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("Prefect cannot run this (Failed to reach API at http://127.0.0.1:1/api/)")
    assert run.stderr.count("\n") == 1
