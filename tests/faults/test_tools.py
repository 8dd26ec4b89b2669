"""Tools that fail, hang, fill the disk or are interrupted: stand-ins for the real ones, which do the rest."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import numpy as np
import pytest
from support.archives import read_archive
from support.rasters import Raster
from support.tools import all_ended, calls_of, require_tools, stand_in, working_in

from cartloader_image.action_params import OutputPrefix, Png2PmtilesParams
from cartloader_image.errors import DiskError, StoppedError, ToolError
from cartloader_image.recipe import actions
from cartloader_image.report import Quiet, Stage
from cartloader_image.system import tools
from cartloader_image.system.tools import RETRIES, Retries, ToolCall, run, run_with_retries

FAST = Retries(first_delay=0.05)
CARTLOADER = Path(sys.executable).with_name("cartloader")


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let attempts follow each other at once."""
    monkeypatch.setattr(tools, "RETRIES", FAST)


class Said(Quiet):
    """Remembers the log and the notes."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.notes: list[str] = []
        self.done: list[int] = []

    def detail(self, text: str) -> None:
        self.lines.append(text)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, stage: Stage, done: int, total: int) -> None:  # noqa: ARG002
        self.done.append(done)


def script(folder: Path, text: str, name: str = "tool") -> Path:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)
    return path


def call(program: Path, *arguments: str, timeout: float = 20, **more: str) -> ToolCall:
    return ToolCall(
        img_id="x",
        stage=Stage.TILES,
        program=program,
        arguments=arguments,
        folder=program.parent,
        timeout=timeout,
        **more,
    )


def test_a_report_sees_the_context_of_whoever_runs_a_tool(tmp_path: Path) -> None:
    """It is asked in a thread of its own; what it asks may hang on settings that are in force here alone."""
    variable, seen = ContextVar("variable", default="nothing"), []

    class Asked(Quiet):
        def check(self) -> None:
            seen.append(variable.get())

    variable.set("here")
    run(call(script(tmp_path, "sleep 0.3")), Asked())
    assert set(seen) == {"here"}


def test_output_is_heard_line_by_line(tmp_path: Path) -> None:
    said = Said()
    words = r"echo one; printf 'tw'; sleep 0.2; printf 'o\n'; printf 'w\xc3' >&2; sleep 0.2; printf '\xa4' >&2"
    program = script(tmp_path, words)
    finished = run(call(program, "a b"), said)
    assert finished.output == "one\ntwo"
    assert said.lines[0] == f"$ {program} 'a b'"
    assert sorted(said.lines[1:4]) == ["tool: one", "tool: two", "tool: wä"]
    assert finished.use.seconds >= 0.4


def test_progress_is_told_while_a_tool_works(tmp_path: Path) -> None:
    said = Said()
    run(call(script(tmp_path, "for n in 0 10 20 30; do printf '%s...' $n; sleep 0.15; done; echo '100 - done.'")), said)
    assert [done for done in sorted(set(said.done)) if done] == [10, 20, 30, 100]
    assert said.done == sorted(said.done)


def test_peak_memory_is_the_tools_own(tmp_path: Path) -> None:
    """The test process holds more than the tool, whose child holds 60 MB."""
    ballast = np.ones(200_000_000, np.uint8)
    child = f"{sys.executable} -c 'import time; held = bytearray(60_000_000); time.sleep(0.5)'"
    memory = run(call(script(tmp_path, f"{child}; true"))).use.memory
    assert 60e6 < memory < 110e6
    assert ballast.all()


@pytest.mark.parametrize(
    ("text", "transient", "words"),
    [
        ("echo one >&2; echo 'it broke' >&2; exit 1", False, 'tool failed (exit code 1); its last words: "it broke"'),
        ("echo 'on stdout'; exit 3", False, 'tool failed (exit code 3); its last words: "on stdout"'),
        ("kill -9 $$", True, "tool was killed (signal 9); is the machine out of memory?"),
        ("kill -TERM $$", True, "tool was killed (signal 15)"),
        ("exit 137", True, "tool was killed (signal 9)"),
        ("kill -SEGV $$", False, "tool crashed (SIGSEGV)"),
        ("echo 'sqlite3_step() failed: database is locked' >&2; exit 1", True, "database is locked"),
        ("echo 'cannot open: Text file busy' >&2; exit 1", True, "Text file busy"),
        ("echo 'ERROR 1: it went wrong' >&2", False, "tool reported an error"),
        ("echo 'No space left on device' >&2; seq 50 >&2; exit 1", False, "stopped because the disk is full"),
    ],
)  # fmt: skip
def test_verdicts(tmp_path: Path, text: str, transient: bool, words: str) -> None:
    program = script(tmp_path, text)
    with pytest.raises(ToolError) as caught:
        run(call(program, "argument"))
    assert words in str(caught.value)
    assert caught.value.transient is transient
    assert caught.value.command == (str(program), "argument")


def test_warnings_of_proj_are_no_failure(tmp_path: Path) -> None:
    run(call(script(tmp_path, "echo 'ERROR 1: PROJ: proj_create: no database' >&2")))


def test_the_error_carries_the_last_twenty_lines(tmp_path: Path) -> None:
    with pytest.raises(ToolError) as caught:
        run(call(script(tmp_path, "seq 100 >&2; exit 4")))
    assert caught.value.words == tuple(map(str, range(81, 101)))
    assert caught.value.code == 4


def test_a_busy_program_is_tried_again(tmp_path: Path) -> None:
    program = tmp_path / "tool"
    shutil.copy("/bin/true", program)
    with program.open("ab"), pytest.raises(ToolError, match="Text file busy") as caught:
        run(call(program))
    assert caught.value.transient
    run(call(program))


@pytest.mark.parametrize(
    "ignores",
    [pytest.param("", id="ends"), pytest.param("trap '' TERM; ", id="ignores TERM", marks=pytest.mark.slow)],
)
def test_a_hanging_tool_ends_at_its_time_out_with_its_children(tmp_path: Path, ignores: str) -> None:
    mark = f"41{os.getpid() % 1000:03d}"
    program = script(tmp_path, f"{ignores}sleep {mark} & (sleep {mark} & wait) & wait; wait; sleep {mark}")
    start = time.monotonic()
    with pytest.raises(ToolError, match=r"did not end within 1 s.*--tool-timeout") as caught:
        run(call(program, timeout=1))
    assert caught.value.transient
    assert time.monotonic() - start < 1 + 3 + 1.5
    assert all_ended(f"sleep {mark}")


def test_what_a_tool_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    mark = f"42{os.getpid() % 1000:03d}"
    start = time.monotonic()
    run(call(script(tmp_path, f"sleep {mark} & echo done")))
    assert time.monotonic() - start < 3, "the child holds the pipes open"
    assert all_ended(f"sleep {mark}")


def test_a_stopped_run_stops_its_tool(tmp_path: Path) -> None:
    mark = f"43{os.getpid() % 1000:03d}"

    class Stopped(Quiet):
        began = time.monotonic()

        def check(self) -> None:
            if time.monotonic() > self.began + 0.5:
                raise StoppedError("stopped")

    with pytest.raises(StoppedError):
        run(call(script(tmp_path, f"sleep {mark}")), Stopped())
    assert all_ended(f"sleep {mark}")


def test_a_stopped_run_ends_the_copy_that_a_tool_starts_from(tmp_path: Path) -> None:
    class Stopped(Said):
        def check(self) -> None:
            raise StoppedError("stopped")

    (tmp_path / "from").write_text("start")
    said = Stopped()
    with pytest.raises(StoppedError):
        run(call(script(tmp_path, "true"), makes="to", copies="from"), said)
    assert said.lines == [], "the tool is not started"


def test_a_stopped_run_makes_no_other_attempt(tmp_path: Path) -> None:
    class Stopped(Said):
        def check(self) -> None:
            if self.notes:
                raise StoppedError("stopped")

    said = Stopped()
    with pytest.raises(StoppedError):
        run_with_retries(call(script(tmp_path, "kill -9 $$")), said)
    assert len(said.notes) == 1
    assert sum(line.startswith("$ ") for line in said.lines) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="no other system has it")
def test_a_tool_dies_with_a_process_that_is_killed(tmp_path: Path) -> None:
    mark = f"47{os.getpid() % 1000:03d}"
    program = script(tmp_path, f"touch started; exec sleep {mark}")
    code = (
        "import sys; from pathlib import Path; here = Path(sys.argv[1]); "
        "from cartloader_image.system.tools import ToolCall, run; "
        "call = {'img_id': 'x', 'stage': 'tiles', 'program': here, 'arguments': (), 'folder': here.parent}; "
        "run(ToolCall(**call, timeout=60))"
    )
    with subprocess.Popen([sys.executable, "-c", code, program]) as process:
        until = time.monotonic() + 20
        while not (tmp_path / "started").exists() and time.monotonic() < until:
            time.sleep(0.05)
        process.kill()
    assert (tmp_path / "started").exists()
    assert all_ended(f"sleep {mark}")


@pytest.mark.usefixtures("fast")
def test_each_attempt_starts_from_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "from").write_text("start")
    for left in ("to-journal", "to-wal"):
        (tmp_path / left).write_text("left")
    words = "test -e to-journal && exit 9; echo more >> to; n=$(wc -l < count); echo >> count"
    program = script(tmp_path, f"{words}; [ $n -lt 2 ] && kill -9 $$; true")
    (tmp_path / "count").write_text("")
    said = Said()
    run_with_retries(call(program, makes="to", copies="from"), said)
    assert (tmp_path / "to").read_text() == "startmore\n"
    assert said.notes == [
        "tool was killed (signal 9); is the machine out of memory?; trying again",
        "tool was killed (signal 9), 2 times; is the machine out of memory?; trying again",
    ]


def test_delays_grow() -> None:
    assert RETRIES.delays == [RETRIES.first_delay, RETRIES.first_delay * RETRIES.growth]


# With the real tools.


@pytest.fixture
def placed(raster: Raster, tmp_path: Path) -> OutputPrefix:
    """The GeoTIFF of an import."""
    require_tools()
    slide = raster("slide.ome.tif", 700, 900, dtype=np.uint8)
    out = OutputPrefix(out_dir=tmp_path / "map", img_id="a")
    argv = ["import_image", "--direct", "--png2pmtiles", "--in-img", slide, "--out-dir", out.out_dir, "--img-id", "a"]
    subprocess.run([CARTLOADER, *argv], check=True, capture_output=True)
    return out


def names(out: OutputPrefix) -> set[str]:
    return {path.name for path in out.out_dir.iterdir()}


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    "tool",
    ["gdal_translate", *(pytest.param(tool, marks=pytest.mark.slow) for tool in ("gdaladdo", "gdalinfo", "pmtiles"))],
)
def test_a_tool_that_is_killed_twice_and_then_succeeds(tmp_path: Path, placed: OutputPrefix, tool: str) -> None:
    fake = stand_in(tmp_path, tool, "[ $n -lt 2 ] && kill -9 $$")
    result = actions.png2pmtiles(Png2PmtilesParams(out=placed, **{tool: str(fake)}))
    assert result.tiles == sum(read_archive(result.path).entries.runs)
    assert len(calls_of(fake)) >= 3
    assert calls_of(fake)[0] == calls_of(fake)[2]


def test_a_permanent_failure_has_one_attempt_and_loses_nothing(tmp_path: Path, placed: OutputPrefix) -> None:
    before = placed.path(".pmtiles").read_bytes()
    fake = stand_in(tmp_path, "gdaladdo", "echo 'ERROR 1: database disk image is malformed' >&2; exit 1")
    with pytest.raises(ToolError, match=r"gdaladdo failed .*malformed"):
        actions.png2pmtiles(Png2PmtilesParams(out=placed, gdaladdo=str(fake)))
    assert len(calls_of(fake)) == 1
    assert placed.path(".pmtiles").read_bytes() == before
    assert names(placed) == {"a.pmtiles", "a.json", "a_assets.json", "a.geotif.tif"}


@pytest.mark.usefixtures("fast")
@pytest.mark.slow
def test_the_time_out_is_an_option(tmp_path: Path, placed: OutputPrefix) -> None:
    fake = stand_in(tmp_path, "pmtiles", "[ $n -lt 1 ] && sleep 60")
    start = time.monotonic()
    actions.png2pmtiles(Png2PmtilesParams(out=placed, pmtiles=str(fake), tool_timeout=3))
    assert 3 < time.monotonic() - start < 50
    assert len(calls_of(fake)) == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], check=False).returncode:
        pytest.skip("may not mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("left", [100_000, 800_000, 1_600_000])
def test_a_full_disk(placed: OutputPrefix, small_disk: Path, left: int) -> None:
    """Whatever step it stops: one sentence, nothing under a final name, and all of it works once there is room."""
    out = OutputPrefix(out_dir=small_disk, img_id="a")
    shutil.copy(placed.path(".geotif.tif"), out.path(".geotif.tif"))
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - left))
    with pytest.raises((ToolError, DiskError), match="disk is full"):
        actions.png2pmtiles(Png2PmtilesParams(out=out, engine="gdal"))
    assert names(out) == {"a.geotif.tif", "ballast"}


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, id="TERM", marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, id="HUP", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("tool", ["gdaladdo", pytest.param("pmtiles", marks=pytest.mark.slow)])
def test_an_interrupted_run_leaves_nothing(tmp_path: Path, placed: OutputPrefix, tool: str, number: int) -> None:
    mark = f"44{os.getpid() % 1000:03d}"
    fake = stand_in(tmp_path, tool, f"sleep {mark} & [ $n -lt 1 ] && sleep {mark}")
    before = placed.path(".pmtiles").read_bytes()
    argv = [CARTLOADER, "png2pmtiles", "--out-dir", placed.out_dir, "--img-id", "a", f"--{tool}", fake]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 30
        while not calls_of(fake) and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(number)
        start = time.monotonic()
        _, errors = process.communicate(timeout=20)
    assert time.monotonic() - start < 5
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "interrupted"
    assert all_ended(f"sleep {mark}")
    assert names(placed) == {"a.pmtiles", "a.json", "a_assets.json", "a.geotif.tif"}
    assert placed.path(".pmtiles").read_bytes() == before
    subprocess.run(argv, check=True, capture_output=True)
    assert names(placed) == {"a.pmtiles", "a.json", "a_assets.json", "a.geotif.tif", "a.pmtiles.mbtiles"}
    assert all_ended(f"sleep {mark}")


@pytest.mark.soak
def test_ctrl_c_at_any_moment(placed: OutputPrefix) -> None:
    """The real tools, interrupted at moments spread over a run."""
    argv = [CARTLOADER, "png2pmtiles", "--out-dir", placed.out_dir, "--img-id", "a", "--engine", "gdal"]
    start = time.monotonic()
    subprocess.run(argv, check=True, capture_output=True)
    whole = time.monotonic() - start
    before = {name: (placed.out_dir / name).read_bytes() for name in names(placed)}
    for moment in np.linspace(0.35, whole * 0.95, 6):
        with subprocess.Popen(argv, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            time.sleep(moment)
            process.send_signal(signal.SIGINT)
        assert process.returncode in {130, 0, -signal.SIGINT}  # the last: before Python listens
        assert not working_in(placed.out_dir)
        assert {name: (placed.out_dir / name).read_bytes() for name in names(placed)} == before
