"""Signals: at any moment, and how the command ends."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.interrupts import interrupted_at
from support.processes import eventually
from support.tools import working_in

from cartloader_flows.cli.signals import heard, held
from cartloader_image.report import Stage
from cartloader_image.system.files import write_whole
from cartloader_image.system.tools import ToolCall, run


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_at_any_step_leaves_no_lock_and_a_whole_file_or_none(tmp_path: Path) -> None:
    for moment in itertools.count():
        folder = tmp_path / f"{moment}"
        folder.mkdir()
        was_long_enough = interrupted_at(moment, lambda folder=folder: write_whole(folder / "a.json", "{}"))
        assert eventually(lambda folder=folder: {path.name for path in folder.iterdir()} <= {"a.json"}, 10), moment
        if not was_long_enough:
            break
    assert moment > 200
    assert (folder / "a.json").read_text() == "{}"


def test_a_signal_while_the_scratch_is_removed_leaves_none(tmp_path: Path) -> None:
    clearing = """
import os, pathlib, signal, sys, time
from cartloader_image.system import files
removed = files.Hidden.remove
def remove(*args):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.5)
    removed(*args)
files.Hidden.remove = remove
files.write_whole(pathlib.Path(sys.argv[1]), "{}")
"""
    run = subprocess.run([sys.executable, "-c", clearing, tmp_path / "a.json"], check=False, stderr=subprocess.PIPE)
    assert b"KeyboardInterrupt" in run.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_at_any_step_ends_a_tool(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\necho done\n")
    (tmp_path / "tool").chmod(0o755)
    call = ToolCall(img_id="a", stage=Stage.TILES, program=tmp_path / "tool", arguments=(), folder=tmp_path, timeout=60)
    for moment in itertools.count():
        if not interrupted_at(moment, lambda: run(call)):
            break
        assert eventually(lambda: not working_in(tmp_path), 10), moment
    assert moment > 20


def test_a_signal_waits_for_the_end_of_an_import() -> None:
    imported = []
    with heard(for_good=False), pytest.raises(KeyboardInterrupt):  # noqa: PT012  (where it is raised is what is asked)
        with held():
            signal.raise_signal(signal.SIGTERM)
            imported.append("whole")
        imported.append("more")
    assert imported == ["whole"]
