"""Many deadlines on one timer: who is late is told when it is, once, and whoever has gone is not."""

from __future__ import annotations

import pytest

from trio_router.routing.deadlines import Deadlines
from trio_router.testing.timers import ManualTimers


class Item:
    """Compared by identity, as calls are."""


class World:
    def __init__(self) -> None:
        self.timers = ManualTimers()
        self.late: list[tuple[float, Item]] = []
        self.deadlines = Deadlines(self.timers, 10.0, lambda item: self.late.append((self.timers.now(), item)))

    def add(self) -> Item:
        item = Item()
        self.deadlines.add(item, self.timers.now())
        return item


def test_each_is_late_in_its_own_time() -> None:
    world = World()
    first = world.add()
    world.timers.advance(3)
    second, third = world.add(), world.add()
    world.timers.advance(6.9)
    assert world.late == []
    world.timers.advance(0.1)
    assert world.late == [(10.0, first)]
    world.timers.advance(3)
    assert world.late == [(10.0, first), (13.0, second), (13.0, third)]
    assert len(world.deadlines) == world.timers.pending == 0


def test_who_has_gone_is_not_late() -> None:
    world = World()
    first, second = world.add(), world.add()
    world.deadlines.remove(first)
    world.deadlines.remove(first)
    world.timers.advance(100)
    assert [item for _, item in world.late] == [second]
    world.deadlines.remove(second)


def test_one_timer_is_armed_as_long_as_somebody_waits() -> None:
    world = World()
    items = [world.add() for _ in range(5)]
    assert world.timers.pending == 1
    world.timers.advance(1)
    for item in items[:4]:
        world.deadlines.remove(item)
    assert world.timers.pending == 1
    world.deadlines.remove(items[4])
    assert world.timers.pending == 0
    again = world.add()
    world.timers.advance(10)
    assert world.late == [(11.0, again)]


def test_one_that_leaves_when_another_is_late_is_not_told_twice_nor_missed() -> None:
    timers = ManualTimers()
    told: list[Item] = []

    def late(item: Item) -> None:
        told.append(item)
        deadlines.remove(third)
        deadlines.add(again, timers.now())

    deadlines = Deadlines(timers, 1.0, late)
    first, third, again = Item(), Item(), Item()
    deadlines.add(first, 0.0)
    timers.advance(0.5)
    deadlines.add(third, timers.now())
    timers.advance(0.5)
    assert told == [first]
    timers.advance(1.0)
    assert told == [first, again]


@pytest.mark.threat("T09")
def test_one_that_fails_stops_no_other() -> None:
    timers = ManualTimers()
    told: list[int] = []

    def late(item: int) -> None:
        told.append(item)
        if item == 1:
            raise RuntimeError("wrong")

    deadlines = Deadlines(timers, 1.0, late)
    for item in (1, 2, 3):
        deadlines.add(item, 0.0)
    with pytest.raises(RuntimeError):
        timers.advance(1.0)
    timers.advance(0.0)
    assert told == [1, 2, 3]
