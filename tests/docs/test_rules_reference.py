"""Every example of docs/reference/rules.md is run: each rule, each decision, each expression, each error."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.unit.permissions.rulesets import rules, somebody, value_of
from trio_router.identity import User
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action, Decision
from trio_router.permissions.grammar import Scope, parse
from trio_router.permissions.lexer import ExpressionError
from trio_router.permissions.loader import NUMBERS, SECTIONS, WITH_DATA
from trio_router.permissions.ruleset import CompiledRules
from trio_router.permissions.syntax import UNDEFINED
from trio_router.permissions.values import ExpressionFailed

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "rules.md").read_text()
YAML = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
EGON = User("egon", {"role": "admin", "level": 3, "tags": ["a", "b"]})
DATA = {"text": "Hello", "none": None, "n": 5}


def tables(*header: str) -> list[list[str]]:
    """The rows below every table with this header, cells without their back-quotes."""
    rows: list[list[str]] = []
    inside = False
    for line in PAGE.splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells == list(header):
            inside = True
        elif inside and set(cells[0]) != {"-"}:
            rows.append(cells)
    assert rows
    return rows


def code(cell: str) -> str:
    if cell.startswith("`` ") and cell.endswith(" ``"):
        return cell[3:-3]
    return cell[1:-1] if cell.startswith("`") and cell.endswith("`") else cell


DECISIONS = tables("user", "action", "name", "data", "answer")


def decided(ruleset: CompiledRules, row: list[str]) -> Decision:
    who, _, about = row[0].partition(" ")
    section, verb = row[1].split()
    user = somebody(User(who, json.loads(code(about)) if about else None))
    data = Payload(json.loads(code(row[3]))) if row[3] else ABSENT
    if "*" in row[2]:
        return ruleset.decide_pattern(user, SECTIONS[section][verb], row[2])
    return ruleset.decide(user, SECTIONS[section][verb], row[2], data)


@pytest.mark.parametrize("row", DECISIONS, ids=lambda row: " ".join(row[:4]))
def test_the_example_decides_as_its_table_says(row: list[str]) -> None:
    assert decided(rules(YAML[0]), row).reason.value == row[4].split(":")[0]


def test_every_rule_of_the_example_decides_something() -> None:
    used = {decision.rule.line for row in DECISIONS if (decision := decided(rules(YAML[0]), row)).rule}
    written = {number for number, line in enumerate(YAML[0].splitlines(), 1) if re.match(r"    \w+: ", line)}
    assert used == written


@pytest.mark.parametrize("text", YAML)
def test_every_example_file_loads(text: str) -> None:
    assert rules(text).version


@pytest.mark.parametrize(("expression", "gives"), tables("expression", "gives"))
def test_an_expression_gives_what_is_written(expression: str, gives: str) -> None:
    def value() -> Any:
        return value_of(code(expression), data=DATA, user=EGON, variables={"room": "blue"})

    if gives == "error":
        with pytest.raises(ExpressionFailed):
            value()
        return
    expected = UNDEFINED if code(gives) == "undefined" else json.loads(code(gives))
    assert value() == expected
    assert type(value()) is type(expected)


@pytest.mark.parametrize(
    "row", tables("", "operators", "groups", "example", "is read as", "gives"), ids=lambda row: row[0]
)
def test_operators_bind_as_the_table_says(row: list[str]) -> None:
    scope = Scope(("room",), data=True, action="event publish")
    example, read_as = (shape(parse(code(row[cell]), scope)) for cell in (3, 4))
    assert example == read_as
    assert value_of(code(row[3]), data=DATA, user=EGON) == json.loads(code(row[5]))


def shape(node: Any) -> Any:
    """A tree without its places."""
    if isinstance(node, tuple):
        return tuple(map(shape, node))
    if not attrs.has(type(node)):
        return node
    values = attrs.asdict(node, recurse=False, filter=lambda field, _: field.name not in ("start", "end"))
    return type(node).__name__, {key: shape(value) for key, value in values.items()}


def test_the_table_of_numbers_is_complete() -> None:
    verbs = [
        "publish",
        "subscribe",
        "listen",
        "provide",
        "request",
        "allow",
        "create",
        "read",
        "write",
        "delete",
        "notify",
    ]
    told = {
        SECTIONS[code(row[0])][verb]: int(number)
        for row in tables("", *verbs)
        for verb, number in zip(verbs, row[1:], strict=True)
        if number
    }
    assert told == NUMBERS


@pytest.mark.parametrize(("expression", "because"), tables("expression", "because"))
def test_what_is_no_expression_is_told_as_written(expression: str, because: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(code(expression), Scope(("room",), data=True, action="event publish"))
    assert str(caught.value) == because


def test_the_table_of_actions_is_complete() -> None:
    rows = tables("section", "the name is", "actions", "rules see `data` in")
    told = {code(row[0]): row[2].replace("`", "").split() for row in rows}
    assert told == {section: list(verbs) for section, verbs in SECTIONS.items()}
    with_data = {(code(row[0]), code(row[3])) for row in rows if row[3]}
    assert with_data == {(action.section, action.verb) for action in WITH_DATA}
    assert len(Action) == sum(map(len, told.values()))


@pytest.mark.threat("T32")
@pytest.mark.parametrize("row", tables("", "the pattern that wins", "example", "beats"), ids=lambda row: row[2])
def test_the_table_of_precedence_holds(row: list[str]) -> None:
    winner, loser = code(row[2]), code(row[3])
    name = re.sub(r"\$\w", "bb", winner).replace("*", "c")
    for first, second in [(loser, winner)] if row[0] == "5" else [(loser, winner), (winner, loser)]:
        text = json.dumps({"event": {pattern: {"subscribe": pattern == winner} for pattern in (first, second)}})
        assert rules(text).decide(somebody(), Action.EVENT_SUBSCRIBE, name).allowed
