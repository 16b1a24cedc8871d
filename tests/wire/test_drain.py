"""Sending everybody away: when, with which advice, and what becomes of those who do not go (T14)."""

from __future__ import annotations

import contextlib

import attrs
import pytest
import trio

from tests.wire.conftest import Stack, upgrade
from trio_router.limits import Limits
from trio_router.protocols import codes


@pytest.mark.threat("T14")
async def test_everybody_is_told_to_come_back_each_at_a_time_of_its_own(stack: Stack) -> None:
    limits = attrs.evolve(Limits(), drain_window=0.5, drain_timeout=10.0)
    async with stack(limits=limits) as router, contextlib.AsyncExitStack() as all_of_them:
        clients = [await all_of_them.enter_async_context(router.user()) for _ in range(30)]
        quiet = await all_of_them.enter_async_context(router.connect())
        await quiet.open()
        router.listener.stop()
        advice: list[int] = []
        ends: list[float] = []

        async def leave(raw: object) -> None:
            closing = await raw.message()  # type: ignore[attr-defined]
            assert (closing["type"], closing["code"], closing["advice"]) == ("closing", 1012, "reconnect")
            advice.append(closing["retry_after"])
            assert await raw.closed_with() == codes.RESTART.number  # type: ignore[attr-defined]
            ends.append(trio.current_time())
            await raw.stream.aclose()  # type: ignore[attr-defined]

        began = trio.current_time()
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(router.server.drain)
                for raw in [*clients, quiet]:
                    nursery.start_soon(leave, raw)
        assert router.server.sessions == 0
        assert max(ends) - began > 0.1  # spread, not all at once
        assert len(set(advice)) > 15  # and they do not come back together
        assert all(1000 <= milliseconds <= 1500 for milliseconds in advice)


@pytest.mark.threat("T14")
async def test_who_connects_during_the_drain_is_sent_away_too(stack: Stack) -> None:
    limits = attrs.evolve(Limits(), drain_window=0.0)
    async with stack(limits=limits) as router:
        await router.server.drain()
        async with router.connect() as raw:
            await raw.send(upgrade())
            assert (await raw.response())[0] == 101
            assert await raw.closed_with() == codes.RESTART.number


async def test_those_who_do_not_go_are_cut(stack: Stack) -> None:
    limits = attrs.evolve(Limits(), drain_window=60.0, drain_timeout=0.2)
    async with stack(limits=limits) as router, router.user() as stubborn:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(router.server.drain)
            with trio.fail_after(5):
                assert await stubborn.closed_with() == codes.RESTART.number
            await stubborn.stream.aclose()
        assert router.server.sessions == 0  # it waited for the close frames of those it cut
