"""Whatever decides differently under another rules file is explained by a change, and recorded decisions are judged soundly."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.permissions.rulesets import rules, somebody
from tests.unit.permissions.test_ruleset import NAMES, pattern_texts
from trio_router.errors import RuleError
from trio_router.identity import User
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.compare import compare, source_of
from trio_router.permissions.decision import Action
from trio_router.permissions.replay import Replay
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
