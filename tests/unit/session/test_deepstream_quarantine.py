"""deepstream before the login: challenge, attempts, deadlines, and what is told apart, in both ways of the protocol."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.unit.session.conftest import Scripted, settle
from tests.unit.session.deepstream import WAYS, Client, Make, connect, speaking
from trio_router.auth.strategy import Accepted, Challenge, Denied, LoginRequest, Unavailable
from trio_router.identity import User
from trio_router.limits import Limits
from trio_router.protocols import codes
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import AuthAction, ConnectionAction, EventAction, ParserAction, Topic
from trio_router.session.quarantine import UNAVAILABLE

pytestmark = pytest.mark.parametrize("way", WAYS)

DENIED = Packet(Topic.AUTH, AuthAction.AUTH_UNSUCCESSFUL)
TOO_MANY = Packet(Topic.AUTH, AuthAction.TOO_MANY_AUTH_ATTEMPTS)
TOO_LATE = Packet(Topic.CONNECTION, ConnectionAction.AUTHENTICATION_TIMEOUT)
UNKNOWN = Packet(Topic.PARSER, ParserAction.UNKNOWN_TOPIC)


async def challenged(world: Any, way: str) -> Client:
    client = await connect(world, way)
    await client.challenge()
    return client


async def test_a_login_is_answered_with_the_client_data(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(
        protocols=speaking(), strategy=Scripted(Accepted(User("ann", {"level": 2}), client_data={"color": "red"}))
    )
    client = await challenged(world, way)
    assert client.link.limit == world.limits.login_message_size
    assert await client.login({"username": "ann", "password": "p"}) == [
        Packet(Topic.AUTH, AuthAction.AUTH_SUCCESSFUL, data='{"color":"red"}')
    ]
    (request,) = world.strategy.requests
    assert dict(request.auth) == {"username": "ann", "password": "p"}
    assert (request.remote_address, dict(request.headers)) == ("192.0.2.1", {"cookie": "c=1"})
    assert client.link.limit == world.limits.message_size
    (session,) = world.core.sessions.values()
    assert (session.identity.user.id, session.identity.user.data) == ("ann", {"level": 2})
    assert session.client_data == {"color": "red"}
    assert world.server.waiting == 0


async def test_without_client_data_there_is_none(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(protocols=speaking())
    client = await challenged(world, way)
    assert await client.login({}) == [Packet(Topic.AUTH, AuthAction.AUTH_SUCCESSFUL)]


async def test_a_denial_may_say_why_and_the_next_attempt_may_be_right(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    world = make_world(
        protocols=speaking(), strategy=Scripted(Denied("no"), Denied("no", {"error": "locked"}), Accepted(User("ann")))
    )
    client = await challenged(world, way)
    assert await client.login({"a": 1}) == [DENIED]
    assert await client.login({"a": 2}) == [Packet(Topic.AUTH, AuthAction.AUTH_UNSUCCESSFUL, data='{"error":"locked"}')]
    assert await client.login({"a": 3}) == [Packet(Topic.AUTH, AuthAction.AUTH_SUCCESSFUL)]


async def test_too_many_attempts_are_told_after_the_denial_and_then_closed(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    world = make_world(protocols=speaking(auth_attempts=2), strategy=Scripted(*[Denied("no")] * 5))
    client = await challenged(world, way)
    assert await client.login({"a": 1}) == [DENIED]
    assert await client.login({"a": 2}) == [DENIED, TOO_MANY]
    assert client.link.closed is None
    began = trio.current_time()
    await client.link.ended.wait()
    assert trio.current_time() - began == pytest.approx(0.01, abs=0.005)
    assert client.link.closed is codes.LOGIN_ATTEMPTS
    assert client.told() == []


async def test_attempts_default_to_the_limit_and_may_come_at_once(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    world = make_world(protocols=speaking(), strategy=Scripted(*[Denied("no")] * 9))
    client = await challenged(world, way)
    for number in range(3):
        client.put(Packet(Topic.AUTH, AuthAction.REQUEST, data=json.dumps({"n": number})))
    await client.link.ended.wait()
    assert client.told() == [DENIED, DENIED, DENIED, TOO_MANY]
    assert len(world.strategy.requests) == 3


async def test_unavailable_is_told_apart_and_costs_no_attempt(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    world = make_world(protocols=speaking(auth_attempts=1), strategy=Scripted(*[Unavailable("down")] * UNAVAILABLE))
    client = await challenged(world, way)
    for _ in range(UNAVAILABLE):
        (answer,) = await client.login({})
        assert (answer.topic, answer.action) == (Topic.AUTH, AuthAction.AUTH_UNSUCCESSFUL)
        assert json.loads(answer.data or "") == {
            "error": "login_unavailable",
            "text": codes.error(codes.LOGIN_UNAVAILABLE).text,
            "temporary": True,
        }
    assert client.link.closed is codes.OVERLOADED


@pytest.mark.threat("T04")
async def test_the_deadline_is_told_and_exact(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(protocols=speaking(auth_timeout=0.2), limits=Limits(login_timeout=5.0))
    for talks in (False, True):
        client = await connect(world, way)
        began = trio.current_time()
        if talks:
            await client.challenge()
        await client.link.ended.wait()
        assert trio.current_time() - began == pytest.approx(0.2, abs=0.01)
        assert client.told() == [TOO_LATE]
        assert client.link.closed is codes.LOGIN_TIMEOUT


@pytest.mark.threat("T04")
async def test_an_answered_attempt_lifts_the_deadline_but_not_ours(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    world = make_world(
        protocols=speaking(auth_timeout=0.2), limits=Limits(login_timeout=5.0), strategy=Scripted(Denied("no"))
    )
    client = await connect(world, way)
    began = trio.current_time()
    await client.challenge()
    await client.login({})
    await trio.sleep(1)
    assert client.link.closed is None
    client.told()
    await client.link.ended.wait()
    assert trio.current_time() - began == pytest.approx(5.0, abs=0.01)
    assert client.told() == [TOO_LATE]


@pytest.mark.threat("T04")
async def test_a_longer_deadline_is_the_bound_itself(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(
        protocols=speaking(auth_timeout=60.0), limits=Limits(login_timeout=5.0), strategy=Scripted(Denied("no"))
    )
    client = await connect(world, way)
    began = trio.current_time()
    await client.challenge()
    await client.login({})
    await client.link.ended.wait()
    assert trio.current_time() - began == pytest.approx(60.0, abs=0.01)


async def test_before_the_challenge_other_messages_are_invalid_connection_messages(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    client = await connect(make_world(protocols=speaking()), way)
    for topic, action in ((3, 2), (4, 2), (2, 4), (7, 2)):
        (answer,) = await client.say(topic, action, **({"data": "{}"} if topic == 3 else {}))
        assert answer.topic == Topic.CONNECTION
        assert answer.action == ConnectionAction.INVALID_MESSAGE
    await client.challenge()


async def test_before_the_login_other_topics_are_invalid_authentication(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    world = make_world(protocols=speaking())
    client = await challenged(world, way)
    for topic, action in ((2, 5), (4, 2), (4, 3), (5, 3), (6, 2), (7, 2)):
        (answer,) = await client.say(topic, action, **({} if topic == 2 else {"name": "a", "correlation_id": "1"}))
        assert (answer.topic, answer.action) == (Topic.AUTH, AuthAction.INVALID_MESSAGE)
    assert not world.core.sessions
    assert await client.login({}) == [Packet(Topic.AUTH, AuthAction.AUTH_SUCCESSFUL)]


@pytest.mark.parametrize("data", [None, "null", "1", "[]", '"a"', "{", '{"a":1,"a":2}', "[" * 99])
async def test_a_login_without_an_object_ends_the_connection(
    make_world: Make, autojump_clock: MockClock, way: str, data: str | None
) -> None:
    client = await challenged(make_world(protocols=speaking()), way)
    assert await client.login(data) == [Packet(Topic.AUTH, AuthAction.INVALID_MESSAGE_DATA)]
    assert client.link.closed is codes.INVALID_MESSAGES


async def test_another_action_of_the_login_ends_the_connection(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    client = await challenged(make_world(protocols=speaking()), way)
    assert await client.say(Topic.AUTH, AuthAction.AUTH_SUCCESSFUL) == [
        Packet(Topic.AUTH, AuthAction.INVALID_MESSAGE_DATA)
    ]
    assert client.link.closed is codes.INVALID_MESSAGES


async def test_a_heartbeat_before_the_login_is_passed_over(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    client = await connect(make_world(protocols=speaking()), way)
    assert await client.say(Topic.CONNECTION, ConnectionAction.PING) == []
    await client.challenge()
    assert await client.say(Topic.CONNECTION, ConnectionAction.PING) == []


async def test_what_is_no_packet_is_told_and_bounded(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    client = await connect(make_world(protocols=speaking(), limits=Limits(invalid_messages=3)), way)
    garbage: str | bytes = b"\xff\xff" if way == WAYS[0] else "{"
    for _ in range(3):
        client.link.put(garbage)
    await settle()
    assert client.told() == [UNKNOWN] * 3
    assert client.link.closed is None
    client.link.put(garbage)
    await settle()
    assert client.link.closed is codes.INVALID_MESSAGES


async def test_the_wrong_kind_of_frame_ends_it(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    client = await connect(make_world(protocols=speaking()), way)
    client.link.put("{}" if way == WAYS[0] else b"\x06\x10\x02\x1a\x02\x08\x05")
    await settle()
    assert client.told() == []
    assert client.link.closed is codes.UNSUPPORTED_DATA


async def test_a_strategy_that_asks_back_denies(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    async def never(_: str) -> Any:
        raise AssertionError

    client = await challenged(make_world(protocols=speaking(), strategy=Scripted(Challenge("who?", never))), way)
    assert await client.login({}) == [DENIED]


async def test_who_leaves_while_a_login_is_judged_is_not_let_in(
    make_world: Make, autojump_clock: MockClock, way: str
) -> None:
    async def slow(_: LoginRequest) -> Any:
        await trio.sleep(1)
        return Accepted(User("ann"))

    world = make_world(protocols=speaking(), strategy=Scripted(slow))
    client = await challenged(world, way)
    client.put(Packet(Topic.AUTH, AuthAction.REQUEST, data="{}"))
    await settle()
    assert await client.say(Topic.EVENT, EventAction.EMIT, name="a") != []  # refused, not kept
    client.link.hang_up()
    await trio.sleep(2)
    assert not world.core.sessions
    assert world.server.sessions == 0


async def test_a_full_quarantine_sends_away(make_world: Make, autojump_clock: MockClock, way: str) -> None:
    world = make_world(protocols=speaking(), limits=Limits(unauthenticated_connections=1))
    await connect(world, way)
    second = await connect(world, way)
    assert second.link.closed is codes.OVERLOADED
