"""Timers that stand still until told otherwise, for tests and simulations of whatever is woken by the core's timers.

They know no wall clock and no scheduler: time passes in :meth:`ManualTimers.advance` alone, and callbacks run
there, in the order of their deadlines and, for equal ones, in the order they were armed.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable


class ManualTimer:
    """One armed timer of :class:`ManualTimers`."""

    __slots__ = ("callback", "deadline", "number")

    def __init__(self, deadline: float, number: int, callback: Callable[[], None]) -> None:
        self.deadline = deadline
        self.number = number
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """It will not fire any more; harmless after it did."""
        self.callback = None

    def __lt__(self, other: ManualTimer) -> bool:
        return (self.deadline, self.number) < (other.deadline, other.number)


class ManualTimers:
    """Implements ``routing.peer.Timers``. Time is seconds since it was made."""

    def __init__(self) -> None:
        self._now = 0.0
        self._armed: list[ManualTimer] = []
        self._number = 0

    @property
    def pending(self) -> int:
        """How many timers are armed."""
        return sum(timer.callback is not None for timer in self._armed)

    def now(self) -> float:
        """Seconds since it was made."""
        return self._now

    def after(self, seconds: float, callback: Callable[[], None]) -> ManualTimer:
        """Call ``callback`` once, when ``seconds`` have passed; never from inside ``after``."""
        self._number += 1
        timer = ManualTimer(self._now + seconds, self._number, callback)
        heapq.heappush(self._armed, timer)
        return timer

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass and call back what is due by then."""
        end = self._now + seconds
        while self._armed and self._armed[0].deadline <= end:
            timer = heapq.heappop(self._armed)
            self._now = max(self._now, timer.deadline)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
        self._now = end
