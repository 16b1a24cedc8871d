"""A new session on hold: what it waits for, for how long, and what becomes of what is kept meanwhile."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio

from tests.unit.client.conftest import Connect
from tests.unit.client.fake_router import FakeRouter
from trio_router.client import ConnectionLost, NoToken
from trio_router.client.standing import HELD
from trio_router.client.websocket import QUEUE_BOUND
from trio_router.protocols import messages


class Slow:
    """An ``access_token`` whose first answer comes at once, and the others after ``seconds`` or with an error."""

    def __init__(self, seconds: float = 0.0, *, none_for_now: bool = False) -> None:
        self.asked = 0
        self._seconds = seconds
        self._none_for_now = none_for_now

    async def __call__(self, channel: str, _session: str, _action: str) -> str:
        self.asked += 1
        if self.asked > 1:
            await trio.sleep(self._seconds)
            if self._none_for_now:
                raise NoToken(channel, "come back", temporary=True)
        return f"token {self.asked}"


def words(peer: Any) -> list[str]:
    """What the router heard after the login, in order."""
    return [f"{type(each).__name__} {each.channel}" for each in peer.heard if hasattr(each, "channel")]


async def returned(router: FakeRouter, client: Any) -> Any:
    await (await router.peer()).cut()
    peer = await router.peer(2)
    while client.session_id != peer.session:
        await trio.sleep(0.01)
    return peer


async def test_what_stands_goes_before_what_is_published(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async with connected(access_token=Slow(1.0)) as client, AsyncExitStack() as stack:
        for name in ("a", "pvt:b", "c"):
            await stack.enter_async_context(client.subscribe(name))
        peer = await returned(router, client)
        for number in range(3):
            await client.publish(f"n{number}", acknowledge=False)
        assert peer.of(messages.Publish) == []
        await client.publish("n3")
        assert sorted(words(peer)[:3]) == ["Subscribe a", "Subscribe c", "Subscribe pvt:b"]
        assert words(peer)[3:] == [f"Publish n{number}" for number in range(4)]


@pytest.mark.parametrize("ask", [Slow(none_for_now=True), Slow(1000.0)], ids=["none for now", "no answer"])
async def test_who_gives_no_tokens_holds_nobody_up_for_long(
    autojump_clock: Any, router: FakeRouter, connected: Connect, ask: Slow
) -> None:
    async with connected(access_token=ask) as client, client.subscribe("pvt:a"), client.subscribe("b"):
        peer = await returned(router, client)
        with trio.fail_after(HELD + 0.1):
            await client.publish("news")
        assert words(peer) == ["Subscribe b", "Publish news"]


async def test_what_was_left_while_its_token_was_on_the_way_is_not_begun(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async with connected(access_token=Slow(2 * HELD)) as client:
        async with client.subscribe("pvt:a"):
            peer = await returned(router, client)
        await trio.sleep(3 * HELD)
        await client.publish("news")
        assert words(peer) == ["Unsubscribe pvt:a", "Publish news"]


async def test_what_is_kept_is_bounded_and_holds_up_nothing_that_goes_first(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    large = "x" * 60_000
    sent: list[int] = []

    async with connected(access_token=Slow(1.0)) as client, client.subscribe("pvt:a"), trio.open_nursery() as nursery:
        peer = await returned(router, client)

        async def publish() -> None:
            for number in range(10):
                await client.publish("news", large, acknowledge=False)
                sent.append(number)

        nursery.start_soon(publish)
        await trio.sleep(0.5)
        assert len(sent) == QUEUE_BOUND // len(large) + 1
        await peer.wait_for(messages.Publish, 10)
        assert words(peer) == ["Subscribe pvt:a"] + 10 * ["Publish news"]


async def test_a_program_that_leaves_meanwhile_has_published(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async with connected(access_token=Slow(1.0)) as client, client.subscribe("pvt:a"):
        peer = await returned(router, client)
        await client.publish("news", acknowledge=False)
        await client._supervisor.close()
    await peer.gone.wait()
    assert peer.close_code == 1000
    assert words(peer) == ["Publish news"]


async def test_what_is_kept_ends_with_its_connection(
    autojump_clock: Any, router: FakeRouter, connected: Connect
) -> None:
    async with connected(access_token=Slow(1.0)) as client, client.subscribe("pvt:a"):
        peer = await returned(router, client)
        async with trio.open_nursery() as nursery:

            async def lost() -> None:
                with pytest.raises(ConnectionLost):
                    await client.publish("news")

            nursery.start_soon(lost)
            await trio.sleep(0.5)
            await peer.cut()
        third = await router.peer(3)
        await third.wait_for(messages.Subscribe)
        await client.publish("later")
        assert words(third) == ["Subscribe pvt:a", "Publish later"]
