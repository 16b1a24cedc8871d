"""One WebSocket of the fast lane: messages go from the socket to the session without a task or a queue between them.

Who reads depends on what the session does. In :meth:`FastLink.receive` (quarantine) its own task reads. In :meth:`FastLink.serve` the
pump calls :meth:`_turn`, and the session's task sleeps until there is something that only a task can do: await what ``take``
returned, send a frame on its detour through trio-websocket, or end. Without a pump, the session's task reads here too.

The rules that keep it honest: one reader at a time, so the order holds; a turn is bounded and raises nothing, what ``take`` raises
is raised in the session's task; and the same guard judges every byte, on the short way and the long one (T06, T07, T08).
"""

from __future__ import annotations

import enum
import math
import time
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

import trio

from trio_router.limits import Limits
from trio_router.protocols.codes import SLOW, CloseCode
from trio_router.routing.peer import Timer, Timers
from trio_router.session.link import Lane, LinkClosed, Take
from trio_router.transport.detour import Detour
from trio_router.transport.guard import FrameGuard
from trio_router.transport.handshake import Handshake, close_frame, pong_frame
from trio_router.transport.intake import Intake, message_of, payload_of
from trio_router.transport.outbox import Outbox
from trio_router.transport.pipe import Pipe
from trio_router.transport.pump import Pump
from trio_router.transport.websocket import CLOSE_TIMEOUT, WebSocketEnded, end_of

RECEIVE: Final = 64 * 1024
"""Bytes read at once."""

TURN: Final = 128
"""Messages of one connection before all others get their turn."""

DETOUR_TIMEOUT: Final = 5.0
"""Seconds for trio-websocket to begin, which it does at once unless something of ours is at fault."""

TURN_TIME: Final = 0.05
"""Seconds after which they get it whatever the number: a message may ask for a thousand decisions. Plain ones take a tenth of it."""

_PING: Final = 0x89
_PONG: Final = 0x8A


class _State(enum.Enum):
    """What a link needs next."""

    BYTES = "bytes"  # from the socket
    TURN = "turn"  # there is more at hand
    TASK = "task"  # the session's own task: a pause, a detour or the end


class FastLink:
    """One open WebSocket, see :class:`trio_router.session.link.Link`. ``limits``: those of quarantine count at first."""

    __slots__ = (
        "_age",
        "_closing",
        "_detour",
        "_failure",
        "_fed",
        "_guard",
        "_handshake",
        "_intake",
        "_max_message",
        "_nursery",
        "_odd",
        "_ours",
        "_pause",
        "_pipe",
        "_pump",
        "_ready",
        "_take",
        "_task",
        "_timers",
        "heard_at",
        "lane",
        "on_slow",
        "outbox",
        "send",
        "upgrade",
    )

    def __init__(
        self,
        pipe: Pipe,
        handshake: Handshake,
        outbox: Outbox,
        nursery: trio.Nursery,
        *,
        limits: Limits,
        timers: Timers,
        pump: Pump | None,
        lane: Lane,
    ) -> None:
        self.upgrade = handshake.upgrade
        self.lane: Lane | None = lane
        self.on_slow: Callable[[], None] | None = None
        self.heard_at = trio.current_time()
        self.outbox = outbox
        self.send = outbox.put
        self._pipe = pipe
        self._handshake = handshake
        self._nursery = nursery
        self._timers = timers
        self._pump = pump
        self._max_message = max(limits.message_size, limits.login_message_size)
        self._guard = FrameGuard(
            message_size=limits.login_message_size,
            frames_per_message=limits.frames_per_message,
            fragment_timeout=limits.fragment_timeout,
            control_frames_per_second=limits.control_frames_per_second,
        )
        self._intake = Intake(self._guard)
        self._intake.add(handshake.rest)
        self._ready: list[str | bytes] = []  # recognised and not yet given on
        self._odd: bytes | None = None  # a frame for the detour
        self._fed = False  # the detour has it
        self._detour: Detour | None = None
        self._pause: Awaitable[None] | None = None
        self._failure: Exception | None = None
        self._take: Take | None = None
        self._task: trio.lowlevel.Task | None = None  # the session's, while the pump reads for it
        self._age: Timer | None = None  # watches what has begun
        self._ours: CloseCode | None = None
        self._closing = False
        outbox.on_slow = self._slow
        outbox.on_broken = self._broken
        outbox.on_fault = self._end

    @property
    def queued(self) -> int:
        """Bytes that wait for the peer to read."""
        return self.outbox.queued

    def set_message_limit(self, size: int) -> None:
        self._guard.message_size = size

    # ---- the ends ---------------------------------------------------------------------------------------------

    def _slow(self) -> None:
        if self.on_slow is not None:
            self.on_slow()
        self._end(LinkClosed(None, SLOW))

    def _broken(self) -> None:
        self._end(LinkClosed(None, SLOW if self.outbox.slow else None))

    def _end(self, failure: Exception) -> None:
        """The session's task shall raise ``failure``; the first one counts."""
        if self._failure is None:
            self._failure = failure
            if isinstance(failure, LinkClosed):
                self._ours = failure.ours
        self._wake()

    def _wake(self) -> None:
        if self._task is not None:
            task, self._task = self._task, None
            if self._pump is not None:
                self._pump.forget(self._pipe.fileno())
            trio.lowlevel.reschedule(task)

    def _refuse(self) -> None:
        """The guard has found something wrong: say so, and end."""
        violation = self._guard.violation
        assert violation is not None  # noqa: S101 - whoever calls has looked
        self.outbox.seal(close_frame(violation.number, violation.text))
        self._end(LinkClosed(None, violation))

    # ---- reading ----------------------------------------------------------------------------------------------

    def _read(self, now: float) -> bool:
        """One read of the socket; False if nothing was there. At its end the link ends, once what came before is worked off."""
        try:
            data = self._pipe.recv(RECEIVE)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if data:
            self.heard_at = now
            self._intake.add(data)
        else:
            self._end(LinkClosed(None, SLOW if self.outbox.slow else None))
        return True

    def _work(self, take: Take, now: float) -> _State:
        """Give what is at hand to ``take``, one turn at most. Raises what it raises."""
        intake = self._intake
        left, until = TURN, time.perf_counter() + TURN_TIME
        while True:
            messages = self._ready or intake.messages(left)
            if messages:
                self._ready = []
                for position, message in enumerate(messages, 1):
                    pause = take(message)
                    if pause is not None:
                        self._pause, self._ready = pause, messages[position:]
                        return _State.TASK
                    if time.perf_counter() > until:
                        self._ready = messages[position:]
                        return _State.TURN
                left -= len(messages)
            if intake.empty:
                return _State.BYTES
            if left <= 0:
                return _State.TURN
            state = self._step(now)
            if state is not None:
                return state
            left -= 1

    def _step(self, now: float) -> _State | None:
        """One frame that is not simple, or not complete. None: go on."""
        frame = self._intake.frame(now)
        if frame is None:
            if self._guard.violation is not None:
                self._refuse()
                return _State.TASK
            self._watch_age()
            return _State.BYTES
        if self._guard.idle:
            if frame[0] == _PONG:
                return None
            if frame[0] == _PING and self.outbox.clear:  # else the detour waits until pongs can leave (T08)
                self.outbox.put(pong_frame(payload_of(frame)))
                return None
            message = message_of(frame)
            if message is not None:
                self._ready = [message]
                return None
        self._odd = frame
        return _State.TASK

    def _turn(self, now: float) -> bool:
        """A turn in the pump: read once, work, and wake the session's task if it is needed. Raises nothing."""
        take = self._take
        if take is None:
            return False
        try:
            if not self._ready and self._intake.empty and (not self._read(now) or self._failure is not None):
                return False
            state = self._work(take, now)
            if state is _State.TASK:
                self._wake()
        except Exception as error:  # noqa: BLE001 - the edge of a session: it is raised in the session's own task
            self._end(error)
            return False
        return state is _State.TURN

    async def serve(self, take: Take) -> NoReturn:
        self._take = take
        try:
            while True:
                if self._pause is not None:
                    pause, self._pause = self._pause, None
                    await pause
                elif self._odd is not None:
                    await self._take_detour()
                elif self._failure is not None:
                    raise self._failure
                state = self._work(take, trio.current_time())
                if state is _State.TURN:
                    await trio.lowlevel.checkpoint()
                elif state is _State.BYTES and self._failure is None:
                    await (self._wait_readable() if self._pump is None else self._sleep(self._pump))
        finally:
            self._take = None

    async def _sleep(self, pump: Pump) -> None:
        """Let the pump read until this task is needed."""
        fileno = self._pipe.fileno()

        def abort(_: object) -> trio.lowlevel.Abort:
            self._task = None
            pump.forget(fileno)
            return trio.lowlevel.Abort.SUCCEEDED

        pump.watch(fileno, self._turn)
        self._task = trio.lowlevel.current_task()
        try:
            self._watch_age()
        except BaseException:  # whoever is awake must never be woken
            abort(None)
            raise
        await trio.lowlevel.wait_task_rescheduled(abort)

    async def receive(self) -> str | bytes:
        await trio.lowlevel.checkpoint()
        while True:
            if self._odd is not None:
                await self._take_detour()
            elif not self._ready:
                self._ready = self._intake.messages(1)
            if self._ready:
                return self._ready.pop(0)
            if not self._intake.empty:
                self._step(trio.current_time())
            elif self._failure is not None:
                raise self._failure
            else:
                await self._wait_readable()

    async def _wait_readable(self) -> None:
        """Read once, when there is something; or find that what has begun was not finished in time (T07)."""
        try:
            with trio.move_on_at(self._guard.deadline or math.inf) as scope:
                await trio.lowlevel.wait_readable(self._pipe.fileno())
        except trio.ClosedResourceError:
            self._end(LinkClosed(None))
            return
        if scope.cancelled_caught:
            self._guard.overdue()
            self._refuse()
        else:
            self._read(trio.current_time())

    def _watch_age(self) -> None:
        """See to it that what has begun is finished in time, while the pump reads (T07)."""
        deadline = self._guard.deadline
        if deadline is not None and self._age is None and self._task is not None:
            self._age = self._timers.after(deadline - trio.current_time(), self._check_age)

    def _check_age(self) -> None:
        self._age = None
        deadline = self._guard.deadline
        if deadline is None or self._guard.violation is not None or self._closing:
            return
        if deadline <= trio.current_time():
            self._guard.overdue()
            self._refuse()
        else:
            self._watch_age()

    # ---- the long way -----------------------------------------------------------------------------------------

    async def _take_detour(self) -> None:
        """Send the frame that waits for it on its detour. Raises ``LinkClosed``."""
        frame = self._odd
        assert frame is not None  # noqa: S101 - whoever calls has looked
        detour = self._detour
        if detour is None:
            # It waits for nobody but trio-websocket; if that has failed, the connection ends by the assertion.
            with trio.move_on_after(DETOUR_TIMEOUT, shield=True):
                detour = self._detour = await Detour.open(
                    self._nursery, self.outbox, self._handshake, self._max_message
                )
        assert detour is not None  # noqa: S101 - or it failed: the fault of one connection (T09)
        if not self._fed:  # a cancelled call is taken up where it was
            self._fed = True
            detour.feed(frame)
        goes_on = await detour.worked_off()
        try:
            # An unfinished message has nothing to show yet, and a control frame never has.
            if not goes_on or (self._guard.idle and frame[0] & 0x0F < 8):
                self._ready.append(await detour.message())
        except WebSocketEnded as ended:
            self._end(end_of(ended, self._guard, slow=self.outbox.slow, sealed=self.outbox.sealed))
        self._odd = None
        self._fed = False

    # ---- the end ----------------------------------------------------------------------------------------------

    async def close(self, code: CloseCode, reason: str = "") -> None:
        if self._closing:
            return
        self._closing = True
        code = self._ours or code
        self.outbox.seal(close_frame(code.number, reason or code.text))
        with trio.move_on_after(CLOSE_TIMEOUT):
            try:
                await self.outbox.flush()
                if self._ours is not None:  # a peer that broke the protocol may never answer: no need to wait for it
                    self._pipe.finish()
                await self._drain()
            except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the peer is gone already
        self.drop()

    async def _drain(self) -> None:
        """Read and forget until the peer's close frame or the end, so that our close frame is not lost to a reset."""
        self._intake.rest(trio.current_time())
        while not self._guard.closed:
            await trio.lowlevel.wait_readable(self._pipe.fileno())
            try:
                data = self._pipe.recv(RECEIVE)
            except BlockingIOError:
                continue
            if not data:
                return
            self._guard.feed(data, trio.current_time())

    def drop(self) -> None:
        """Close the connection now. Doing it again does nothing."""
        self._closing = True
        if self._age is not None:  # it would hold what is left of this connection until then
            self._age.cancel()
            self._age = None
        if self._detour is not None:
            self._detour.drop()
        self.outbox.close()
        self._pipe.close()
        self.on_slow = None
        if self._failure is not None:  # its traceback holds the frames of all who have seen it, and they hold this link
            self._failure.__traceback__ = None
