"""What a rule says of somebody when not everything is known yet: always, never, or that it depends, and on what.

Evaluates an expression with some of its values missing. Each part comes out as the set of what it can be: exactly
true, some other value that counts as true, one that counts as false, or an error. A part whose values are all known is run
as it would be; the others are put together by the rules of ``&&``, ``||``, ``??``, ``!`` and ``?:``.

The rule that keeps this honest: the set holds every outcome that any missing values can bring, perhaps more. So
*always* and *never* are proofs, and whatever is not proved *depends*.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

from trio_router.identity import Identity
from trio_router.payload import ABSENT
from trio_router.permissions.compiler import Evaluate
from trio_router.permissions.decision import Action
from trio_router.permissions.rule import Rule
from trio_router.permissions.ruleset import CompiledRules
from trio_router.permissions.syntax import (
    Conditional,
    Constant,
    Junction,
    Name,
    Node,
    Not,
    PatternVariable,
    Reference,
    SessionField,
    UserField,
    children,
)
from trio_router.permissions.values import truthy

Verdict = Literal["always", "never", "depends"]

_LONGEST_SHOWN: Final = 60  # characters of a value that takes the place of what it is the value of


@attrs.frozen
class Judgement:
    """What a rule says with what is known. ``condition`` is the part of it that decides, when it ``depends``."""

    verdict: Verdict
    condition: str = ""
    rule: Rule | None = None


@attrs.frozen
class Known:
    """What is known. ``who`` is always there; what is not known of it is named by the switches.

    ``name`` and ``variables``: of the name in question, as far as known.
    """

    who: Identity
    is_authenticated: bool = True
    user_data: bool = True
    session: bool = True
    name: str | None = None
    variables: Mapping[str, str] = attrs.field(factory=dict)


class Outcome(enum.Flag):
    """What a part can come out as."""

    TRUE = enum.auto()
    OTHER = enum.auto()  # counts as true, and is something else
    FALSE = enum.auto()  # counts as false
    ERROR = enum.auto()


_NOTHING: Final = Outcome(0)
_TRUTHY: Final = Outcome.TRUE | Outcome.OTHER
_ANYTHING: Final = _TRUTHY | Outcome.FALSE | Outcome.ERROR


class Reverse:
    """Asks rules in reverse; parts of rules that are run are compiled once."""

    def __init__(self, rules: CompiledRules) -> None:
        self._rules = rules
        self._parts: dict[tuple[Rule, int], Evaluate] = {}

    def may(self, known: Known, action: Action, name: str) -> Judgement:
        """Whether he may do ``action`` on exactly ``name``, by the rule that applies to it.

        Raises:
            InvalidName: the section of ``action`` has no such names.
        """
        found = self._rules.find(action, name)
        if found is None:
            return Judgement("never")
        rule, variables = found
        return self.judge(rule, attrs.evolve(known, name=name, variables=variables))

    def judge(self, rule: Rule, known: Known) -> Judgement:
        """What ``rule`` says of all data and every name it applies to: of the one ``known.name``, if there is one."""
        if rule.tree is None:
            return Judgement("always" if rule.constant else "never", rule=rule)
        if known.name is None and rule.pattern.is_literal:
            known = attrs.evolve(known, name=rule.pattern.text)
        partial = _Partial(self._rules, rule, known, self._parts)
        outcome = partial.outcome(rule.tree)
        if outcome == Outcome.TRUE:
            return Judgement("always", rule=rule)
        if not outcome & Outcome.TRUE:
            return Judgement("never", rule=rule)
        return Judgement("depends", partial.condition(rule.tree), rule)


class _Partial:
    def __init__(self, rules: CompiledRules, rule: Rule, known: Known, parts: dict[tuple[Rule, int], Evaluate]) -> None:
        self._rules = rules
        self._rule = rule
        self._known = known
        self._parts = parts
        self._outcomes: dict[int, Outcome] = {}

    # ---- outcomes -----------------------------------------------------------------------------------------------

    def outcome(self, node: Node) -> Outcome:
        """Everything that ``node`` can come out as."""
        made = self._outcomes.get(id(node))
        if made is None:
            made = self._outcomes[id(node)] = self._outcome(node)
        return made

    def _outcome(self, node: Node) -> Outcome:
        if self._is_known(node):
            try:
                return _outcome_of(self._value(node))
            except Exception:  # noqa: BLE001 - whatever fails in a rule is a denial, here as there
                return Outcome.ERROR
        match node:
            case Not():
                operand = self.outcome(node.operand)
                turned = operand & Outcome.ERROR
                if operand & _TRUTHY:
                    turned |= Outcome.FALSE
                if operand & Outcome.FALSE:
                    turned |= Outcome.TRUE
                return turned
            case Junction():
                return self._junction(node)
            case Conditional():
                test = self.outcome(node.test)
                found = test & Outcome.ERROR
                if test & _TRUTHY:
                    found |= self.outcome(node.yes)
                if test & Outcome.FALSE:
                    found |= self.outcome(node.no)
                return found
            case _:
                return _ANYTHING

    def _junction(self, node: Junction) -> Outcome:
        goes_on = {"&&": _TRUTHY, "||": Outcome.FALSE}.get(node.operator)
        found = _NOTHING
        for operand in node.operands[:-1]:
            outcome = self.outcome(operand)
            if goes_on is None:  # ??: what is null or undefined counts as false, and so do others
                if not outcome & Outcome.FALSE:
                    return found | outcome
                found |= outcome
                continue
            found |= outcome & ~goes_on
            if not outcome & goes_on:
                return found
        return found | self.outcome(node.operands[-1])

    # ---- what is known ------------------------------------------------------------------------------------------

    def _is_known(self, node: Node) -> bool:
        match node:
            case UserField():
                known = {"data": self._known.user_data, "isAuthenticated": self._known.is_authenticated}
                return known.get(node.name, True)
            case SessionField():
                return self._known.session
            case Name():
                return node.name == "action" or (node.name == "name" and self._known.name is not None)
            case PatternVariable():
                return node.name in self._known.variables
            case Reference():
                return False
            case _:
                return all(self._is_known(child) for child in children(node))

    def _value(self, node: Node) -> Any:
        rule, known = self._rule, self._known
        part = self._parts.get((rule, id(node)))
        if part is None:
            part = self._parts[rule, id(node)] = rule.compiled(node)
        bound = {variable: known.variables.get(variable, "") for variable in rule.pattern.variables}
        return self._rules.evaluate(rule, known.who, known.name or "", ABSENT, bound, part=part)

    # ---- what it depends on -------------------------------------------------------------------------------------

    def condition(self, node: Node) -> str:
        """The source of ``node`` without the parts that are settled, and with values in the place of what is known."""
        match node:
            case Junction(operator="&&" | "||"):
                settled = _TRUTHY if node.operator == "&&" else Outcome.FALSE
                last = node.operands[-1]
                left = [
                    operand
                    for operand in node.operands
                    if self.outcome(operand) & ~settled or (operand is last and self.outcome(operand) & Outcome.OTHER)
                ]
                if not left:
                    return self._with_values(node)
                if len(left) == 1:
                    return self.condition(left[0])
                return f" {node.operator} ".join(self._operand(operand) for operand in left)
            case Conditional() if not self.outcome(node.test) & Outcome.FALSE:
                return self.condition(node.yes)
            case Conditional() if not self.outcome(node.test) & _TRUTHY:
                return self.condition(node.no)
            case _:
                return self._with_values(node)

    def _operand(self, node: Node) -> str:
        text = self.condition(node)
        return f"({text})" if isinstance(node, Junction | Conditional) else text

    def _with_values(self, node: Node) -> str:
        text = self._rule.text
        made = []
        at = node.start
        for start, end, shown in self._shown(node):
            made += [text[at:start], shown]
            at = end
        return "".join([*made, text[at : node.end]])

    def _shown(self, node: Node) -> list[tuple[int, int, str]]:
        """Where known parts of ``node`` stand, with their values, from left to right."""
        if not isinstance(node, Constant) and self._is_known(node):
            try:
                value = self._value(node)
            except Exception:  # noqa: BLE001 - it is shown as it stands
                return []
            if isinstance(value, str | int | float | None):
                shown = json.dumps(value, ensure_ascii=False)
                return [(node.start, node.end, shown)] if len(shown) <= _LONGEST_SHOWN else []
        return [place for child in children(node) for place in self._shown(child)]


def _outcome_of(value: Any) -> Outcome:
    if value is True:
        return Outcome.TRUE
    return Outcome.OTHER if truthy(value) else Outcome.FALSE
