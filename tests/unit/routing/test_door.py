from __future__ import annotations

import weakref

import pytest

from tests.unit.routing.world import World, refused
from trio_router.clock import SystemClock
from trio_router.identity import Identity, User, new_session_id
from trio_router.names import MAX_NAME
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action, Decision, Reason, RuleRef
from trio_router.protocols import codes
from trio_router.routing.decisions import DecisionBook
from trio_router.routing.door import Door, refusal
from trio_router.testing.rules import FixedRules

WHO = Identity("main", new_session_id(), User("egon", data={"level": 3}))


def test_what_the_rules_say_is_what_the_door_says() -> None:
    seen: list[object] = []

    def rule(who: Identity, name: str, data: Payload) -> object:
        seen.append((who, name, data))
        return who.user.data is not None and who.user.data["level"] == 3 and name == "news"

    door = Door(FixedRules({Action.EVENT_PUBLISH: rule}))
    data = Payload(1)
    assert door.authorize(WHO, Action.EVENT_PUBLISH, "news", data).allowed
    assert door.authorize(WHO, Action.EVENT_PUBLISH, "other").reason is Reason.RULE_FALSE
    assert door.authorize(WHO, Action.EVENT_SUBSCRIBE, "news").reason is Reason.NO_RULE
    assert seen == [(WHO, "news", data), (WHO, "other", ABSENT)]


@pytest.mark.parametrize(
    ("action", "name"),
    [
        (Action.EVENT_PUBLISH, "a//b"),
        (Action.EVENT_PUBLISH, "a*"),
        (Action.EVENT_SUBSCRIBE, "a*"),
        (Action.EVENT_SUBSCRIBE, "a/."),
        (Action.EVENT_LISTEN, "xyz:a"),
        (Action.RPC_PROVIDE, "sum "),
        (Action.RPC_REQUEST, "su*"),
        (Action.PRESENCE_ALLOW, "a/b"),
        (Action.PRESENCE_ALLOW, "*"),
        (Action.RECORD_READ, ""),
    ],
)
@pytest.mark.threat("T25")
def test_a_name_that_is_not_canonical_never_reaches_the_rules(action: Action, name: str) -> None:
    rules = FixedRules.everything()
    decision = Door(rules).authorize(WHO, action, name)
    assert (decision.allowed, decision.reason) == (False, Reason.INVALID_NAME)
    assert rules.asked == []


class _Text(str):
    """A text of which one can see whether anybody still holds it."""

    __slots__ = ("__weakref__",)


@pytest.mark.parametrize("action", [Action.EVENT_PUBLISH, Action.RPC_REQUEST, Action.PRESENCE_ALLOW])
@pytest.mark.threat("T25")
def test_a_name_of_any_length_is_refused_and_not_remembered_at_length(action: Action) -> None:
    book = DecisionBook(SystemClock(), keep=10, memory=100_000)
    door = Door(FixedRules.everything(), book=book)
    held = []
    for decide in (door.authorize, door.authorize_pattern):
        name = _Text("n" * 1_000_000)
        held.append(weakref.ref(name))
        decision = decide(WHO, action, name)
        assert decision.reason is Reason.INVALID_NAME
        assert "longer" in decision.detail
        del name
    assert [name() for name in held] == [None, None]
    assert {len(entry.name) for entry in book.recent(10)} == {MAX_NAME + 1}


@pytest.mark.parametrize("pattern", ["", "a//*", "*" + "/*" * 9, "$x/*", "a b*"])
def test_a_text_that_is_no_pattern_never_reaches_the_rules(pattern: str) -> None:
    rules = FixedRules.everything()
    decision = Door(rules).authorize_pattern(WHO, Action.EVENT_SUBSCRIBE, pattern)
    assert (decision.allowed, decision.reason) == (False, Reason.INVALID_NAME)
    assert rules.asked == []


def test_patterns_exist_for_channels_alone() -> None:
    door = Door(FixedRules.everything())
    assert door.authorize_pattern(WHO, Action.EVENT_SUBSCRIBE, "a*").allowed
    assert door.authorize_pattern(WHO, Action.RPC_REQUEST, "a*").reason is Reason.INVALID_NAME
    assert door.authorize_pattern(WHO, Action.PRESENCE_ALLOW, "a*").reason is Reason.INVALID_NAME


def test_a_user_may_be_called_like_a_kind() -> None:
    assert Door(FixedRules.everything()).authorize(WHO, Action.PRESENCE_ALLOW, "sys:egon").allowed


def test_new_rules_decide_from_then_on() -> None:
    door = Door(FixedRules({Action.EVENT_PUBLISH: ["a"]}, version="1"))
    assert door.authorize(WHO, Action.EVENT_PUBLISH, "a").allowed
    door.replace_rules(FixedRules({Action.EVENT_PUBLISH: ["b"]}, version="2"))
    assert door.rules.version == "2"
    assert not door.authorize(WHO, Action.EVENT_PUBLISH, "a").allowed
    assert door.authorize(WHO, Action.EVENT_PUBLISH, "b").allowed


def test_decisions_are_counted_by_action_and_reason() -> None:
    world = World(FixedRules({Action.EVENT_PUBLISH: ["a"], Action.EVENT_SUBSCRIBE: lambda *_: 1}))
    for name in ("a", "a", "b", "sys:a", "a//b"):
        world.door.authorize(WHO, Action.EVENT_PUBLISH, name)
    world.door.authorize_pattern(WHO, Action.EVENT_SUBSCRIBE, "a*")

    def count(action: str, reason: str) -> float:
        return world.sample("trio_router_decisions_total", action=action, reason=reason)

    assert count("event.publish", "allowed") == 2
    assert count("event.publish", "rule_false") == 1
    assert count("event.publish", "reserved") == 1
    assert count("event.publish", "invalid_name") == 1
    assert count("event.subscribe", "rule_not_true") == 1


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.RULE_FALSE, codes.DENIED),
        (Reason.RULE_NOT_TRUE, codes.DENIED),
        (Reason.NO_RULE, codes.DENIED),
        (Reason.NOT_PROVABLE, codes.DENIED),
        (Reason.RULE_ERROR, codes.RULE_FAILED),
        (Reason.RESERVED, codes.RESERVED),
    ],
)
def test_the_client_learns_a_code_and_nothing_of_the_rule(reason: Reason, code: int) -> None:
    where = RuleRef("/etc/rules.yml", 12, 5, "news/*", "publish")
    decision = Decision(allowed=False, reason=reason, rule=where, detail="user.data.secret === 'x'")
    told = refusal(Action.EVENT_PUBLISH, decision)
    assert (told.code, told.detail) == (code, "")


def test_every_reason_but_allowed_has_a_code_of_its_kind() -> None:
    for reason in set(Reason) - {Reason.ALLOWED}:
        assert refusal(Action.EVENT_PUBLISH, Decision(allowed=False, reason=reason)).code in codes.ERRORS


@pytest.mark.parametrize(
    ("verb", "field"),
    [("subscribe", "channel"), ("publish", "channel"), ("provide", "procedure"), ("presence_query", "user")],
)
def test_an_invalid_name_is_explained_without_being_repeated(verb: str, field: str) -> None:
    world = World()
    session = world.join().session
    bad = "se\u00e9cret"
    with refused(codes.INVALID_NAME) as caught:
        match verb:
            case "subscribe":
                world.core.subscribe(session, bad)
            case "publish":
                world.core.publish(session, bad, Payload(1))
            case "provide":
                world.core.provide(session, bad)
            case _:
                world.core.presence_query(session, [bad])
    assert caught.detail == f"{field}: holds a character that names do not have, at position 3"


def test_an_invalid_pattern_is_explained() -> None:
    world = World()
    with refused(codes.INVALID_NAME) as caught:
        world.core.subscribe(world.join().session, "a/" + "*/" * 9 + "b")
    assert caught.detail == "channel: more than 8 stars"
