"""Cases against rules: who passes, what a failure says, what was seen, and the report for build servers."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree as ET

import pytest

from trio_router.errors import RuleError
from trio_router.permissions.coverage import Coverage, Covered
from trio_router.permissions.testcases import load_cases
from trio_router.permissions.testreport import junit
from trio_router.permissions.testrun import Bench, Outcome

RULES = """
event:
  "news/*":
    subscribe: true
    publish: "user.data.role === 'editor' && data.length > 2"
  "closed":
    publish: {rule: "data === 'x'", reason: closed for today}
  "clock":
    publish: "now === 1714564800123"
  "mine/$userid":
    subscribe: "user.id === $userid"
"""


def ran(case: str, rules: str = RULES) -> Outcome:
    users = "{egon: {data: {role: editor}}, bob: {data: {}}, nobody: }"
    cases = load_cases(f"users: {users}\ncases: [{{{case}}}]", "cases.yml").cases
    return Bench(rules, "rules.yml").run(cases[0])


@pytest.mark.parametrize(
    "case",
    [
        "allow: event.subscribe, name: news/a, user: bob",
        "allow: event.subscribe, name: news/*, user: bob, rule: news/*",
        "allow: event.publish, name: news/a, user: egon, data: abc, rule: 5, reason: allowed",
        "deny: event.publish, name: news/a, user: egon, data: a, reason: rule_false",
        "deny: event.publish, name: news/a, user: nobody, data: abc, reason: rule_error",
        "deny: event.publish, name: elsewhere, user: egon, reason: no_rule",
        "deny: event.publish, name: /, user: egon, reason: invalid_name",
        "deny: event.subscribe, name: '*', user: egon, reason: not_provable",
        "allow: event.publish, name: clock, user: egon, now: 1714564800123",
        "deny: event.publish, name: clock, user: egon",
        "deny: event.publish, name: closed, user: egon, data: y, told: closed for today",
        "deny: event.publish, name: clock, user: egon, told: ''",
    ],
)
def test_a_case_that_is_right_passes(case: str) -> None:
    assert ran(case).fault == ""
    assert ran(case).passed


@pytest.mark.parametrize(
    ("case", "fault"),
    [
        ("deny: event.subscribe, name: news/a, user: bob", "expected deny, got allow"),
        ("allow: event.publish, name: news/a, user: bob, data: abc", "expected allow, got deny (rule_false)"),
        (
            "deny: event.publish, name: news/a, user: nobody, reason: rule_false",
            "expected the reason rule_false, got rule_error (rule_error: cannot read 'role' of null)",
        ),
        (
            "deny: event.publish, name: closed, user: bob, data: y, told: closed",
            "expected to be told 'closed', got 'closed for today'",
        ),
        (
            "allow: event.subscribe, name: news/a, user: bob, rule: news/a",
            "expected the rule 'news/a' to decide, but 'news/*' in line 4 did",
        ),
        (
            "deny: event.subscribe, name: x, user: bob, rule: 4",
            "expected the rule 4 to decide, but no rule did (no_rule)",
        ),
    ],
)
def test_a_failure_says_what_was_expected_and_what_came(case: str, fault: str) -> None:
    assert ran(case).fault == fault


def test_a_refused_rules_file_runs_no_case() -> None:
    with pytest.raises(RuleError):
        Bench("event: {a: {publish: 1}}", "rules.yml")


def covered(rule: str, *values: str) -> Covered:
    """What is seen of one rule over publishing to x/y with each of ``values`` as data."""
    bench = Bench(f"event: {{x/$v: {{publish: {rule!r}}}}}", "rules.yml")
    coverage = Coverage(bench)
    cases = "".join(f"  - {{allow: event.publish, name: x/y, user: {{id: a}}, data: {value}}}\n" for value in values)
    for case in load_cases(f"cases:\n{cases}", "cases.yml").cases:
        coverage.add(bench.run(case))
    return coverage.report()


def missing(rule: str, *values: str) -> list[str]:
    found = covered(rule, *values)
    assert found.total - found.seen == len(found.gaps)
    assert all(gap.rule == 'event "x/$v" publish' for gap in found.gaps)
    return [f"{gap.part} {gap.missing}".strip() for gap in found.gaps]


RULE = "data.a === true && data.b === true || data.c === true"


def test_all_is_seen_when_every_side_was_true_and_false() -> None:
    rows = ["{a: true, b: true}", "{a: true}", "{c: true}", "{}"]
    assert missing(RULE, *rows) == []
    assert covered(RULE, *rows).percent == 100
    for left_out in rows[:3]:
        assert missing(RULE, *[row for row in rows if row != left_out])


def test_what_was_skipped_was_not_seen() -> None:
    assert missing(RULE, "{a: true, b: true}") == [
        "never denied",
        "data.a === true && data.b === true never false",
        "data.c === true never true",
        "data.c === true never false",
        "data.a === true never false",
        "data.b === true never false",
    ]


def test_what_a_chain_skipped_was_not_seen() -> None:
    rule = "data.list?.includes(data.a ? 1 : 2) === true"
    assert missing(rule, "{a: true}", "{list: [1], a: true}") == [
        "data.a never false",
        "1 never false",
        "2 never true",
        "2 never false",
    ]


def test_what_failed_was_not_seen() -> None:
    assert missing("data.a.b === 1 && data.c === 1", "{c: 1}") == [
        "never allowed",
        "data.a.b === 1 never true",
        "data.a.b === 1 never false",
        "data.c === 1 never true",
        "data.c === 1 never false",
    ]


def test_a_gap_stands_where_its_part_stands() -> None:
    gaps = covered("user.id === 'a' &&   data === 1", "1").gaps
    assert [(gap.line, gap.column, gap.part) for gap in gaps] == [
        (1, 25, ""),
        (1, 26, "user.id === 'a'"),
        (1, 47, "data === 1"),
    ]


def test_a_constant_is_seen_when_it_decides() -> None:
    bench = Bench("event: {a: {publish: true, subscribe: false}}", "rules.yml")
    coverage = Coverage(bench)
    assert [str(gap) for gap in coverage.report().gaps] == [
        'event "a" publish: never decided',
        'event "a" subscribe: never decided',
    ]
    for case in load_cases("cases: [{allow: event.publish, name: a, user: {id: a}}]", "c").cases:
        coverage.add(bench.run(case))
    assert (coverage.report().seen, coverage.report().total) == (1, 2)


def test_the_sides_of_a_default_are_there_and_missing() -> None:
    rule = "(data.x ?? data.y ?? false) === true"
    assert missing(rule, "{x: true}") == [
        "never denied",
        "data.x always there",
        "data.y never there",
        "data.y always there",
    ]
    assert missing(rule, "{x: true}", "{x: false}", "{x: null, y: true}") == ["data.y always there"]
    assert missing(rule, "{x: true}", "{y: true}", "{x: null, y: null}") == []
    assert missing(rule, "{}", "{y: null}") == ["never allowed", "data.x never there", "data.y never there"]


def test_a_wildcard_counts_for_the_rule_that_decided_and_not_for_its_parts() -> None:
    text = """
event:
  "a/*": {subscribe: "user.id === 'x' || user.id === 'y'"}
  "b/*": {subscribe: "name === 'b/x'"}
"""
    bench = Bench(text, "rules.yml")
    coverage = Coverage(bench)
    cases = "cases: [{deny: event.subscribe, names: ['a/*', 'b/*', 'c/*'], user: {id: z}}]"
    for case in load_cases(cases, "c").cases:
        coverage.add(bench.run(case))
    report = coverage.report()
    assert (report.seen, report.total) == (1, 8)
    assert [gap.missing for gap in report.gaps if not gap.part] == ["never allowed", "never allowed", "never denied"]


def test_more_cases_never_cover_less() -> None:
    rows = ["{a: true, b: true}", "{a: true}", "{c: true}", "{}"]
    for one, two in itertools.permutations(rows, 2):
        assert covered(RULE, one).seen <= covered(RULE, one, two).seen


def test_the_report_for_build_servers() -> None:
    good = ran("allow: event.subscribe, name: news/a, user: bob")
    bad = ran('deny: event.subscribe, name: news/a, user: bob, title: "a \\x01 <b>"')
    root = ET.fromstring(junit({"cases.yml": [good, bad]}))
    suite = root[0]
    assert (root.get("tests"), root.get("failures"), suite.get("name")) == ("2", "1", "cases.yml")
    assert suite[0].get("name") == "bob event.subscribe news/a"
    assert len(suite[0]) == 0
    assert suite[1].get("name") == "a \ufffd <b> (bob event.subscribe news/a)"
    assert suite[1][0].get("message") == "expected deny, got allow"
    assert suite[1][0].text == "cases.yml:2:9\ndecided by rules.yml:4:16"
