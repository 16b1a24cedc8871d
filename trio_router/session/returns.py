"""When those who are sent away may come back: not together, and not faster than a router can let them in (T14).

It owns the advice and nothing else. Who is sent away in one crowd (a drain) gets a time anywhere in a window that is as long as the crowd is
big; who finds the router full gets the next place behind those who wait and those who were told before. The rule that keeps it honest: advice is
at least ``EARLIEST`` and at most ``LATEST`` seconds beyond ``drain_window``, whatever an attacker does to the books.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from trio_router.limits import Limits

EARLIEST: Final = 1.0
LATEST: Final = 60.0


class Returns:
    """``jitter`` gives a number in [0, 1)."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._until = 0.0  # when the last of those who found it full may come

    def of_crowd(self, crowd: int, limits: Limits) -> float:
        """Seconds for one of ``crowd`` sessions that are sent away together."""
        window = limits.drain_window
        if limits.returns_per_second:
            window = max(window, min(crowd / limits.returns_per_second, LATEST))
        return EARLIEST + self._jitter() * window

    def of_one(self, waiting: int, limits: Limits) -> float:
        """Seconds for one who finds ``waiting`` others before them."""
        if not limits.returns_per_second:
            return EARLIEST + self._jitter() * limits.drain_window
        now = trio.current_time()
        self._until = max(self._until, now) + 1 / limits.returns_per_second
        self._until = min(self._until, now + LATEST)
        return EARLIEST + self._jitter() + min(waiting / limits.returns_per_second + self._until - now, LATEST)
