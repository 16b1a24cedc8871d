"""Ends sessions whose login has expired (T48).

A token's end is a fact of the wall clock, which may jump; a timer is not. So one timer for all sessions looks at the wall clock at
the earliest end, and at least every ``RECHECK`` seconds while any session expires at all: a jump forward ends sessions
within that time, a jump back ends none early. It knows no session, only a time and a callback for each.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

from trio_router.clock import Clock
from trio_router.routing.peer import Timer, Timers

RECHECK: Final = 5.0


class Watched:
    """One end that is waited for."""

    __slots__ = ("_at", "_number", "callback")

    def __init__(self, at: float, number: int, callback: Callable[[], None]) -> None:
        self._at = at
        self._number = number
        self.callback: Callable[[], None] | None = callback

    @property
    def at(self) -> float:
        return self._at

    def cancel(self) -> None:
        """Do not wait any more; harmless after the end came."""
        self.callback = None

    def __lt__(self, other: Watched) -> bool:
        return (self._at, self._number) < (other._at, other._number)


class Expiry:
    """Calls back when the wall clock reaches a time."""

    def __init__(self, timers: Timers, clock: Clock) -> None:
        self._timers = timers
        self._clock = clock
        self._heap: list[Watched] = []
        self._number = 0
        self._timer: Timer | None = None

    def at(self, wall: float, callback: Callable[[], None]) -> Watched:
        """Call ``callback`` once the wall clock shows ``wall`` (seconds since the epoch) or later; never from inside ``at``."""
        self._number += 1
        watched = Watched(wall, self._number, callback)
        heapq.heappush(self._heap, watched)
        if self._heap[0] is watched:
            self._arm()
        return watched

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._heap and self._heap[0].callback is None:
            heapq.heappop(self._heap)
        if self._heap:
            left = self._heap[0].at - self._clock.wall()
            self._timer = self._timers.after(min(max(left, 0.0), RECHECK), self._check)

    def _check(self) -> None:
        self._timer = None
        now = self._clock.wall()
        due: list[Callable[[], None]] = []
        while self._heap and (self._heap[0].callback is None or self._heap[0].at <= now):
            watched = heapq.heappop(self._heap)
            callback, watched.callback = watched.callback, None
            if callback is not None:
                due.append(callback)
        self._arm()
        for callback in due:
            self._timers.after(0, callback)  # each in the wall of the timers: one that fails stops no other
