"""Why the rules decided as they did: the rule, each part of it with its value, and the patterns that almost applied.

The decision itself is the one of ``decide``; everything else is worked out beside it. Parts are evaluated one by one in the
order of the language: what ``&&``, ``||``, ``??``, ``?:`` and ``?.`` skip is not evaluated here either.

For administrators alone (T36): the values of ``user.data`` and ``data`` are in here, cut to a size that can be read, and without what
``redaction`` hides. The rule that keeps this honest: explaining changes nothing and counts nothing, and the value of the whole
expression is the one that decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import attrs

from trio_router.errors import RouterError
from trio_router.identity import Identity
from trio_router.names import InvalidName
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.compiler import compile_expression
from trio_router.permissions.decision import Action, Decision, Reason, RuleRef
from trio_router.permissions.index import Reach
from trio_router.permissions.near import Near, near_misses
from trio_router.permissions.records import World
from trio_router.permissions.redaction import REDACTED, Redaction
from trio_router.permissions.rule import Rule
from trio_router.permissions.ruleset import CompiledRules
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
from trio_router.permissions.values import payload_value, truthy

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


@attrs.frozen
class Reached:
    """A rule that may apply to some name of a wildcard, and what it says to all of them."""

    ref: RuleRef
    covers: bool
    allowed: bool
    detail: str


@attrs.frozen
class Explanation:
    """Why. ``rule`` is None where no rule was asked; ``text`` is its expression, "true" or "false"."""

    decision: Decision
    action: str
    name: str
    user: Mapping[str, Any]
    data: Any
    has_data: bool
    rules_version: str
    rule: RuleRef | None = None
    text: str = ""
    variables: Mapping[str, str] = attrs.field(factory=dict)
    steps: tuple[Step, ...] = ()
    near: tuple[Near, ...] = ()
    reached: tuple[Reached, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The same in JSON values."""
        decision = self.decision
        return {
            "allowed": decision.allowed,
            "reason": decision.reason.value,
            "detail": decision.detail,
            "told": decision.reason_text,
            "action": self.action,
            "name": self.name,
            "user": dict(self.user),
            **({"data": self.data} if self.has_data else {}),
            "rules_version": self.rules_version,
            "rule": attrs.asdict(self.rule) | {"text": self.text} if self.rule else None,
            "variables": dict(self.variables),
            "steps": [_step_json(step) for step in self.steps],
            "near": [attrs.asdict(near) for near in self.near],
            "reached": [attrs.asdict(reached) for reached in self.reached],
        }


def explain(
    rules: CompiledRules,
    who: Identity,
    action: Action,
    name: str,
    data: Payload = ABSENT,
    *,
    wildcard: bool = False,
    decision: Decision | None = None,
    now: int | None = None,
    redaction: Redaction | None = None,
) -> Explanation:
    """Why ``who`` may or may not do ``action`` on ``name``; with ``wildcard`` on every name that it matches.

    ``decision`` is one that was made before, ``now`` (milliseconds since the epoch) the time it was made; without them the rules
    are asked. Total, as ``decide`` is.
    """
    hidden = redaction or Redaction()
    if decision is None:
        decision = rules.decide_pattern(who, action, name) if wildcard else rules.decide(who, action, name, data)
    world = rules.world if now is None else World(lambda: now, rules.world.records)
    made = Explanation(
        attrs.evolve(decision),
        f"{action.section}.{action.verb}",
        hidden.scrubbed(name, "name"),
        _shown_user(who, hidden),
        capped(hidden.scrubbed(payload_value(data), "data")),
        data is not ABSENT,
        rules.version,
    )
    if decision.reason in (Reason.INVALID_NAME, Reason.RESERVED):
        return made
    if wildcard:
        made = _with_reach(made, rules, who, action, name, world, hidden)
    else:
        made = _with_rule(made, rules, who, action, name, data, world, hidden)
    if any(step.error == REDACTED for step in made.steps):
        made = attrs.evolve(made, decision=attrs.evolve(made.decision, detail=REDACTED))
    return made


def _with_rule(
    made: Explanation,
    rules: CompiledRules,
    who: Identity,
    action: Action,
    name: str,
    data: Payload,
    world: World,
    hidden: Redaction,
) -> Explanation:
    try:
        found = rules.find(action, name)
    except InvalidName:
        return made
    near = near_misses(rules.rules_of(action.section), action, name, found[0] if found else None)
    if found is None:
        return attrs.evolve(made, near=near)
    rule, variables = found
    return attrs.evolve(
        made,
        rule=rule.ref,
        text=_text_of(rule),
        variables=_shown_variables(variables, hidden),
        steps=_Walk(rule, who, name, data, world, variables, hidden).steps(),
        near=near,
    )


def _with_reach(
    made: Explanation,
    rules: CompiledRules,
    who: Identity,
    action: Action,
    name: str,
    world: World,
    hidden: Redaction,
) -> Explanation:
    """The rules that were asked about the wildcard, up to the one that decided, whose parts are shown."""
    reached: list[Reached] = []
    for reach, decision in rules.reached(who, action, name):
        reached.append(Reached(reach.rule.ref, reach.covers, decision.allowed, decision.detail))
        if reach.rule.ref != made.decision.rule:
            continue
        made = attrs.evolve(
            made,
            rule=reach.rule.ref,
            text=_text_of(reach.rule),
            variables=_shown_variables(reach.fixed, hidden),
            steps=_steps_of_reach(reach, who, world, hidden, proved=decision.reason is not Reason.NOT_PROVABLE),
        )
    near = () if reached else near_misses(rules.rules_of(action.section), action, name, None)
    return attrs.evolve(made, reached=tuple(reached), near=near)


def _steps_of_reach(reach: Reach, who: Identity, world: World, hidden: Redaction, *, proved: bool) -> tuple[Step, ...]:
    if not proved:  # the rule reads what differs from name to name, so it has no value
        return ()
    variables = {variable: reach.fixed.get(variable, "") for variable in reach.rule.pattern.variables}
    return _Walk(reach.rule, who, "", ABSENT, world, variables, hidden).steps()


def _text_of(rule: Rule) -> str:
    return rule.text if rule.tree is not None else "true" if rule.constant else "false"


def _shown_user(who: Identity, hidden: Redaction) -> dict[str, Any]:
    return {
        "id": hidden.scrubbed(who.user.id, "user", "id"),
        "isAuthenticated": who.user.is_authenticated,
        "data": capped(hidden.scrubbed(who.user.data, "user", "data")),
    }


def _shown_variables(variables: Mapping[str, str], hidden: Redaction) -> dict[str, str]:
    return {name: hidden.scrubbed(value, "name", name) for name, value in variables.items()}


@attrs.frozen
class _Outcome:
    """``skipped``: a ``?.`` inside this chain found nothing, so that the rest of the chain is not evaluated."""

    failed: bool = False
    value: Any = UNDEFINED
    skipped: bool = False


class _Walk:
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


def _step_json(step: Step) -> dict[str, Any]:
    made: dict[str, Any] = {key: getattr(step, key) for key in ("text", "start", "end", "depth", "state")}
    if step.state == "value":
        made["kind"] = step.kind
        if step.kind != "undefined":
            made["value"] = step.value
    if step.error:
        made["error"] = step.error
    return made
