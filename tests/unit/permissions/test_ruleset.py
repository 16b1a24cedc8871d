from __future__ import annotations

import json
import re
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.permissions.rulesets import EGON, one_rule, rules, somebody, value_of
from trio_router.clock import ManualClock
from trio_router.errors import RuleError
from trio_router.identity import User
from trio_router.names import InvalidName, check_channel
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action, Reason, Ruleset
from trio_router.permissions.loader import load_rules
from trio_router.permissions.ruleset import REMEMBERED_NAMES, CompiledRules
from trio_router.permissions.syntax import UNDEFINED, Junction

SUBSCRIBE, PUBLISH = Action.EVENT_SUBSCRIBE, Action.EVENT_PUBLISH


def check(ruleset: Ruleset, name: str, *, user: User = EGON, action: Action = SUBSCRIBE, data: Any = ABSENT) -> Reason:
    decision = ruleset.decide(somebody(user), action, name, data if data is ABSENT else Payload(data))
    assert decision.allowed == (decision.reason is Reason.ALLOWED)
    return decision.reason


def check_pattern(ruleset: Ruleset, pattern: str, *, user: User = EGON, action: Action = SUBSCRIBE) -> Reason:
    decision = ruleset.decide_pattern(somebody(user), action, pattern)
    assert decision.allowed == (decision.reason is Reason.ALLOWED)
    return decision.reason


# Outcomes


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (True, Reason.ALLOWED),
        (False, Reason.RULE_FALSE),
        ("true", Reason.ALLOWED),
        ("false", Reason.RULE_FALSE),
        ("user.id === 'egon'", Reason.ALLOWED),
        ("user.id === 'eva'", Reason.RULE_FALSE),
        ("1", Reason.RULE_NOT_TRUE),
        ("0", Reason.RULE_NOT_TRUE),
        ("'true'", Reason.RULE_NOT_TRUE),
        ("''", Reason.RULE_NOT_TRUE),
        ("null", Reason.RULE_NOT_TRUE),
        ("undefined", Reason.RULE_NOT_TRUE),
        ("user.data", Reason.RULE_NOT_TRUE),
        ("user.data.tags", Reason.RULE_NOT_TRUE),
        ("user.data.missing", Reason.RULE_NOT_TRUE),
        ("user.data.missing && true", Reason.RULE_NOT_TRUE),
        ("user.isAuthenticated && user.data.role", Reason.RULE_NOT_TRUE),
        ("user.data.missing.deep === undefined", Reason.RULE_ERROR),
        ("user.data.level.trim() === 'x'", Reason.RULE_ERROR),
    ],
)
def test_only_exactly_true_allows(rule: object, reason: Reason) -> None:
    assert check(one_rule("news", "subscribe", rule), "news") is reason
    assert check_pattern(one_rule("news/*", "subscribe", rule), "news/*") is reason


def test_a_decision_names_its_rule_and_why() -> None:
    ruleset = rules("event:\n  news/*:\n    subscribe: user.data.a.b\n    publish: user.data.secret\n")
    failed = ruleset.decide(somebody(), SUBSCRIBE, "news/x")
    assert failed.detail == "cannot read 'b' of undefined"
    assert failed.rule is not None
    assert (failed.rule.source, failed.rule.line, failed.rule.column) == ("rules.yml", 3, 16)
    assert (failed.rule.pattern, failed.rule.action) == ("news/*", "subscribe")
    not_true = ruleset.decide(somebody(User("egon", {"secret": "s3cret"})), PUBLISH, "news/x")
    assert not_true.detail == "the rule is neither true nor false but a text"


@pytest.mark.parametrize(
    ("value", "described"),
    [
        (None, "null"),
        ("s3cret", "a text"),
        (1, "a number"),
        (0.5, "a number"),
        ([True], "a list"),
        ({"a": True}, "an object"),
        (UNDEFINED, "undefined"),
    ],
)
def test_a_value_that_is_no_answer_is_told_by_its_kind(value: object, described: str) -> None:
    user = User("egon", {} if value is UNDEFINED else {"x": value})
    decision = one_rule("news", "publish", "user.data.x").decide(somebody(user), PUBLISH, "news")
    assert (decision.allowed, decision.reason) == (False, Reason.RULE_NOT_TRUE)
    assert decision.detail == f"the rule is neither true nor false but {described}"


@pytest.mark.parametrize(
    ("pattern", "rule", "name", "reason", "detail"),
    [
        ("a/$x", "user.data.n", "a/b", Reason.RULE_NOT_TRUE, "the rule is neither true nor false but a number"),
        ("a/$x", "user.id === 'eva'", "a/b", Reason.RULE_FALSE, ""),
        ("a/$x", "user.data.x.y", "a/b", Reason.RULE_ERROR, "cannot read 'y' of undefined"),
        ("a/*", "user.data.n", "a/*", Reason.RULE_NOT_TRUE, "the rule is neither true nor false but a number"),
        ("a/*", "user.id === 'eva'", "a/*", Reason.RULE_FALSE, ""),
        ("a/*", "user.data.x.y", "a/*", Reason.RULE_ERROR, "cannot read 'y' of undefined"),
        (
            "a/$x", "user.id === 'eva'", "a/*", Reason.NOT_PROVABLE,
            "the rule for subscribe of 'a/$x' in rules.yml, line 1: it reaches some of these names and is not true for all of them",
        ),
    ],
)  # fmt: skip
def test_whatever_a_rule_denies_it_denies_with_its_reason(
    pattern: str, rule: str, name: str, reason: Reason, detail: str
) -> None:
    section = {pattern: {"subscribe": {"rule": rule, "reason": "only the owner"}}, "*": {"subscribe": True}}
    ruleset = rules(json.dumps({"event": section}))
    ask = ruleset.decide_pattern if "*" in name else ruleset.decide
    decision = ask(somebody(User("egon", {"n": 1})), SUBSCRIBE, name)
    assert (decision.reason, decision.detail, decision.reason_text) == (reason, detail, "only the owner")
    assert decision.rule is not None
    assert decision.rule.pattern == pattern


def test_no_single_rule_for_all_names_is_said() -> None:
    ruleset = rules("event: {a/$x: {subscribe: true}, a/$x/$y: {subscribe: true}}")
    decision = ruleset.decide_pattern(somebody(), SUBSCRIBE, "a/*")
    assert (decision.reason, decision.rule) == (Reason.NOT_PROVABLE, None)
    assert decision.detail == "no single rule covers every name of the wildcard"
    assert ruleset.decide_pattern(somebody(), SUBSCRIBE, "b/*").reason is Reason.NO_RULE


@pytest.mark.parametrize(
    ("wildcard", "reason"),
    [
        ("*", Reason.ALLOWED),
        ("an*", Reason.ALLOWED),
        ("*n*a", Reason.ALLOWED),
        ("an/*", Reason.INVALID_NAME),
        ("an *", Reason.INVALID_NAME),
        ("a" * 128 + "*", Reason.ALLOWED),
        ("a" * 129 + "*", Reason.INVALID_NAME),
    ],
)
def test_wildcards_of_users(wildcard: str, reason: Reason) -> None:
    ruleset = one_rule("*", "allow", True, "presence")
    assert check_pattern(ruleset, wildcard, action=Action.PRESENCE_ALLOW) is reason


def test_the_rules_of_a_section_are_its_own_in_the_order_of_the_file() -> None:
    ruleset = rules(
        "rpc: {f: {request: true}}\nevent: {b: {subscribe: true, publish: true}, a: {publish: true}}\npresence: {'*': {allow: true}}"
    )
    assert [(rule.ref.pattern, rule.ref.action) for rule in ruleset.rules_of("event")] == [
        ("b", "subscribe"), ("b", "publish"), ("a", "publish"),
    ]  # fmt: skip
    assert [rule.ref.action for rule in ruleset.rules] == ["request", "subscribe", "publish", "publish", "allow"]
    assert ruleset.rules_of("record") == ()


def test_a_rule_and_its_parts_have_the_value_that_decides() -> None:
    ruleset = rules("event: {'a/$x': {publish: 'data.n > 1 && $x === name', subscribe: true}, b: {publish: false}}")
    rule, variables = ruleset.find(PUBLISH, "a/b") or pytest.fail("no rule")
    assert variables == {"x": "b"}
    assert isinstance(rule.tree, Junction)
    asked = (somebody(), "a/b", Payload({"n": 2}), variables)
    assert ruleset.evaluate(rule, *asked) is False
    parts = [ruleset.evaluate(rule, *asked, part=rule.compiled(part)) for part in rule.tree.operands]
    assert parts == [True, False]
    for name, action, constant in (("a/b", SUBSCRIBE, True), ("b", PUBLISH, False)):
        fixed, _ = ruleset.find(action, name) or pytest.fail("no rule")
        assert ruleset.evaluate(fixed, somebody(), name, ABSENT, {"x": "b"}) is constant
    assert ruleset.find(PUBLISH, "c") is None
    with pytest.raises(InvalidName):
        ruleset.find(PUBLISH, "a//b")


@pytest.mark.interpreted  # compiled, it takes nothing but texts
def test_what_is_no_name_at_all_is_denied_before_any_rule() -> None:
    ruleset = one_rule("a", "subscribe", True)
    for ask in (ruleset.decide, ruleset.decide_pattern):
        decision = ask(somebody(), SUBSCRIBE, ["a*"])  # type: ignore[arg-type]
        assert (decision.allowed, decision.reason, decision.rule) == (False, Reason.RULE_ERROR, None)
        assert decision.detail in ("TypeError", "AttributeError")


@pytest.mark.interpreted  # compiled, it takes nothing but texts
def test_a_denial_before_any_rule_says_why() -> None:
    ruleset = one_rule("news", "subscribe", "user.id === 'egon'")
    assert ruleset.decide(somebody(), SUBSCRIBE, "a//b").detail == "the name has an empty segment"
    assert ruleset.decide_pattern(somebody(), SUBSCRIBE, 5).detail == "TypeError"  # type: ignore[arg-type]
    assert ruleset.decide_pattern(somebody(), SUBSCRIBE, "news").allowed
    assert not ruleset.decide_pattern(somebody(User("eva")), SUBSCRIBE, "news").allowed


def test_a_name_asked_before_is_not_searched_again() -> None:
    ruleset = one_rule("a/$x", "subscribe", "user.id === $x")
    assert check(ruleset, "a/egon") is Reason.ALLOWED
    ruleset._indexes.clear()
    assert check(ruleset, "a/egon") is Reason.ALLOWED
    assert check(ruleset, "a/eva") is Reason.RULE_ERROR


def test_a_part_sees_who_asks_about_which_name_and_when() -> None:
    ruleset = one_rule("a/$x", "publish", "user.id === 'egon' && name === 'a/b' && now >= 0")
    rule, variables = ruleset.find(PUBLISH, "a/b") or pytest.fail("no rule")
    assert ruleset.evaluate(rule, somebody(), "a/b", ABSENT, variables) is True
    assert ruleset.evaluate(rule, somebody(), "a/c", ABSENT, variables) is False
    assert ruleset.evaluate(rule, somebody(User("eva")), "a/b", ABSENT, variables) is False


def test_a_part_sees_the_record_as_it_was() -> None:
    ruleset = one_rule("a", "write", "oldData.n === data.n", "record")
    rule, variables = ruleset.find(Action.RECORD_WRITE, "a") or pytest.fail("no rule")
    asked = (somebody(), "a", Payload({"n": 2}), variables)
    assert ruleset.evaluate(rule, *asked, old=Payload({"n": 2})) is True
    assert ruleset.evaluate(rule, *asked, old=Payload({"n": 3})) is False


def test_nothing_written_is_denied() -> None:
    ruleset = one_rule("news", "publish", True)
    assert check(ruleset, "news") is Reason.NO_RULE
    assert check(ruleset, "olds", action=PUBLISH) is Reason.NO_RULE
    assert check_pattern(ruleset, "*") is Reason.NO_RULE
    for action in Action:
        if action is not PUBLISH:
            assert not ruleset.decide(somebody(), action, "news").allowed


def test_every_action_of_the_file_has_rules_of_its_own() -> None:
    sections: dict[str, dict[str, dict[str, bool]]] = {}
    for action in Action:
        sections.setdefault(action.section, {}).setdefault("news", {})[action.verb] = True
    ruleset = rules(json.dumps(sections))
    for action in Action:
        assert check(ruleset, "news", action=action) is Reason.ALLOWED
        sections[action.section]["news"][action.verb] = False
        assert check(rules(json.dumps(sections)), "news", action=action) is Reason.RULE_FALSE
        sections[action.section]["news"][action.verb] = True


def test_rules_see_action_name_now_and_data() -> None:
    clock = ManualClock(wall=1000.5)
    text = json.dumps(
        {"event": {"*": {"publish": "data === undefined", "subscribe": "now === 1000500 && action === 'subscribe'"}}}
    )
    ruleset = load_rules(text, "rules.yml", clock=clock)
    assert check(ruleset, "a", action=PUBLISH) is Reason.ALLOWED
    assert check(ruleset, "a", action=PUBLISH, data=None) is Reason.RULE_FALSE
    assert check(ruleset, "a") is Reason.ALLOWED
    clock.advance(1)
    assert check(ruleset, "a") is Reason.RULE_FALSE


@pytest.mark.threat("T25")
@pytest.mark.parametrize("name", ["", "a//b", "caf\u00e9", "a b", "a\n", "a*", "x" * 256])
def test_a_name_that_is_none_is_denied_by_the_widest_rules(name: str) -> None:
    ruleset = rules(
        json.dumps({s: {"*": {v: True}} for s, v in [("event", "publish"), ("rpc", "request"), ("presence", "allow")]})
    )
    for action in (PUBLISH, Action.RPC_REQUEST, Action.PRESENCE_ALLOW):
        assert check(ruleset, name, action=action) is Reason.INVALID_NAME
    assert check(ruleset, "sys:x", action=Action.RPC_REQUEST) is Reason.INVALID_NAME
    assert check(ruleset, "a/b", action=Action.PRESENCE_ALLOW) is Reason.INVALID_NAME


def test_wildcards_that_are_none_are_denied() -> None:
    ruleset = rules(json.dumps({"event": {"*": {"subscribe": True}}, "presence": {"*": {"allow": True}}}))
    for pattern in ["*//", "a*b*" * 5, "$x*", "a\n*", "xyz:*"]:
        assert check_pattern(ruleset, pattern) is Reason.INVALID_NAME
    assert check_pattern(ruleset, "*", action=Action.PRESENCE_ALLOW) is Reason.ALLOWED
    assert check_pattern(ruleset, "a/*", action=Action.PRESENCE_ALLOW) is Reason.INVALID_NAME


@pytest.mark.interpreted  # compiled, it takes nothing but texts
@pytest.mark.threat("T30")
def test_whatever_goes_wrong_is_a_denial() -> None:
    class Broken(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            raise RuntimeError("s3cret")

    ruleset = one_rule("*", "subscribe", "user.data.x === 1")
    who = somebody(User("egon", Broken()))
    for decision in (ruleset.decide(who, SUBSCRIBE, "news"), ruleset.decide_pattern(who, SUBSCRIBE, "news*")):
        assert not decision.allowed
        assert decision.reason is Reason.RULE_ERROR
        assert "s3cret" not in decision.detail
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    assert check(one_rule("*", "publish", "data == 'x'"), "a", action=PUBLISH, data=nested) is Reason.RULE_ERROR
    assert not ruleset.decide(who, SUBSCRIBE, ["unhashable"]).allowed  # type: ignore[arg-type]
    assert not ruleset.decide_pattern(who, SUBSCRIBE, None).allowed  # type: ignore[arg-type]


# Which rule applies


@pytest.mark.threat("T32")
@pytest.mark.parametrize(
    ("winner", "loser", "name"),
    [
        ("a/b", "a/b*", "a/b"),  # 1 a literal name
        ("a", "*a*", "a"),
        ("a/b/*", "a/$x/*", "a/b/c"),  # 2 more literal characters
        ("docs/*", "$aVeryLongVariableName/*", "docs/x"),
        ("a/b*", "a/*", "a/b"),
        ("a/$x", "a/*", "a/b"),  # 3 fewer stars
        ("$x/$y", "$x/*", "a/b"),
        ("a/$x", "a/*", "a/b"),
        ("a-$x$y", "a-$z", "a-bc"),  # 4 more variables
    ],
)
def test_the_more_specific_pattern_wins_wherever_it_stands(winner: str, loser: str, name: str) -> None:
    for first, second in [(winner, loser), (loser, winner)]:
        section = {first: {"subscribe": first == winner}, second: {"subscribe": second == winner}}
        decision = rules(json.dumps({"event": section})).decide(somebody(), SUBSCRIBE, name)
        assert decision.rule is not None
        assert decision.rule.pattern == winner
        assert decision.allowed


@pytest.mark.threat("T32")
def test_the_later_of_two_equally_specific_patterns_wins() -> None:
    for first, second in [("a/$x/bb", "a/bb/$x"), ("a/bb/$x", "a/$x/bb")]:
        text = json.dumps({"event": {first: {"subscribe": False}, second: {"subscribe": True}}})
        assert check(rules(text), "a/bb/bb") is Reason.ALLOWED


@pytest.mark.threat("T32")
def test_a_pattern_without_the_action_falls_through() -> None:
    ruleset = rules("event:\n  news/sport:\n    publish: false\n  news/*:\n    subscribe: true\n")
    assert check(ruleset, "news/sport") is Reason.ALLOWED
    assert check(ruleset, "news/sport", action=PUBLISH) is Reason.RULE_FALSE
    assert check(ruleset, "news/x", action=PUBLISH) is Reason.NO_RULE


@pytest.mark.threat("T24")
@pytest.mark.parametrize(
    ("pattern", "near"), [("a.b", "aXb"), ("foo", "barfoo"), ("foo", "foobar"), ("a.*", "ab"), ("foo", "FOO")]
)
def test_near_misses_are_not_matches(pattern: str, near: str) -> None:
    assert check(one_rule(pattern, "subscribe", True), near) is Reason.NO_RULE


def valid(name: str) -> bool:
    try:
        check_channel(name)
    except InvalidName:
        return False
    return True


NAMES = [name for size in range(1, 6) for name in map("".join, product("a-/", repeat=size)) if valid(name)]
USERS = [User("a", {"x": True}), User("-"), User("aa", {"x": 1})]


@st.composite
def pattern_texts(draw: st.DrawFn) -> str:
    segment = st.lists(st.sampled_from(["a", "-", "*", "$", "$"]), min_size=1, max_size=3)
    segments = draw(st.lists(segment, min_size=1, max_size=3))
    names = iter("vwxyzutsr")
    return "/".join("".join("$" + next(names) if token == "$" else token for token in tokens) for tokens in segments)


rule_values = st.sampled_from([
    True, True, True, False, "user.id === $v", "user.id === $v", "user.id !== $w", "$v === 'a'", "name === 'a/a'", "user.data.x",
    "user.data.x === true", "name.startsWith('a')", "user.isAuthenticated", "$v.length", "action === 'subscribe'",
])  # fmt: skip


def ruleset_of(entries: list[tuple[str, object]]) -> CompiledRules:
    """Rules of those entries that fit together."""
    kept: dict[str, dict[str, object]] = {"nothing/else": {"subscribe": True}}
    made = rules(json.dumps({"event": kept}))
    for pattern, value in entries:
        if pattern in kept:
            continue
        try:
            made = rules(json.dumps({"event": {**kept, pattern: {"subscribe": value}}}))
        except RuleError:
            continue
        kept[pattern] = {"subscribe": value}
    return made


files = st.lists(st.tuples(pattern_texts(), rule_values), min_size=1, max_size=5)
wildcards = st.lists(st.sampled_from(["a", "-", "/", "*", "*"]), min_size=1, max_size=5).map("".join)


def model(text: str) -> re.Pattern[str]:
    parts = re.split(r"(\*|\$[A-Za-z][A-Za-z0-9]*)", text)
    return re.compile("".join(".*" if p == "*" else "[^/]+" if p.startswith("$") else re.escape(p) for p in parts))


@pytest.mark.threat("T32")
@settings(deadline=None, max_examples=60)
@given(st.lists(pattern_texts(), min_size=1, max_size=6, unique=True))
def test_the_index_finds_what_the_table_of_precedence_says(patterns: list[str]) -> None:
    made = ruleset_of([(pattern, True) for pattern in patterns])
    index = made._indexes[SUBSCRIBE]
    kept = [rule.pattern for rule in index._ranked]
    order = {pattern: place for place, pattern in enumerate(["nothing/else", *patterns])}
    for name in NAMES:
        matching = [p for p in kept if model(p.text).fullmatch(name)]
        found = index.find(name)
        if not matching:
            assert found is None
            continue
        best = max(
            matching,
            key=lambda p: (p.text == name, p.literal_length, -p.stars, len(p.variables), order[p.text]),
        )
        assert found is not None
        assert found[0].pattern == best


@pytest.mark.threat("T32")
@settings(deadline=None, max_examples=60)
@given(files, pattern_texts(), wildcards)
def test_adding_a_deny_never_grants_and_adding_an_allow_never_takes_away(
    entries: list[tuple[str, object]], pattern: str, wildcard: str
) -> None:
    entries = [entry for entry in entries if entry[0] != pattern]
    before = ruleset_of(entries)
    for added in (True, False):
        after = ruleset_of([*entries, (pattern, added)])
        for user in USERS:
            who = somebody(user)
            pairs = [(r.decide(who, SUBSCRIBE, name).allowed for r in (before, after)) for name in NAMES[:150]]
            pairs.append(r.decide_pattern(who, SUBSCRIBE, wildcard).allowed for r in (before, after))
            for was, now in pairs:
                assert was <= now if added else now <= was


# Wildcards


@pytest.mark.threat("T21")
@settings(deadline=None, max_examples=300)
@given(files, wildcards)
def test_a_wildcard_that_is_allowed_reaches_no_name_that_is_not(
    entries: list[tuple[str, object]], wildcard: str
) -> None:
    ruleset = ruleset_of(entries)
    matches = model(wildcard)
    for user in USERS:
        if check_pattern(ruleset, wildcard, user=user) is Reason.ALLOWED:
            denied = [n for n in NAMES if matches.fullmatch(n) and check(ruleset, n, user=user) is not Reason.ALLOWED]
            assert denied == []


@pytest.mark.threat("T21")
@pytest.mark.parametrize(
    ("section", "wildcard", "reason"),
    [
        ({"news/*": True}, "news/*", Reason.ALLOWED),
        ({"news/*": True}, "news/a*b", Reason.ALLOWED),
        ({"news/*": True}, "news*", Reason.NOT_PROVABLE),
        ({"news/*": True}, "*", Reason.NOT_PROVABLE),
        ({"news/*": True}, "old/*", Reason.NO_RULE),
        ({"*": False, "news/*": True}, "news/*", Reason.ALLOWED),  # the default denies elsewhere
        ({"*": True, "news/*": False}, "*", Reason.NOT_PROVABLE),
        ({"*": True, "news/*": False}, "old*", Reason.ALLOWED),
        ({"*": True, "news/secret": False}, "news/*", Reason.NOT_PROVABLE),
        ({"*": True, "news/secret": False}, "news/s*t", Reason.NOT_PROVABLE),
        ({"*": True, "news/secret": False}, "news/p*", Reason.ALLOWED),
        ({"*": True, "$x": False}, "a*", Reason.NOT_PROVABLE),
        ({"*": True, "$x": False}, "a/*", Reason.ALLOWED),
        ({"$x": True}, "*", Reason.NOT_PROVABLE),
        ({"a/$x": True}, "a/b*", Reason.NOT_PROVABLE),  # which may hold a slash
        ({"a/*": True, "b/*": True}, "*/x", Reason.NOT_PROVABLE),
        ({"secret/*": False}, "secret/*", Reason.RULE_FALSE),
        ({"private/$u/*": "user.id === $u"}, "private/egon/*", Reason.ALLOWED),
        ({"private/$u/*": "user.id === $u"}, "private/eva/*", Reason.RULE_FALSE),
        ({"private/$u/*": "user.id === $u"}, "private/egon*", Reason.NOT_PROVABLE),
        ({"private/$u/*": "user.id === $u"}, "private/*", Reason.NOT_PROVABLE),
        ({"private/$u/*": "user.id === $u"}, "*", Reason.NOT_PROVABLE),
        ({"*/$u": "user.id === $u"}, "x/*/egon", Reason.NOT_PROVABLE),
        ({"news/*": "name !== 'news/secret'"}, "news/*", Reason.NOT_PROVABLE),
        ({"news/*": "user.data.role === 'admin'"}, "news/*", Reason.ALLOWED),
        ({"news/*": "now > 0 && action === 'subscribe'"}, "news/*", Reason.ALLOWED),
    ],
)
def test_wildcards(section: dict[str, object], wildcard: str, reason: Reason) -> None:
    text = json.dumps({"event": {pattern: {"subscribe": value} for pattern, value in section.items()}})
    assert check_pattern(rules(text), wildcard) is reason


@pytest.mark.threat("T21")
def test_a_rule_that_reads_data_proves_nothing_about_a_wildcard() -> None:
    assert check_pattern(one_rule("*", "publish", "data === undefined"), "a*", action=PUBLISH) is Reason.NOT_PROVABLE


def test_an_unproved_wildcard_names_the_rule_in_its_way() -> None:
    ruleset = rules("event:\n  '*':\n    subscribe: true\n  news/$x:\n    subscribe: name === $x\n")
    decision = ruleset.decide_pattern(somebody(), SUBSCRIBE, "news/*")
    assert decision.rule is not None
    assert decision.rule.line == 5
    assert decision.detail == (
        "the rule for subscribe of 'news/$x' in rules.yml, line 5: it reads $x, name, which differs from name to name"
    )


def test_a_pattern_without_a_star_is_a_name() -> None:
    assert check_pattern(one_rule("news", "subscribe", "name === 'news'"), "news") is Reason.ALLOWED


# Identity

user_ids = st.text(alphabet="abA.@+=~-_", min_size=1, max_size=6).filter(lambda text: not text.endswith("."))


@pytest.mark.threat("T23")
@settings(deadline=None)
@given(user_ids, user_ids)
def test_a_private_channel_is_never_anothers(mine: str, other: str) -> None:
    ruleset = one_rule("private/$userid", "subscribe", "user.id === $userid")
    expected = Reason.ALLOWED if mine == other else Reason.RULE_FALSE
    assert check(ruleset, f"private/{other}", user=User(mine)) is expected
    assert check(ruleset, f"private/{other}/x", user=User(mine)) is Reason.NO_RULE


# Memory


@pytest.mark.threat("T34")
@settings(deadline=None, max_examples=50)
@given(files, st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(USERS)), max_size=30))
def test_remembered_and_fresh_answers_are_the_same(
    entries: list[tuple[str, object]], asked: list[tuple[str, User]]
) -> None:
    remembering = ruleset_of(entries)
    for name, user in asked * 2:
        fresh = ruleset_of(entries)
        assert remembering.decide(somebody(user), SUBSCRIBE, name) == fresh.decide(somebody(user), SUBSCRIBE, name)


@pytest.mark.threat("T34")
def test_what_is_remembered_is_the_rule_and_not_the_answer() -> None:
    ruleset = one_rule("private/$u", "publish", "user.id === $u && data.ok === true")
    assert check(ruleset, "private/egon", action=PUBLISH, data={"ok": True}) is Reason.ALLOWED
    assert check(ruleset, "private/egon", action=PUBLISH, data={"ok": False}) is Reason.RULE_FALSE
    assert check(ruleset, "private/egon", action=PUBLISH, user=User("eva"), data={"ok": True}) is Reason.RULE_FALSE
    assert check(ruleset, "private/egon") is Reason.NO_RULE  # the same name, another action


@pytest.mark.threat("T34")
def test_the_memory_is_bounded_for_hits_and_misses_of_all_actions_together() -> None:
    ruleset = one_rule("a/$x", "subscribe", True)
    largest = 0
    for number in range(REMEMBERED_NAMES + 100):
        name = f"a/{number}" if number % 2 else f"b/{number}"
        assert check(ruleset, name, action=PUBLISH if number % 3 else SUBSCRIBE) is (
            Reason.ALLOWED if number % 2 and not number % 3 else Reason.NO_RULE
        )
        largest = max(largest, remembered(ruleset))
    assert largest == REMEMBERED_NAMES
    assert remembered(ruleset) == 100


@pytest.mark.threat("T34")
def test_names_that_cannot_exist_are_not_remembered() -> None:
    ruleset = one_rule("a/$x", "subscribe", True)
    assert check(ruleset, "a//b") is Reason.INVALID_NAME
    assert check(ruleset, "x" * 100_000) is Reason.INVALID_NAME
    assert remembered(ruleset) == 0


def remembered(ruleset: CompiledRules) -> int:
    return sum(map(len, ruleset._known.values()))


def test_a_version_is_of_the_text() -> None:
    first = rules("event: {a: {publish: true}}")
    assert first.version == rules("event: {a: {publish: true}}").version
    assert first.version != rules("event: {a: {publish: false}}").version


def test_it_is_the_ruleset_others_ask_for() -> None:
    ruleset: Ruleset = one_rule("a", "publish", True)
    assert ruleset.decide(somebody(), PUBLISH, "a").allowed


def test_evaluating_an_ordinary_rule_takes_well_under_a_microsecond_of_interpreter_work() -> None:
    """Pins the shape of the code rather than a time: one comparison, no call."""
    import dis

    ruleset = one_rule("private/$userid", "subscribe", "user.id === $userid")
    _, evaluate, _, _ = ruleset._find(SUBSCRIBE, "private/egon")
    assert evaluate is not None
    names = {instruction.opname for instruction in dis.get_instructions(evaluate)}
    assert "COMPARE_OP" in names
    assert not {name for name in names if name.startswith("CALL")}
    assert value_of("user.id === $userid", variables={"userid": "egon"}) is True
