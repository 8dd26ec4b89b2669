"""The hidden directory among other people's things: what is not ours is refused by a sentence and stays as it is."""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from cartloader_image.action_params import OutputPrefix
from cartloader_image.errors import DiskError
from cartloader_image.system.files import locked, workspace, write_whole

NOBODY = 65534


@pytest.fixture
def out(tmp_path: Path) -> OutputPrefix:
    (tmp_path / "map").mkdir()
    return OutputPrefix(out_dir=tmp_path / "map", img_id="dapi")


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """A directory that a link may lead to, with all the names that a run has."""
    folder = tmp_path / "others"
    (folder / "dapi.scratch").mkdir(parents=True)
    (folder / "dapi.scratch" / "thesis").write_text("three years")
    (folder / "dapi.lock").write_text("")
    return folder


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        state = path.lstat()
        text = bytes(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (state.st_mode, text)
    return found


def refused(out: OutputPrefix, words: str) -> None:
    before = contents(out.out_dir.parent)
    with pytest.raises(DiskError, match=re.escape(words)), workspace(out):
        pass
    assert contents(out.out_dir.parent) == before


@pytest.mark.parametrize("name", [".cartloader", ".cartloader/dapi.lock", ".cartloader/dapi.scratch"])
@pytest.mark.parametrize("target", ["others", "others/dapi.lock", "others/dapi.scratch", "nowhere"])
def test_a_link_is_not_followed(out: OutputPrefix, others: Path, name: str, target: str) -> None:
    path = out.out_dir / name
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(others.parent / target)
    refused(out, f"{path}: is a symbolic link, where cartloader has a ")


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        (".cartloader", Path.touch, "is no directory"),
        (".cartloader", os.mkfifo, "is no directory"),
        (".cartloader/dapi.lock", Path.mkdir, "is no file"),
        (".cartloader/dapi.lock", os.mkfifo, "is no file"),
        (".cartloader/dapi.lock", lambda path: path.write_text("a thesis"), "is not cartloader's"),
        (".cartloader/dapi.scratch", Path.touch, "is no directory"),
        (".cartloader/dapi.scratch", Path.mkdir, "is not cartloader's"),
    ],
)  # fmt: skip
def test_something_of_another_kind_is_left_alone(
    out: OutputPrefix, name: str, make: Callable[[Path], object], words: str
) -> None:
    path = out.out_dir / name
    path.parent.mkdir(exist_ok=True)
    make(path)
    refused(out, f"{path}: {words}")


def test_only_what_a_run_has_made_is_cleared(out: OutputPrefix) -> None:
    hidden = out.out_dir / ".cartloader"
    for folder in ("backup.scratch", "old.lock", "plain"):
        (hidden / folder).mkdir(parents=True)
        (hidden / folder / "thesis").write_text("three years")
    (hidden / "notes.lock").write_text("a thesis")
    (hidden / "away.lock").symlink_to("notes.lock")
    before = contents(out.out_dir)
    with workspace(out):
        write_whole(out.path(".json"), "{}")
    out.path(".json").unlink()
    assert contents(out.out_dir) == before


def test_nobody_else_may_write_into_a_hidden_directory(out: OutputPrefix) -> None:
    old = os.umask(0)
    try:
        with workspace(out) as scratch:
            assert stat.S_IMODE(scratch.parent.stat().st_mode) == 0o700
        scratch.parent.mkdir()
        scratch.parent.chmod(0o2777)
        with workspace(out):
            assert stat.S_IMODE(scratch.parent.stat().st_mode) == 0o2755
    finally:
        os.umask(old)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("name", [".cartloader", ".cartloader/dapi.lock", ".cartloader/dapi.scratch"])
def test_what_belongs_to_somebody_else_is_left_alone_and_they_are_named(out: OutputPrefix, name: str) -> None:
    path = out.out_dir / name
    path.parent.mkdir(exist_ok=True)
    path.touch() if name.endswith(".lock") else path.mkdir()
    os.chown(path, NOBODY, NOBODY)
    refused(out, f"{path}: belongs to nobody (user {NOBODY}), whose run is at work here or was killed; wait until")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_dead_run_of_somebody_else_is_left_alone(out: OutputPrefix) -> None:
    hidden = out.out_dir / ".cartloader"
    (hidden / "theirs.scratch").mkdir(parents=True)
    (hidden / "theirs.lock").touch()
    for path in hidden.iterdir():
        os.chown(path, NOBODY, NOBODY)
    before = contents(out.out_dir)
    with locked(out.path(".json")):
        pass
    assert contents(out.out_dir) == before


def test_where_all_files_belong_to_one_user_they_are_ours(out: OutputPrefix, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with workspace(out):
        pass
    (out.out_dir / ".cartloader").mkdir()
    with workspace(out):
        pass
    assert contents(out.out_dir) == {}
