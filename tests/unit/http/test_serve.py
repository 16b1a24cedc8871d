"""One HTTP connection: what is answered, what is refused, and that nothing can hold it for ever."""

from __future__ import annotations

import pytest
import structlog
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.unit.http.wire import connected, exchange, parse, read_all, request
from trio_router.http.routes import application
from trio_router.http.serve import MAX_HEADERS, MAX_TARGET
from trio_router.limits import Limits

SMALL = Limits(http_body_size=1000, write_timeout=0.2)


async def hello(request: Request) -> Response:
    return PlainTextResponse(f"hello {len(await request.body())} {request.client}")


async def broken(_: Request) -> Response:
    raise ValueError("canary-in-an-exception")


async def stuck(_: Request) -> Response:
    await trio.sleep_forever()
    raise AssertionError


async def big(_: Request) -> Response:
    return PlainTextResponse("x" * 50_000_000)


APP = application(
    [
        Route("/hello", hello, methods=["GET", "POST"]),
        Route("/broken", broken),
        Route("/stuck", stuck),
        Route("/big", big),
    ]
)


async def status(raw: bytes, **rest: float) -> int:
    return parse(await exchange(APP, raw, SMALL, **rest)).status


async def test_a_request_is_answered_with_what_the_application_says() -> None:
    answer = parse(await exchange(APP, request("POST", "/hello", body=b"abc"), SMALL))
    assert answer.status == 200
    assert answer.body == b"hello 3 Address(host='203.0.113.7', port=50000)"
    assert "server" not in answer.headers


async def test_a_connection_serves_several_requests_one_after_the_other() -> None:
    raw = request("GET", "/hello").replace(b"Connection: close\r\n", b"") + request("GET", "/hello")
    assert (await exchange(APP, raw, SMALL)).count(b"HTTP/1.1 200") == 2


async def test_an_unknown_path_is_never_redirected_to_a_host_the_client_names() -> None:
    answer = parse(await exchange(APP, request("GET", "/hello/", host="evil.example"), SMALL))
    assert answer.status == 404
    assert "location" not in answer.headers


@pytest.mark.threat("T10")
@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (request("POST", "/hello", "Content-Length: 1001"), 413),
        (request("POST", "/hello", "Content-Length: " + "9" * 19), 413),
        (request("POST", "/hello", "Transfer-Encoding: chunked") + b"1\r\na\r\n" * 1100, 413),
        (request("GET", "/hello?" + "a" * MAX_TARGET), 414),
        (request("GET", "/hello", *["A: b"] * MAX_HEADERS), 431),
        (request("GET", "/hello", "A: " + "b" * 20_000), 431),
        (b"GET /hello HTTP/1.1\r\n\r\n", 400),  # no Host
        (request("GET", "/hello", "Host: other"), 400),
        (request("POST", "/hello", "Content-Length: 1", "Content-Length: 2"), 400),
        (request("POST", "/hello", "Content-Length: +1"), 400),
        (request("POST", "/hello", "Transfer-Encoding: gzip, chunked"), 501),
        (request("GET", "/hello", "A: b\r\n folded", "C : d"), 400),
        (b"garbage\r\n\r\n", 400),
        (request("CONNECT", "/hello"), 405),
        (request("DELETE", "/hello"), 405),
        (request("GET", "//evil.example/%2e%2e/hello"), 404),
    ],
)
async def test_a_request_beyond_the_bounds_is_refused_and_the_connection_ends(raw: bytes, expected: int) -> None:
    assert await status(raw) == expected


@pytest.mark.threat("T10")
@given(
    st.binary(max_size=300), st.sampled_from([b"", b"GET /hello HTTP/1.1\r\n", b"POST /hello HTTP/1.1\r\nHost: a\r\n"])
)
@settings(deadline=None, max_examples=60)
def test_no_bytes_make_it_raise_or_hang(tail: bytes, head: bytes) -> None:
    async def main() -> None:
        async with connected(APP, SMALL, keep_alive=0.05, request_timeout=0.1) as (stream, _):
            await stream.send_all(head + tail)
            await read_all(stream)

    trio.run(main)


@pytest.mark.parametrize(
    "head",
    [
        request("GET", "/hello", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
        request("GET", "/hello", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__").replace(b": close", b": upgrade"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
@pytest.mark.threat("T10")
async def test_nothing_switches_to_another_protocol(head: bytes) -> None:
    data = await exchange(APP, head, SMALL, keep_alive=0.05)
    assert b" 101 " not in data
    assert not data.startswith(b"\0\0")  # an HTTP/2 frame


async def test_a_websocket_upgrade_that_comes_this_far_is_refused() -> None:
    raw = request(
        "GET", "/hello", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + "A" * 22 + "=="
    )
    assert await status(raw.replace(b": close", b": upgrade")) == 403


@pytest.mark.threat("T09")
@pytest.mark.threat("T62")
async def test_an_exception_in_the_application_says_nothing_to_the_client() -> None:
    with structlog.testing.capture_logs() as logs:
        data = await exchange(APP, request("GET", "/broken"), SMALL)
    assert parse(data).status == 500
    assert parse(data).json["error"]["code"] == "internal_error"
    assert b"canary" not in data
    assert [entry["event"] for entry in logs] == ["http_request_failed"]
    assert "canary" not in repr(logs)
    assert not any("exc_info" in entry for entry in logs)  # whose text may quote what a client sent (T62)
    assert any("in broken" in place for place in logs[0]["traceback"])


@pytest.mark.parametrize(
    "raw", [request("GET", "/stuck"), request("POST", "/hello", "Content-Length: 10") + b"drip"], ids=["app", "body"]
)
async def test_a_request_that_takes_too_long_is_ended(raw: bytes) -> None:
    assert await status(raw, request_timeout=0.05) == 408


@pytest.mark.threat("T03")
@pytest.mark.parametrize("sent", [b"", b"GET /hel", request("GET", "/hello")])
async def test_a_peer_that_leaves_is_let_go_at_once(sent: bytes, autojump_clock: trio.testing.MockClock) -> None:
    async with connected(APP, SMALL, keep_alive=1000.0) as (stream, _):
        if sent:
            await stream.send_all(sent)
        await stream.send_eof()  # type: ignore[attr-defined]
        before = trio.current_time()
        await read_all(stream)
        assert trio.current_time() - before < 1


async def test_an_idle_connection_ends(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(APP, SMALL, keep_alive=3.0) as (stream, _):
        await stream.send_all(request("GET", "/hello").replace(b"Connection: close\r\n", b""))
        before = trio.current_time()
        assert b"200" in await read_all(stream)
        assert 2 < trio.current_time() - before < 4


@pytest.mark.threat("T12")
async def test_a_peer_that_does_not_read_is_dropped() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    from trio_router.http.serve import HttpServer

    server = HttpServer(APP, SMALL)
    done = trio.Event()

    async def handle(stream: trio.SocketStream) -> None:
        await server.serve(stream, client=None, server=None)
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handle, listeners)
        port = listeners[0].socket.getsockname()[1]
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(request("GET", "/big"))
            with trio.fail_after(10):
                await done.wait()
        nursery.cancel_scope.cancel()


async def test_draining_ends_idle_connections_and_those_that_were_answered() -> None:
    async with connected(APP, SMALL, keep_alive=1000.0) as (stream, server):
        await stream.send_all(request("GET", "/hello").replace(b"Connection: close\r\n", b""))
        data = b""
        while not data.endswith(b"50000)"):
            data += await stream.receive_some(10_000)
        await server.drain()
        assert await read_all(stream) == b""
