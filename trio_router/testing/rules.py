"""Rules without a rules file: each action is granted by a table or a function, for tests of what asks the door.

They obey the contract of ``permissions.decision.Ruleset``: total, only exactly ``True`` allows, absent is denied. What
they cannot do is prove a pattern against names: a pattern is decided as a name of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from trio_router.identity import Identity
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action, Decision, Reason

Rule = bool | Collection[str] | Callable[[Identity, str, Payload], Any]
"""True or False for every name; the names that are allowed; or a function whose result must be ``True``."""


class FixedRules:
    """Implements ``Ruleset`` by a rule for each action.

    ``asked`` holds every question as (session id, action, name), in order.
    """

    def __init__(self, rules: Mapping[Action, Rule], *, version: str = "fixed") -> None:
        self._rules = dict(rules)
        self._version = version
        self.asked: list[tuple[str, Action, str]] = []

    @classmethod
    def everything(cls) -> FixedRules:
        """Rules that allow every action on every name."""
        return cls(dict.fromkeys(Action, True))

    @property
    def version(self) -> str:
        return self._version

    def decide(
        self,
        who: Identity,
        action: Action,
        name: str,
        data: Payload = ABSENT,
        old: Payload = ABSENT,  # noqa: ARG002 - the contract's
    ) -> Decision:
        """The decision of the action's rule; ``NO_RULE`` without one."""
        self.asked.append((who.session_id, action, name))
        rule = self._rules.get(action)
        if rule is None:
            return Decision(allowed=False, reason=Reason.NO_RULE)
        if isinstance(rule, bool):
            result: Any = rule
        elif callable(rule):
            try:
                result = rule(who, name, data)
            except Exception as exc:  # noqa: BLE001 - the contract: a rule that fails is a denial, whatever its fault
                return Decision(allowed=False, reason=Reason.RULE_ERROR, detail=repr(exc))
        else:
            result = name in rule
        if result is True:
            return Decision(allowed=True, reason=Reason.ALLOWED)
        return Decision(allowed=False, reason=Reason.RULE_FALSE if result is False else Reason.RULE_NOT_TRUE)

    def forget(self) -> None:
        """It remembers nothing."""

    def decide_pattern(self, who: Identity, action: Action, pattern: str) -> Decision:
        """As :meth:`decide`, with the pattern's own text as the name."""
        return self.decide(who, action, pattern)
