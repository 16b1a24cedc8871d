"""The rules of one action, and which of them applies to a name.

The most specific pattern that matches applies. More specific is, in this order (T32):

====  ====================================================  ===========  ============
step  the pattern that wins                                 example      beats
====  ====================================================  ===========  ============
1     has no ``*`` and no variable                          ``a/b``      ``a/b*``
2     has more characters that stand for themselves         ``a/b/*``    ``a/$x/$y``
3     has fewer ``*``                                       ``a/$x``     ``a/*``
4     has more variables                                    ``a/$x$y``   ``a/$x``
5     stands later in the file                              ``a/$x/bb``  ``a/bb/$x``
====  ====================================================  ===========  ============

Renaming a variable changes nothing. Patterns that define other actions only are not here, so a specific pattern
without this action falls through to a less specific one that has it. Two patterns that match the same names cannot
both define one action; ``loader`` refuses them.

The rule that keeps this honest: adding a rule that is ``false`` never allows anything, adding one that is ``true`` never
takes anything away, for names and for wildcards alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from trio_router.patterns import Overlap, Pattern, covers, fixed_variables
from trio_router.permissions.compiler import Evaluate
from trio_router.permissions.decision import Decision, Reason, RuleRef
from trio_router.permissions.syntax import Name, Node, PatternVariable, children


@attrs.frozen(eq=False)
class Rule:
    """One pattern's rule for one action: a boolean (``evaluate`` is None) or an expression."""

    pattern: Pattern
    ref: RuleRef
    order: int
    constant: bool = False
    tree: Node | None = None
    evaluate: Evaluate | None = None
    allowed: Decision = attrs.field(init=False)
    refused: Decision = attrs.field(init=False)
    names: frozenset[str] = attrs.field(init=False)
    """``data``, ``name``, ``now``, ``action`` and ``$variables`` that the expression reads."""

    @allowed.default
    def _allowed(self) -> Decision:
        return Decision(True, Reason.ALLOWED, self.ref)

    @refused.default
    def _refused(self) -> Decision:
        return Decision(False, Reason.RULE_FALSE, self.ref)

    @names.default
    def _names(self) -> frozenset[str]:
        return frozenset(_names_in(self.tree)) if self.tree is not None else frozenset()

    @property
    def rank(self) -> tuple[bool, int, int, int, int]:
        """Orders rules by how specific they are; the greater one wins."""
        pattern = self.pattern
        return (pattern.is_literal, pattern.literal_length, -pattern.stars, len(pattern.variables), self.order)


@attrs.frozen
class Reach:
    """A rule that may apply to names of a wildcard. ``fixed``: variables that are the same in all of them."""

    rule: Rule
    fixed: dict[str, str]
    covers: bool


class RuleIndex:
    """The rules of one action, found by name or by wildcard."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._ranked = sorted(rules, key=lambda rule: rule.rank, reverse=True)
        self._literal = {rule.pattern.text: rule for rule in self._ranked if rule.pattern.is_literal}
        self._position = {id(rule): position for position, rule in enumerate(self._ranked)}
        self._buckets: dict[str, list[Rule]] = {}
        for rule in self._ranked:
            if not rule.pattern.is_literal:
                self._buckets.setdefault(rule.pattern.prefix, []).append(rule)
        self._lengths = sorted({len(prefix) for prefix in self._buckets}, reverse=True)

    def find(self, name: str) -> tuple[Rule, tuple[str, ...]] | None:
        """The rule that applies to ``name`` and what its variables stand for, in their order; or None."""
        rule = self._literal.get(name)
        if rule is not None:
            return rule, ()
        best = len(self._ranked)
        bound: Mapping[str, str] = {}
        for size in self._lengths:
            for candidate in self._buckets.get(name[:size], ()):
                position = self._position[id(candidate)]
                if position >= best:
                    break
                match = candidate.pattern.match(name)
                if match is not None:
                    best, bound = position, match
                    break
        if best == len(self._ranked):
            return None
        rule = self._ranked[best]
        return rule, tuple(bound[variable] for variable in rule.pattern.variables)

    def reach(self, wildcard: Pattern) -> Iterator[Reach]:
        """The rules that may apply to some name of ``wildcard``, most specific first.

        Ends with the first one that covers the wildcard: any rule after it is less specific than one that matches
        every name of the wildcard, so it applies to none of them.
        """
        overlap = Overlap(wildcard)
        for rule in self._ranked:
            if overlap(rule.pattern):
                covering = covers(rule.pattern, wildcard)
                yield Reach(rule, fixed_variables(rule.pattern, wildcard), covering)
                if covering:
                    return


def _names_in(node: Node) -> Iterator[str]:
    if isinstance(node, Name):
        yield node.name
    elif isinstance(node, PatternVariable):
        yield "$" + node.name
    for child in children(node):
        yield from _names_in(child)
