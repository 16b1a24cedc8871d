"""Official deepstream clients and native ones on one router; private names; rights and logins that are taken away."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.conformance.clients import UNDEFINED
from tests.conformance.conftest import RULES, Site, Start
from tests.integration.conftest import USERS_CONFIG
from trio_router.client import RequestRefused, connect
from trio_router.tokens.trust import issue_trust_token

KEYS = """
rules: rules.yml
login:
  - strategy: key
  - strategy: open
    allow_username: true
listen: {port: 0}
admin: {port: 0, token: "${ADMIN}"}
storage: {url: "memory://", encryption_key: "${SEAL}"}
deepstream: {}
"""
PRIVATE = """
event:
  "*": {subscribe: true, publish: true, listen: true}
  "pvt:*": {subscribe: true, publish: true}
rpc:
  "*": {provide: true, request: true}
  "pvt:*": {provide: true, request: true}
presence: {"*": {allow: true}}
"""
SEAL = "the key under which the secrets of this test's app keys rest"


async def test_an_event_of_a_native_client(site: Site) -> None:
    rosa = await site.user("rosa")
    await rosa.subscribe("news")
    async with connect(site.address.url, {"username": "egon"}) as egon:
        await egon.publish("news", {"a": [1, None, "ü"]})
        await rosa.sees("event", "news", {"a": [1, None, "ü"]})


async def test_an_event_for_a_native_client(site: Site) -> None:
    rosa = await site.user("rosa")
    async with connect(site.address.url, {"username": "egon"}) as egon, egon.subscribe("news") as news:
        await rosa.do("emit", "news", {"a": [1, None, "ü"]})
        assert (await anext(news)).data == {"a": [1, None, "ü"]}


async def test_a_native_pattern_gets_deepstream_events(site: Site) -> None:
    rosa = await site.user("rosa")
    async with connect(site.address.url, {"username": "egon"}) as egon, egon.subscribe("room/*") as rooms:
        await rosa.do("emit", "room/1", 1)
        assert (await anext(rooms)).channel == "room/1"


async def test_a_native_client_answers(site: Site) -> None:
    rosa = await site.user("rosa")
    async with connect(site.address.url, {"username": "egon"}) as egon:

        async def double(data: Any, _: Any) -> Any:
            return data * 2

        async with egon.provide("double", double):
            assert await rosa.make("double", 21) == (None, 42)


async def test_a_native_client_calls(site: Site) -> None:
    rosa = await site.user("rosa")
    await rosa.do("provide", "echo", "send", "$data")
    await rosa.do("provide", "fail", "error", "not today")
    await rosa.do("provide", "never", "reject")
    await rosa.settled()
    async with connect(site.address.url, {"username": "egon"}) as egon:
        assert await egon.call("echo", {"a": 1}) == {"a": 1}
        with pytest.raises(RequestRefused) as failed:
            await egon.call("fail", 1)
        assert failed.value.data == "not today"
        with pytest.raises(RequestRefused, match=r"(?i)provider"):
            await egon.call("never", 1)


async def test_presence_is_one(site: Site) -> None:
    rosa = await site.user("rosa")
    await rosa.do("watch")
    await rosa.settled()
    async with connect(site.address.url, {"username": "egon"}):
        await rosa.sees("presence", "egon", True)
        assert (await rosa.do("online"))["result"] == ["egon"]
    await rosa.sees("presence", "egon", False)


async def test_a_native_subscription_is_offered_to_who_listens(site: Site) -> None:
    provider = await site.user("provider")
    await provider.do("listen", "room/.*", "accept")
    await provider.settled()
    async with connect(site.address.url, {"username": "egon"}) as egon, egon.subscribe("room/1") as room:
        await provider.sees("asked", "room/.*", "room/1")
        await provider.do("emit", "room/1", "for you")
        assert (await anext(room)).data == "for you"
    await provider.sees("stopped", "room/.*", "room/1")


async def test_binary_and_json_clients_meet(site: Site) -> None:
    binary, text = await site.user("binary", text=False), await site.user("text", text=True)
    await binary.subscribe("news")
    await text.subscribe("news")
    await binary.do("emit", "news", 1)
    await text.sees("event", "news", 1)
    await text.do("emit", "news", 2)
    await binary.sees("event", "news", 2)


async def test_apps_do_not_meet(start: Start) -> None:
    config = """
rules: rules.yml
login: [{strategy: open, allow_username: true}]
listen: {port: 0}
deepstream: {}
apps:
  shop: {rules: rules.yml, login: [{strategy: open, allow_username: true}]}
"""
    async with start(config) as site:
        shop = {"url": site.url.rpartition("/")[0], "path": "/shop/deepstream"}
        here, there, other = await site.user("here"), await site.user("there", **shop), await site.user("other", **shop)
        for client in (here, there):
            await client.subscribe("news")
        await other.do("emit", "news", 1)
        await there.sees("event", "news", 1)
        await here.settled()
        assert here.events("news") == []
        assert (await here.do("online"))["result"] == []


# ---- private names -----------------------------------------------------------------------------------------------


async def key_of(site: Site) -> tuple[str, str]:
    """A new app key: its name and its secret."""
    made = await site.admin("POST", "/admin/apps/default/keys", json={"id": "k"})
    return "default.k", made.json()["secret"]


async def test_a_private_channel_needs_a_token(start: Start) -> None:
    async with start(KEYS, PRIVATE, SEAL=SEAL) as site:
        key, _ = await key_of(site)
        rosa = await site.client("rosa")
        assert (await rosa.login({"key": key}))[0] is True
        await rosa.subscribe("pvt:room")
        assert rosa.errors() == [("MESSAGE_DENIED", "EVENT")]


async def test_a_trust_token_is_presented_by_a_call(start: Start) -> None:
    async with start(KEYS, PRIVATE, SEAL=SEAL) as site:
        key, secret = await key_of(site)
        rosa, egon = await site.client("rosa"), await site.client("egon")
        for client in (rosa, egon):
            assert (await client.login({"key": key}))[0] is True
            _, who = await client.make("trio-router/session", None)
            token = issue_trust_token(
                key="k", secret=secret, session=who["session"], channel="pvt:room", action="channel.subscribe"
            )
            assert (await client.make("trio-router/trust-token", {"name": "pvt:room", "token": token}))[0] is None
            await client.subscribe("pvt:room")
            assert client.errors() == []
        await egon.do("emit", "pvt:room", "between us")
        await rosa.sees("event", "pvt:room", "between us")


@pytest.mark.threat("T50")
async def test_a_token_of_another_session_opens_nothing(start: Start) -> None:
    async with start(KEYS, PRIVATE, SEAL=SEAL) as site:
        key, secret = await key_of(site)
        rosa, egon = await site.client("rosa"), await site.client("egon")
        for client in (rosa, egon):
            await client.login({"key": key})
        _, who = await egon.make("trio-router/session", None)
        token = issue_trust_token(
            key="k", secret=secret, session=who["session"], channel="pvt:room", action="channel.subscribe"
        )
        await rosa.make("trio-router/trust-token", {"name": "pvt:room", "token": token})
        await rosa.subscribe("pvt:room")
        assert rosa.errors() == [("MESSAGE_DENIED", "EVENT")]


# ---- what is taken away ------------------------------------------------------------------------------------------


async def test_a_revoked_user_is_out_and_does_not_come_back_unasked(start: Start) -> None:
    config = USERS_CONFIG + "deepstream: {}\n"
    async with start(config, RULES, users=("egon",)) as site:
        egon = await site.client("egon")
        assert (await egon.login({"username": "egon", "password": "password of egon"}))[0] is True
        await egon.subscribe("news")
        answered = await site.admin("POST", "/admin/revocations", json={"kind": "user", "value": "egon"})
        assert answered.is_success, answered.text
        await egon.sees("state", "RECONNECTING")


async def test_a_disabled_user_is_out_and_refused_when_it_comes_back(start: Start) -> None:
    config = USERS_CONFIG + "deepstream: {}\n"
    async with start(config, RULES, users=("egon",)) as site:
        egon = await site.client("egon")
        assert (await egon.login({"username": "egon", "password": "password of egon"}))[0] is True
        answered = await site.admin("DELETE", "/admin/users/egon")
        assert answered.is_success, answered.text
        await egon.sees("reauthenticationFailure")


async def test_a_name_that_is_taken_away_says_why(start: Start) -> None:
    async with start() as site:
        rosa = await site.user("rosa")
        await rosa.subscribe("news")
        await site.reload(RULES.replace("subscribe: true", "subscribe: {rule: false, reason: closed for today}"))
        await rosa.sees("error", "MESSAGE_DENIED", "EVENT")


async def test_one_client_that_breaks_the_protocol_hurts_no_other(site: Site) -> None:
    rosa, egon = await site.user("rosa"), await site.user("egon")
    await rosa.subscribe("news")
    host, _, port = site.url.split("/")[2].partition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(
            b"GET /deepstream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert b"101" in await stream.receive_some()
        await stream.send_all(b"\x82\x85\0\0\0\0\xff\xff\xff\xff\xff" * 50)
        with trio.fail_after(5):
            while await stream.receive_some():
                pass
    await egon.do("emit", "news", 1)
    await rosa.sees("event", "news", 1)
    assert await rosa.make("nobody", 1) == ("NO_RPC_PROVIDER", UNDEFINED)
