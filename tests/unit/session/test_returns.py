"""When those who are sent away may come back (T14)."""

from __future__ import annotations

import random

import attrs
import pytest
import trio

from trio_router.limits import Limits
from trio_router.session.returns import EARLIEST, LATEST, Returns

pytestmark = pytest.mark.threat("T14")

LIMITS = attrs.evolve(Limits(), drain_window=5.0, returns_per_second=100.0)


def returns() -> Returns:
    return Returns(random.Random(1).random)


def busiest(times: list[float], seconds: float) -> int:
    """The most that come within any so many seconds."""
    times = sorted(times)
    return max(sum(start <= at < start + seconds for at in times) for start in times)


@pytest.mark.parametrize("crowd", [1, 30, 500])
async def test_a_small_crowd_is_spread_over_the_window(crowd: int) -> None:
    book = returns()
    times = [book.of_crowd(crowd, LIMITS) for _ in range(crowd)]
    assert all(EARLIEST <= at <= EARLIEST + 5 for at in times)


async def test_a_fleet_is_spread_over_as_long_as_it_takes_to_let_it_in() -> None:
    book = returns()
    times = [book.of_crowd(3000, LIMITS) for _ in range(3000)]
    assert 28 < max(times) <= EARLIEST + 30
    assert busiest(times, 1.0) < 150


async def test_nobody_is_told_to_stay_away_for_long() -> None:
    book = returns()
    assert max(book.of_crowd(10**9, LIMITS) for _ in range(100)) <= EARLIEST + LATEST
    assert max(book.of_one(10**9, LIMITS) for _ in range(100_000)) <= EARLIEST + 1 + LATEST


async def test_who_finds_it_full_comes_after_those_who_wait_and_those_who_were_told_before(
    autojump_clock: trio.testing.MockClock,
) -> None:
    book = returns()
    times = [book.of_one(200, LIMITS) for _ in range(1000)]
    assert min(times) >= EARLIEST + 2  # the 200
    assert 12 < max(times) < 15  # and the 1000
    assert busiest(times, 1.0) < 125
    await trio.sleep(60)
    assert book.of_one(0, LIMITS) < EARLIEST + 1.1  # they have come: nobody is before this one


async def test_without_a_rate_the_window_is_all_there_is() -> None:
    limits = attrs.evolve(LIMITS, returns_per_second=0.0)
    book = returns()
    assert max(book.of_crowd(3000, limits) for _ in range(1000)) <= EARLIEST + 5
    assert max(book.of_one(3000, limits) for _ in range(1000)) <= EARLIEST + 5
