"""The threat list tells the truth: every row that is held has a marked test, every marked test has a row."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (T\d\d) \| .+ \| (held|later) \| (.*)\|$", re.MULTILINE)
MARK = re.compile(r"mark\.threat\(([^)]*)\)")
MARK_ROW = re.compile(r"T\d\d")


def rows() -> dict[str, str]:
    return {row: state for row, state, _ in ROW.findall((ROOT / "docs/security/threats.md").read_text())}


def named() -> dict[str, list[str]]:
    """The tests that the page names for each row."""
    found = ROW.findall((ROOT / "docs/security/threats.md").read_text())
    return {row: re.findall(r"\]\(\.\./\.\./([^)]+)\)", tests) for row, _, tests in found}


def marked() -> set[str]:
    found: set[str] = set()
    for folder in ("tests", "plugins"):
        for path in (ROOT / folder).rglob("test_*.py"):
            for arguments in MARK.findall(path.read_text()):
                found.update(MARK_ROW.findall(arguments))
    return found


def test_the_list_is_complete() -> None:
    assert sorted(rows()) == [f"T{number:02}" for number in range(1, 71)]


def test_every_row_that_is_held_has_a_test() -> None:
    assert {row for row, state in rows().items() if state == "held"} - marked() == set()


def test_every_row_names_tests_that_prove_it() -> None:
    """One is enough: who adds another need not come by here."""
    for row, tests in named().items():
        assert bool(tests) == (rows()[row] == "held"), row
        for test in tests:
            assert row in {
                mark for found in MARK.findall((ROOT / test).read_text()) for mark in MARK_ROW.findall(found)
            }, (
                row,
                test,
            )


def test_a_row_that_waits_for_a_feature_waits_for_one_that_is_not_there() -> None:
    """Routers form no cluster: there is no bus whose nodes would have to prove who they are."""
    assert {row for row, state in rows().items() if state == "later"} == {"T68"}
    names = {path.stem for path in (ROOT / "trio_router").rglob("*") if path.suffix == ".py" or path.is_dir()}
    assert names & {"bus", "cluster", "nodes", "redis"} == set()


def test_every_marked_test_has_a_row() -> None:
    assert marked() - set(rows()) == set()
