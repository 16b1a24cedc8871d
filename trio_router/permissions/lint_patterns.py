"""What looks wrong about the patterns of a rules file: rules no name gets to, variables, and wildcards that are never allowed.

Uses the proofs of ``patterns`` alone. The rule that keeps this honest: a rule is called unreachable only if one other rule that is
more specific matches every name it matches, and every wildcard it could prove.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from trio_router.patterns import Literal, Pattern, Star, Token, Variable, covers
from trio_router.permissions.decision import Action
from trio_router.permissions.index import RuleIndex
from trio_router.permissions.rule import Rule

WILDCARD_ACTIONS: Final = frozenset({Action.EVENT_SUBSCRIBE, Action.PRESENCE_ALLOW})
"""The actions that may ask for a wildcard."""

_ANY_TEXT: Final = WILDCARD_ACTIONS | {Action.EVENT_LISTEN, Action.RECORD_LISTEN}
"""Those that may ask for what is no name: listening asks for the text of a pattern."""

VALUES: Final = frozenset({"user", "data", "oldData", "name", "action", "now", "session"})

_ANY: Final = "\ue000"  # a letter that no pattern holds: only variables and stars match it

Found = tuple[str, Rule, int | None, str]
"""A code, the rule it is about, a character of its pattern (None: the rule itself), and what is to be said of it."""


def unreachable(rules: Iterable[Rule], action: Action) -> Iterator[Found]:
    """Rules that a more specific rule for the same action keeps from ever applying.

    Such a pattern has the same characters that stand for themselves: with more it would not match all names of the other, with
    fewer it would be less specific.
    """
    groups: dict[str, list[Rule]] = {}
    for rule in rules:
        letters = "".join(token.text for token in rule.pattern.tokens if isinstance(token, Literal))
        groups.setdefault(letters, []).append(rule)
    for group in groups.values():
        for rule in group:
            for other in group:
                if other.rank > rule.rank and _always_matches(other.pattern, rule.pattern, action):
                    yield (
                        "R101",
                        rule,
                        None,
                        f"every name it matches goes to {other.ref.pattern!r} in line {other.ref.line}",
                    )
                    break


def _always_matches(wide: Pattern, narrow: Pattern, action: Action) -> bool:
    """Whether ``wide`` matches every name that ``narrow`` matches, and covers every wildcard that ``narrow`` covers."""
    stars: list[Token] = [Literal(_ANY, 0) if isinstance(token, Variable) else token for token in narrow.tokens]
    if action not in _ANY_TEXT and isinstance(stars[-1], Star):
        # No name is empty or ends with /, so the last star of "*" or "a/*" takes something that does not.
        before = stars[-2] if len(stars) > 1 else None
        if before is None or (isinstance(before, Literal) and before.text.endswith("/")):
            stars.append(Literal(_ANY, 0))
    return covers(wide, Pattern(narrow.text, tuple(stars)))


def variables(rules: Iterable[Rule]) -> Iterator[Found]:
    """Variables of one pattern that nobody reads, or that are easily taken for something else."""
    listed = list(rules)
    read = frozenset().union(*(rule.names for rule in listed))
    first = listed[0]
    tokens = first.pattern.tokens
    at = -1
    for number, token in enumerate(tokens):
        if not isinstance(token, Variable):
            continue
        at = first.pattern.text.index(f"${token.name}", at + 1)
        after = tokens[number + 1] if number + 1 < len(tokens) else None
        if isinstance(after, Literal) and after.text.startswith("_"):
            yield "R404", first, at, f"this is the variable ${token.name} and then {after.text.split('/')[0]!r}"
        if token.name in VALUES:
            yield "R402", first, at, f"${token.name} is a part of the name, {token.name} is something else"
        elif f"${token.name}" not in read:
            yield "R401", first, at, f"no rule here reads ${token.name}"


def wildcards(rules: Iterable[Rule], index: RuleIndex) -> Iterator[Found]:
    """Patterns of one action which, subscribed to as they stand, are never allowed."""
    for rule in rules:
        if not rule.pattern.stars or (rule.evaluate is None and not rule.constant):
            continue
        if "name" in rule.names:
            yield "R501", rule, None, "it reads name, so a wildcard that reaches it is denied"
            continue
        if rule.pattern.variables:
            continue
        for reach in index.reach(rule.pattern):
            if reach.rule is rule:
                break
            other = reach.rule
            varying = sorted(other.names - {"now", "action"} - {f"${name}" for name in reach.fixed})
            if varying or (other.evaluate is None and not other.constant):
                why = f"reads {varying[0]}" if varying else "is false"
                text = f"the rule of {other.ref.pattern!r} in line {other.ref.line} has some of its names and {why}"
                yield "R502", rule, None, text
                break
