"""What the code imports is declared, with bounds, and pinned within them."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OURS = {"cartloader_image", "cartloader_tasks", "cartloader_flows", "support", "fuzz"}
WHERE_IT_RUNS = {"IPython", "osgeo", "pyvips"}
"""There in a notebook, or in the environment of the benchmark's peers, and imported in no other place."""
HELD_BACK = {"fastapi", "sqlalchemy"}
"""Not imported here: newer ones break the server of Prefect, which lets them in."""


def requirements(*extras: str) -> list[Requirement]:
    """What is declared: for the program itself, and for these extras with those that they name."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    read = [Requirement(line) for line in lines]
    further = {more for each in read if each.name == PROJECT["name"] for more in requirements(*each.extras)}
    return sorted({each for each in read if each.name != PROJECT["name"]} | further, key=str)


def pins(**environment: str) -> dict[str, str]:
    """The versions of `constraints.txt` for this Python, or another environment."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    read = [Requirement(line) for line in lines if not line.startswith("#")]
    here = [pin for pin in read if pin.marker is None or pin.marker.evaluate(environment)]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in here}


def imported(folder: Path) -> dict[str, Path]:
    """The first part of each name that is imported, at the head of a module or in a function, and a file that does."""
    found: dict[str, Path] = {}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: Iterable[str] = ()
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            found |= {name.partition(".")[0]: path for name in names}
    known = OURS | WHERE_IT_RUNS | sys.stdlib_module_names | {path.stem for path in folder.glob("*.py")}
    return {name: path for name, path in found.items() if name not in known}


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("src", ("parquet", "view")),
        ("tasks", ()),
        ("flows", ("dask", "view")),
        ("tests", ("test",)),
        ("docs", ("docs",)),
        ("benchmarks", ("bench",)),
    ],
)
def test_what_is_imported_is_declared(folder: str, extras: tuple[str, ...]) -> None:
    declared = {canonicalize_name(requirement.name) for requirement in requirements(*extras)}
    homes = packages_distributions()
    names = imported(ROOT / folder)
    assert names
    for name, path in names.items():
        homes_of = {canonicalize_name(home) for home in homes.get(name, [name])}
        assert homes_of & declared, f"{path} imports {name}, of {homes_of}"


def test_what_is_declared_is_imported() -> None:
    homes = packages_distributions()
    names = {name for folder in ("src", "tasks", "flows") for name in imported(ROOT / folder)}
    used = {canonicalize_name(home) for name in names for home in homes.get(name, [name])}
    assert {canonicalize_name(requirement.name) for requirement in requirements()} - used == HELD_BACK


@pytest.mark.parametrize("requirement", requirements("bench", "dev"), ids=str)
def test_it_has_bounds_and_a_pin_within_them(requirement: Requirement) -> None:
    assert {">=", "<"} <= {bound.operator for bound in requirement.specifier}
    assert pins()[canonicalize_name(requirement.name)] in requirement.specifier


def test_all_that_comes_with_it_is_pinned_and_runs_on_the_oldest_python() -> None:
    """The one of Debian 12, which the README names; it may have a pin of its own."""
    pinned, oldest, waiting, seen = pins(), pins(python_version="3.11"), requirements("test"), set[str]()
    while waiting:
        wanted = waiting.pop()
        here = distribution(wanted.name)
        assert canonicalize_name(wanted.name) in pinned, f"{wanted.name} is not in constraints.txt"
        if oldest[canonicalize_name(wanted.name)] == here.version:
            assert "3.11.2" in SpecifierSet(here.metadata.get("Requires-Python", "")), wanted.name
        for further in map(Requirement, here.requires or ()):
            extras = ("", *wanted.extras)
            applies = not further.marker or any(further.marker.evaluate({"extra": extra}) for extra in extras)
            if applies and str(further) not in seen:
                seen.add(str(further))
                waiting.append(further)
