"""Images that are worked on in processes of their own, when one of those ends, or the one that was started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
from support.processes import eventually, with_environment
from support.rasters import write_raster

IMAGES = 40
MARK = "CARTLOADER_TEST_BATCH"


class Batch:
    """A run over many images, two at a time."""

    def __init__(self, folder: Path) -> None:
        write_raster(folder / "slide.ome.tif", 900, 1200, dtype=np.uint8)
        (folder / "many.yaml").write_text("".join(f"s{number}: slide.ome.tif\n" for number in range(IMAGES)))
        self.out, self.mark = folder / "map", str(folder)
        argv = ["import_image", "--direct", "--png2pmtiles", "--update-catalog", "--n-jobs", "2"]
        self.process = subprocess.Popen(
            [Path(sys.executable).with_name("cartloader"), *argv, "--in-json", "many.yaml", "--out-dir", "map"],
            cwd=folder, env=os.environ | {MARK: self.mark}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def finished(self) -> list[Path]:
        return sorted(self.out.glob("*.pmtiles"))

    def workers(self) -> list[psutil.Process]:
        """Those that work on images."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]

    def end(self, how: Callable[[], None]) -> tuple[int, str, str]:
        """Let it begin, end something, and wait; exit code and what it said. Then no process of it is left."""
        assert eventually(lambda: len(self.finished()) > 2)
        how()
        out, err = self.process.communicate(timeout=60)
        assert eventually(lambda: not with_environment(MARK, self.mark), 20)
        return self.process.returncode, out, err


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    return Batch(tmp_path)


@pytest.mark.parametrize(("number", "everywhere"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_a_signal_ends_all_of_them(batch: Batch, number: signal.Signals, everywhere: bool) -> None:
    """Of those that work, too, where it comes to all of them, as from a terminal."""

    def interrupt() -> None:
        for process in batch.workers() if everywhere else []:
            process.send_signal(number)
        batch.process.send_signal(number)

    code, _, err = batch.end(interrupt)
    assert code == 130
    assert err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err
    assert len(batch.finished()) < IMAGES
    assert not (batch.out / ".cartloader").exists()


def test_when_one_dies_the_command_says_so(batch: Batch) -> None:
    def kill_one() -> None:
        batch.workers()[0].kill()

    code, out, err = batch.end(kill_one)
    assert code == 1
    assert "a process died that worked on images; is the memory enough? import fewer at a time (--n-jobs)" in err
    assert "Traceback" not in err
    done = [line.split()[0] for line in out.splitlines() if "slide.ome.tif" in line]
    assert 0 < len(done) < IMAGES
    assert {f"{name}.pmtiles" for name in done} <= {path.name for path in batch.finished()}


def test_none_outlives_the_command(batch: Batch) -> None:
    assert batch.end(batch.process.kill)[0] == -signal.SIGKILL


def test_nobody_has_to_listen(batch: Batch) -> None:
    """The end of a pipe that is closed, as by ``| head``, ends the run instead of holding it up."""
    assert batch.process.stderr is not None
    assert batch.process.stdout is not None
    batch.process.stderr.readline()
    batch.process.stderr.close()
    batch.process.stdout.close()
    assert batch.process.wait(60) != 0
    assert eventually(lambda: not with_environment(MARK, batch.mark), 20)
    assert not (batch.out / ".cartloader").exists()
