from __future__ import annotations

import attrs
import pytest

from trio_router.clock import ManualClock
from trio_router.errors import Refused
from trio_router.identity import Identity, User
from trio_router.limits import Rates
from trio_router.metrics import Metrics
from trio_router.protocols import codes
from trio_router.routing.rates import SWEPT_AT, Meter, RateBook


def somebody(session: str = "s1", user: str = "ann", address: str = "192.0.2.1") -> Identity:
    return Identity("default", session, User(user), remote_address=address)


class Book:
    def __init__(self, rates: Rates) -> None:
        self.clock = ManualClock()
        self.metrics = Metrics()
        self.book = RateBook(rates, self.clock, self.metrics)

    def publish(self, who: Identity, times: int = 1) -> int:
        """How many of ``times`` are granted."""
        granted = 0
        for _ in range(times):
            try:
                self.book.take(self.book.publishes, who)
            except Refused as refused:
                assert refused.code == codes.RATE_LIMITED
            else:
                granted += 1
        return granted

    def refused(self, what: str, scope: str) -> float:
        value = self.metrics.registry.get_sample_value("trio_router_rate_limited_total", {"what": what, "scope": scope})
        return value or 0.0


def test_without_a_rate_nothing_is_kept() -> None:
    book = Book(Rates())

    assert book.book.publishes == book.book.logins == book.book.calls == book.book.subscriptions == ()


def test_the_burst_may_come_at_once_and_the_rest_as_it_is_earned() -> None:
    book = Book(Rates(publishes_per_session=10, burst=2))

    assert book.publish(somebody(), 100) == 20
    book.clock.advance(1.0)
    assert book.publish(somebody(), 100) == 10


def test_a_rate_below_one_in_a_burst_still_grants_one() -> None:
    book = Book(Rates(publishes_per_session=0.1, burst=0))

    assert book.publish(somebody(), 5) == 1
    book.clock.advance(9.9)
    assert book.publish(somebody(), 5) == 0
    book.clock.advance(0.2)
    assert book.publish(somebody(), 5) == 1


def test_what_is_refused_is_told_when_to_come_again_and_costs_nothing() -> None:
    book = Book(Rates(publishes_per_session=2, burst=1))
    assert book.publish(somebody(), 50) == 2

    with pytest.raises(Refused) as refused:
        book.book.take(book.book.publishes, somebody())

    assert refused.value.retry_after == pytest.approx(0.5)
    assert refused.value.detail == "too many publishes from this session; try again in 0.5 s"
    book.clock.advance(0.5)
    assert book.publish(somebody(), 1) == 1
    assert book.refused("publishes", "session") == 49


@pytest.mark.parametrize(
    ("scope", "other"),
    [
        ("session", somebody(session="s2")),
        ("user", somebody(session="s2", user="bob")),
        ("address", somebody(session="s2", user="bob", address="192.0.2.2")),
    ],
)
def test_each_scope_counts_its_own_and_nobody_elses(scope: str, other: Identity) -> None:
    book = Book(Rates(**{f"publishes_per_{scope}": 1, "burst": 1}))

    assert book.publish(somebody(), 3) == 1
    same = {"session": somebody(), "user": somebody(session="s9"), "address": somebody("s9", "carl")}[scope]
    assert book.publish(same, 3) == 0
    assert book.publish(other, 3) == 1


def test_the_app_counts_everybody() -> None:
    book = Book(Rates(publishes_per_app=1, burst=2))

    assert book.publish(somebody("a", "ann", "192.0.2.1")) == 1
    assert book.publish(somebody("b", "bob", "192.0.2.2")) == 1
    assert book.publish(somebody("c", "carl", "192.0.2.3")) == 0


def test_an_ipv6_address_is_its_network() -> None:
    book = Book(Rates(publishes_per_address=1, burst=1))

    assert book.publish(somebody("a", "ann", "2001:db8::1")) == 1
    assert book.publish(somebody("b", "bob", "2001:db8::ffff:2")) == 0
    assert book.publish(somebody("c", "carl", "2001:db8:0:1::1")) == 1


def test_those_let_in_without_a_name_are_not_one_user() -> None:
    book = Book(Rates(publishes_per_user=1, burst=1))
    nobody = Identity("default", "s1", User("open", is_authenticated=False))

    assert book.publish(nobody, 10) == 10


def test_what_one_scope_refuses_counts_in_no_other() -> None:
    book = Book(Rates(publishes_per_session=1, publishes_per_app=10, burst=1))

    assert book.publish(somebody("a"), 100) == 1
    assert book.publish(somebody("b"), 100) == 1
    assert sum(book.publish(somebody(f"other{n}")) for n in range(20)) == 8


def test_logins_count_for_session_address_and_app_before_and_for_the_user_after() -> None:
    book = Book(Rates(logins_per_session=1, logins_per_address=2, logins_per_user=1, burst=1)).book

    book.take_login("s1", "192.0.2.1")
    with pytest.raises(Refused, match="503"):
        book.take_login("s1", "192.0.2.1")
    book.take_login("s2", "192.0.2.1")
    with pytest.raises(Refused) as refused:
        book.take_login("s3", "192.0.2.1")
    assert refused.value.detail.startswith("too many logins from this address")
    book.take_login("s3", "192.0.2.2")
    book.take_login_of("ann")
    with pytest.raises(Refused):
        book.take_login_of("ann")
    book.take_login_of("bob")


def test_a_reload_keeps_what_was_counted_under_bounds_that_stay() -> None:
    rates = Rates(publishes_per_session=1, calls_per_session=1, burst=1)
    book = Book(rates)
    assert book.publish(somebody(), 2) == 1

    book.book.replace(attrs.evolve(rates, calls_per_session=5))
    assert book.publish(somebody(), 2) == 0
    book.book.replace(attrs.evolve(rates, publishes_per_session=50))
    assert book.publish(somebody(), 60) == 50
    book.book.replace(Rates())
    assert book.book.publishes == ()


def test_what_is_earned_is_forgotten() -> None:
    meter = Meter("publishes", "session", 10, 1)
    for number in range(10 * SWEPT_AT):
        meter.count(f"s{number}", number / 100)

    assert len(meter) <= 2 * SWEPT_AT
