"""Test cases and a rules file in, outcomes out: asks the rules what the cases ask, and compares.

The rules are the real ones, loaded by the real loader; only the clock and the records are the case's own. The rule that
keeps this honest: a case passes only by a decision of those rules, never because something could not be asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action, Decision
from trio_router.permissions.explain import Explanation, explain
from trio_router.permissions.loader import load_rules
from trio_router.permissions.ruleset import CompiledRules
from trio_router.permissions.syntax import UNDEFINED
from trio_router.permissions.testcases import DEFAULT_NOW, Case


@attrs.frozen
class Outcome:
    """What one case came to. ``fault`` says what is not as expected; "" if the case passes."""

    case: Case
    decision: Decision
    fault: str = ""

    @property
    def passed(self) -> bool:
        """Whether the rules answered as the case says."""
        return not self.fault


@attrs.define
class _CaseClock:
    """Implements ``Clock``: stands at the case's time."""

    now: int = DEFAULT_NOW

    def wall(self) -> float:
        return (self.now + 0.5) / 1000  # rules cut off what is below a millisecond

    def monotonic(self) -> float:
        return 0.0


@attrs.define
class _CaseRecords:
    """Implements ``Records``: those of the case, and no others exist."""

    records: Mapping[str, Any] = attrs.field(factory=dict)

    def peek(self, name: str) -> Any:
        return self.records.get(name)


class Bench:
    """One rules file, ready to be asked about cases.

    Raises:
        RuleError: from the constructor; the file is refused.
    """

    def __init__(self, text: str, source: str) -> None:
        self._clock = _CaseClock()
        self._records = _CaseRecords()
        self.text = text
        self.source = source
        self.rules: CompiledRules = load_rules(text, source, clock=self._clock, records=self._records)

    def run(self, case: Case) -> Outcome:
        """Asks what ``case`` asks. Never raises."""
        self.set_up(case)
        if _is_wildcard(case):
            decision = self.rules.decide_pattern(case.identity, case.action, case.name)
        else:
            decision = self.rules.decide(case.identity, case.action, case.name, case.data, old=old_payload(case))
        return Outcome(case, decision, _fault(case, decision))

    def explain(self, outcome: Outcome) -> Explanation:
        """The parts of the rule that decided, with their values in the case."""
        case = outcome.case
        self.set_up(case)
        if case.old_data is not UNDEFINED:
            self._records.records = {**case.records, case.name: case.old_data}
        return explain(
            self.rules,
            case.identity,
            case.action,
            case.name,
            case.data,
            wildcard=_is_wildcard(case),
            decision=outcome.decision,
        )

    def set_up(self, case: Case) -> None:
        """Makes the time and the records those of ``case``."""
        self._clock.now = case.now
        self._records.records = case.records


def _is_wildcard(case: Case) -> bool:
    """Whether it asks about all names of a wildcard; the pattern of somebody who listens is a text of its own."""
    return "*" in case.name and case.action is not Action.EVENT_LISTEN


def old_payload(case: Case) -> Payload:
    """What ``oldData`` is in ``case``; absent if it is to be looked up in the records."""
    return ABSENT if case.old_data is UNDEFINED else Payload(case.old_data)


def _fault(case: Case, decision: Decision) -> str:
    if decision.allowed != case.allowed:
        expected, got = ("allow", "deny") if case.allowed else ("deny", "allow")
        return f"expected {expected}, got {got}{_why(decision)}"
    if case.reason is not None and decision.reason is not case.reason:
        return f"expected the reason {case.reason.value}, got {decision.reason.value}{_why(decision)}"
    if case.told is not None and decision.reason_text != case.told:
        return f"expected to be told {case.told!r}, got {decision.reason_text!r}"
    if case.rule is None:
        return ""
    rule = decision.rule
    if rule is None:
        return f"expected the rule {case.rule!r} to decide, but no rule did{_why(decision)}"
    if case.rule not in (rule.pattern, rule.line):
        return f"expected the rule {case.rule!r} to decide, but {rule.pattern!r} in line {rule.line} did"
    return ""


def _why(decision: Decision) -> str:
    detail = f": {decision.detail}" if decision.detail else ""
    return "" if decision.allowed else f" ({decision.reason.value}{detail})"
