"""The network between clients and the router at its worst: bytes one by one, connections cut anywhere, silence, repeated bytes, a thin line."""

from __future__ import annotations

import contextlib
import json
import random
from typing import Any

import attrs
import pytest
import trio

from tests.wire.conftest import CLOSE, PING, PONG, TEXT, Raw, Router, Stack, frame, until
from trio_router.client import connect
from trio_router.limits import KIB, Limits
from trio_router.protocols import codes
from trio_router.testing.chaos import Faults, Proxy, proxy

TALK = (
    {"type": "subscribe", "id": "2", "channel": "news"},
    {"type": "publish", "id": "3", "channel": "news", "data": {"text": "grüße", "more": "x" * 200}, "echo": True},
    {"type": "presence_query", "id": "4", "users": ["ann"]},
    {"type": "call", "id": "5", "procedure": "nobody/has/it", "data": None},
)


def near(way: Proxy, router: Router) -> Router:
    """The same router as seen from behind the proxy."""
    return attrs.evolve(router, port=way.port)


async def told(raw: Raw) -> list[dict[str, Any]]:
    """What the whole talk is answered, without what is different each time."""
    answers = [await raw.login("ann")]
    await raw.send(b"".join(frame(TEXT, json.dumps(message).encode()) for message in TALK))
    while answers[-1].get("id") != "5":
        answers.append(await raw.message())
    return [{key: value for key, value in each.items() if key != "session"} for each in answers]


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("seed", range(3))
async def test_how_the_bytes_are_cut_changes_nothing(stack: Stack, seed: int, tls: bool) -> None:
    rng = random.Random(seed)
    mixed = Faults(pieces=tuple(rng.randint(1, 40) for _ in range(60)))
    async with stack(tls=tls) as router, proxy(("127.0.0.1", router.port)) as way:
        async with router.connect() as raw:
            plain = await told(raw)
        way.up.faults = Faults(pieces=(1,)) if seed == 0 else mixed
        way.down.faults = Faults(pieces=(1,)) if seed == 1 else mixed
        async with near(way, router).connect() as raw:
            assert await told(raw) == plain
        assert [answer["type"] for answer in plain] == [
            "welcome", "done", "done", "event", "presence", "error",
        ]  # fmt: skip


@pytest.mark.threat("T09", "T13")
async def test_a_client_that_is_cut_at_any_byte_has_said_nothing_that_was_not_whole(stack: Stack) -> None:
    """Of publishes the subscriber hears those that were complete, in order, from the first on, and all that were acknowledged."""
    publishes = [
        frame(TEXT, json.dumps({"type": "publish", "id": str(n), "channel": "a", "data": n}).encode()) for n in range(3)
    ]
    data = b"".join(publishes)
    whole = [sum(map(len, publishes[: n + 1])) for n in range(3)]
    marks = {size + step for size in (0, *whole) for step in (-1, 0, 1, 2, 6)}
    cuts = sorted({at for at in (*range(1, len(data), 31), *marks) if 0 < at <= len(data)})
    total = 0
    async with stack() as router, proxy(("127.0.0.1", router.port)) as way, router.user("ann") as ann:
        await ann.say(type="subscribe", id="s", channel="a")
        assert (await ann.message())["type"] == "done"
        for at in cuts:
            way.up.faults = Faults()
            before = way.up.carried
            async with near(way, router).user("cut") as raw:
                way.up.faults = Faults(cut_after=way.up.carried - before + at)
                await raw.send(data)
                acknowledged = (await raw.rest()).count(b'"done"')
            await router.settled(1)
            await ann.say(type="ping", id="p")
            heard = []
            while (message := await ann.message())["type"] != "pong":
                heard.append(message["data"])
            assert heard == list(range(len(heard)))
            assert acknowledged <= len(heard) <= sum(size <= at for size in whole)
            total += len(heard)
        assert len(router.core.sessions) == 1
        assert total > len(cuts) / 2  # what was whole did get through


@pytest.mark.threat("T13")
async def test_what_is_cut_on_its_way_to_one_reaches_the_others(stack: Stack) -> None:
    async with stack() as router, proxy(("127.0.0.1", router.port)) as way, router.user("ann") as ann:
        await ann.say(type="subscribe", id="s", channel="a")
        await ann.message()
        for beyond in range(1, 500, 83):
            way.down.faults = Faults()
            before = way.down.carried
            async with near(way, router).user("far") as raw:
                await raw.say(type="subscribe", id="s", channel="a")
                assert (await raw.message())["type"] == "done"
                way.down.faults = Faults(cut_after=way.down.carried - before + beyond)
                await ann.say(type="publish", id="p", channel="a", data="x" * 500)
                assert [(await ann.message())["type"] for _ in range(2)] == ["done", "event"]
                assert len(await raw.rest()) == beyond
            await router.settled(1)


HASTY = attrs.evolve(Limits(), ping_interval=0.4, pong_timeout=1.0)  # a busy machine may hold the answer up


async def answer_pings(raw: Raw, heard: list[dict[str, Any]]) -> None:
    """What a WebSocket library does by itself."""
    with contextlib.suppress(EOFError):
        while True:
            opcode, payload = await raw.frame()
            if opcode == PING:
                await raw.send(frame(PONG, payload))
            elif opcode == TEXT:
                heard.append(json.loads(payload))


@pytest.mark.threat("T11")
async def test_a_peer_behind_a_black_hole_is_gone_soon_and_presence_follows(stack: Stack) -> None:
    async with (
        stack(limits=HASTY) as router,
        proxy(("127.0.0.1", router.port)) as way,
        router.connect() as ann,
        near(way, router).connect() as far,
        trio.open_nursery() as nursery,
    ):
        heard: list[dict[str, Any]] = []
        await ann.login("ann")
        await ann.say(type="presence_subscribe", id="p", users=["far"])
        nursery.start_soon(answer_pings, ann, heard)
        await far.login("far")
        nursery.start_soon(answer_pings, far, [])
        await until(lambda: any(message.get("change") == "joined" for message in heard))
        await trio.sleep(2 * (HASTY.ping_interval + HASTY.pong_timeout))
        assert len(router.core.sessions) == 2  # both answer, so both stay
        way.both(Faults(stalled=True))
        await until(lambda: any(message.get("change") == "left" for message in heard))
        assert len(router.core.sessions) == 1
        await router.settled(1)  # and nothing of its connection is kept, although the other end never heard of it
        assert router.metrics.closes.labels(codes.PING_TIMEOUT.slug)._value.get() == 1
        assert way.open == 1
        nursery.cancel_scope.cancel()


@pytest.mark.threat("T11")
async def test_a_client_behind_a_black_hole_notices_too_and_comes_back_when_it_can(stack: Stack) -> None:
    async with (
        stack(limits=HASTY) as router,
        proxy(("127.0.0.1", router.port)) as way,
        connect(f"ws://127.0.0.1:{router.port}/", {"user": "bob"}) as bob,
        connect(f"ws://127.0.0.1:{way.port}/", {"user": "ann"}, silence=0.6, on_error=lambda _: None) as ann,
        ann.subscribe("a") as events,
    ):
        await bob.publish("a", 1)
        assert (await anext(events)).data == 1
        way.both(Faults(stalled=True))
        await until(lambda: way.connections > 1)  # nobody told it that the first one is over
        await until(lambda: len(router.core.sessions) == 1)
        await bob.publish("a", "lost: nobody is there")
        way.both(Faults())
        await until(lambda: any("a" in session.subscriptions for session in router.core.sessions.values()))
        await bob.publish("a", 2)
        assert (await anext(events)).data == 2


async def test_a_stall_that_is_over_in_time_loses_nothing(stack: Stack) -> None:
    async with (
        stack() as router,
        proxy(("127.0.0.1", router.port)) as way,
        router.user("ann") as ann,
        near(way, router).user("far") as far,
    ):
        await far.say(type="subscribe", id="s", channel="a")
        assert (await far.message())["type"] == "done"
        way.both(Faults(stalled=True))
        for number in range(50):
            await ann.say(type="publish", id=str(number), channel="a", data=number)
            assert (await ann.message())["type"] == "done"
        way.both(Faults())
        assert [(await far.message())["data"] for _ in range(50)] == list(range(50))


@pytest.mark.threat("T12")
async def test_a_thin_line_is_given_up_when_it_falls_behind_and_the_others_get_everything(stack: Stack) -> None:
    limits = attrs.evolve(Limits(), outbox_size=128 * KIB, write_timeout=60.0)
    data = "x" * 8_000
    async with (
        stack(limits=limits) as router,
        proxy(("127.0.0.1", router.port), receive_buffer=4096) as way,
        router.user("ann") as ann,
    ):
        await ann.say(type="subscribe", id="s", channel="a")
        await ann.message()
        async with near(way, router).user("thin", receive_buffer=4096) as thin, router.user("publisher") as publisher:
            await thin.say(type="subscribe", id="s", channel="a")
            await thin.message()
            way.down.faults = Faults(rate=8_000)
            for number in range(800):
                await publisher.say(type="publish", id=str(number), channel="a", data=data)
                assert (await publisher.message())["id"] == str(number)
                assert (await ann.message())["data"] == data
                if len(router.core.sessions) == 2:
                    break
            assert len(router.core.sessions) == 2  # the thin one is no session any more
            way.down.faults = Faults()
            closed = None
            while closed is None:
                opcode, payload = await thin.frame()
                closed = int.from_bytes(payload[:2]) if opcode == CLOSE else None
            assert closed == codes.SLOW.number


async def test_who_repeats_a_connection_has_one_of_its_own(stack: Stack) -> None:
    """The repeated bytes are answered apart, as another session; what one session hears, it hears once."""
    async with stack() as router, proxy(("127.0.0.1", router.port)) as way:
        way.duplicates = 1
        async with near(way, router).connect() as raw:
            welcome = await raw.login("ann")
            await raw.say(type="subscribe", id="s", channel="a")
            assert (await raw.message())["type"] == "done"
            await until(lambda: len(router.core.sessions) == 2)
            await until(lambda: b'"done"' in way.repeated[0])
            assert welcome["session"].encode() not in way.repeated[0]
            async with router.user("bob") as bob:
                await bob.say(type="publish", id="p", channel="a", data="once")
                await bob.message()
            assert (await raw.message())["data"] == "once"
            await until(lambda: b'"once"' in way.repeated[0])
            await raw.say(type="ping", id="end")
            assert (await raw.message())["type"] == "pong"
            assert way.repeated[0].count(b'"once"') == 1
        await router.settled(0)
