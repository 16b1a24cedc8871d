"""The parts of a rule's expression with their values, for one question.

Parts are evaluated one by one, each by the compiler's own form of it, in the order of the language: what ``&&``, ``||``, ``??``, ``?:`` and
``?.`` skip is not evaluated, and neither is what stands behind a part that failed.

The rule that keeps this honest: no value is worked out here, so the value of the whole is the one that decided; and no value leaves
this module uncut or with what is hidden in it (T36).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import attrs

from trio_router.errors import RouterError
from trio_router.identity import Identity
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.compiler import compile_expression
from trio_router.permissions.records import World
from trio_router.permissions.redaction import REDACTED, Redaction
from trio_router.permissions.rule import Rule
from trio_router.permissions.syntax import (
    UNDEFINED,
    Conditional,
    Constant,
    Index,
    Junction,
    Member,
    MethodCall,
    Node,
    Regex,
    children,
)
from trio_router.permissions.values import truthy

MAX_TEXT: Final = 200  # characters of a text that are shown
MAX_ITEMS: Final = 20  # items of a list and keys of an object
MAX_DEPTH: Final = 4

State = Literal["value", "error", "not_evaluated"]


@attrs.frozen
class Step:
    """One part of the expression: ``text[start:end]``, ``depth`` levels inside the whole.

    ``kind`` is the value's type, ``value`` the value as it may be shown. ``error`` is set where the part itself failed; a part
    that holds a failed one is in the state ``error`` too, with an empty text. ``literal``: it is a value written out.
    """

    start: int
    end: int
    depth: int
    text: str
    state: State
    kind: str = ""
    value: Any = None
    error: str = ""
    literal: bool = False

    def as_json(self) -> dict[str, Any]:
        """The same in JSON values; an undefined value is left out."""
        made: dict[str, Any] = {
            "text": self.text,
            "start": self.start,
            "end": self.end,
            "depth": self.depth,
            "state": self.state,
        }
        if self.state == "value":
            made["kind"] = self.kind
            if self.kind != "undefined":
                made["value"] = self.value
        if self.error:
            made["error"] = self.error
        return made


@attrs.frozen
class _Outcome:
    """``skipped``: a ``?.`` inside this chain found nothing, so that the rest of the chain is not evaluated."""

    failed: bool = False
    value: Any = UNDEFINED
    skipped: bool = False


class Walk:
    """Evaluates the parts of one rule, the whole first in the list and the parts after it."""

    def __init__(
        self,
        rule: Rule,
        who: Identity,
        name: str,
        data: Payload,
        world: World,
        variables: Mapping[str, str],
        hidden: Redaction,
    ) -> None:
        self._rule = rule
        self._question = (who, name, data, ABSENT, world, tuple(variables[name] for name in rule.pattern.variables))
        self._hidden = hidden
        self._steps: list[Step] = []

    def steps(self) -> tuple[Step, ...]:
        """All parts in the order of the text; none for a rule that is a constant."""
        if self._rule.tree is not None:
            self._part(self._rule.tree, 0)
        return tuple(self._steps)

    def _part(self, node: Node, depth: int) -> _Outcome:
        at = len(self._steps)
        self._steps.append(self._step(node, depth, "not_evaluated"))
        below = self._below(node, depth + 1)
        if below.failed:
            self._steps[at] = self._step(node, depth, "error")
            return below
        try:
            value = self._evaluate(node)
        except Exception as error:  # noqa: BLE001 - as in ``decide``: whatever fails is a denial
            text = str(error) if isinstance(error, RouterError) else type(error).__name__
            shown = REDACTED if self._hidden.taints(node) else text
            self._steps[at] = attrs.evolve(self._step(node, depth, "error"), error=shown)
            return _Outcome(failed=True)
        kind = kind_of(value)
        shown = self._hidden.shown(node, value)
        self._steps[at] = attrs.evolve(self._step(node, depth, "value"), kind=kind, value=capped(shown))
        return _Outcome(value=value, skipped=below.skipped)

    def _below(self, node: Node, depth: int) -> _Outcome:
        """Evaluate the parts that the language would, in its order."""
        parts = [child for child in children(node) if not isinstance(child, Regex)]
        match node:
            case Junction():
                return self._junction(node, depth)
            case Conditional():
                return self._conditional(node, depth)
            case Member() | Index() | MethodCall():
                first = self._part(parts[0], depth)
                missing = node.optional and (first.value is None or first.value is UNDEFINED)
                if first.failed or first.skipped or missing:
                    self._not_evaluated(parts[1:], depth)
                    return attrs.evolve(first, skipped=first.skipped or missing)
                return self._all(parts[1:], depth)
            case _:
                return self._all(parts, depth)

    def _all(self, parts: Sequence[Node], depth: int) -> _Outcome:
        for number, part in enumerate(parts, 1):
            if self._part(part, depth).failed:
                self._not_evaluated(parts[number:], depth)
                return _Outcome(failed=True)
        return _Outcome()

    def _junction(self, node: Junction, depth: int) -> _Outcome:
        for number, operand in enumerate(node.operands, 1):
            outcome = self._part(operand, depth)
            if outcome.failed or not _goes_on(node.operator, outcome.value):
                self._not_evaluated(node.operands[number:], depth)
                return _Outcome(failed=outcome.failed)
        return _Outcome()

    def _conditional(self, node: Conditional, depth: int) -> _Outcome:
        test = self._part(node.test, depth)
        if test.failed:
            self._not_evaluated([node.yes, node.no], depth)
            return _Outcome(failed=True)
        if truthy(test.value):
            chosen = self._part(node.yes, depth)
            self._not_evaluated([node.no], depth)
        else:
            self._not_evaluated([node.yes], depth)
            chosen = self._part(node.no, depth)
        return _Outcome(failed=chosen.failed)

    def _not_evaluated(self, nodes: Sequence[Node], depth: int) -> None:
        for node in nodes:
            self._steps.append(self._step(node, depth, "not_evaluated"))
            self._not_evaluated([child for child in children(node) if not isinstance(child, Regex)], depth + 1)

    def _step(self, node: Node, depth: int, state: State) -> Step:
        return Step(
            node.start,
            node.end,
            depth,
            self._rule.text[node.start : node.end],
            state,
            literal=isinstance(node, Constant),
        )

    def _evaluate(self, node: Node) -> Any:
        rule = self._rule
        label = f"{rule.ref.source}:{rule.ref.line}"
        evaluate = compile_expression(node, variables=rule.pattern.variables, action=rule.action_value, label=label)
        return evaluate(*self._question)


def _goes_on(operator: str, value: Any) -> bool:
    """Whether ``&&``, ``||`` or ``??`` asks for its next operand after this one."""
    if operator == "??":
        return value is None or value is UNDEFINED
    return truthy(value) == (operator == "&&")


def kind_of(value: Any) -> str:
    """The type of a value, as people call it in JSON; or undefined."""
    if value is UNDEFINED:
        return "undefined"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float):
        return "number"
    return "list" if isinstance(value, list | tuple) else "object"


def capped(value: Any, depth: int = MAX_DEPTH) -> Any:
    """``value`` as JSON of a size that can be read; what is left out is marked with "..."."""
    if value is UNDEFINED or value is None or isinstance(value, bool):
        return None if value is UNDEFINED else value
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else f"{value[:MAX_TEXT]}... ({len(value)} characters)"
    if isinstance(value, int | float):
        return value if value == value and abs(value) < float("inf") else str(value)
    if isinstance(value, Mapping):
        if depth == 0 and value:
            return "{...}"
        kept = {capped(str(key)): capped(item, depth - 1) for key, item in list(value.items())[:MAX_ITEMS]}
        return kept if len(value) <= MAX_ITEMS else kept | {"...": f"{len(value)} keys"}
    if isinstance(value, list | tuple):
        if depth == 0 and value:
            return "[...]"
        items = [capped(item, depth - 1) for item in value[:MAX_ITEMS]]
        return items if len(value) <= MAX_ITEMS else [*items, f"... ({len(value)} items)"]
    return f"<{type(value).__name__}>"
