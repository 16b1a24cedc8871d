from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.permissions.rulesets import one_rule, rules, somebody
from trio_router.identity import Identity, User
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action
from trio_router.permissions.reverse import Judgement, Known, Reverse

PUBLISH = Action.EVENT_PUBLISH


def judged(rule: object, pattern: str = "a/$x", **known: Any) -> Judgement:
    made = one_rule(pattern, "publish", rule)
    return Reverse(made).judge(made.rules[0], Known(somebody(), **known))


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        (True, "always"),
        (False, "never"),
        ("user.id === 'egon'", "always"),
        ("user.id === 'eva'", "never"),
        ("user.data.role === 'admin' || data.ok", "always"),
        ("user.data.role === 'guest' && data.ok === true", "never"),
        ("data.ok === true && user.data.role === 'guest'", "never"),
        ("user.data.role", "never"),  # a text is not true
        ("user.data.missing.deep", "never"),
        ("user.data.missing?.deep ?? true", "always"),
        ("user.isAuthenticated ? true : data.ok", "always"),
        ("action === 'publish'", "always"),
        ("!(data.ok && false)", "depends"),  # data may be missing, and then this fails
        ("data === 1 || data !== 1", "depends"),  # true, but not shown to be
        ("name === 'a/b'", "depends"),
        ("now > 0", "depends"),
        ("session.strategy === 'users'", "always"),
        ("_('x') === null", "depends"),
        ("user.id ?? data.x", "never"),  # it is there, and not true
        ("null ?? data.x", "depends"),
        ("data.ok && false", "never"),
        ("data.ok && 1", "never"),
        ("data.x === 1 && user.data.none.deep", "never"),
        ("user.data.none.deep || data.x === 1", "never"),  # what fails is not true, and ends it
        ("data.x === 1 || user.data.none.deep", "depends"),
        ("!user.data.none.deep", "never"),
        ("!user.id", "never"),
        ("!(data.n > 1 || true)", "never"),
        ("!(data.x === 1 ? 'a' : 'b')", "never"),
        ("!(data.x === 1 ? '' : 0)", "depends"),
        ("data.x === 1 ? 'a' : false", "never"),
        ("data.x === 1 ? 'a' : true", "depends"),
        ("data.x === 1 ? true : 'a'", "depends"),
        ("user.id === 'eva' ? data.ok : true", "always"),
        ("user.id ? true : data.ok", "always"),
        ("!(user.id === 'eva' && data.x)", "always"),
        ("!!(data.n > 1 || true)", "depends"),  # where data.n fails it is not asked further
        ("user.isAuthenticated && user.id === 'eva' && data.x", "never"),
        ("user.isAuthenticated ?? data.x", "always"),
        ("data.x ?? true ?? data.y", "depends"),
        ("data.x ?? false ?? false", "depends"),
        ("(data?.x).y ?? true", "depends"),
        ("null ?? 'a' ?? data.x", "never"),
        ("data.x && user.id && true", "depends"),
        ("user.id && data.x && 1", "never"),
    ],
)
def test_what_is_proved(rule: object, verdict: str) -> None:
    who = attrs.evolve(somebody(), strategy="users")
    made = one_rule("a/$x", "publish", rule)
    judgement = Reverse(made).judge(made.rules[0], Known(who))
    assert (judgement.verdict, judgement.rule) == (verdict, made.rules[0])


def test_the_number_of_an_action_is_known_in_a_file_of_numbers() -> None:
    made = rules("actions: numeric\nevent: {a: {publish: action === 2, subscribe: action === 2}}")
    reverse = Reverse(made)
    assert [reverse.judge(rule, Known(somebody())).verdict for rule in made.rules] == ["always", "never"]


@pytest.mark.parametrize(
    ("rule", "condition"),
    [
        ("user.isAuthenticated && data.n < 3", "data.n < 3"),
        ("data.n < 3 && user.isAuthenticated", "data.n < 3"),
        ("user.id === 'eva' || data.n < 3", "data.n < 3"),
        ("user.id === $x", '"egon" === $x'),
        ("user.data.level > data.level", "3 > data.level"),
        ("user.isAuthenticated && (data.a || data.b) && data.c", "(data.a || data.b) && data.c"),
        ("user.isAuthenticated ? data.a === 1 : data.b", "data.a === 1"),
        ("user.id === 'eva' ? data.a : data.b === 2", "data.b === 2"),
        ("data.a === user.data.tags", "data.a === user.data.tags"),
        ("data.ok && true", "data.ok"),
        ("data.ok || 0", "data.ok"),
        ("user.id && data.a", "data.a"),
        ("data.a || user.id", 'data.a || "egon"'),  # the last one is what it comes out as
        ("data.a && user.id || data.b", '(data.a && "egon") || data.b'),
        ("data.a && data.b && user.id || data.c", '(data.a && data.b && "egon") || data.c'),
        ("user.id === $x + user.data.role", '"egon" === $x + "admin"'),
        ("data.a || (true && true)", "data.a || (true)"),
        ("data.a && (data.b || user.id === 'eva')", "data.a && (data.b)"),
        ("(data.a ? data.b : data.c) && data.d", "(data.a ? data.b : data.c) && data.d"),
        ("data.a ?? user.id === $x", 'data.a ?? "egon" === $x'),
        ("data.a ? true : user.id === 'x'", "data.a ? true : false"),
        ("user.data.level > 2 ? name === $x : data", "name === $x"),
        ("`${user.id}/${data.x}` === 'x'", "`${\"egon\"}/${data.x}` === 'x'"),
        ("[user.id, $x].includes(data.y)", '["egon", $x].includes(data.y)'),
        ("user.data.role.length === data.x", "5 === data.x"),
        ("user.data.none.deep === $x", "user.data.none.deep === $x"),  # it has no value
        ("user.data.none === $x", "user.data.none === $x"),  # nor has this
        ("user.data.none?.x ?? user.data.level === data.x", "user.data.none?.x ?? 3 === data.x"),
    ],
)
def test_what_it_depends_on(rule: str, condition: str) -> None:
    made = judged(rule)
    assert (made.verdict, made.condition) == ("depends", condition)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "1.5"),
        ('a "quoted" ü', r'"a \"quoted\" ü"'),
        ("x" * 58, '"' + "x" * 58 + '"'),
        ("x" * 59, "user.data"),  # too long to be read
        ({}, "user.data"),
    ],
)
def test_what_is_known_stands_as_a_value_if_it_is_a_short_one(value: Any, shown: str) -> None:
    made = one_rule("a/$x", "publish", "$x === user.data")
    judgement = Reverse(made).judge(made.rules[0], Known(somebody(User("egon", value))))
    assert judgement == Judgement("depends", f"$x === {shown}", made.rules[0])


def test_two_rules_of_one_file_are_told_apart() -> None:
    made = rules(
        "event: {a: {publish: user.id === 'egon', subscribe: user.id === 'eva'}, b: {publish: user.data.level === 3}}"
    )
    reverse = Reverse(made)
    for _ in range(2):
        assert [reverse.judge(rule, Known(somebody())).verdict for rule in made.rules] == ["always", "never", "always"]


def test_what_is_not_known_is_not_used() -> None:
    assert judged("user.data.role === 'admin'").verdict == "always"
    made = judged("user.data.role === 'admin'", user_data=False)
    assert (made.verdict, made.condition) == ("depends", "user.data.role === 'admin'")
    assert judged("session.app === 'shop'").verdict == "always"
    assert judged("session.app === 'shop'", session=False).verdict == "depends"
    assert judged("user.isAuthenticated").verdict == "always"
    assert judged("user.isAuthenticated", is_authenticated=False).verdict == "depends"
    assert judged("user.id === 'egon'", is_authenticated=False, user_data=False, session=False).verdict == "always"
    assert judged("$x === 'b'", variables={"x": "b"}).verdict == "always"
    assert judged("name === 'a/b'", name="a/b").verdict == "always"
    assert judged("$x + $y === 'bc'", pattern="$x/$y", variables={"x": "b"}).condition == "\"b\" + $y === 'bc'"
    assert judged("name === 'news'", pattern="news").verdict == "always"


def test_the_rule_that_applies_to_a_name_is_asked() -> None:
    made = rules("event:\n  'a/*': {publish: true}\n  'a/$x': {publish: \"user.id === $x\"}\n")
    reverse, known = Reverse(made), Known(somebody())
    assert reverse.may(known, PUBLISH, "a/egon").verdict == "always"
    assert reverse.may(known, PUBLISH, "a/eva").verdict == "never"
    assert reverse.may(known, PUBLISH, "a/b/c").verdict == "always"
    assert reverse.may(known, PUBLISH, "b") == Judgement("never")
    named = Reverse(rules("event: {'a/*': {publish: name === 'a/egon'}}"))
    assert [named.may(known, PUBLISH, name).verdict for name in ("a/egon", "a/eva")] == ["always", "never"]
    assert reverse.may(known, Action.EVENT_SUBSCRIBE, "a/egon") == Judgement("never")


LEAVES = [
    "true", "false", "1", "''", "null", "undefined", "user.id === 'a'", "user.id", "user.data.x", "user.data.x === 1", "user.data",
    "user.isAuthenticated", "data", "data.x", "data.x === 1", "data?.x", "$v", "$v === user.id", "name === 'r/a'", "session.strategy === 's'",
    "'x' in data", "`v${user.data.x}` === 'v1'", "data.x > 1", "/a/.test(name)", "_('r') === null", "[data.x]", "-data.x", "data.x + 1",
    "user.data?.x?.y", "user.data.x === data.x", "data.x.length > 0", "action === 'publish'",
]  # fmt: skip


def grow(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(parts, st.sampled_from(["&&", "||", "??"]), parts).map(lambda p: f"(({p[0]}) {p[1]} ({p[2]}))"),
        parts.map(lambda p: f"!({p})"),
        st.tuples(parts, parts, parts).map(lambda p: f"(({p[0]}) ? ({p[1]}) : ({p[2]}))"),
        st.tuples(parts, parts).map(lambda p: f"(({p[0]}) === ({p[1]}))"),
        parts.map(lambda p: f"(typeof ({p}) === 'string')"),
    )


expressions = st.recursive(st.sampled_from(LEAVES), grow, max_leaves=6)
USER_DATA: list[Any] = [None, {}, {"x": 1}, {"x": "1"}, {"x": None}]
DATA = [ABSENT, *(Payload(value) for value in (None, 0, True, {}, {"x": 1}, {"x": ""}, {"x": ["y"]}))]
WORLDS = [
    (Identity("shop", "id", User(user, user_data, authenticated), strategy), name, data)
    for user, authenticated in (("a", True), ("a", False), ("b", False))
    for user_data in USER_DATA
    for strategy in ("s", "t")
    for name in ("r/a", "r/b")
    for data in DATA
]


@settings(deadline=None, max_examples=150)
@given(
    expressions,
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "r/a", "r/b"]),
    st.sampled_from(WORLDS),
)
def test_always_and_never_are_proofs(
    expression: str,
    authenticated: bool,
    user_data: bool,
    session: bool,
    name: str,
    world: tuple[Identity, str, Payload],
) -> None:
    """Against every world that agrees with what was known."""
    made = one_rule("r/$v", "publish", expression)
    who, _, _ = world
    known = Known(who, is_authenticated=authenticated, user_data=user_data, session=session)
    reverse = Reverse(made)
    judgement = reverse.may(known, PUBLISH, name) if name else reverse.judge(made.rules[0], known)
    for other, of_name, data in WORLDS:
        if authenticated and other.user.is_authenticated is not who.user.is_authenticated:
            continue
        if other.user.id != who.user.id or (name and of_name != name):
            continue
        if (user_data and other.user.data is not who.user.data) or (session and other.strategy != who.strategy):
            continue
        allowed = made.decide(other, PUBLISH, of_name, data).allowed
        if judgement.verdict != "depends":
            assert allowed is (judgement.verdict == "always"), json.dumps([expression, of_name])
