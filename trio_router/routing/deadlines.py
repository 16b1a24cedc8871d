"""Many deadlines of one length, on one timer: what begins later is due later, so the first that is left is the next.

A timer of its own for each call costs more than the decision on it. Here beginning to wait is one entry of a dictionary, and so is
ending it. A deadline of another length needs a timer, or a book of its own.

The rule that keeps it honest: one timer is armed exactly as long as somebody waits, and what is late is told in a turn of its
own, so one that fails stops no other (T09).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Generic, TypeVar

from trio_router.routing.peer import Timer, Timers

_Item = TypeVar("_Item")


class Deadlines(Generic[_Item]):
    """``late`` is called with each item that still waits ``seconds`` after it was added. Items are compared by identity."""

    def __init__(self, timers: Timers, seconds: float, late: Callable[[_Item], None]) -> None:
        self.seconds = seconds
        self._timers = timers
        self._late = late
        self._due: dict[_Item, float] = {}  # the earliest first
        self._timer: Timer | None = None

    def __len__(self) -> int:
        return len(self._due)

    def add(self, item: _Item, now: float) -> None:
        """``item`` waits from ``now`` on, the timers' time."""
        self._due[item] = now + self.seconds
        if self._timer is None:
            self._timer = self._timers.after(self.seconds, self._look)

    def remove(self, item: _Item) -> None:
        """It waits no longer; harmless if it did not."""
        due = self._due
        due.pop(item, None)
        if not due and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        now = self._timers.now()
        late = []
        for item, deadline in self._due.items():
            if deadline > now:
                self._timer = self._timers.after(deadline - now, self._look)
                break
            late.append(item)
        for item in late:
            del self._due[item]
            self._timers.after(0.0, functools.partial(self._late, item))
