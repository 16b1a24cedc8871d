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

import functools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from trio_router.patterns import Overlap, Pattern, Place, covers, fixed_variables, places_of_variables
from trio_router.permissions.rule import Rule
from trio_router.permissions.trie import NONE, PatternTrie

Binding = Callable[[Sequence[str]], tuple[str, ...]]
"""From the segments of a name to what the variables of a pattern stand for."""


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
        self._bindings = [_binding(rule.pattern) for rule in self._ranked]

    def find(self, name: str) -> tuple[Rule, tuple[str, ...]] | None:
        """The rule that applies to ``name`` and what its variables stand for, in their order; or None."""
        rule = self._literal.get(name)
        if rule is not None:
            return rule, ()
        segments = name.split("/")
        rank = self._trie.find(name, segments)
        if rank == NONE:
            return None
        rule = self._ranked[rank]
        bind = self._bindings[rank]
        if bind is not None:
            return rule, bind(segments)
        bound = rule.pattern.match(name) or {}
        return rule, tuple([bound[variable] for variable in rule.pattern.variables])

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


@functools.lru_cache(maxsize=1024)  # many rules, few different answers
def _taken(places: tuple[Place, ...]) -> Binding:
    """Takes what stands at these places out of a name."""
    if any(start or stop for _, start, stop in places):
        return lambda segments: tuple([segments[number][start:stop] for number, start, stop in places])
    if len(places) == 1:
        ((only, _, _),) = places
        return lambda segments: (segments[only],)
    return operator.itemgetter(*(number for number, _, _ in places)) if places else lambda _: ()


def _binding(pattern: Pattern) -> Binding | None:
    """What gives the variables of ``pattern``, in their order; None if their places differ from name to name."""
    places = places_of_variables(pattern)
    return None if places is None else _taken(places)
