"""The client over real sockets, against a WebSocket server that is not ours: TCP, TLS, and who is not let in."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import trio
import trustme
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from trio_router.client import Backoff, ConnectFailed, connect
from trio_router.client.websocket import Target
from trio_router.protocols import messages
from trio_router.protocols.native import codec

BIG = "ü" * 60_000


async def small_router(request: WebSocketRequest) -> None:
    """Logs everybody in, and answers a call with its data."""
    if request.path == "/refused":
        await request.reject(403, body=b"no")
        return
    ws: WebSocketConnection = await request.accept(subprotocol="trio-router.v1+json")
    await ws.send_message(codec.encode(messages.Hello("s1", 15_000, 1_000_000, 25_000)).decode())
    try:
        while True:
            message = codec.decode(await ws.get_message())
            if isinstance(message, messages.Login):
                await ws.send_message(codec.encode(messages.Welcome(message.id, "s1", "ann")).decode())
            elif isinstance(message, messages.Call):
                await ws.send_message(codec.encode(messages.Result(message.id, message.data)).decode())
    except ConnectionClosed:
        pass


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


async def serving(nursery: trio.Nursery, authority: trustme.CA | None = None) -> int:
    context = None
    if authority is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
    server = await nursery.start(serve_websocket, small_router, "127.0.0.1", 0, context)
    port: int = server.port
    return port


async def test_over_tcp(nursery: trio.Nursery) -> None:
    port = await serving(nursery)
    async with connect(f"ws://127.0.0.1:{port}/?a=b") as client:
        assert client.user_id == "ann"
        assert await client.call("echo", BIG) == BIG
        assert await client.call("echo", "") == ""


async def test_over_tls(nursery: trio.Nursery, authority: trustme.CA) -> None:
    port = await serving(nursery, authority)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with connect(f"wss://localhost:{port}/", tls=context) as client:
        assert await client.call("echo", BIG) == BIG


@pytest.mark.parametrize("wait", [True, False])
async def test_a_certificate_nobody_vouches_for(nursery: trio.Nursery, authority: trustme.CA, wait: bool) -> None:
    port = await serving(nursery, authority)
    with pytest.raises(ConnectFailed, match="certificate is not trusted") as caught:
        async with connect(f"wss://localhost:{port}/", wait=wait):
            pytest.fail("connected")
    assert caught.value.permanent


async def test_a_certificate_for_another_name(nursery: trio.Nursery, authority: trustme.CA) -> None:
    port = await serving(nursery, authority)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with pytest.raises(ConnectFailed, match="certificate is not trusted"):
        async with connect(f"wss://127.0.0.1:{port}/", tls=context):
            pytest.fail("connected")


async def test_tls_where_there_is_none(nursery: trio.Nursery) -> None:
    port = await serving(nursery)
    with pytest.raises(ConnectFailed, match="no TLS connection"):
        async with connect(f"wss://localhost:{port}/"):
            pytest.fail("connected")


async def test_refused_by_http(nursery: trio.Nursery) -> None:
    port = await serving(nursery)
    with pytest.raises(ConnectFailed, match="HTTP status 403"):
        async with connect(f"ws://127.0.0.1:{port}/refused"):
            pytest.fail("connected")


async def test_nobody_listens() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    with pytest.raises(ConnectFailed, match=f"no connection to 127.0.0.1:{port}"):
        async with connect(f"ws://127.0.0.1:{port}/"):
            pytest.fail("connected")


async def test_the_router_comes_up_later(nursery: trio.Nursery) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    tries = 0

    class Counting(Backoff):
        def next(self, at_least: float = 0.0) -> float:
            nonlocal tries
            tries += 1
            if tries == 2:
                nursery.start_soon(serve_websocket, small_router, "127.0.0.1", port, None)
            return 0.01

    async with connect(f"ws://127.0.0.1:{port}/", wait=True, backoff=Counting()) as client:
        assert client.user_id == "ann"
    assert tries >= 2


async def not_http(stream: trio.SocketStream) -> None:
    await stream.send_all(b"220 mail.example ESMTP\r\n" * 10)
    await stream.aclose()


async def test_something_that_is_not_a_web_server(nursery: trio.Nursery) -> None:
    listeners: list[Any] = await nursery.start(trio.serve_tcp, not_http, 0)
    port = listeners[0].socket.getsockname()[1]
    with pytest.raises(ConnectFailed, match="does not answer as a WebSocket server"):
        async with connect(f"ws://127.0.0.1:{port}/"):
            pytest.fail("connected")


@pytest.mark.parametrize(
    ("url", "authority_part", "path", "port"),
    [
        ("ws://router.test", "router.test", "/", 80),
        ("wss://router.test/a?b=c", "router.test", "/a?b=c", 443),
        ("ws://router.test:8080/", "router.test:8080", "/", 8080),
        ("ws://[::1]:7000/", "[::1]:7000", "/", 7000),
    ],
)
def test_urls(url: str, authority_part: str, path: str, port: int) -> None:
    target = Target.parse(url)
    assert (target.authority, target.path, target.port) == (authority_part, path, port)
    assert "b=c" not in repr(target)  # a query may hold a token
