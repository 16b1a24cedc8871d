"""One HTTP exchange over streams in memory: raw bytes in, a parsed answer out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio
import trio.testing
from starlette.types import ASGIApp

from trio_router.http.serve import HttpServer
from trio_router.limits import Limits

CLIENT = ("203.0.113.7", 50000)
SERVER = ("127.0.0.1", 7001)


@attrs.frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def request(method: str, target: str, *headers: str, body: bytes | None = None, host: str = "localhost:7001") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


def parse(data: bytes) -> Answer:
    head, _, body = data.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Answer(int(status.split()[1]), headers, body)


@asynccontextmanager
async def connected(
    app: ASGIApp, limits: Limits | None = None, **settings: Any
) -> AsyncIterator[tuple[trio.abc.Stream, HttpServer]]:
    server = HttpServer(app, limits or Limits(), **settings)
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: server.serve(theirs, client=CLIENT, server=SERVER))
        yield ours, server
        await ours.aclose()
        nursery.cancel_scope.deadline = trio.current_time() + 10
    assert not nursery.cancel_scope.cancelled_caught  # it ends by itself once the peer is gone


async def read_all(stream: trio.abc.Stream) -> bytes:
    data = bytearray()
    with trio.fail_after(10):
        while chunk := await stream.receive_some(65536):
            data += chunk
    return bytes(data)


async def exchange(app: ASGIApp, raw: bytes, limits: Limits | None = None, **settings: Any) -> bytes:
    async with connected(app, limits, **settings) as (stream, _):
        await stream.send_all(raw)
        return await read_all(stream)


async def ask(app: ASGIApp, method: str, target: str, *headers: str, **rest: Any) -> Answer:
    return parse(await exchange(app, request(method, target, *headers, **rest)))
