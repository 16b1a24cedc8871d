"""One task that reads for all connections of the fast lane, by an epoll of its own: Linux.

Where a task per connection waits, each message costs two turns of the scheduler and two system calls to wait again; here a
connection is registered once. The pump calls ``turn`` of whoever has something to read, one bounded turn each, then flushes what
was put meanwhile, then lets all other tasks run.

The rule that keeps it honest: a turn is bounded and raises nothing, so no connection can hold or end the others; who has more at
hand than a turn takes comes again in the next round, after everybody else.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Callable
from typing import Final

import trio

from trio_router.transport.cork import Cork

EVENTS: Final = 512
"""Connections that get a turn in one round; the kernel gives the others theirs in the next."""

Turn = Callable[[float], bool]
"""Read and work, at the time given; whether there is more at hand."""


def available() -> bool:
    """Whether this system has what the pump needs."""
    return sys.platform == "linux" and hasattr(select, "epoll")


class Pump:
    """Reads for those who :meth:`watch`. :meth:`run` must be running."""

    def __init__(self, cork: Cork) -> None:
        self._cork = cork
        self._epoll = select.epoll()
        self._turns: dict[int, Turn] = {}
        self._again: dict[int, Turn] = {}

    def watch(self, fileno: int, turn: Turn) -> None:
        """From now on ``turn`` is called whenever there is something to read. Raises ``OSError``: it is not."""
        self._epoll.register(fileno, select.EPOLLIN)
        self._turns[fileno] = turn

    def forget(self, fileno: int) -> None:
        """Not any more; call it before the descriptor is closed."""
        if self._turns.pop(fileno, None) is not None:
            self._again.pop(fileno, None)
            if not self._epoll.closed:  # at the end of everything the pump may have gone first
                self._epoll.unregister(fileno)

    async def run(self) -> None:
        """Until cancelled."""
        turns, cork = self._turns, self._cork
        try:
            while True:
                if self._again:
                    await trio.lowlevel.checkpoint()
                else:
                    await trio.lowlevel.wait_readable(self._epoll.fileno())
                now = trio.current_time()
                cork.held = True
                try:
                    again, self._again = self._again, {}
                    for fileno in again:
                        found = turns.get(fileno)
                        if found is not None and found(now):
                            self._again[fileno] = found
                    for fileno, _ in self._epoll.poll(0, EVENTS):
                        found = turns.get(fileno)
                        if found is not None and fileno not in again and found(now):
                            self._again[fileno] = found
                    found = None  # nobody who has left is held until the next round
                    again.clear()
                finally:
                    cork.held = False
                cork.flush()
        finally:
            self._epoll.close()
