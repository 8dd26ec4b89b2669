import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest
from support.reports import Notes

from cartloader_image.action_params import OutputPrefix
from cartloader_image.errors import DiskError, StoppedError
from cartloader_image.report import waiting
from cartloader_image.system.files import locked, publish, sha256, workspace, write_whole


@pytest.fixture
def out(tmp_path: Path) -> OutputPrefix:
    return OutputPrefix(out_dir=tmp_path / "map", img_id="dapi")


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    old = os.umask(0o022)
    yield os.umask
    os.umask(old)


def test_a_workspace_is_empty_and_leaves_only_what_was_published(out: OutputPrefix) -> None:
    with workspace(out) as scratch:
        assert list(scratch.iterdir()) == []
        (scratch / "a").write_text("whole")
        (scratch / "left over").write_text("half")
        publish(scratch / "a", out.path(".pmtiles"))
    assert [path.name for path in out.out_dir.iterdir()] == ["dapi.pmtiles"]
    assert out.path(".pmtiles").read_text() == "whole"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_workspace_is_gone_on_any_way_out(out: OutputPrefix, error: type[BaseException]) -> None:
    def fail() -> None:
        with workspace(out) as scratch:
            (scratch / "half").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert list(out.out_dir.iterdir()) == []


def test_two_images_are_worked_on_at_once_and_neither_clears_the_other(out: OutputPrefix) -> None:
    other = OutputPrefix(out_dir=out.out_dir, img_id="membrane")
    with workspace(out) as scratch:
        (scratch / "half").write_text("half")
        with workspace(other), ThreadPoolExecutor() as threads:
            threads.submit(write_whole, out.path(".json"), "{}").result()
        assert (scratch / "half").read_text() == "half"
    assert [path.name for path in out.out_dir.iterdir()] == ["dapi.json"]


def test_the_second_run_of_an_image_says_that_it_waits_and_then_works(out: OutputPrefix) -> None:
    report = Notes()

    def second() -> bool:
        with workspace(out, waiting(report, "the first")):
            return first_ended

    first_ended = False
    with ThreadPoolExecutor() as threads:
        with workspace(out):
            result = threads.submit(second)
            assert report.noted.wait(60)
            first_ended = True
        assert result.result()
    assert report.notes == ["waits for the first"]


def test_who_waits_can_be_stopped(out: OutputPrefix) -> None:
    report = Notes()

    def second() -> None:
        with workspace(out, waiting(report, "the first")):
            pass

    with ThreadPoolExecutor() as threads, workspace(out):
        result = threads.submit(second)
        assert report.noted.wait(60)
        report.stopped.set()
        with pytest.raises(StoppedError):
            result.result(10)


def test_a_moment_is_no_wait() -> None:
    report = Notes()
    with waiting(report, "nobody") as waits:
        waits()
        waits()
    assert report.notes == []


def test_nobody_is_told_to_wait_for_nobody(out: OutputPrefix) -> None:
    with workspace(out, nullcontext(lambda: pytest.fail("there is nobody to wait for"))):
        pass


def test_threads_never_hold_the_same_image_together(out: OutputPrefix, tmp_path: Path) -> None:
    # Whoever leaves removes lock and directory under the feet of those who wait: nobody may slip in beside another.
    def visit(_: int) -> None:
        with workspace(out):
            (tmp_path / "held").mkdir()
            (tmp_path / "held").rmdir()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(visit, range(80))) == [None] * 80
    assert list(out.out_dir.iterdir()) == []


VISIT = """
import sys
from pathlib import Path
from cartloader_image.errors import DiskError
from cartloader_image.system.files import workspace
from cartloader_image.action_params import OutputPrefix
out = OutputPrefix(out_dir=Path(sys.argv[1]) / "map", img_id="dapi")
for _ in range(10):
    with workspace(out):
        (Path(sys.argv[1]) / "held").mkdir()
        (Path(sys.argv[1]) / "held").rmdir()
"""


def test_processes_never_hold_the_same_image_together(out: OutputPrefix, tmp_path: Path) -> None:
    runs = [subprocess.Popen([sys.executable, "-c", VISIT, str(tmp_path)]) for _ in range(4)]
    assert [run.wait() for run in runs] == [0] * 4
    assert list(out.out_dir.iterdir()) == []


def test_a_file_named_like_an_image_does_not_wait_for_it(tmp_path: Path) -> None:
    out = OutputPrefix(out_dir=tmp_path, img_id="catalog.yaml")
    with workspace(out) as scratch, locked(tmp_path / "catalog.yaml") as beside:
        assert scratch != beside
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_the_output_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "map").write_text("in the way")
    with pytest.raises(NotADirectoryError) as caught, workspace(OutputPrefix(out_dir=tmp_path / "map", img_id="dapi")):
        pass
    assert str(tmp_path / "map") in str(caught.value.filename)


def test_publishing_replaces_a_file_and_hands_its_permissions_on(tmp_path: Path) -> None:
    final, draft = tmp_path / "final", tmp_path / "draft"
    final.write_text("old")
    final.chmod(0o640)
    draft.write_text("new")
    publish(draft, final)
    assert (final.read_text(), final.stat().st_mode & 0o777) == ("new", 0o640)
    assert not draft.exists()


def test_publishing_onto_a_directory_names_the_directory(tmp_path: Path) -> None:
    (tmp_path / "final").mkdir()
    (tmp_path / "draft").write_text("new")
    with pytest.raises(IsADirectoryError) as caught:
        publish(tmp_path / "draft", tmp_path / "final")
    assert caught.value.filename == str(tmp_path / "final")


def test_a_text_is_written_with_the_permissions_of_a_new_file(tmp_path: Path, umask: Callable[[int], int]) -> None:
    umask(0o027)
    write_whole(tmp_path / "a.csv", "µm\r\n")
    assert (tmp_path / "a.csv").read_bytes() == "µm\r\n".encode()
    assert (tmp_path / "a.csv").stat().st_mode & 0o777 == 0o640


def test_a_text_that_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(tmp_path / "a.csv", "\udcff")
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "b.csv", "new")
    assert {path.name for path in tmp_path.iterdir()} == {"a.csv", "b.csv"}
    assert (tmp_path / "a.csv").read_text() == "old"


def test_the_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    content = b"\x00\xff" * 300_000
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match=f"{tmp_path}: the disk is full; make room"), locked(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []
