"""Why the rules decided as they did: the rule, each part of it with its value, and the patterns that almost applied.

The decision itself is the one of ``decide``; everything else is worked out beside it. The values of the parts come from ``parts``.

For administrators alone (T36): the values of ``user.data`` and ``data`` are in here, cut to a size that can be read, and without what
``redaction`` hides. The rule that keeps this honest: explaining changes nothing and counts nothing, and the value of the whole
expression is the one that decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from trio_router.identity import Identity
from trio_router.names import InvalidName
from trio_router.payload import ABSENT, Payload
from trio_router.permissions.decision import BEFORE_RULES, Action, Decision, Reason, RuleRef
from trio_router.permissions.index import Reach
from trio_router.permissions.near import Near, near_misses
from trio_router.permissions.parts import Step, capped, shown_steps
from trio_router.permissions.records import World
from trio_router.permissions.redaction import REDACTED, Redaction
from trio_router.permissions.rule import Rule
from trio_router.permissions.ruleset import CompiledRules
from trio_router.permissions.values import payload_value


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
            "steps": [step.as_json() for step in self.steps],
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
    if decision.reason in BEFORE_RULES:
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
        steps=shown_steps(rule, who, name, data, world, variables, hidden),
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
        tree = reach.rule.tree
        telling = decision.reason is Reason.RULE_ERROR and tree is not None and hidden.taints(tree)
        detail = REDACTED if telling else decision.detail
        reached.append(Reached(reach.rule.ref, reach.covers, decision.allowed, detail))
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
    return shown_steps(reach.rule, who, "", ABSENT, world, variables, hidden)


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
