"""The client library after a reconnect, over real sockets: what it held is the router's to know before anything else is sent."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.integration.conftest import Start
from trio_router.client import Client, ConnectionLost, connect, standing
from trio_router.client.backoff import Backoff
from trio_router.testing.chaos import Proxy, proxy
from trio_router.tokens.trust import issue_trust_token

CONFIG = """
rules: rules.yml
login: [{strategy: key}]
listen: {port: 0}
rest: {}
admin: {port: 0, token: "${ADMIN}"}
storage: {url: "sqlite:///users.db", encryption_key: "the key under which secrets of this test rest"}
"""
RULES = """
event:
  "*": {publish: true, subscribe: true}
  "pvt:*": {publish: true, subscribe: true}
rpc: {"*": {provide: true, request: true}}
presence: {"*": {allow: true}}
"""
CHANNELS = 40
ROUNDS = 5

Ask = Callable[[str, str, str], Awaitable[str]]
Reach = Callable[..., Any]


@pytest.fixture
async def reach(start: Start, tmp_path: Path) -> AsyncIterator[Reach]:
    """Connects through a proxy that can be cut; ``ask`` gets a function that signs trust-tokens."""
    async with start(CONFIG, RULES, users=()) as site:
        made = await site.admin("POST", "/admin/apps/default/keys", json={"id": "k"})
        secret = made.json()["secret"]
        host, _, port = site.address.url.removeprefix("ws://").strip("/").partition(":")

        def sign(channel: str, session: str, action: Any) -> str:
            return issue_trust_token(key="k", secret=secret, session=session, channel=channel, action=action)

        @asynccontextmanager
        async def reached(make_ask: Callable[[Callable[..., str]], Ask] | None = None) -> AsyncIterator[Any]:
            async with proxy((host, int(port))) as way:
                ask = make_ask(sign) if make_ask else None
                url = f"ws://127.0.0.1:{way.port}/"
                async with connect(url, {"key": "default.k"}, access_token=ask, backoff=Backoff(base=0.01)) as client:
                    yield client, way

        yield reached


async def returned(client: Client, way: Proxy) -> None:
    """Cut the connection, and wait for the next one: for no more than that."""
    before = client.session_id
    way.cut()
    while client.session_id == before or not client.is_connected:
        await trio.lowlevel.checkpoint()


@pytest.fixture
def numbers() -> Iterator[int]:
    return count()


async def test_who_publishes_at_once_gets_it_back(reach: Reach, numbers: Iterator[int]) -> None:
    async with reach() as (client, way), trio.open_nursery() as nursery:
        send, receive = trio.open_memory_channel[int](1000)

        async def follow(channel: str, task_status: trio.TaskStatus) -> None:
            async with client.subscribe(channel) as events:
                task_status.started()
                async for event in events:
                    await send.send(event.data)

        for number in range(CHANNELS):
            await nursery.start(follow, f"news/{number}")
        for _ in range(ROUNDS):
            await returned(client, way)
            expected = {}
            for number in range(CHANNELS):
                expected[number] = next(numbers)
                await client.publish(f"news/{number}", expected[number], acknowledge=False)
            with trio.fail_after(10):
                assert {await receive.receive() for _ in range(CHANNELS)} == set(expected.values())
        nursery.cancel_scope.cancel()


async def test_who_calls_at_once_finds_what_it_provides(reach: Reach) -> None:
    async def double(data: Any, _call: Any) -> Any:
        return 2 * data

    async with reach() as (client, way), trio.open_nursery() as nursery:

        async def offer(procedure: str, task_status: trio.TaskStatus) -> None:
            async with client.provide(procedure, double):
                task_status.started()
                await trio.sleep_forever()

        for number in range(CHANNELS):
            await nursery.start(offer, f"double/{number}")
        for _ in range(ROUNDS):
            await returned(client, way)
            with trio.fail_after(10):
                assert [await client.call(f"double/{number}", number) for number in range(CHANNELS)] == [
                    2 * number for number in range(CHANNELS)
                ]
        nursery.cancel_scope.cancel()


async def test_a_private_channel_is_open_again_before_it_is_published_to(reach: Reach) -> None:
    """However long the application takes for its tokens."""

    def slow(sign: Callable[..., str]) -> Ask:
        async def ask(channel: str, session: str, action: str) -> str:
            await trio.sleep(0.2)
            return sign(channel, session, action)

        return ask

    async with reach(slow) as (client, way), client.subscribe("pvt:desk") as events:
        for number in range(ROUNDS):
            await returned(client, way)
            await client.publish("pvt:desk", number)
            with trio.fail_after(10):
                assert (await anext(events)).data == number


async def test_tokens_may_come_over_the_connection_they_are_for(reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gives them asks the router itself, and that is not kept until there is a token."""

    def over_the_router(sign: Callable[..., str]) -> Ask:
        async def ask(channel: str, session: str, action: str) -> str:
            if clients:
                assert await clients[0].presence() is not None
            return sign(channel, session, action)

        return ask

    clients: list[Client] = []
    async with reach(over_the_router) as (client, way):
        clients.append(client)
        async with client.subscribe("pvt:desk") as events:
            monkeypatch.setattr(standing, "HELD", math.inf)
            await returned(client, way)
            with trio.fail_after(10):
                await client.publish("pvt:desk", 1)
                assert (await anext(events)).data == 1


async def test_what_is_published_meanwhile_keeps_its_order(reach: Reach) -> None:
    def slow(sign: Callable[..., str]) -> Ask:
        async def ask(channel: str, session: str, action: str) -> str:
            await trio.sleep(0.2)
            return sign(channel, session, action)

        return ask

    async with reach(slow) as (client, way), client.subscribe("pvt:desk"), client.subscribe("news") as events:
        await returned(client, way)
        for number in range(100):
            await client.publish("news", number, acknowledge=False)
            await trio.sleep(0.004)  # some while there is no token yet, some when there is
        with trio.fail_after(10):
            assert [(await anext(events)).data for _ in range(100)] == list(range(100))


async def test_without_a_connection_requests_still_fail_at_once(reach: Reach) -> None:
    async with reach() as (client, way), client.subscribe("news"):
        way.cut()
        while client.is_connected:
            await trio.lowlevel.checkpoint()
        with pytest.raises(ConnectionLost):
            await client.publish("news")
