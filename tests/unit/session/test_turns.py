from __future__ import annotations

import trio
import trio.lowlevel
import trio.testing

from trio_router.session.turns import Turns


class Ticks(trio.abc.Instrument):
    """Counts the loop's passes."""

    def __init__(self) -> None:
        self.count = 0

    def before_io_wait(self, timeout: float) -> None:
        self.count += 1


async def test_of_many_who_come_at_once_a_few_go_through_in_each_tick() -> None:
    turns, ticks = Turns(at_once=4), Ticks()
    passed: list[int] = []

    async def step() -> None:
        await turns.take()
        passed.append(ticks.count)

    trio.lowlevel.add_instrument(ticks)
    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(step)
    trio.lowlevel.remove_instrument(ticks)
    assert max(passed.count(tick) for tick in passed) <= 4
    assert len(set(passed)) == 25


async def test_turns_come_in_the_order_of_arrival() -> None:
    turns, passed = Turns(at_once=1), []

    async def step(number: int) -> None:
        await turns.take()
        passed.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(step, number)
            await trio.testing.wait_all_tasks_blocked() if number % 5 == 0 else await trio.lowlevel.checkpoint()
    assert passed == sorted(passed)


async def test_whoever_gives_up_takes_no_turn_from_others() -> None:
    turns = Turns(at_once=1)
    with trio.CancelScope() as gone:
        gone.cancel()
        await turns.take()
    assert gone.cancelled_caught
    with trio.fail_after(5):
        await turns.take()
