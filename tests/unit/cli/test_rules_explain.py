"""``trio-router rules explain``: what it says, how it looks, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trio_router.cli.main import cli

RULES = """\
event:
  "news/*":
    publish:
      rule: "user.data.role === 'editor' && data.title.length <= 5"
      reason: "only editors, short titles"
    subscribe: true
  "news/$who/private":
    subscribe: "user.id === $who"
record:
  "a": {listen: true}
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["rules", "explain", *arguments])


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yml"
    path.write_text(RULES)
    return path


def explain(rules: Path, *arguments: str, action: str = "publish", name: str = "news/x") -> Result:
    return run("--rules", str(rules), "--user", "egon", "--action", action, "--name", name, *arguments)


def test_each_part_has_its_value_below_it(rules: Path) -> None:
    result = explain(rules, "--user-data", '{"role": "editor"}', "--data", '{"title": "too long"}')
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[0] == "denied: event.publish news/x for egon (rule_false)"
    assert lines[1] == "the client is told: only editors, short titles"
    assert lines[2] == f'rule: {rules}:4:13, publish of "news/*"'
    at = lines.index("  user.data.role === 'editor' && data.title.length <= 5")
    source = lines[at]
    shown = {}
    for line in lines[at + 1 :]:
        if "~" not in line:
            break
        first, last = line.index("~"), line.rindex("~")
        shown[source[first : last + 1]] = line[last + 2 :]
    assert shown == {
        "user.data.role === 'editor' && data.title.length <= 5": "false",
        "user.data.role === 'editor'": "true",
        "user.data.role": '"editor"',
        "user.data": '{"role": "editor"}',
        "data.title.length <= 5": "false",
        "data.title.length": "8",
        "data.title": '"too long"',
        "data": '{"title": "too long"}',
    }


def test_allowed_is_exit_code_0(rules: Path) -> None:
    result = explain(rules, "--user-data", '{"role": "editor"}', "--data", '{"title": "ok"}')
    assert (result.exit_code, result.output.splitlines()[0]) == (0, "allowed: event.publish news/x for egon")


def test_what_was_not_evaluated_and_what_failed(rules: Path) -> None:
    result = explain(rules, "--user-data", "{}")
    assert "~ not evaluated" in result.output
    assert "data.title.length <= 5" not in result.output.partition("~")[2]
    result = explain(rules)
    assert "why: cannot read 'role' of null" in result.output
    assert "~~~~ error: cannot read 'role' of null" in result.output


def test_a_wildcard_names_the_rule_in_its_way(rules: Path) -> None:
    result = explain(rules, action="subscribe", name="news/*")
    assert result.exit_code == 1
    assert "asked about every name of news/*:" in result.output
    assert '"news/$who/private"' in result.output


def test_patterns_that_almost_applied(rules: Path) -> None:
    result = explain(rules, name="News/x")
    assert '"news/*"' in result.output.partition("other patterns:")[2]


def test_json_is_the_same_in_full(rules: Path) -> None:
    result = explain(rules, "--json", "--data", "null")
    told = json.loads(result.output)
    assert (result.exit_code, told["allowed"], told["data"], told["rule"]["line"]) == (1, False, None, 4)
    assert "data" not in json.loads(explain(rules, "--json").output)


def test_names_the_door_refuses(rules: Path) -> None:
    assert "(reserved)" in explain(rules, name="sys:x").output
    assert "(invalid_name)" in explain(rules, name="a//b").output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--action", "fly"), "expected one of event.publish"),
        (("--action", "listen"), "say which: event.listen or record.listen"),
        (("--user-data", "[]"), "takes a JSON object"),
        (("--user-data", "{"), "not JSON"),
        (("--data", "x"), "not JSON"),
    ],
)
def test_wrong_usage(rules: Path, arguments: tuple[str, ...], text: str) -> None:
    result = explain(rules, *arguments)
    assert (result.exit_code, text in result.stderr) == (2, True)


def test_a_file_that_is_refused_and_a_user_that_is_none(rules: Path) -> None:
    rules.write_text("event: {a: {publish: 'usr'}}")
    result = explain(rules)
    assert (result.exit_code, "unknown name usr" in result.stderr) == (1, True)
    rules.write_text(RULES)
    assert run("--rules", str(rules), "--user", "a b", "--action", "publish", "--name", "x").exit_code == 1


def test_built_in_users_are_looked_up(tmp_path: Path) -> None:
    folder = tmp_path / "router"
    runner = CliRunner()
    assert runner.invoke(cli, ["init", str(folder)]).exit_code == 0
    (folder / "rules.yml").write_text(RULES)
    config = str(folder / "config.yml")
    added = runner.invoke(
        cli, ["users", "add", "ann", "--no-password", "--data", '{"role": "editor"}', "--config", config]
    )
    assert added.exit_code == 0
    question = ["--config", config, "--action", "publish", "--name", "news/x", "--data", '{"title": "x"}', "--user"]
    assert run(*question, "ann").exit_code == 0
    assert run(*question, "ann", "--user-data", "{}").exit_code == 1
    assert run(*question, "nobody").exit_code == 1


@pytest.mark.threat("T36")
def test_what_the_config_hides_is_hidden_here_too(tmp_path: Path) -> None:
    folder = tmp_path / "router"
    assert CliRunner().invoke(cli, ["init", str(folder)]).exit_code == 0
    (folder / "rules.yml").write_text(RULES)
    config = folder / "config.yml"
    config.write_text(config.read_text() + "\ndecisions: {redact: [data.title]}\n")
    arguments = ["--config", str(config), "--user", "egon", "--user-data", '{"role": "editor"}']
    result = run(*arguments, "--action", "publish", "--name", "news/x", "--data", '{"title": "canary"}')
    assert result.exit_code == 1
    assert "canary" not in result.output
    assert "<redacted>" in result.output


@pytest.mark.threat("T63")
def test_nothing_moves_the_cursor(rules: Path) -> None:
    result = explain(rules, "--user-data", '{"role": "\\u001b[2J\\u202e"}', "--data", '{"title": "\\u0007"}')
    assert all(letter.isprintable() or letter == "\n" for letter in result.output)


def test_a_long_expression_becomes_a_tree(rules: Path) -> None:
    long = " || ".join(f"user.id === 'somebody-{number}'" for number in range(20))
    rules.write_text(f'event: {{a: {{publish: "{long}"}}}}')
    result = explain(rules, name="a")
    assert "    user.id === 'somebody-19'  = false\n" in result.output
    assert max(map(len, result.output.splitlines())) < 250
