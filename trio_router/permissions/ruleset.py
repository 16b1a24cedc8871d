"""Compiled rules: immutable, asked for decisions, swapped whole.

What is remembered between questions is which rule applies to a name, with its variables; never what the rule came out
as, since it runs again each time (T34). The memory belongs to the ruleset, so new rules start with an empty one, and
it is bounded, since names are chosen by clients.

The rule that keeps this honest: both questions are total, and the only way to ``allowed=True`` is a rule that came
out as exactly ``true``.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from trio_router.clock import Clock
from trio_router.errors import RouterError
from trio_router.identity import Identity
from trio_router.names import REMEMBERED, InvalidName, check_channel, check_listen_text, check_procedure, check_user_id
from trio_router.patterns import Pattern, PatternError
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.compiler import Evaluate
from trio_router.permissions.decision import Action, Decision, Reason
from trio_router.permissions.index import Reach, RuleIndex
from trio_router.permissions.records import MISSING_UNLOADED, Needed, Records, World
from trio_router.permissions.rule import Rule

REMEMBERED_NAMES: Final = REMEMBERED
"""Of all actions together; at most 255 characters each, so under 32 MiB. When there is no more room, all are forgotten."""

Question = tuple[Identity, str, Payload, Payload, World, tuple[str, ...]]
Found = tuple[Rule | None, Evaluate | None, tuple[str, ...], Decision]
"""A rule to run, with its variables and the decision if it is true; or None, and the decision that needs no rule to run."""

_CHECKS: Final = {
    action: {"presence": check_user_id, "rpc": check_procedure}.get(action.section, check_channel) for action in Action
} | dict.fromkeys((Action.EVENT_LISTEN, Action.RECORD_LISTEN), check_listen_text)


class CompiledRules:
    """The rules of one file. Make it with :func:`trio_router.permissions.loader.load_rules`."""

    def __init__(self, text: str, rules: Mapping[Action, Iterable[Rule]], clock: Clock, records: Records) -> None:
        self._version = hashlib.sha256(text.encode()).hexdigest()
        made = {action: tuple(rules.get(action, ())) for action in Action}
        self._by_action = made
        self._rules = tuple(sorted(itertools.chain.from_iterable(made.values()), key=lambda rule: rule.order))
        self._indexes = {action: RuleIndex(made[action]) for action in Action}
        self._no_rule = {action: Decision(False, Reason.NO_RULE) for action in Action}
        self._world = World(lambda: int(clock.wall() * 1000), records)
        self._known: dict[Action, dict[str, Found]] = {action: {} for action in Action}
        self._room = REMEMBERED_NAMES

    @property
    def version(self) -> str:
        """The SHA-256 of the rules file's text, in hexadecimal."""
        return self._version

    @property
    def rules(self) -> tuple[Rule, ...]:
        """All rules, in the order of the file."""
        return self._rules

    @property
    def world(self) -> World:
        """What the rules read beside the question."""
        return self._world

    def rules_of(self, section: str) -> tuple[Rule, ...]:
        """All rules of a section, in the order of the file."""
        found = (rules for action, rules in self._by_action.items() if action.section == section)
        return tuple(sorted(itertools.chain.from_iterable(found), key=lambda rule: rule.order))

    def find(self, action: Action, name: str) -> tuple[Rule, dict[str, str]] | None:
        """The rule that applies to ``name``, with what the variables of its pattern stand for; None if there is none.

        Raises:
            InvalidName: the section has no such names.
        """
        _CHECKS[action](name)
        found = self._indexes[action].find(name)
        if found is None:
            return None
        rule, variables = found
        return rule, dict(zip(rule.pattern.variables, variables, strict=True))

    def evaluate(
        self,
        rule: Rule,
        who: Identity,
        name: str,
        data: Payload,
        variables: Mapping[str, str],
        *,
        part: Evaluate | None = None,
        old: Payload = ABSENT,
    ) -> Any:
        """The value of ``rule``, or of a ``part`` of it that ``compile_expression`` made. Raises what it raises."""
        evaluate = part or rule.evaluate
        if evaluate is None:
            return rule.constant
        bound = tuple(variables[variable] for variable in rule.pattern.variables)
        return evaluate(who, name, data, old, self._world, bound)

    def decide(
        self, who: Identity, action: Action, name: str, data: Payload = ABSENT, old: Payload = ABSENT
    ) -> Decision:
        """Whether ``who`` may do ``action`` on exactly ``name``. Total: never raises.

        ``old`` is what ``oldData`` reads, null for a record that does not exist; absent: it is looked up.
        """
        rule: Rule | None = None
        variables: tuple[str, ...] = ()
        try:
            rule, evaluate, variables, decision = self._known[action].get(name) or self._find(action, name)
            if rule is None or evaluate is None:
                return decision
            value = evaluate(who, name, data, old, self._world, variables)
            return decision if value is True else _not_allowed(rule, value)
        except Needed as needed:
            return self._needed(rule, needed, (who, name, data, old, self._world, variables))
        except Exception as error:  # noqa: BLE001 - the edge of the rules: whatever fails is a denial
            return _failed(rule, error)

    def decide_pattern(self, who: Identity, action: Action, pattern: str) -> Decision:
        """Whether ``who`` may do ``action`` on every name that the wildcard ``pattern`` matches (T21). Never raises.

        Allowed if each rule that may apply to one of these names is true whatever the name, and some rule covers them
        all. A rule that reads ``name``, ``data`` or a variable that differs from name to name proves nothing.
        """
        rule = None
        try:
            if "*" not in pattern:
                return self.decide(who, action, pattern)
            wildcard = _checked_wildcard(action, pattern)
            if wildcard is None:
                return Decision(False, Reason.INVALID_NAME)
            for reach in self._indexes[action].reach(wildcard):
                rule = reach.rule
                decision = self._decide_reach(who, reach)
                if reach.covers:
                    return decision
                if decision.reason in (Reason.NOT_PROVABLE, Reason.RECORDS_NEEDED):
                    return decision
                if not decision.allowed:
                    return _unproved(rule, "it reaches some of these names and is not true for all of them")
            if rule is None:
                return self._no_rule[action]
            return Decision(False, Reason.NOT_PROVABLE, detail="no single rule covers every name of the wildcard")
        except Exception as error:  # noqa: BLE001 - the edge of the rules: whatever fails is a denial
            return _failed(rule, error)

    def reached(self, who: Identity, action: Action, pattern: str) -> Iterator[tuple[Reach, Decision]]:
        """The rules that ``decide_pattern`` asks, each with what it says to all names it reaches; ends where that ends."""
        wildcard = _checked_wildcard(action, pattern)
        if wildcard is None:
            return
        for reach in self._indexes[action].reach(wildcard):
            decision = self._decide_reach(who, reach)
            yield reach, decision
            if reach.covers or not decision.allowed:
                return

    def _decide_reach(self, who: Identity, reach: Reach) -> Decision:
        rule = reach.rule
        if rule.evaluate is None:
            return rule.allowed if rule.constant else rule.refused
        varying = rule.names - {"now", "action"} - {"$" + variable for variable in reach.fixed}
        if varying:
            return _unproved(rule, f"it reads {', '.join(sorted(varying))}, which differs from name to name")
        variables = tuple(reach.fixed.get(variable, "") for variable in rule.pattern.variables)
        question = (who, "", ABSENT, ABSENT, self._world, variables)
        try:
            value = rule.evaluate(*question)
        except Needed as needed:
            return self._needed(rule, needed, question)
        except Exception as error:  # noqa: BLE001 - the edge of the rules: whatever fails is a denial
            return _failed(rule, error)
        return rule.allowed if value is True else _not_allowed(rule, value)

    def _needed(self, rule: Rule | None, needed: Needed, question: Question) -> Decision:
        """Asks for the record that was missing, and for all others that the rule may name next.

        All at once, so that the number of rounds is how deep references hang on each other, not how many there are.
        """
        names = {needed.name: None}
        for reference in rule.references if rule is not None else ():
            try:
                name = reference(*question)
                if isinstance(name, str) and self._world.records.peek(name) is MISSING_UNLOADED:
                    check_channel(name)
                    names[name] = None
            except Exception:  # noqa: BLE001, S112 - a name that cannot be told yet is asked for in the next round
                continue
        return Decision(False, Reason.RECORDS_NEEDED, rule.ref if rule else None, records=tuple(names))

    def forget(self) -> None:
        """No name is remembered any more."""
        self._room = REMEMBERED_NAMES
        for known in self._known.values():
            known.clear()

    def _find(self, action: Action, name: str) -> Found:
        """What applies to ``name``, from now on remembered."""
        try:
            _CHECKS[action](name)
        except InvalidName as error:
            return None, None, (), Decision(False, Reason.INVALID_NAME, detail=f"the name {error}")
        found = self._indexes[action].find(name)
        made: Found = None, None, (), self._no_rule[action]
        if found is not None:
            rule, variables = found
            if rule.evaluate is not None:
                made = rule, rule.evaluate, variables, rule.allowed
            else:
                made = None, None, (), rule.allowed if rule.constant else rule.refused
        if self._room <= 0:  # less than none if several threads ask
            self.forget()
        self._room -= 1
        self._known[action][name] = made
        return made


def _checked_wildcard(action: Action, pattern: str) -> Pattern | None:
    """The parsed wildcard, or None if no name of the section could ever match it."""
    try:
        if action.section == "presence":
            letters = pattern.replace("*", "")
            if letters:
                check_user_id(letters)
        else:
            check_channel(pattern, wildcards=True)
        return Pattern.parse(pattern)
    except (InvalidName, PatternError):
        return None


def _not_allowed(rule: Rule, value: Any) -> Decision:
    if value is False:
        return rule.refused
    return Decision(
        False,
        Reason.RULE_NOT_TRUE,
        rule.ref,
        f"the rule is neither true nor false but {_described(value)}",
        rule.reason,
    )


def _failed(rule: Rule | None, error: Exception) -> Decision:
    # Only our own errors are told: the text of another one may hold a value.
    detail = str(error) if isinstance(error, RouterError) else type(error).__name__
    if rule is None:
        return Decision(False, Reason.RULE_ERROR, detail=detail)
    return Decision(False, Reason.RULE_ERROR, rule.ref, detail, rule.reason)


def _unproved(rule: Rule, why: str) -> Decision:
    ref = rule.ref
    place = f"the rule for {ref.action} of {ref.pattern!r} in {ref.source}, line {ref.line}"
    return Decision(False, Reason.NOT_PROVABLE, ref, f"{place}: {why}", rule.reason)


def _described(value: Any) -> str:
    """The kind of a value, never the value."""
    if value is None:
        return "null"
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (str, "a text"), ((int, float), "a number"), ((list, tuple), "a list"), (Mapping, "an object"),
    )  # fmt: skip
    return next((text for kind, text in kinds if isinstance(value, kind)), "undefined")
