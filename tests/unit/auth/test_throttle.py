"""How long who failed must wait: T57."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trio_router.auth.throttle import Throttle
from trio_router.clock import ManualClock
from trio_router.networks import network_of

A, B = "192.0.2.1", "192.0.2.2"


def fail(throttle: Throttle, times: int, user: str = "ann", address: str = A) -> None:
    for _ in range(times):
        throttle.failed("app", user, address)


@pytest.mark.threat("T57")
def test_some_failures_are_free_then_the_wait_doubles_up_to_a_bound() -> None:
    clock = ManualClock()
    throttle = Throttle(clock, user_failures=3, longest_delay=10)
    waits = []
    for _ in range(8):
        waits.append(throttle.wait("app", "ann", A))
        clock.advance(waits[-1])
        assert throttle.wait("app", "ann", A) == 0
        fail(throttle, 1)
    assert waits == [0, 0, 0, 1, 2, 4, 8, 10]


@pytest.mark.threat("T57")
def test_nobody_can_keep_a_user_out_from_another_address() -> None:
    throttle = Throttle(ManualClock())
    for number in range(200):
        fail(throttle, 100, address=f"198.51.100.{number}")
    assert throttle.wait("app", "ann", "198.51.100.7") > 0
    assert throttle.wait("app", "ann", B) == 0


def test_an_attempt_made_too_early_prolongs_nothing() -> None:
    clock = ManualClock()
    throttle = Throttle(clock, user_failures=1, longest_delay=60)
    fail(throttle, 4)
    assert throttle.wait("app", "ann", A) == 8
    for _ in range(8):
        assert throttle.wait("app", "ann", A) > 0
        clock.advance(1)
    assert throttle.wait("app", "ann", A) == 0


@pytest.mark.threat("T57")
def test_an_address_that_tries_many_users_is_slowed_down_and_success_does_not_pay_for_guesses() -> None:
    throttle = Throttle(ManualClock(), address_failures=20)
    for number in range(25):
        fail(throttle, 1, user=f"user{number}")
        throttle.succeeded("app", "mallory", A)
    assert throttle.wait("app", "never tried", A) > 0
    assert throttle.wait("app", "never tried", B) == 0


def test_a_success_forgives_the_pair() -> None:
    throttle = Throttle(ManualClock(), user_failures=2)
    fail(throttle, 2)
    throttle.succeeded("app", "ann", A)
    fail(throttle, 1)
    assert throttle.wait("app", "ann", A) == 0


def test_time_without_failures_forgets_them() -> None:
    clock = ManualClock()
    throttle = Throttle(clock, user_failures=2, window=100)
    fail(throttle, 1)
    clock.advance(99)
    fail(throttle, 1)
    assert throttle.wait("app", "ann", A) == 1
    clock.advance(100)
    fail(throttle, 1)
    assert throttle.wait("app", "ann", A) == 0


def test_a_jump_of_the_wall_clock_changes_nothing() -> None:
    clock = ManualClock()
    throttle = Throttle(clock, user_failures=1)
    fail(throttle, 3)
    clock.jump_wall(86_400)
    assert throttle.wait("app", "ann", A) == 4


@pytest.mark.threat("T66")
def test_failures_in_one_app_cost_nothing_in_another() -> None:
    throttle = Throttle(ManualClock(), user_failures=1, address_failures=1)
    fail(throttle, 3)
    assert throttle.wait("app", "ann", A) > 0
    assert throttle.wait("other app", "ann", A) == 0


@pytest.mark.threat("T57")
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 200)), max_size=300))
def test_memory_is_bounded_and_the_latest_are_kept(attempts: list[tuple[int, int]]) -> None:
    throttle = Throttle(ManualClock(), user_failures=1, entries=16)
    for user, address in attempts:
        fail(throttle, 1, user=str(user), address=str(address))
        assert len(throttle) <= 32
        assert throttle.wait("app", str(user), str(address)) > 0


@pytest.mark.threat("T57")
@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unix", "unix"),
        ("", ""),
    ],
)
def test_a_subscriber_of_ipv6_has_one_address(address: str, network: str) -> None:
    assert network_of(address) == network
