"""Formatter, linter, trace and coverage over any expression of the language with any values."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.permissions.expressions import expressions, worlds
from trio_router.errors import RouterError, RuleError
from trio_router.identity import Identity, User
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.coverage import Coverage
from trio_router.permissions.decision import Action, Reason
from trio_router.permissions.formatting import format_rules
from trio_router.permissions.layout import broken, lay_out
from trio_router.permissions.lint import lint
from trio_router.permissions.syntax import Node, Regex
from trio_router.permissions.testcases import Case
from trio_router.permissions.testrun import Bench, old_payload
from trio_router.permissions.trace import trace
from trio_router.permissions.trees import same, walk

PATTERN = "$room*"
SLOW = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def file_with(expression: str) -> str:
    return json.dumps({"record": {PATTERN: {"write": expression}}}, indent=1)


def bench(expression: str) -> Bench | None:
    try:
        return Bench(file_with(expression), "rules.yml")
    except RuleError:
        return None


def case_of(world: dict[str, Any]) -> Case:
    data = world["user"]["data"] if isinstance(world["user"]["data"], dict) else None
    user = User("egon", data, world["user"]["isAuthenticated"])
    identity = Identity("shop", "s1", user, "users", "192.0.2.1")
    sent = Payload(world["data"]) if "data" in world else ABSENT
    return Case(
        "",
        "cases.yml",
        1,
        1,
        identity,
        Action.RECORD_WRITE,
        world["name"],
        True,
        sent,
        world["oldData"],
        world["records"],
    )


@given(expressions())
@SLOW
def test_laid_out_it_is_the_same_expression(expression: str) -> None:
    made = bench(expression)
    if made is None:
        return
    once = lay_out(expression)
    again = bench(once)
    assert again is not None
    assert same(made.rules.rules[0].tree, again.rules.rules[0].tree)
    assert lay_out(once) == once
    assert " ".join(broken(once)) == once


@given(expressions())
@SLOW
def test_a_file_with_it_comes_to_rest(expression: str) -> None:
    if bench(expression) is not None:
        once = format_rules(file_with(expression), "rules.yml")
        assert format_rules(once, "rules.yml") == once


@given(expressions(), st.lists(worlds(), min_size=3, max_size=3))
@SLOW
def test_what_the_linter_calls_certain_is_certain(expression: str, given_worlds: list[dict[str, Any]]) -> None:
    made = bench(expression)
    if made is None:
        return
    found = {finding.code for finding in lint(file_with(expression), "rules.yml")}
    for world in given_worlds:
        decision = made.run(case_of(world)).decision
        assert not (decision.allowed and "R202" in found), found
        assert decision.reason in (Reason.ALLOWED, Reason.RULE_ERROR) or "R201" not in found, found


@given(expressions(), worlds())
@SLOW
def test_a_trace_begins_with_the_value_of_the_rule(expression: str, world: dict[str, Any]) -> None:
    made = bench(expression)
    if made is None:
        return
    case = case_of(world)
    outcome = made.run(case)
    coverage = Coverage(made)
    coverage.add(outcome)
    assert 1 <= coverage.report().seen <= coverage.report().total
    rule = made.rules.rules[0]
    found = made.rules.find(case.action, case.name)
    assert found is not None

    def value(node: Node) -> Any:
        return made.rules.evaluate(
            rule, case.identity, case.name, case.data, found[1], part=rule.compiled(node), old=old_payload(case)
        )

    if rule.tree is None:
        return
    steps = trace(rule.tree, value)
    whole = steps[0]
    assert whole.node is rule.tree
    assert (whole.value is True) == outcome.decision.allowed
    assert (whole.state == "error") == (outcome.decision.reason is Reason.RULE_ERROR)
    assert whole.state != "not_evaluated"
    assert [step.node for step in steps] == [node for node in walk(rule.tree) if not isinstance(node, Regex)]
    try:
        assert repr(value(rule.tree)) == repr(whole.value)
    except RouterError:
        assert whole.state == "error"
