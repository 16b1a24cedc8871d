"""All timers of a router on one Trio task: a heap, and one sleep until its first.

It implements ``routing.peer.Timers`` and knows nothing of who is woken. Callbacks run in the timers' task, in the order of
their deadlines; one that fails is logged and disturbs no other (T09). Time is Trio's, which is monotonic: a jump of
the wall clock moves nothing here.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Final

import structlog
import trio

from trio_router.session.firewall import shield

TURN: Final = 64
"""Callbacks run before the other tasks get a turn."""


class TrioTimer:
    """One armed timer."""

    __slots__ = ("_deadline", "_number", "_owner", "callback")

    def __init__(self, owner: TrioTimers, deadline: float, number: int, callback: Callable[[], None]) -> None:
        self._owner = owner
        self._deadline = deadline
        self._number = number
        self.callback: Callable[[], None] | None = callback

    @property
    def deadline(self) -> float:
        return self._deadline

    def cancel(self) -> None:
        """It will not fire any more; harmless after it did."""
        if self.callback is not None:
            self.callback = None
            self._owner.forget()

    def __lt__(self, other: TrioTimer) -> bool:
        return (self._deadline, self._number) < (other._deadline, other._number)


class TrioTimers:
    """``run`` must be running in the background for anything to fire."""

    def __init__(self, log: structlog.stdlib.BoundLogger) -> None:
        self._log = log
        self._heap: list[TrioTimer] = []
        self._number = 0
        self._cancelled = 0
        self._woken = trio.Event()

    def __len__(self) -> int:
        """How many are armed."""
        return len(self._heap) - self._cancelled

    def now(self) -> float:
        """Trio's time in seconds."""
        return trio.current_time()

    def after(self, seconds: float, callback: Callable[[], None]) -> TrioTimer:
        """Call ``callback`` once, ``seconds`` from now; never from inside ``after``."""
        self._number += 1
        timer = TrioTimer(self, trio.current_time() + max(0.0, seconds), self._number, callback)
        heapq.heappush(self._heap, timer)
        if self._heap[0] is timer:
            self._woken.set()
        return timer

    def forget(self) -> None:
        """One more of the heap is cancelled. Called by the timers themselves; keeps dead ones below half."""
        self._cancelled += 1
        if self._cancelled > TURN and self._cancelled * 2 > len(self._heap):
            self._heap = [timer for timer in self._heap if timer.callback is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    async def run(self) -> None:
        """Fire what is due, until cancelled."""
        while True:
            self._woken = trio.Event()
            deadline = self._heap[0].deadline if self._heap else math.inf
            with trio.move_on_at(deadline):
                await self._woken.wait()
            await self._fire_due()

    async def _fire_due(self) -> None:
        fired = 0
        now = trio.current_time()  # what becomes due meanwhile gets its turn after the other tasks
        while self._heap and self._heap[0].deadline <= now:
            timer = heapq.heappop(self._heap)
            callback, timer.callback = timer.callback, None
            if callback is None:
                self._cancelled -= 1
                continue
            shield(callback, self._log, event="timer_failed")
            fired += 1
            if fired % TURN == 0:
                await trio.lowlevel.checkpoint()
