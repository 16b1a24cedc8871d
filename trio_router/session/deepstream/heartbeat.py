"""Notices deepstream clients that are gone without a word (T11).

These send a ``PING`` of their own every interval, whatever else they say, and so the router has only to listen: a link that was
silent for two intervals is given up. It costs one timer per connection, which is only moved when it fires.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from trio_router.routing.peer import Timer, Timers
from trio_router.session.link import Link

MISSED: Final = 2
"""Intervals of silence after which a peer is given up."""


class Heartbeat:
    """Watches one ``link`` from :meth:`start` to :meth:`stop`; calls ``dead`` once if the peer is gone. ``interval`` in seconds."""

    __slots__ = ("_dead", "_link", "_patience", "_timer", "_timers")

    def __init__(self, link: Link, timers: Timers, *, interval: float, dead: Callable[[], None]) -> None:
        self._link = link
        self._timers = timers
        self._patience = MISSED * interval
        self._dead = dead
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._timer = self._timers.after(self._patience, self._look)

    def stop(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        left = self._link.heard_at + self._patience - trio.current_time()
        if left > 0:
            self._timer = self._timers.after(left, self._look)
        else:
            self._timer = None
            self._dead()
