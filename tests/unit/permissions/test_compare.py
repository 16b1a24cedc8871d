"""Whatever decides differently under another rules file is explained by a change, and recorded decisions are judged soundly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.permissions.rulesets import rules, somebody
from tests.unit.permissions.test_ruleset import NAMES, pattern_texts
from trio_router.errors import RuleError
from trio_router.identity import User
from trio_router.payload import ABSENT, Payload
from trio_router.permissions import compare as compare_module
from trio_router.permissions import replay as replay_module
from trio_router.permissions.compare import Change, compare, source_of
from trio_router.permissions.decision import BEFORE_RULES, Action
from trio_router.permissions.redaction import REDACTED
from trio_router.permissions.replay import Difference, Replay
from trio_router.permissions.ruleset import CompiledRules

PUBLISH = Action.EVENT_PUBLISH
SOME = NAMES[::3]

values = st.sampled_from([
    True, False, "user.id === 'a'", "user.id === name", "user.data.x === true", "data === 1", "data === 1 && user.id === 'a'", "now > 0",
    "user.id === 'a' || data.x", "user.isAuthenticated", "name === 'a'",
])  # fmt: skip
files = st.lists(st.tuples(pattern_texts(), values), max_size=5)


def made(entries: list[tuple[str, Any]]) -> CompiledRules:
    section: dict[str, Any] = {"nothing/else": {"publish": True}}
    result = rules(json.dumps({"event": section}))
    for pattern, value in entries:
        before = dict(section)
        section.pop(pattern, None)  # so that a pattern can change its place
        section[pattern] = {"publish": value}
        try:
            result = rules(json.dumps({"event": section}))
        except RuleError:
            section = before
    return result


@st.composite
def two_files(draw: st.DrawFn) -> tuple[CompiledRules, CompiledRules]:
    """The second one is made of the first one, mostly."""
    first = draw(files)
    second = draw(st.permutations(first))[draw(st.integers(0, 1)) :] + draw(
        st.lists(st.tuples(pattern_texts(), values), max_size=2)
    )
    return made(first), made(second)


@settings(deadline=None, max_examples=150)
@given(two_files())
def test_a_name_that_another_rule_decides_is_matched_by_a_change(two: tuple[CompiledRules, CompiledRules]) -> None:
    old, new = two
    changes = compare(old, new)
    for name in SOME:
        before, after = old.find(PUBLISH, name), new.find(PUBLISH, name)
        says = [found and (source_of(found[0]), found[1]) for found in (before, after)]
        if says[0] != says[1]:
            touched = [rule.pattern for change in changes for rule in (change.old, change.new) if rule is not None]
            assert any(pattern.matches(name) for pattern in touched), name
    assert compare(old, old) == []


@settings(deadline=None, max_examples=150)
@given(two_files(), st.lists(st.sampled_from(SOME), max_size=10))
def test_a_recorded_decision_stays_or_changes_as_said(
    two: tuple[CompiledRules, CompiledRules], names: list[str]
) -> None:
    old, new = two
    for name in names:
        for user in (User("a", {"x": True}), User("b"), User("b", is_authenticated=False)):
            for data in (ABSENT, Payload(1), Payload({"x": True})):
                was, becomes = (each.decide(somebody(user), PUBLISH, name, data).allowed for each in two)
                for version in (old.version, new.version, "another"):
                    if version == new.version and was is not becomes:
                        continue  # it cannot have been made by the new rules
                    replay = Replay(old, new)
                    recorded = {
                        "user": user.id,
                        "action": "event.publish",
                        "name": name,
                        "allowed": was,
                        "rules": version,
                    }
                    replay.take({"kind": "decision", **recorded})
                    assert (replay.decisions, replay.unreadable) == (1, 0)
                    if replay.same:
                        assert was is becomes
                    if replay.changed:
                        assert was is not becomes


def changed(old: str, new: str) -> list[tuple[str, ...]]:
    """(kind, pattern, other patterns) of each change; of one of the order the pattern that decided."""
    return [
        (change.kind, change.pattern, *(rule.pattern.text for rule in change.instead), *decided(change))
        for change in compare(rules(f"event: {old}"), rules(f"event: {new}"))
    ]


def decided(change: Change) -> list[str]:
    return [change.old.pattern.text] if change.kind == "order" and change.old is not None else []


def true(*patterns: str) -> str:
    """A section in which publishing to names of each pattern is allowed."""
    return json.dumps({pattern: {"publish": True} for pattern in patterns})


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        # The same, or not.
        ("{a: {publish: true}}", "{a: {publish: 'true'}}", [("changed", "a")]),
        ("{a: {publish: true}}", "{a: {publish: false}}", [("changed", "a")]),
        ("{a: {publish: user.id === 'a'}}", "{a: {publish: user.id === 'b'}}", [("changed", "a")]),
        ("{a: {publish: {rule: true, reason: x}}}", "{a: {publish: {rule: true, reason: y}}}", [("changed", "a")]),
        ("{a: {publish: {rule: true, reason: x}}}", "{a: {publish: {rule: true, reason: x}}}", []),
        ("{$a: {publish: true}}", "{$b: {publish: true}}", []),
        ("{$a: {publish: user.id === 'x'}}", "{$b: {publish: user.id === 'x'}}", [("changed", "$b")]),
        # By action, in the order of the files: the new one's, then what is gone.
        ("{a: {subscribe: true}, b: {publish: true}}", "{d: {publish: true}, c: {publish: true, subscribe: true}}",
         [("added", "d"), ("added", "c"), ("removed", "b"), ("added", "c"), ("removed", "a")]),
        # Which rules decide instead: the most specific first, three at most, and only those that may.
        (true("*", "a/*", "$x/b", "a/b/*", "c/*", "a/b"), true("*", "a/*", "$x/b", "a/b/*", "c/*", "a/b", "a/b/c"),
         [("added", "a/b/c", "a/b/*", "a/*", "*")]),
        (true("*", "a/*", "a/b/*", "a/b/c/*", "a/b/c/d"), true("*", "a/*", "a/b/*", "a/b/c/*"),
         [("removed", "a/b/c/d", "a/b/c/*", "a/b/*", "a/*")]),
        (true("a/b", "a/*"), true("a/b", "a/*", "a/$x"), [("added", "a/$x", "a/*")]),  # a/b is more specific
        (true("$x/a"), true("$x/a", "a/$x"), [("added", "a/$x", "$x/a")]),  # equally specific
        (true("b/*"), true("b/*", "a/$x"), [("added", "a/$x")]),
        # Their order.
        (true("$x/a", "a/$x"), true("a/$x", "$x/a"), [("order", "$x/a", "a/$x")]),
        (true("$x/a", "b/$x", "a/$x"), true("a/$x", "b/$x", "$x/a"), [("order", "$x/a", "b/$x"), ("order", "$x/a", "a/$x")]),
        (true("$x/a", "$x/b"), true("$x/b", "$x/a"), []),  # no name has both
        (true("a", "b"), true("b", "a"), []),
        (true("$x/ab", "b/$x"), true("b/$x", "$x/ab"), []),  # one is more specific
        (true("$x/a", "a/$x", "b/$x"), true("$x/a", "b/$x", "a/$x"), []),
    ],
)  # fmt: skip
def test_what_differs(old: str, new: str, found: list[tuple[str, ...]]) -> None:
    assert changed(old, new) == found


def test_only_so_many_pairs_are_looked_at_for_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"$x/{letter}" for letter in "abc"] + [f"{letter}/$x" for letter in "abc"]
    assert len(changed(true(*names), true(*reversed(names)))) == 9
    monkeypatch.setattr(compare_module, "PAIRS", 5)  # the first one with each other one
    assert [pattern for _, pattern, _ in changed(true(*names), true(*reversed(names)))] == ["$x/a"] * 3
    more = ["$x/ab", "ab/$x"]  # which are more specific, and counted before
    assert changed(true(*more, *names), true(*reversed(names), *reversed(more))) == [
        ("order", "$x/ab", "ab/$x"), ("order", "$x/a", "a/$x"), ("order", "$x/a", "b/$x"),
    ]  # fmt: skip


def replayed(old: str, new: str, **entry: Any) -> tuple[str, str]:
    """What becomes of one recorded decision, and why; ("unreadable", "") if the entry is none."""
    replay = Replay(rules(old), rules(new))
    replay.take({"user": "a", "action": "event.publish", "name": "x", "allowed": True, **entry})
    counted = {
        "same": replay.same, "changes": replay.changed, "unknown": replay.unknown, "unreadable": replay.unreadable,
    }  # fmt: skip
    (verdict,) = [verdict for verdict, count in counted.items() if count]
    assert counted[verdict] == 1
    assert replay.decisions == (verdict != "unreadable")
    assert [each.verdict for each in replay.differences] == [verdict] * (verdict in ("changes", "unknown"))
    return verdict, replay.differences[0].why if replay.differences else ""


ALL = "event: {'*': {publish: true, subscribe: true}}"
LENGTH = "event: {'*': {publish: data.length > 2}}"


@pytest.mark.parametrize("reason", sorted(reason.value for reason in BEFORE_RULES))
def test_what_was_refused_before_the_rules_were_asked_stays_refused(reason: str) -> None:
    entry = {"allowed": False, "rules": "another", "name": "a//b" if reason == "invalid_name" else "x"}
    assert replayed(ALL, ALL, reason=reason, **entry) == ("same", "")


@pytest.mark.parametrize(
    "entry",
    [
        {"user": None},
        {"user": 7},
        {"user": REDACTED},
        {"user": ""},
        {"name": None},
        {"name": REDACTED},
        {"allowed": None},
        {"allowed": 1},
        {"action": None},
        {"action": "event.fly"},
    ],
)
def test_what_is_no_decision_or_hides_what_it_was_about_is_counted_as_that(entry: dict[str, Any]) -> None:
    assert replayed(ALL, ALL, **entry) == ("unreadable", "")


@pytest.mark.parametrize(
    ("old", "new", "entry", "verdict", "why"),
    [
        # The same rule in both files, and decided by the old one.
        (LENGTH, LENGTH, {}, "same", ""),
        (LENGTH, LENGTH + "\nrpc: {'*': {request: true}}", {}, "same", ""),
        (LENGTH, LENGTH, {"rules": "another"}, "unknown", "rules.yml:1 depends on data.length > 2"),
        (LENGTH, LENGTH.replace("*", "x"), {}, "same", ""),
        (LENGTH, LENGTH, {"reason": ["torn"]}, "same", ""),
        # The variables stand for something else.
        ("event: {$a/$b: {publish: user.id === $a}}", "event: {$b/$a: {publish: user.id === $a}}",
         {"name": "a/x"}, "changes", "rules.yml:1"),
        # Another rule, or none.
        (ALL, "event: {x: {publish: false}}", {}, "changes", "rules.yml:1"),
        (ALL, "event: {x: {publish: false}}", {"allowed": False, "rules": "another"}, "same", ""),
        (ALL, "event: {y: {publish: true}}", {}, "changes", "no rule applies"),
        ("event: {y: {publish: true}}", "event: {z: {publish: true}}", {"allowed": False}, "same", ""),
        (ALL, "event: {'*': {publish: user.id === 'a'}}", {}, "same", ""),
        (ALL, "event: {'*': {publish: user.id === 'b'}}", {}, "changes", "rules.yml:1"),
        # What the log does not hold.
        (ALL, "event: {'*': {publish: user.data.x}}", {}, "unknown", "rules.yml:1 depends on user.data.x"),
        (ALL, "event: {'*': {publish: user.isAuthenticated}}", {}, "unknown", "rules.yml:1 depends on user.isAuthenticated"),
        (ALL, "event: {'*': {publish: session.id === ''}}", {}, "unknown", "rules.yml:1 depends on session.id === ''"),
        (ALL, "event: {'*': {publish: session.app === 'shop'}}", {"app": "shop"}, "unknown", "rules.yml:1 depends on session.app === 'shop'"),
    ],
)  # fmt: skip
def test_what_becomes_of_a_recorded_decision(old: str, new: str, entry: dict[str, Any], verdict: str, why: str) -> None:
    assert replayed(old, new, **entry) == (verdict, why)


MORE = "a wildcard, and the rules read what the log does not hold"


@pytest.mark.parametrize(
    ("rule", "entry", "verdict", "why"),
    [
        ("true", {}, "same", ""),
        ("true", {"allowed": False}, "changes", "a wildcard"),
        ("false", {}, "changes", "a wildcard"),
        ("false", {"allowed": False}, "same", ""),
        ("user.id === 'a'", {}, "same", ""),
        ("user.id === 'b'", {}, "changes", "a wildcard"),
        ("action === 'subscribe'", {}, "same", ""),
        ("now > 5", {}, "unknown", MORE),
        ("data === 5", {"action": "event.publish"}, "unknown", MORE),
        ("oldData === null", {"action": "record.delete"}, "unknown", MORE),
        ("user.isAuthenticated", {}, "unknown", MORE),
        ("user.data === null", {}, "unknown", MORE),
        ("!(user.id === 'a' && session.app === 'x')", {}, "unknown", MORE),
        ("_('x') === null", {}, "unknown", MORE),
    ],
)
def test_what_becomes_of_a_recorded_wildcard(rule: str, entry: dict[str, Any], verdict: str, why: str) -> None:
    old = "event: {'*': {subscribe: true, publish: true}}"
    section, verb = entry.get("action", "event.subscribe").split(".")
    new = json.dumps({section: {"a/*": {verb: json.loads(rule) if rule in ("true", "false") else rule}}})
    asked = {"action": "event.subscribe", "name": "a/*", "rules": "another", **entry}
    assert replayed(old, new, **asked) == (verdict, why)
    # Rules for another action have nothing to do with it.
    both = json.loads(new)
    both[section]["a/*"]["listen"] = "user.isAuthenticated"
    assert replayed(old, json.dumps(both), **asked) == (verdict, why)


def test_a_recorded_wildcard_stays_where_its_rules_are_the_same() -> None:
    asked = {"action": "event.subscribe", "name": "a/*"}
    old = "event: {'a/*': {subscribe: user.isAuthenticated}}"
    assert replayed(old, old + "\nrpc: {x: {provide: true}}", **asked) == ("same", "")
    assert replayed(old, old, rules="another", **asked) == ("unknown", MORE)
    assert replayed(old, "event: {'a/$b': {publish: true}, 'a/*': {subscribe: user.isAuthenticated}}", **asked) == (
        "same",
        "",
    )
    assert replayed(old, "event: {'a/b': {subscribe: true}, 'a/*': {subscribe: user.isAuthenticated}}", **asked) == (
        "unknown",
        MORE,
    )


def test_a_difference_names_the_decision() -> None:
    replay = Replay(rules(ALL), rules("event: {x: {publish: false}}"))
    replay.take({"id": "d1", "user": "a", "action": "event.publish", "name": "x", "allowed": True})
    replay.take({"user": "b", "action": "event.publish", "name": "y", "allowed": True})
    assert replay.differences == [
        Difference("changes", "d1", "a", PUBLISH, "x", was=True, why="rules.yml:1"),
        Difference("changes", "", "b", PUBLISH, "y", was=True, why="no rule applies"),
    ]


def test_lines_of_another_kind_are_passed_over_and_what_is_no_line_is_counted() -> None:
    replay = Replay(rules(ALL), rules(ALL))
    for entry in ({"kind": "head"}, {"kind": "end", "user": "a"}, "torn", None, ["kind"], {}):
        replay.take(entry)
    assert (replay.decisions, replay.unreadable) == (0, 4)


def test_decisions_are_counted_by_what_becomes_of_them() -> None:
    new = "event: {same: {publish: true}, changes: {publish: false}, unknown: {publish: user.data.x}}"
    replay = Replay(rules(ALL), rules(new))
    for name in 2 * ("same", "changes", "unknown", REDACTED):
        replay.take({"user": "a", "action": "event.publish", "name": name, "allowed": True})
    counts = (replay.decisions, replay.same, replay.changed, replay.unknown, replay.unreadable)
    assert counts == (6, 2, 2, 2, 2)


def test_only_the_first_differences_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_module, "MAX_DIFFERENCES", 2)
    replay = Replay(rules(ALL), rules("event: {y: {publish: true}}"))
    for number in range(3):
        replay.take({"user": str(number), "action": "event.publish", "name": "x", "allowed": True})
    assert ([each.user for each in replay.differences], replay.changed) == (["0", "1"], 3)
