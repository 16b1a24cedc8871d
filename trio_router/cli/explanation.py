"""An explanation as text for a terminal: the rule's expression with the value of each part below that part.

Knows how it looks and nothing of how it was made. The rule that keeps it honest: every part that the explanation has is either
shown or inside one that was not evaluated, and no value can move a cursor (T63).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from trio_router.cli.output import safe_json
from trio_router.log import printable
from trio_router.permissions.decision import Decision, Reason, RuleRef
from trio_router.permissions.explain import Explanation, Reached
from trio_router.permissions.near import Near
from trio_router.permissions.parts import Step

LONGEST_LINE: Final = 100
LONGEST_VALUE: Final = 72
_MARK: Final = "~"
_INDENT: Final = "  "


def explanation_lines(made: Explanation) -> Iterator[str]:
    """The lines, from the answer to what almost applied."""
    decision = made.decision
    word = click.style("allowed", fg="green") if decision.allowed else click.style("denied", fg="red")
    reason = "" if decision.allowed else f" ({decision.reason.value})"
    yield f"{word}: {made.action} {printable(made.name)} for {printable(str(made.user['id']))}{reason}"
    if decision.detail:
        yield f"why: {printable(decision.detail)}"
    if decision.reason_text:
        yield f"the client is told: {printable(decision.reason_text)}"
    if made.rule is not None:
        yield f'rule: {_place(made.rule)}, {made.rule.action} of "{printable(made.rule.pattern)}"'
    for name, value in made.variables.items():
        yield f"{_INDENT}${name} = {safe_json(value)}"
    if made.rule is not None:
        yield ""
        yield from _below(made.text, made.steps) if _fits(made.text) else _tree(made.text, made.steps)
    if made.reached:
        yield ""
        yield f"asked about every name of {printable(made.name)}:"
        for reached in made.reached:
            answer = "allowed" if reached.allowed else f"denied: {printable(reached.detail) or 'false'}"
            covers = ", covers them all" if reached.covers else ""
            yield f'{_INDENT}"{printable(reached.ref.pattern)}" ({_place(reached.ref)}{covers}): {answer}'
    if made.near:
        yield ""
        yield "other patterns:"
        for near in made.near:
            yield f'{_INDENT}"{printable(near.pattern)}" ({printable(near.source)}:{near.line}): {printable(near.why)}'


def told_explanation(told: Mapping[str, Any]) -> Explanation:
    """What a router answered as JSON, as it was there."""
    rule = dict(told["rule"]) if told["rule"] else None
    text = rule.pop("text") if rule else ""
    steps = [{"value": None, **step} for step in told["steps"]]
    reached = [{**each, "ref": RuleRef(**each["ref"])} for each in told["reached"]]
    return Explanation(
        Decision(told["allowed"], Reason(told["reason"]), None, told["detail"], told["told"]),
        told["action"],
        told["name"],
        told["user"],
        told.get("data"),
        "data" in told,
        told["rules_version"],
        RuleRef(**rule) if rule else None,
        text,
        told["variables"],
        tuple(Step(**step) for step in steps),
        tuple(Near(**near) for near in told["near"]),
        tuple(Reached(**each) for each in reached),
    )


def _place(ref: RuleRef) -> str:
    return f"{printable(ref.source)}:{ref.line}:{ref.column}"


def _fits(text: str) -> bool:
    return len(text.rstrip()) <= LONGEST_LINE and text.rstrip().isprintable()


def _below(text: str, steps: Sequence[Step]) -> Iterator[str]:
    """The expression on one line, and a line for each part that marks it and says its value."""
    yield _INDENT + text.rstrip()
    for step in _told(steps):
        marks = _MARK * max(1, step.end - step.start)
        yield f"{_INDENT}{' ' * step.start}{click.style(marks, dim=True)} {_value(step)}"


def _tree(text: str, steps: Sequence[Step]) -> Iterator[str]:
    """For an expression that fits no line: each part on a line of its own, further in the deeper it is."""
    if not steps:
        yield _INDENT + _one_line(text)
    for step in _told(steps):
        yield f"{_INDENT * (step.depth + 1)}{_one_line(step.text)}  {click.style('=', dim=True)} {_value(step)}"


def _told(steps: Sequence[Step]) -> Iterator[Step]:
    hidden_below: int | None = None
    for step in steps:
        if hidden_below is not None and step.depth > hidden_below:
            continue
        hidden_below = step.depth if step.state == "not_evaluated" else None
        if not step.literal:
            yield step


def _value(step: Step) -> str:
    if step.state == "not_evaluated":
        return click.style("not evaluated", dim=True)
    if step.state == "error":
        return click.style(f"error: {printable(step.error)}" if step.error else "error", fg="red")
    if step.kind == "undefined":
        return "undefined"
    text = safe_json(step.value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def _one_line(text: str) -> str:
    text = printable(" ".join(text.split()))
    return text if len(text) <= LONGEST_LINE else text[: LONGEST_LINE - 3] + "..."
