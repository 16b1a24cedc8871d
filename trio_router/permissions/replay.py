"""Recorded decisions asked again: which would come out otherwise, and of which that cannot be told.

A decision log holds who did what on which name, and neither data nor what the login told of the user, not even whether it
asked. What a rule reads beyond that is missing here. The rule that keeps this honest: a recorded decision *stays* only if it was made by the old file and the new
one has the same rule for it, or if the new rule gives the recorded answer whatever is missing; it *changes* only if the new
rule gives the other answer whatever is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

from trio_router.identity import Identity, User
from trio_router.names import InvalidName
from trio_router.permissions.compare import source_of
from trio_router.permissions.decision import BEFORE_RULES, Action
from trio_router.permissions.reverse import Known, Reverse
from trio_router.permissions.rule import Rule
from trio_router.permissions.ruleset import CompiledRules
from trio_router.permissions.syntax import Name, Reference, SessionField, UserField, children

MAX_DIFFERENCES: Final = 100_000

_ACTIONS: Final = {f"{action.section}.{action.verb}": action for action in Action}
_NOT_OF_THE_RULES: Final = frozenset(reason.value for reason in BEFORE_RULES)


@attrs.frozen
class Difference:
    """One recorded decision that would change, or of which it cannot be told. ``was``: whether it was allowed."""

    verdict: Literal["changes", "unknown"]
    id: str
    user: str
    action: Action
    name: str
    was: bool
    why: str


class Replay:
    """Takes the entries of a log one by one.

    Of ``decisions``, ``same`` stay, ``changed`` change and ``unknown`` cannot be told; ``unreadable`` lines were none. The first
    ``MAX_DIFFERENCES`` of those that do not stay are kept.
    """

    def __init__(self, old: CompiledRules, new: CompiledRules) -> None:
        self._old = old
        self._new = new
        self._reverse = Reverse(new)
        self.decisions = 0
        self.same = 0
        self.unreadable = 0
        self.changed = 0
        self.unknown = 0
        self.differences: list[Difference] = []

    def take(self, entry: Any) -> None:
        """One line of the log, decoded; lines of another kind are passed over, what is none is counted."""
        if isinstance(entry, Mapping) and entry.get("kind", "decision") != "decision":
            return
        read = _read(entry)
        if read is None:
            self.unreadable += 1
            return
        action, who, name, was, number = read
        try:
            verdict, why = self._again(entry, action, who, name, was=was)
        except InvalidName:  # what the configuration hides is no name
            self.unreadable += 1
            return
        self.decisions += 1
        if verdict == "same":
            self.same += 1
            return
        if verdict == "changes":
            self.changed += 1
        else:
            self.unknown += 1
        if len(self.differences) < MAX_DIFFERENCES:
            self.differences.append(Difference(verdict, number, who.user.id, action, name, was, why))

    def _again(
        self, entry: Mapping[str, Any], action: Action, who: Identity, name: str, *, was: bool
    ) -> tuple[Literal["same", "changes", "unknown"], str]:
        if str(entry.get("reason")) in _NOT_OF_THE_RULES:
            return "same", ""
        by_old = entry.get("rules", self._old.version) == self._old.version
        if "*" in name:
            return self._wildcard(action, who, name, was=was, by_old=by_old)
        if by_old and _says(self._old.find(action, name)) == _says(self._new.find(action, name)):
            return "same", ""
        known = Known(who, is_authenticated=False, user_data=False, session=False)
        judged = self._reverse.may(known, action, name)
        place = f"{judged.rule.ref.source}:{judged.rule.ref.line}" if judged.rule else "no rule applies"
        if judged.verdict == "depends":
            return "unknown", f"{place} depends on {judged.condition}"
        return ("same" if (judged.verdict == "always") is was else "changes"), place

    def _wildcard(
        self, action: Action, who: Identity, name: str, *, was: bool, by_old: bool
    ) -> tuple[Literal["same", "changes", "unknown"], str]:
        if by_old and _sources(self._old, action) == _sources(self._new, action):
            return "same", ""
        if any(_reads_more(rule) for rule in self._new.rules_of(action.section) if rule.ref.action == action.verb):
            return "unknown", "a wildcard, and the rules read what the log does not hold"
        allowed = self._new.decide_pattern(who, action, name).allowed
        return ("same" if allowed is was else "changes"), "a wildcard"


def _read(entry: Any) -> tuple[Action, Identity, str, bool, str] | None:
    if not isinstance(entry, Mapping):
        return None
    action = _ACTIONS.get(str(entry.get("action")))
    user, name, allowed = entry.get("user"), entry.get("name"), entry.get("allowed")
    if action is None or not isinstance(user, str) or not isinstance(name, str) or not isinstance(allowed, bool):
        return None
    try:
        made = User(user)
    except InvalidName:  # what the configuration hides is no id
        return None
    return action, Identity("", "", made), name, allowed, str(entry.get("id", ""))


def _says(found: tuple[Rule, Mapping[str, str]] | None) -> tuple[str, tuple[tuple[str, str], ...]] | None:
    if found is None:
        return None
    rule, variables = found
    return source_of(rule), tuple(sorted(variables.items()))


def _sources(rules: CompiledRules, action: Action) -> tuple[tuple[str, str], ...]:
    return tuple(
        (rule.pattern.text, source_of(rule))
        for rule in rules.rules_of(action.section)
        if rule.ref.action == action.verb
    )


def _reads_more(rule: Rule) -> bool:
    """Whether the rule reads what a decision log does not hold."""
    pending = [rule.tree] if rule.tree is not None else []
    while pending:
        node = pending.pop()
        match node:
            case (
                SessionField()
                | Reference()
                | UserField(name="data" | "isAuthenticated")
                | Name(name="data" | "oldData" | "now")
            ):
                return True
            case _:
                pending += children(node)
    return False
