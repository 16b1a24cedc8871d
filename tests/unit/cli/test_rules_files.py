"""``rules test``, ``lint``, ``fmt`` and ``import``: what they print, what they write, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from trio_router.cli.main import cli

RULES = 'event:\n  "news/*":\n    subscribe: true\n    publish: "user.data.role===\'editor\' && data === 1"\n'
CASES = """\
rules: rules.yml
users: {egon: {data: {role: editor}}, bob: {data: {}}}
cases:
  - allow: event.publish
    name: news/a
    user: egon
    data: 1
  - title: bob reads
    deny: event.subscribe
    name: news/a
    user: bob
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["rules", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.yml").write_text(RULES)
    (tmp_path / "cases.yml").write_text(CASES)
    return tmp_path


def test_a_failing_case_is_told_with_both_places(folder: Path) -> None:
    result = run("test", folder / "cases.yml")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"failed: {folder}/cases.yml:8:5: bob reads (bob event.subscribe news/a): expected deny, got allow",
        f"    decided by {folder}/rules.yml:3:16 news/* subscribe",
        "1 passed, 1 failed",
    ]


def test_the_answers_for_programs(folder: Path) -> None:
    result = run("test", folder / "cases.yml", "--json", "--coverage")
    assert result.exit_code == 1
    answer = json.loads(result.output)
    assert (answer["passed"], len(answer["failed"])) == (1, 1)
    failed = answer["failed"][0]
    assert (failed["line"], failed["fault"], failed["rule"]["line"]) == (8, "expected deny, got allow", 3)
    assert answer["coverage"][0]["seen"] == 4
    assert answer["coverage"][0]["total"] == 7


def test_a_failure_can_be_explained(folder: Path) -> None:
    cases = (
        CASES
        + """  - title: nothing is forgotten
    allow: record.write
    name: item/1
    user: bob
    data: {n: 2}
    old_data: {n: 5}
"""
    )
    (folder / "cases.yml").write_text(cases.replace("deny", "allow"))
    (folder / "rules.yml").write_text(RULES + 'record:\n  item/$id:\n    write: "data.n > oldData.n"\n')
    result = run("test", folder / "cases.yml", "--explain")
    assert result.exit_code == 1
    assert "denied: record.write item/1 for bob (rule_false)" in result.output
    assert '$id = "1"' in result.output
    answer = json.loads(run("test", folder / "cases.yml", "--explain", "--json").output)
    steps = answer["failed"][0]["explanation"]["steps"]
    assert [(step["text"], step["value"]) for step in steps if step["depth"] < 2] == [
        ("data.n > oldData.n", False),
        ("data.n", 2),
        ("oldData.n", 5),
    ]


def test_junit_is_written_even_if_cases_fail(folder: Path) -> None:
    result = run("test", folder / "cases.yml", "--junit", folder / "out.xml")
    assert result.exit_code == 1
    root = ET.parse(folder / "out.xml").getroot()
    assert (root.get("tests"), root.get("failures")) == ("2", "1")


def test_coverage_fails_only_when_asked_to(folder: Path) -> None:
    (folder / "cases.yml").write_text(CASES.replace("deny", "allow"))
    assert run("test", folder / "cases.yml").output == "2 passed, 0 failed\n"
    result = run("test", folder / "cases.yml", "--coverage")
    assert result.exit_code == 0
    assert f"{folder}/rules.yml: 4 of 7 outcomes seen (57.1 %)" in result.output
    assert (
        f"{folder}/rules.yml:4:15: event \"news/*\" publish: `user.data.role==='editor'` never false" in result.output
    )
    assert run("test", folder / "cases.yml", "--fail-under", "57").exit_code == 0
    assert run("test", folder / "cases.yml", "--fail-under", "58").exit_code == 1


def test_other_rules_can_be_tested(folder: Path) -> None:
    other = folder / "other.yml"
    other.write_text("event:\n  a:\n    publish: true\n")
    assert "2 passed" not in run("test", folder / "cases.yml", "--rules", other).output
    config = folder / "config.yml"
    config.write_text("rules: other.yml\nlogin: [{strategy: open}]\n")
    result = run("test", folder / "cases.yml", "--config", config, "--json")
    assert [failed["reason"] for failed in json.loads(result.output)["failed"]] == ["no_rule"]
    assert run("test", folder / "cases.yml", "--config", config, "--rules", other).exit_code == 2


def test_files_that_cannot_be_used_are_named(folder: Path) -> None:
    (folder / "cases.yml").write_text(CASES.replace("rules: rules.yml\n", ""))
    result = run("test", folder / "cases.yml")
    assert result.exit_code == 1
    assert f"{folder}/cases.yml:1:1: names no rules file" in result.output
    (folder / "cases.yml").write_text(CASES.replace("name:", "nmae:"))
    assert "unknown key 'nmae'; did you mean name?" in run("test", folder / "cases.yml").output
    (folder / "cases.yml").write_text(CASES)
    (folder / "rules.yml").write_text(RULES.replace("data ===", "dat ==="))
    assert (
        f'{folder}/rules.yml:4:44: event "news/*" publish: unknown name dat' in run("test", folder / "cases.yml").output
    )
    assert run("test", folder / "none.yml").exit_code == 1


def test_lint_fails_on_warnings_alone(folder: Path) -> None:
    rules = folder / "rules.yml"
    assert run("lint", rules).output == "0 warnings, 0 hints\n"
    rules.write_text("event:\n  a/$b:\n    publish: data == 1\n")
    result = run("lint", rules)
    assert result.exit_code == 0
    assert result.output.endswith("0 warnings, 2 hints\n")
    assert run("lint", rules, "--no-hints").output == "0 warnings, 0 hints\n"
    rules.write_text("event:\n  a:\n    publish: data\n")
    assert run("lint", rules).exit_code == 1
    assert run("lint", rules, "--no-fail").exit_code == 0
    answer = json.loads(run("lint", rules, "--json").output)
    assert [(one["code"], one["line"], one["column"], one["severity"]) for one in answer["findings"]] == [
        ("R302", 3, 14, "warning")
    ]
    rules.write_text("event:\n  a:\n    publish: dat\n")
    assert run("lint", rules).exit_code == 1
    assert "unknown name dat" in run("lint", rules).output


def test_fmt_writes_once_and_check_writes_nothing(folder: Path) -> None:
    rules = folder / "rules.yml"
    rules.chmod(0o640)
    result = run("fmt", "--check", rules)
    assert (result.exit_code, result.output) == (1, f"{rules}: would change\n")
    assert rules.read_text() == RULES
    assert run("fmt", rules).output == f"{rules}: formatted\n"
    assert rules.read_text() == RULES.replace("===", " === ", 1)
    assert rules.stat().st_mode & 0o777 == 0o640
    result = run("fmt", "--check", rules)
    assert (result.exit_code, result.output) == (0, "")
    assert json.loads(run("fmt", rules, "--json").output) == {"changed": [], "written": True}
    assert sorted(path.name for path in folder.iterdir()) == ["cases.yml", "rules.yml"]


def test_fmt_leaves_what_is_refused(folder: Path) -> None:
    rules = folder / "rules.yml"
    rules.write_text("event: {a: {publish: dat}}")
    assert run("fmt", rules).exit_code == 1
    assert rules.read_text() == "event: {a: {publish: dat}}"
    assert run("fmt", folder / "rules.json").exit_code == 2


def test_import_writes_rules_and_tells_what_differs(folder: Path) -> None:
    old = folder / "permissions.json"
    old.write_text(json.dumps({"event": {"*": {"publish": "data.x"}}}))
    new = folder / "new.yml"
    result = run("import", old, "-o", new)
    assert result.exit_code == 0
    assert new.read_text() == 'event:\n  "*":\n    publish: "data.x"\n'
    assert f"{old}:1:30: D101" in result.output
    assert result.output.endswith("4 differences\n")
    result = run("import", old, "-o", new)
    assert (result.exit_code, "is already there" in result.output) == (1, True)
    assert run("import", old, "-o", new, "--force").exit_code == 0
    answer = json.loads(run("import", old, "--json").output)
    assert answer["rules"] == new.read_text()
    assert [one["code"] for one in answer["differences"]] == ["D107", "D107", "D107", "D101"]
    assert CliRunner().invoke(cli, ["rules", "import", str(old)]).stdout == new.read_text()


def test_import_writes_nothing_if_something_does_not_exist_here(folder: Path) -> None:
    old = folder / "permissions.yml"
    old.write_text("event: {'a b': {publish: true}}")
    result = run("import", old, "-o", folder / "new.yml")
    assert result.exit_code == 1
    assert "the character ' ' stands in no name" in result.output
    assert not (folder / "new.yml").exists()
