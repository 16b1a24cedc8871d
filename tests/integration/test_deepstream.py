"""deepstream clients and native ones in one whole router, over real sockets: logins, rules, events, calls, presence, tokens, apps."""

from __future__ import annotations

# ruff: noqa: SIM117 - nested blocks show who is inside of what
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio
from trio_websocket import WebSocketConnection

from tests.integration.conftest import USERS_CONFIG, Site, Start
from tests.integration.deepstream import Peer, deepstream
from trio_router.client import KeyAuth, connect
from trio_router.protocols.deepstream.packets import Packet
from trio_router.protocols.deepstream.words import (
    AuthAction,
    ConnectionAction,
    EventAction,
    ParserAction,
    PresenceAction,
    RpcAction,
    Topic,
)
from trio_router.testing.http_service import ServiceRequest, answer, answer_json, serve
from trio_router.tokens.trust import issue_trust_token

WAYS = ["deepstream", "deepstream-json"]
UPGRADE = {
    "connection": "upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
CONFIG = USERS_CONFIG + "deepstream: {auth_attempts: 2, requestor_name: true}\n"


@asynccontextmanager
async def peer(site: Site, name: str, way: str) -> AsyncIterator[Peer]:
    """A built-in user, logged in."""
    async with deepstream(f"{site.address.url}{way}", text=way.endswith("json")) as client:
        answered = await client.login(site.login(name))
        assert answered == Packet(Topic.AUTH, AuthAction.AUTH_SUCCESSFUL)
        yield client


@pytest.mark.parametrize("way", WAYS)
async def test_a_native_client_and_a_deepstream_client_talk(start: Start, way: str) -> None:
    async with start(CONFIG) as site, peer(site, "egon", way) as egon:
        async with connect(site.address.url, site.login("rosa")) as rosa:
            assert await egon.subscribe("room/1") == []
            async with rosa.subscribe("room/1") as feed:
                await rosa.publish("room/1", {"from": "rosa", "t\u00f6ne": [1, 2.5, None]})
                assert await egon.event() == ("room/1", {"from": "rosa", "t\u00f6ne": [1, 2.5, None]})
                assert (await anext(feed)).channel == "room/1"
                await egon.emit("room/1", {"from": "egon"})
                event = await anext(feed)
                assert (event.channel, event.data) == ("room/1", {"from": "egon"})
            async with trio.open_nursery() as nursery:
                assert await egon.bulk(Topic.RPC, RpcAction.PROVIDE, "double") == []
                nursery.start_soon(egon.answer, lambda data: data * 2)
                assert await rosa.call("double", 21) == 42

            async def triple(data: Any, _: Any) -> Any:
                return data * 3

            async with rosa.provide("triple", triple):
                result = await egon.call("triple", 7)
                assert (result.action, result.data) == (RpcAction.RESPONSE, "21")
            result = await egon.call("triple", 7)
            assert result.action == RpcAction.NO_RPC_PROVIDER
            await egon.say(Topic.PRESENCE, PresenceAction.QUERY_ALL)
            assert (await egon.next()).names == ["rosa"]
            assert (await rosa.presence()).users == {"egon": 1, "rosa": 1}
            await egon.say(Topic.PRESENCE, PresenceAction.SUBSCRIBE_ALL)
            assert (await egon.next()).is_ack
        assert (await egon.next()) == Packet(Topic.PRESENCE, PresenceAction.PRESENCE_LEAVE_ALL, name="rosa")


@pytest.mark.parametrize("way", WAYS)
async def test_rules_decide_name_by_name_and_a_reload_takes_rights_away(start: Start, way: str) -> None:
    async with start(CONFIG) as site, peer(site, "egon", way) as egon, peer(site, "rosa", way) as rosa:
        told = await egon.subscribe("room/1", "desk/rosa", "desk/egon", "nowhere")
        assert [(packet.action, packet.name) for packet in told] == [
            (EventAction.MESSAGE_DENIED, "desk/rosa"),
            (EventAction.MESSAGE_DENIED, "nowhere"),
        ]
        reason = json.loads(told[0].data or "")
        found = await site.admin("GET", f"/admin/decisions/{reason['decision']}")
        assert (found.json()["user"], found.json()["name"]) == ("egon", "desk/rosa")
        rules = (site.folder / "rules.yml").read_text()
        (site.folder / "rules.yml").write_text(rules.replace('"room/$room":', '"hall/$room":'))
        await site.router.reload()
        lost = await egon.next()
        assert (lost.topic, lost.action, lost.name) == (Topic.EVENT, EventAction.MESSAGE_DENIED, "room/1")
        assert lost.original_action == EventAction.SUBSCRIBE
        await rosa.emit("room/1", 1)
        refused = await rosa.next()
        assert (refused.action, refused.original_action) == (EventAction.MESSAGE_DENIED, EventAction.EMIT)


async def test_both_ways_share_channels_and_who_calls_is_told(start: Start) -> None:
    async with start(CONFIG) as site, peer(site, "egon", WAYS[0]) as egon, peer(site, "rosa", WAYS[1]) as rosa:
        await egon.subscribe("room/1")
        await rosa.subscribe("room/1")
        await egon.emit("room/1")
        assert await rosa.event() == ("room/1", None)
        await rosa.emit("room/1", "\u20ac")
        assert await egon.event() == ("room/1", "\u20ac")
        await egon.bulk(Topic.RPC, RpcAction.PROVIDE, "who")
        await rosa.say(Topic.RPC, RpcAction.REQUEST, name="who", correlation_id="1")
        request = await egon.next()
        assert (request.requestor_name, request.requestor_data, request.data) == ("rosa", None, None)


@pytest.mark.parametrize("way", WAYS)
async def test_wrong_passwords_and_the_last_attempt(start: Start, way: str) -> None:
    async with start(CONFIG) as site:
        async with deepstream(f"{site.address.url}{way}", text=way.endswith("json")) as client:
            denied = await client.login({"username": "egon", "password": "wrong"})
            assert denied == Packet(Topic.AUTH, AuthAction.AUTH_UNSUCCESSFUL)
            await client.say(Topic.AUTH, AuthAction.REQUEST, data='{"username": "egon", "password": "no"}')
            assert await client.next() == denied
            assert await client.next() == Packet(Topic.AUTH, AuthAction.TOO_MANY_AUTH_ATTEMPTS)
            assert await client.closed() == 4501


@pytest.mark.threat("T06")
async def test_what_is_no_packet_disturbs_nobody(start: Start) -> None:
    async with start(CONFIG) as site, peer(site, "egon", WAYS[0]) as egon, peer(site, "rosa", WAYS[1]) as rosa:
        await egon.socket.send_message(b"\xff\xff\xff")
        assert await egon.next() == Packet(Topic.PARSER, ParserAction.UNKNOWN_TOPIC)
        await rosa.socket.send_message("{")
        assert await rosa.next() == Packet(Topic.PARSER, ParserAction.UNKNOWN_TOPIC)
        for client in (egon, rosa):
            await client.say(Topic.CONNECTION, ConnectionAction.PING)
            assert await client.next() == Packet(Topic.CONNECTION, ConnectionAction.PONG)
        await egon.socket.send_message("text")
        assert await egon.closed() == 1003
        await rosa.socket.send_message(b"\x06\x10\x02\x1a\x02\x08\x02")
        assert await rosa.closed() == 1003


async def test_a_stop_closes_everybody_so_that_they_come_back(start: Start) -> None:
    config = CONFIG + "limits: {drain_window: 0}\n"
    async with start(config) as site, peer(site, "egon", WAYS[0]) as egon, peer(site, "rosa", WAYS[1]) as rosa:
        site.router.stop()
        assert [await client.closed() for client in (egon, rosa)] == [1012, 1012]


async def test_only_the_paths_of_the_config_are_there(start: Start) -> None:
    config = USERS_CONFIG + "deepstream: {paths: [/old, /new/ds], json_paths: []}\n"
    async with start(config) as site:
        base = site.address.url.rstrip("/")
        for path in ("/old", "/new/ds"):
            async with deepstream(f"{base}{path}") as client:
                assert (await client.login(site.login("egon"))).action == AuthAction.AUTH_SUCCESSFUL
        for path in ("/deepstream", "/deepstream-json", "/old/x"):
            async with httpx.AsyncClient(trust_env=False) as client:
                refused = await client.get(f"http{base.removeprefix('ws')}{path}", headers=UPGRADE)
            assert (refused.status_code, refused.text) == (404, "there is no WebSocket here\n")
        async with connect(site.address.url, site.login("egon")):
            pass


# ---- logins by cookie and by token -------------------------------------------------------------------------------

WEBHOOK = """
rules: rules.yml
login: [{{strategy: webhook, url: "{url}", forward_headers: [cookie], timeout: 2.0}}]
listen: {{port: 0}}
admin: {{port: 0, token: "${{ADMIN}}"}}
storage: {{url: "sqlite:///users.db"}}
deepstream: {{}}
"""


async def test_a_cookie_or_a_token_logs_in_by_the_webhook_and_an_outage_is_told_apart(start: Start) -> None:
    seen: list[Any] = []
    state = {"down": False}

    async def doorman(request: ServiceRequest, stream: trio.abc.Stream) -> None:
        body = request.json
        seen.append(body)
        cookie = body["connectionData"]["headers"].get("cookie", "")
        if state["down"]:
            await answer(503)(request, stream)
        elif cookie == "token=good" or (body["authData"] or {}).get("token") == "good":
            user = {"id": "egon", "clientData": {"color": "red"}, "serverData": {"role": "boss"}}
            await answer_json(200, user)(request, stream)
        else:
            await answer_json(403, {"error": "log in first"})(request, stream)

    async with serve(doorman) as service, start(WEBHOOK.format(url=service.url), users=()) as site:
        url = f"{site.address.url}deepstream"
        for headers, auth in (([("cookie", "token=good")], {}), ([], {"type": "webhook", "token": "good"})):
            async with deepstream(url, headers=headers) as client:
                accepted = await client.login(auth)
                assert accepted == Packet(Topic.AUTH, AuthAction.AUTH_SUCCESSFUL, data='{"color":"red"}')
                await client.emit("desk/1", 1)  # which the serverData decides
                await client.say(Topic.CONNECTION, ConnectionAction.PING)
                assert (await client.next()).action == ConnectionAction.PONG
            assert seen[-1]["authData"] == auth
        async with deepstream(url, headers=[("cookie", "token=bad")]) as client:
            denied = await client.login({})
            assert denied == Packet(Topic.AUTH, AuthAction.AUTH_UNSUCCESSFUL, data='{"error":"log in first"}')
            state["down"] = True
            await client.say(Topic.AUTH, AuthAction.REQUEST, data="{}")
            unavailable = await client.next()
            assert unavailable.action == AuthAction.AUTH_UNSUCCESSFUL
            assert json.loads(unavailable.data or "")["error"] == "login_unavailable"


# ---- private names and apps --------------------------------------------------------------------------------------

SEAL = "the key under which the secrets of this test's app keys rest"
KEYS = """
rules: rules.yml
login: [{strategy: key}]
listen: {port: 0}
admin: {port: 0, token: "${ADMIN}"}
storage: {url: "memory://", encryption_key: "${SEAL}"}
deepstream: {}
apps:
  shop: {rules: rules.yml, login: [{strategy: key}]}
"""
PRIVATE = """
event:
  "*": {subscribe: true, publish: true}
  "prs:*": {subscribe: true, publish: true}
  "pvt:*": {subscribe: true, publish: true}
rpc:
  "*": {provide: true, request: true}
  "pvt:*": {provide: true, request: true}
presence:
  "*": {allow: true}
"""


async def made(site: Site, app: str) -> tuple[str, str]:
    answered = await site.admin("POST", f"/admin/apps/{app}/keys", json={"id": "k"})
    return f"{app}.k", answered.json()["secret"]


@pytest.mark.threat("T50")
async def test_trust_tokens_are_presented_by_a_call(start: Start) -> None:
    async with start(KEYS, PRIVATE, users=(), SEAL=SEAL) as site:
        key, secret = await made(site, "default")

        def token(session: str, name: str, action: Any, **more: Any) -> str:
            return issue_trust_token(
                key=key.partition(".")[2], secret=secret, session=session, channel=name, action=action, **more
            )

        async with deepstream(f"{site.address.url}deepstream") as client:
            assert (await client.login({"key": key})).action == AuthAction.AUTH_SUCCESSFUL
            who = json.loads((await client.call("trio-router/session")).data or "")
            (told,) = await client.subscribe("pvt:room")
            assert json.loads(told.data or "")["error"] == "token_needed"
            text = token(who["session"], "pvt:room", "channel.subscribe")
            answered = await client.call("trio-router/trust-token", {"name": "pvt:room", "token": text})
            assert (answered.action, answered.data) == (RpcAction.RESPONSE, '{"name":"pvt:room"}')
            assert await client.subscribe("pvt:room") == []
            (told,) = await client.subscribe("pvt:other")
            assert json.loads(told.data or "")["error"] == "token_needed"

            async with connect(site.address.url, KeyAuth(key, secret)) as server:
                await server.publish("pvt:room", 1)
                assert await client.event() == ("pvt:room", 1)
                async with server.subscribe("pvt:room") as feed, server.subscribe("pvt:out") as out:
                    await client.emit("pvt:room", 2)
                    assert (await anext(feed)).data == 2
                    text = token(who["session"], "pvt:out", "channel.connect")
                    opened = {"name": "pvt:out", "token": text, "connect": True}
                    assert (await client.call("trio-router/trust-token", opened)).action == RpcAction.RESPONSE
                    await client.emit("pvt:out", 3)
                    assert (await anext(out)).data == 3
                # a token for another session, or for another use, opens nothing
                for wrong in (
                    token(server.session_id, "pvt:x", "channel.subscribe"),
                    token(who["session"], "pvt:x", "rpc.connect"),
                    "junk",
                ):
                    await client.call("trio-router/trust-token", {"name": "pvt:x", "token": wrong})
                    (told,) = await client.subscribe("pvt:x")
                    assert json.loads(told.data or "")["error"] == "token_refused"
                refused = await client.call("trio-router/trust-token", {**opened, "name": "pvt:x"})
                assert json.loads(refused.data or "")["error"] == "token_refused"

            text = token(who["session"], "pvt:work", "rpc.register")
            await client.call("trio-router/trust-token", {"name": "pvt:work", "token": text})
            assert await client.bulk(Topic.RPC, RpcAction.PROVIDE, "pvt:work") == []
            for bad in (
                None,
                [],
                {"name": "pvt:x"},
                {"name": "x", "token": "t"},
                {"name": "pvt:x", "token": 1},
                {**opened, "y": 1},
            ):
                refused = await client.call("trio-router/trust-token", bad)
                assert refused.action == RpcAction.REQUEST_ERROR
                assert json.loads(refused.data or "")["error"] in {"invalid_message", "invalid_name"}
            (told,) = await client.bulk(Topic.RPC, RpcAction.PROVIDE, "trio-router/trust-token")
            assert json.loads(told.data or "")["error"] == "reserved"


@pytest.mark.threat("T66")
async def test_apps_have_deepstream_paths_of_their_own(start: Start) -> None:
    async with start(KEYS, PRIVATE, users=(), SEAL=SEAL) as site:
        (key, _), (other, _) = await made(site, "default"), await made(site, "shop")
        async with deepstream(f"{site.address.url}deepstream") as one:
            async with deepstream(f"{site.address.url}shop/deepstream-json", text=True) as two:
                assert (await one.login({"key": other})).action == AuthAction.AUTH_UNSUCCESSFUL
                await one.say(Topic.AUTH, AuthAction.REQUEST, data=json.dumps({"key": key}))
                assert (await one.next()).action == AuthAction.AUTH_SUCCESSFUL
                assert (await two.login({"key": other})).action == AuthAction.AUTH_SUCCESSFUL
                await one.subscribe("a")
                await two.subscribe("a")
                await one.emit("a", "one")
                await two.emit("a", "two")
                for client in (one, two):
                    await client.say(Topic.PRESENCE, PresenceAction.QUERY_ALL)
                    assert (await client.next()).names is None  # nobody else, and no event came before


async def test_nothing_but_close_frames_of_the_router_needs_an_answer(start: Start) -> None:
    """deepstream's heartbeat is a message: the router sends no pings of WebSocket to its clients."""
    config = USERS_CONFIG + "deepstream: {heartbeat_interval: 0.2}\nlimits: {ping_interval: 0.05}\n"
    async with start(config) as site, peer(site, "egon", WAYS[0]) as egon:
        with trio.move_on_after(1):
            while True:
                await egon.say(Topic.CONNECTION, ConnectionAction.PING)
                assert (await egon.next()).action == ConnectionAction.PONG
                await trio.sleep(0.1)
        assert isinstance(egon.socket, WebSocketConnection)
        assert await egon.closed() == 4001
