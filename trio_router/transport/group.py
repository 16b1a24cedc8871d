"""Several outboxes that get the same frames, again and again: those that take them, and those that are stuck.

What is sent is a run (``cork``), which all hold. An outbox whose socket takes nothing would cost as much for each run as one that reads, or more; so after
the second run that finds it stuck it *follows*: it is told nothing any more, the group keeps what is sent once for all its
followers, and each of them knows from where on it has not got it. It takes that over, and is one of the others again, when its writer has nothing else left or anything
else is put for it.

The rule that keeps it honest: what a follower has waiting (its bytes, their age, their order) is at every moment what it would be if it had got each run
itself; the bound is looked at for each run, for all followers in one comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import trio

from trio_router.transport.cork import FLUSH_AT, Cork, Run
from trio_router.transport.stream import BATCH

if TYPE_CHECKING:
    from trio_router.transport.outbox import Outbox

_NO_LIMIT: Final = 1 << 62


class Group:
    """The outboxes of one crowd."""

    __slots__ = (
        "_changed",
        "_cork",
        "_first",
        "_followers",
        "_kept",
        "_limit",
        "_members",
        "_moved",
        "_outboxes",
        "_run",
        "pending",
        "total",
    )

    def __init__(self, cork: Cork, outboxes: Sequence[Outbox]) -> None:
        self._cork = cork
        self._members = outboxes
        self._outboxes = outboxes  # of them those that are no followers; replaced, never changed
        self._changed = False  # not any more
        self._run: Run | None = None
        self._followers: dict[Outbox, int] = {}  # each with the first that it has not got, counted from the beginning
        self._kept: list[tuple[float, bytes]] = []  # when it was put, and the bytes: short runs and frames
        self._first = 0  # how many were kept before these
        self._moved = 0  # followers that needed the first of these and do not any more
        self._limit = _NO_LIMIT  # the ``total`` up to which nobody can be past its bound
        self.pending: list[Run] = []  # runs of this tick that followers have to get
        self.total = 0
        """Bytes that were ever kept for followers."""

    def send(self, frame: bytes) -> None:
        """Put one whole frame for all of them. Never waits, never raises."""
        run = self._run
        if run is not None and run.open:
            run.frames.append(frame)
        else:
            run = self._run = Run(frame)
            alone, empty = run.alone, []
            run.open = False  # until somebody holds it: nobody would ever take away what is added
            if self._changed:
                self._changed = False
                self._outboxes = [outbox for outbox in self._members if outbox.follows is not self]
            for outbox in self._outboxes:
                if outbox.items or not outbox.taking:
                    outbox.put_run(run)
                else:  # the busiest case of all, without another call
                    outbox.items = alone
                    outbox.last = run
                    run.open = True
                    empty.append(outbox)
            if self._followers:
                self.pending.append(run)
                run.open = True
            self._cork.add_run(run, empty, self)
        cork = self._cork
        cork.weight += len(frame)
        if cork.weight > FLUSH_AT:
            cork.flush()

    # ---- those that are stuck ---------------------------------------------------------------------------------

    def found_stuck(self, outbox: Outbox) -> None:
        """A run of this group, and nothing else, has just gone to the backlog of ``outbox``. The second time it follows."""
        if not outbox.taking:
            return
        if outbox.stuck_with is not self:
            outbox.stuck_with = self
            return
        self._changed = True
        self._followers[outbox] = self._first + len(self._kept)
        outbox.follow(self, self.total)
        self._limit = min(self._limit, self.total + outbox.room)

    def keep(self, run: Run) -> None:
        """The first pending run has its end: it waits for those who follow."""
        del self.pending[0]
        whole = run.joined()
        if self.total + len(whole) > self._limit:
            self._enforce(run, len(whole))
        if not self._followers:
            return
        now = trio.current_time()
        if len(whole) <= BATCH:
            self._kept.append((now, whole))
        else:
            self._kept.extend((now, frame) for frame in run.frames)
        self.total += len(whole)

    def _enforce(self, run: Run, size: int) -> None:
        """Whoever might have no room for ``size`` more bytes gets ``run`` itself, and what comes of that."""
        self._limit = _NO_LIMIT
        for outbox in list(self._followers):
            if outbox.follows is self and outbox.room < size:
                try:
                    outbox.stop_following()
                    outbox.wait_for(run)
                except Exception as error:  # noqa: BLE001 - the edge of a connection: the others go on
                    outbox.fail(error)
        for outbox in self._followers:
            self._limit = min(self._limit, self.total + outbox.room)
        self._trim()

    def take_over(self, outbox: Outbox) -> list[tuple[float, bytes]]:
        """What ``outbox`` has not got of what is kept: it has now."""
        since = self._followers[outbox]
        end = self._first + len(self._kept)
        found = self._kept[since - self._first :]
        self._followers[outbox] = end
        self._move(since)
        return found

    def lose(self, outbox: Outbox) -> None:
        """It follows no longer."""
        self._changed = True
        self._move(self._followers.pop(outbox))

    def _move(self, since: int) -> None:
        """One follower less needs what is kept from ``since`` on. Looking at all of them is for when some have moved."""
        self._moved += since == self._first
        if self._moved * 4 > len(self._followers):
            self._trim()

    def _trim(self) -> None:
        """Forget what all followers have got."""
        needed = min(self._followers.values(), default=self._first + len(self._kept))
        del self._kept[: needed - self._first]
        self._first = needed
        self._moved = 0
