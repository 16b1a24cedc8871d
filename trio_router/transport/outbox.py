"""The writing side of one connection of the fast lane: a list for one tick, and a bounded backlog for a peer that does not keep up.

Frames are put without waiting and written by one non-blocking call when the cork flushes. Only what the socket does not take
moves to the backlog, and only then a task exists, which writes on when the socket takes more. The backlog is bounded
in bytes and in age; past either the peer is *slow* and the stream ends (T12).

The rule that keeps it honest: bytes leave in the order in which frames were put, a frame leaves whole, and after a write that
failed, was cancelled or came too late no other byte follows (T13). It knows nothing of WebSocket but what a frame is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import trio

from trio_router.transport.cork import ELSEWHERE, FLUSH_AT, NOTHING, Cork, Run
from trio_router.transport.pipe import Pipe
from trio_router.transport.stream import BATCH, FAREWELL_TIMEOUT

if TYPE_CHECKING:
    from trio_router.transport.group import Group


def _nothing() -> None:
    """The callback of an outbox that nobody listens to."""


def _ignore(_: Exception) -> None:
    """The same."""


class Outbox:
    """What is to be written to one ``pipe``.

    ``size`` is in bytes: what may wait for the peer; a single frame may always. ``timeout`` is in seconds: how old a waiting byte
    may get. ``farewell`` is what a slow peer is told, if it reads on. ``on_slow`` and ``on_broken`` are called in the moment
    when the peer is given up, or found to be gone, ``on_fault`` besides if it was our fault; they must return at once and raise nothing.
    """

    __slots__ = (
        "_backlog",
        "_begun",
        "_broken",
        "_cork",
        "_farewell",
        "_nursery",
        "_oldest",
        "_pipe",
        "_progress",
        "_queued",
        "_since",
        "_size",
        "_timeout",
        "follows",
        "items",
        "last",
        "on_broken",
        "on_fault",
        "on_slow",
        "plain",
        "sealed",
        "slow",
        "stuck_with",
        "taking",
        "write",
        "writing",
    )

    def __init__(
        self, pipe: Pipe, cork: Cork, nursery: trio.Nursery, *, size: int, timeout: float, farewell: bytes = b""
    ) -> None:
        self._pipe = pipe
        self._cork = cork
        self._nursery = nursery  # for the writer
        self._size = size
        self._timeout = timeout
        self._farewell = farewell
        self.on_slow: Callable[[], None] = _nothing
        self.on_broken: Callable[[], None] = _nothing
        self.on_fault: Callable[[Exception], None] = _ignore
        self.sealed = False  # the last frame has been put
        self.slow = False
        self._broken = False  # nothing can leave any more
        # For the cork besides this module:
        self.write = pipe.send
        self.plain = pipe.direct  # what the next write takes has left, and nothing waits before it
        self.taking = True  # neither sealed nor broken
        self.items: list[bytes | Run] = NOTHING  # put in this tick; another list whenever it changes hands
        self.last: Run | None = None  # the last item, if it is a run that may still grow
        self._backlog: deque[tuple[float, bytes]] | None = (
            None  # when it was put, and the bytes: rests of frames and frames
        )
        self._begun = False  # the first of the backlog is the rest of a frame
        self._oldest = 0.0  # when the first of what the pipe has taken last was put
        self._queued = 0  # bytes of the backlog
        self.writing = False  # there is a writer
        self._progress: trio.Event | None = None
        self.stuck_with: Group | None = None  # the group whose run went to the backlog last
        self.follows: Group | None = None  # the group that keeps what follows on the backlog; ``items`` is ELSEWHERE
        self._since = 0  # of all bytes that it ever kept, how many we have got

    @property
    def ended(self) -> bool:
        """Whether nothing can leave any more."""
        return self._broken

    @property
    def clear(self) -> bool:
        """Whether the socket took everything so far."""
        return not self.writing

    @property
    def queued(self) -> int:
        """Bytes that wait."""
        items: Sequence[bytes | Run] = self.items if self.follows is None else self.follows.pending
        return self._waiting + sum(
            len(item) if isinstance(item, bytes) else sum(map(len, item.frames)) for item in items
        )

    @property
    def _waiting(self) -> int:
        """Bytes of the backlog, and of what a group keeps for it."""
        return self._queued if self.follows is None else self._queued + self.follows.total - self._since

    @property
    def room(self) -> int:
        """Bytes that may still come to wait."""
        return self._size - self._waiting

    # ---- putting ----------------------------------------------------------------------------------------------

    def put(self, frame: bytes) -> None:
        """Put one whole frame. Never waits, never raises; after the end or :meth:`seal` it is dropped."""
        if not self.taking:
            return
        cork = self._cork
        if not self.items or (self.follows is not None and not self.stop_following()):
            self.items = [frame]
            cork.add(self)
        else:
            if self.last is not None:
                self._close_run()
            self.items.append(frame)
        cork.weight += len(frame)
        if cork.weight > FLUSH_AT:
            cork.flush()

    def put_run(self, run: Run) -> None:
        """Put a run, to which frames may be added until something else is put."""
        if not self.taking:
            return
        if not self.items or (self.follows is not None and not self.stop_following()):
            self.items = run.alone
            self._cork.add(self)
        else:
            self._close_run()
            self.items.append(run)
        self.last = run
        run.open = True

    def _close_run(self) -> None:
        """Something follows: the last run must not grow any more, and the list becomes this outbox's own."""
        if self.last is not None:
            self.last.open = False
            if self.items is self.last.alone:
                self.items = [self.last]
            self.last = None

    def seal(self, last: bytes = b"") -> None:
        """Put ``last`` whatever the bound, then take nothing more. Only the first call counts."""
        if self.sealed:
            return
        if self.follows is not None:
            self.stop_following()
        if last:
            self.put(last)
        self._close_run()
        self.sealed = True
        self.taking = False

    # ---- following --------------------------------------------------------------------------------------------

    def follow(self, group: Group, total: int) -> None:
        """``group`` keeps what comes from now on, of which it has kept ``total`` bytes so far. There is a writer, and nothing was put in this tick."""
        self.follows = group
        self._since = total
        self.items = ELSEWHERE

    def stop_following(self) -> bool:
        """What the group keeps waits here again, what it got in this tick is ours as well; whether that is anything."""
        group = self.follows
        assert group is not None  # noqa: S101 - whoever calls has looked
        self._take_over(group)
        self._let_go(group)
        pending = group.pending
        if not pending:
            return False
        last = pending[-1]
        if last.open:
            self.last = last
        self.items = last.alone if last.open and len(pending) == 1 else list(pending)
        self._cork.add(self)
        return True

    def _take_over(self, group: Group) -> None:
        assert self._backlog is not None  # noqa: S101 - there is a writer
        self._backlog.extend(group.take_over(self))
        self._queued += group.total - self._since
        self._since = group.total

    def _let_go(self, group: Group) -> None:
        group.lose(self)
        self.follows = self.stuck_with = None
        self.items = NOTHING

    def wait_for(self, run: Run) -> None:
        """``run`` waits behind what waits already, or there is no room for it."""
        self._append([run])

    # ---- writing ----------------------------------------------------------------------------------------------

    def flush_now(self) -> None:
        """Write what the socket takes. Never waits, never raises."""
        items = self.items
        if not items or self.follows is not None:
            return
        self.items = NOTHING
        self.last = None
        if self.writing:
            self._append(items)
            return
        if len(items) == 1:
            item = items[0]
            data = item if isinstance(item, bytes) else item.joined()
        else:
            try:
                data = b"".join(items)  # type: ignore[arg-type]  # frames alone, mostly
            except TypeError:
                data = b"".join([item if isinstance(item, bytes) else item.joined() for item in items])
        try:
            sent = self.write(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._break()
            return
        if sent != len(data) or self._pipe.unsent:
            self.block(items, sent)

    def block(self, items: list[bytes | Run], sent: int) -> None:
        """The socket took ``sent`` bytes of ``items`` and no more: the rest waits for the writer."""
        frames = _frames(items)
        first = 0
        while first < len(frames) and sent >= len(frames[first]):
            sent -= len(frames[first])
            first += 1
        self.writing = True
        self._oldest = trio.current_time()
        self.plain = False
        self._backlog = deque()
        rest = frames[first:]
        if sent:
            self._begun = True
            self._wait(rest.pop(0)[sent:], self._oldest)
        try:
            self._nursery.start_soon(self._write)
        except RuntimeError:  # the connection's nursery is closed: nobody will ever read this
            self._break()
            return
        self._append(rest)

    def _wait(self, data: bytes, now: float) -> None:
        assert self._backlog is not None  # noqa: S101 - made in _block
        self._backlog.append((now, data))
        self._queued += len(data)

    def _append(self, items: Sequence[bytes | Run]) -> None:
        """``items`` wait behind what waits already, a short run as one: its bytes are there for all who hold it."""
        now = trio.current_time()
        for item in items:
            whole = item if isinstance(item, bytes) else item.joined()
            if len(whole) <= BATCH and self._queued + len(whole) <= self._size:
                self._wait(whole, now)
                continue
            for frame in [item] if isinstance(item, bytes) else item.frames:
                # What was sealed with may pass the bound: it is the last there is.
                if self._queued and self._queued + len(frame) > self._size and not self.sealed:
                    self._overflow()
                    return
                self._wait(frame, now)

    def _overflow(self) -> None:
        """Past the bound: forget what has not begun to leave (whole frames all), so memory is free at once (T12)."""
        assert self._backlog is not None  # noqa: S101
        since = trio.current_time() - self._timeout + FAREWELL_TIMEOUT
        begun = self._backlog[0][1] if self._begun else b""
        self._backlog.clear()
        self._backlog.extend((since, data) for data in (begun, self._farewell) if data)
        self._queued = sum(len(data) for _, data in self._backlog)
        self._close_run()
        self.items = NOTHING
        self.sealed = True
        self.taking = False
        self._be_slow()

    def _be_slow(self) -> None:
        if not self.slow:
            self.slow = True
            self.on_slow()

    def _break(self) -> None:
        if self._broken:
            return
        self._broken = True
        self.taking = False
        self._close_run()
        if self.follows is not None:
            self._let_go(self.follows)
        self.stuck_with = None
        self.items = NOTHING
        self._backlog = None
        self._queued = 0
        self._wake()
        self.on_broken()

    def fail(self, error: Exception) -> None:
        """Something of ours went wrong while this was written: nothing may follow (T13), and whoever owns it is told."""
        self.on_fault(error)
        self._break()

    def _wake(self) -> None:
        if self._progress is not None:
            self._progress.set()
            self._progress = None

    async def _write(self) -> None:
        """Write the backlog as the socket takes it, then end. Raises nothing but ``Cancelled``."""
        late = False
        try:
            while self._more() or (self._pipe.unsent and not self._broken):
                started = self._backlog[0][0] if self._backlog and not self._pipe.unsent else self._oldest
                with trio.move_on_at(started + self._timeout) as scope:
                    await trio.lowlevel.wait_writable(self._pipe.fileno())
                if scope.cancelled_caught:
                    late = True
                    self._be_slow()
                    break
                self._write_on()
        except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            self._break()
        finally:
            if (
                late or self._backlog or self.follows is not None or self._pipe.unsent
            ):  # or cancelled: nothing may follow
                self._break()
            self.writing = False
            self.plain = self._pipe.direct
            self._backlog = None
            self._begun = False
            self._wake()

    def _more(self) -> bool:
        """Whether there is a backlog, with what is kept elsewhere for it."""
        if not self._backlog and self.follows is not None:
            self._take_over(self.follows)
            if not self._backlog and not self._pipe.unsent:
                self.stop_following()
        return bool(self._backlog)

    def _write_on(self) -> None:
        """One write of the backlog. Raises ``OSError``."""
        try:
            self._pipe.push()
            if self.follows is not None and self._queued < BATCH:
                self._take_over(self.follows)
            if not self._backlog:
                return
            batch = [self._backlog.popleft()]
            size = len(batch[0][1])
            while self._backlog and size < BATCH:
                batch.append(self._backlog.popleft())
                size += len(batch[-1][1])
            sent = 0
            self._oldest = batch[0][0]
            try:
                sent = self._pipe.send(batch[0][1] if len(batch) == 1 else b"".join([data for _, data in batch]))
            finally:
                self._queued -= sent
                self._put_back(batch, sent)
        except BlockingIOError:
            return

    def _put_back(self, batch: list[tuple[float, bytes]], sent: int) -> None:
        assert self._backlog is not None  # noqa: S101
        if sent:
            self._begun = False
        while batch and sent >= len(batch[0][1]):
            sent -= len(batch.pop(0)[1])
        if batch and sent:
            self._begun = True
            batch[0] = (batch[0][0], batch[0][1][sent:])
        self._backlog.extendleft(reversed(batch))

    async def flush(self) -> None:
        """Wait until nothing waits. Raises ``BrokenResourceError`` if that will not come."""
        if self.follows is not None:
            self.stop_following()
        self.flush_now()
        while self.writing and not self._broken:
            if self._progress is None:
                self._progress = trio.Event()
            await self._progress.wait()
        if self._broken:
            raise trio.BrokenResourceError

    def close(self) -> None:
        """Nothing leaves any more; what waits is lost. Whoever listened is forgotten, so that both can go."""
        self._break()
        self.on_slow = self.on_broken = _nothing
        self.on_fault = _ignore


def _frames(items: list[bytes | Run]) -> list[bytes]:
    """The single frames of ``items``."""
    found: list[bytes] = []
    for item in items:
        if isinstance(item, bytes):
            found.append(item)
        else:
            item.joined()  # it must not grow any more
            found.extend(item.frames)
    return found
