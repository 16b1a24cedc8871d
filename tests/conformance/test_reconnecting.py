"""Connections that break: official clients come back, log in again and have what they had."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tests.conformance.clients import Client
from tests.conformance.conftest import CONFIG, Site, Start
from trio_router.testing.process import free_port


async def back(client: Client) -> None:
    """Wait until a client that lost its connection is logged in again."""
    await client.sees("state", "RECONNECTING")
    await client.sees("state", "OPEN", times=2)
    await client.settled()


class Restarts:
    """A router that ends and comes back on the same port. ``site`` is the one that runs."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._port = free_port()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Site]:
        async with self._start(port=self._port) as site:
            yield site


async def test_subscriptions_are_there_again_after_a_restart(start: Start) -> None:
    router = Restarts(start)
    async with router.running() as site:
        rosa, egon = await site.user("rosa"), await site.user("egon")
        await rosa.subscribe("news", "sport")
    async with router.running():
        await back(rosa)
        await back(egon)
        await egon.do("emit", "news", 1)
        await rosa.sees("event", "news", 1)
        await egon.do("emit", "sport", 2)
        await rosa.sees("event", "sport", 2)
        assert ("MULTIPLE_SUBSCRIPTIONS", "EVENT") not in rosa.errors()


async def test_procedures_are_there_again_after_a_restart(start: Start) -> None:
    router = Restarts(start)
    async with router.running() as site:
        provider, rosa = await site.user("provider"), await site.user("rosa")
        await provider.do("provide", "work", "send", 1)
        await provider.settled()
    async with router.running():
        await back(provider)
        await back(rosa)
        assert await rosa.make("work", 1) == (None, 1)


async def test_listening_is_there_again_after_a_restart(start: Start) -> None:
    router = Restarts(start)
    async with router.running() as site:
        provider, rosa = await site.user("provider"), await site.user("rosa")
        await provider.do("listen", "room/.*", "accept")
        await provider.settled()
        await rosa.subscribe("room/1")
        await provider.sees("asked", "room/.*", "room/1")
    async with router.running():
        await back(provider)
        await back(rosa)
        await provider.sees("asked", "room/.*", "room/1", times=2)


async def test_presence_is_watched_again_after_a_restart(start: Start) -> None:
    router = Restarts(start)
    async with router.running() as site:
        rosa = await site.user("rosa")
        await rosa.do("watch")
        await rosa.settled()
    async with router.running() as site:
        await back(rosa)
        await site.user("late")
        await rosa.sees("presence", "late", True)


async def test_what_is_emitted_meanwhile_is_said_after_it(start: Start) -> None:
    router = Restarts(start)
    async with router.running() as site:
        rosa, egon = await site.user("rosa"), await site.user("egon", offlineBufferTimeout=20_000)
        await rosa.subscribe("news")
    await egon.sees("state", "RECONNECTING")
    await egon.do("emit", "news", "said while away")
    async with router.running():
        await back(rosa)
        await back(egon)
        # what egon said went out as he came back, which may have been before rosa did
        await egon.do("emit", "news", "said afterwards")
        await rosa.sees("event", "news", "said afterwards")


async def test_a_call_that_is_open_when_the_router_ends_fails(start: Start) -> None:
    router = Restarts(start)
    outcome = []
    async with trio.open_nursery() as nursery, router.running() as site:  # the router ends first
        provider, rosa = await site.user("provider"), await site.user("rosa")
        await provider.do("provide", "slow", "accept")
        await provider.settled()

        async def call() -> None:
            outcome.append((await rosa.make("slow", 1))[0])

        nursery.start_soon(call)
        await provider.sees("call", "slow")
    assert outcome and outcome[0] is not None


async def test_a_client_pauses_and_resumes(site: Site) -> None:
    rosa, egon = await site.user("rosa"), await site.user("egon")
    await rosa.subscribe("news")
    await rosa.do("pause")
    with trio.fail_after(5):
        while (await egon.do("online"))["result"]:
            await trio.sleep(0.01)
    await egon.do("emit", "news", "missed")
    await egon.settled()
    await rosa.do("resume")
    await rosa.settled()
    await egon.do("emit", "news", "heard")
    await rosa.sees("event", "news", "heard")
    assert rosa.events("news") == ["heard"]


async def test_a_client_connects_when_the_router_is_there_at_last(start: Start) -> None:
    router = Restarts(start)
    async with router.running() as site:
        url = site.url
        node = site.node
    rosa = await node.open("rosa", url)
    await rosa.sees("state", "RECONNECTING")
    async with router.running():
        assert (await rosa.login({"username": "rosa"}))[0] is True


async def test_a_heartbeat_keeps_a_silent_client(start: Start) -> None:
    config = CONFIG.replace("deepstream: {}", "deepstream: {heartbeat_interval: 0.2}")
    async with start(config) as site:
        rosa = await site.user("rosa", heartbeatInterval=200)
        await trio.sleep(1.5)  # many times what the router waits for a sign of life
        assert await rosa.do("state") == "OPEN"
        assert rosa.all("state", "RECONNECTING") == []


async def test_a_client_that_sends_no_heartbeat_is_gone(start: Start) -> None:
    config = CONFIG.replace("deepstream: {}", "deepstream: {heartbeat_interval: 0.2}")
    async with start(config) as site:
        rosa = await site.user("rosa", heartbeatInterval=60_000)
        await rosa.sees("state", "RECONNECTING")
