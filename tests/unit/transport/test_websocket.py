"""A client that is gone while its handshake is answered is no fault of ours, and leaves nothing."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trio_router.limits import Limits
from trio_router.session.link import Link, Upgrade
from trio_router.transport.handshake import Handshake
from trio_router.transport.websocket import serve_websocket

HANDSHAKE = Handshake(Upgrade("192.0.2.1", "/", "", (), ()), "MDEyMzQ1Njc4OWFiY2RlZg==")


async def unreachable(link: Link) -> None:
    raise AssertionError("there is no link")


@pytest.mark.threat("T03", "T09")
async def test_a_client_that_leaves_before_it_is_answered(autojump_clock: trio.testing.MockClock) -> None:
    del autojump_clock
    ours, theirs = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(theirs.aclose)
        await trio.testing.wait_all_tasks_blocked()
        opened = await serve_websocket(
            ours, HANDSHAKE, limits=Limits(), deadline=trio.current_time() + 5, handler=unreachable
        )
    assert opened is False


async def test_a_client_that_takes_no_answer_in_time(autojump_clock: trio.testing.MockClock) -> None:
    del autojump_clock
    ours, _theirs = trio.testing.lockstep_stream_pair()
    begun = trio.current_time()
    opened = await serve_websocket(ours, HANDSHAKE, limits=Limits(), deadline=begun + 5, handler=unreachable)
    assert opened is False
    assert trio.current_time() == begun + 5
