"""A scripted HTTP service on loopback: what the outside looks like when it misbehaves, for tests of strategies.

Every behaviour is a small async function over the raw connection, so it can break any rule of HTTP. It owns the reading
of requests and a box of behaviours; it knows nothing of the router.

    async with serve(answer(200, b"alice")) as service:
        ...  # ask service.url, look at service.requests, set service.behave = hang()
"""

from __future__ import annotations

import gzip
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import msgspec
import trio

HEAD_LIMIT: Final = 1024 * 1024

_ZEROES: Final = b"\0" * 65536


@attrs.frozen
class ServiceRequest:
    """One request as it came in: header names in lower case, repeated ones repeated."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of this (lower-case) name."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def json(self) -> Any:
        """The body's JSON value."""
        return msgspec.json.decode(self.body)


Behaviour = Callable[[ServiceRequest, trio.abc.Stream], Awaitable[None]]
"""Answers one request on its connection. Returning leaves the connection open for the next request."""


class HttpService:
    """A running service: ``behave`` answers each request and may be replaced at any time; ``requests`` are all so far.

    ``in_flight`` and ``most_in_flight`` count requests being answered at once; ``connections`` how many were accepted.
    """

    def __init__(self, behave: Behaviour, port: int) -> None:
        self.behave = behave
        self.requests: list[ServiceRequest] = []
        self.port = port
        self.url = f"http://127.0.0.1:{port}/login"
        self.connections = 0
        self.in_flight = 0
        self.most_in_flight = 0

    async def handle(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until either side ends it."""
        self.connections += 1
        async with stream:
            try:
                while (request := await _read(stream)) is not None:
                    self.requests.append(request)
                    self.in_flight += 1
                    self.most_in_flight = max(self.most_in_flight, self.in_flight)
                    try:
                        await self.behave(request, stream)
                    finally:
                        self.in_flight -= 1
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return  # the router may leave whenever it likes


@asynccontextmanager
async def serve(behave: Behaviour) -> AsyncIterator[HttpService]:
    """A service on a free port of 127.0.0.1, gone with the block."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    service = HttpService(behave, listeners[0].socket.getsockname()[1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, service.handle, listeners)
        yield service
        nursery.cancel_scope.cancel()


def response(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a complete answer; a Content-Length is added."""
    fields = {"Content-Length": str(len(body)), **(headers or {})}
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def answer(status: int, body: bytes = b"", *, kind: str = "text/plain", **headers: str) -> Behaviour:
    """An ordinary answer of content type ``kind``; ``headers`` with ``_`` for ``-``."""
    fields = {"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return raw(response(status, body, fields))


def answer_json(status: int, value: Any, **headers: str) -> Behaviour:
    """``value`` as JSON."""
    return answer(status, msgspec.json.encode(value), kind="application/json", **headers)


def raw(data: bytes, *, close: bool = False) -> Behaviour:
    """Exactly these bytes, HTTP or not; then, with ``close``, the end of the connection."""

    async def behave(_: ServiceRequest, stream: trio.abc.Stream) -> None:
        await stream.send_all(data)
        if close:
            await stream.aclose()

    return behave


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Each of these once, the last one from then on."""
    waiting = list(behaviours)

    async def behave(request: ServiceRequest, stream: trio.abc.Stream) -> None:
        await (waiting.pop(0) if len(waiting) > 1 else waiting[0])(request, stream)

    return behave


def hang(seconds: float = math.inf, then: Behaviour | None = None) -> Behaviour:
    """No answer for that long; then the other behaviour."""

    async def behave(request: ServiceRequest, stream: trio.abc.Stream) -> None:
        await trio.sleep(seconds)
        if then is not None:
            await then(request, stream)

    return behave


def drip(data: bytes, interval: float = 1.0) -> Behaviour:
    """``data`` one byte at a time: no read ever times out."""

    async def behave(_: ServiceRequest, stream: trio.abc.Stream) -> None:
        for position in range(len(data)):
            await stream.send_all(data[position : position + 1])
            await trio.sleep(interval)

    return behave


def huge(size: int, *, chunked: bool = False, kind: str = "text/plain") -> Behaviour:
    """A body of ``size`` bytes, announced by its length or in chunks."""

    async def behave(_: ServiceRequest, stream: trio.abc.Stream) -> None:
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        await stream.send_all(f"HTTP/1.1 200 Scripted\r\nContent-Type: {kind}\r\n{framing}\r\n\r\n".encode())
        sent = 0
        while sent < size:
            part = _ZEROES[: size - sent]
            await stream.send_all(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
            sent += len(part)
        if chunked:
            await stream.send_all(b"0\r\n\r\n")

    return behave


def compressed(data: bytes, *, kind: str = "text/plain") -> Behaviour:
    """``data`` in gzip, whatever was asked for."""
    return answer(200, gzip.compress(data), kind=kind, Content_Encoding="gzip")


def redirect(url: str, status: int = 302) -> Behaviour:
    """Somewhere else, please."""
    return answer(status, b"", Location=url)


async def close_early(_: ServiceRequest, stream: trio.abc.Stream) -> None:
    """The end of the connection instead of an answer."""
    await stream.aclose()


async def _read(stream: trio.abc.Stream) -> ServiceRequest | None:
    data = b""
    while b"\r\n\r\n" not in data:
        part = await stream.receive_some()
        data += part
        if not part or len(data) > HEAD_LIMIT:
            return None
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, _, rest = first.partition(" ")
    fields = tuple((name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    length = int(next((value for name, value in fields if name == "content-length"), "0"))
    while len(body) < length:
        part = await stream.receive_some()
        if not part:
            return None
        body += part
    return ServiceRequest(method, rest.rpartition(" ")[0], fields, body)
