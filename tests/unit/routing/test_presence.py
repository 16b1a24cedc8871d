from __future__ import annotations

import pytest

from tests.unit.routing.world import World, refused
from trio_router.clock import ManualClock
from trio_router.grants import Grants
from trio_router.identity import OPEN_USER_ID, Identity, User, new_session_id
from trio_router.limits import Limits
from trio_router.payload import Payload
from trio_router.permissions.decision import Action
from trio_router.permissions.loader import load_rules
from trio_router.protocols import codes
from trio_router.scope import Scope
from trio_router.testing.peers import RecordingPeer
from trio_router.testing.rules import FixedRules


def friends(who: Identity, name: str, _: Payload) -> bool:
    """A user sees those whose name starts with the same letter."""
    return name[0] == who.user.id[0]


FRIENDS = FixedRules({Action.PRESENCE_ALLOW: friends})


def test_sessions_are_counted_per_user_the_asker_included() -> None:
    world = World()
    anna, _, ben = world.join("anna"), world.join("anna"), world.join("ben")
    assert world.core.presence_query(anna.session, ["anna", "ben", "carl"]) == ({"anna": 2, "ben": 1, "carl": 0}, {})
    assert world.core.presence_query(ben.session, None) == ({"anna": 2, "ben": 1}, {})
    world.core.detach(anna.session)
    assert world.core.presence_query(ben.session, None) == ({"anna": 1, "ben": 1}, {})


def test_nobody_is_asked_for() -> None:
    world = World()
    anna = world.join("anna")
    assert world.core.presence_query(anna.session, []) == ({}, {})
    assert world.core.presence_subscribe(anna.session, []) == {}
    world.core.presence_unsubscribe(anna.session, [])


def test_joining_and_leaving_is_told_with_the_number_of_sessions() -> None:
    world = World()
    anna = world.join("anna")
    assert world.core.presence_subscribe(anna.session, ["ben"]) == {}
    ben = world.join("ben")
    again = world.join("ben")
    world.join("carl")
    world.core.detach(ben.session)
    world.core.detach(again.session)
    assert anna.told == [
        ("presence", "ben", "joined", 1),
        ("presence", "ben", "joined", 2),
        ("presence", "ben", "left", 1),
        ("presence", "ben", "left", 0),
    ]


def test_a_session_that_is_not_to_be_seen_takes_part_and_nobody_sees_it() -> None:
    world = World()
    anna = world.join("anna")
    world.core.presence_subscribe(anna.session, None)
    peer = RecordingPeer()
    ben = world.core.attach(Identity("main", new_session_id(), User("ben")), peer, present=False)
    assert world.core.presence_query(ben, None) == ({"anna": 1}, {})
    world.core.presence_subscribe(ben, ["anna"])
    world.join("anna")
    assert peer.told == [("presence", "anna", "joined", 2)]
    world.core.detach(ben)
    world.core.detach(ben)
    world.join("anna")
    assert len(peer.told) == 1
    assert [told for told in anna.told if told[1] == "ben"] == []


def test_a_watcher_is_told_about_other_sessions_of_its_own_user() -> None:
    world = World()
    anna = world.join("anna")
    world.core.presence_subscribe(anna.session, ["anna"])
    world.join("anna")
    assert anna.told == [("presence", "anna", "joined", 2)]


def test_watching_a_user_and_everybody_tells_a_change_once() -> None:
    world = World()
    anna = world.join("anna")
    world.core.presence_subscribe(anna.session, ["ben"])
    world.core.presence_subscribe(anna.session, None)
    world.join("ben")
    world.join("carl")
    assert anna.take() == [("presence", "ben", "joined", 1), ("presence", "carl", "joined", 1)]
    world.core.presence_unsubscribe(anna.session, ["ben"])
    world.join("ben")
    assert anna.told == [("presence", "ben", "joined", 2)]


@pytest.mark.threat("T22")
def test_denied_names_are_named_and_neither_answered_nor_watched() -> None:
    world = World(FRIENDS)
    anna = world.join("anna")
    world.join("ben")
    assert world.core.presence_query(anna.session, ["ben", "adam", "bob"]) == ({"adam": 0}, {"ben": "", "bob": ""})
    assert world.core.presence_subscribe(anna.session, ["ben", "adam"]) == {"ben": ""}
    world.join("ben")
    world.join("adam")
    assert anna.told == [("presence", "adam", "joined", 1)]


@pytest.mark.threat("T22")
def test_everybody_means_everybody_the_asker_may_see() -> None:
    world = World(FRIENDS)
    anna, ben = world.join("anna"), world.join("ben")
    assert world.core.presence_query(anna.session, None) == ({"anna": 1}, {})
    world.core.presence_subscribe(anna.session, None)
    world.core.presence_subscribe(ben.session, None)
    adam = world.join("adam")
    world.core.detach(adam.session)
    bob = world.join("bob")
    world.core.detach(bob.session)
    assert anna.told == [("presence", "adam", "joined", 1), ("presence", "adam", "left", 0)]
    assert ben.told == [("presence", "bob", "joined", 1), ("presence", "bob", "left", 0)]


def test_a_name_asked_for_twice_is_one_name() -> None:
    rules = FixedRules.everything()
    world = World(rules)
    anna = world.join("anna")
    assert world.core.presence_query(anna.session, ["ben", "ben"]) == ({"ben": 0}, {})
    assert world.core.presence_subscribe(anna.session, ["ben", "ben"]) == {}
    world.join("ben")
    assert anna.told == [("presence", "ben", "joined", 1)]
    assert len(rules.asked) == 2


def test_an_invalid_name_refuses_the_request_as_a_whole() -> None:
    world = World()
    anna = world.join("anna")
    with refused(codes.INVALID_NAME):
        world.core.presence_subscribe(anna.session, ["ben", "b/*"])
    world.join("ben")
    assert anna.told == []


def test_watching_again_adds_what_is_new_and_is_refused_if_nothing_is() -> None:
    world = World()
    anna = world.join("anna")
    world.core.presence_subscribe(anna.session, ["ben"])
    with refused(codes.ALREADY_SUBSCRIBED):
        world.core.presence_subscribe(anna.session, ["ben"])
    assert world.core.presence_subscribe(anna.session, ["ben", "carl"]) == {}
    world.core.presence_subscribe(anna.session, None)
    with refused(codes.ALREADY_SUBSCRIBED):
        world.core.presence_subscribe(anna.session, None)
    world.join("ben")
    assert anna.told == [("presence", "ben", "joined", 1)]


def test_unwatching_takes_what_is_watched_and_is_refused_if_nothing_is() -> None:
    world = World(FRIENDS)
    anna = world.join("anna")
    with refused(codes.NOT_SUBSCRIBED):
        world.core.presence_unsubscribe(anna.session, ["adam"])
    with refused(codes.NOT_SUBSCRIBED):
        world.core.presence_unsubscribe(anna.session, None)
    world.core.presence_subscribe(anna.session, ["adam", "ben"])
    world.core.presence_unsubscribe(anna.session, ["adam", "ben"])  # as subscribed, the denied name included
    world.core.presence_subscribe(anna.session, None)
    world.core.presence_unsubscribe(anna.session, None)
    world.join("adam")
    assert anna.told == []
    assert world.core.presence.watched == 0


def test_names_per_request_and_names_per_session_are_bounded() -> None:
    world = World(limits=Limits(presence_names_per_request=2, subscriptions_per_session=3))
    session = world.join("anna").session
    for verb in (world.core.presence_query, world.core.presence_subscribe, world.core.presence_unsubscribe):
        with refused(codes.LIMIT_REACHED):
            verb(session, ["a", "b", "c"])
    world.core.presence_subscribe(session, ["a", "b"])
    with refused(codes.LIMIT_REACHED):
        world.core.presence_subscribe(session, ["c", "d"])
    world.core.presence_subscribe(session, ["b", "c"])
    assert sorted(session.watches) == ["a", "b", "c"]


def test_those_who_did_not_say_who_they_are_count_as_one_user() -> None:
    world = World(FixedRules({Action.PRESENCE_ALLOW: lambda who, name, data: name != "open" or who.user.id == "root"}))
    anna, root = world.join("anna"), world.join("root")
    for _ in range(2):
        identity = Identity("main", new_session_id(), User(OPEN_USER_ID, is_authenticated=False))
        world.core.attach(identity, RecordingPeer())
    assert world.core.presence_query(root.session, None)[0] == {"anna": 1, "root": 1, "open": 2}
    assert world.core.presence_query(anna.session, None)[0] == {"anna": 1, "root": 1}


def test_whoever_leaves_is_told_nothing_more_and_leaves_nothing_behind() -> None:
    world = World()
    anna = world.join("anna")
    world.core.presence_subscribe(anna.session, ["ben", "anna"])
    world.core.presence_subscribe(anna.session, None)
    world.core.detach(anna.session)
    ben = world.join("ben")
    assert anna.told == []
    world.core.detach(ben.session)
    assert world.is_empty()


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ('"*": {allow: true}', None),
        ('"*": {allow: false}', codes.DENIED),
        ('"*": {allow: user.id === "anna"}', None),
        ('"*": {allow: user.id === "ben"}', codes.DENIED),
        ('"*": {allow: name === user.id}', None),  # that depends on whom
        ("$user: {allow: $user === user.id}", None),
        ('"*": {allow: false}\n  ben: {allow: true}', codes.DENIED),
        ("ben: {allow: true}", None),
        ('"*": {allow: user.data.x.y}', codes.RULE_FAILED),
    ],
)
def test_presence_of_everybody_is_refused_if_the_rules_certainly_deny_it(rules: str, code: int | None) -> None:
    world = World(load_rules(f"presence:\n  {rules}\n", "rules.yml", clock=ManualClock()))
    anna = world.join("anna")
    if code is None:
        world.core.presence_of_everybody(anna.session)
    else:
        with refused(code):
            world.core.presence_of_everybody(anna.session)


def test_presence_of_everybody_needs_the_grant_and_the_permission() -> None:
    world = World()
    for code, identity in (
        (codes.KEY_GRANT, Identity("main", new_session_id(), User("a"), key="k", grants=Grants(presence=False))),
        (codes.DENIED, Identity("main", new_session_id(), User("b"), scope=Scope.of(["subscribe"], None))),
    ):
        session = world.core.attach(identity, RecordingPeer())
        with refused(code):
            world.core.presence_of_everybody(session)
