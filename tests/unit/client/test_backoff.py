"""When a client comes again: spread, ever later, never before it was asked to, and soon where a router asks after it was away."""

from __future__ import annotations

import random

import pytest

from trio_router.client.backoff import Backoff


class Latest(random.Random):
    """Chance that always draws the upper bound."""

    def uniform(self, a: float, b: float) -> float:
        return b


class Earliest(random.Random):
    """Chance that always draws the lower bound."""

    def uniform(self, a: float, b: float) -> float:
        return a


def latest() -> Backoff:
    return Backoff(base=0.5, cap=10, chance=Latest())


def test_the_bound_doubles_up_to_the_cap() -> None:
    backoff = latest()
    assert [backoff.next() for _ in range(7)] == [0.5, 1, 2, 4, 8, 10, 10]


def test_it_begins_again_when_a_connection_proved_itself() -> None:
    backoff = latest()
    assert [backoff.next(), backoff.next()] == [0.5, 1]
    backoff.reset()
    assert backoff.next() == 0.5


@pytest.mark.parametrize("attempts", [0, 1, 5, 50])
def test_what_is_asked_for_is_never_undercut(attempts: int) -> None:
    backoff = Backoff(chance=Earliest())
    waits = [backoff.next(3) for _ in range(attempts + 1)]
    assert waits == [3] * (attempts + 1)


def test_a_router_that_asks_is_there_so_jitter_is_small_again() -> None:
    backoff = latest()
    assert [backoff.next() for _ in range(4)] == [0.5, 1, 2, 4]
    assert backoff.next(20) == 20.5


def test_who_is_asked_again_and_again_is_spread_more_and_more() -> None:
    """It may be a proxy that tells everybody the same second."""
    backoff = latest()
    assert [backoff.next(1) for _ in range(7)] == [1.5, 2, 3, 5, 9, 11, 11]


def test_a_router_that_is_away_again_is_waited_for_from_there() -> None:
    backoff = latest()
    assert [backoff.next(1), backoff.next(1), backoff.next(), backoff.next(), backoff.next(1)] == [1.5, 2, 2, 4, 1.5]
