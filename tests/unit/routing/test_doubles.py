"""The doubles that other tests trust: timers that stand still, rules without a file."""

from __future__ import annotations

import pytest

from trio_router.identity import Identity, User
from trio_router.permissions.decision import Action, Reason
from trio_router.testing.rules import FixedRules, Rule
from trio_router.testing.timers import ManualTimers

WHO = Identity("main", "s", User("egon"))


def test_timers_fire_in_the_order_of_their_deadlines_and_once() -> None:
    timers = ManualTimers()
    fired: list[tuple[str, float]] = []
    for name, seconds in (("c", 2.0), ("a", 1.0), ("b", 1.0), ("late", 9.0)):
        timers.after(seconds, lambda name=name: fired.append((name, timers.now())))  # type: ignore[misc]
    cancelled = timers.after(1.5, lambda: fired.append(("cancelled", timers.now())))
    cancelled.cancel()
    assert timers.pending == 4
    timers.advance(0.5)
    assert fired == []
    timers.advance(2.0)
    assert fired == [("a", 1.0), ("b", 1.0), ("c", 2.0)]
    assert timers.now() == 2.5
    timers.advance(0.0)
    assert len(fired) == 3
    assert timers.pending == 1


def test_a_timer_may_arm_another_and_even_one_that_is_due_waits_for_its_turn() -> None:
    timers = ManualTimers()
    fired: list[str] = []
    timers.after(0.0, lambda: (timers.after(0.0, lambda: fired.append("second")), fired.append("first")))  # type: ignore[arg-type,return-value]
    assert fired == []
    timers.advance(0.0)
    assert fired == ["first", "second"]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (True, Reason.ALLOWED),
        (False, Reason.RULE_FALSE),
        (["news"], Reason.ALLOWED),
        ([], Reason.RULE_FALSE),
        (lambda who, name, data: who.user.id == "egon" and name == "news", Reason.ALLOWED),
        (lambda who, name, data: 1, Reason.RULE_NOT_TRUE),
        (lambda who, name, data: None, Reason.RULE_NOT_TRUE),
        (lambda who, name, data: 1 / 0, Reason.RULE_ERROR),
    ],
)
def test_fixed_rules_allow_by_exactly_true_alone(rule: Rule, reason: Reason) -> None:
    decision = FixedRules({Action.EVENT_PUBLISH: rule}).decide(WHO, Action.EVENT_PUBLISH, "news")
    assert (decision.allowed, decision.reason) == (reason is Reason.ALLOWED, reason)


def test_fixed_rules_deny_what_they_do_not_mention() -> None:
    assert FixedRules({}).decide_pattern(WHO, Action.EVENT_SUBSCRIBE, "*").reason is Reason.NO_RULE
