"""Which pattern subscriptions an event's channel matches.

Patterns are kept by the literal text before their first ``*``; a channel is looked up once per distinct length
of such a text (at most 255, whatever the number of patterns), and only the patterns found that way are matched.
What was found is remembered per channel, in a table of bounded size that any change of the patterns empties.

A pattern reaches names of its own kind only: ``*`` is every public channel and never ``sys:`` or ``pvt:`` (T26).
"""

from __future__ import annotations

from trio_router.names import REMEMBERED, kind_of
from trio_router.patterns import Pattern
from trio_router.routing.subscriptions import Subscription


class WildcardIndex:
    """Pattern subscriptions, found by the channels they match."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._patterns: dict[Subscription, Pattern] = {}
        self._by_prefix: dict[str, dict[Subscription, Pattern]] = {}
        self._of_length: dict[int, int] = {}  # how many prefixes have this length
        self._lengths: tuple[int, ...] = ()
        self._found: dict[str, tuple[Subscription, ...]] = {}
        self._remembered = remembered

    def add(self, subscription: Subscription) -> None:
        """Include a subscription whose name is a pattern (``PatternError`` if it is none)."""
        pattern = Pattern.parse(subscription.name)
        self._patterns[subscription] = pattern
        same_prefix = self._by_prefix.get(pattern.prefix)
        if same_prefix is None:
            same_prefix = self._by_prefix[pattern.prefix] = {}
            self._count(len(pattern.prefix), 1)
        same_prefix[subscription] = pattern
        self._found.clear()

    def remove(self, subscription: Subscription) -> None:
        """Leave out a subscription that was added."""
        prefix = self._patterns.pop(subscription).prefix
        same_prefix = self._by_prefix[prefix]
        del same_prefix[subscription]
        if not same_prefix:
            del self._by_prefix[prefix]
            self._count(len(prefix), -1)
        self._found.clear()

    def matching(self, channel: str) -> tuple[Subscription, ...]:
        """The subscriptions whose pattern matches, shortest literal prefix first, then in the order they were added."""
        if not self._lengths:
            return ()
        found = self._found.get(channel)
        if found is None:
            if len(self._found) >= self._remembered:
                self._found.clear()
            found = self._found[channel] = tuple(self._search(channel))
        return found

    def forget(self) -> None:
        """Nothing of what was found is remembered any more."""
        self._found.clear()

    def _search(self, channel: str) -> list[Subscription]:
        kind = kind_of(channel)
        found = []
        for length in self._lengths:
            if length > len(channel):
                break
            for subscription, pattern in self._by_prefix.get(channel[:length], {}).items():
                if kind_of(subscription.name) == kind and pattern.matches(channel):
                    found.append(subscription)
        return found

    def _count(self, length: int, change: int) -> None:
        prefixes = self._of_length.pop(length, 0) + change
        if prefixes:
            self._of_length[length] = prefixes
        if prefixes == 0 or (prefixes == 1 and change == 1):
            self._lengths = tuple(sorted(self._of_length))
