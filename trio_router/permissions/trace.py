"""What each part of an expression came out as, for one question: followed in the order of the language, for whoever wants to see it.

What ``&&``, ``||``, ``??``, ``?:`` and ``?.`` skip is not evaluated, and neither is what stands behind a part that failed. It knows
no rules, no files and nothing of how a value is shown; ``evaluate`` is the caller's.

The rule that keeps this honest: a value is never worked out here. What is skipped is decided by the value that the compiled
form of a part gave, and so cannot differ from what the rule itself does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import attrs

from trio_router.errors import RouterError
from trio_router.permissions.syntax import (
    UNDEFINED,
    Conditional,
    Index,
    Junction,
    Member,
    MethodCall,
    Node,
    Regex,
    children,
)
from trio_router.permissions.values import present, truthy

State = Literal["value", "error", "not_evaluated"]


@attrs.frozen
class Step:
    """One part, ``depth`` levels inside the whole, and what became of it.

    ``value`` is there in the state ``value``. ``error`` is the text of what failed in the part itself; a part that holds a
    failed one is in the state ``error`` too, with an empty text.
    """

    node: Node
    depth: int
    state: State
    value: Any = UNDEFINED
    error: str = ""


def trace(tree: Node, evaluate: Callable[[Node], Any]) -> list[Step]:
    """The steps of ``tree`` and of all its parts (regular expressions are none), the whole first, then from left to right.

    ``evaluate`` gives the value of one part or raises whatever made that fail; it is called once for each part that is reached.
    """
    walk = _Walk(evaluate)
    walk.part(tree, 0)
    return walk.steps


@attrs.frozen
class _Outcome:
    """``skipped``: a ``?.`` inside this chain found nothing, so that the rest of the chain is not evaluated."""

    failed: bool = False
    value: Any = UNDEFINED
    skipped: bool = False


class _Walk:
    def __init__(self, evaluate: Callable[[Node], Any]) -> None:
        self._evaluate = evaluate
        self.steps: list[Step] = []

    def part(self, node: Node, depth: int) -> _Outcome:
        at = len(self.steps)
        self.steps.append(Step(node, depth, "error"))
        below = self._below(node, depth + 1)
        if below.failed:
            return below
        try:
            value = self._evaluate(node)
        except Exception as error:  # noqa: BLE001 - as in ``decide``: whatever fails is a denial
            text = (str(error) if isinstance(error, RouterError) else "") or type(error).__name__
            self.steps[at] = Step(node, depth, "error", error=text)
            return _Outcome(failed=True)
        self.steps[at] = Step(node, depth, "value", value)
        return _Outcome(value=value, skipped=below.skipped)

    def _below(self, node: Node, depth: int) -> _Outcome:
        """Evaluate the parts that the language would, in its order."""
        parts = _parts(node)
        match node:
            case Junction():
                return self._junction(node, depth)
            case Conditional():
                return self._conditional(node, depth)
            case Member() | Index() | MethodCall():
                first = self.part(parts[0], depth)
                missing = node.optional and not present(first.value)
                if first.failed or first.skipped or missing:
                    self._not_evaluated(parts[1:], depth)
                    return attrs.evolve(first, skipped=first.skipped or missing)
                return self._all(parts[1:], depth)
            case _:
                return self._all(parts, depth)

    def _all(self, parts: Sequence[Node], depth: int) -> _Outcome:
        for number, part in enumerate(parts, 1):
            if self.part(part, depth).failed:
                self._not_evaluated(parts[number:], depth)
                return _Outcome(failed=True)
        return _Outcome()

    def _junction(self, node: Junction, depth: int) -> _Outcome:
        for number, operand in enumerate(node.operands, 1):
            outcome = self.part(operand, depth)
            if outcome.failed or not _goes_on(node.operator, outcome.value):
                self._not_evaluated(node.operands[number:], depth)
                return _Outcome(failed=outcome.failed)
        return _Outcome()

    def _conditional(self, node: Conditional, depth: int) -> _Outcome:
        test = self.part(node.test, depth)
        if test.failed:
            self._not_evaluated([node.yes, node.no], depth)
            return _Outcome(failed=True)
        if truthy(test.value):
            chosen = self.part(node.yes, depth)
            self._not_evaluated([node.no], depth)
        else:
            self._not_evaluated([node.yes], depth)
            chosen = self.part(node.no, depth)
        return _Outcome(failed=chosen.failed)

    def _not_evaluated(self, nodes: Sequence[Node], depth: int) -> None:
        for node in nodes:
            self.steps.append(Step(node, depth, "not_evaluated"))
            self._not_evaluated(_parts(node), depth + 1)


def _parts(node: Node) -> list[Node]:
    return [child for child in children(node) if not isinstance(child, Regex)]  # which is no value


def _goes_on(operator: str, value: Any) -> bool:
    """Whether ``&&``, ``||`` or ``??`` asks for its next operand after this one."""
    if operator == "??":
        return not present(value)
    return truthy(value) == (operator == "&&")
