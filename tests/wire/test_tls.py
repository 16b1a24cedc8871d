"""TLS in memory: the same sessions over it, and its own ends: bad handshakes, slow readers, goodbyes."""

from __future__ import annotations

import contextlib
import json
import ssl

import attrs
import pytest
import trio

from tests.wire.conftest import PING, PONG, TEXT, Stack, frame, until, upgrade
from trio_router.limits import KIB, Limits
from trio_router.protocols import codes


async def test_a_session_over_tls(stack: Stack) -> None:
    async with stack(tls=True) as router, router.user("a") as one, router.user("b") as other:
        await one.say(type="subscribe", id="s", channel="a")
        assert (await one.message())["type"] == "done"
        for data in ("x", "y" * 100_000, [1, {"a": None}]):
            await other.say(type="publish", channel="a", data=data)
            assert (await one.message())["data"] == data
        await one.send(frame(PING, b"p") + frame(TEXT, b'{"type":', fin=False) + frame(0, b'"ping"}'))
        assert await one.frame() == (PONG, b"p")
        assert (await one.message())["type"] == "pong"
        assert router.strategy.requests[0].secure


async def test_what_comes_with_the_end_of_the_handshake_is_not_left_lying(stack: Stack) -> None:
    """The client's last flight, its request and its login may arrive as one."""
    async with stack(tls=True) as router, router.connect() as raw:
        assert router.client_tls is not None
        inner = raw.stream.transport_stream  # type: ignore[attr-defined]
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = router.client_tls.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
                break
            await inner.send_all(outgoing.read())
            incoming.write(await inner.receive_some())
        client.write(upgrade() + frame(TEXT, json.dumps({"type": "login", "id": "1"}).encode()))
        await inner.send_all(outgoing.read())
        seen = b""
        with trio.fail_after(10):
            while b"welcome" not in seen:
                try:
                    seen += client.read(65536)
                except ssl.SSLWantReadError:
                    incoming.write(await inner.receive_some())


@pytest.mark.threat("T03")
@pytest.mark.parametrize(
    "hello", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x00" * 100], ids=["HTTP", "garbage", "zeros"]
)
async def test_what_is_no_tls_is_gone_at_once(stack: Stack, hello: bytes) -> None:
    async with stack(tls=True) as router:
        stream = await trio.open_tcp_stream("127.0.0.1", router.port)
        async with stream:
            await stream.send_all(hello)
            with trio.fail_after(3), contextlib.suppress(trio.BrokenResourceError):
                while await stream.receive_some(4096):
                    pass
            await until(lambda: router.admission.total == 0)
        assert router.refused("tls") == 1


@pytest.mark.threat("T02")
async def test_a_handshake_that_is_never_finished_has_an_end(stack: Stack) -> None:
    async with stack(tls=True, limits=attrs.evolve(Limits(), tls_handshake_timeout=0.3)) as router:
        stream = await trio.open_tcp_stream("127.0.0.1", router.port)
        async with stream:
            await stream.send_all(b"\x16\x03\x01\x02\x00\x01")
            await until(lambda: router.refused("tls") == 1, 5)
            await router.settled(0)


@pytest.mark.threat("T12")
async def test_a_slow_reader_over_tls_holds_nobody_up_and_gets_whole_frames(stack: Stack) -> None:
    data = "x" * 8_000
    limits = attrs.evolve(Limits(), outbox_size=256 * KIB, write_timeout=60.0)
    async with stack(tls=True, limits=limits) as router:
        async with router.user("slow", receive_buffer=4096) as slow, router.user("fast") as fast:
            for raw in (slow, fast):
                await raw.say(type="subscribe", id="s", channel="a")
                await raw.message()
            async with router.user("publisher") as publisher:
                for _ in range(1200):
                    await publisher.say(type="publish", channel="a", data=data)
                    assert (await fast.message())["data"] == data
                await until(lambda: len(router.core.sessions) == 2)
                seen = 0
                with contextlib.suppress(EOFError, AssertionError):  # a close frame is not a message
                    while True:
                        assert (await slow.message())["data"] == data
                        seen += 1
                assert 0 < seen < 1200
        await router.settled(0)
        assert router.metrics.closes.labels("slow")._value.get() == 1


async def test_http_over_tls_and_a_refused_path(stack: Stack) -> None:
    async with stack(tls=True) as router:
        async with router.connect() as raw:
            await raw.send(b"GET /v1/x HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"GET /v1/x HTTP/1.1 from 127.0.0.1 tls=True" in await raw.rest()
        async with router.connect() as raw:
            await raw.send(upgrade(path="/nowhere"))
            assert (await raw.response())[0] == 404
        await router.settled(0)


async def test_a_close_is_answered_and_said_in_tls_too(stack: Stack) -> None:
    async with stack(tls=True) as router:
        async with router.user() as raw:
            await raw.send(frame(8, (1000).to_bytes(2)))
            assert await raw.closed_with() == codes.NORMAL.number
            assert not await raw.more()
        await router.settled(0)
