"""A logged-in session: every verb to the core and back, errors that keep the connection, and those that do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.unit.session.conftest import MemoryLink, Scripted, World, settle
from trio_router.auth.strategy import Accepted
from trio_router.identity import User
from trio_router.limits import Limits
from trio_router.permissions.decision import Action
from trio_router.protocols import codes, messages
from trio_router.protocols.native.machine import RECEIVED, REQUESTS, State
from trio_router.session.connection import VERBS
from trio_router.session.link import LinkClosed
from trio_router.testing.rules import FixedRules

Make = Callable[..., World]


def test_every_verb_of_a_live_session_has_its_place() -> None:
    assert set(VERBS) | {messages.Refresh} == set(REQUESTS)


async def ask(link: MemoryLink, **message: Any) -> dict[str, Any]:
    link.say(**message)
    await settle()
    return link.last


async def test_events(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world()
    ann, bob = await world.user("ann"), await world.user("bob")
    assert await ask(ann, type="subscribe", id="1", channel="a") == {"type": "done", "id": "1"}
    assert await ask(bob, type="subscribe", id="1", channel="a") == {"type": "done", "id": "1"}
    before = len(bob.told)
    await ask(bob, type="publish", id="2", channel="a", data=[1], disclose=True)
    done, event = bob.told[before:]  # accepted before it is delivered
    assert done == {"type": "done", "id": "2"}
    assert event == ann.last
    assert (event["channel"], event["data"], event["publisher"]["user"]) == ("a", [1], "bob")
    assert ann.frames[-1] is bob.frames[-1]  # encoded once, shared
    assert (await ask(ann, type="unsubscribe", id="3", channel="a"))["type"] == "done"
    assert (await ask(ann, type="unsubscribe", id="4", channel="a"))["error"] == "not_subscribed"
    assert ann.closed is None


async def test_calls(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world()
    caller, provider = await world.user("ann"), await world.user("bob")
    assert (await ask(provider, type="provide", id="1", procedure="add"))["type"] == "done"
    await ask(caller, type="call", id="c", procedure="add", data=[1, 2], progress=True, timeout=5000)
    invoke = provider.last
    assert (invoke["type"], invoke["procedure"], invoke["data"], invoke["timeout"]) == ("invoke", "add", [1, 2], 5000)
    await ask(provider, type="result", call=invoke["call"], data=1, more=True)
    await ask(provider, type="result", call=invoke["call"], data=3)
    assert [(result["id"], result["data"]) for result in caller.of("result")] == [("c", 1), ("c", 3)]
    late = await ask(provider, type="result", call=invoke["call"], data=4)
    assert (late["error"], late["verb"], late["name"]) == ("unknown_call", "result", invoke["call"])
    await ask(caller, type="call", id="d", procedure="add")
    await ask(provider, type="error", call=provider.last["call"], data="no")
    assert (caller.last["error"], caller.last["id"], caller.last["data"]) == ("provider_error", "d", "no")
    await ask(caller, type="call", id="e", procedure="add")
    assert (await ask(caller, type="cancel", id="e"))["error"] == "call_cancelled"
    assert provider.last["type"] == "interrupt"
    await ask(caller, type="call", id="f", procedure="add", timeout=100)
    await trio.sleep(1)
    assert (caller.last["error"], caller.last["id"]) == ("call_timeout", "f")
    await ask(provider, type="unprovide", id="2", procedure="add")
    assert (await ask(caller, type="call", id="g", procedure="add"))["error"] == "no_provider"


async def test_listening(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world()
    provider, reader = await world.user("ann"), await world.user("bob")
    await ask(reader, type="subscribe", id="1", channel="clock/utc")
    before = len(provider.told)
    await ask(provider, type="listen", id="1", pattern="^clock/")
    place = {"pattern": "^clock/", "channel": "clock/utc"}
    assert provider.told[before:] == [{"type": "done", "id": "1"}, {"type": "listen_found", **place}]
    await ask(provider, type="listen_accept", **place)
    late = await ask(provider, type="listen_accept", **place)
    assert (late["error"], late["verb"], late["name"]) == ("not_asked", "listen_accept", "clock/utc")
    await ask(provider, type="publish", channel="clock/utc", data="12:00")
    assert reader.last["data"] == "12:00"
    await ask(reader, type="unsubscribe", id="2", channel="clock/utc")
    assert provider.last == {"type": "listen_removed", **place}
    await ask(reader, type="subscribe", id="3", channel="clock/utc")
    await ask(provider, type="listen_reject", **place)
    await ask(reader, type="subscribe", id="4", channel="clock/mars")
    await trio.sleep(1)
    assert provider.last == {"type": "listen_timeout", "pattern": "^clock/", "channel": "clock/mars"}
    wrong = await ask(provider, type="listen", id="2", pattern="(a")
    assert (wrong["error"], wrong["detail"]) == ("invalid_pattern", "pattern: this ( is never closed (at character 1)")
    assert (await ask(provider, type="unlisten", id="3", pattern="^clock/"))["type"] == "done"
    assert (await ask(provider, type="unlisten", id="4", pattern="^clock/"))["error"] == "not_listening"


async def test_a_rejected_call(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world()
    caller, one, two = await world.user("ann"), await world.user("bob"), await world.user("cleo")
    for provider in (one, two):
        await ask(provider, type="provide", id="1", procedure="add")
    await ask(caller, type="call", id="c", procedure="add")
    await ask(one, type="reject", call=one.last["call"])
    late = await ask(one, type="reject", call=one.of("invoke")[0]["call"])
    assert (late["error"], late["verb"]) == ("unknown_call", "reject")
    await ask(two, type="result", call=two.last["call"], data=3)
    assert (caller.last["id"], caller.last["data"]) == ("c", 3)


async def test_presence(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world()
    ann = await world.user("ann")
    assert (await ask(ann, type="presence_subscribe", id="1"))["type"] == "done"
    bob = await world.user("bob")
    assert ann.last == {"type": "presence_change", "user": "bob", "change": "joined", "sessions": 1}
    state = await ask(ann, type="presence_query", id="2", users=["bob", "eve"])
    assert (state["type"], state["users"]) == ("presence", {"bob": 1, "eve": 0})
    bob.hang_up()
    await settle()
    assert ann.last["change"] == "left"
    assert (await ask(ann, type="presence_unsubscribe", id="3"))["type"] == "done"


async def test_names_that_may_not_be_watched_are_named(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world(rules=FixedRules({Action.PRESENCE_ALLOW: {"bob"}}))
    ann = await world.user("ann")
    answer = await ask(ann, type="presence_subscribe", id="1", users=["bob", "eve"])
    assert (answer["id"], answer["denied"]) == ("1", ["eve"])


async def test_a_refusal_keeps_the_connection(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world(rules=FixedRules({}))
    link = await world.user()
    for number in range(50):  # a refusal is no invalid message
        refused = await ask(link, type="subscribe", id=f"n{number}", channel="a")
        assert (refused["error"], refused["id"]) == ("denied", f"n{number}")
    refused = await ask(link, type="publish", channel="a")
    assert (refused["error"], refused["verb"], refused["name"]) == ("denied", "publish", "a")
    assert "id" not in refused
    assert await ask(link, type="ping", id="p") == {"type": "pong", "id": "p"}


async def test_bad_messages_are_answered_and_then_there_is_an_end(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world(limits=attrs.evolve(Limits(), invalid_messages=3))
    link = await world.user()
    assert (await ask(link, type="login", id="again"))["error"] == "already_logged_in"
    link.put('{"type":"subscribe","id":"s","channel":7}')
    await settle()
    assert (link.last["error"], link.last["id"], link.last["detail"]) == (
        "invalid_message",
        "s",
        "channel: expected a string, got an integer",
    )
    link.put("[" * 100_000)
    await settle()
    assert link.last["error"] == "invalid_message"
    assert (await ask(link, type="ping", id="p"))["type"] == "pong"
    link.put("")
    await settle()
    assert link.closed is codes.INVALID_MESSAGES
    assert link.last == {
        "type": "closing",
        "code": 4502,
        "close": "invalid_messages",
        "text": codes.INVALID_MESSAGES.text,
        "advice": "stop",
    }
    assert not world.core.sessions


async def test_binary_is_not_understood(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world()
    link = await world.user()
    link.put(b"{}")
    await settle()
    assert link.closed is codes.UNSUPPORTED_DATA


@pytest.mark.parametrize(
    ("closed", "slug"),
    [
        (LinkClosed(1000), "peer"),
        (LinkClosed(4999), "peer"),
        (LinkClosed(None), "lost"),
        (LinkClosed(None, codes.SLOW), "slow"),
        (LinkClosed(None, codes.TOO_BIG), "too_big"),
    ],
)
async def test_how_it_ended_is_counted_by_words_of_ours(
    make_world: Make, autojump_clock: MockClock, closed: LinkClosed, slug: str
) -> None:
    world = make_world()
    link = await world.user()
    link.put(closed)
    await settle()
    assert world.closes(slug) == 1
    assert not world.core.sessions
    assert world.server.sessions == 0
    assert world.metrics.connections.labels("live")._value.get() == 0


async def test_the_core_can_end_a_session_and_the_first_reason_counts(
    make_world: Make, autojump_clock: MockClock
) -> None:
    world = make_world()
    link, other = await world.user("ann"), await world.user("bob")
    (session, _) = world.core.sessions.values()
    session.peer.close(codes.REVOKED)
    session.peer.close(codes.RESTART, retry_after=3.0)
    await settle()
    assert link.closed is codes.REVOKED
    assert (link.last["code"], link.last["advice"]) == (4101, "login_again")
    assert other.closed is None


@pytest.mark.threat("T12")
async def test_a_slow_session_leaves_the_core_in_the_same_moment(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world()
    slow, other = await world.user("slow"), await world.user("other")
    slow.say(type="provide", id="1", procedure="p")
    await settle()
    assert slow.on_slow is not None
    slow.on_slow()
    await settle()
    assert slow.closed is codes.SLOW
    assert (await ask(other, type="call", id="1", procedure="p"))["error"] == "no_provider"


async def test_a_flooding_session_leaves_others_their_turn(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world()
    flooder, other = await world.user(), await world.user()
    for number in range(5_000):
        flooder.say(type="ping", id=str(number))
    other.say(type="ping", id="me")
    await settle()
    assert other.last == {"type": "pong", "id": "me"}
    assert len(flooder.of("pong")) < 5_000


@pytest.mark.threat("T48")
async def test_a_session_ends_with_its_login(make_world: Make, autojump_clock: MockClock) -> None:
    limits = attrs.evolve(Limits(), expiry_grace=5.0)
    world = make_world(limits=limits, strategy=Scripted(Accepted(User("ann"), expires_at=1_700_000_060.0)))
    link = await world.user()
    await pass_time(world, 64)
    assert link.closed is None
    assert (await ask(link, type="ping", id="1"))["type"] == "pong"
    await pass_time(world, 2)
    assert link.closed is codes.SESSION_EXPIRED
    assert (link.last["code"], link.last["advice"]) == (4100, "login_again")
    assert not world.core.sessions


@pytest.mark.threat("T48")
async def test_a_login_that_has_expired_already_does_not_stay(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world(strategy=Scripted(Accepted(User("ann"), expires_at=1_000_000_000.0)))
    link = await world.connect()
    link.say(type="login", id="1")
    await pass_time(world, 1)
    assert link.closed is codes.SESSION_EXPIRED
    assert not world.core.sessions


async def test_a_peer_that_is_gone_without_a_word_is_dropped(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world()
    link = await world.user()
    link.answers_pings = False
    began = trio.current_time()
    await link.ended.wait()
    assert link.closed is codes.PING_TIMEOUT
    assert trio.current_time() - began == pytest.approx(35, abs=0.5)
    assert not world.core.sessions


async def pass_time(world: World, seconds: int) -> None:
    """Both clocks, the one of timers and the one on the wall."""
    for _ in range(seconds):
        world.clock.advance(1)
        await trio.sleep(1)
    await settle()


def test_what_a_live_session_carries_out_at_once_the_machine_allows_at_any_time() -> None:
    """A connection does not ask the machine about its verbs: it lives in one state."""
    allowed = {kind for kind, found in RECEIVED[State.LIVE].items() if found is State.LIVE}
    assert allowed == set(VERBS) | {messages.Refresh}
