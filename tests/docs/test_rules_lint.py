"""docs/reference/rules-lint.md describes every code, and each example is found as written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trio_router.permissions.lint import lint
from trio_router.permissions.lint_codes import CODES

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "rules-lint.md").read_text()
SECTIONS = re.findall(r"^## (R\d+)\n\n(.*?)```yaml\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)


def test_every_code_has_its_section_and_no_other() -> None:
    assert [section[0] for section in SECTIONS] == list(CODES)
    assert re.findall(r"^## (.*)$", PAGE, re.MULTILINE) == list(CODES)


def test_the_table_says_what_the_linter_says() -> None:
    rows = re.findall(r"^\| \[(R\d+)\]\(#r\d+\) \| (\w+) \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(name, code.severity, code.summary, code.fix) for name, code in CODES.items()]


@pytest.mark.parametrize(("code", "text", "rules", "found"), SECTIONS, ids=list(CODES))
def test_the_example_is_found_as_written(code: str, text: str, rules: str, found: str) -> None:
    made = [f"rules.yml:{finding.line}:{finding.column}: {finding}" for finding in lint(rules, "rules.yml")]
    assert made == found.splitlines()
    assert any(code in line for line in made)
    assert text.strip()


def test_the_comments_of_the_introduction_silence_everything() -> None:
    example = re.search(r"```yaml\n(# lint.*?)```", PAGE, re.DOTALL)
    assert example
    assert lint(example[1], "rules.yml") == []
    assert [finding.code for finding in lint(re.sub("# lint.*", "", example[1]), "rules.yml")] == [
        "R401",
        "R302",
        "R304",
    ]
