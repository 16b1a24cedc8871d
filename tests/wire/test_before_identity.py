"""What a peer can make the router hold before it has said who it is (T02, T03, T04)."""

from __future__ import annotations

import contextlib
import os
import resource

import attrs
import pytest
import trio

from tests.wire.conftest import TEXT, Raw, Stack, frame, until, upgrade
from trio_router.limits import Limits
from trio_router.protocols import codes

QUICK = attrs.evolve(Limits(), request_head_timeout=1.0, tls_handshake_timeout=1.0)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


@pytest.mark.threat("T02")
@pytest.mark.parametrize("tls", [False, True])
async def test_three_hundred_dripping_sockets_are_gone_by_the_deadline(stack: Stack, tls: bool) -> None:
    async with stack(limits=QUICK, tls=tls) as router:
        base = (tasks(), descriptors())
        ended: list[float] = []

        async def drip() -> None:
            began = trio.current_time()
            with contextlib.suppress(trio.BrokenResourceError, OSError):
                stream = await trio.open_tcp_stream("127.0.0.1", router.port)
                async with stream, trio.open_nursery() as inside:

                    async def write() -> None:
                        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                            for byte in upgrade("X-Long: " + "x" * 200):
                                await stream.send_all(bytes([byte]))
                                await trio.sleep(0.1)

                    inside.start_soon(write)
                    with contextlib.suppress(trio.BrokenResourceError):
                        while await stream.receive_some(1000):
                            pass
                    inside.cancel_scope.cancel()
            ended.append(trio.current_time() - began)

        with trio.fail_after(30):  # they would drip for 38 s
            async with trio.open_nursery() as nursery:
                for _ in range(300):
                    nursery.start_soon(drip)
                await trio.sleep(0.3)
                async with router.connect() as good:  # nobody else waits for them
                    with trio.fail_after(15):
                        await good.login()
        assert len(ended) == 300
        await router.settled(0)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert tasks() == base[0]
        assert descriptors() <= base[1]


@pytest.mark.threat("T02")
async def test_a_head_has_a_size_and_a_number_of_lines(stack: Stack) -> None:
    async with stack() as router:
        for head in (
            upgrade("X-Long: " + "x" * 20_000),
            b"GET /" + b"x" * 20_000,
            b"x" * 20_000,
            upgrade(*(f"X-{n}: 1" for n in range(200))),
        ):
            async with router.connect() as raw:
                with contextlib.suppress(trio.BrokenResourceError):
                    await raw.send(head)
                assert (await raw.response())[0] in {400, 431}
        await router.settled(0)


HELLO_OF_TLS = bytes.fromhex("16030102000100")


@pytest.mark.threat("T03")
@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\xff\x17garbage\r\n\r\n",
        HELLO_OF_TLS,
        b"SSH-2.0-x\r\n",
        b"GET / HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
    ],
)
async def test_a_handshake_that_fails_is_released_at_once(stack: Stack, data: bytes, tls: bool) -> None:
    """With a deadline of a minute: what ends it is the end of the stream, or the first wrong byte."""
    patient = attrs.evolve(Limits(), request_head_timeout=60.0, tls_handshake_timeout=60.0)
    async with stack(limits=patient, tls=tls) as router:
        base = tasks()
        for _ in range(20):
            stream = await trio.open_tcp_stream("127.0.0.1", router.port)
            if data:
                await stream.send_all(data)
            await stream.aclose()
        await until(lambda: router.admission.total == 0 and tasks() <= base, 5)
        async with router.connect() as good:
            await good.login()


@pytest.mark.threat("T03")
async def test_a_peer_that_sent_garbage_and_stays_is_released_too(stack: Stack) -> None:
    patient = attrs.evolve(Limits(), request_head_timeout=60.0)
    async with stack(limits=patient) as router, router.connect() as raw:
        await raw.send(b"\x16\x03\x01\x02\x00 this is no HTTP")
        assert (await raw.response())[0] == 400
        with trio.fail_after(5):
            await router.settled(0)


@pytest.mark.threat("T04")
async def test_silent_connections_keep_nobody_out_who_is_somebody(stack: Stack) -> None:
    limits = attrs.evolve(Limits(), unauthenticated_connections=200, login_timeout=60.0)
    async with stack(limits=limits) as router, contextlib.AsyncExitStack() as silent, router.user("ann") as ann:
        for _ in range(200):
            raw = await silent.enter_async_context(router.connect())
            await raw.open()
        assert router.server.waiting == 200
        async with router.connect() as late:  # the places are taken: told so, and gone
            await late.send(upgrade())
            status, headers = await late.response()
            assert status == 503
            assert int(headers["retry-after"]) >= 1
            assert await late.rest() == b"too many wait for a login\n"
        await ann.say(type="subscribe", id="1", channel="a")
        assert (await ann.message())["type"] == "done"
        await ann.say(type="publish", channel="a", data=1)
        assert (await ann.message())["data"] == 1
        assert router.refused("quarantine") == 1


@pytest.mark.threat("T04")
async def test_a_silent_connection_has_no_timer_no_storage_and_two_tasks(stack: Stack) -> None:
    async with stack() as router, contextlib.AsyncExitStack() as silent:
        base = tasks()
        for _ in range(50):
            await (await silent.enter_async_context(router.connect())).open()
        # its own, the one that reads for it, the one that writes for it
        assert tasks() - base <= 3 * 50
        assert not router.core.sessions


@pytest.mark.threat("T04")
async def test_the_time_to_log_in_ends_whatever_is_said_meanwhile(stack: Stack) -> None:
    limits = attrs.evolve(Limits(), login_timeout=0.5, invalid_messages=10_000)
    async with stack(limits=limits) as router, router.connect() as raw:
        await raw.open()

        async def chat() -> None:
            with contextlib.suppress(trio.BrokenResourceError):
                while True:
                    await raw.say(type="ping", id="1")
                    await trio.sleep(0.02)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(chat)
            assert await raw.closed_with() == codes.LOGIN_TIMEOUT.number
            nursery.cancel_scope.cancel()


@pytest.mark.threat("T04")
async def test_a_message_before_the_login_is_small(stack: Stack) -> None:
    async with stack() as router, router.connect() as raw:
        await raw.open()
        await raw.send(frame(TEXT, b"x" * (router.server.limits.login_message_size + 1))[:10])
        assert await raw.closed_with() == codes.TOO_BIG.number
    async with stack() as router, router.user() as raw:  # and may be bigger after it
        await raw.say(type="publish", id="1", channel="a", data="x" * router.server.limits.login_message_size)
        assert (await raw.message())["type"] == "done"


@pytest.mark.threat("T04")
async def test_connections_are_limited_in_total_and_for_each_address(stack: Stack) -> None:
    for limits, reason in (
        (attrs.evolve(Limits(), connections=3), "total"),
        (attrs.evolve(Limits(), connections_per_ip=3), "per_ip"),
    ):
        async with stack(limits=limits) as router, contextlib.AsyncExitStack() as three:
            for _ in range(3):
                await (await three.enter_async_context(router.connect())).open()
            async with router.connect() as fourth:
                assert (await fourth.response())[0] == 503
                await fourth.rest()
            assert router.refused(reason) == 1
            await three.aclose()
            await router.settled(0)
            async with router.connect() as again:
                await again.login()


@pytest.mark.threat("T04")
async def test_behind_a_proxy_each_client_has_its_own_count(stack: Stack) -> None:
    limits = attrs.evolve(Limits(), connections_per_ip=1)
    async with stack(limits=limits, proxies=("127.0.0.0/8",)) as router:
        async with router.connect() as one, router.connect() as two, router.connect() as three:
            await one.open("X-Forwarded-For: 203.0.113.1")
            await two.open("X-Forwarded-For: 203.0.113.2")
            await three.send(upgrade("X-Forwarded-For: 203.0.113.1"))
            assert (await three.response())[0] == 503
        await router.settled(0)
        async with router.connect() as one:
            await one.open("X-Forwarded-For: 203.0.113.1")


async def test_a_process_without_descriptors_accepts_again_when_it_has_some(stack: Stack) -> None:
    async with stack() as router:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        filler: list[int] = []
        async with router.connect() as early:
            await early.open()
            with trio.socket.socket() as late:
                try:
                    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
                    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
                    with contextlib.suppress(OSError):
                        while True:
                            filler.append(os.open("/dev/null", os.O_RDONLY))
                    await late.connect(
                        ("127.0.0.1", router.port)
                    )  # into the backlog: nothing is left to accept it with
                    await until(lambda: router.refused("accept") >= 2)
                    await early.say(type="login", id="l")  # those who are in are served
                    assert (await early.message())["type"] == "welcome"
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                    for descriptor in filler:
                        os.close(descriptor)
                await Raw(trio.SocketStream(late)).login()
