"""What is left of a connection that has ended: nothing, and without the garbage collector's help.

A crowd that leaves would otherwise stay in memory until a full collection, which a quiet router does not make for hours.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from tests.wire.conftest import CLOSE, Raw, Router, Stack, frame, until
from trio_router.protocols import codes
from trio_router.routing.session import Session
from trio_router.session.connection import Connection
from trio_router.session.ending import Ending
from trio_router.transport.fastlink import FastLink
from trio_router.transport.outbox import Outbox

# On the long way trio-websocket's own objects go in circles; of what is ours nothing does.
pytestmark = pytest.mark.parametrize("lane", ["fast"], indirect=True)

KINDS = (FastLink, Outbox, Session, Connection, Ending)


@asynccontextmanager
async def without_collector() -> AsyncIterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def there() -> dict[str, int]:
    """How many there are of what a connection consists of."""
    kinds = [type(thing) for thing in gc.get_objects()]
    return {kind.__name__: kinds.count(kind) for kind in KINDS}


async def cut(raw: Raw, router: Router) -> None:
    await raw.stream.aclose()


async def says_goodbye(raw: Raw, router: Router) -> None:
    await raw.send(frame(CLOSE, (1000).to_bytes(2)))
    assert await raw.closed_with() == 1000
    await raw.stream.aclose()


async def sends_nonsense(raw: Raw, router: Router) -> None:
    await raw.send(frame(3, b"?"))
    await raw.rest()
    await raw.stream.aclose()


async def is_sent_away(raw: Raw, router: Router) -> None:
    router.server.send_away()
    assert await raw.closed_with() == codes.RESTART.number
    await raw.stream.aclose()


async def gone(router: Router) -> None:
    """Wait until nobody is there any more."""
    await until(lambda: not router.server.sessions and not router.admission.total)


@pytest.mark.threat("T14")
@pytest.mark.parametrize("leave", [cut, says_goodbye, sends_nonsense, is_sent_away])
async def test_nothing_is_left_of_a_session(stack: Stack, leave: Callable[[Raw, Router], Awaitable[None]]) -> None:
    async with stack() as router:
        gc.collect()
        others = there()  # of other tests
        async with router.user() as first:  # what is made on first use
            await first.stream.aclose()
        await gone(router)
        async with without_collector():
            before = there()
            assert before == others  # not even of the one who came last
            async with router.user() as raw:
                await raw.say(type="subscribe", id="s", channel="a")
                await raw.message()
                assert there()["Connection"] == before["Connection"] + 1
                await leave(raw, router)
            await gone(router)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert there() == before


async def test_nothing_is_left_of_one_who_never_logged_in(stack: Stack) -> None:
    async with stack() as router:
        async with router.user() as first:
            await first.stream.aclose()
        await gone(router)
        async with without_collector():
            before = there()
            async with router.connect() as raw:
                await raw.open()
                await raw.stream.aclose()
            await gone(router)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert there() == before
