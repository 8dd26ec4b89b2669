"""Runs that are killed: what they leave is no file of a final name that is not whole, and the next run clears it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.processes import eventually, with_environment
from support.rasters import write_raster
from support.tools import require_tools

from cartloader_image.action_params import OutputPrefix
from cartloader_image.system.files import workspace, write_whole

START = """
import os, signal, sys
from pathlib import Path
from cartloader_image.system import files
from cartloader_image.action_params import OutputPrefix
out = OutputPrefix(out_dir=Path(sys.argv[1]), img_id="dapi")
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
"""
DEATHS = {
    "in a workspace": "with files.workspace(out) as scratch: (scratch / 'half').write_text('half'); die()",
    "in a lock": "with files.locked(out.path('.yaml')) as scratch: (scratch / 'half').write_text('half'); die()",
    "before a text has its name": "files.publish = die; files.write_whole(out.path('.json'), '{}')",
    "before there is a scratch directory": "files._clear_dead_runs = die; files.workspace(out).__enter__()",
}


def killed(out_dir: Path, death: str) -> None:
    run = subprocess.run([sys.executable, "-c", START + death, str(out_dir)], check=False)
    assert run.returncode == -signal.SIGKILL
    assert [path.name for path in out_dir.iterdir()] == [".cartloader"], "the killed run should have left its mess"


@pytest.mark.parametrize("death", DEATHS.values(), ids=DEATHS)
def test_the_next_run_of_any_image_clears_what_a_killed_one_left(tmp_path: Path, death: str) -> None:
    killed(tmp_path, death)
    with workspace(OutputPrefix(out_dir=tmp_path, img_id="membrane")):
        pass
    assert list(tmp_path.iterdir()) == []


def test_the_next_run_of_the_same_image_starts_from_nothing(tmp_path: Path) -> None:
    killed(tmp_path, DEATHS["in a workspace"])
    with workspace(OutputPrefix(out_dir=tmp_path, img_id="dapi")) as scratch:
        assert list(scratch.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_writing_a_small_text_clears_as_well(tmp_path: Path) -> None:
    killed(tmp_path, DEATHS["in a workspace"])
    write_whole(tmp_path / "a.json", "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_living_run_is_left_alone_while_a_dead_one_is_cleared(tmp_path: Path) -> None:
    with workspace(OutputPrefix(out_dir=tmp_path, img_id="living")) as scratch:
        (scratch / "half").write_text("half")
        killed(tmp_path, DEATHS["in a workspace"])
        write_whole(tmp_path / "a.json", "{}")
        assert {path.name for path in scratch.parent.iterdir()} == {"living.lock", "living.scratch"}
        assert (scratch / "half").read_text() == "half"


WAYS = {"native": ["--direct"], "gdal": ["--direct", "--engine", "gdal"], "temporary server": []}


class Runs:
    """The same import again and again, in one of the ways to run it, and what it makes where nobody kills it."""

    def __init__(self, folder: Path, way: str) -> None:
        self.home, self.out = folder / "home", folder / "map"
        size = (900, 1200) if way == "gdal" else (3000, 4000)
        write_raster(folder / "slide.ome.tif", *size, dtype=np.uint8)
        self.argv = [
            *(Path(sys.executable).with_name("cartloader"), "import_image", *WAYS[way]),
            *("--ome2png", "--png2pmtiles", "--update-catalog", "--in-img", folder / "slide.ome.tif"),
            *("--img-id", "a", "--out-dir", self.out),
        ]
        # All that a run starts has it in its environment.
        self.environment = os.environ | {"PREFECT_HOME": str(self.home)}
        self.environment.pop("PREFECT_API_URL", None)
        self.run()  # a first run takes longer
        self.clear()
        begin = time.monotonic()
        self.whole = self.run()
        self.seconds = time.monotonic() - begin

    def moment(self, chosen: random.Random) -> float:
        """Seconds after the start of a run, more often late than soon: programs and servers take long to start."""
        return self.seconds * (1 - chosen.random() ** 2)

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.argv, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def clear(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)

    def run(self) -> dict[str, bytes]:
        """Run to the end; all that there is afterwards."""
        with self.start() as process:
            _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said.decode()
        return {path.name: path.read_bytes() for path in self.out.iterdir()}

    def end(self, number: signal.Signals, moment: float) -> int:
        """Start a run and end it after so many seconds; no process of it is left soon. Its exit code."""
        with self.start() as process:
            time.sleep(moment)
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        assert eventually(lambda: not with_environment("PREFECT_HOME", str(self.home)), 30)
        # Python itself ends with 1 while it has not begun, and with the signal while nobody listens yet.
        return -number if b"Fatal Python error: init_" in said else process.returncode

    def check_same(self, found: dict[str, bytes]) -> None:
        """Files are byte for byte what they are where nobody kills a run."""
        assert {name for name, data in found.items() if data != self.whole[name]} == set()

    def check_files(self) -> list[str]:
        """All files that have their final names are whole; what else there is."""
        there = {path.name: path for path in self.out.iterdir()} if self.out.exists() else {}
        left = there.pop(".cartloader", None)
        self.check_same({name: path.read_bytes() for name, path in there.items()})
        return [] if left is None else [str(path) for path in left.iterdir()]


@pytest.fixture
def runs(tmp_path: Path, request: pytest.FixtureRequest) -> Runs:
    if request.param == "gdal":
        require_tools()
    return Runs(tmp_path, request.param)


def kill(runs: Runs, times: int) -> None:
    chosen = random.Random(seed := int(os.environ.get("SEED", time.time_ns() % 1_000_000)))
    left = ended = 0
    for number in range(times):
        runs.clear()
        moment = runs.moment(chosen)
        print(f"SEED={seed}: kill {number} after {moment:.3f} of {runs.seconds:.3f} s")
        ended += runs.end(signal.SIGKILL, moment) == 0
        left += bool(runs.check_files())
        again = runs.run()
        assert again.keys() == runs.whole.keys()
        runs.check_same(again)
    print(f"SEED={seed}: {times} kills, {ended} of them too late; {left} left something in .cartloader")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runs", "times"), [("native", 9), ("gdal", 8), ("temporary server", 3)], indirect=["runs"]
)  # fmt: skip
def test_a_run_that_is_killed_leaves_nothing_to_the_next_one(runs: Runs, times: int) -> None:
    kill(runs, times)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("runs", "times"), [("native", 90), ("gdal", 80), ("temporary server", 30)], indirect=["runs"]
)  # fmt: skip
def test_many_runs_that_are_killed_leave_nothing_to_the_next_ones(runs: Runs, times: int) -> None:
    kill(runs, times)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runs", "times"), [("native", 12), ("gdal", 6), ("temporary server", 3)], indirect=["runs"]
)  # fmt: skip
def test_a_run_that_is_ended_by_a_signal_leaves_nothing_at_all(runs: Runs, times: int) -> None:
    chosen = random.Random(seed := int(os.environ.get("SEED", time.time_ns() % 1_000_000)))
    for turn in range(times):
        runs.clear()
        number = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[turn % 3]
        # Before Python listens, the system's answer is all that there is.
        moment = runs.moment(chosen)
        code = runs.end(number, moment)
        print(f"SEED={seed}: {number.name} after {moment:.3f} of {runs.seconds:.3f} s: {code}")
        assert code in {0, 130, -number}
        assert runs.check_files() == []
        assert code or {path.name for path in runs.out.iterdir()} == runs.whole.keys()
