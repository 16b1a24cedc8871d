"""What ``Link.serve`` promises, of the plain way to do it."""

from __future__ import annotations

from collections.abc import Awaitable

import pytest
import trio

from tests.unit.session.conftest import MemoryLink, settle
from trio_router.session.link import LinkClosed


async def test_messages_come_in_order_and_the_end_is_raised() -> None:
    link, taken = MemoryLink(), list[str | bytes]()
    for text in ("a", "b", "c"):
        link.put(text)
    link.hang_up(1001)
    with pytest.raises(LinkClosed) as ended:
        await link.serve(taken.append)
    assert taken == ["a", "b", "c"]
    assert ended.value.code == 1001


async def test_a_message_waits_for_what_the_one_before_returned(nursery: trio.Nursery) -> None:
    link, taken, free = MemoryLink(), list[str | bytes](), trio.Event()

    def take(message: str | bytes) -> Awaitable[None] | None:
        taken.append(message)
        return free.wait() if message == "wait" else None

    for text in ("wait", "after"):
        link.put(text)
    nursery.start_soon(link.serve, take)
    await settle()
    assert taken == ["wait"]
    free.set()
    await settle()
    assert taken == ["wait", "after"]
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("later", [False, True], ids=["at once", "in what it returned"])
async def test_what_is_raised_while_a_message_is_taken_comes_out(later: bool) -> None:
    link = MemoryLink()
    link.put("a")

    async def fail() -> None:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    def take(_: str | bytes) -> Awaitable[None] | None:
        if later:
            return fail()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await link.serve(take)
