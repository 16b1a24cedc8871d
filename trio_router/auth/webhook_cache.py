"""A short memory of accepted answers, for services that are asked the same again and again. Off by default.

Keys are keyed digests of whole requests, so the memory holds no credential and a login that differs in anything is asked
anew. Only *accepted* is kept: a refusal or a fault is never repeated from memory.

The rule that keeps it honest: an entry lives for the shortest of the configured time, the answer's ``Cache-Control`` and
the expiry of the login itself, and the number of entries is bounded.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from trio_router.auth.strategy import Accepted
from trio_router.clock import Clock

_MAX_AGE: Final = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?(\d{1,9})(?!\d)")
_FORBIDDEN: Final = re.compile(r"(?:^|[\s,])no-(?:store|cache)(?:$|[\s,=])")


class AnswerCache:
    """At most ``size`` answers, each for at most ``seconds``; 0 seconds: keeps nothing."""

    def __init__(self, clock: Clock, *, seconds: float, size: int) -> None:
        self._clock = clock
        self._seconds = seconds
        self._size = size
        self._kept: OrderedDict[bytes, tuple[float, Accepted]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: bytes) -> Accepted | None:
        """The answer to this very request, if it is still fresh."""
        entry = self._kept.get(key)
        if entry is None:
            return None
        until, answer = entry
        if self._clock.monotonic() >= until or self._remaining(answer) <= 0:
            del self._kept[key]
            return None
        return answer

    def put(self, key: bytes, answer: Accepted, headers: Mapping[str, str]) -> None:
        """Keep ``answer`` if its ``headers`` (lower-case names) and its expiry leave it any time."""
        seconds = min(self._seconds, _allowed(headers.get("cache-control", "").lower()), self._remaining(answer))
        if seconds <= 0:
            return
        self._kept[key] = (self._clock.monotonic() + seconds, answer)
        self._kept.move_to_end(key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def _remaining(self, answer: Accepted) -> float:
        return float("inf") if answer.expires_at is None else answer.expires_at - self._clock.wall()


def _allowed(directives: str) -> float:
    if _FORBIDDEN.search(directives):
        return 0.0
    found = _MAX_AGE.search(directives)
    return float(found[1]) if found else float("inf")
