"""Answers administrators' questions about decisions: why would this be denied, what was decided lately, why was that denied.

Knows the door and the book of decisions; whoever serves the questions (HTTP) knows neither. The rule that keeps this
honest: it only reads. Nothing asked here is counted, recorded or changes what the next decision will be (T36).
"""

from __future__ import annotations

from typing import Any

from trio_router.identity import Identity
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import Action, Reason, Ruleset
from trio_router.permissions.explain import Explanation, explain
from trio_router.permissions.redaction import Redaction
from trio_router.permissions.ruleset import CompiledRules
from trio_router.routing.bounds import beyond_grants
from trio_router.routing.decisions import DecisionBook, Entry
from trio_router.routing.door import OURS, Door, spelling_fault
from trio_router.routing.events import is_pattern
from trio_router.routing.listen_patterns import name_for_rules


class Tracer:
    """Explains by the rules in force, and looks decisions up in the book. Its answers are JSON values."""

    def __init__(self, app: str, door: Door, book: DecisionBook, redaction: Redaction) -> None:
        self._app = app
        self._door = door
        self._book = book
        self._redaction = redaction

    @property
    def app(self) -> str:
        """The app whose door it is."""
        return self._app

    def explain(self, who: Identity, action: Action, name: str, data: Payload = ABSENT) -> dict[str, Any]:
        """What the door would decide now, and why. May take a moment with many rules; safe in any thread."""
        return explain_at_door(_of_a_file(self._door.rules), who, action, name, data, self._redaction).as_json()

    def recent(self, limit: int, *, denied: bool | None = None) -> list[dict[str, Any]]:
        """The last decisions in short, the newest first."""
        return [self._short(entry) for entry in self._book.recent(limit, denied=denied)]

    def find(self, number: str) -> dict[str, Any] | None:
        """The decision with this id, and why it came out so; None if it is not kept (any more).

        ``agrees`` is false if the rules would decide otherwise with what was kept, for instance because a record has changed
        since; ``explained`` is missing if the rules that decided are gone.
        """
        entry = self._book.find(number)
        if entry is None:
            return None
        made = self._short(entry) | {"data_state": entry.data_state}
        rules = self._book.rules_of(entry)
        if rules is None:
            return made
        explanation = explain(
            _of_a_file(rules),
            entry.identity,
            entry.action,
            entry.name,
            entry.payload(),
            wildcard=entry.wildcard,
            decision=entry.decision,
            now=int(entry.time * 1000),
            redaction=self._redaction,
        )
        whole = explanation.steps[0] if explanation.steps else None
        agrees = whole is None or (whole.state == "value" and whole.value is True) == entry.decision.allowed
        return made | {"agrees": agrees, "explained": explanation.as_json()}

    def _short(self, entry: Entry) -> dict[str, Any]:
        return {"id": entry.id, "time": entry.time, **summary(entry, self._redaction)}


def explain_at_door(
    rules: CompiledRules, who: Identity, action: Action, name: str, data: Payload, redaction: Redaction
) -> Explanation:
    """What the door would say with these rules, and why: the spelling of the name and the key's grants count before any rule.

    A name of a kind is taken to be open to whoever has an app key: nobody knows here which trust-token will come.
    """
    wildcard = is_pattern(name) and action is Action.EVENT_SUBSCRIBE
    fault = spelling_fault(action, name, wildcards=wildcard)
    is_kind = fault is not None and fault.reason is Reason.RESERVED and fault is not OURS
    if is_kind and (who.is_server or (who.key and not wildcard)):
        fault = None
    fault = fault or beyond_grants(who, action, name)
    name = name_for_rules(action, name)
    return explain(rules, who, action, name, data, wildcard=wildcard, decision=fault, redaction=redaction)


def _of_a_file(rules: Ruleset) -> CompiledRules:
    if not isinstance(rules, CompiledRules):
        raise TypeError("only rules of a file can be explained")
    return rules


def summary(entry: Entry, redaction: Redaction) -> dict[str, Any]:
    """Who asked for what and what was said: neither data nor anything that the login told about the user."""
    who, decision = entry.identity, entry.decision
    rule = decision.rule
    return {
        "app": who.app,
        "session": redaction.scrubbed(who.session_id, "session", "id"),
        "user": redaction.scrubbed(who.user.id, "user", "id"),
        "action": f"{entry.action.section}.{entry.action.verb}",
        "name": redaction.scrubbed(entry.name, "name"),
        "allowed": decision.allowed,
        "reason": decision.reason.value,
        "rule": f"{rule.source}:{rule.line}" if rule else None,
        "rules": entry.rules_version,
    }
