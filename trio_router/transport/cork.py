"""What is put for many connections in one tick leaves in one write each.

``Cork`` knows which outboxes hold something. They are emptied when the turn of the pump is over that filled them, or by one task for
everybody when something was put outside of it. A ``Run`` is a sequence of frames that several outboxes got one after the
other, so its bytes are joined once for all; a ``group`` writes runs.

The rule that keeps it honest: a run grows only while it is the last thing in every outbox that holds it. Whoever puts anything
behind it closes it first, so each connection gets its frames in the order in which they were put.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from trio_router.transport.group import Group
    from trio_router.transport.outbox import Outbox

FLUSH_AT: Final = 1024 * 1024
"""Bytes put in one tick, each shared frame counted once, after which everything leaves at once: what a tick can hold."""


class Run:
    """Frames that follow each other. ``open``: another one may still be added."""

    __slots__ = ("_joined", "alone", "frames", "open")

    def __init__(self, first: bytes) -> None:
        self.frames = [first]
        self.open = True
        self.alone: list[bytes | Run] = [self]  # what an outbox holds that holds nothing else; shared, so never changed
        self._joined: bytes | None = None

    def joined(self) -> bytes:
        """All bytes of it, from now on for good."""
        if self._joined is None:
            self.open = False
            self._joined = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        return self._joined


NOTHING: Final[list[bytes | Run]] = []
"""The items of every outbox that holds none; never changed."""

ELSEWHERE: Final[list[bytes | Run]] = [b""]
"""The items of every outbox that follows a group, which holds what there is; never changed. Not empty, so that whoever puts something looks."""


class Cork:
    """The outboxes that hold something. :meth:`run` must be running; ``held`` is set by whoever will call :meth:`flush` himself."""

    def __init__(self) -> None:
        self.held = False
        self.weight = 0
        self._dirty: list[Outbox] = []
        self._runs: list[tuple[Run, list[Outbox], Group]] = []  # with outboxes that held nothing else when they got it
        self._sleeping: trio.lowlevel.Task | None = None

    def add(self, outbox: Outbox) -> None:
        """``outbox`` was empty and no longer is."""
        self._dirty.append(outbox)
        self._wake()

    def add_run(self, run: Run, outboxes: list[Outbox], group: Group) -> None:
        """These were empty and now hold ``run`` of ``group`` alone."""
        self._runs.append((run, outboxes, group))
        self._wake()

    def _wake(self) -> None:
        if not self.held and self._sleeping is not None:
            task, self._sleeping = self._sleeping, None
            trio.lowlevel.reschedule(task)

    def flush(self) -> None:
        """Write what can be written without waiting. Raises nothing."""
        self.weight = 0
        while self._runs or self._dirty:
            runs, self._runs = self._runs, []
            for run, outboxes, group in runs:
                _flush_run(run, outboxes, group)
            dirty, self._dirty = self._dirty, []
            for outbox in dirty:
                try:
                    outbox.flush_now()
                except Exception as error:  # noqa: BLE001 - the edge of a connection: the others are flushed all the same
                    outbox.fail(error)

    async def run(self) -> None:
        """Flush whatever is put by somebody who does not; until cancelled."""

        def abort(_: object) -> trio.lowlevel.Abort:
            self._sleeping = None
            return trio.lowlevel.Abort.SUCCEEDED

        while True:
            if (self._dirty or self._runs) and not self.held:
                self.flush()
                await trio.lowlevel.checkpoint()
            else:
                self._sleeping = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(abort)


def _flush_run(run: Run, outboxes: list[Outbox], group: Group) -> None:
    """What nearly every delivery comes to: one write of bytes that are the same for all."""
    data = run.joined()
    size, alone = len(data), run.alone
    if group.pending and group.pending[0] is run:
        group.keep(run)
    for outbox in outboxes:
        try:
            if outbox.items is not alone:  # it got more meanwhile
                outbox.flush_now()
                continue
            if not outbox.plain:  # it is stuck, or has its own way to write
                outbox.flush_now()
                if outbox.writing:
                    group.found_stuck(outbox)
                continue
            try:
                sent = outbox.write(data)
            except OSError:  # nothing has left: it tries again, and finds out what that means
                outbox.flush_now()
                continue
            outbox.items = NOTHING
            outbox.last = None
            if sent != size:
                outbox.block(alone, sent)
        except Exception as error:  # noqa: BLE001 - the edge of a connection: the others are flushed all the same
            outbox.fail(error)
    run.alone = NOTHING  # or it would hold itself, and all its bytes, until the collector comes by
