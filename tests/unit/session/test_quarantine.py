"""Before the login: what can be sent, how long, how often, and what a client is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.unit.session.conftest import Scripted, World, settle
from trio_router.auth.strategy import Accepted, Challenge, Denied, LoginRequest, Unavailable
from trio_router.identity import User
from trio_router.limits import Limits
from trio_router.protocols import codes
from trio_router.session.quarantine import UNAVAILABLE

Make = Callable[..., World]


async def test_the_greeting_says_what_to_keep_to(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world()
    link = await world.connect()
    assert link.told == [
        {
            "type": "hello",
            "protocol": "trio-router.v1+json",
            "session": link.told[0]["session"],
            "login_timeout": 15_000,
            "message_size": world.limits.message_size,
            "ping_interval": 25_000,
        }
    ]
    assert link.limit == world.limits.login_message_size
    assert world.server.waiting == 1


async def test_a_login_is_welcomed_with_what_the_strategy_gave(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world(
        strategy=Scripted(Accepted(User("ann"), client_data={"color": "red"}, expires_at=1_700_000_600.0))
    )
    link = await world.connect()
    link.say(type="login", id="x1", auth={"token": "t"})
    await settle()
    assert link.last == {
        "type": "welcome",
        "id": "x1",
        "session": link.told[0]["session"],
        "user": "ann",
        "client_data": {"color": "red"},
        "expires": 1_700_000_600.0,
    }
    assert link.limit == world.limits.message_size
    assert world.server.waiting == 0
    (request,) = world.strategy.requests
    assert (request.remote_address, dict(request.headers), dict(request.auth)) == (
        "192.0.2.1",
        {"cookie": "c=1"},
        {"token": "t"},
    )


@pytest.mark.threat("T04")
async def test_the_deadline_is_from_connect_and_exact(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world()
    link = await world.connect()
    began = trio.current_time()
    await trio.sleep(14.9)
    assert link.closed is None
    link.say(type="login", id="1")
    await settle()
    assert link.last["type"] == "welcome"  # in time, and then the deadline is gone
    silent = await world.connect()
    began = trio.current_time()
    await silent.ended.wait()
    assert trio.current_time() - began == pytest.approx(15.0, abs=0.01)
    assert silent.closed is codes.LOGIN_TIMEOUT
    await trio.sleep(2)
    assert link.closed is None


@pytest.mark.threat("T04")
@pytest.mark.parametrize(
    "message",
    [
        {"type": "subscribe", "id": "1", "channel": "a"},
        {"type": "publish", "id": "1", "channel": "a"},
        {"type": "call", "id": "1", "procedure": "a"},
        {"type": "provide", "id": "1", "procedure": "a"},
        {"type": "presence_query", "id": "1"},
        {"type": "ping", "id": "1"},
    ],
)
async def test_nothing_but_a_login_is_possible(
    make_world: Make, autojump_clock: MockClock, message: dict[str, Any]
) -> None:
    world = make_world()
    link = await world.connect()
    link.say(**message)
    await settle()
    assert (link.last["type"], link.last["error"]) == ("error", "not_logged_in")
    assert world.rules.asked == []
    assert not world.core.sessions


@pytest.mark.threat("T04")
async def test_attempts_are_counted(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world(strategy=Scripted(*[Denied("wrong", client_data={"hint": 1})] * 3))
    link = await world.connect()
    for number in range(3):
        assert link.closed is None
        link.say(type="login", id=f"n{number}")
        await settle()
        errors = link.of("error")
        assert (errors[-1]["error"], errors[-1]["id"], errors[-1]["data"]) == (
            "login_denied",
            f"n{number}",
            {"hint": 1},
        )
    assert link.closed is codes.LOGIN_ATTEMPTS


async def test_unavailable_is_no_denial_and_locks_nobody_out_but_has_an_end(
    make_world: Make, autojump_clock: MockClock
) -> None:
    world = make_world(strategy=Scripted(*[Unavailable("down")] * (UNAVAILABLE - 1)))
    link = await world.connect()
    for _ in range(UNAVAILABLE - 1):
        link.say(type="login", id="1")
        await settle()
        assert (link.last["error"], link.last["temporary"]) == ("login_unavailable", True)
    link.say(type="login", id="1")
    await settle()
    assert link.last["type"] == "welcome"
    world.strategy.script = [Unavailable("down")] * UNAVAILABLE
    other = await world.connect()
    for _ in range(UNAVAILABLE):
        other.say(type="login", id="1")
        await settle()
    assert other.closed is codes.OVERLOADED
    assert other.of("closing")[0]["retry_after"] >= 1000


@pytest.mark.threat("T04")
async def test_bad_messages_are_counted(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world(limits=attrs.evolve(Limits(), invalid_messages=4))
    link = await world.connect()
    for number in range(5):
        assert link.closed is None, number
        link.put("{")
        await settle()
    assert link.closed is codes.INVALID_MESSAGES
    other = await world.connect()
    other.put(b"binary")
    await settle()
    assert other.closed is codes.UNSUPPORTED_DATA


async def test_a_client_that_leaves_takes_its_login_with_it(make_world: Make, autojump_clock: MockClock) -> None:
    cancelled = trio.Event()

    async def hang(_: LoginRequest) -> Any:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    world = make_world(strategy=Scripted(hang))
    link = await world.connect()
    link.say(type="login", id="1")
    await settle()
    assert world.server.waiting == 1
    link.hang_up()
    await settle()
    assert cancelled.is_set()
    assert world.server.waiting == world.server.sessions == 0
    assert world.closes("peer") == 1


async def test_while_a_login_is_checked_a_second_one_is_busy_and_the_deadline_runs_on(
    make_world: Make, autojump_clock: MockClock
) -> None:
    async def hang(_: LoginRequest) -> Any:
        await trio.sleep_forever()

    world = make_world(strategy=Scripted(hang), limits=attrs.evolve(Limits(), login_timeout=5.0))
    link = await world.connect()
    link.say(type="login", id="1")
    link.say(type="login", id="2")
    link.say(type="answer", id="1", data="unasked")
    await settle()
    assert [(error["error"], error["id"]) for error in link.of("error")] == [
        ("login_busy", "2"),
        ("unexpected_message", "1"),
    ]
    await link.ended.wait()
    assert link.closed is codes.LOGIN_TIMEOUT


async def test_a_challenge_is_a_dialogue(make_world: Make, autojump_clock: MockClock) -> None:
    async def second(reply: str) -> Any:
        return Accepted(User(f"user-{reply}"))

    async def first(_: LoginRequest) -> Any:
        return Challenge("who?", second)

    world = make_world(strategy=Scripted(first))
    link = await world.connect()
    link.say(type="login", id="L")
    await settle()
    assert link.last == {"type": "challenge", "id": "L", "data": "who?"}
    link.say(type="answer", id="other", data="mallory")
    await settle()
    assert link.last["error"] == "unexpected_message"
    link.say(type="answer", id="L", data="ann")
    await settle()
    assert (link.last["type"], link.last["user"]) == ("welcome", "user-ann")


async def test_a_challenge_nobody_answers_is_denied_in_the_end(make_world: Make, autojump_clock: MockClock) -> None:
    async def never(_: str) -> Any:
        raise AssertionError

    world = make_world(strategy=Scripted(Challenge("who?", never)))
    link = await world.connect()
    link.say(type="login", id="1")
    await trio.sleep(10.5)
    assert link.last["error"] == "login_denied"
    link.say(type="login", id="2")
    await settle()
    assert link.last["type"] == "welcome"


@pytest.mark.threat("T04")
async def test_there_are_so_many_places_and_no_more(make_world: Make, autojump_clock: MockClock) -> None:
    world = make_world(limits=attrs.evolve(Limits(), unauthenticated_connections=2))
    first, second = await world.connect(), await world.connect()
    third = await world.connect()
    assert third.closed is codes.OVERLOADED
    first.say(type="login", id="1")
    await settle()
    fourth = await world.connect()
    assert fourth.closed is None
    assert second.closed is None
