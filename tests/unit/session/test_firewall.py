"""Whatever is made to raise, wherever: one session ends with 1011, its neighbour goes on receiving (T09, M1)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Self

import pytest
import structlog
import trio
from trio.testing import MockClock

from tests.unit.session.conftest import MemoryLink, World, settle
from trio_router.auth.strategy import Accepted, Challenge
from trio_router.identity import User
from trio_router.protocols import codes
from trio_router.session.firewall import contain, shield
from trio_router.session.wire import NativeWire

Make = Callable[..., World]
SECRET = "hunter2 is the password"


class Boom(Exception):
    """A fault with a text that must not be logged."""


def boom(*_: Any, **__: Any) -> Any:
    raise Boom(SECRET)


async def async_boom(*_: Any, **__: Any) -> Any:
    raise Boom(SECRET)


async def group_boom(*_: Any, **__: Any) -> Any:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(async_boom)
        nursery.start_soon(trio.sleep_forever)


class Neighbour:
    """A session that receives, whatever becomes of the others."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def __aenter__(self) -> Self:
        self.link = await self.world.user("neighbour")
        self.publisher = await self.world.user("publisher")
        self.link.say(type="subscribe", id="s", channel="neighbourhood")
        await settle()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        self.publisher.say(type="publish", channel="neighbourhood", data="still here")
        await settle()
        assert self.link.last["data"] == "still here"
        assert self.link.closed is None
        assert self.publisher.closed is None
        late = await self.world.user("late")  # and new ones may come
        assert late.closed is None


VERBS = {
    "subscribe": {"type": "subscribe", "id": "1", "channel": "a"},
    "unsubscribe": {"type": "unsubscribe", "id": "1", "channel": "a"},
    "publish": {"type": "publish", "id": "1", "channel": "a"},
    "provide": {"type": "provide", "id": "1", "procedure": "a"},
    "unprovide": {"type": "unprovide", "id": "1", "procedure": "a"},
    "call": {"type": "call", "id": "1", "procedure": "a"},
    "cancel": {"type": "cancel", "id": "1"},
    "result": {"type": "result", "call": "1"},
    "error": {"type": "error", "call": "1"},
    "presence_query": {"type": "presence_query", "id": "1"},
    "presence_subscribe": {"type": "presence_subscribe", "id": "1"},
    "presence_unsubscribe": {"type": "presence_unsubscribe", "id": "1"},
}


def faults(logs: Any) -> list[dict[str, Any]]:
    return [entry for entry in logs if entry["log_level"] == "error"]


@pytest.mark.threat("T09")
@pytest.mark.parametrize("verb", VERBS)
async def test_a_verb_of_the_core_that_fails(
    make_world: Make, autojump_clock: MockClock, logs: Any, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    world = make_world()
    async with Neighbour(world):
        victim = await world.user("victim")
        with monkeypatch.context() as patch:
            patch.setattr(world.core, verb, boom)
            victim.say(**VERBS[verb])
            await settle()
        assert victim.closed is codes.INTERNAL
        assert not any(session.identity.user.id == "victim" for session in world.core.sessions.values())
    (fault,) = faults(logs)
    assert (fault["event"], fault["error"]) == ("session_failed", "Boom")
    assert SECRET not in json.dumps(logs, default=str)
    assert SECRET not in json.dumps(victim.told) + victim.reason


@pytest.mark.threat("T09")
@pytest.mark.parametrize("name", ["attach", "detach"])
async def test_coming_and_going_that_fails(
    make_world: Make, autojump_clock: MockClock, logs: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    world = make_world()
    async with Neighbour(world):
        with monkeypatch.context() as patch:
            patch.setattr(world.core, name, boom)
            victim = await world.connect()
            victim.say(type="login", id="1")
            await settle()
            victim.hang_up()
            await settle()
        assert victim.closed is not None
        assert len(faults(logs)) == 1


@pytest.mark.threat("T09")
@pytest.mark.parametrize("part", ["decode", "frame"])
async def test_a_codec_that_fails(
    make_world: Make, autojump_clock: MockClock, logs: Any, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    world = make_world()
    async with Neighbour(world):
        victim = await world.user("victim")
        with monkeypatch.context() as patch:
            patch.setattr(NativeWire, part, boom)
            victim.say(type="ping", id="1")
            await settle()
        assert victim.closed is codes.INTERNAL
        with monkeypatch.context() as patch:  # and before the login
            patch.setattr(NativeWire, part, boom)
            other = await world.connect()
            other.say(type="login", id="1")
            await settle()
        assert other.closed is codes.INTERNAL
    assert faults(logs)


@pytest.mark.interpreted  # methods are replaced
@pytest.mark.threat("T09")
@pytest.mark.parametrize("part", ["event_frame", "invoke_frame"])
async def test_what_cannot_be_told_to_one_ends_that_one_and_not_who_caused_it(
    make_world: Make, autojump_clock: MockClock, logs: Any, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    world = make_world()
    async with Neighbour(world):
        cause, victim = await world.user("cause"), await world.user("victim")
        victim.say(type="subscribe", id="1", channel="a")
        victim.say(type="provide", id="2", procedure="p")
        await settle()
        peer = next(s.peer for s in world.core.sessions.values() if s.identity.user.id == "victim")
        broken = NativeWire(world.limits)
        monkeypatch.setattr(broken, part, boom)
        monkeypatch.setattr(peer, "_wire", broken)
        if part == "event_frame":
            cause.say(type="publish", id="1", channel="a")
        else:
            cause.say(type="call", id="1", procedure="p")
        await settle()
        assert victim.closed is codes.INTERNAL
        assert cause.closed is None
        assert cause.last["id"] == "1"
    assert [fault["event"] for fault in faults(logs)] == ["session_failed"]


class FaultyLink(MemoryLink):
    """Fails at one of its calls, once it is told to."""

    async def receive(self) -> str | bytes:
        frame = await super().receive()
        if frame == "BOOM":
            boom()
        return frame


@pytest.mark.threat("T09")
@pytest.mark.parametrize("part", ["receive", "send", "set_message_limit", "close", "upgrade"])
async def test_a_link_that_fails(make_world: Make, autojump_clock: MockClock, logs: Any, part: str) -> None:
    world = make_world()
    async with Neighbour(world):
        link = FaultyLink()
        if part == "close":
            link.close = async_boom  # type: ignore[method-assign]
        elif part == "upgrade":
            link.upgrade = None  # type: ignore[assignment]
        elif part != "receive":
            setattr(link, part, boom)
        world.nursery.start_soon(world.server.serve, link)
        await settle()
        link.say(type="login", id="1")
        await settle()
        link.put("BOOM")
        await settle()
        link.hang_up()
        await settle()
        assert world.server.sessions == 2
        assert faults(logs)


@pytest.mark.threat("T09")
async def test_rules_that_fail(
    make_world: Make, autojump_clock: MockClock, logs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    async with Neighbour(world):
        victim = await world.user("victim")
        with monkeypatch.context() as patch:
            patch.setattr(world.rules, "decide", boom)
            victim.say(type="subscribe", id="1", channel="a")
            await settle()
        assert victim.closed is codes.INTERNAL or victim.last["type"] == "error"
        assert not any(session.subscriptions.get("a") for session in world.core.sessions.values())


@pytest.mark.threat("T09")
@pytest.mark.parametrize("fault", [async_boom, group_boom])
async def test_a_strategy_that_fails_ends_a_login_only(
    make_world: Make, autojump_clock: MockClock, logs: Any, fault: Any
) -> None:
    world = make_world()
    async with Neighbour(world):
        world.strategy.script = [fault, Challenge("?", fault), "no answer at all"]
        victim = await world.connect()
        for number in range(3):
            victim.say(type="login", id=str(number))
            await settle()
            if number == 1:
                victim.say(type="answer", id="1", data="x")
                await settle()
            assert victim.last["error"] == "login_unavailable"
        assert victim.closed is None


@pytest.mark.threat("T09")
@pytest.mark.parametrize("fault", [async_boom, group_boom])
async def test_a_chain_that_fails(make_world: Make, autojump_clock: MockClock, logs: Any, fault: Any) -> None:
    world = make_world()
    async with Neighbour(world):
        good = world.server.chain
        world.server.chain = type("Broken", (), {"login": fault})()
        victim = await world.connect()
        victim.say(type="login", id="1")
        await settle()
        world.server.chain = good
        assert victim.closed is codes.INTERNAL
        assert world.server.waiting == 0


@pytest.mark.threat("T09")
async def test_client_data_that_is_no_json_ends_the_session_it_belongs_to(
    make_world: Make, autojump_clock: MockClock, logs: Any
) -> None:
    world = make_world()
    async with Neighbour(world):
        world.strategy.script = [Accepted(User("victim"), client_data=object())]
        victim = await world.connect()
        victim.say(type="login", id="1")
        await settle()
        assert victim.closed is codes.INTERNAL


@pytest.mark.interpreted  # methods are replaced
@pytest.mark.threat("T09")
async def test_timers_and_clocks_that_fail(
    make_world: Make, autojump_clock: MockClock, logs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world()
    async with Neighbour(world):
        for target, name in ((world.timers, "after"), (world.clock, "wall")):
            world.strategy.script = [Accepted(User("victim"), expires_at=2e9)]
            with monkeypatch.context() as patch:
                patch.setattr(target, name, boom)
                victim = await world.connect()
                victim.say(type="login", id="1")
                await settle()
                assert victim.closed is codes.INTERNAL
    assert len(world.core.sessions) == 3


# ---- the wall itself ----------------------------------------------------------------------------------------


async def test_what_must_pass_passes(logs: Any) -> None:
    log = structlog.get_logger()

    async def interrupted() -> None:
        raise KeyboardInterrupt

    async def mixed() -> None:
        msg = "both"
        raise BaseExceptionGroup(msg, [Boom(SECRET), KeyboardInterrupt()])

    with pytest.raises(KeyboardInterrupt):
        await contain(interrupted, log, event="x", otherwise=None)
    with pytest.raises(BaseExceptionGroup) as caught:
        await contain(mixed, log, event="x", otherwise=None)
    assert caught.group_contains(KeyboardInterrupt)
    assert not caught.group_contains(Boom)
    with trio.CancelScope() as scope:
        scope.cancel()
        await contain(trio.lowlevel.checkpoint, log, event="x", otherwise=None)
        raise AssertionError
    assert scope.cancelled_caught


async def test_what_must_not_does_not(logs: Any) -> None:
    log = structlog.get_logger()
    assert await contain(async_boom, log, event="x", otherwise=5) == 5
    assert await contain(group_boom, log, event="x", otherwise=6) == 6
    assert not shield(boom, log, event="y")
    assert shield(lambda: None, log, event="y")
    assert [entry["event"] for entry in logs] == ["x", "x", "y"]
    assert SECRET not in json.dumps(logs, default=str)
