from __future__ import annotations

import pytest

from tests.unit.routing.world import Member, World, refused
from trio_router.errors import LocalProtocolError
from trio_router.identity import Identity, User, new_session_id
from trio_router.limits import Limits
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action
from trio_router.protocols import codes
from trio_router.testing.peers import RecordingPeer
from trio_router.testing.rules import FixedRules

# ---- sessions -----------------------------------------------------------------------------------------------


def test_sessions_are_listed_by_their_id() -> None:
    world = World()
    anna, ben = world.join("anna"), world.join("ben")
    assert dict(world.core.sessions) == {anna.session.id: anna.session, ben.session.id: ben.session}
    world.core.detach(anna.session)
    assert list(world.core.sessions) == [ben.session.id]


@pytest.mark.threat("T54")
def test_a_session_id_is_attached_once() -> None:
    world = World()
    anna = world.join("anna")
    thief = Identity("main", anna.session.id, User("thief"))
    with pytest.raises(LocalProtocolError):
        world.core.attach(thief, RecordingPeer())
    assert world.core.sessions[anna.session.id] is anna.session


@pytest.mark.threat("T66")
def test_a_session_of_another_app_is_not_let_in() -> None:
    world, other = World(app="main"), World(app="other")
    stranger = other.join("anna")
    with pytest.raises(LocalProtocolError):
        world.core.attach(stranger.session.identity, RecordingPeer())
    for use in (
        lambda: world.core.subscribe(stranger.session, "news"),
        lambda: world.core.unsubscribe(stranger.session, "news"),
        lambda: world.core.publish(stranger.session, "news", ABSENT),
        lambda: world.core.provide(stranger.session, "sum"),
        lambda: world.core.unprovide(stranger.session, "sum"),
        lambda: world.core.call(stranger.session, "1", "sum", ABSENT, timeout=None, progress=False, disclose=False),
        lambda: world.core.cancel(stranger.session, "1"),
        lambda: world.core.result(stranger.session, "x", ABSENT, more=False),
        lambda: world.core.error(stranger.session, "x", ABSENT),
        lambda: world.core.presence_query(stranger.session, None),
        lambda: world.core.presence_subscribe(stranger.session, None),
        lambda: world.core.presence_unsubscribe(stranger.session, None),
    ):
        with pytest.raises(LocalProtocolError):
            use()
    world.core.detach(stranger.session)
    assert len(other.core.sessions) == 1


@pytest.mark.threat("T66")
def test_a_session_of_the_same_id_in_another_app_is_another_session() -> None:
    world, other = World(app="main"), World(app="other")
    mine = world.join("anna")
    theirs = other.core.attach(Identity("other", mine.session.id, User("anna")), RecordingPeer())
    world.core.subscribe(mine.session, "news")
    world.core.detach(theirs)
    with pytest.raises(LocalProtocolError):
        world.core.unsubscribe(theirs, "news")
    assert dict(world.core.sessions) == {mine.session.id: mine.session}
    assert list(mine.session.subscriptions) == ["news"]


def test_closing_all_asks_every_session() -> None:
    world = World()
    members = [world.join(f"user{i}") for i in range(3)]
    world.core.close_all(codes.RESTART, retry_after=1.5)
    assert [member.told for member in members] == [[("close", codes.RESTART, 1.5)]] * 3
    assert len(world.core.sessions) == 3


def test_a_session_shows_who_it_is_and_no_private_data() -> None:
    identity = Identity("main", new_session_id(), User("egon", data={"password": "canary"}))
    session = World().core.attach(identity, RecordingPeer())
    assert repr(session) == f"<session {identity.session_id} of main>"


# ---- new rules ----------------------------------------------------------------------------------------------


def holder(world: World) -> Member:
    """A session that holds one of everything."""
    member = world.join("holder")
    for channel in ("news", "news/*"):
        world.core.subscribe(member.session, channel)
    world.core.provide(member.session, "sum")
    world.core.presence_subscribe(member.session, ["anna"])
    return member


STANDING = {
    "subscribe": {Action.EVENT_SUBSCRIBE: ["news", "news/*"]},
    "provide": {Action.RPC_PROVIDE: True},
    "presence_subscribe": {Action.PRESENCE_ALLOW: True},
}


@pytest.mark.threat("T33")
@pytest.mark.parametrize("taken", STANDING)
def test_a_right_that_was_taken_away_ends_and_the_others_stay(taken: str) -> None:
    world = World()
    member = holder(world)
    kept = {action: rule for verb, rules in STANDING.items() if verb != taken for action, rule in rules.items()}
    world.door.replace_rules(FixedRules(kept))

    ended = world.core.reconsider()

    told = member.take()
    names = {"subscribe": ["news", "news/*"], "provide": ["sum"], "presence_subscribe": ["anna"]}
    assert told == [("revoked", taken, name, codes.DENIED, "") for name in names[taken]]
    assert ended == len(told)
    assert sorted(member.session.subscriptions) == ([] if taken == "subscribe" else ["news", "news/*"])
    assert list(member.session.offers) == ([] if taken == "provide" else ["sum"])
    assert list(member.session.watches) == ([] if taken == "presence_subscribe" else ["anna"])
    assert world.core.reconsider() == 0
    assert member.told == []


@pytest.mark.threat("T33")
def test_nothing_reaches_a_session_through_a_right_it_lost() -> None:
    world = World()
    member = holder(world)
    world.core.presence_subscribe(member.session, None)
    caller = world.join("caller")
    member.take()
    world.door.replace_rules(FixedRules({Action.EVENT_PUBLISH: True, Action.RPC_REQUEST: True}))
    world.core.reconsider()
    member.take()

    world.core.publish(caller.session, "news", Payload(1))
    world.core.publish(caller.session, "news/x", Payload(1))
    with refused(codes.NO_PROVIDER):
        world.core.call(caller.session, "1", "sum", ABSENT, timeout=None, progress=False, disclose=False)
    world.join("anna")

    assert member.told == []
    with refused(codes.NOT_SUBSCRIBED):
        world.core.unsubscribe(member.session, "news")


@pytest.mark.threat("T33")
def test_only_the_exact_loss_ends() -> None:
    world = World()
    member = holder(world)
    world.door.replace_rules(
        FixedRules({Action.EVENT_SUBSCRIBE: ["news"], Action.RPC_PROVIDE: True, Action.PRESENCE_ALLOW: True})
    )
    assert world.core.reconsider() == 1
    assert member.told == [("revoked", "subscribe", "news/*", codes.DENIED, "")]
    assert list(member.session.subscriptions) == ["news"]


@pytest.mark.threat("T33")
def test_an_answer_of_a_provider_that_lost_its_right_does_not_count() -> None:
    world = World()
    member = holder(world)
    caller = world.join("caller")
    world.core.provide(member.session, "other")
    for tag, procedure in (("1", "sum"), ("2", "other")):
        world.core.call(caller.session, tag, procedure, ABSENT, timeout=None, progress=False, disclose=False)
    lost, kept = (entry[1] for entry in member.peer.of("invoke"))
    world.door.replace_rules(FixedRules({Action.RPC_PROVIDE: ["other"]}))
    world.core.reconsider()

    assert caller.take() == [("call_failed", "1", codes.PROVIDER_LOST, "", ABSENT)]
    assert member.peer.of("interrupt") == [("interrupt", lost, "cancelled")]
    with refused(codes.UNKNOWN_CALL):
        world.core.result(member.session, lost, Payload(1), more=False)
    world.core.result(member.session, kept, Payload(2), more=False)
    assert [entry[:2] for entry in caller.told] == [("result", "2")]


def test_a_rule_that_fails_on_reconsideration_ends_the_right_with_its_own_code() -> None:
    world = World()
    member = holder(world)
    world.door.replace_rules(FixedRules({**dict.fromkeys(Action, True), Action.RPC_PROVIDE: lambda *_: 1 / 0}))
    world.core.reconsider()
    assert member.told == [("revoked", "provide", "sum", codes.RULE_FAILED, "")]


# ---- new limits ---------------------------------------------------------------------------------------------


def test_new_limits_bound_what_comes_and_leave_what_is_held() -> None:
    world = World()
    member = holder(world)
    world.core.call(member.session, "1", "sum", ABSENT, timeout=None, progress=False, disclose=False)
    world.core.replace_limits(
        Limits(
            subscriptions_per_session=1,
            procedures_per_session=1,
            calls_per_session=1,
            presence_names_per_request=1,
        )
    )
    for use in (
        lambda: world.core.subscribe(member.session, "weather"),
        lambda: world.core.provide(member.session, "product"),
        lambda: world.core.call(member.session, "2", "sum", ABSENT, timeout=None, progress=False, disclose=False),
        lambda: world.core.presence_subscribe(member.session, ["ben"]),
        lambda: world.core.presence_query(member.session, ["ben", "carl"]),
    ):
        with refused(codes.LIMIT_REACHED):
            use()
    assert sorted(member.session.subscriptions) == ["news", "news/*"]
    assert list(member.session.calls) == ["1"]
