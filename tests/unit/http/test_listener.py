"""The administration listener on a real socket."""

from __future__ import annotations

import contextlib

import pytest
import trio

from tests.unit.http.test_admin import BEARER, TOKEN, Router
from tests.unit.http.wire import parse, read_all, request
from trio_router.http import listener
from trio_router.http.admin import admin_app
from trio_router.http.listener import serve_admin
from trio_router.http.serve import HttpServer
from trio_router.limits import Limits
from trio_router.secret import Secret


@pytest.fixture
async def port(nursery: trio.Nursery) -> int:
    server = HttpServer(admin_app(Router(), None, token=Secret(TOKEN)), Limits())
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    await nursery.start(serve_admin, server, listeners, trio.CancelScope())
    port: int = listeners[0].socket.getsockname()[1]
    return port


async def ask(port: int, raw: bytes) -> bytes:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(raw)
        return await read_all(stream)


async def test_it_serves_on_a_free_port(port: int) -> None:
    assert parse(await ask(port, request("GET", "/health", BEARER))).status == 200


@pytest.mark.threat("T65")
async def test_the_gate_knows_the_address_it_stands_on(port: int) -> None:
    assert parse(await ask(port, request("GET", "/health", BEARER, host="evil.example"))).status == 403
    assert parse(await ask(port, request("GET", "/health"))).status == 401


@pytest.mark.threat("T65")
async def test_who_holds_connections_open_takes_a_bounded_number(port: int) -> None:
    streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(listener.CONNECTIONS)]
    for stream in streams:
        await stream.send_all(b"GET /health HTTP/1.1\r\n")
    async with await trio.open_tcp_stream("127.0.0.1", port) as late:
        assert await read_all(late) == b""
    for stream in streams:
        await stream.aclose()
    with trio.fail_after(10):
        while True:
            data = b""
            with contextlib.suppress(trio.BrokenResourceError):
                data = await ask(port, request("GET", "/health", BEARER))
            if data:
                break
            await trio.sleep(0.01)
    assert parse(data).status == 200


async def test_a_peer_that_is_gone_before_it_is_looked_at_harms_nobody(port: int) -> None:
    for _ in range(20):
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        stream.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await trio.aclose_forcefully(stream)  # a reset instead of an orderly end
    assert parse(await ask(port, request("GET", "/health", BEARER))).status == 200
