"""The writing side of one connection: a queue bounded in bytes and age, and the one task that empties it.

``OutboxStream`` is a ``trio.abc.Stream`` over any other. Whole frames are ``put`` without waiting; what is put in one
tick leaves in one ``send_all`` of the joined bytes (cork). ``send_all``, used for the handshake and control frames, goes
through the same queue, so the order holds and no frame is ever cut by another (T13).

The rule that keeps it honest: a write that was cancelled, failed or timed out is never followed by another byte. The inner
stream is dropped on the spot, and everybody who waits here is told. It knows nothing of WebSocket or sessions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import trio

BATCH: Final = 64 * 1024
"""Bytes joined into one write at most, give or take one frame: what a socket buffer takes at once anyway."""

FAREWELL_TIMEOUT: Final = 1.0
"""Seconds a slow peer still has to read why it is dropped."""


class OutboxStream(trio.abc.Stream):
    """A stream whose writes are queued. :meth:`run` must be running for anything to leave.

    ``replay`` was read from ``inner`` already and is received again first. ``outbox_size`` is in bytes: what is queued or
    being written, past which the connection is ``slow``; a single frame is always taken when nothing is queued.
    ``write_timeout`` is in seconds: how old a queued byte may get. ``farewell`` is what a slow peer is told, if it reads on.
    ``on_slow``, if set, is called when a peer turns out to be slow: it must return at once and raise nothing.
    """

    def __init__(
        self,
        inner: trio.abc.Stream,
        *,
        outbox_size: int,
        write_timeout: float,
        replay: bytes = b"",
        farewell: bytes = b"",
    ) -> None:
        self._inner = inner
        self._replay = replay
        self._farewell = farewell
        self.on_slow: Callable[[], None] | None = None
        self._outbox_size = outbox_size
        self._write_timeout = write_timeout
        self._queue: deque[tuple[float, bytes]] = deque()
        self._queued = 0  # bytes in the queue and in the write that is under way
        self._arrived = trio.Event()
        self._progress = trio.Event()  # replaced whenever the queue runs empty or the stream ends
        self._sealed = False
        self._closed = False
        self._broken = False
        self._slow = False
        self._sending = False
        self._receiving = False

    @property
    def slow(self) -> bool:
        """Whether the peer did not read fast enough; the stream ends because of it."""
        return self._slow

    @property
    def ended(self) -> bool:
        """Whether nothing can leave any more."""
        return self._broken or self._closed

    @property
    def sealed(self) -> bool:
        """Whether the last frame has been queued."""
        return self._sealed

    @property
    def queued(self) -> int:
        """Bytes that wait or are being written."""
        return self._queued

    def put(self, frame: bytes) -> None:
        """Queue one whole frame. Never waits, never raises; after the end or :meth:`seal` it is dropped."""
        if self._sealed or self._broken or self._closed:
            return
        size = len(frame)
        if self._queued and self._queued + size > self._outbox_size:
            self._overflow()
            return
        self._queue.append((trio.current_time(), frame))
        self._queued += size
        self._arrived.set()

    def seal(self, last: bytes = b"") -> None:
        """Queue ``last`` whatever the bound, then take nothing more. Only the first call counts."""
        if self._sealed:
            return
        self._sealed = True
        if last and not (self._broken or self._closed):
            self._queue.append((trio.current_time(), last))
            self._queued += len(last)
            self._arrived.set()

    def _overflow(self) -> None:
        """Past the bound: forget what has not begun to leave (whole frames all), so memory is free at once (T12)."""
        self._queued -= sum(len(frame) for _, frame in self._queue)
        self._queue.clear()
        self._sealed = True
        if self._farewell:
            self._queue.append((trio.current_time() - self._write_timeout + FAREWELL_TIMEOUT, self._farewell))
            self._queued += len(self._farewell)
        self._arrived.set()
        self._be_slow()

    def _be_slow(self) -> None:
        self._slow = True
        if self.on_slow is not None:
            self.on_slow()

    # ---- the writer -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Write what is queued until the stream ends. Raises nothing but ``Cancelled``."""
        try:
            while not self._closed:
                if not self._queue:
                    if self._slow:
                        break
                    self._arrived = trio.Event()
                    await self._arrived.wait()
                    continue
                started, batch = self._next_batch()
                with trio.move_on_at(started + self._write_timeout) as scope:
                    await self._inner.send_all(batch)
                if scope.cancelled_caught:
                    self._be_slow()
                    break
                self._queued -= len(batch)
                if not self._queue:
                    self._wake()
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass
        finally:
            self._break()
            await trio.aclose_forcefully(self._inner)

    def _next_batch(self) -> tuple[float, bytes]:
        started, first = self._queue.popleft()
        if not self._queue:
            return started, first
        parts, size = [first], len(first)
        while self._queue and size < BATCH:
            _, frame = self._queue.popleft()
            parts.append(frame)
            size += len(frame)
        return started, b"".join(parts)

    def _break(self) -> None:
        self._broken = True
        self._queue.clear()
        self._queued = 0
        self._wake()

    def _wake(self) -> None:
        self._progress.set()
        self._progress = trio.Event()

    async def flush(self) -> None:
        """Wait until nothing is queued. Raises ``BrokenResourceError`` or ``ClosedResourceError`` if that will not come."""
        while self._queued:
            self._check()
            await self._progress.wait()
        self._check()

    async def end(self) -> None:
        """Say to the peer that nothing follows, where the inner stream can; call it after :meth:`flush`."""
        if isinstance(self._inner, trio.abc.HalfCloseableStream):
            await self._inner.send_eof()

    def _check(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError
        if self._broken:
            raise trio.BrokenResourceError

    # ---- trio.abc.Stream ------------------------------------------------------------------------------------

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Queue ``data`` and wait until it has left. A cancelled call takes nothing back: the bytes leave whole."""
        if self._sending:
            msg = "another task is sending on this stream"
            raise trio.BusyResourceError(msg)
        self._sending = True
        try:
            await trio.lowlevel.checkpoint()
            self._check()
            if data:
                self.put(bytes(data))
            await self.flush()
        finally:
            self._sending = False

    async def wait_send_all_might_not_block(self) -> None:
        if self._sending:
            msg = "another task is sending on this stream"
            raise trio.BusyResourceError(msg)
        self._sending = True
        try:
            await trio.lowlevel.checkpoint()
            await self.flush()
            await self._inner.wait_send_all_might_not_block()
        finally:
            self._sending = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._receiving:
            msg = "another task is receiving from this stream"
            raise trio.BusyResourceError(msg)
        self._receiving = True
        try:
            if self._replay:
                await trio.lowlevel.checkpoint()
                size = len(self._replay) if max_bytes is None else max_bytes
                data, self._replay = self._replay[:size], self._replay[size:]
                return data
            return bytes(await self._inner.receive_some(max_bytes))
        except OSError as exc:  # TLS streams let some of them through
            raise trio.BrokenResourceError from exc
        finally:
            self._receiving = False

    async def aclose(self) -> None:
        """Drop the stream now; what is queued is lost. Never waits for the peer (M3). Flush first for a gentle end."""
        self._closed = True
        self._queue.clear()
        self._queued = 0
        self._arrived.set()
        self._wake()
        await trio.aclose_forcefully(self._inner)
