import signal
import subprocess
import sys
from pathlib import Path

import pytest

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
