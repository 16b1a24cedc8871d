"""The whole way of a message over real sockets: plain and TLS, HTTP beside it, several sessions."""

from __future__ import annotations

import pytest
import trio

from tests.wire.conftest import CLOSE, KEY, PING, PONG, TEXT, Stack, frame, upgrade


@pytest.mark.parametrize("tls", [False, True])
async def test_one_publishes_another_receives(stack: Stack, tls: bool) -> None:
    async with stack(tls=tls) as router, router.connect() as ann, router.connect() as bob:
        greeting = await ann.open()
        assert greeting["type"] == "hello"
        assert greeting["message_size"] == router.server.limits.message_size
        await ann.say(type="login", id="l", auth={"user": "ann"})
        welcome = await ann.message()
        assert (welcome["user"], welcome["session"]) == ("ann", greeting["session"])
        await bob.login("bob")
        await ann.say(type="subscribe", id="s", channel="news")
        assert (await ann.message()) == {"type": "done", "id": "s"}
        await bob.say(type="publish", id="p", channel="news", data={"n": 1})
        assert (await bob.message()) == {"type": "done", "id": "p"}
        event = await ann.message()
        assert (event["type"], event["channel"], event["data"]) == ("event", "news", {"n": 1})


@pytest.mark.parametrize("tls", [False, True])
async def test_http_is_served_on_the_same_port(stack: Stack, tls: bool) -> None:
    async with stack(tls=tls) as router, router.connect() as raw:
        await raw.send(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await raw.response())[0] == 200
        assert await raw.rest() == b"GET /health HTTP/1.1 from 127.0.0.1 tls=%s" % str(tls).encode()


async def test_what_comes_right_behind_the_upgrade_is_not_lost(stack: Stack) -> None:
    async with stack() as router, router.connect() as raw:
        await raw.send(upgrade() + frame(TEXT, b'{"type":"login","id":"l","auth":{"user":"eve"}}'))
        assert (await raw.response())[0] == 101
        assert (await raw.message())["type"] == "hello"
        assert (await raw.message())["user"] == "eve"


async def test_a_message_may_come_in_fragments_with_a_ping_between_them(stack: Stack) -> None:
    async with stack() as router, router.connect() as raw:
        await raw.open()
        await raw.send(frame(TEXT, b'{"type":"login",', fin=False))
        await raw.send(frame(PING, b"are you there?"))
        assert await raw.frame() == (PONG, b"are you there?")
        await raw.send(frame(0, b'"id":"l"}'))
        assert (await raw.message())["type"] == "welcome"


async def test_a_close_is_answered_with_its_code(stack: Stack) -> None:
    async with stack() as router, router.user() as raw:
        await raw.send(frame(CLOSE, (1000).to_bytes(2) + b"bye"))
        opcode, payload = await raw.frame()
        assert (opcode, payload[:2]) == (CLOSE, (1000).to_bytes(2))
        assert await raw.rest() == b""
        await router.settled(0)


@pytest.mark.threat("T64")
async def test_no_text_of_the_client_gets_into_an_answer(stack: Stack) -> None:
    async with stack() as router, router.connect() as raw:
        await raw.send(
            upgrade(
                "Sec-WebSocket-Protocol: secret.token.value, trio-router.v1+json, Set-Cookie",
                "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
                "X-Canary: canary",
                path="/?token=canary",
            )
        )
        status, headers = await raw.response()
        assert status == 101
        assert set(headers) == {"upgrade", "connection", "sec-websocket-accept", "sec-websocket-protocol"}
        assert headers["sec-websocket-protocol"] == "trio-router.v1+json"
        await raw.message()
        await raw.say(type="login", id="l")
        await raw.message()
        (request,) = router.strategy.requests
        assert request.subprotocols == ("secret.token.value", "trio-router.v1+json", "Set-Cookie")
        assert request.query == "token=canary"


@pytest.mark.threat("T64")
@pytest.mark.parametrize(
    "head",
    [
        upgrade("X-A: 1\r\n folded: 2"),
        upgrade("X-A: a\rb"),
        upgrade("X-A: a\x00b"),
        upgrade("X-A : space"),
        upgrade("X\nA: 1", "Transfer-Encoding: chunked"),
        upgrade(key=KEY[:-4]),
        upgrade(key="not base64 at all!!!!!!!"),
        upgrade(f"Sec-WebSocket-Key: {KEY}"),
        upgrade("Content-Length: 5"),
        upgrade(version="8"),
        upgrade(path="/else"),
        upgrade("Host: other"),
        upgrade("Sec-WebSocket-Protocol: a\xff"),
        upgrade().replace(b"Host: 127.0.0.1", b"Host: xn--\xff"),
    ],
)
async def test_a_head_that_could_be_read_in_two_ways_is_refused_or_harmless(stack: Stack, head: bytes) -> None:
    async with stack() as router, router.connect() as raw, router.user() as good:
        await raw.send(head)
        status, headers = await raw.response()
        assert status in {101, 400, 404, 426}
        assert "x-a" not in headers
        assert "a" not in headers
        if status != 101:
            await raw.rest()
            assert router.server.sessions == 1
        await good.say(type="ping", id="1")
        assert (await good.message())["type"] == "pong"


async def test_a_protocol_that_is_not_ours_is_simply_not_chosen(stack: Stack) -> None:
    async with stack() as router, router.connect() as raw:
        await raw.send(upgrade("Sec-WebSocket-Protocol: soap, wamp.2.json"))
        status, headers = await raw.response()
        assert status == 101
        assert "sec-websocket-protocol" not in headers


async def test_a_trusted_proxy_is_believed_about_its_client(stack: Stack) -> None:
    forwarded = "X-Forwarded-For: 203.0.113.9, 198.51.100.7"
    async with stack(proxies=("127.0.0.1",)) as router, router.connect() as raw:
        await raw.open(forwarded)
        await raw.say(type="login", id="l")
        await raw.message()
        assert router.strategy.requests[0].remote_address == "198.51.100.7"
    async with stack() as router, router.connect() as raw:
        await raw.open(forwarded)
        await raw.say(type="login", id="l")
        await raw.message()
        assert router.strategy.requests[0].remote_address == "127.0.0.1"


@pytest.mark.threat("T54")
async def test_a_session_id_is_random_and_given_by_the_router_alone(stack: Stack) -> None:
    seen = set()
    async with stack() as router:
        for _ in range(50):
            async with router.connect() as raw:
                greeting = await raw.open("X-Session: mine", path="/?session=mine")
                seen.add(greeting["session"])
    assert len(seen) == 50
    assert all(len(session) == 24 for session in seen)
    assert not any("mine" in session for session in seen)
    for position in range(24):
        assert len({session[position] for session in seen}) > 10  # 50 draws of 64: far from any counter


async def test_stopping_lets_those_connected_go_on(stack: Stack) -> None:
    async with stack() as router, router.user() as raw:
        router.listener.stop()
        await trio.lowlevel.checkpoint()
        await raw.say(type="ping", id="1")
        assert (await raw.message())["type"] == "pong"
        with pytest.raises(ConnectionRefusedError):
            async with router.connect():
                pass
