"""What keeps the house readable: no module and no function grows past a size."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for folder in ("src", "tasks", "flows") for path in (ROOT / folder).rglob("*.py"))
MODULE_LINES, FUNCTION_LINES = 350, 60


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def test_all_rooms_are_looked_at() -> None:
    assert {"errors.py", "plane.py", "caching.py", "parser.py"} <= {path.name for path in MODULES}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_and_its_functions_stay_short(path: Path) -> None:
    assert len(path.read_bytes().splitlines()) <= MODULE_LINES
    for function in functions(path):
        last = function.end_lineno or 0
        assert last - function.lineno < FUNCTION_LINES, f"{function.name} in line {function.lineno}"
