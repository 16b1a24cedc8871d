"""An explanation agrees with the decision, tells the value of every part that was evaluated, and of no other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.permissions.rulesets import one_rule, rules, somebody
from trio_router.identity import Identity, User
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action, Decision, Reason
from trio_router.permissions.explain import Explanation, explain
from trio_router.permissions.parts import MAX_ITEMS, MAX_TEXT, Step, capped
from trio_router.permissions.redaction import REDACTED, Redaction
from trio_router.permissions.syntax import UNDEFINED

PUBLISH = Action.EVENT_PUBLISH


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
    ],
)
def test_what_the_language_skips_is_not_evaluated(rule: str, parts: dict[str, Any]) -> None:
    found = dict(seen(explained(rule, data={})))
    assert {text: found[text] for text in parts} == parts


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
    made = explain(rules("event: {a: {publish: false}}"), somebody(), PUBLISH, "b")
    assert (made.rule, made.decision.reason) == (None, Reason.NO_RULE)


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
    assert capped("x" * (MAX_TEXT + 1)) == "x" * MAX_TEXT + f"... ({MAX_TEXT + 1} characters)"
    assert capped(list(range(MAX_ITEMS + 1)))[-1] == f"... ({MAX_ITEMS + 1} items)"
    assert capped([[[[["x"]]]]]) == [[[["[...]"]]]]
    assert (capped(float("nan")), capped(UNDEFINED), capped(True)) == ("nan", None, True)


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
def test_hidden_names_hide_their_variables_too() -> None:
    made = explained("$room === 'x' || name === ''", hide=("name", "user.id"))
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
