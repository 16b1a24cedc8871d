from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.permissions.rulesets import one_rule, rules, somebody
from trio_router.errors import RuleError
from trio_router.patterns import Pattern
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.compiler import compile_expression
from trio_router.permissions.decision import Action, Reason
from trio_router.permissions.syntax import Junction, children

GOOD = """\
event:
  "*":
    subscribe: false
  "private/$userid":
    subscribe: "user.id === $userid"
    publish: 'user.data.role === ''admin'''
rpc:
  add:
    request: >
      typeof data.a === 'number' &&
      typeof data.b === 'number'
"""


@pytest.mark.threat("T31")
@pytest.mark.parametrize(
    "text",
    [
        "", " ", "\n\n", "# only a comment", "---", "--- ~", "null", "~", "{}", "[]", "''", "text", "5", "true", "false",
        "event", "event:", "event: {}", "event: []", "event: true", "event: {a: {}}", "event: {a: true}", "event: {a: [publish]}",
        "event: {a: {publish: }}", "event: {a: {publish: ''}}", "event: {a: {publish: ' '}}", "event: {a: {publish: 1}}",
        "\x00", "\ufffe", "\ud800", "\x1f\x8b\x08", "event: {a: {publish: true}", "event: {a: {publish: true}}\n---\nrpc: {}",
        "Event: {a: {publish: true}}", "event: {a: {Publish: true}}", "event: {'': {publish: true}}", "allow: true",
    ],
    ids=ascii,
)  # fmt: skip
def test_a_file_that_is_not_understood_whole_is_no_ruleset(text: str) -> None:
    with pytest.raises(RuleError) as caught:
        rules(text)
    assert all(problem.source == "rules.yml" and problem.message for problem in caught.value.problems)


@pytest.mark.threat("T31")
@pytest.mark.parametrize("length", range(0, len(GOOD), 7))
def test_a_file_cut_short_is_refused_or_still_a_ruleset(length: int) -> None:
    try:
        ruleset = rules(GOOD[:length])
    except RuleError:
        return
    assert not ruleset.decide(somebody(), Action.EVENT_SUBSCRIBE, "private/eva").allowed


@pytest.mark.threat("T31")
@settings(deadline=None, max_examples=200)
@given(st.integers(0, len(GOOD) - 1), st.text(alphabet="ab:{}[]'\"$*&|=\n #", max_size=3), st.integers(0, 5))
def test_a_damaged_file_is_refused_or_a_ruleset(at: int, put: str, cut: int) -> None:
    try:
        ruleset = rules(GOOD[:at] + put + GOOD[at + cut :])
    except RuleError:
        return
    decision = ruleset.decide(somebody(), Action.EVENT_SUBSCRIBE, "elsewhere")
    assert decision.allowed == (decision.reason is Reason.ALLOWED)


def test_json_is_a_rules_file() -> None:
    ruleset = rules('{"event": {"news/*": {"subscribe": true}}}')
    assert ruleset.decide(somebody(), Action.EVENT_SUBSCRIBE, "news/x").allowed


def test_one_problem_does_not_hide_the_others() -> None:
    with pytest.raises(RuleError) as caught:
        rules("event:\n  a//b:\n    publish: 'x'\n    sing: 1\nrcp: {}\nrpc:\n  f: 1\n")
    assert [problem.line for problem in caught.value.problems] == [2, 3, 4, 5, 7]


def test_rules_of_a_refused_pattern_are_still_read() -> None:
    with pytest.raises(RuleError) as caught:
        rules("event:\n  /a:\n    publish: nope\n  b:\n    publish: nope\n")
    assert [problem.line for problem in caught.value.problems] == [2, 3, 5]


def test_the_same_text_is_compiled_once_but_not_across_scopes() -> None:
    ruleset = rules(
        "event:\n"
        "  a/$x/$y: {publish: \"$x === 'v'\", subscribe: \"$x === 'v'\"}\n"
        "  b/$y/$x: {publish: \"$x === 'v'\"}\n"
        "  c/$x/$y: {publish: \"$x === 'v'\"}\n"
    )
    publish = {rule.pattern.text: rule for rule in ruleset._indexes[Action.EVENT_PUBLISH]._ranked}
    assert publish["a/$x/$y"].evaluate is publish["c/$x/$y"].evaluate is not publish["b/$y/$x"].evaluate
    for name, allowed in [("a/v/w", True), ("a/w/v", False), ("b/v/w", False), ("b/w/v", True), ("c/v/w", True)]:
        assert ruleset.decide(somebody(), Action.EVENT_PUBLISH, name).allowed is allowed


def test_action_is_the_verb_of_the_rule_that_runs() -> None:
    ruleset = rules("event: {a: {publish: \"action === 'publish'\", subscribe: \"action === 'publish'\"}}")
    assert ruleset.decide(somebody(), Action.EVENT_PUBLISH, "a").allowed
    assert not ruleset.decide(somebody(), Action.EVENT_SUBSCRIBE, "a").allowed


@pytest.mark.parametrize(
    "pattern", ["*", "$x", "pvt:*", "pvt:a:b/$x:y", "p*:x", "$kind:x", "a-$x-*.b", "a" * 255, "sys:$x/*"]
)
def test_patterns_that_some_name_matches_are_accepted(pattern: str) -> None:
    assert one_rule(pattern, "publish", True).version


def test_what_a_wildcard_reaches_ends_with_the_first_rule_that_covers_it() -> None:
    ruleset = rules("event: {'*': {publish: true}, 'a/*': {publish: true}, a/b: {publish: true}, c: {publish: true}}")
    reached = list(ruleset._indexes[Action.EVENT_PUBLISH].reach(Pattern.parse("a/*")))
    assert [(reach.rule.pattern.text, reach.covers) for reach in reached] == [("a/b", False), ("a/*", True)]


def test_a_rule_may_carry_a_reason_for_those_it_denies() -> None:
    ruleset = rules(
        "event:\n"
        "  a:\n"
        "    subscribe:\n"
        "      rule: \"user.id === 'eva'\"\n"
        '      reason: " ask eva "\n'
        "    publish: {rule: false, reason: nobody}\n"
        "    listen: {rule: true}\n"
    )
    denied = ruleset.decide(somebody(), Action.EVENT_SUBSCRIBE, "a")
    assert (denied.reason, denied.reason_text) == (Reason.RULE_FALSE, "ask eva")
    assert denied.rule is not None
    assert (denied.rule.line, denied.rule.column) == (4, 13)
    assert ruleset.decide(somebody(), Action.EVENT_PUBLISH, "a").reason_text == "nobody"
    assert ruleset.decide(somebody(), Action.EVENT_LISTEN, "a").allowed
    assert [(rule.text, rule.reason) for rule in ruleset.rules] == [
        ("user.id === 'eva'", "ask eva"),
        ("", "nobody"),
        ("", ""),
    ]


def test_a_reason_may_have_two_hundred_characters() -> None:
    ruleset = rules(f"event: {{a: {{publish: {{rule: false, reason: {'x' * 200}}}}}}}")
    assert ruleset.decide(somebody(), Action.EVENT_PUBLISH, "a").reason_text == "x" * 200


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{reason: no}", "there is a reason but no rule"),
        ("{rule: true, raeson: no}", "unknown part of a rule 'raeson'; did you mean reason?"),
        ("{rule: true, reason: 5}", "a reason is a text that is not empty"),
        ("{rule: true, reason: ''}", "a reason is a text that is not empty"),
        ("{rule: true, reason: " + "x" * 201 + "}", "a reason has at most 200 characters"),
        ("{rule: {rule: true}}", "a rule is true, false or an expression in quotes, not a mapping"),
    ],
)
def test_a_reason_stands_beside_a_rule(rule: str, message: str) -> None:
    with pytest.raises(RuleError) as caught:
        rules(f"event: {{a: {{publish: {rule}}}}}")
    assert message in str(caught.value)


def test_a_rule_and_its_parts_are_told_their_action_and_name_their_line_in_a_traceback() -> None:
    ruleset = rules("event:\n  a: {publish: \"action === 'publish' && user.id\"}\n")
    (rule,) = ruleset.rules
    assert isinstance(rule.tree, Junction)
    part = rule.compiled(rule.tree.operands[0])
    assert ruleset.evaluate(rule, somebody(), "a", ABSENT, {}, part=part) is True
    for function in (rule.evaluate, part):
        assert function.__code__.co_filename == "<rule rules.yml:2>"  # type: ignore[union-attr]


def test_a_part_of_a_rule_can_be_asked_alone() -> None:
    ruleset = rules("event: {'p/$x': {publish: \"data.a && ($x === 'b' || !user.id)\"}}")
    found = ruleset.find(Action.EVENT_PUBLISH, "p/b")
    assert found is not None
    rule, variables = found
    assert variables == {"x": "b"}
    assert ruleset.evaluate(rule, somebody(), "p/b", Payload({"a": 1}), variables) is True
    assert rule.tree is not None
    texts = {}
    todo = [rule.tree]
    while todo:
        node = todo.pop()
        part = compile_expression(node, variables=rule.pattern.variables, action="publish", label="part")
        value = ruleset.evaluate(rule, somebody(), "p/b", Payload({"a": 1}), variables, part=part)
        texts[rule.text[node.start : node.end]] = value
        todo.extend(children(node))
    assert texts == {
        "data.a && ($x === 'b' || !user.id)": True,
        "data.a": 1,
        "data": {"a": 1},
        "$x === 'b' || !user.id": True,
        "$x === 'b'": True,
        "$x": "b",
        "'b'": "b",
        "!user.id": False,
        "user.id": "egon",
    }
    assert ruleset.find(Action.EVENT_PUBLISH, "q") is None
