"""What is done again, and what is not: by the states that Prefect records, and by the files themselves."""

from __future__ import annotations

import base64
import json
import lzma
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path

import pytest
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH
from support.overlays import nuclei
from support.rasters import Raster, params_for
from support.reports import Notes
from support.tools import require_tools, stand_in

import cartloader_tasks.caching
from cartloader_flows.import_image import import_image
from cartloader_image.errors import StoppedError
from cartloader_image.params import ImportOptions
from cartloader_image.results import RunError, RunResult
from cartloader_tasks.caching import FileLocks, home, key_of
from cartloader_tasks.digests import DigestMemory
from cartloader_tasks.records import Records
from cartloader_tasks.reports import stopping_together

pytestmark = pytest.mark.usefixtures("server")

ALL = {"ome2png": True, "png2pmtiles": True}


def cached(slide: Path, out: Path, **options: object) -> tuple[bool, bool]:
    """Import, and tell of the two actions whether they were spared; all files are there afterwards."""
    result = import_image(slide, "a", out, ImportOptions(**(ALL | options)))
    assert isinstance(result, RunResult)
    (image,) = result.images
    assert image.raster
    assert image.tiles
    for file in (*image.raster.files, *image.tiles.files):
        assert file.parent == out
        assert file.exists()
    return image.raster.cached, image.tiles.cached


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_the_second_run_has_nothing_to_do(slide: Path, tmp_path: Path) -> None:
    out = tmp_path / "map"
    assert cached(slide, out) == (False, False)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert cached(slide, out) == (True, True)
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    os.utime(slide)
    assert cached(slide, out) == (True, True), "touched"
    moved = slide.rename(tmp_path / "moved.ome.tif")
    assert cached(moved, out) == (True, True), "moved"
    assert cached(moved, out, high_memory=True) == (True, True), "what changes no pixel"
    assert cached(moved, tmp_path / "other") == (False, False), "another place"


def test_what_changed_is_done_again(slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "map"
    cached(slide, out)
    assert cached(slide, out, resample="lanczos") == (True, False)
    assert cached(slide, out, resample="lanczos", flip_vertical=True) == (False, False)
    assert cached(slide, out, resample="lanczos", flip_vertical=True) == (True, True)
    assert cached(slide, out, resample="lanczos", flip_vertical=True, restart=True) == (False, False)
    data = bytearray(slide.read_bytes())
    data[len(data) // 2] ^= 1
    slide.write_bytes(data)
    assert cached(slide, out, resample="lanczos", flip_vertical=True) == (False, False)
    monkeypatch.setattr(cartloader_tasks.caching, "ALGORITHM", 99)
    assert cached(slide, out, resample="lanczos", flip_vertical=True) == (False, False)


def test_the_pixel_size_of_a_file_counts_by_what_the_file_says(raster: Raster, tmp_path: Path) -> None:
    """And what the picture is called: Space Ranger's are known by their names."""
    picture, scales = raster("tissue_hires_image.tif", bands=3, dtype="uint8"), tmp_path / "scalefactors_json.json"
    keys = []
    for path, size in (
        (picture, 0.5),
        (picture, 0.6),
        (raster("tissue_lowres_image.tif", bands=3, dtype="uint8"), 0.6),
    ):
        facts = {"microns_per_pixel": size, "tissue_hires_scalef": 0.2, "tissue_lowres_scalef": 0.1}
        scales.write_text(json.dumps(facts))
        keys.append(key_of("ome2png", params_for(path, pixel_size=scales)))
    assert len(set(keys)) == 3


def test_fields_of_view_count_by_their_numbers_and_by_what_is_in_them(raster: Raster, tmp_path: Path) -> None:
    first, table = raster("a_F1.tif"), tmp_path / "positions.csv"
    raster("a_F2.tif", bands=3)
    options = {"fov_positions": table, "fov_axes": "right,up", "fov_corner": "lower-left"}
    keys = list[str]()

    def change(text: str) -> None:
        table.write_text(text)
        keys.append(key_of("ome2png", params_for(first, **options)))

    change("FOV,x_global_px,y_global_px\n1,0,0\n2,9,0\n3,9,9\n")
    change("FOV,x_global_px,y_global_px\n1,0,0\n2,9,1\n3,9,9\n")
    (tmp_path / "a_F2.tif").rename(tmp_path / "a_F3.tif")
    change(table.read_text())
    (tmp_path / "a_F3.tif").write_bytes(first.read_bytes())
    change(table.read_text())
    assert len({*keys}) == 4


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    """Change one byte, and nothing that a directory listing tells."""
    before, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    ("name", "harm", "spared"),
    [
        pytest.param("a.json", Path.unlink, (True, False), marks=pytest.mark.slow),
        pytest.param("a.transform.png", cut, (False, True), marks=pytest.mark.slow),
        pytest.param("a.pmtiles", flip, (True, False), marks=pytest.mark.slow),
        ("a.geotif.tif", flip, (False, True)),
    ],
)
def test_a_harmed_output_is_made_again(
    slide: Path, tmp_path: Path, name: str, harm: Callable[[Path], None], spared: tuple[bool, bool]
) -> None:
    out = tmp_path / "map"
    cached(slide, out)
    whole = contents(out)
    harm(out / name)
    assert cached(slide, out) == spared
    assert contents(out) == whole
    assert cached(slide, out) == (True, True)


def test_points_are_looked_at_again_where_they_or_the_archive_changed(tmp_path: Path) -> None:
    picture, points, out = nuclei(tmp_path), tmp_path / "points.csv", tmp_path / "map"

    def spared(**options: object) -> tuple[bool, bool, str]:
        asked = {"png2pmtiles": True, "pixel_size": "1", "check_points": points} | options
        result = import_image(picture, "a", out, ImportOptions(**asked))
        assert isinstance(result, RunResult)
        (image,) = result.images
        assert image.tiles
        assert image.overlay
        assert image.overlay.files == (out / "a.overlay.json", out / "a.overlay.png")
        assert json.loads(image.overlay.files[0].read_text())["lies"] == image.overlay.lies
        return image.tiles.cached, image.overlay.cached, image.overlay.lies

    assert spared() == (False, False, "right")
    nuclei(tmp_path, shift=(30, 0))
    assert spared() == (True, False, "wrong")
    assert spared() == (True, True, "wrong")
    assert spared(georef_offset_x=30.0) == (False, False, "right")


def test_an_action_counts_although_the_next_one_fails(slide: Path, tmp_path: Path) -> None:
    require_tools()
    fake = stand_in(tmp_path, "gdal_translate", "exit 1")
    with pytest.raises(RunError):
        cached(slide, tmp_path / "map", gdal_translate=str(fake))
    assert cached(slide, tmp_path / "map") == (True, False)


IMPORT = """
import sys
from pathlib import Path
from cartloader_image.params import ImportOptions
from cartloader_flows.import_image import import_image
image = import_image(Path(sys.argv[1]), "a", Path(sys.argv[2]), ImportOptions(png2pmtiles=True)).images[0]
print(image.raster.cached, image.tiles.cached)
"""


def test_two_runs_at_once_do_the_work_once(server: str, raster: Raster, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", IMPORT, raster("slide.ome.tif", 2800, 3600), tmp_path / "map"]
    both = [
        subprocess.Popen(argv, env=os.environ | {"PREFECT_API_URL": server}, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    printed = sorted(process.communicate(timeout=60)[0].strip() for process in both)
    assert [process.returncode for process in both] == [0, 0]
    spared = [words.split() for words in printed]
    assert sorted(one[0] for one in spared) == ["False", "True"]
    assert sorted(one[1] for one in spared) == ["False", "True"]


def test_a_lock_of_a_killed_process_is_free(server: str) -> None:
    locks = FileLocks()
    held = "import os, sys; from cartloader_tasks.caching import FileLocks; FileLocks().acquire_lock('k', 'me'); "
    assert home().is_absolute()
    subprocess.run([sys.executable, "-c", held + "os.kill(os.getpid(), 9)"], check=False)
    assert locks.acquire_lock("k", "us", acquire_timeout=2)
    assert locks.is_lock_holder("k", "us")
    other = FileLocks()
    assert not other.acquire_lock("k", "them", acquire_timeout=0.1)
    assert other.is_locked("k")
    locks.release_lock("k", "us")
    locks.release_lock("k", "us")
    assert other.acquire_lock("k", "them", acquire_timeout=2)
    other.release_lock("k", "them")


def test_digests_are_remembered_while_a_file_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, path, reads = DigestMemory(tmp_path / "d.sqlite3"), tmp_path / "file", []
    read = cartloader_tasks.digests._read
    monkeypatch.setattr(cartloader_tasks.digests, "_read", lambda path: reads.append(path) or read(path))
    path.write_bytes(b"one")
    first = memory.digest(path)
    assert memory.digest(path) == first
    assert len(reads) == 2, "too young to be trusted"
    monkeypatch.setattr(cartloader_tasks.digests, "_SETTLED", -1)
    assert [memory.digest(path), memory.digest(path)] == [first, first]
    assert len(reads) == 3
    before = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert memory.digest(path) != first, "the same size and mtime"
    (tmp_path / "d.sqlite3").write_bytes(b"no database at all, but long enough to be taken for one" * 9)
    assert memory.digest(path) == read(path), "a damaged memory only costs time"


def test_who_waits_for_a_lock_says_so(server: str) -> None:
    first, second, report = FileLocks(), FileLocks(), Notes()
    assert first.acquire_lock("awaited", "another run")
    second.tell("awaited", report)
    with ThreadPoolExecutor() as threads:
        result = threads.submit(second.acquire_lock, "awaited", "us")
        assert report.noted.wait(10)
        first.release_lock("awaited", "another run")
        assert result.result(10)
    second.release_lock("awaited", "us")
    assert report.notes == ["waits for another run that makes the same files"]


def test_who_waits_for_a_lock_can_be_stopped(server: str) -> None:
    others, ended = FileLocks(), []
    assert others.acquire_lock("waited for", "another run")

    def wait() -> None:
        try:
            FileLocks().acquire_lock("waited for", "us")
        except StoppedError as error:
            ended.append(error)

    with suppress(KeyboardInterrupt), stopping_together():
        waiting = threading.Thread(target=copy_context().run, args=(wait,))
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
        raise KeyboardInterrupt
    waiting.join(3)
    assert [str(error) for error in ended] == ["the run was stopped"]
    others.release_lock("waited for", "another run")


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


def record(kind: object, result: str, **more: object) -> str:
    return json.dumps({"metadata": {"serializer": kind, "storage_key": "x"}, "result": result} | more)


def bombs(exploded: Path) -> list[str]:
    """Records that Prefect by itself reads by making this directory, and such as are none at all."""
    pickled = base64.encodebytes(pickle.dumps(Bomb(exploded))).decode()
    squeezed = base64.encodebytes(lzma.compress(pickled.encode())).decode()
    called = json.dumps({"__class__": "pathlib.Path.mkdir", "data": [str(exploded)]})
    unpickle = {"type": "pickle", "picklelib": "cloudpickle"}
    return [
        record(unpickle, pickled),
        record({"type": "json"}, called),
        record({"type": "compressed/pickle"}, squeezed),
        record({"type": "compressed", "serializer": unpickle}, squeezed),
        record({"type": "json", "object_decoder": "os.mkdir"}, called),
        record({"type": "cartloader", "type_": "pickle"}, called),
        record({"type": "cartloader"}, pickled, serializer=unpickle),
        record({"type": "cartloader"}, pickled)[:-1] + f', "metadata": {{"serializer": {json.dumps(unpickle)}}}}}',
        record({"type": "cartloader"}, called),
        json.dumps({"data": pickled}),
        json.dumps({"metadata": {}, "result": pickled}),
        pickled,
        "",
    ]


def test_a_record_that_asks_to_be_read_in_another_way_is_none(tmp_path: Path, server: str) -> None:
    exploded = tmp_path / "exploded"
    by_itself = ResultStore(result_storage=LocalFileSystem(basepath=str(tmp_path)))
    ours = ResultStore(result_storage=Records(basepath=str(tmp_path)))
    went_off = 0
    for bomb in bombs(exploded):
        (tmp_path / "key").write_text(bomb)
        assert not ours.exists("key"), bomb
        assert not exploded.exists(), bomb
        by_itself.exists("key")
        if exploded.exists():
            exploded.rmdir()
            went_off += 1
    assert went_off >= 6, "they are no bombs"


def test_an_import_goes_on_where_somebody_has_put_a_bomb_in_place_of_its_result(slide: Path, tmp_path: Path) -> None:
    out, exploded = tmp_path / "map", tmp_path / "exploded"
    cached(slide, out)
    key = latest_record()
    ours = json.loads(key.read_text())
    assert ours["metadata"]["serializer"] == {"type": "cartloader"}
    for bomb in bombs(exploded)[:2]:
        key.write_text(bomb)
        assert cached(slide, out) == (False, True)
        assert not exploded.exists()
        assert json.loads(key.read_text())["result"] == ours["result"]
    assert cached(slide, out) == (True, True)


def test_a_record_that_lies_about_its_files_is_none(slide: Path, tmp_path: Path) -> None:
    out = tmp_path / "map"
    cached(slide, out)
    key = latest_record()
    ours = json.loads(key.read_text())
    result = json.loads(ours["result"])
    for digests in ({}, {"a.geotif.tif": "0"}):
        key.write_text(json.dumps(ours | {"result": json.dumps(result | {"digests": digests})}))
        assert cached(slide, out) == (False, True)


def latest_record() -> Path:
    found = Path(PREFECT_LOCAL_STORAGE_PATH.value()).glob("ome2png-*")
    return max(found, key=lambda path: path.stat().st_mtime_ns)
