"""Requests over HTTP against a server that keeps to nothing: whole, bounded, in time, or HttpFailed."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_router.client.http import MAX_BODY, HttpFailed, post_json
from trio_router.testing import http_service
from trio_router.testing.http_service import ServiceRequest, answer, answer_json, raw, serve


async def test_a_request_and_its_answer() -> None:
    async with serve(answer_json(200, {"ok": True})) as service:
        reply = await post_json(service.url, {"a": 1}, headers=[("X-One", "1")])
    assert reply.json() == {"ok": True}
    [request] = service.requests
    assert (request.method, request.target, request.json) == ("POST", "/login", {"a": 1})
    assert request.header("x-one") == "1"
    assert request.header("content-type") == "application/json"


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(301, False), (400, True), (401, True), (403, True), (408, False), (429, False), (500, False)],
)
async def test_a_bad_status(status: int, permanent: bool) -> None:
    async with serve(answer(status, b"nothing to see", retry_after="7", location="http://127.0.0.1:1/")) as service:
        with pytest.raises(HttpFailed) as caught:
            await post_json(service.url, {})
    assert (caught.value.status, caught.value.permanent, caught.value.retry_after) == (status, permanent, 7.0)
    assert len(service.requests) == 1  # no redirect is followed


@pytest.mark.parametrize(
    "behaviour",
    [
        raw(b"garbage\r\n\r\n", close=True),
        raw(b"", close=True),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", close=True),
        answer(200, b"x" * (MAX_BODY + 1)),
    ],
)
async def test_what_is_no_answer(behaviour: http_service.Behaviour) -> None:
    async with serve(behaviour) as service:
        with pytest.raises(HttpFailed):
            await post_json(service.url, {})


async def test_there_is_one_deadline_for_all_of_it(autojump_clock: trio.testing.MockClock) -> None:
    async def drip(_: ServiceRequest, stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            await trio.sleep(1)
            await stream.send_all(b"x")

    autojump_clock.autojump_threshold = 0.02
    async with serve(drip) as service:
        began = trio.current_time()
        with pytest.raises(HttpFailed, match="within"):
            await post_json(service.url, {}, timeout=5)
        assert trio.current_time() - began < 8


async def test_nobody_there() -> None:
    from trio_router.client import ConnectFailed

    with pytest.raises(ConnectFailed):
        await post_json("http://127.0.0.1:1/", {})


@pytest.mark.parametrize("url", ["ftp://x", "x", "http://", "http://u:p@x/", "http://x/ä"])
@pytest.mark.threat("T62")
async def test_bad_urls(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        await post_json(url, {})
    assert "u:p" not in str(caught.value)
    await trio.lowlevel.checkpoint()


async def test_a_header_cannot_be_smuggled() -> None:
    with pytest.raises(ValueError, match="header"):
        await post_json("http://127.0.0.1:1/", {}, headers=[("X", "a\r\nY: b")])
    await trio.lowlevel.checkpoint()
