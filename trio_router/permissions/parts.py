"""The parts of a rule's expression with their values, for one question, as an administrator may see them.

The values come from ``trace``; here they are cut to a size that can be read, and what is hidden is taken out.

The rule that keeps this honest: no value leaves this module uncut or with what is hidden in it (T36).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from trio_router.identity import Identity
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.records import World
from trio_router.permissions.redaction import REDACTED, Redaction
from trio_router.permissions.rule import Rule
from trio_router.permissions.syntax import UNDEFINED, Constant
from trio_router.permissions.trace import State, trace
from trio_router.permissions.trace import Step as TracedStep

MAX_TEXT: Final = 200  # characters of a text that are shown
MAX_ITEMS: Final = 20  # items of a list and keys of an object
MAX_DEPTH: Final = 4


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
        if self.literal:
            made["literal"] = True
        return made


def shown_steps(
    rule: Rule,
    who: Identity,
    name: str,
    data: Payload,
    world: World,
    variables: Mapping[str, str],
    hidden: Redaction,
) -> tuple[Step, ...]:
    """All parts of the rule's expression, the whole first, in the order of the text; none for a rule that is a constant."""
    if rule.tree is None:
        return ()
    bound = tuple(variables[variable] for variable in rule.pattern.variables)
    traced = trace(rule.tree, lambda node: rule.compiled(node)(who, name, data, ABSENT, world, bound))
    return tuple(_shown(rule, step, hidden) for step in traced)


def _shown(rule: Rule, step: TracedStep, hidden: Redaction) -> Step:
    node = step.node
    has_value = step.state == "value"
    return Step(
        node.start,
        node.end,
        step.depth,
        rule.text[node.start : node.end],
        step.state,
        kind_of(step.value) if has_value else "",
        capped(hidden.shown(node, step.value)) if has_value else None,
        REDACTED if step.error and hidden.taints(node) else step.error,
        literal=isinstance(node, Constant),
    )


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
