"""Cases against rules: who passes, what a failure says, what was seen, and the report for build servers."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree as ET

import attrs
import pytest

from trio_router.errors import RuleError
from trio_router.permissions.coverage import Coverage, Covered
from trio_router.permissions.decision import Decision, Reason
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
  "own/*":
    subscribe: "user.id === 'egon'"
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
        "allow: event.subscribe, name: own/*, user: egon, reason: allowed",
        "deny: event.subscribe, name: own/*, user: bob, reason: rule_false",
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


def outcomes(bench: Bench, cases: str) -> list[Outcome]:
    return [bench.run(case) for case in load_cases(cases, "cases.yml").cases]


ITEMS = """
record:
  "limits": {read: true}
  "item/$id":
    write: "_('limits').most > data && data > oldData && now < 100 && name.startsWith('item')"
"""
WRITES = """
records: {limits: {most: 9}, item/1: 3}
cases:
  - {allow: record.write, name: item/1, user: {id: a}, data: 5, now: 5}
  - {deny: record.write, name: item/1, user: {id: a}, data: 5, now: 5, old_data: 7}
  - {deny: record.write, name: item/1, user: {id: a}, data: 5, now: 5, records: {limits: {most: 4}}}
  - {deny: record.write, name: item/1, user: {id: a}, data: 5, now: 500}
"""


def test_parts_have_the_values_they_had_in_the_case() -> None:
    """Whatever was run in between."""
    bench = Bench(ITEMS, "rules.yml")
    ran = outcomes(bench, WRITES)
    assert [outcome.fault for outcome in ran] == [""] * 4
    values = [[step.value for step in bench.explain(outcome).steps if step.depth == 1] for outcome in ran]
    assert values == [[True] * 4, [True, False, None, None], [False, None, None, None], [True, True, False, None]]
    coverage = Coverage(bench)
    for outcome in ran:
        coverage.add(outcome)
    assert [str(gap) for gap in coverage.report().gaps] == [
        'record "limits" read: never decided',
        "record \"item/$id\" write: `name.startsWith('item')` never false",
    ]


def test_only_who_asks_for_all_names_of_a_wildcard_is_told_what_it_reaches() -> None:
    bench = Bench("event: {'a/*': {subscribe: true, listen: true}}", "rules.yml")
    cases = (
        "cases: [{allow: event.subscribe, name: a/*, user: {id: a}}, {allow: event.listen, name: a/*, user: {id: a}}]"
    )
    subscribed, listening = (bench.explain(outcome) for outcome in outcomes(bench, cases))
    assert [reached.ref.pattern for reached in subscribed.reached] == ["a/*"]
    assert (listening.reached, listening.rule and listening.rule.action) == ((), "listen")


def test_what_is_explained_is_the_decision_that_was_made() -> None:
    outcome = ran("deny: event.publish, name: elsewhere, user: egon")
    made = attrs.evolve(outcome, decision=Decision(False, Reason.SCOPE, detail="of the token"))
    assert Bench(RULES, "rules.yml").explain(made).decision == made.decision


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
    assert missing(rule, "{x: false}") == [  # it is there, and false
        "never allowed",
        "data.x always there",
        "data.y never there",
        "data.y always there",
    ]
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


REPORT = """\
<?xml version='1.0' encoding='...'?>
<testsuites tests="3" failures="2" errors="0" skipped="0">
  <testsuite name="one.yml" tests="2" failures="1" errors="0" skipped="0">
    <testcase classname="one.yml" name="bob event.subscribe news/a" file="one.yml" line="2" time="0" />
    <testcase classname="one.yml" name="quoted &lt;b&gt; (bob event.subscribe news/a)" file="one.yml" line="2" time="0">
      <failure message="expected deny, got allow" type="decision">cases.yml:2:9
decided by rules.yml:4:16</failure>
    </testcase>
  </testsuite>
  <testsuite name="two &amp; more" tests="1" failures="1" errors="0" skipped="0">
    <testcase classname="two &amp; more" name="bob event.publish x" file="two &amp; more" line="2" time="0">
      <failure message="expected allow, got deny (no_rule)" type="decision">cases.yml:2:9</failure>
    </testcase>
  </testsuite>
</testsuites>
"""


def test_the_whole_report_for_build_servers() -> None:
    good = ran("allow: event.subscribe, name: news/a, user: bob")
    bad = ran('deny: event.subscribe, name: news/a, user: bob, title: "quoted <b>"')
    unruled = ran("allow: event.publish, name: x, user: bob")
    made = junit({"one.yml": [good, bad], "two & more": [unruled]})
    assert re.sub("encoding='.*?'", "encoding='...'", made) == REPORT


@pytest.mark.parametrize("character", ["\x00", "\x08", "\x0b", "\x1f", "\ud800", "\udfff", "\ufffe", "\uffff"])
def test_the_report_can_be_read_whatever_a_file_is_called(character: str) -> None:
    bad = ran("deny: event.subscribe, name: news/a, user: bob")
    bad = attrs.evolve(
        bad, case=attrs.evolve(bad.case, source=f"a{character}", title=f"d{character}"), fault=f"b{character}"
    )
    root = ET.fromstring(junit({f"c{character}": [bad]}))
    case = root[0][0]
    assert root[0].get("name") == case.get("classname") == case.get("file") == "c\ufffd"
    assert case.get("name") == "d\ufffd (bob event.subscribe news/a)"
    assert case[0].get("message") == "b\ufffd"
    assert case[0].text == "a\ufffd:2:9\ndecided by rules.yml:4:16"
