"""A WebSocket over any stream, with everything done by trio-websocket; the only module that knows it.

trio-websocket does the handshake, puts fragments together, answers pings and closes; it runs over a stream that shows it
nothing but whole frames that ``guard`` has passed, and it never writes to the socket itself. Data frames for the
client are encoded elsewhere, once, and put straight into the outbox. The link here is the portable one, for when the fast lane
is switched off; the fast lane uses the same trio-websocket for what it does not take itself.

The rule that keeps it honest: no text of the client's request reaches the handshake, see ``transport.handshake``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from trio_router.limits import Limits
from trio_router.protocols.codes import CLOSES, INVALID_DATA, NORMAL, PROTOCOL_ERROR, SLOW, CloseCode
from trio_router.session.link import Lane, LinkClosed, Take, Upgrade, serve_in_turn
from trio_router.transport.guard import FrameGuard
from trio_router.transport.handshake import Handshake, close_frame
from trio_router.transport.stream import OutboxStream

CLOSE_TIMEOUT: Final = 2.0
"""Seconds the peer has to take our close frame and answer it."""

QUEUE: Final = 8
"""Messages parsed ahead of the session."""

RECEIVE_BUFFER: Final = 16 * 1024
_CLOSE_OPCODE: Final = 0x88
_ABNORMAL: Final = 1006

Handler = Callable[["WebSocketLink"], Awaitable[None]]


class WebSocketEnded(Exception):
    """trio-websocket says that the connection is over. ``code``: of the peer's close frame or of what was wrong; None without one."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Answering:
    """A WebSocket in the hands of trio-websocket."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection

    async def message(self) -> str | bytes:
        """The next whole message. Raises ``WebSocketEnded``."""
        try:
            return await self._connection.get_message()
        except ConnectionClosed as closed:
            code = None if closed.reason is None or closed.reason.code == _ABNORMAL else int(closed.reason.code)
            raise WebSocketEnded(code) from None


async def answer_websocket(
    nursery: trio.Nursery, stream: trio.abc.Stream, subprotocol: str | None, *, max_message_size: int
) -> Answering:
    """Let trio-websocket answer the handshake on ``stream``; its reader lives in ``nursery``."""
    request = await wrap_server_stream(
        nursery,
        stream,
        message_queue_size=QUEUE,
        max_message_size=max_message_size,
        receive_buffer_size=RECEIVE_BUFFER,
    )
    return Answering(await request.accept(subprotocol=subprotocol))


def end_of(ended: WebSocketEnded, guard: FrameGuard, *, slow: bool, sealed: bool) -> LinkClosed:
    """How a link has ended on which trio-websocket found its end. ``sealed``: our last frame had been put before."""
    ours: CloseCode | None = None
    if slow:
        ours = SLOW
    elif guard.violation is not None:
        ours = guard.violation
    elif not sealed and ended.code in {PROTOCOL_ERROR.number, INVALID_DATA.number}:
        ours = CLOSES[ended.code]  # found by trio-websocket, which closes without a word
    return LinkClosed(None if ours is not None else ended.code, ours)


class GuardedStream(trio.abc.Stream):
    """What trio-websocket takes for the connection. It may read whole, checked frames, and queue; closing is left to the link."""

    def __init__(self, outbox: OutboxStream, guard: FrameGuard, request: bytes) -> None:
        self._outbox = outbox
        self._guard = guard
        self._request = request
        self._held = bytearray()
        self._ready = b""
        self.opened = trio.Event()  # set when the handshake was answered: only then do frames follow
        self.left = trio.Event()  # set when trio-websocket is done with the connection
        self.discarding = False
        self.ended = False  # no more bytes will come, or none that matter
        self.heard_at = trio.current_time()
        self._idle = trio.Event()  # whether nobody is reading: trio-websocket may be, while the link drains
        self._idle.set()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._request:
            request, self._request = self._request, b""
            return request
        await self.opened.wait()
        while not (self.ended or self._guard.closed):
            if self.discarding:
                await self.drain()
                break
            if self._guard.violation is not None:
                self._outbox.seal(close_frame(self._guard.violation.number, self._guard.violation.text))
                break
            data = await self._receive(max_bytes)
            whole = self._guard.feed(data, self.heard_at)
            if not whole:
                self._held += data
                continue
            ready = bytes(self._held) + data[:whole]
            self._held[:] = data[whole:]
            return ready
        return b""

    async def _receive(self, max_bytes: int | None) -> bytes:
        data = b""
        deadline = self._guard.deadline
        if deadline is None:
            data = await self._read(max_bytes)
        else:
            with trio.move_on_at(deadline) as scope:
                data = await self._read(max_bytes)
            if scope.cancelled_caught:
                self._guard.overdue()  # T07: an unfinished message may not stay for ever
                return b""
        self.heard_at = trio.current_time()
        self.ended = not data
        return data

    async def drain(self) -> None:
        """Read and forget until the peer's close frame or the end, so that our close frame is not lost to a reset."""
        while not (self.ended or self._guard.closed):
            if not self._idle.is_set():
                await self._idle.wait()
                continue
            data = await self._read(RECEIVE_BUFFER)
            self.ended = not data
            self._guard.feed(data, trio.current_time())

    async def _read(self, max_bytes: int | None) -> bytes:
        self._idle = trio.Event()
        try:
            return await self._outbox.receive_some(max_bytes)
        finally:
            self._idle.set()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Queue what trio-websocket has to say and wait until it left. After our last frame, it has nothing more to say."""
        if self._outbox.sealed:
            await trio.lowlevel.checkpoint()
        elif data[0] == _CLOSE_OPCODE:
            self._outbox.seal(bytes(data))
            await self._outbox.flush()
        else:
            await self._outbox.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._outbox.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Say that trio-websocket is done. The link closes the connection, after its own last frame has left."""
        self.left.set()
        await trio.lowlevel.checkpoint()


class WebSocketLink:
    """One open WebSocket, see :class:`trio_router.session.link.Link`."""

    def __init__(
        self,
        upgrade: Upgrade,
        connection: Answering,
        outbox: OutboxStream,
        guarded: GuardedStream,
        guard: FrameGuard,
    ) -> None:
        self.upgrade = upgrade
        self.lane: Lane | None = None
        self.on_slow: Callable[[], None] | None = None
        self._connection = connection
        self._outbox = outbox
        self._guarded = guarded
        self._guard = guard
        self._ours: CloseCode | None = None
        self._closing = False

    @property
    def heard_at(self) -> float:
        return self._guarded.heard_at

    def slow(self) -> None:
        """The outbox has given the peer up."""
        if self.on_slow is not None:
            self.on_slow()

    @property
    def queued(self) -> int:
        """Bytes that wait for the peer to read."""
        return self._outbox.queued

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.message()
        except WebSocketEnded as ended:
            closed = end_of(ended, self._guard, slow=self._outbox.slow, sealed=self._outbox.sealed)
        self._ours = closed.ours or self._ours
        raise closed

    async def serve(self, take: Take) -> NoReturn:
        await serve_in_turn(self.receive, take)

    def set_message_limit(self, size: int) -> None:
        self._guard.message_size = size

    def send(self, frame: bytes) -> None:
        self._outbox.put(frame)

    async def close(self, code: CloseCode, reason: str = "") -> None:
        if self._closing:
            return
        self._closing = True
        code = self._ours or code
        self._outbox.seal(close_frame(code.number, reason or code.text))
        self._guarded.discarding = True
        with trio.move_on_after(CLOSE_TIMEOUT):
            try:
                await self._outbox.flush()
                if self._ours is not None:  # a peer that broke the protocol may never answer: no need to wait for it
                    await self._outbox.end()
                if not self._guarded.left.is_set():
                    await self._finish_reading()
                await self._guarded.drain()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # the peer is gone already
        await self._outbox.aclose()

    async def _finish_reading(self) -> None:
        try:
            while True:
                await self._connection.message()
        except WebSocketEnded:
            return


async def serve_websocket(
    stream: trio.abc.Stream,
    handshake: Handshake,
    *,
    limits: Limits,
    deadline: float,
    handler: Handler,
) -> bool:
    """Answer ``handshake`` on ``stream`` and hand the open link to ``handler``; close what it leaves open.

    ``deadline`` (Trio's time) is when the handshake must be done; returns False if it was not. The link starts with the
    message limit of quarantine. The stream is closed in every case.
    """
    outbox = OutboxStream(
        stream,
        outbox_size=limits.outbox_size,
        write_timeout=limits.write_timeout,
        replay=handshake.rest,
        farewell=close_frame(SLOW.number, SLOW.text),
    )
    guard = FrameGuard(
        message_size=limits.login_message_size,
        frames_per_message=limits.frames_per_message,
        fragment_timeout=limits.fragment_timeout,
        control_frames_per_second=limits.control_frames_per_second,
    )
    guarded = GuardedStream(outbox, guard, handshake.request())
    connection: Answering | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(outbox.run)
            with (
                trio.move_on_at(deadline),
                contextlib.suppress(ConnectionClosed),
            ):  # it may be gone before it is answered
                connection = await answer_websocket(
                    nursery,
                    guarded,
                    handshake.upgrade.subprotocol,
                    max_message_size=max(limits.message_size, limits.login_message_size),
                )
            if connection is not None:
                guarded.opened.set()
                link = WebSocketLink(handshake.upgrade, connection, outbox, guarded, guard)
                outbox.on_slow = link.slow
                await handler(link)
                await link.close(NORMAL)
            nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(stream)
    return connection is not None
