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

from collections.abc import Iterable, Iterator

import attrs

from trio_router.patterns import Overlap, Pattern, covers, fixed_variables, segments_of_variables
from trio_router.permissions.rule import Rule
from trio_router.permissions.trie import NONE, PatternTrie


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
        self._literal = {rule.pattern.text: rule for rule in reversed(self._ranked) if rule.pattern.is_literal}
        self._trie = PatternTrie(rule.pattern for rule in self._ranked)
        known: dict[tuple[int, ...], tuple[int, ...]] = {}  # many rules, few different answers
        places = (segments_of_variables(rule.pattern) for rule in self._ranked)
        self._segments = [place if place is None else known.setdefault(place, place) for place in places]

    def find(self, name: str) -> tuple[Rule, tuple[str, ...]] | None:
        """The rule that applies to ``name`` and what its variables stand for, in their order; or None."""
        rule = self._literal.get(name)
        if rule is not None:
            return rule, ()
        rank = self._trie.find(name)
        if rank == NONE:
            return None
        rule = self._ranked[rank]
        segments = self._segments[rank]
        if segments is None:
            bound = rule.pattern.match(name) or {}
            return rule, tuple([bound[variable] for variable in rule.pattern.variables])
        if not segments:
            return rule, ()
        parts = name.split("/")
        return rule, tuple([parts[number] for number in segments])

    def reach(self, wildcard: Pattern) -> Iterator[Reach]:
        """The rules that may apply to some name of ``wildcard``, most specific first.

        Ends with the first one that covers the wildcard: any rule after it is less specific than one that matches
        every name of the wildcard, so it applies to none of them.
        """
        for rank in self._trie.overlapping(Overlap(wildcard)):
            rule = self._ranked[rank]
            covering = covers(rule.pattern, wildcard)
            yield Reach(rule, fixed_variables(rule.pattern, wildcard), covering)
            if covering:
                return
