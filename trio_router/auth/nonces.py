"""Nonces that were used, for as long as they could be used again (T51). Sans-I/O.

Bounded: when ``entries`` of them are live, a further one is refused instead of an old one being forgotten, because a
forgotten one could be replayed. Only what somebody proved is remembered, so that nobody without a secret fills it.
"""

from __future__ import annotations

import heapq
from typing import Final

MAX_ENTRIES: Final = 65_536


class TooManyNonces(Exception):
    """There is no room for another one until the oldest end."""


class Nonces:
    """What was used, by (key, nonce). Times are seconds since the epoch."""

    def __init__(self, entries: int = MAX_ENTRIES) -> None:
        self._entries = entries
        self._used: set[tuple[str, str]] = set()
        self._ends: list[tuple[float, tuple[str, str]]] = []

    def __len__(self) -> int:
        return len(self._used)

    def use(self, key: str, nonce: str, *, until: float, now: float) -> bool:
        """Whether it was not used before; it is remembered up to and including ``until``.

        Raises:
            TooManyNonces: it could not be remembered; treat it as not used and not usable.
        """
        while self._ends and self._ends[0][0] < now:
            self._used.discard(heapq.heappop(self._ends)[1])
        entry = (key, nonce)
        if entry in self._used:
            return False
        if len(self._used) >= self._entries:
            raise TooManyNonces
        self._used.add(entry)
        heapq.heappush(self._ends, (until, entry))
        return True
