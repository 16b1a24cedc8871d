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

    __slots__ = ("_deadline", "_owner", "callback")

    def __init__(self, owner: TrioTimers, deadline: float, callback: Callable[[], None]) -> None:
        self._owner = owner
        self._deadline = deadline
        self.callback: Callable[[], None] | None = callback

    @property
    def deadline(self) -> float:
        return self._deadline

    def cancel(self) -> None:
        """It will not fire any more; harmless after it did."""
        if self.callback is not None:
            self.callback = None
            self._owner.forget()


class TrioTimers:
    """``run`` must be running in the background for anything to fire."""

    def __init__(self, log: structlog.stdlib.BoundLogger) -> None:
        self._log = log
        self._heap: list[
            tuple[float, int, TrioTimer]
        ] = []  # tuples, because they are compared without a line of Python
        self._number = 0
        self._cancelled = 0
        self._woken = trio.Event()
        self._clock: Callable[[], float] | None = None

    def __len__(self) -> int:
        """How many are armed."""
        return len(self._heap) - self._cancelled

    def now(self) -> float:
        """Trio's time in seconds."""
        if self._clock is None:  # asked for each call, and Trio's own way to it has three steps
            self._clock = trio.lowlevel.current_clock().current_time
        return self._clock()

    def after(self, seconds: float, callback: Callable[[], None]) -> TrioTimer:
        """Call ``callback`` once, ``seconds`` from now; never from inside ``after``."""
        self._number += 1
        deadline = self.now() + max(0.0, seconds)
        timer = TrioTimer(self, deadline, callback)
        heapq.heappush(self._heap, (deadline, self._number, timer))
        if self._heap[0][2] is timer:
            self._woken.set()
        return timer

    def forget(self) -> None:
        """One more of the heap is cancelled. Called by the timers themselves; keeps dead ones below half."""
        self._cancelled += 1
        if self._cancelled > TURN and self._cancelled * 2 > len(self._heap):
            self.tidy()

    def tidy(self) -> None:
        """Let go of all that were cancelled."""
        if self._cancelled:
            self._heap = [entry for entry in self._heap if entry[2].callback is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    async def run(self) -> None:
        """Fire what is due, until cancelled."""
        while True:
            self._woken = trio.Event()
            deadline = self._heap[0][0] if self._heap else math.inf
            with trio.move_on_at(deadline):
                await self._woken.wait()
            await self._fire_due()

    async def _fire_due(self) -> None:
        fired = 0
        now = trio.current_time()  # what becomes due meanwhile gets its turn after the other tasks
        while self._heap and self._heap[0][0] <= now:
            timer = heapq.heappop(self._heap)[2]
            callback, timer.callback = timer.callback, None
            if callback is None:
                self._cancelled -= 1
                continue
            shield(callback, self._log, event="timer_failed")
            fired += 1
            if fired % TURN == 0:
                await trio.lowlevel.checkpoint()
