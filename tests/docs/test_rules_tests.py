"""docs/reference/rules-tests.md names every key, and the commands of docs/howto/test-your-rules.md print what they are said to print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from trio_router.cli.main import cli
from trio_router.permissions import testcases
from trio_router.permissions.coverage import Coverage
from trio_router.permissions.testrun import Bench

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = (DOCS / "reference" / "rules-tests.md").read_text()
HOWTO = (DOCS / "howto" / "test-your-rules.md").read_text()


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("heading", "keys"),
    [
        ("The file", testcases.FILE_KEYS),
        ("A user", testcases.USER_KEYS),
        ("A case", testcases.CASE_KEYS),
        ("A session", testcases.SESSION_KEYS),
    ],
)
def test_every_key_is_described(heading: str, keys: tuple[str, ...]) -> None:
    section = re.search(rf"^## {heading}$(.*?)^## ", REFERENCE, re.MULTILINE | re.DOTALL)
    assert section
    assert tuple(re.findall(r"^\| `(\w+)` \|", section[1], re.MULTILINE)) == keys


def test_the_example_passes_and_covers_its_rules() -> None:
    cases, rules = blocks(REFERENCE, "yaml")
    bench = Bench(rules, "rules.yml")
    outcomes = [bench.run(case) for case in testcases.load_cases(cases, "cases.yml").cases]
    assert [outcome.fault for outcome in outcomes if not outcome.passed] == []
    assert len(outcomes) == 10
    coverage = Coverage(bench)
    for outcome in outcomes:
        coverage.add(outcome)
    assert 0 < coverage.report().seen < coverage.report().total


def test_the_guide_prints_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rules, cases = blocks(HOWTO, "yaml")
    (tmp_path / "rules.yml").write_text(rules)
    (tmp_path / "cases.yml").write_text(cases)
    failing, covering, *others = blocks(HOWTO, "console")

    def check(block: str) -> None:
        command, _, printed = block.partition("\n")
        result = CliRunner().invoke(cli, command.removeprefix("$ trio-router ").split())
        assert result.output == printed

    check(failing)
    (tmp_path / "cases.yml").write_text(cases.replace("allow: event.subscribe", "deny: event.subscribe"))
    check(covering)
    for line in "".join(others).splitlines():
        result = CliRunner().invoke(cli, line.removeprefix("$ trio-router ").split())
        assert result.exit_code in (0, 1), result.output
