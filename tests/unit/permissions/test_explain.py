"""An explanation agrees with the decision, tells the value of every part that was evaluated, and of no other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.permissions.rulesets import one_rule, rules, somebody
from trio_router.clock import ManualClock
from trio_router.errors import RouterError
from trio_router.identity import Identity, User
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action, Decision, Reason
from trio_router.permissions.explain import Explanation, explain
from trio_router.permissions.grammar import Scope, parse
from trio_router.permissions.loader import load_rules
from trio_router.permissions.parts import MAX_ITEMS, MAX_TEXT, Step, capped, kind_of
from trio_router.permissions.redaction import REDACTED, Redaction
from trio_router.permissions.syntax import UNDEFINED, Node
from trio_router.permissions.trace import trace

PUBLISH = Action.EVENT_PUBLISH
FAILED = "error: cannot read 'y' of undefined"
NUMBERED = [str(number) for number in range(MAX_ITEMS + 1)]


def explained(rule: str, *, data: Any = ABSENT, user: User | None = None, hide: tuple[str, ...] = ()) -> Explanation:
    who = somebody(user) if user else somebody()
    payload = data if data is ABSENT else Payload(data)
    return explain(
        one_rule("news/$room", "publish", rule), who, PUBLISH, "news/blue", payload, redaction=Redaction.of(hide)
    )


def seen(made: Explanation) -> list[tuple[str, Any]]:
    """Each part that is no literal, with its value, "undefined", "error" or "-" where it was not evaluated."""
    return [(step.text, outcome(step)) for step in made.steps if not step.literal]


def outcome(step: Step) -> Any:
    if step.state == "not_evaluated":
        return "-"
    if step.state == "error":
        return f"error: {step.error}" if step.error else "error"
    return "undefined" if step.kind == "undefined" else step.value


def test_every_part_has_its_value() -> None:
    made = explained("user.data.role === 'admin' && data.n > 3", data={"n": 5})
    assert made.decision.allowed
    assert seen(made) == [
        ("user.data.role === 'admin' && data.n > 3", True),
        ("user.data.role === 'admin'", True),
        ("user.data.role", "admin"),
        ("user.data", {"role": "admin", "level": 3, "tags": ["a", "b"]}),
        ("data.n > 3", True),
        ("data.n", 5),
        ("data", {"n": 5}),
    ]


@pytest.mark.parametrize(
    ("rule", "parts"),
    [
        ("false && data.a.b", {"data.a.b": "-", "data.a": "-", "data": "-"}),
        ("true || data.a.b", {"data.a.b": "-"}),
        ("true && data.x", {"data.x": "undefined"}),
        ("data.x ?? user.id", {"data.x": "undefined", "user.id": "egon"}),
        ("user.id ?? data.x.y", {"data.x.y": "-"}),
        ("data ? name : data.x.y", {"name": "news/blue", "data.x.y": "-"}),
        ("data.x ? data.x.y : $room", {"data.x.y": "-", "$room": "blue"}),
        ("data.x?.y[user.id]", {"data.x?.y": "undefined", "user.id": "-"}),
        ("data.x?.y.z[user.id]", {"data.x?.y.z[user.id]": "undefined", "user.id": "-"}),
        ("(data.x?.y)?.z[user.id]", {"data.x?.y": "undefined", "user.id": "-"}),
        ("data.x?.startsWith(data.y.z)", {"data.x?.startsWith(data.y.z)": "undefined", "data.y.z": "-"}),
        ("data.x.y === user.id", {"data.x.y": "error: cannot read 'y' of undefined", "user.id": "-"}),
        ("[data.x.y, user.id].length > 0", {"[data.x.y, user.id]": "error", "user.id": "-"}),
        ("`${user.id}:${$room}` === 'egon:blue'", {"`${user.id}:${$room}`": "egon:blue", "$room": "blue"}),
        ("name.match('^n')", {"name.match('^n')": ["n"], "name": "news/blue"}),
        ("[data.x.y ? name : user.id]", {"[data.x.y ? name : user.id]": "error", "name": "-", "user.id": "-"}),
        ("[data.x ? name : data.x.y]", {"[data.x ? name : data.x.y]": "error", "name": "-"}),
        ("[data ? data.x.y : name]", {"[data ? data.x.y : name]": "error", "name": "-"}),
        ("[data.x.y && name]", {"[data.x.y && name]": "error", "name": "-"}),
        ("[data && data.x.y || name]", {"[data && data.x.y || name]": "error", "name": "-"}),
        ("data.x.y?.z[name]", {"data.x.y": FAILED, "data.x.y?.z": "error", "name": "-"}),
        ("data[data.x.y][name]", {"data.x.y": FAILED, "data[data.x.y]": "error", "name": "-"}),
        ("data?.x[name]", {"data?.x[name]": "error: cannot read 'news/blue' of undefined", "name": "news/blue"}),
        ("data?.a.b ? 1 : 2", {"data?.a.b": "error: cannot read 'b' of undefined"}),
    ],
)
def test_what_the_language_skips_is_not_evaluated(rule: str, parts: dict[str, Any]) -> None:
    made = explained(rule, data={})
    found = dict(seen(made))
    assert {text: found[text] for text in parts} == parts
    assert {(step.kind, step.value) for step in made.steps if step.state != "value"} <= {("", None)}
    assert sum(step.error != "" for step in made.steps) == made.decision.detail.startswith("cannot read")
    assert_nested(made.steps)


def assert_nested(steps: tuple[Step, ...]) -> None:
    """Each step is as deep as there are parts that hold it, all of which stand before it."""
    for number, step in enumerate(steps):
        assert step.depth == sum(before.start <= step.start and step.end <= before.end for before in steps[:number])


def test_only_an_error_of_the_rules_is_told_in_words() -> None:
    def failing(error: Exception) -> Any:
        def evaluate(_: Node) -> Any:
            raise error

        return [step.error for step in trace(parse("name", Scope()), evaluate)]

    assert failing(RouterError("cannot read this")) == ["cannot read this"]
    assert failing(RouterError()) == ["RouterError"]
    assert failing(ValueError("with a value in it")) == ["ValueError"]


def test_an_explanation_in_json() -> None:
    text = "user.data.x === null || data.a.b || !undefined"
    made = explained(text, data={"a": None}, user=User("egon", {"x": 1}))
    asked = {"start": 24, "end": 32, "depth": 1, "state": "error", "error": "cannot read 'b' of null"}
    assert made.as_json() == {
        "allowed": False,
        "reason": "rule_error",
        "detail": "cannot read 'b' of null",
        "told": "",
        "action": "event.publish",
        "name": "news/blue",
        "user": {"id": "egon", "isAuthenticated": True, "data": {"x": 1}},
        "data": {"a": None},
        "rules_version": one_rule("news/$room", "publish", text).version,
        "rule": {
            "source": "rules.yml", "line": 1, "column": 38, "pattern": "news/$room", "action": "publish", "text": text,
        },
        "variables": {"room": "blue"},
        "steps": [
            {"text": text, "start": 0, "end": 46, "depth": 0, "state": "error"},
            {"text": "user.data.x === null", "start": 0, "end": 20, "depth": 1, **value("boolean", False)},
            {"text": "user.data.x", "start": 0, "end": 11, "depth": 2, **value("number", 1)},
            {"text": "user.data", "start": 0, "end": 9, "depth": 3, **value("object", {"x": 1})},
            {"text": "null", "start": 16, "end": 20, "depth": 2, **value("null", None), "literal": True},
            {"text": "data.a.b", **asked},
            {"text": "data.a", "start": 24, "end": 30, "depth": 2, **value("null", None)},
            {"text": "data", "start": 24, "end": 28, "depth": 3, **value("object", {"a": None})},
            {"text": "!undefined", "start": 36, "end": 46, "depth": 1, "state": "not_evaluated"},
            {"text": "undefined", "start": 37, "end": 46, "depth": 2, "state": "not_evaluated", "literal": True},
        ],
        "near": [],
        "reached": [],
    }  # fmt: skip


def value(kind: str, shown: Any) -> dict[str, Any]:
    return {"state": "value", "kind": kind, "value": shown}


def test_a_value_that_is_undefined_is_left_out_of_the_json() -> None:
    (whole, *_) = explained("user.data.none").steps
    assert whole.as_json() == {
        "text": "user.data.none", "start": 0, "end": 14, "depth": 0, "state": "value", "kind": "undefined",
    }  # fmt: skip


def test_the_rule_its_place_and_its_variables_are_told() -> None:
    made = explained("user.id === $room")
    assert made.rule is not None
    assert (made.rule.source, made.rule.line, made.rule.pattern, made.rule.action) == (
        "rules.yml", 1, "news/$room", "publish",
    )  # fmt: skip
    assert made.text == "user.id === $room"
    assert made.variables == {"room": "blue"}


def test_a_constant_rule_and_no_rule() -> None:
    made = explain(rules("event: {a: {publish: false}}"), somebody(), PUBLISH, "a")
    assert (made.text, made.steps, made.decision.reason) == ("false", (), Reason.RULE_FALSE)
    made = explain(rules("event: {a: {publish: true}}"), somebody(), PUBLISH, "a")
    assert (made.text, made.steps, made.decision.reason) == ("true", (), Reason.ALLOWED)
    made = explain(rules("event: {a: {publish: false}}"), somebody(), PUBLISH, "b")
    assert (made.rule, made.decision.reason) == (None, Reason.NO_RULE)


def test_other_patterns_of_the_section_that_almost_applied_are_told() -> None:
    ruleset = rules("event: {'*': {publish: true}, news/*: {publish: true}, news/a/$x: {publish: true}}")
    why = [(near.pattern, near.why) for near in explain(ruleset, somebody(), PUBLISH, "news/a").near]
    assert why == [("*", 'matches, but "news/*" is more specific'), ("news/a/$x", "the name ends before '$x'")]
    ruleset = rules("{event: {news/a/$x: {publish: true}}, rpc: {news/a: {request: true}}}")
    assert [near.pattern for near in explain(ruleset, somebody(), PUBLISH, "news/a").near] == ["news/a/$x"]


@pytest.mark.parametrize("reason", [Reason.RESERVED, Reason.INVALID_NAME])
def test_what_the_door_refuses_has_no_rule(reason: Reason) -> None:
    made = explain(
        rules("event: {'*': {publish: true}}"), somebody(), PUBLISH, "sys:x", decision=Decision(False, reason)
    )
    assert (made.decision.reason, made.rule, made.near) == (reason, None, ())


def test_a_name_that_is_none_is_explained_as_such() -> None:
    made = explain(rules("event: {'*': {publish: true}}"), somebody(), PUBLISH, "a//b")
    assert (made.decision.reason, made.rule) == (Reason.INVALID_NAME, None)


def test_an_earlier_decision_is_explained_at_its_time() -> None:
    rule = one_rule("*", "publish", "now < 1000")
    before = Decision(True, Reason.ALLOWED)
    made = explain(rule, somebody(), PUBLISH, "a", decision=before, now=999)
    assert made.decision == before
    assert made.steps[0].value is True
    assert explain(rule, somebody(), PUBLISH, "a", now=1000).steps[0].value is False


def test_an_earlier_decision_is_explained_with_the_records_as_they_are() -> None:
    ruleset = load_rules(
        "event: {x: {publish: \"now < 5 && _('item').open === 'yes'\"}}",
        "rules.yml",
        clock=ManualClock(),
        records=Kept(),
    )
    before = Decision(True, Reason.ALLOWED)
    assert explain(ruleset, somebody(), PUBLISH, "x", decision=before, now=4).steps[0].value is True


class Kept:
    """Implements ``Records``."""

    def peek(self, name: str) -> Any:
        return {"item": {"pin": "1234", "open": "yes"}}.get(name)


# ---- wildcards ------------------------------------------------------------------------------------------------

WILD = """
event:
  "news/secret/*": {subscribe: "user.data.role === 'admin'"}
  "news/$who/x": {subscribe: "user.id === $who"}
  "news/*": {subscribe: true}
"""


def wild(name: str, user: User) -> Explanation:
    return explain(rules(WILD), somebody(user), Action.EVENT_SUBSCRIBE, name, wildcard=True)


def test_the_rule_that_prevents_a_wildcard_is_told() -> None:
    made = wild("news/*", User("egon", {"role": "admin"}))
    assert made.decision.reason is Reason.NOT_PROVABLE
    assert made.rule is not None
    assert made.rule.pattern == "news/$who/x"
    assert [(each.ref.pattern, each.allowed, each.covers) for each in made.reached] == [
        ("news/secret/*", True, False),
        ("news/$who/x", False, False),
    ]
    assert "it reads $who" in made.reached[-1].detail


def test_the_rule_that_covers_a_wildcard_is_explained_part_by_part() -> None:
    made = wild("news/secret/*", User("egon", {"role": "guest"}))
    assert (made.decision.reason, made.reached[0].covers) == (Reason.RULE_FALSE, True)
    assert ("user.data.role", "guest") in seen(made)


def test_a_wildcard_nobody_covers() -> None:
    made = explain(rules(WILD), somebody(), Action.EVENT_SUBSCRIBE, "other/*", wildcard=True)
    assert (made.decision.reason, made.rule, made.reached) == (Reason.NO_RULE, None, ())


def test_patterns_that_almost_applied_to_a_wildcard_are_told_only_if_none_did() -> None:
    ruleset = rules('event: {"news": {publish: true}, "news/x/*": {subscribe: true}}')
    made = explain(ruleset, somebody(), Action.EVENT_SUBSCRIBE, "news/y*", wildcard=True)
    assert [near.pattern for near in made.near] == ["news/x/*", "news"]
    assert explain(ruleset, somebody(), Action.EVENT_SUBSCRIBE, "news/x/y*", wildcard=True).near == ()


def test_what_is_the_same_in_all_names_of_a_wildcard_has_its_value() -> None:
    rule = '{subscribe: {rule: "$who === user.id && user.data", reason: not yours}}'
    ruleset = rules(f'event: {{"news/$who/*": {rule}}}')

    def made(*hide: str) -> Explanation:
        who, hidden = somebody(User("egon", 7)), Redaction.of(hide)
        return explain(ruleset, who, Action.EVENT_SUBSCRIBE, "news/egon/*", wildcard=True, redaction=hidden)

    assert made().decision.reason is Reason.RULE_NOT_TRUE
    assert made().as_json()["told"] == "not yours"
    assert (made().text, made().variables) == ("$who === user.id && user.data", {"who": "egon"})
    assert [(each.detail, each.covers) for each in made().reached] == [
        ("the rule is neither true nor false but a number", True)
    ]
    assert seen(made()) == [
        ("$who === user.id && user.data", 7),
        ("$who === user.id", True),
        ("$who", "egon"),
        ("user.id", "egon"),
        ("user.data", 7),
    ]
    assert made("name.who").variables == {"who": REDACTED}
    assert ("$who", REDACTED) in seen(made("name.who"))
    assert made("user.data").reached == made().reached  # which kind of value it is may be told


def test_the_error_of_a_rule_in_a_wildcards_way_is_told() -> None:
    made = explain(
        one_rule("*", "subscribe", "user.data.none.deep"), somebody(), Action.EVENT_SUBSCRIBE, "a/*", wildcard=True
    )
    assert [each.detail for each in made.reached] == ["cannot read 'deep' of undefined"]


# ---- what is shown --------------------------------------------------------------------------------------------


def test_values_are_cut_to_a_size_that_can_be_read() -> None:
    long = {
        "text": "x" * 100_000,
        "list": list(range(1000)),
        "deep": [[[[[["x"]]]]]],
        "keys": dict.fromkeys(map(str, range(99))),
    }
    made = explained("data.text === '' || data.list.length === 0", data=long)
    assert len(json.dumps(made.as_json())) < 10_000


def nested(levels: int, inner: Any, wrap: Any) -> Any:
    return wrap(nested(levels - 1, inner, wrap)) if levels else inner


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (UNDEFINED, None),
        (None, None),
        (True, True),
        (False, False),
        (7, 7),
        (-1.5, -1.5),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        ("x" * MAX_TEXT, "x" * MAX_TEXT),
        ("x" * MAX_TEXT + "y", "x" * MAX_TEXT + f"... ({MAX_TEXT + 1} characters)"),
        ((1, UNDEFINED, "a"), [1, None, "a"]),
        (list(range(MAX_ITEMS)), list(range(MAX_ITEMS))),
        (list(range(MAX_ITEMS + 1)), [*range(MAX_ITEMS), f"... ({MAX_ITEMS + 1} items)"]),
        ({1: "a"}, {"1": "a"}),
        ({"k" * (MAX_TEXT + 1): 1}, {"k" * MAX_TEXT + f"... ({MAX_TEXT + 1} characters)": 1}),
        (dict.fromkeys(NUMBERED[:-1], 1), dict.fromkeys(NUMBERED[:-1], 1)),
        (dict.fromkeys(NUMBERED, 1), dict.fromkeys(NUMBERED[:-1], 1) | {"...": f"{MAX_ITEMS + 1} keys"}),
        (nested(4, [], lambda inner: [inner]), nested(4, [], lambda inner: [inner])),
        (nested(4, {}, lambda inner: {"a": inner}), nested(4, {}, lambda inner: {"a": inner})),
        (nested(5, 1, lambda inner: [inner]), nested(4, "[...]", lambda inner: [inner])),
        (nested(5, 1, lambda inner: {"a": inner}), nested(4, "{...}", lambda inner: {"a": inner})),
        ({1, 2}, "<set>"),  # which no rule makes
    ],
)
def test_a_value_as_it_is_shown(value: Any, shown: Any) -> None:
    assert capped(value) == shown
    assert type(capped(value)) is type(shown)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (UNDEFINED, "undefined"), (None, "null"), (False, "boolean"), ("", "text"), (0, "number"), (0.5, "number"),
        ([], "list"), ((), "list"), ({}, "object"),
    ],
)  # fmt: skip
def test_values_have_the_types_of_json(value: Any, kind: str) -> None:
    assert kind_of(value) == kind


@pytest.mark.threat("T36")
@pytest.mark.parametrize(
    "rule",
    [
        "data.password === 'x'",
        "data.password",
        "data.password.trim() === 'x'",
        "data.password.toUpperCase()",
        "data.password[0]",
        "data['password'].length > 3 && data.password",
        "`${data.password}`",
        "[data.password].includes('x')",
        "data.password + 'x' === ''",
        "data[data.password]",
        "user.data[data.password].deeper",
        "data.missing?.x ?? data.password",
        "(data).password",
        "user.data.pin.code === data.password",
        "user.data ?? data",
        "[data][0].password.startsWith('x')",
        "[data, user.data].indexOf(1) === 1",
        "data.other.indexOf(data.password) > 0 ? data : user.data",
    ],
)
def test_what_is_hidden_appears_nowhere(rule: str) -> None:
    canary, pin = "Canary-0451-password", "Canary-7777-pin"
    hide = ("data.password", "user.data.pin.code", "data.list.*.password")
    user = User("egon", {"role": "x", "pin": {"code": pin}})
    data = {"password": canary, "other": "text", "list": [{"password": canary}]}
    made = explained(rule, data=data, user=user, hide=hide)
    told = json.dumps(made.as_json()).casefold()
    for secret in (canary, pin):
        assert secret.casefold() not in told
        assert secret[::-1] not in told
    letters = [step.value for step in made.steps if not step.literal and step.value in ("C", canary.upper())]
    assert letters == []
    assert REDACTED in told


@pytest.mark.threat("T36")
def test_what_stands_beside_a_hidden_value_is_shown() -> None:
    made = explained("(data?.a).open === data.a.open", data={"a": {"open": "yes", "pin": "1"}}, hide=("data.a.pin",))
    assert ("data?.a", {"open": "yes", "pin": REDACTED}) in seen(made)
    assert [value for text, value in seen(made) if text.endswith("open")] == [True, "yes", "yes"]


@pytest.mark.threat("T36")
@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        ("data.open + 'x'", "yesx"),
        ("[user.id, $room, data.open]", ["egon", "blue", "yes"]),
        ("session.strategy + 'x'", "x"),
    ],
)
def test_what_is_made_of_other_values_is_shown(rule: str, shown: Any) -> None:
    made = explained(rule, data={"open": "yes"}, hide=("user.data.pin.code", "user.data.*.deep", "session.id"))
    assert seen(made)[0] == (rule, shown)


@pytest.mark.threat("T36")
@pytest.mark.parametrize("record", ["oldData", "_('item')", "_(name)"])
def test_what_is_hidden_in_data_is_hidden_in_records(record: str) -> None:
    text = json.dumps({"record": {"*": {"write": f"[{record}.pin + {record}.open].length === 0"}}})
    ruleset = load_rules(text, "rules.yml", clock=ManualClock(), records=Kept())
    action, data, hidden = Action.RECORD_WRITE, Payload(None), Redaction.of(["data.pin"])
    made = explain(ruleset, somebody(), action, "item", data, redaction=hidden)
    assert "1234" not in json.dumps(made.as_json())
    found = dict(seen(made))
    assert (found[record], found[f"{record}.open"]) == ({"pin": REDACTED, "open": "yes"}, "yes")
    assert found[f"{record}.pin + {record}.open"] == REDACTED


@pytest.mark.threat("T36")
@pytest.mark.parametrize("rule", ["session.id", "session.id + ''", "`${session.id}`"])
def test_a_hidden_session_is_shown_nowhere(rule: str) -> None:
    assert {value for _, value in seen(explained(rule))} == {"session"}
    assert {value for _, value in seen(explained(rule, hide=("session.id",)))} == {REDACTED}


@pytest.mark.threat("T36")
@pytest.mark.parametrize(
    "rule", ["$room === 'x' || name === ''", "[user.id]", "`${name}`", "$room + user.id", "user.id[0]"]
)
def test_hidden_names_hide_their_variables_too(rule: str) -> None:
    made = explained(rule, hide=("name", "user.id"))
    told = json.dumps(made.as_json())
    assert "blue" not in told
    assert '"egon"' not in told


# ---- agreement --------------------------------------------------------------------------------------------------

ATOMS = st.sampled_from(
    ["true", "false", "null", "undefined", "1", "'a'", "''", "user.id", "user.data", "user.data.role", "data", "data.a",
     "data.a.b", "data?.a?.b", "data.list[0]", "name", "$room", "action", "now"]
)  # fmt: skip


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(["&&", "||", "??", "===", "!==", "==", "<", ">=", "+", "-", "in"])
    return (
        st.builds("({}) {} ({})".format, inner, binary, inner)
        | st.builds("({}) ? ({}) : ({})".format, inner, inner, inner)
        | st.builds("({}) && ({}) && ({})".format, inner, inner, inner)
        | st.builds("!({})".format, inner)
        | st.builds("typeof ({})".format, inner)
        | st.builds("[{}, {}]".format, inner, inner)
        | st.builds("`x${{{}}}y`".format, inner)
        | st.builds("({}).key".format, inner)
        | st.builds("({})?.key[{}].deeper".format, inner, inner)
        | st.builds("({})?.includes({})".format, inner, inner)
        | st.builds("({}).startsWith({})".format, inner, inner)
        | st.builds("/^a/.test({})".format, inner)
        | st.builds("({}).match('a')".format, inner)
        | st.builds("_({})".format, inner)
        | st.builds("-({}) * ({})".format, inner, inner)
    )


EXPRESSIONS = st.recursive(ATOMS, grown, max_leaves=8)
VALUES = st.sampled_from(
    [ABSENT, None, {}, {"a": None}, {"a": {"b": True}}, {"a": {"b": "x"}, "list": [1]}, "text", 5, True, [], ["a"]]
)
USERS = st.sampled_from(
    [User("egon", {"role": "a"}), User("blue"), User("open", None, False), User("x", {"role": True})]
)


def asked(rule: str, data: Any, user: User) -> tuple[Explanation, Decision]:
    ruleset = one_rule("news/$room", "publish", rule)
    who = Identity("shop", "s", user)
    payload = data if data is ABSENT else Payload(data)
    return (
        explain(ruleset, who, PUBLISH, "news/blue", payload),
        ruleset.decide(who, PUBLISH, "news/blue", payload),
    )


@given(EXPRESSIONS, VALUES, USERS)
@settings(deadline=None, max_examples=150)
def test_an_explanation_agrees_with_the_decision(rule: str, data: Any, user: User) -> None:
    made, decision = asked(rule, data, user)
    assert made.decision == decision
    whole = made.steps[0]
    assert (whole.depth, whole.text) == (0, rule) or rule.startswith("(")
    assert (whole.state == "value" and whole.value is True) == decision.allowed
    assert (whole.state == "error") == (decision.reason is Reason.RULE_ERROR)
    assert_nested(made.steps)
    failed = [step.error for step in made.steps if step.error]
    assert len(failed) == (decision.reason is Reason.RULE_ERROR)
    json.dumps(made.as_json(), allow_nan=False)


@given(EXPRESSIONS, VALUES, USERS, st.data())
@settings(deadline=None, max_examples=100)
def test_what_was_not_evaluated_could_be_anything(rule: str, data: Any, user: User, draw: st.DataObject) -> None:
    made, decision = asked(rule, data, user)
    skipped = [step for step in made.steps if step.state == "not_evaluated" and not step.literal]
    if not skipped or decision.reason is Reason.RULE_ERROR:
        return
    step = draw.draw(st.sampled_from(skipped))
    changed = rule[: step.start] + "(data.nothing.at.all.here)" + rule[step.end :]
    again, other = asked(changed, data, user)
    assert (other.allowed, other.reason) == (decision.allowed, decision.reason)
    assert outcome(again.steps[0]) == outcome(made.steps[0])


SECRET = "Qx7Zk9Vw"
PIECES = {SECRET.casefold()[at : at + 3] for at in range(len(SECRET) - 2)}
SECRET_ATOMS = ATOMS | st.sampled_from(
    ["data.secret", "data['secret']", "user.data.secret", "user.data.deep.secret", "data[data.secret]", "[data][0].secret",
     "user.data[user.data.role]", "data.secret.length",
     "data.secret[1]"]
)  # fmt: skip


@pytest.mark.threat("T36")
@given(st.recursive(SECRET_ATOMS, grown, max_leaves=6))
@settings(deadline=None, max_examples=150)
def test_nothing_made_of_a_hidden_value_is_shown(rule: str) -> None:
    data = {"secret": SECRET, "a": {"b": [{"secret": SECRET}]}, SECRET: SECRET, "list": [1]}
    user = User("egon", {"role": "secret", "secret": SECRET, "deep": {"secret": SECRET}})
    hide = ("data.secret", f"data.{SECRET}", "data.a.b.*.secret", "user.data.secret", "user.data.deep")
    made = explained(rule, data=data, user=user, hide=hide)
    for step in made.steps:
        assert step.state == "value" or (step.kind, step.value) == ("", None)
        told = json.dumps([step.value, step.error]).casefold()
        assert [piece for piece in PIECES if piece in told.replace(f'"{SECRET.casefold()}": "<redacted>"', "")] == []
    assert [piece for piece in PIECES if piece in made.decision.detail.casefold()] == []


@pytest.mark.threat("T36")
def test_the_error_of_a_rule_in_a_wildcards_way_hides_its_key_too() -> None:
    ruleset = one_rule("*", "subscribe", "user.data.none[user.data.secret] === 1")
    who = somebody(User("egon", {"secret": SECRET}))
    hidden = Redaction.of(["user.data.secret"])
    made = explain(ruleset, who, Action.EVENT_SUBSCRIBE, "a/*", wildcard=True, redaction=hidden)
    assert made.decision.reason is Reason.RULE_ERROR
    assert SECRET not in json.dumps(made.as_json())
    assert made.reached[0].detail == REDACTED


PATTERNS = st.sampled_from(["*", "news/*", "news/$a", "news/$a/x", "news/x/*", "news/x"])
WILD_RULES = st.sampled_from(
    ["true", "false", "user.id === 'egon'", "$a === 'x'", "name === 'x'", "user.data.no.no", "now > 0"]
)


@given(
    st.dictionaries(PATTERNS, WILD_RULES, min_size=1).map(
        lambda found: {text: "true" if "$a" in rule and "$a" not in text else rule for text, rule in found.items()}
    ),
    st.sampled_from(["*", "news/*", "news/x*", "news/x/*", "other/*"]),
)
@settings(deadline=None)
def test_an_explained_wildcard_agrees_with_the_decision(written: dict[str, str], wildcard: str) -> None:
    file = {
        text: {"subscribe": rule == "true" if rule in ("true", "false") else rule} for text, rule in written.items()
    }
    ruleset = rules(json.dumps({"event": file}))
    made = explain(ruleset, somebody(), Action.EVENT_SUBSCRIBE, wildcard, wildcard=True)
    assert made.decision == ruleset.decide_pattern(somebody(), Action.EVENT_SUBSCRIBE, wildcard)
    covered = bool(made.reached) and made.reached[-1].covers and all(each.allowed for each in made.reached)
    assert made.decision.allowed == covered
    assert [each.allowed for each in made.reached[:-1]] == [True] * (len(made.reached) - 1 if made.reached else 0)
    if made.decision.rule is not None:
        assert made.rule == made.decision.rule == made.reached[-1].ref
    if made.steps:
        assert (made.steps[0].value is True) == made.reached[-1].allowed
