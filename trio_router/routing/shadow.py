"""Rules that decide beside those in force and change nothing: what would be different is counted and logged.

Every decision that rules made at the door is made a second time by the shadow rules. The rule that keeps this honest:
nothing of it comes back: whatever the shadow rules say, or do, the decision in force stands, and the log has at most so
many lines of it in a minute.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from trio_router.clock import Clock
from trio_router.identity import Identity
from trio_router.metrics import Metrics
from trio_router.payload import Payload
from trio_router.permissions.decision import Action, Decision, RuleRef, Ruleset

LINES: Final = 20
"""Differences logged in one minute; the others are counted."""

_MINUTE: Final = 60.0


class Shadow:
    """``log`` writes one line: an event's name and its fields."""

    def __init__(self, rules: Ruleset, metrics: Metrics, clock: Clock, log: Callable[..., Any]) -> None:
        self.rules = rules
        self._metrics = metrics
        self._clock = clock
        self._log = log
        self._since = clock.monotonic()
        self._logged = 0
        self._left_out = 0

    def compare(self, identity: Identity, action: Action, name: str, data: Payload, decision: Decision) -> None:
        """Decide about exactly ``name`` and note if that is not what ``decision`` says. Never raises."""
        self._note(lambda: self.rules.decide(identity, action, name, data), identity, action, name, decision)

    def compare_pattern(self, identity: Identity, action: Action, pattern: str, decision: Decision) -> None:
        """The same for every name of ``pattern``."""
        self._note(lambda: self.rules.decide_pattern(identity, action, pattern), identity, action, pattern, decision)

    def _note(
        self, ask: Callable[[], Decision], identity: Identity, action: Action, name: str, decision: Decision
    ) -> None:
        try:
            other = ask()
            if other.allowed is not decision.allowed:
                self._differs(identity, action, name, decision, other)
        except Exception as error:  # noqa: BLE001 - nothing of the shadow may reach those who are served
            self._count(action, "failed")
            if self._may_log():
                self._log("shadow_failed", action=_spelled(action), error=type(error).__name__)

    def _differs(self, identity: Identity, action: Action, name: str, decision: Decision, other: Decision) -> None:
        direction = "would_allow" if other.allowed else "would_deny"
        self._count(action, direction)
        if self._may_log():
            left_out, self._left_out = self._left_out, 0
            self._log(
                "shadow_difference",
                direction=direction,
                action=_spelled(action),
                name=name,
                user=identity.user.id,
                session=identity.session_id,
                rule=_place(decision.rule),
                reason=decision.reason.value,
                shadow_rule=_place(other.rule),
                shadow_reason=other.reason.value,
                left_out=left_out,
            )

    def _count(self, action: Action, direction: str) -> None:
        self._metrics.shadow_differences.labels(_spelled(action), direction).inc()

    def _may_log(self) -> bool:
        now = self._clock.monotonic()
        if now - self._since >= _MINUTE:
            self._since, self._logged = now, 0
        if self._logged >= LINES:
            self._left_out += 1
            return False
        self._logged += 1
        return True


def _spelled(action: Action) -> str:
    return f"{action.section}.{action.verb}"


def _place(rule: RuleRef | None) -> str:
    return f"{rule.source}:{rule.line} {rule.pattern}" if rule else ""
