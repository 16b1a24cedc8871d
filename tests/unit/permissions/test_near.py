"""The patterns that almost applied: the right ones, in a useful order, each with a true reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.permissions.rulesets import rules
from trio_router.permissions.decision import Action
from trio_router.permissions.near import MAX_NEAR, Near, near_misses

PUBLISH = Action.EVENT_PUBLISH


def near(text: str, name: str, action: Action = PUBLISH) -> list[Near]:
    ruleset = rules(text)
    found = ruleset.find(action, name)
    return list(near_misses(ruleset.rules_of(action.section), action, name, found[0] if found else None))


@pytest.mark.parametrize(
    ("pattern", "name", "why"),
    [
        ("news/$x", "news/a/b", "the name goes on with 'b'; a variable stands for one segment, a * for any number"),
        ("news/$x/edit", "news/a", "the name ends before 'edit'"),
        ("news/a/x", "news/b/x", "segment 2 is 'a', the name has 'b'"),
        ("News/a", "news/a", "capitals and small letters differ"),
        ("News/b", "news/a", "segment 1 is 'News', the name has 'news': capitals differ"),
        ("room-$n/x", "room-1/y", "segment 2 is 'x', the name has 'y'"),
        ("room*/x", "room-1/y", "segment 2 is 'x', the name has 'y'"),
        ("new/x", "news/x", "segment 1 is 'new', the name has 'news'"),
        ("news/$x", "news/a/b/c", "the name goes on with 'b/c'; a variable stands for one segment, a * for any number"),
        ("news/$x/edit/all", "news/a", "the name ends before 'edit/all'"),
    ],
)
def test_why_a_pattern_does_not_match(pattern: str, name: str, why: str) -> None:
    found = near(f'event: {{"{pattern}": {{publish: true}}}}', name)
    assert [(each.pattern, each.matches, each.why) for each in found] == [(pattern, False, why)]


def test_a_pattern_that_has_nothing_to_do_with_the_name_is_left_out() -> None:
    assert (
        near('event: {"sport/$x": {publish: true}, "new/a/b": {publish: true}, "zebra": {publish: true}}', "news/a")
        == []
    )


def test_a_matching_pattern_for_another_action_comes_first() -> None:
    found = near('event: {"news/x/$y": {publish: true}, "news/$x": {subscribe: true, listen: true}}', "news/x")
    assert [each.pattern for each in found] == ["news/$x", "news/x/$y"]
    assert found[0].why == "matches, but has no rule for publish, only for subscribe, listen"
    assert (found[0].line, found[0].actions) == (1, ("subscribe", "listen"))


def test_a_less_specific_pattern_is_named_with_the_one_that_beats_it() -> None:
    found = near('event: {"*": {publish: true}, "news/*": {publish: false}}', "news/x")
    assert [(each.pattern, each.why) for each in found] == [("*", 'matches, but "news/*" is more specific')]


def test_a_pattern_stands_where_its_rule_for_the_action_stands_or_else_its_first() -> None:
    text = """
event:
  "news/$x":
    subscribe: true
    publish: true
  "news/a":
    listen: true
    subscribe: true
"""
    first, second = near(text, "news/a/b")
    assert first == Near(
        "news/a", "rules.yml", 7, 13, ("listen", "subscribe"), False,
        "the name goes on with 'b'; a variable stands for one segment, a * for any number; it has no rule for publish either",
    )  # fmt: skip
    assert (second.pattern, second.line, second.column) == ("news/$x", 5, 14)


def test_a_pattern_that_matches_is_said_to_match_where_no_rule_is_said_to_apply() -> None:
    ruleset = rules('event: {"news/$x": {publish: true}}')
    (found,) = near_misses(ruleset.rules_of("event"), PUBLISH, "news/a", None)
    assert (found.matches, found.why) == (True, "matches")


@pytest.mark.parametrize("turned", [False, True])
def test_the_pattern_that_is_alike_for_longer_comes_first(turned: bool) -> None:
    patterns = ["news/BLUE/x", "news/blu/y", "news/b/z", "news/x"]
    listed = ", ".join(f'"{pattern}": {{publish: true}}' for pattern in (patterns[::-1] if turned else patterns))
    assert [each.pattern for each in near(f"event: {{{listed}}}", "news/blue")] == patterns


def test_other_sections_are_not_looked_at() -> None:
    assert near('{rpc: {"news": {request: true}}, event: {"x": {publish: true}}}', "news") == []


def test_the_list_is_short() -> None:
    many = ", ".join(f'"news/x{number}": {{publish: true}}' for number in range(100))
    assert len(near(f"event: {{{many}}}", "news/y")) == MAX_NEAR


SEGMENT = st.sampled_from(["a", "b", "$x", "*", "a-$y", "A"])
PATTERN = st.lists(SEGMENT, min_size=1, max_size=3, unique=True).map("/".join)


@given(
    st.lists(PATTERN, min_size=1, max_size=4, unique_by=lambda text: text.replace("$y", "$x")),
    st.sampled_from(["a", "a/b", "b/a/b", "a-c/b"]),
)
def test_what_is_said_is_true(patterns: list[str], name: str) -> None:
    ruleset = rules("event:\n" + "".join(f'  "{pattern}": {{publish: false}}\n' for pattern in patterns))
    found = ruleset.find(PUBLISH, name)
    winner = found[0] if found else None
    by_text = {rule.pattern.text: rule for rule in ruleset.rules}
    for each in near_misses(ruleset.rules_of("event"), PUBLISH, name, winner):
        assert each.matches == by_text[each.pattern].pattern.matches(name)
        assert each.matches == each.why.startswith("matches")
        assert winner is None or each.pattern != winner.pattern.text
