"""The patterns that almost applied to a name, and why they did not: for people who look for a slip in a rules file.

Owns what "almost" means: a pattern of the section that matches but was not asked, or one that begins like the name and parts
from it further on. The rule that keeps this honest: what is said about a pattern is true of it, whatever the order of the
list; the list is short and bounded.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from typing import Final

import attrs

from trio_router.patterns import Pattern
from trio_router.permissions.decision import Action
from trio_router.permissions.rule import Rule

MAX_NEAR: Final = 10


@attrs.frozen
class Near:
    """One pattern that did not apply. ``actions``: what it has rules for; ``line`` is that of one of these rules."""

    pattern: str
    source: str
    line: int
    column: int
    actions: tuple[str, ...]
    matches: bool
    why: str


def near_misses(rules: Iterable[Rule], action: Action, name: str, winner: Rule | None) -> tuple[Near, ...]:
    """The patterns nearest to ``name``, the nearest first, without the one that applied.

    ``rules`` are those of the action's section, ``winner`` the one that applied, or None.
    """
    found: dict[str, list[Rule]] = {}
    for rule in rules:
        found.setdefault(rule.pattern.text, []).append(rule)
    scored: list[tuple[tuple[int, int, int], Near]] = []
    for number, group in enumerate(found.values()):
        if winner is not None and winner.pattern.text == group[0].pattern.text:
            continue
        near = _judged(group, action, name, winner)
        if near is not None:
            scored.append(((-int(near.matches), -_alike(near.pattern, name), number), near))
    return tuple(near for _, near in heapq.nsmallest(MAX_NEAR, scored))


def _judged(group: list[Rule], action: Action, name: str, winner: Rule | None) -> Near | None:
    pattern = group[0].pattern
    actions = tuple(rule.ref.action for rule in group)
    defining = next((rule for rule in group if rule.ref.action == action.verb), None)
    ref = (defining or group[0]).ref
    matches = pattern.matches(name)
    if matches and defining is None:
        why = f"matches, but has no rule for {action.verb}, only for {', '.join(actions)}"
    elif matches and winner is not None:
        why = f'matches, but "{winner.pattern.text}" is more specific'
    elif matches:
        why = "matches"
    else:
        difference = _difference(pattern, name)
        if not difference:
            return None
        why = difference if defining else f"{difference}; it has no rule for {action.verb} either"
    return Near(pattern.text, ref.source, ref.line, ref.column, actions, matches, why)


def _difference(pattern: Pattern, name: str) -> str:
    """Why a pattern that begins like ``name`` does not match it; "" if it has nothing to do with it."""
    if pattern.text.casefold() == name.casefold():
        return "capitals and small letters differ"
    theirs, ours = pattern.text.split("/"), name.split("/")
    same = 0
    for one, other in zip(theirs, ours, strict=False):
        if not _fits(one, other):
            break
        same += 1
    begins = pattern.prefix.rpartition("/")[0]
    if not same and not (begins and name.startswith(begins)):
        if theirs[0].casefold() == ours[0].casefold():
            return f"segment 1 is {theirs[0]!r}, the name has {ours[0]!r}: capitals differ"
        return ""
    if same == len(theirs) < len(ours):
        return f"the name goes on with {'/'.join(ours[same:])!r}; a variable stands for one segment, a * for any number"
    if same == len(ours) < len(theirs):
        return f"the name ends before {'/'.join(theirs[same:])!r}"
    return f"segment {same + 1} is {theirs[same]!r}, the name has {ours[same]!r}"


def _fits(segment: str, text: str) -> bool:
    if segment == text:
        return True
    if "*" not in segment and "$" not in segment:
        return False
    return Pattern.parse(segment, variables=True).matches(text)


def _alike(pattern: str, name: str) -> int:
    """How many characters the two begin with in common, capitals aside."""
    common = 0
    for one, other in zip(pattern.casefold(), name.casefold(), strict=False):
        if one != other:
            break
        common += 1
    return common
