"""The house rules that a machine can check: sizes, names and calls that must not appear."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "trio_router"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 600
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def calls(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_can_be_read_at_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_is_named_after_what_it_owns_and_says_so(path: Path) -> None:
    assert path.stem not in VAGUE
    if path.name not in {"__init__.py", "__main__.py"}:
        assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_time_comes_from_a_clock_that_tests_can_replace(path: Path) -> None:
    if relative(path) != "trio_router/clock.py":
        assert [line for name, line in calls(path) if name in {"time.time", "time.monotonic", "datetime.now"}] == []


@pytest.mark.threat("T29")
@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_text_is_ever_run_as_code(path: Path) -> None:
    assert [line for name, line in calls(path) if name in {"eval", "builtins.eval", "builtins.exec"}] == []
    if relative(path) != "trio_router/permissions/compiler.py":  # compiles a tree that it built itself
        assert [line for name, line in calls(path) if name in {"exec", "compile", "builtins.compile"}] == []


@pytest.mark.threat("T18")
@pytest.mark.parametrize("folder", ["protocols", "permissions", "routing", "session"])
def test_nothing_a_client_sends_becomes_an_attribute_name(folder: str) -> None:
    found = []
    for path in (PACKAGE / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in {"getattr", "setattr", "delattr", "vars"}
                and not (len(node.args) > 1 and isinstance(node.args[1], ast.Constant))
            ):
                found.append(f"{relative(path)}:{node.lineno}")
    assert found == []


@pytest.mark.threat("T19")
@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_nothing_is_unpickled(path: Path) -> None:
    assert not set(imports(path)) & {"pickle", "marshal", "shelve", "dill"}


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_safety_does_not_hang_on_assert_statements(path: Path) -> None:
    """``python -O`` removes them; the few there are carry a note for the linter saying why."""
    lines = path.read_text().splitlines()
    found = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assert) and "S101" not in "".join(lines[node.lineno - 1 : node.end_lineno])
    ]
    assert found == []
