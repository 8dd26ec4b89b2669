"""The fan-out on a Dask cluster: a real scheduler with worker processes, as they would be on other machines."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from support.archives import read_archive
from support.processes import answers, eventually, free_port, process
from support.rasters import write_raster

PYTHON = Path(sys.executable)
pytestmark = pytest.mark.slow


@pytest.fixture
def address() -> Iterator[str]:
    """The address of a scheduler."""
    port = free_port()
    with process(PYTHON.with_name("dask"), "scheduler", "--host", "127.0.0.1", "--port", f"{port}", "--no-dashboard"):
        assert eventually(lambda: answers(port))
        yield f"tcp://127.0.0.1:{port}"


def worker_of(address: str, *more: str | Path) -> list[str | Path]:
    """The command of a worker that works on one image at a time; another one would be started when it dies."""
    return [PYTHON.with_name("dask"), "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", *more]


@pytest.fixture
def workers(address: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    with ExitStack() as stack:
        yield [stack.enter_context(process(*worker_of(address))) for _ in range(2)]


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    """Eight images of a second or so each."""
    images = tmp_path / "images"
    images.mkdir()
    write_raster(images / "0.ome.tif", 3000, 3000)
    for number in range(1, 8):
        shutil.copy(images / "0.ome.tif", images / f"{number}.ome.tif")
    (images / "many.yaml").write_text("".join(f"i{number}: {number}.ome.tif\n" for number in range(8)))
    return images / "many.yaml"


def command(mapping: Path, address: str, *more: str) -> list[str | Path]:
    argv = ["import_image", "--png2pmtiles", "--update-catalog", "--in-json", mapping.name, "--out-dir", "../map"]
    dask = ["--n-jobs", "2", "--task-runner", "dask", "--dask-address", address]
    return [PYTHON.with_name("cartloader"), *argv, *dask, *more]


def cartloader(mapping: Path, address: str, server: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the import from beside the mapping, with relative paths; the workers are elsewhere."""
    environment = os.environ | {"PREFECT_API_URL": server}
    argv = command(mapping, address, *more)
    return subprocess.run(
        argv, cwd=mapping.parent, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def finished(mapping: Path) -> list[str]:
    return sorted(path.stem for path in (mapping.parents[1] / "map").glob("*.pmtiles"))


def test_a_worker_that_is_killed_loses_nothing(
    mapping: Path, address: str, workers: list[subprocess.Popen[bytes]], server: str
) -> None:
    environment, out = os.environ | {"PREFECT_API_URL": server}, mapping.parents[1] / "map"
    argv = command(mapping, address)
    with subprocess.Popen(
        argv, cwd=mapping.parent, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert eventually(lambda: len(finished(mapping)) >= 2)
        assert eventually(lambda: len([*out.glob(".cartloader/*.scratch")]) == 2)  # both are at work
        workers[0].kill()
        assert len(finished(mapping)) < 7
        printed, errors = run.communicate(timeout=120)
    assert run.returncode == 0, errors
    assert printed.splitlines()[-1].count("+ basemap") == 8
    assert finished(mapping) == [f"i{number}" for number in range(8)]
    assert list(yaml.safe_load((out / "catalog.yaml").read_text())["assets"]["basemap"]) == finished(mapping)
    assert len({read_archive(path).header.addressed_tiles_count for path in out.glob("*.pmtiles")}) == 1
    assert not (out / ".cartloader").exists()

    again = cartloader(mapping, address, server)
    assert again.returncode == 0
    assert again.stdout.count("nothing to do") == 8

    shards = cartloader(mapping, address, server, "--shards", "2", "--img-id", "i3", "--out-dir", "../shards")
    assert "tools: python" in shards.stdout, shards.stderr
    assert (out.with_name("shards") / "i3.pmtiles").read_bytes() == (out / "i3.pmtiles").read_bytes()


def test_a_run_that_is_ended_ends_the_work_of_the_workers(
    mapping: Path, address: str, workers: list[subprocess.Popen[bytes]], server: str
) -> None:
    environment, out = os.environ | {"PREFECT_API_URL": server}, mapping.parents[1] / "map"
    argv = command(mapping, address, "--shrink-factor", "1.01")
    with subprocess.Popen(argv, cwd=mapping.parent, env=environment, stderr=subprocess.PIPE, text=True) as run:
        assert eventually(lambda: len(finished(mapping)) >= 2)
        run.terminate()
        start = time.monotonic()
        errors = run.communicate(timeout=60)[1]
    assert errors.splitlines()[-1] == "interrupted"
    assert eventually(lambda: not (out / ".cartloader").exists(), 5 + start - time.monotonic())
    done = finished(mapping)
    assert len(done) < 8
    time.sleep(1)
    assert finished(mapping) == done
    again = cartloader(mapping, address, server, "--shrink-factor", "1.01")
    assert again.returncode == 0
    assert again.stdout.count("nothing to do") == len(done)


def test_a_worker_that_does_not_see_the_images_says_so(mapping: Path, address: str, server: str) -> None:
    """A worker whose view of the directory of the images is another one, as it is on a machine without that disk."""
    hide = f"mount -t tmpfs none '{mapping.parent}' && exec \"$@\""
    if os.geteuid():
        pytest.skip("only root can give a process a view of its own")
    with process("unshare", "--mount", "sh", "-c", hide, "sh", *worker_of(address)):
        run = cartloader(mapping, address, server, "--img-id", "i3")
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == (
        f"{mapping.parent}/3.ome.tif: not seen on {socket.gethostname()}; all machines need the file systems of the "
        "images and of the output, at the same paths"
    )


def test_what_is_wrong_with_the_cluster_is_one_sentence(mapping: Path, address: str, server: str) -> None:
    def error(address: str, server: str) -> str:
        run = cartloader(mapping, address, server)
        assert run.returncode in {1, 2}
        return run.stderr.splitlines()[-1]

    assert error("tcp://127.0.0.1:1", server) == "--dask-address tcp://127.0.0.1:1: no Dask scheduler answers there"
    assert error(address, "").startswith("--task-runner dask: its workers need a Prefect server that they can reach; ")
    patch = "import importlib.metadata as m\ndef version(name):\n    raise m.PackageNotFoundError\nm.version = version"
    with process(*worker_of(address, "--preload", patch)):
        assert eventually(lambda: "the worker tcp://127.0.0.1:" in error(address, server))
