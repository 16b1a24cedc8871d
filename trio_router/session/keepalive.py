"""Finds peers that are gone without a word, on both sides of a silent connection (T11).

A WebSocket ping goes out when nothing came for ``ping_interval``; when nothing at all comes for ``pong_timeout`` after
it, the session ends. Any byte from the peer counts as life. It costs one timer per connection, which is only moved when it
fires, and no task. It knows no protocol above the frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from trio_router.routing.peer import Timer, Timers
from trio_router.session.link import Link

PING_FRAME: Final = b"\x89\x00"  # final, opcode 9, no mask, no payload (RFC 6455, 5.5.2)


class Keepalive:
    """Watches one ``link`` from :meth:`start` to :meth:`stop`; calls ``dead`` once if the peer is gone. Times in seconds."""

    __slots__ = ("_dead", "_interval", "_link", "_pong_timeout", "_timer", "_timers")

    def __init__(
        self, link: Link, timers: Timers, *, ping_interval: float, pong_timeout: float, dead: Callable[[], None]
    ) -> None:
        self._link = link
        self._timers = timers
        self._interval = ping_interval
        self._pong_timeout = pong_timeout
        self._dead = dead
        self._timer: Timer | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._timer = self._timers.after(self._interval, self._idle)

    def stop(self) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _idle(self) -> None:
        left = self._link.heard_at + self._interval - trio.current_time()
        if left > 0:
            self._timer = self._timers.after(left, self._idle)
            return
        self._link.send(PING_FRAME)
        pinged = trio.current_time()
        self._timer = self._timers.after(self._pong_timeout, lambda: self._unanswered(pinged))

    def _unanswered(self, pinged: float) -> None:
        if self._link.heard_at >= pinged:
            self._idle()
        else:
            self._timer = None
            self._dead()
