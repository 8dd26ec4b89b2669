"""Beside a package named `cartloader`: our wheel and a stand-in for the other one, installed into one environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
PACKAGES = ["cartloader", "cartloader_image", "cartloader_tasks", "cartloader_flows"]
OTHER = {
    "pyproject.toml": """\
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"
        [project]
        name = "cartloader"
        version = "9"
        [project.scripts]
        cartloader = "cartloader.cli:main"
        """,
    "cartloader/__init__.py": "import sys\nprint('theirs is imported', file=sys.stderr)\n",
    "cartloader/cli.py": """\
        import json, sys
        def main():
            print(json.dumps(sys.argv))
            if sys.argv[1] == "raise":
                raise KeyError("theirs")
            if sys.argv[1] == "exit":
                sys.exit("theirs ends")
            return {"nothing": None, "five": 5}.get(sys.argv[1], 0)
        """,
    "cartloader/scripts/run_xenium.py": "def run_xenium(words):\n    pass\n",
}


@dataclass(frozen=True)
class Environment:
    """A fresh environment that finds the dependencies in the one that the tests run in."""

    folder: Path

    def pip(self, *argv: str | Path) -> None:
        """Have the tests' own pip work on it, without an index."""
        pip = [sys.executable, "-m", "pip", "--python", self.program("python"), "--disable-pip-version-check", "-q"]
        subprocess.run([*pip, *argv], check=True)

    def install(self, wheel: Path) -> None:
        """Install a package over whatever is there, without what it needs."""
        self.pip("install", "--no-index", "--no-compile", "--force-reinstall", "--no-deps", wheel)

    def program(self, name: str) -> Path:
        """The path of a command."""
        return self.folder / "bin" / name

    def run(self, name: str, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a command, with ``more`` variables of the environment."""
        env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | more
        command = [self.program(name), *argv]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder, env=env)


Install = Callable[..., Environment]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The other package's files."""
    folder = tmp_path_factory.mktemp("other")
    for name, text in OTHER.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.replace("\n        ", "\n").lstrip())
    return folder


@pytest.fixture(scope="module")
def wheels(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both packages as wheels."""
    folder = tmp_path_factory.mktemp("wheels")
    for project in (ROOT, source):
        argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
        subprocess.run(argv, cwd=project, check=True, capture_output=True)
    return {path.name.split("-")[0]: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def install(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Make an environment of these packages, installed in this order."""

    def installed(*names: str) -> Environment:
        environment = Environment(tmp_path_factory.mktemp("environment"))
        venv.create(environment.folder, symlinks=True)
        places = {"base": str(environment.folder), "platbase": str(environment.folder)}
        site = Path(sysconfig.get_path("purelib", "venv", places))
        (site / "dependencies.pth").write_text("\n".join({sysconfig.get_path(kind) for kind in ("purelib", "platlib")}))
        for name in names:
            environment.install(wheels[name])
        return environment

    return installed


@pytest.fixture(scope="module")
def ours_last(install: Install) -> Environment:
    """What a user of the other package has who installs this one; tests look and change nothing."""
    return install("cartloader", "cartloader_image")


@pytest.fixture(scope="module")
def ours_alone(install: Install) -> Environment:
    """This package by itself; tests look and change nothing."""
    return install("cartloader_image")


def where(environment: Environment) -> list[Path]:
    """The folders that all packages are imported from; tasks and flows, which take seconds, are just found."""
    code = (
        "import sys, cartloader, cartloader_image\n"
        "from importlib.util import find_spec\n"
        "for name in sys.argv[1:]: print(find_spec(name).submodule_search_locations[0])"
    )
    done = environment.run("python", "-c", code, *PACKAGES)
    return [Path(line) for line in done.stdout.splitlines()]


def test_both_are_imported_from_where_they_were_installed(ours_last: Environment) -> None:
    folders = where(ours_last)
    assert len(folders) == 4
    assert all(folder.is_relative_to(ours_last.folder) for folder in folders)
    assert all((folder / "py.typed").is_file() for folder in folders[1:])


@pytest.mark.parametrize("program", ["cartloader", "cartloader-image"])
def test_a_command_of_ours_is_ours(ours_last: Environment, program: str) -> None:
    done = ours_last.run(program, "import_image", "--help")
    assert "Turn an image into map tiles" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("verb", "code", "words"),
    [("five", 5, ""), ("nothing", 0, ""), ("exit", 1, "theirs ends\n"), ("raise", 1, "KeyError: 'theirs'\n")],
)
def test_another_command_is_theirs_with_its_words_and_its_end(
    ours_last: Environment, verb: str, code: int, words: str
) -> None:
    done = ours_last.run("cartloader", verb, "a b", "--help", "--c=d")
    assert json.loads(done.stdout) == [str(ours_last.program("cartloader")), verb, "a b", "--help", "--c=d"]
    assert done.returncode == code
    assert done.stderr.startswith("theirs is imported\n")
    assert done.stderr.endswith(words)


@pytest.mark.parametrize("argv", [["cartloader-image"], ["python", "-m", "cartloader_image"]])
def test_by_any_name_of_ours_theirs_sees_its_own_name(ours_last: Environment, argv: list[str]) -> None:
    done = ours_last.run(*argv, "five", "a")
    name, *words = json.loads(done.stdout)
    assert (Path(name).name, words, done.returncode) == ("cartloader", ["five", "a"], 5)


def test_the_help_tells_of_them_and_imports_nothing_of_theirs(ours_last: Environment, ours_alone: Environment) -> None:
    words = "other commands are those of the package cartloader"
    beside, alone = (environment.run("cartloader", "--help") for environment in (ours_last, ours_alone))
    assert words in beside.stdout
    assert beside.stderr == ""
    assert words not in alone.stdout


def test_without_them_it_is_no_command(ours_alone: Environment) -> None:
    done = ours_alone.run("cartloader", "five", "a")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("five is no command; choose one of import_image, ")


def test_they_are_found_where_nothing_is_recorded_of_them(ours_alone: Environment, source: Path) -> None:
    done = ours_alone.run("cartloader", "five", "a", PYTHONPATH=str(source))
    assert (json.loads(done.stdout)[1:], done.returncode) == (["five", "a"], 5)


@pytest.mark.parametrize(
    "files",
    [
        {"cartloader/README.md": ""},
        {"cartloader.py": "", "cli.py": "main = print"},
        {
            "cartloader/__init__.py": "",
            "cartloader-0.1.0.dist-info/METADATA": "Name: cartloader\nVersion: 0.1.0\n",
            "cartloader-0.1.0.dist-info/entry_points.txt": "[console_scripts]\ncartloader=cartloader_flows.cli:main",
        },
    ],
    ids=["a folder", "a module", "this program by its first name"],
)
def test_nothing_else_of_that_name_is_taken_for_them(
    ours_alone: Environment, tmp_path: Path, files: dict[str, str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    done = ours_alone.run("cartloader", "five", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr.partition(";")[0]) == (2, "five is no command")


def test_when_theirs_came_last_ours_has_a_name_left_and_goes_without_a_trace(
    install: Install, wheels: dict[str, Path]
) -> None:
    both = install("cartloader_image", "cartloader")
    assert json.loads(both.run("cartloader", "import_image").stdout)[1:] == ["import_image"]
    assert "Turn an image into map tiles" in both.run("cartloader-image", "import-image", "--help").stdout
    theirs = where(both)[0]
    before = {path: path.read_bytes() for path in theirs.rglob("*.py")}
    assert len(before) == 3

    both.pip("uninstall", "-y", "cartloader-image")
    assert {path: path.read_bytes() for path in theirs.rglob("*.py")} == before
    assert not list(theirs.parent.glob("cartloader_*"))
    assert not both.program("cartloader-image").exists()
    assert not both.program("cartloader").exists()  # pip's doing: hence the next line, which the docs have as well
    both.install(wheels["cartloader"])
    assert both.run("cartloader", "five").returncode == 5
