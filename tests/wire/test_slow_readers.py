"""Clients that stop reading, leave in the middle, or are reset: what they cost the others (T12, T13)."""

from __future__ import annotations

import contextlib
import json
import socket
import struct

import attrs
import pytest
import trio

from tests.wire.conftest import CLOSE, PING, PONG, TEXT, Raw, Stack, frame, until
from trio_router.limits import KIB, Limits
from trio_router.protocols import codes

SMALL = attrs.evolve(Limits(), outbox_size=256 * KIB, write_timeout=60.0)


async def subscribe(raw: Raw, channel: str = "a") -> None:
    await raw.say(type="subscribe", id="s", channel=channel)
    assert (await raw.message())["type"] == "done"


@pytest.mark.threat("T12")
async def test_a_client_that_stops_reading_holds_its_outbox_and_nobody_up(stack: Stack) -> None:
    data = "x" * 8_000
    async with stack(limits=SMALL) as router:
        async with router.user("slow", receive_buffer=4096) as slow, router.user("fast") as fast:
            await subscribe(slow)
            await subscribe(fast)
            async with router.user("publisher") as publisher:
                most = 0
                for number in range(1200):  # about 10 MB: more than any socket buffer and the outbox together
                    await publisher.say(type="publish", id=str(number), channel="a", data=data)
                    assert (await publisher.message())["id"] == str(number)
                    assert (await fast.message())["data"] == data
                    most = max(most, queued(router))
                assert most <= SMALL.outbox_size
                assert most > SMALL.outbox_size / 2  # it did fill: the bound is what stopped it
                assert len(router.core.sessions) == 2  # given up when it overflowed, not when a write failed
                # it reads on: what arrives are whole frames in order, then why, then the end
                seen = 0
                with contextlib.suppress(EOFError):
                    while True:
                        opcode, payload = await slow.frame()
                        if opcode == CLOSE:
                            assert int.from_bytes(payload[:2]) == codes.SLOW.number
                            break
                        assert json.loads(payload)["data"] == data
                        seen += 1
                assert 0 < seen < 1200
        await router.settled(0)


def queued(router: object) -> int:
    """Bytes in the fullest outbox of the router."""
    sessions = router.core.sessions.values()  # type: ignore[attr-defined]
    return max(session.peer._link.queued for session in sessions)


@pytest.mark.threat("T12")
async def test_the_oldest_byte_may_be_so_old_and_then_the_connection_is_over(stack: Stack) -> None:
    limits = attrs.evolve(Limits(), outbox_size=64 * 1024 * KIB, write_timeout=0.5)
    async with stack(limits=limits) as router, router.user("slow", receive_buffer=4096) as slow:
        await subscribe(slow)
        async with router.user("publisher") as publisher:
            for _ in range(100):
                await publisher.say(type="publish", channel="a", data="x" * 100_000)
            await publisher.say(type="ping", id="1")
            assert (await publisher.message())["type"] == "pong"
            await until(lambda: len(router.core.sessions) == 1, 5)
            await until(lambda: router.metrics.closes.labels("slow")._value.get() == 1, 5)


@pytest.mark.threat("T12")
async def test_fifty_stalled_readers_cost_a_publisher_nothing_once_they_are_full(stack: Stack) -> None:
    async with stack(limits=SMALL) as router, contextlib.AsyncExitStack() as stalled, router.user("fast") as fast:
        for _ in range(50):
            raw = await stalled.enter_async_context(router.user("slow", receive_buffer=4096))
            await subscribe(raw)
        await subscribe(fast)
        for number in range(100):
            await fast.say(type="publish", id=str(number), channel="a", data="x" * 50_000)
            with trio.fail_after(10):
                assert (await fast.message())["type"] == "done"
                assert (await fast.message())["type"] == "event"


@pytest.mark.threat("T08")
@pytest.mark.threat("T12")
async def test_pings_whose_pongs_nobody_reads_stop_being_read(stack: Stack) -> None:
    limits = attrs.evolve(SMALL, control_frames_per_second=10**9, write_timeout=0.5)
    async with stack(limits=limits) as router:
        async with router.user("bad", receive_buffer=4096) as bad:
            with contextlib.suppress(trio.BrokenResourceError), trio.move_on_after(10):
                while True:
                    await bad.send(frame(PING, b"x" * 125) * 100)
            await until(lambda: not router.core.sessions, 5)
        await router.settled(0)


@pytest.mark.threat("T13")
async def test_events_and_pongs_never_land_inside_each_other(stack: Stack) -> None:
    """Big events, small answers and pongs on one connection that reads in small steps."""
    limits = attrs.evolve(Limits(), control_frames_per_second=10**6, outbox_size=64 * 1024 * KIB)
    async with stack(limits=limits) as router, router.user("a", receive_buffer=4096) as raw, router.user("b") as other:
        await subscribe(raw)
        pongs = events = answers = 0

        async def publish() -> None:
            for number in range(60):
                await other.say(type="publish", channel="a", data=[number] * 20_000)

        async def ping() -> None:
            for number in range(60):
                await raw.send(frame(PING, b"%d" % number))
                await raw.say(type="ping", id=str(number))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            nursery.start_soon(ping)
            while pongs + events + answers < 180:
                opcode, payload = await raw.frame()
                if opcode == PONG:
                    assert payload == b"%d" % pongs
                    pongs += 1
                    continue
                assert opcode == TEXT
                message = json.loads(payload)
                if message["type"] == "event":
                    assert message["data"] == [events] * 20_000
                    events += 1
                else:
                    assert message == {"type": "pong", "id": str(answers)}
                    answers += 1
        assert (pongs, events, answers) == (60, 60, 60)


@pytest.mark.threat("T13")
async def test_a_reset_in_the_middle_of_a_write_ends_that_connection_alone(stack: Stack) -> None:
    async with stack() as router, router.user("good") as good:
        await subscribe(good)
        for _ in range(5):
            async with router.user("bad", receive_buffer=4096) as bad:
                await subscribe(bad)
                await good.say(type="publish", channel="a", data="x" * 200_000)
                await bad.exactly(1000)
                sock = bad.stream.socket  # type: ignore[attr-defined]
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by a reset
            assert len((await good.message())["data"]) == 200_000
            await router.settled(1)
        assert len(router.core.sessions) == 1
