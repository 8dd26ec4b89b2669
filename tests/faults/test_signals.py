"""Signals: at any moment, and how the command ends."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from support.interrupts import interrupted_at
from support.processes import eventually
from support.tools import working_in

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
