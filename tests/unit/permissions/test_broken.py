"""Every file of tests/broken/rules is refused with exactly the problems that its last lines (``#! ``) name."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_router.clock import ManualClock
from trio_router.errors import RuleError
from trio_router.permissions.loader import load_rules

BROKEN = sorted((Path(__file__).parents[2] / "broken" / "rules").glob("*.yml"))


def expected(text: str) -> list[str]:
    return [f"rules.yml{line[3:]}" for line in text.splitlines() if line.startswith("#! ")]


def test_there_are_enough_of_them() -> None:
    assert len(BROKEN) >= 25


@pytest.mark.threat("T31")
@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_rules_file_is_refused_with_line_column_and_reason(path: Path) -> None:
    text = path.read_text()
    with pytest.raises(RuleError) as caught:
        load_rules(text, "rules.yml", clock=ManualClock())
    assert expected(text)
    assert [str(problem) for problem in caught.value.problems] == expected(text)
