"""Trust-tokens, connected channels and participants, as a program sees them."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest
import trio

from tests.unit.client.conftest import Connect
from tests.unit.client.fake_router import FakeRouter, Peer, done
from trio_router.client import NoToken, RequestRefused, TokenEndpoint
from trio_router.client.values import ParticipantEvent
from trio_router.payload import Payload
from trio_router.protocols import codes, messages

ANN = messages.Participant("s-9", "ann", {"age": 36})


class Asked:
    """An ``access_token`` that remembers what it was asked."""

    def __init__(self, failures: int = 0) -> None:
        self.questions: list[tuple[str, str, str]] = []
        self._failures = failures

    async def __call__(self, channel: str, session_id: str, action: str) -> str:
        self.questions.append((channel, session_id, action))
        await trio.lowlevel.checkpoint()
        if len(self.questions) <= self._failures:
            raise NoToken(channel, "come back", temporary=True)
        return f"token {len(self.questions)}"


async def handler(_data: Any, _call: Any) -> None:
    """Answers nothing."""


async def result(peer: Peer, message: messages.Call) -> None:
    await peer.send(messages.Result(message.id, Payload(1)))


async def test_every_use_that_opens_a_name_asks(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    asked = Asked()
    router.on[messages.Call] = result
    router.on[messages.Connect] = router.on[messages.Disconnect] = done
    async with connected(access_token=asked) as client:
        async with (
            client.subscribe("pvt:a"),
            client.subscribe("sys:a"),
            client.connect("prs:a"),
            client.subscribe("news"),
            client.provide("pvt:p", handler, direct=True),
        ):
            assert await client.call("prs:p", provider="s-2") == 1
            async with client.call_progressive("prs:q") as parts:
                assert [part async for part in parts] == [1]
            assert await client.call("plain") == 1
        peer = await router.peer()
        assert asked.questions == [
            ("pvt:a", "session-1", "channel.subscribe"),
            ("sys:a", "session-1", "system_channel.subscribe"),
            ("prs:a", "session-1", "channel.connect"),
            ("pvt:p", "session-1", "rpc.register"),
            ("prs:p", "session-1", "rpc.connect"),
            ("prs:q", "session-1", "rpc.connect"),
        ]
        tokens = [message.token for message in peer.of(messages.Subscribe)]
        assert tokens == ["token 1", "token 2", None]
        assert peer.of(messages.Connect)[0].token == "token 3"
        assert (peer.of(messages.Provide)[0].token, peer.of(messages.Provide)[0].direct) == ("token 4", True)
        assert [message.token for message in peer.of(messages.Call)] == ["token 5", "token 6", None]
        assert peer.of(messages.Call)[0].provider == "s-2"
        await peer.wait_for(messages.Disconnect)


async def test_a_plain_function_will_do_and_none_goes_without(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async with connected(access_token=lambda *_: None) as client, client.subscribe("pvt:a"):
        assert (await router.peer()).of(messages.Subscribe)[0].token is None


async def test_a_new_session_gets_new_tokens(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    asked = Asked()
    async with connected(access_token=asked) as client, client.subscribe("pvt:a") as feed:
        await (await router.peer()).cut()
        again = await (await router.peer(2)).wait_for(messages.Subscribe)
        assert again.token == "token 2"
        assert asked.questions[1] == ("pvt:a", "session-2", "channel.subscribe")
        await trio.testing.wait_all_tasks_blocked()
        assert feed.interruptions == 1


async def test_what_expired_is_opened_again(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async with connected(access_token=Asked()) as client, client.subscribe("pvt:a") as feed:
        peer = await router.peer()
        await peer.send(messages.Revoked("subscribe", "pvt:a", codes.TOKEN_EXPIRED))
        again = await peer.wait_for(messages.Subscribe, 2)
        assert again.token == "token 2"
        await peer.send(messages.Event("pvt:a", Payload("go on")))
        assert (await anext(feed)).data == "go on"
        assert feed.interruptions == 1


async def test_without_anybody_to_ask_it_ends(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async with connected() as client, client.subscribe("pvt:a") as feed:
        await (await router.peer()).send(messages.Revoked("subscribe", "pvt:a", codes.TOKEN_EXPIRED))
        with pytest.raises(RequestRefused) as caught:
            await anext(feed)
        assert caught.value.slug == "token_expired"


async def test_after_a_reconnect_it_waits_for_an_authorisation_server_that_is_away(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    asked = Asked()
    async with connected(access_token=asked) as client, client.subscribe("pvt:a"):
        asked._failures = 4
        await (await router.peer()).cut()
        assert (await (await router.peer(2)).wait_for(messages.Subscribe)).token == "token 5"


async def test_a_function_that_fails_is_a_refusal(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    def broken(*_: str) -> str:
        raise KeyError("secret thing")

    async with connected(access_token=broken) as client:
        with pytest.raises(NoToken) as caught:
            async with client.subscribe("pvt:a"):
                pass
        assert "secret" not in str(caught.value)
        async with client.subscribe("news"):
            pass


async def test_participants(autojump_clock: Any, router: FakeRouter, connected: Connect) -> None:
    async def listed(peer: Peer, message: messages.Participants) -> None:
        await peer.send(messages.ParticipantList(message.id, message.channel, (ANN,)))

    router.on[messages.Participants] = listed
    async with (
        connected(access_token=Asked()) as client,
        client.watch_participants("prs:a") as changes,
        client.subscribe("prs:a") as events,
    ):
        assert await client.participants("prs:a") == (ANN,)
        peer = await router.peer()
        assert len(peer.of(messages.Subscribe)) == 1
        await peer.send(messages.ParticipantChange("prs:a", "joined", ANN))
        await peer.send(messages.Event("prs:a", Payload(1)))
        assert await anext(changes) == ParticipantEvent("prs:a", "joined", ANN)
        assert (await anext(events)).data == 1


async def test_a_connected_channel_that_is_taken_away(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    router.on[messages.Connect] = router.on[messages.Disconnect] = done
    async with connected() as client, client.connect("news") as link:
        await (await router.peer()).send(messages.Revoked("connect", "news", codes.DENIED))
        error = await link.wait_ended()
        assert isinstance(error, RequestRefused)
        assert error.slug == "denied"


async def test_receivers_chosen_by_a_server_program(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async with connected() as client:
        await client.publish("pvt:a", 1, to="s-1")
        await client.publish("pvt:a", 1, exclude=["s-1", "s-2"], acknowledge=False)
        peer = await router.peer()
        await peer.wait_for(messages.Publish, 2)
        assert [(each.to, each.exclude) for each in peer.of(messages.Publish)] == [("s-1", ()), (None, ("s-1", "s-2"))]


# ---- the application's own endpoint -------------------------------------------------------------------------


async def endpoint(nursery: trio.Nursery, status: int, body: bytes) -> tuple[TokenEndpoint, list[tuple[bytes, Any]]]:
    """One that is asked over HTTP, and what it heard as (head, body)."""
    heard: list[tuple[bytes, Any]] = []

    async def serve(stream: trio.SocketStream) -> None:
        data = b""
        async for part in stream:
            data += part
            head, end, rest = data.partition(b"\r\n\r\n")
            if end and rest.endswith(b"}"):
                heard.append((head, json.loads(rest)))
                break
        await stream.send_all(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

    listeners = await nursery.start(functools.partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
    url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/token"
    return TokenEndpoint(url, key="shop.k1", headers=[("Cookie", "login=1")]), heard


async def test_the_endpoint_is_asked_in_its_own_shape(nursery: trio.Nursery) -> None:
    answer = {"statuscode": 0, "error_message": "", "accesskey": "a token"}
    ask, heard = await endpoint(nursery, 200, json.dumps(answer).encode())
    assert await ask("pvt:L1", "s-1", "channel.subscribe") == "a token"
    (head, body) = heard[0]
    assert body == {"ch": "pvt:L1", "sid": "s-1", "dbappkey": "shop.k1", "act": "channel.subscribe"}
    assert head.startswith(b"POST /token HTTP/1.1")
    assert b"login=1" in head


@pytest.mark.parametrize(
    ("status", "answer", "detail", "temporary"),
    [
        (200, {"statuscode": 9, "error_message": "not your level", "accesskey": "x"}, "not your level", False),
        (200, {"statuscode": 0, "error_message": "", "accesskey": ""}, "", False),
        (200, {"statuscode": 0, "error_message": 3}, "", False),
        (200, {"statuscode": False, "accesskey": "x"}, "another shape", False),
        (200, ["accesskey"], "another shape", False),
        (503, {}, "503", True),
        (403, {}, "403", False),
    ],
)
async def test_an_endpoint_that_refuses_or_fails(
    nursery: trio.Nursery, status: int, answer: Any, detail: str, temporary: bool
) -> None:
    ask, _ = await endpoint(nursery, status, json.dumps(answer).encode())
    with pytest.raises(NoToken) as caught:
        await ask("pvt:L1", "s-1", "channel.subscribe")
    assert detail in caught.value.detail
    assert caught.value.temporary is temporary
    assert caught.value.slug == "token_needed"
