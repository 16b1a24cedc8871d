"""Work that grows with how much there is, done a slice at a time, so that others get their turn in between.

What fits into the first slice is done at once. The rule that keeps it honest: work is done in the order it came, each piece whole; what
happens between two slices is for the work itself to notice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from trio_router.routing.peer import Timer, Timers


class Slices:
    """Does work that yields after each piece, ``size`` pieces in one turn."""

    def __init__(self, timers: Timers, size: int) -> None:
        self._timers = timers
        self._size = size
        self._work: deque[Iterator[None]] = deque()
        self._working = False
        self._next: Timer | None = None

    @property
    def is_busy(self) -> bool:
        """Whether there is work left for a later turn."""
        return bool(self._work)

    def do(self, work: Iterator[None]) -> None:
        """Do ``work`` now, as much of it as fits into this turn, behind what there is already."""
        self._work.append(work)
        if not self._working and self._next is None:
            self._turn()

    def _turn(self) -> None:
        self._next = None
        self._working = True
        try:
            for _ in range(self._size):
                if not self._work:
                    return
                try:
                    next(self._work[0])
                except StopIteration:
                    self._work.popleft()
        finally:
            self._working = False
        if self._work:
            self._next = self._timers.after(0.0, self._turn)
