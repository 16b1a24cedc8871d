"""Files of test cases: what they stand for, and how broken ones are refused."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from trio_router.identity import Identity, User
from trio_router.payload import ABSENT
from trio_router.permissions import testcases
from trio_router.permissions.decision import Action, Reason
from trio_router.permissions.syntax import UNDEFINED
from trio_router.permissions.testcases import DEFAULT_NOW, Case, CasesError, load_cases

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


def only(more: str = "", user: str = "{id: a}", file: str = "") -> Case:
    """The one case of a file that says ``more`` of it."""
    text = f"{file}\ncases: [{{allow: event.publish, name: x, user: {user}{more}}}]"
    return load_cases(text, "cases.yml").cases[0]


def test_what_a_case_is_where_a_file_says_nothing() -> None:
    text = "cases: [{allow: event.publish, name: x, user: {id: a}}]"
    made = load_cases(text, "cases.yml")
    assert (made.source, made.rules) == ("cases.yml", "")
    assert made.cases == (
        Case(
            "", "cases.yml", 1, 9, Identity("default", "session", User("a"), "users", "127.0.0.1"),
            Action.EVENT_PUBLISH, "x", True,
        ),
    )  # fmt: skip
    assert made.cases[0].now == DEFAULT_NOW


@pytest.mark.parametrize(
    ("written", "now"),
    [
        ("0", 0),
        ("1714564800123", 1_714_564_800_123),
        ("1970-01-02", 86_400_000),
        ("1970-01-02Z", 86_400_000),
        ("1970-01-01T00:01", 60_000),
        ("1970-01-01 00:01:01", 61_000),
        ("1970-01-01T00:01:01Z", 61_000),
        ("-1", None),
        ("1.5", None),
        ("true", None),
        ("null", None),
        ("1970-13-01", None),
        ("1970-01-01T00:01:01+01:00", None),
        ("x1970-01-01", None),
    ],
)
def test_times(written: str, now: int | None) -> None:
    for times in ({"more": f", now: {written}"}, {"file": f"now: {written}"}):
        if now is None:
            with pytest.raises(CasesError, match="now: expected milliseconds since 1970 or a time in UTC"):
                only(**times)
        else:
            assert only(**times).now == now


def test_times_are_in_utc_wherever_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XST-5")
    time.tzset()
    try:
        assert only(", now: 1970-01-02").now == 86_400_000
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("user", "made"),
    [
        ("a", User("a")),
        ("b", User("b")),
        ("c", User("c", {"x": 1})),
        ("d", User("other", None, is_authenticated=False)),
        ("{id: e, data: null}", User("e")),
        ("{id: e, data: {}, authenticated: true}", User("e", {})),
    ],
)
def test_users(user: str, made: User) -> None:
    known = "users: {a: , b: {}, c: {data: {x: 1}}, d: {id: other, authenticated: false}}"
    assert only(user=user, file=known).identity.user == made


def test_a_case_may_name_the_line_of_a_rule_and_why_something_is_allowed() -> None:
    case = only(", rule: 7, reason: allowed, data: 0")
    assert (case.rule, case.reason, case.data.value) == (7, Reason.ALLOWED, 0)


def test_a_file_stands_for_no_more_cases_than_can_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "cases:" + "\n  - {allow: event.publish, names: [x, y], user: {id: a}}" * 3
    monkeypatch.setattr(testcases, "MAX_CASES", 6)
    assert len(load_cases(text, "cases.yml").cases) == 6
    monkeypatch.setattr(testcases, "MAX_CASES", 3)
    with pytest.raises(CasesError) as caught:
        load_cases(text, "cases.yml")
    assert [str(problem) for problem in caught.value.problems] == [
        "cases.yml:3:5: cases: the file stands for more than 3 cases"
    ]
