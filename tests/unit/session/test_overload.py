from __future__ import annotations

import attrs
import pytest
import trio

from trio_router import log
from trio_router.limits import Limits
from trio_router.metrics import Metrics
from trio_router.session.overload import NEWCOMERS, NORMAL, SAMPLES, WAITING, Overload


class Watched:
    def __init__(self, bound: float = 2.0) -> None:
        self.sheds = 0
        self.metrics = Metrics()
        limits = attrs.evolve(Limits(), overload_delay=bound)
        self.overload = Overload(limits, self.metrics, log.get("overload"), self._shed)

    def _shed(self) -> None:
        self.sheds += 1

    def late(self, *delays: float) -> int:
        for delay in delays:
            self.overload.seen(delay)
        return self.overload.level


def test_one_long_pause_is_no_overload() -> None:
    assert Watched().late(0.0, 60.0, 0.0, 60.0, 0.0) == NORMAL


@pytest.mark.threat("T14")
def test_newcomers_go_first_and_those_who_wait_next() -> None:
    watched = Watched()

    assert watched.late(*[2.5] * SAMPLES) == NEWCOMERS
    assert watched.overload.turns_away
    assert watched.sheds == 0
    assert watched.late(*[4.5] * SAMPLES) == WAITING
    assert watched.sheds == 1
    assert watched.metrics.registry.get_sample_value("trio_router_overload") == 2


def test_it_is_over_when_half_of_it_is() -> None:
    watched = Watched()
    watched.late(*[2.5] * SAMPLES)

    assert watched.late(1.5) == NEWCOMERS
    assert watched.late(0.9) == NORMAL
    assert not watched.overload.turns_away


def test_zero_turns_nobody_away() -> None:
    assert Watched(0.0).late(*[100.0] * SAMPLES) == NORMAL


async def test_it_looks_by_itself(autojump_clock: object) -> None:
    watched = Watched()
    with trio.move_on_after(1.0):
        await watched.overload.run()

    assert watched.metrics.registry.get_sample_value("trio_router_delay_seconds") == 0.0
    assert watched.overload.level == NORMAL
