"""When the memory of a crowd is given back: once it has left, and not for a few."""

from __future__ import annotations

import gc

import pytest

from trio_router import log
from trio_router.ebb import CROWD, LEFT, Ebb, give_back


def seen(*counts: int) -> list[int]:
    """At which of these looks it was done."""
    now, done = [0], list[int]()
    ebb = Ebb(lambda: counts[now[0]], lambda: done.append(now[0]), log.get("memory"))
    for now[0] in range(len(counts)):
        ebb.look()
    return done


FEW = CROWD // LEFT


@pytest.mark.parametrize(
    ("counts", "done"),
    [
        ((CROWD, 0, 0, 0, 0), [2, 3]),  # twice, for one crowd
        ((CROWD, FEW, FEW), [2]),
        ((CROWD, FEW + 1, FEW + 1), []),  # too many would wait for it
        ((CROWD, FEW, FEW - 1, FEW - 1, 0, 0), [3, 4]),  # when they have all left
        ((CROWD - 1, 0, 0), []),
        ((CROWD, 0, 0, CROWD, 0, 0), [2, 5]),  # the next crowd does not wait for it
        ((CROWD, 0, CROWD, CROWD, 0, 0), [5]),  # those who only came back
    ],
)
def test_it_is_given_back_when_a_crowd_has_left(counts: tuple[int, ...], done: list[int]) -> None:
    assert seen(*counts) == done


def test_what_is_garbage_is_collected() -> None:
    class Circle:
        def __init__(self) -> None:
            self.itself = self

    def circles() -> int:
        return sum(type(thing) is Circle for thing in gc.get_objects())

    gc.disable()
    try:
        Circle()
        assert circles() == 1
        give_back()
        assert circles() == 0
    finally:
        gc.enable()
