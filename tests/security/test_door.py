"""The door from an attacker's side: reserved names, other ways in, forged identity, deliveries nobody allowed."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from tests.unit.routing.world import Member, World, refused
from trio_router.errors import Refused
from trio_router.grants import GRANTS, Grants
from trio_router.identity import Identity, User
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action, Reason
from trio_router.protocols import codes
from trio_router.routing.door import refusal
from trio_router.testing.rules import FixedRules

# ---- grants of the app key: an upper bound ---------------------------------------------------------------------

GRANT_OF = {
    Action.EVENT_PUBLISH: "publish",
    Action.EVENT_SUBSCRIBE: "subscribe",
    Action.EVENT_LISTEN: "subscribe",
    Action.RPC_PROVIDE: "rpc",
    Action.RPC_REQUEST: "rpc",
    Action.PRESENCE_ALLOW: "presence",
    Action.RECORD_CREATE: "publish",
    Action.RECORD_READ: "subscribe",
    Action.RECORD_WRITE: "publish",
    Action.RECORD_DELETE: "publish",
    Action.RECORD_LISTEN: "subscribe",
    Action.RECORD_NOTIFY: "subscribe",
}


def keyed(grants: Grants | None) -> Identity:
    return Identity("main", "s", User("key:k"), strategy="key", key="k", grants=grants)


@pytest.mark.parametrize("grant", GRANTS)
@pytest.mark.parametrize("action", list(Action))
def test_each_action_needs_its_own_grant_and_no_other(action: Action, grant: str) -> None:
    rules = FixedRules.everything()
    door = World(rules).door
    without = keyed(Grants(**{grant: False}))
    alone = keyed(Grants.only([grant]))
    needed = GRANT_OF[action] == grant
    assert door.authorize(without, action, "news").allowed is not needed
    assert door.authorize(alone, action, "news").allowed is needed
    if action is Action.EVENT_SUBSCRIBE:
        assert door.authorize_pattern(without, action, "news/*").allowed is not needed
        assert door.authorize_pattern(alone, action, "news/*").allowed is needed
    decision = door.authorize(keyed(Grants.only([])), action, "news")
    assert decision.reason is Reason.KEY_GRANT
    with pytest.raises(Refused) as caught:
        raise refusal(action, decision)
    assert caught.value.code == codes.KEY_GRANT


def test_what_a_key_does_not_grant_never_reaches_the_rules_and_grants_give_nothing_rules_deny() -> None:
    rules = FixedRules.everything()
    World(rules).door.authorize(keyed(Grants.only([])), Action.EVENT_PUBLISH, "news")
    assert rules.asked == []
    closed = World(FixedRules({})).door
    for action in Action:
        for grants in (Grants(), None):
            assert not closed.authorize(keyed(grants), action, "news").allowed


# ---- T26: reserved names ------------------------------------------------------------------------------------

CHANNEL_VERBS: dict[str, Callable[[World, Member, str], object]] = {
    "subscribe": lambda world, member, name: world.core.subscribe(member.session, name),
    "publish": lambda world, member, name: world.core.publish(member.session, name, Payload(1)),
}
PROCEDURE_VERBS: dict[str, Callable[[World, Member, str], object]] = {
    "provide": lambda world, member, name: world.core.provide(member.session, name),
    "call": lambda world, member, name: world.core.call(
        member.session, "1", name, ABSENT, timeout=None, progress=False, disclose=False
    ),
}
RESERVED = [
    *((verb, f"{kind}:{rest}") for verb in CHANNEL_VERBS for kind in ("pvt", "prs", "sys") for rest in ("x", "a/b", "a:b")),
    *((verb, f"{kind}:{rest}") for verb in PROCEDURE_VERBS for kind in ("pvt", "prs") for rest in ("x", "a/b", "a:b")),
    *(("subscribe", f"{kind}:{rest}") for kind in ("pvt", "prs", "sys") for rest in ("*", "x*", "*/x")),
    *((verb, f"trio-router/{rest}") for verb in PROCEDURE_VERBS for rest in ("trust-token", "x", "a/b")),
]  # fmt: skip
STRATEGIES = ("open", "users", "webhook", "jwt")


@pytest.mark.threat("T26")
@pytest.mark.parametrize(("verb", "name"), RESERVED)
def test_no_verb_reaches_a_reserved_name_even_where_the_rules_allow_everything(verb: str, name: str) -> None:
    rules = FixedRules.everything()
    world = World(rules)
    member = world.join()
    with refused(codes.RESERVED):
        (CHANNEL_VERBS | PROCEDURE_VERBS)[verb](world, member, name)
    assert rules.asked == []
    assert member.told == []
    assert not member.session.subscriptions
    assert not member.session.offers


@pytest.mark.threat("T26")
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("action", [action for action in Action if action is not Action.PRESENCE_ALLOW])
@pytest.mark.parametrize("kind", ["pvt", "prs", "sys"])
def test_no_action_and_no_way_to_log_in_opens_a_reserved_name(action: Action, kind: str, strategy: str) -> None:
    world = World()
    who = Identity("main", "s", User("root", data={"admin": True}), strategy=strategy)
    assert not world.door.authorize(who, action, f"{kind}:x").allowed
    assert not world.door.authorize_pattern(who, action, f"{kind}:*").allowed


@pytest.mark.threat("T26")
@pytest.mark.parametrize("verb", PROCEDURE_VERBS)
@pytest.mark.parametrize("is_server", [False, True])
def test_no_app_key_opens_the_routers_own_procedures(verb: str, is_server: bool) -> None:
    world = World()
    member = world.join()
    member.session.identity = attrs.evolve(member.session.identity, key="k1", is_server=is_server)
    with refused(codes.RESERVED):
        PROCEDURE_VERBS[verb](world, member, "trio-router/trust-token")


@pytest.mark.threat("T26")
@pytest.mark.parametrize("spelling", ["SYS:x", "Sys:x", " sys:x", "sys:", ":x", "/sys:x", "sys\u2236x", "s*:x", "*:x"])
@pytest.mark.parametrize("verb", [*CHANNEL_VERBS, *PROCEDURE_VERBS])
def test_another_spelling_of_a_reserved_name_is_no_name(verb: str, spelling: str) -> None:
    world = World()
    with refused(codes.INVALID_NAME):
        (CHANNEL_VERBS | PROCEDURE_VERBS)[verb](world, world.join(), spelling)


# ---- T35: exactly one decision ------------------------------------------------------------------------------


def served() -> tuple[World, FixedRules, Member]:
    """A world in which ``sum`` is provided and one session holds ``held`` and watches ``anna``."""
    rules = FixedRules.everything()
    world = World(rules)
    member = world.join("member")
    world.core.provide(world.join("server").session, "sum")
    world.core.subscribe(member.session, "held")
    world.core.presence_subscribe(member.session, ["anna"])
    world.core.call(member.session, "open", "sum", ABSENT, timeout=None, progress=False, disclose=False)
    rules.asked.clear()
    return world, rules, member


OPERATIONS: dict[str, tuple[Callable[[World, Member], object], list[tuple[Action, str]]]] = {
    "publish": (lambda w, m: w.core.publish(m.session, "held", Payload(1)), [(Action.EVENT_PUBLISH, "held")]),
    "publish to nobody": (lambda w, m: w.core.publish(m.session, "x", Payload(1)), [(Action.EVENT_PUBLISH, "x")]),
    "subscribe": (lambda w, m: w.core.subscribe(m.session, "news"), [(Action.EVENT_SUBSCRIBE, "news")]),
    "subscribe a pattern": (lambda w, m: w.core.subscribe(m.session, "n*"), [(Action.EVENT_SUBSCRIBE, "n*")]),
    "subscribe again": (lambda w, m: w.core.subscribe(m.session, "held"), [(Action.EVENT_SUBSCRIBE, "held")]),
    "unsubscribe": (lambda w, m: w.core.unsubscribe(m.session, "held"), []),
    "provide": (lambda w, m: w.core.provide(m.session, "mul"), [(Action.RPC_PROVIDE, "mul")]),
    "unprovide": (lambda w, m: w.core.unprovide(m.session, "mul"), []),
    "call": (
        lambda w, m: w.core.call(m.session, "1", "sum", ABSENT, timeout=None, progress=False, disclose=False),
        [(Action.RPC_REQUEST, "sum")],
    ),
    "call of nobody": (
        lambda w, m: w.core.call(m.session, "1", "mul", ABSENT, timeout=None, progress=False, disclose=False),
        [(Action.RPC_REQUEST, "mul")],
    ),
    "cancel": (lambda w, m: w.core.cancel(m.session, "open"), []),
    "query": (
        lambda w, m: w.core.presence_query(m.session, ["anna", "ben", "anna"]),
        [(Action.PRESENCE_ALLOW, "anna"), (Action.PRESENCE_ALLOW, "ben")],
    ),
    "query everybody": (
        lambda w, m: w.core.presence_query(m.session, None),
        [(Action.PRESENCE_ALLOW, "member"), (Action.PRESENCE_ALLOW, "server")],
    ),
    "watch": (
        lambda w, m: w.core.presence_subscribe(m.session, ["anna", "ben"]),
        [(Action.PRESENCE_ALLOW, "anna"), (Action.PRESENCE_ALLOW, "ben")],
    ),
    "watch everybody": (lambda w, m: w.core.presence_subscribe(m.session, None), []),
    "unwatch": (lambda w, m: w.core.presence_unsubscribe(m.session, ["anna"]), []),
    "decide again": (
        lambda w, m: w.core.reconsider(),
        [(Action.EVENT_SUBSCRIBE, "held"), (Action.RPC_PROVIDE, "sum"), (Action.PRESENCE_ALLOW, "anna")],
    ),
}


@pytest.mark.threat("T35")
@pytest.mark.parametrize("operation", OPERATIONS)
def test_each_operation_asks_once_for_each_name(operation: str) -> None:
    world, rules, member = served()
    act, expected = OPERATIONS[operation]
    try:
        act(world, member)
    except Refused as exc:
        assert exc.code not in {codes.DENIED, codes.RULE_FAILED}
    asked = [(action, name) for _, action, name in rules.asked]
    assert sorted(asked, key=repr) == sorted(expected, key=repr)


@pytest.mark.threat("T35")
@pytest.mark.parametrize("operation", [name for name, (_, expected) in OPERATIONS.items() if expected])
def test_each_operation_is_stopped_by_a_no(operation: str) -> None:
    world, _, member = served()
    server = next(session for session in world.core.sessions.values() if session.identity.user.id == "server")
    told = len(server.peer.told)  # type: ignore[attr-defined]
    world.door.replace_rules(FixedRules({}))
    act, _ = OPERATIONS[operation]
    try:
        answer = act(world, member)
    except Refused as exc:
        assert exc.code == codes.DENIED
    else:
        # Verbs that decide name by name do not fail as a whole: they name what is denied, or what has ended.
        assert answer in (({}, {"anna": "", "ben": ""}), ({}, {}), {"anna": "", "ben": ""}, 3)
    assert not member.peer.events
    assert list(member.session.subscriptions) in (["held"], [])
    assert not member.session.offers
    assert set(member.session.watches) <= {"anna"}
    if operation != "decide again":
        assert len(server.peer.told) == told  # type: ignore[attr-defined]


# ---- T27: the router never acts for a client without asking as that client ----------------------------------


@pytest.mark.threat("T27")
def test_an_answer_can_go_nowhere_but_to_the_recorded_caller() -> None:
    """What a payload says about where to reply is data; an answer asks nobody and creates no publication."""
    rules = FixedRules({Action.RPC_PROVIDE: True, Action.RPC_REQUEST: True, Action.EVENT_SUBSCRIBE: True})
    world = World(rules)
    caller, provider, victim = world.join("caller"), world.join("provider"), world.join("victim")
    world.core.provide(provider.session, "sum")
    world.core.subscribe(victim.session, "secret")
    forged = Payload({"reply_to": "secret", "tag": "2", "session": victim.session.id})
    world.core.call(caller.session, "1", "sum", forged, timeout=None, progress=False, disclose=False)
    world.core.result(provider.session, provider.told[0][1], forged, more=False)
    assert victim.told == []
    assert [entry[:2] for entry in caller.told] == [("result", "1")]
    assert Action.EVENT_PUBLISH not in {action for _, action, _ in rules.asked}


@pytest.mark.threat("T27")
def test_every_question_is_asked_as_the_session_that_acts() -> None:
    rules = FixedRules.everything()
    world = World(rules)
    anna, ben = world.join("anna"), world.join("ben")
    world.core.presence_subscribe(ben.session, None)
    world.core.provide(ben.session, "sum")
    rules.asked.clear()
    world.core.publish(anna.session, "news", Payload({"user": "ben"}), disclose=True)
    world.core.call(anna.session, "1", "sum", Payload({"user": "ben"}), timeout=None, progress=False, disclose=True)
    assert {session for session, _, _ in rules.asked} == {anna.session.id}
    rules.asked.clear()
    world.join("carl")
    assert rules.asked == [(ben.session.id, Action.PRESENCE_ALLOW, "carl")]


# ---- T22: every kind of delivery is covered by a decision on the concrete name -------------------------------


DELIVERIES: dict[str, Action] = {
    "event, exact": Action.EVENT_SUBSCRIBE,
    "event, wildcard": Action.EVENT_SUBSCRIBE,
    "call": Action.RPC_PROVIDE,
    "presence snapshot, named": Action.PRESENCE_ALLOW,
    "presence snapshot, everybody": Action.PRESENCE_ALLOW,
    "presence change, named": Action.PRESENCE_ALLOW,
    "presence change, everybody": Action.PRESENCE_ALLOW,
}
DECISIONS = {
    "allowed": True,
    "false": False,
    "not true": lambda *_: "yes",
    "error": lambda *_: 1 / 0,
    "absent": None,
    "another name": ["other"],
}


@pytest.mark.threat("T22")
@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("kind", DELIVERIES)
def test_nothing_is_delivered_that_a_check_of_its_name_would_not_allow(kind: str, decision: str) -> None:
    rule = DECISIONS[decision]
    rules = dict.fromkeys(Action, True)
    del rules[DELIVERIES[kind]]
    world = World(FixedRules(rules | ({} if rule is None else {DELIVERIES[kind]: rule})))  # type: ignore[arg-type]
    member = world.join("member")
    name = "target"
    learnt: object = None

    try:
        match kind:
            case "event, exact":
                world.core.subscribe(member.session, name)
            case "event, wildcard":
                world.core.subscribe(member.session, "targ*")
            case "call":
                world.core.provide(member.session, name)
            case "presence change, named":
                world.core.presence_subscribe(member.session, [name])
            case "presence change, everybody":
                world.core.presence_subscribe(member.session, None)
    except Refused as exc:
        assert exc.code in {codes.DENIED, codes.RULE_FAILED}

    other = world.join(name)
    match kind:
        case "event, exact" | "event, wildcard":
            world.core.publish(other.session, name, Payload(1))
        case "call":
            try:
                world.core.call(other.session, "1", name, ABSENT, timeout=None, progress=False, disclose=False)
            except Refused as exc:
                assert exc.code == codes.NO_PROVIDER
        case "presence snapshot, named":
            learnt = world.core.presence_query(member.session, [name])[0]
        case "presence snapshot, everybody":
            learnt = world.core.presence_query(member.session, None)[0].get(name)

    assert bool(member.told or learnt) is (decision == "allowed")


# ---- T28: identity ------------------------------------------------------------------------------------------


@pytest.mark.threat("T28")
def test_what_others_are_told_about_a_session_cannot_be_changed() -> None:
    world = World()
    member = world.join("egon")
    with pytest.raises(AttributeError):
        member.session.publisher.user = "root"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        member.session.identity.user.id = "root"  # type: ignore[misc]
