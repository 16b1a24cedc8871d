"""A fault inside one session, over real sockets, with a peer that does not finish the close handshake (T09, M1).

That is the case where a fault surfaces late and takes every connection with it, so the tests wait until the faulty
connection is completely gone before they look at the neighbour.
"""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import trio

from tests.wire.conftest import Router, Stack, until
from trio_router.protocols import codes
from trio_router.session.quarantine import Quarantine
from trio_router.transport import listener, websocket


def boom(*_: Any, **__: Any) -> Any:
    msg = "injected"
    raise ArithmeticError(msg)


async def async_boom(*_: Any, **__: Any) -> Any:
    boom()


async def still_well(router: Router, good: Any) -> None:
    await good.say(type="subscribe", id="s", channel="well")
    assert (await good.message())["type"] == "done"
    async with router.user("other") as other:
        await other.say(type="publish", channel="well", data="fine")
        assert (await good.message())["data"] == "fine"


@pytest.mark.threat("T09")
@pytest.mark.parametrize("verb", ["publish", "detach"])
async def test_a_fault_in_the_core(stack: Stack, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    async with stack() as router, router.user("good") as good:
        async with router.user("bad") as bad:
            with monkeypatch.context() as patch:
                patch.setattr(router.core, verb, boom)
                if verb == "publish":
                    await bad.say(type="publish", channel="a")
                    assert await bad.closed_with() == codes.INTERNAL.number
                else:
                    await bad.stream.aclose()
                await router.settled(1)  # it never sent a close frame
        await still_well(router, good)


@pytest.mark.threat("T09")
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (Quarantine, "admit"),
        (websocket.WebSocketLink, "receive"),
        (websocket.WebSocketLink, "close"),
        (websocket.WebSocketLink, "set_message_limit"),
        (websocket.GuardedStream, "receive_some"),
        (websocket.GuardedStream, "send_all"),
        (websocket.FrameGuard, "feed"),
        (websocket, "wrap_server_stream"),
        (websocket, "close_frame"),
        (listener, "read_head"),
        (listener, "serve_websocket"),
        (listener.RequestHead, "websocket_key"),
        (listener.OriginPolicy, "allows"),
        (listener.TrustedProxies, "client_of"),
        (listener.TrustedProxies, "trusts"),
        (listener.Admission, "enter"),
        (listener.Admission, "enter_host"),
        (listener, "_addresses"),
    ],
)
async def test_a_fault_in_the_transport(stack: Stack, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    awaited = name in {
        "admit", "receive", "close", "receive_some", "send_all", "wrap_server_stream", "read_head", "serve_websocket",
    }  # fmt: skip
    async with stack() as router, router.user("good") as good:
        good_is_reading = trio.lowlevel.current_statistics().tasks_living
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, async_boom if awaited else boom)
            async with router.connect() as bad:
                with contextlib.suppress(trio.BrokenResourceError):
                    await bad.send(UPGRADE_AND_MORE)
                    await bad.stream.send_eof()  # type: ignore[attr-defined]
                await bad.rest()
            await router.settled(1)
        await until(lambda: trio.lowlevel.current_statistics().tasks_living <= good_is_reading, 5)
        await still_well(router, good)


UPGRADE_AND_MORE = b"".join(
    (
        b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        b"\x89\x80mask",
        b"\x81\x80mask",
    )
)


@pytest.mark.threat("T09")
async def test_an_application_that_fails(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    async with stack() as router, router.user("good") as good:
        monkeypatch.setattr(router.listener, "_http", async_boom)
        async with router.connect() as bad:
            await bad.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            assert await bad.rest() == b""
        await router.settled(1)
        await still_well(router, good)
