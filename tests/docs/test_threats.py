"""The threat list tells the truth: every row that is held has a marked test, every marked test has a row."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (T\d\d) \| .+ \| (held|later) \|$", re.MULTILINE)
MARK = re.compile(r"mark\.threat\(([^)]*)\)")


def rows() -> dict[str, str]:
    return dict(ROW.findall((ROOT / "docs/security/threats.md").read_text()))


def marked() -> set[str]:
    found: set[str] = set()
    for folder in ("tests", "plugins"):
        for path in (ROOT / folder).rglob("test_*.py"):
            for arguments in MARK.findall(path.read_text()):
                found.update(re.findall(r"T\d\d", arguments))
    return found


def test_the_list_is_complete() -> None:
    assert sorted(rows()) == [f"T{number:02}" for number in range(1, 71)]


def test_every_row_that_is_held_has_a_test() -> None:
    assert {row for row, state in rows().items() if state == "held"} - marked() == set()


def test_every_marked_test_has_a_row() -> None:
    assert marked() - set(rows()) == set()
