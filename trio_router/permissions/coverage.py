"""Which rules, and which sides of their operators, a run of test cases has seen come out both ways.

Every rule has to be seen to allow and to deny (a constant: to decide at all); every side of ``&&``, ``||`` and ``?:`` to be true
and false, every side of ``??`` but the last to be there and not to be there. It asks the same rules as the run and keeps
only what came out.

The rule that keeps this honest: a part that was skipped, or that failed, was not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from trio_router.permissions.compiler import Evaluate
from trio_router.permissions.decision import Reason
from trio_router.permissions.rule import Rule
from trio_router.permissions.sources import RuleSources
from trio_router.permissions.syntax import Conditional, Junction, Node
from trio_router.permissions.testrun import Bench, Outcome, old_payload
from trio_router.permissions.trace import trace
from trio_router.permissions.trees import shown, walk
from trio_router.permissions.values import present, truthy

_EVALUATED: Final = frozenset({Reason.ALLOWED, Reason.RULE_FALSE, Reason.RULE_NOT_TRUE, Reason.RULE_ERROR})


@attrs.frozen
class Gap:
    """Something a run has not seen. ``part`` is the text of the sub-expression, "" for the rule as a whole."""

    line: int
    column: int
    rule: str
    part: str
    missing: str

    def __str__(self) -> str:
        return f"{self.rule}: {f'`{self.part}` ' if self.part else ''}{self.missing}"


@attrs.frozen
class Covered:
    """How much of one rules file a run has seen: ``seen`` of ``total`` outcomes, and the ``gaps`` in file order."""

    source: str
    seen: int
    total: int
    gaps: tuple[Gap, ...]

    @property
    def percent(self) -> float:
        """0 to 100; a file without rules is covered."""
        return 100.0 * self.seen / self.total if self.total else 100.0


@attrs.frozen(eq=False)
class _Side:
    """One part of a rule, or the rule itself (``node`` is None), with the words for its two outcomes, which ``test`` tells apart."""

    node: Node | None
    words: tuple[str, ...]
    test: Callable[[Any], bool] = truthy
    seen: set[bool] = attrs.field(factory=set)


class Coverage:
    """Collects what the outcomes of one bench have seen."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._rules = {(rule.ref.line, rule.ref.column): rule for rule in bench.rules.rules}
        self._sides = {id(rule): list(_sides(rule)) for rule in bench.rules.rules}
        self._parts: dict[int, Evaluate] = {}

    def add(self, outcome: Outcome) -> None:
        """Takes note of what the rules did for ``outcome``."""
        ref = outcome.decision.rule
        if ref is None or outcome.decision.reason not in _EVALUATED:
            return
        rule = self._rules[ref.line, ref.column]
        self._sides[id(rule)][0].seen.add(outcome.decision.allowed)
        if rule.tree is not None and "*" not in outcome.case.name:
            self._add_parts(rule, rule.tree, outcome)

    def _add_parts(self, rule: Rule, tree: Node, outcome: Outcome) -> None:
        case = outcome.case
        found = self._bench.rules.find(case.action, case.name)
        assert found is not None  # noqa: S101 - for the type checker: it decided
        variables = found[1]
        self._bench.set_up(case)

        def value(node: Node) -> Any:
            part = self._part(rule, node)
            return self._bench.rules.evaluate(
                rule, case.identity, case.name, case.data, variables, part=part, old=old_payload(case)
            )

        steps = {id(step.node): step for step in trace(tree, value)}
        for side in self._sides[id(rule)][1:]:
            step = steps.get(id(side.node))
            if step is not None and step.state == "value":
                side.seen.add(side.test(step.value))

    def _part(self, rule: Rule, node: Node) -> Evaluate:
        made = self._parts.get(id(node))
        if made is None:
            made = self._parts[id(node)] = rule.compiled(node)
        return made

    def report(self) -> Covered:
        """What was seen so far."""
        sources = RuleSources(self._bench.text, self._bench.source)
        total = seen = 0
        gaps = []
        for rule in self._bench.rules.rules:
            for side in self._sides[id(rule)]:
                outcomes = (True, False) if len(side.words) == 2 else (rule.constant,)
                total += len(outcomes)
                seen += sum(outcome in side.seen for outcome in outcomes)
                for outcome, word in zip(outcomes, side.words, strict=True):
                    if outcome not in side.seen:
                        offset = side.node.start if side.node else None
                        part = shown(side.node, rule.text) if side.node else ""
                        gaps.append(Gap(*sources.place(rule, offset), sources.named(rule), part, word))
        return Covered(self._bench.source, seen, total, tuple(gaps))


def _sides(rule: Rule) -> Iterator[_Side]:
    """The rule itself first, then its parts from left to right."""
    if rule.tree is None:
        yield _Side(None, ("never decided",))
        return
    yield _Side(None, ("never allowed", "never denied"))
    for node in walk(rule.tree):
        yield from _sides_of(node)


def _sides_of(node: Node) -> Iterator[_Side]:
    truth = "never true", "never false"
    if isinstance(node, Junction) and node.operator == "??":
        for operand in node.operands[:-1]:
            yield _Side(operand, ("never there", "always there"), present)
    elif isinstance(node, Junction):
        for operand in node.operands:
            yield _Side(operand, truth)
    elif isinstance(node, Conditional):
        for part in (node.test, node.yes, node.no):
            yield _Side(part, truth)
