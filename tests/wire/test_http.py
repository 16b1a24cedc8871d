"""The real HTTP server behind the listener: same port, same bounds, bytes replayed."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.wire.conftest import Stack
from trio_router.http.serve import HttpServer
from trio_router.limits import Limits


async def echo(request: Request) -> PlainTextResponse:
    body = await request.body()
    client = request.client.host if request.client else "?"
    return PlainTextResponse(f"{request.method} {request.url.scheme} {client} {body.decode()}")


@pytest.mark.parametrize(("tls", "scheme"), [(False, b"http"), (True, b"https")])
async def test_requests_are_answered_on_the_port_of_the_sessions(stack: Stack, tls: bool, scheme: bytes) -> None:
    server = HttpServer(Starlette(routes=[Route("/echo", echo, methods=["GET", "POST"])]), Limits())
    async with stack(tls=tls, proxies=("127.0.0.1",), http=server.serve) as router:
        async with router.connect() as raw, router.connect() as session:
            await session.login()
            await raw.send(
                b"POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nX-Forwarded-For: 203.0.113.5\r\n\r\nbody"
            )
            status, headers = await raw.response()
            assert status == 200
            assert await raw.exactly(int(headers["content-length"])) == b"POST " + scheme + b" 203.0.113.5 body"
            await raw.send(b"GET /none HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")  # the same connection
            assert (await raw.response())[0] == 404
            await raw.rest()
            await session.say(type="ping", id="1")
            assert (await session.message())["type"] == "pong"
        await router.settled(0)
