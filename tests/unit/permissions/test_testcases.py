"""Files of test cases: what they stand for, and how broken ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from trio_router.payload import ABSENT
from trio_router.permissions.decision import Action, Reason
from trio_router.permissions.syntax import UNDEFINED
from trio_router.permissions.testcases import DEFAULT_NOW, CasesError, load_cases

BROKEN = sorted((Path(__file__).parents[2] / "broken" / "cases").glob("*.yml"))


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_a_broken_file_is_refused_with_line_column_and_reason(path: Path) -> None:
    text = path.read_text()
    with pytest.raises(CasesError) as caught:
        load_cases(text, "cases.yml")
    expected = [f"cases.yml{line[3:]}" for line in text.splitlines() if line.startswith("#! ")]
    assert expected
    assert [str(problem) for problem in caught.value.problems] == expected


def test_a_case_with_everything() -> None:
    text = """
rules: ../rules.yml
now: 2024-05-01T12:00:00Z
users:
  egon: {id: egon@shop, data: {role: editor}, authenticated: false}
records: {a: 1, b: 2}
cases:
  - title: a title
    deny: record.write
    name: x/y
    user: egon
    data: null
    old_data: {n: 1}
    session: {id: s1, remote_address: 10.0.0.7, strategy: jwt, app: shop}
    records: {b: 3}
    now: 5
    rule: x/*
    reason: no_rule
    told: go away
"""
    made = load_cases(text, "cases.yml")
    assert made.rules == "../rules.yml"
    (case,) = made.cases
    assert (case.title, case.line, case.column, case.action, case.name) == ("a title", 8, 5, Action.RECORD_WRITE, "x/y")
    assert (case.allowed, case.rule, case.reason, case.now) == (False, "x/*", Reason.NO_RULE, 5)
    user = case.identity.user
    assert (user.id, user.data, user.is_authenticated) == ("egon@shop", {"role": "editor"}, False)
    identity = case.identity
    assert (identity.session_id, identity.remote_address, identity.strategy, identity.app) == (
        "s1",
        "10.0.0.7",
        "jwt",
        "shop",
    )
    assert not case.data.is_absent
    assert case.data.value is None
    assert case.old_data == {"n": 1}
    assert case.told == "go away"
    assert case.records == {"a": 1, "b": 3}


def test_users_and_names_stand_for_all_their_combinations() -> None:
    text = """
now: 2024-05-01
users: {a: , b: }
cases:
  - allow: event.publish
    names: [x, y]
    users: [a, b, {id: c}]
"""
    made = load_cases(text, "cases.yml").cases
    assert [(case.identity.user.id, case.name) for case in made] == [
        ("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("c", "x"), ("c", "y"),
    ]  # fmt: skip
    assert {case.data for case in made} == {ABSENT}
    assert {case.old_data for case in made} == {UNDEFINED}
    assert {case.now for case in made} == {1_714_521_600_000}


def test_time_stands_still_where_a_file_says_nothing() -> None:
    text = "cases: [{allow: event.publish, name: x, user: {id: a}}]"
    assert load_cases(text, "cases.yml").cases[0].now == DEFAULT_NOW
