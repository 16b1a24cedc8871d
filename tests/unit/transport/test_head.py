"""Request heads: bounded while they are read, judged by h11, and never repeated in an answer."""

from __future__ import annotations

import base64

import pytest
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_router.transport.head import MAX_HEADERS, HeadEnded, HeadRefused, RequestHead, read_head, response

KEY = base64.b64encode(b"k" * 16).decode()
GOOD = {
    "host": "example.com",
    "upgrade": "websocket",
    "connection": "keep-alive, Upgrade",
    "sec-websocket-key": KEY,
    "sec-websocket-version": "13",
}


def head(method: str = "GET", **changes: str | None) -> RequestHead:
    fields = GOOD | {name.replace("_", "-"): value for name, value in changes.items()}
    headers = tuple((name, value) for name, value in fields.items() if value is not None)
    return RequestHead(method, "/", "", headers, b"", b"")


async def read(data: bytes, max_size: int = 4096, step: int = 10**6) -> RequestHead:
    sender, receiver = trio.testing.memory_stream_one_way_pair()
    for start in range(0, len(data), step):
        await sender.send_all(data[start : start + step])
    await sender.aclose()
    return await read_head(receiver, max_size)


@pytest.mark.parametrize("step", [1, 7, 10**6])
async def test_the_head_ends_at_the_empty_line(step: int) -> None:
    raw = b"GET /a/b?token=x HTTP/1.1\r\nHost: h\r\nX-Two: 1\r\nx-two: 2, 3\r\n\r\n"
    found = await read(raw + b"rest", step=step)
    assert (found.method, found.path, found.query, found.raw) == ("GET", "/a/b", "token=x", raw)
    assert b"rest".startswith(found.rest)
    assert found.values("x-two") == ["1", "2, 3"]
    assert found.tokens("x-two") == ("1", "2", "3")
    assert "token" not in repr(found)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"x" * 5000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 5000, 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"A: b\r\n" * (MAX_HEADERS + 1) + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"\x16\x03\x01\x00\x00", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ],
)
async def test_what_is_no_head_is_refused_with_a_status(data: bytes, status: int) -> None:
    with pytest.raises(HeadRefused) as caught:
        await read(data)
    assert caught.value.status == status


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\nHost"])
async def test_who_leaves_early_is_just_gone(data: bytes) -> None:
    with pytest.raises(HeadEnded):
        await read(data)


@pytest.mark.threat("T02")
async def test_a_head_is_bounded_to_the_byte() -> None:
    start = b"GET / HTTP/1.1\r\nHost: h\r\nX: "
    for size, fits in ((500, True), (501, False)):
        data = start + b"x" * (size - len(start) - 4) + b"\r\n\r\n"
        assert len(data) == size
        if fits:
            assert (await read(data, max_size=500)).raw == data
        else:
            with pytest.raises(HeadRefused):
                await read(data, max_size=500)


def test_a_correct_upgrade_has_a_key() -> None:
    assert head().websocket_key() == KEY
    assert head(content_length="0").websocket_key() == KEY


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        (head("POST"), 400),
        (head(connection="close"), 400),
        (head(connection=None), 400),
        (head(sec_websocket_version="12"), 426),
        (head(sec_websocket_version=None), 426),
        (head(sec_websocket_key=None), 400),
        (head(sec_websocket_key="short"), 400),
        (head(sec_websocket_key=KEY + "="), 400),
        (head(sec_websocket_key="é" * 24), 400),
        (head(sec_websocket_key=base64.b64encode(b"x" * 17).decode()), 400),
        (head(transfer_encoding="chunked"), 400),
        (head(content_length="1"), 400),
    ],
)
def test_a_wrong_upgrade_has_none(wrong: RequestHead, status: int) -> None:
    with pytest.raises(HeadRefused) as caught:
        wrong.websocket_key()
    assert caught.value.status == status


def test_subprotocols_are_chosen_in_the_clients_order() -> None:
    offered = head(sec_websocket_protocol="secret, two, one")
    assert offered.chosen_subprotocol(("one", "two")) == "two"
    assert offered.chosen_subprotocol(("three",)) is None
    assert head().chosen_subprotocol(("one",)) is None


@pytest.mark.threat("T64")
@settings(deadline=None)
@given(st.binary(max_size=300))
def test_whatever_comes_in_it_is_a_head_or_one_of_two_errors(data: bytes) -> None:
    async def run() -> None:
        try:
            await read(b"GET / HTTP/1.1\r\nHost: h\r\n" + data, step=13)
        except (HeadRefused, HeadEnded) as refused:
            if isinstance(refused, HeadRefused):
                assert refused.response() == response(refused.status, refused.text)

    trio.run(run)


def test_answers_are_whole_http() -> None:
    assert response(403, "no").split(b"\r\n") == [
        b"HTTP/1.1 403 Forbidden",
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Length: 3",
        b"Connection: close",
        b"",
        b"no\n",
    ]
    assert b"\r\nRetry-After: 5\r\n" in response(503, "full")
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in response(426, "13")
