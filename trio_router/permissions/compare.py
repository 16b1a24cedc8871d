"""What differs between two rules files: rules that came, went or say something else, and who decides instead.

Rules are matched by action and pattern; the names of variables make a pattern another one only if nothing else does.

The rule that keeps this honest: a change of who decides is named, whether it comes from a rule that was added, one that was
removed, or two that changed places in the file. The names they share need not exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, islice
from typing import Final, Literal

import attrs

from trio_router.patterns import Overlap
from trio_router.permissions.decision import Action
from trio_router.permissions.rule import Rule
from trio_router.permissions.ruleset import CompiledRules
from trio_router.permissions.trie import PatternTrie

Kind = Literal["added", "removed", "changed", "order"]

NEIGHBOURS: Final = 3
"""So many rules are named that decide instead of another."""

PAIRS: Final = 100_000
"""So many pairs of equally specific patterns are looked at for changes of their order."""


@attrs.frozen
class Change:
    """One difference.

    ``added`` and ``changed`` have a ``new`` rule, ``removed`` and ``changed`` an ``old`` one. ``order``: both patterns are in both
    files, and for names that match both, ``new`` decides where ``old`` did. ``instead``: rules of the old file that decide names
    of an added one until now, or of the new file that will decide names of a removed one; the most specific first.
    """

    kind: Kind
    action: Action
    old: Rule | None = None
    new: Rule | None = None
    instead: tuple[Rule, ...] = ()

    @property
    def pattern(self) -> str:
        rule = self.new or self.old
        return rule.pattern.text if rule else ""


def source_of(rule: Rule) -> str:
    """What the rule says, as its author spelled it."""
    return rule.text if rule.tree is not None else "true" if rule.constant else "false"


def compare(old: CompiledRules, new: CompiledRules) -> list[Change]:
    """Everything that differs, by action, in the order of the files: the new one's, then what it lost."""
    return [change for action in Action for change in _compare(action, _rules(old, action), _rules(new, action))]


def _rules(rules: CompiledRules, action: Action) -> list[Rule]:
    return [rule for rule in rules.rules_of(action.section) if rule.ref.action == action.verb]


def _compare(action: Action, old: Sequence[Rule], new: Sequence[Rule]) -> Iterator[Change]:
    before = {rule.pattern.shape: rule for rule in old}
    after = {rule.pattern.shape: rule for rule in new}
    ranked_before, ranked_after = _Ranked(old), _Ranked(new)
    for shape, rule in after.items():
        was = before.get(shape)
        if was is None:
            yield Change("added", action, new=rule, instead=ranked_before.below(rule))
        elif _says(was) != _says(rule):
            yield Change("changed", action, was, rule)
    for shape, rule in before.items():
        if shape not in after:
            yield Change("removed", action, old=rule, instead=ranked_after.below(rule))
    yield from _reordered(action, [rule for shape, rule in before.items() if shape in after], after)


def _says(rule: Rule) -> tuple[str, bool, str, tuple[str, ...]]:
    # With other names of variables the same text may read another segment.
    variables = rule.pattern.variables if rule.tree is not None else ()
    return source_of(rule), rule.tree is not None, rule.reason, variables


def _reordered(action: Action, common: Sequence[Rule], after: dict[tuple[str, ...], Rule]) -> Iterator[Change]:
    """Pairs that are equally specific and stand in the other order now: the later one decides."""
    groups: dict[tuple[int, ...], list[Rule]] = {}
    for rule in common:
        if not rule.pattern.is_literal:
            groups.setdefault(rule.rank[1:4], []).append(rule)
    left = PAIRS
    for group in groups.values():
        places = [after[rule.pattern.shape].order for rule in group]
        if places == sorted(places):
            continue
        for first, second in islice(combinations(group, 2), left):
            left -= 1
            now_first, now_second = after[first.pattern.shape], after[second.pattern.shape]
            if now_second.order < now_first.order and Overlap(first.pattern)(second.pattern):
                yield Change("order", action, second, now_first)


class _Ranked:
    """The rules of one action by how specific they are."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._ranked = sorted(rules, key=lambda rule: rule.rank, reverse=True)
        self._trie = PatternTrie(rule.pattern for rule in self._ranked)

    def below(self, rule: Rule) -> tuple[Rule, ...]:
        """The first rules that are less specific than ``rule`` and may apply to names of it."""
        overlapping = (self._ranked[rank] for rank in self._trie.overlapping(Overlap(rule.pattern)))
        return tuple(islice((other for other in overlapping if other.rank[:4] <= rule.rank[:4]), NEIGHBOURS))
