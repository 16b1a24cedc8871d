"""The circuit breaker, over a clock that stands still."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trio_router.auth.breaker import Breaker, Permit
from trio_router.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def breaker(clock: ManualClock) -> Breaker:
    return Breaker(clock, failures=3, seconds=10)


def permit(breaker: Breaker) -> Permit:
    found = breaker.begin()
    assert found is not None
    return found


def opened(breaker: Breaker) -> Breaker:
    for _ in range(3):
        breaker.failed(permit(breaker))
    return breaker


def test_it_opens_after_failures_in_a_row(breaker: Breaker) -> None:
    breaker.failed(permit(breaker))
    breaker.failed(permit(breaker))
    assert breaker.begin() is not None
    breaker.failed(permit(breaker))
    assert breaker.begin() is None
    assert breaker.is_open


def test_a_success_in_between_starts_the_count_again(breaker: Breaker) -> None:
    for _ in range(5):
        breaker.failed(permit(breaker))
        breaker.failed(permit(breaker))
        breaker.succeeded(permit(breaker))
    assert not breaker.is_open


def test_after_the_pause_exactly_one_may_try(breaker: Breaker, clock: ManualClock) -> None:
    opened(breaker)
    clock.advance(9.9)
    assert breaker.begin() is None
    clock.advance(0.2)
    assert breaker.begin() is not None
    assert breaker.begin() is None


def test_a_good_probe_closes_it(breaker: Breaker, clock: ManualClock) -> None:
    opened(breaker)
    clock.advance(10)
    breaker.succeeded(permit(breaker))
    assert not breaker.is_open
    breaker.failed(permit(breaker))
    breaker.failed(permit(breaker))
    assert not breaker.is_open


def test_a_bad_probe_opens_it_for_the_whole_pause_again(breaker: Breaker, clock: ManualClock) -> None:
    opened(breaker)
    clock.advance(10)
    breaker.failed(permit(breaker))
    clock.advance(9.9)
    assert breaker.begin() is None
    clock.advance(0.1)
    assert breaker.begin() is not None


def test_an_abandoned_probe_gives_its_place_back(breaker: Breaker, clock: ManualClock) -> None:
    opened(breaker)
    clock.advance(10)
    breaker.abandoned(permit(breaker))
    assert breaker.begin() is not None


def test_late_answers_to_requests_from_before_do_not_count(breaker: Breaker, clock: ManualClock) -> None:
    late = [permit(breaker) for _ in range(3)]
    opened(breaker)
    breaker.succeeded(late[0])
    assert breaker.is_open
    clock.advance(10)
    probe = permit(breaker)
    breaker.failed(late[1])
    breaker.abandoned(late[2])
    assert breaker.begin() is None  # the probe is still the only one
    breaker.succeeded(probe)
    assert not breaker.is_open


def test_a_jump_of_the_wall_clock_moves_nothing(breaker: Breaker, clock: ManualClock) -> None:
    opened(breaker)
    clock.jump_wall(3_600)
    assert breaker.begin() is None


def test_without_a_number_of_failures_it_never_opens(clock: ManualClock) -> None:
    breaker = Breaker(clock, failures=0, seconds=10)
    for _ in range(100):
        breaker.failed(permit(breaker))
    assert not breaker.is_open


@settings(deadline=None)
@given(st.lists(st.sampled_from(["begin", "ok", "bad", "gone", "wait"]), max_size=80))
def test_it_never_gets_stuck(steps: list[str]) -> None:
    clock = ManualClock()
    breaker = Breaker(clock, failures=2, seconds=1)
    held: list[Permit] = []
    for step in steps:
        if step == "begin":
            held += [found] if (found := breaker.begin()) else []
        elif step == "wait":
            clock.advance(0.6)
        elif held:
            {"ok": breaker.succeeded, "bad": breaker.failed, "gone": breaker.abandoned}[step](held.pop(0))
    for found in held:
        breaker.abandoned(found)
    clock.advance(1)
    probe = breaker.begin()
    assert probe is not None
    breaker.succeeded(probe)
    assert not breaker.is_open
