"""What each part of an expression came out as, for one question.

Follows the tree in the order of evaluation, so that a part which was never reached has no step, and asks the compiled
form of each part for its value. It knows no rules and no files; ``evaluate`` is the caller's.

The rule that keeps this honest: a value is never worked out here. What ``&&``, ``||``, ``??`` and ``?:`` skip is decided by the
value of the part that the compiler gave, and so cannot differ from what the rule itself does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from trio_router.errors import RouterError
from trio_router.permissions.syntax import UNDEFINED, Conditional, Junction, Node, Regex, children
from trio_router.permissions.values import truthy


@attrs.frozen
class Step:
    """One part that was reached: its ``value``, or the ``error`` that kept it from having one."""

    node: Node
    value: Any = UNDEFINED
    error: str = ""


def trace(tree: Node, evaluate: Callable[[Node], Any]) -> list[Step]:
    """The steps of ``tree``, parts before the wholes they belong to; the last one is the tree itself.

    ``evaluate`` gives the value of one part or raises a ``RouterError``. It is called once for each part that is reached.
    """
    steps: list[Step] = []
    _follow(tree, evaluate, steps)
    return steps


def goes_on(operator: str, value: Any) -> bool:
    """Whether ``&&``, ``||`` or ``??`` asks its next operand after one with this value."""
    if operator == "??":
        return value is None or value is UNDEFINED
    return truthy(value) == (operator == "&&")


def _follow(node: Node, evaluate: Callable[[Node], Any], steps: list[Step]) -> Step:
    if isinstance(node, Junction):
        for operand in node.operands:
            step = _follow(operand, evaluate, steps)
            if step.error or not goes_on(node.operator, step.value):
                break
    elif isinstance(node, Conditional):
        test = _follow(node.test, evaluate, steps)
        if not test.error:
            _follow(node.yes if truthy(test.value) else node.no, evaluate, steps)
    else:
        for child in children(node):
            if not isinstance(child, Regex):  # which is no value
                _follow(child, evaluate, steps)
    try:
        made = Step(node, evaluate(node))
    except RouterError as error:
        made = Step(node, error=str(error) or type(error).__name__)
    steps.append(made)
    return made
