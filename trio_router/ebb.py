"""When memory is looked through, and given back: when a crowd has left that needed it.

Python gives back a piece of a MiB only when nothing at all is left in it. A crowd that has gone leaves no session, but small things that outlive
it lie all over the memory it had: names that are remembered, attribute names in the interpreter's own table, objects kept for reuse. They
are let go of here, which a full collection belongs to, and the C library is told to give back what it holds free.

The rule that keeps it honest: it is done when few are left to wait for it, and nothing that anybody can notice is lost.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from typing import Final, NoReturn

import structlog
import trio

INTERVAL: Final = 1.0
"""Seconds between two looks."""

CROWD: Final = 256
"""Connections that are worth it."""

LEFT: Final = 8
"""It has left when there are so many times fewer: the collection takes a few microseconds for each thing that is still there."""

PASSES: Final = 2
"""So often, at one look after the other: the first time sets free what the second finds."""

GARBAGE: Final = (10_000, 20, 50)
"""After how many new objects the collector looks at the young ones, after how many such looks at the older, and at all."""


def keep() -> None:
    """Take what the process has loaded so far out of the garbage collector's sight.

    Looking through it again stops the loop for some 80 ms at each full collection. And it looks less often from now on: what is made for a
    message is gone with it, without the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)


class Ebb:
    """``count`` says how many connections there are. ``forget`` lets go of what is only remembered; it must raise nothing."""

    def __init__(self, count: Callable[[], int], forget: Callable[[], None], log: structlog.stdlib.BoundLogger) -> None:
        self._count = count
        self._forget = forget
        self._log = log
        self._highest = 0
        self._last = 0
        self._passes = 0  # that are to come

    async def run(self) -> NoReturn:
        """Look again and again, until cancelled."""
        while True:
            await trio.sleep(INTERVAL)
            self.look()

    def look(self) -> None:
        """Give back what a crowd needed, if it has left and nobody is leaving any more."""
        now, last = self._count(), self._last
        self._last = now
        self._highest = max(self._highest, now)
        if self._highest >= CROWD and now * LEFT <= self._highest and now >= last:
            self._log.info("memory_given_back", connections=now, highest=self._highest)
            self._highest, self._passes = now, PASSES
        if now >= CROWD and now > last:  # a crowd comes: it would wait for it
            self._passes = 0
        if not self._passes:
            return
        self._passes -= 1
        self._forget()
        give_back()


def give_back() -> None:
    """Let go of all memory that nothing needs; takes some milliseconds, more where there are many objects."""
    forget_attributes = getattr(sys, "_clear_internal_caches", None) or getattr(sys, "_clear_type_cache", None)
    if forget_attributes is not None:
        forget_attributes()
    gc.collect()
    if _trim is not None:
        _trim(0)


def _find_trim() -> Callable[[int], int] | None:
    """glibc's, where that is what there is."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None


_trim: Final = _find_trim()
