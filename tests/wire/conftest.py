"""A whole listener with sessions behind it on a free loopback port, and a client that speaks raw bytes.

``stack`` makes routers: ``async with stack(...) as router``. Its rules are a table, its logins a script, its HTTP application one
line. Nothing here knows more of a WebSocket than the frames it writes by hand, so that it can write bad ones.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import attrs
import pytest
import structlog
import trio
import trustme

from trio_router.auth.chain import Chain
from trio_router.auth.strategy import Accepted, Answer, Denied, LoginRequest
from trio_router.clock import SystemClock
from trio_router.identity import User
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.permissions.decision import Ruleset
from trio_router.routing.core import Core
from trio_router.routing.door import Door
from trio_router.session.server import SessionServer
from trio_router.session.timers import TrioTimers
from trio_router.testing.rules import FixedRules
from trio_router.transport.addresses import TrustedProxies
from trio_router.transport.admission import Admission
from trio_router.transport.lane import Lane
from trio_router.transport.listener import HttpHandler, Listener, Policy
from trio_router.transport.origin import OriginPolicy

KEY = base64.b64encode(b"0123456789abcdef").decode()
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Everybody:
    """A strategy: who names itself is that user, ``nobody`` is denied, nobody in particular is ``guest``."""

    name = "everybody"

    def __init__(self) -> None:
        self.requests: list[LoginRequest] = []

    async def start(self, request: LoginRequest) -> Answer:
        self.requests.append(request)
        user = (request.auth or {}).get("user", "guest")
        return Denied("no") if user == "nobody" else Accepted(User(user))


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, masked: bool = True) -> bytes:
    """One frame of a client, or whatever else is asked for."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    bit = 0x80 if masked else 0
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    key = (mask * (size // 4 + 1))[:size]
    return head + mask + (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(size)


def upgrade(*extra: str, path: str = "/", key: str = KEY, version: str = "13") -> bytes:
    """A correct upgrade request with these header lines added."""
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        f"Sec-WebSocket-Version: {version}",
        *extra,
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Raw:
    """One raw connection. Everything it waits for has a deadline, so that a test cannot hang."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.buffer = bytearray()

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def more(self) -> bool:
        """Read some more; False at the end."""
        with trio.fail_after(20):
            try:
                data = await self.stream.receive_some(65536)
            except trio.BrokenResourceError:
                return False
        self.buffer += data
        return bool(data)

    async def exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            if not await self.more():
                raise EOFError
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        while await self.more():
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    async def response(self) -> tuple[int, dict[str, str]]:
        """The head of an HTTP response: status, and headers with names in lower case."""
        while b"\r\n\r\n" not in self.buffer:
            if not await self.more():
                raise EOFError
        head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        self.buffer = bytearray(rest)
        lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines[1:])
        return int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in pairs}

    async def frame(self) -> tuple[int, bytes]:
        """The next frame of the server: opcode and payload. ``EOFError`` if there is none."""
        first, second = await self.exactly(2)
        assert first & 0xF0 == 0x80, "fragmented, or a reserved bit is set"
        assert second < 128, "a server does not mask"
        size = second
        if second == 126:
            size = int.from_bytes(await self.exactly(2))
        elif second == 127:
            size = int.from_bytes(await self.exactly(8))
        return first & 0x0F, await self.exactly(size)

    async def message(self) -> dict[str, Any]:
        """The next text message, control frames passed over."""
        while True:
            opcode, payload = await self.frame()
            assert opcode != CLOSE, payload
            if opcode == TEXT:
                return dict(json.loads(payload))

    async def closed_with(self) -> int | None:
        """The server's close code, whatever else it says before; None if it leaves without one."""
        while True:
            try:
                opcode, payload = await self.frame()
            except EOFError:
                return None
            if opcode == CLOSE:
                return int.from_bytes(payload[:2])

    async def say(self, **message: Any) -> None:
        await self.send(frame(TEXT, json.dumps(message).encode()))

    async def open(self, *extra: str, path: str = "/") -> dict[str, Any]:
        """Shake hands; the greeting."""
        await self.send(upgrade(*extra, path=path))
        status, _ = await self.response()
        assert status == 101
        return await self.message()

    async def login(self, user: str = "guest") -> dict[str, Any]:
        """Shake hands and log in; the welcome."""
        await self.open()
        await self.say(type="login", id="login", auth={"user": user})
        welcome = await self.message()
        assert welcome["type"] == "welcome", welcome
        return welcome


@attrs.define
class Router:
    """A running router and what a test wants to know of it."""

    port: int
    server: SessionServer
    core: Core
    admission: Admission
    listener: Listener
    metrics: Metrics
    strategy: Any
    client_tls: ssl.SSLContext | None = None

    @contextlib.asynccontextmanager
    async def connect(self, *, receive_buffer: int | None = None) -> AsyncIterator[Raw]:
        """A raw connection."""
        sock = trio.socket.socket()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        with sock:
            await sock.connect(("127.0.0.1", self.port))
            stream: trio.abc.Stream = trio.SocketStream(sock)
            if self.client_tls is not None:
                stream = trio.SSLStream(
                    stream,  # type: ignore[arg-type]
                    self.client_tls,
                    server_hostname="127.0.0.1",
                    https_compatible=True,
                )
            yield Raw(stream)

    @contextlib.asynccontextmanager
    async def user(self, user: str = "guest", **options: Any) -> AsyncIterator[Raw]:
        """A logged-in connection."""
        async with self.connect(**options) as raw:
            await raw.login(user)
            yield raw

    def refused(self, reason: str) -> float:
        """How many connections were refused for this reason."""
        return float(self.metrics.refused_connections.labels(reason)._value.get())

    async def settled(self, connections: int) -> None:
        """Wait until there are this many connections."""
        await until(lambda: self.admission.total == connections)


async def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until something is so."""
    with trio.fail_after(seconds):
        while not true():
            await trio.sleep(0.005)


async def tiny_http(stream: trio.abc.Stream, *, client: tuple[str, int], server: tuple[str, int], tls: bool) -> None:
    """Answers every first request with its own first line and who sent it."""
    data = await stream.receive_some()
    body = data.split(b"\r\n")[0] + f" from {client[0]} tls={tls}".encode()
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
    await stream.aclose()


Stack = Callable[..., AbstractAsyncContextManager[Router]]


@contextlib.asynccontextmanager
async def start(
    *,
    limits: Limits | None = None,
    rules: Ruleset | None = None,
    strategy: Any = None,
    origins: tuple[str, ...] = (),
    require_origin: bool = False,
    proxies: tuple[str, ...] = (),
    tls: bool = False,
    http: HttpHandler | None = None,
    lane: str = "fast",
) -> AsyncIterator[Router]:
    limits = limits or Limits()
    metrics = Metrics()
    log = structlog.get_logger()
    strategy = strategy or Everybody()
    timers = TrioTimers(log)
    hub = Core("default", Door(rules or FixedRules.everything(), metrics), timers, limits, metrics)
    server = SessionServer(
        app="default",
        core=hub,
        chain=Chain([strategy], 10.0, metrics, log),
        limits=limits,
        metrics=metrics,
        clock=SystemClock(),
        timers=timers,
        log=log,
    )
    server_tls = client_tls = None
    if tls:
        authority = trustme.CA()
        server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(server_tls)
        client_tls = ssl.create_default_context()
        authority.configure_trust(client_tls)
    admission = Admission(limits)
    fast = None if lane == "off" else Lane(timers, pumped=lane == "fast")
    (listening,) = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=1024)
    listener = Listener(
        listening,
        policy=Policy(
            origins=OriginPolicy(origins, require=require_origin),
            proxies=TrustedProxies(proxies),
            limits=limits,
            tls=server_tls,
        ),
        admission=admission,
        serve=server.serve,
        http=http or tiny_http,
        metrics=metrics,
        log=log,
        lane=fast,
        full=lambda _: server.full(),
    )
    port = listening.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        if fast is not None:
            nursery.start_soon(fast.run)
        await nursery.start(listener.run)
        yield Router(port, server, hub, admission, listener, metrics, strategy, client_tls)
        nursery.cancel_scope.cancel()


@pytest.fixture(params=["fast", "unpumped", "off"])
def lane(request: pytest.FixtureRequest) -> str:
    """How messages travel: in the fast lane, in it without a pump, or through trio-websocket alone."""
    return str(request.param)


@pytest.fixture
def stack(lane: str) -> Stack:
    return partial(start, lane=lane)


@pytest.fixture(autouse=True)
def _quiet_log() -> AsyncIterator[None]:
    with structlog.testing.capture_logs():
        yield  # type: ignore[misc]
