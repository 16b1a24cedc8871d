"""What an access token lets its holder ask for: permissions, and patterns of the names they reach.

Vocabulary shared by whoever issues tokens and the door that obeys them. A scope only takes away: what it permits, the rules
still decide. It knows no token, no key and no rule.

A restriction is split into segments at ``:`` and ``/``. ``*`` stands for one whole segment, as the last one for one or more;
``foo*`` is the segment of that very name. Of the separators, ``:`` stands for either of those a name can have there, and ``/``
for itself alone: ``pvt:room:*`` and ``pvt:room/*`` both reach ``pvt:room/12``. The rule that keeps this honest: a wildcard
subscription is in reach only if every name it could ever match is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Self

import attrs

from trio_router.names import NAME_CHARACTERS, REMEMBERED
from trio_router.remembered import remember

EVERYTHING: Final = "*"
PERMISSIONS: Final = ("subscribe", "publish", "provide", "request", "presence", "stats", "logs", EVERYTHING)
"""All words a token can hold, as PUBQ has them."""

UNUSED: Final = frozenset({"stats", "logs"})
"""Words without a meaning here, as what they open was never said. A token may hold them; none is issued with them."""

MAX_RESTRICTIONS: Final = 100
MAX_PATTERN: Final = 255

_SEPARATORS: Final = re.compile(r"([:/])")


@attrs.frozen
class Scope:
    """``permissions`` are words of ``PERMISSIONS``; ``restrictions`` None reaches every name, () none."""

    permissions: frozenset[str]
    restrictions: tuple[str, ...] | None = None

    @classmethod
    def of(cls, permissions: Iterable[object], restrictions: Iterable[object] | None) -> Self:
        """A checked scope. Raises ``ValueError``: the text names what is wrong, and where."""
        words = []
        for number, word in enumerate(permissions, 1):
            if not isinstance(word, str) or word not in PERMISSIONS:
                raise ValueError(f"permissions: entry {number} is none of {', '.join(PERMISSIONS)}")
            words.append(word)
        if restrictions is None:
            return cls(frozenset(words))
        patterns = []
        for number, pattern in enumerate(restrictions, 1):
            fault = pattern_fault(pattern) if isinstance(pattern, str) else "is not a text"
            if fault or number > MAX_RESTRICTIONS:
                raise ValueError(f"restrictions: entry {number} {fault or 'is too many'}")
            patterns.append(str(pattern))
        return cls(frozenset(words), tuple(patterns))

    def permits(self, permission: str) -> bool:
        """Whether it holds ``permission`` itself, or all of them."""
        return permission in self.permissions or EVERYTHING in self.permissions

    def reaches(self, name: str) -> bool:
        """Whether a restriction matches ``name``, a channel's or procedure's."""
        return self.restrictions is None or any(matches(pattern, name) for pattern in self.restrictions)

    def reaches_all(self, wildcard: str) -> bool:
        """Whether one restriction matches every name that the subscription pattern ``wildcard`` matches."""
        return self.restrictions is None or any(covers(pattern, wildcard) for pattern in self.restrictions)


def pattern_fault(pattern: str) -> str:
    """What is wrong with a restriction, "" if nothing is."""
    if not 0 < len(pattern) <= MAX_PATTERN:
        return f"must have 1 to {MAX_PATTERN} characters"
    if not (NAME_CHARACTERS | {"*"}).issuperset(pattern):
        return "holds a character that names do not have"
    return "" if all(_split(pattern)[0]) else "has an empty segment"


def matches(pattern: str, name: str) -> bool:
    """Whether the restriction ``pattern`` matches ``name``."""
    wanted, separators = _split(pattern)
    segments, found = _split(name)
    head = len(wanted) - 1 if wanted[-1] == EVERYTHING else len(wanted)
    if len(segments) != head if head == len(wanted) else len(segments) <= head:
        return False
    return _heads_match(wanted[:head], separators, segments, found)


def covers(pattern: str, wildcard: str) -> bool:
    """Whether the restriction ``pattern`` certainly matches every name that ``wildcard`` matches. True is a proof.

    A ``*`` of a subscription stands for any run of characters, separators included. So only a final ``*`` of the restriction
    can take it, and everything before that must be the same in every name.
    """
    if EVERYTHING not in wildcard:
        return matches(pattern, wildcard)
    wanted, separators = _split(pattern)
    segments, found = _split(wildcard)
    head = len(wanted) - 1
    if wanted[-1] != EVERYTHING or len(segments) <= head or any(EVERYTHING in part for part in segments[:head]):
        return False
    return _heads_match(wanted[:head], separators, segments, found)


def _heads_match(
    wanted: tuple[str, ...], separators: tuple[str, ...], segments: tuple[str, ...], found: tuple[str, ...]
) -> bool:
    """Whether ``segments`` begin as ``wanted`` says, with the separators between and behind them."""
    texts = zip(wanted, segments, strict=False)
    between = zip(separators, found, strict=False)
    return all(want in (EVERYTHING, segment) for want, segment in texts) and all(
        want in (":", separator) for want, separator in between
    )


@remember(REMEMBERED)
def _split(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Segments and the separators between them."""
    parts = _SEPARATORS.split(text)
    return tuple(parts[0::2]), tuple(parts[1::2])
